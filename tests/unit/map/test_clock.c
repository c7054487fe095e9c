/*
 * What the map does as time goes by, on a clock that jumps: renewals of TTLs, idle times,
 * deadlines. The settings are the standard ones, except client.ttl: it is so long that what the
 * machine takes meanwhile, or a stop of this process or of Redis, is nothing beside the jumps.
 */
#include "map/fixture.h"

#include "map/owned_private.h"
#include "map/renewal_private.h"
#include "map/sweep_private.h"
#include "metrics/metrics.h"

#define TTL 600000

static struct partition *first_partition(const struct front *front)
{
    return &map_space_find(front->map, "")->partitions[0];
}

static int setup(void **state)
{
    struct world *world = world_create();
    struct front *front = &world->fronts[world->count++];
    front_prepare(world, front);
    front_set(front, "client.ttl=600s");
    front_start(world, front);
    /* The first look finds that client.ttl is another one than none, and renews all. */
    WAIT_UNTIL(world, first_partition(front)->renewals.ttl == TTL);
    *state = world;
    return 0;
}

static int teardown(void **state)
{
    world_destroy(*state);
    return 0;
}

static int64_t ttl_of(struct world *world, const char *id)
{
    char key[300];
    snprintf(key, sizeof key, "tracker:{main/1/0}:client:%s", id);
    WORLD_REDIS(world, "PTTL", key);
    return world->reply_integer;
}

/* Redis's clock does not jump, so its part is done by hand. */
static void age(struct world *world, const char *id, unsigned left_ms)
{
    char key[300], ms[16];
    snprintf(ms, sizeof ms, "%u", left_ms);
    snprintf(key, sizeof key, "tracker:{main/1/0}:client:%s", id);
    WORLD_REDIS(world, "PEXPIRE", key, ms);
}

static void test_the_ttl_is_renewed_at_half_time(void **state)
{
    struct world *world = *state;
    struct client client;
    client_connect(&client, &world->fronts[0]);
    client_open(world, &client, "a");
    assert_true(ttl_of(world, client.id) > TTL * 9 / 10);
    age(world, client.id, TTL * 6 / 10);
    uint64_t answered = map_contact(world->fronts[0].map).answered_ms;
    loop_skip(world->loop, TTL * 4 / 10);
    /* A sweep, in which it is looked for what is due, and another one. */
    WAIT_UNTIL(world, map_contact(world->fronts[0].map).answered_ms > answered);
    answered = map_contact(world->fronts[0].map).answered_ms;
    WAIT_UNTIL(world, map_contact(world->fronts[0].map).answered_ms > answered);
    assert_true(ttl_of(world, client.id) <= TTL * 6 / 10);
    loop_skip(world->loop, TTL * 11 / 100);
    WAIT_UNTIL(world, ttl_of(world, client.id) > TTL * 9 / 10);
    map_session_end(&client.session, true);
}

static void test_the_ttl_shows_how_long_a_silent_client_has_left(void **state)
{
    struct world *world = *state;
    struct client client;
    client_connect(&client, &world->fronts[0]);
    client_open(world, &client, "a");
    client.idle_ms = TTL / 2;
    loop_skip(world->loop, TTL / 2 + 500);
    /* And a little more: as long as the connection is taken to be there, so is the key. */
    WAIT_UNTIL(world, ttl_of(world, client.id) <= TTL / 2 + 2000);
    assert_true(ttl_of(world, client.id) > TTL * 4 / 10);
    assert_false(client.ended);
    client.idle_ms = TTL;
    loop_skip(world->loop, TTL / 2 + 500);
    WAIT_UNTIL(world, client.ended);
    WAIT_UNTIL(world, ttl_of(world, client.id) == -2);
}

#define SHORT_TTL 2000
/* A key outlives the idle time by 500 ms; who is stopped for a good part of that may lose it. */
#define UNDISTURBED 200

/* Time goes by from one ping's answer to the next, and the key is there all the time. False when
 * this process or Redis was stopped meanwhile, which shows nothing. */
static bool key_outlives_the_idle_time(struct world *world, struct client *client)
{
    uint64_t began = clock_monotonic_us() / 1000, now = began;
    while (now < began + SHORT_TTL * 19 / 20) {
        client->idle_ms = now - began;
        int64_t ttl = ttl_of(world, client->id);
        loop_iterate(world->loop, 10);
        uint64_t before = now;
        now = clock_monotonic_us() / 1000;
        if (now - before > UNDISTURBED) {
            return false;
        }
        assert_int_not_equal(ttl, -2);
    }
    return true;
}

/* As one that answers pings and says nothing else: its idle time grows from ping to ping. */
static void test_the_key_of_a_client_that_only_answers_pings_never_ends(void **state)
{
    struct world *world = *state;
    struct observer observer;
    struct client client;
    char key[300], since[sizeof world->reply];
    world->fronts[0].map->running.client_ttl = SHORT_TTL;
    observer_watch(world, &observer, &world->fronts[0]);
    client_connect(&client, &world->fronts[0]);
    client_open(world, &client, "a");
    WAIT_UNTIL(world, observer_shows(&observer, client.id, "a"));
    snprintf(key, sizeof key, "tracker:{main/1/0}:client:%s", client.id);
    for (unsigned undisturbed = 0; undisturbed < 4;) {
        unsigned changed = observer.changed, closed = observer.closed;
        strcpy(since, WORLD_REDIS(world, "HGET", key, "since"));
        if (key_outlives_the_idle_time(world, &client)) {
            assert_false(client.ended);
            assert_string_equal(WORLD_REDIS(world, "HGET", key, "since"), since);
            assert_int_equal(observer.changed, changed);
            assert_int_equal(observer.closed, closed);
            undisturbed++;
            continue;
        }
        client.idle_ms = 0;
        WAIT_UNTIL(world, ttl_of(world, client.id) > SHORT_TTL / 2);
        WAIT_UNTIL(world, observer_shows(&observer, client.id, "a"));
    }
    map_session_end(&client.session, true);
    map_unwatch(&observer.watcher);
}

static void test_another_ttl_is_that_of_all_at_once(void **state)
{
    struct world *world = *state;
    struct client client;
    client_connect(&client, &world->fronts[0]);
    client_open(world, &client, "a");
    assert_true(ttl_of(world, client.id) > TTL * 9 / 10);
    world->fronts[0].map->running.client_ttl = TTL / 5;
    WAIT_UNTIL(world, ttl_of(world, client.id) <= TTL / 5);
    assert_true(ttl_of(world, client.id) > TTL / 10);
    assert_false(client.ended);
    map_session_end(&client.session, true);
}

/* Keys end at a time of Redis's clock. What a jump does to them is done by hand: it shortens what
 * is left, or ends them, and no renewal is due by itself for longer than is waited here. */
static void test_a_jump_of_redis_clock_renews_all_keys_at_once(void **state)
{
    struct world *world = *state;
    struct partition *partition = first_partition(&world->fronts[0]);
    struct observer observer;
    struct client shortened, ended;
    observer_watch(world, &observer, &world->fronts[0]);
    client_connect(&shortened, &world->fronts[0]);
    client_connect(&ended, &world->fronts[0]);
    client_open(world, &shortened, "a");
    client_open(world, &ended, "b");
    WAIT_UNTIL(world, observer_shows(&observer, ended.id, "b"));
    /* The first time that Redis's clock is known is a jump, too. Each later one is another by what
     * the reply took. */
    WAIT_UNTIL(world, partition->map->clock_offset_ms - partition->renewals.clock_ms < TTL / 10);
    age(world, shortened.id, TTL / 3);
    age(world, ended.id, 1);
    partition->renewals.clock_ms -= TTL * 2 / 3;
    WAIT_UNTIL(world, ttl_of(world, shortened.id) > TTL * 9 / 10);
    WAIT_UNTIL(world, ttl_of(world, ended.id) > TTL * 9 / 10);
    assert_int_equal(observer.closed, 0);
    /* What comes late looks like a jump back, which shortens nothing. */
    partition->renewals.clock_ms += TTL * 2 / 3;
    age(world, shortened.id, TTL * 2 / 3);
    WAIT_UNTIL(world, partition->renewals.clock_ms <= partition->map->clock_offset_ms);
    for (unsigned turns = 0; turns < 20; turns++) {
        loop_iterate(world->loop, 20);
    }
    assert_true(ttl_of(world, shortened.id) <= TTL * 2 / 3);
    map_session_end(&shortened.session, true);
    map_session_end(&ended.session, true);
    map_unwatch(&observer.watcher);
}

/* Not up to a sweep later. Again where the recovery grace has ended before the front-end knows of
 * it. */
static void test_the_end_of_a_hold_is_swept_at_once(void **state)
{
    struct world *world = *state;
    struct partition *partition = first_partition(&world->fronts[0]);
    char until[24];
    world->fronts[0].map->running.sweep = 20000;
    do {
        snprintf(until, sizeof until, "%llu",
                 (unsigned long long)map_redis_time_ms(world->fronts[0].map) + 500);
        WORLD_REDIS(world, "HSET", "tracker:{main/1/0}:head", "hold_until", until);
        sweep_run(partition);
        WAIT_UNTIL(world, !partition->sweep.is_under_way);
    } while (partition->recovery_until != strtoull(until, NULL, 10) ||
             map_redis_time_ms(world->fronts[0].map) >= partition->recovery_until);
    uint64_t began = clock_monotonic_us() / 1000;
    uint64_t answered = map_contact(world->fronts[0].map).answered_ms;
    WAIT_UNTIL(world, map_contact(world->fronts[0].map).answered_ms > answered);
    assert_true(map_redis_time_ms(world->fronts[0].map) >= partition->recovery_until);
    assert_true(clock_monotonic_us() / 1000 - began < 15000);
}

static const char *const refuse_writes[] = {"CONFIG", "SET", "min-replicas-to-write", "1"};
static const char *const take_writes[] = {"CONFIG", "SET", "min-replicas-to-write", "0"};
static void configure(struct world *world, const char *const words[4])
{
    WORLD_REDIS(world, words[0], words[1], words[2], words[3]);
}

/* Nothing but the renewal is refused: the sweeps, which would find it out, are far apart. */
static void test_a_renewal_that_redis_refused_is_tried_again_in_time(void **state)
{
    struct world *world = *state;
    struct client client;
    char key[300], since[sizeof world->reply];
    client_connect(&client, &world->fronts[0]);
    client_open(world, &client, "a");
    snprintf(key, sizeof key, "tracker:{main/1/0}:client:%s", client.id);
    strcpy(since, WORLD_REDIS(world, "HGET", key, "since"));
    WAIT_UNTIL(world, !first_partition(&world->fronts[0])->sweep.is_under_way);
    loop_timer_stop(first_partition(&world->fronts[0])->sweep.timer);
    age(world, client.id, TTL / 2);
    configure(world, refuse_writes);
    loop_skip(world->loop, TTL / 2 + 500);
    WAIT_UNTIL(world, strstr(WORLD_REDIS(world, "INFO", "errorstats"), "NOREPLICAS"));
    assert_true(ttl_of(world, client.id) <= TTL / 2);
    configure(world, take_writes);
    /* Not only when half of a whole TTL has passed. */
    loop_skip(world->loop, TTL / 8);
    WAIT_UNTIL(world, ttl_of(world, client.id) > TTL * 9 / 10);
    assert_string_equal(WORLD_REDIS(world, "HGET", key, "since"), since);
    map_session_end(&client.session, true);
}

/* Whether it has come; from before, until after the loop ran last. */
static bool next_try_comes(struct world *world, const struct owned *owned, uint64_t *before,
                           uint64_t *after)
{
    uint64_t known = owned->due_ms;
    *before = loop_now_ms(world->loop);
    loop_iterate(world->loop, 5);
    *after = loop_now_ms(world->loop);
    return owned->due_ms != known;
}

/* Until its key has ended, or is about to; each try comes within a quarter of what is left, or the
 * shortest wait. How many were seen of which something was left: none when this process was stopped
 * for as long as the key had. */
static unsigned tries_that_could_save_it(struct world *world, const struct owned *owned)
{
    uint64_t before, after, expires = 0;
    unsigned tries = 0;
    do {
        if (!next_try_comes(world, owned, &before, &after) || owned->left_ms == 500) {
            continue; /* 500: it is being sent */
        }
        if (owned->left_ms > 0) {
            expires = owned->due_ms + owned->left_ms;
        }
        uint64_t longest = after < expires ? (expires - before) / 4 : 250;
        assert_int_equal(owned->phase, OWNED_CONFIRMED);
        assert_true(owned->due_ms <= after + (longest > 40 ? longest : 40));
        /* And the map looks at it then. */
        assert_true(world->fronts[0].map->tick_at_ms <= owned->due_ms);
        tries += owned->left_ms > 0;
    } while (owned->left_ms > 0);
    return tries;
}

/* The shortest client.ttl that may be: nothing is tried again too late to save the key. */
static void test_renewals_that_fail_are_tried_again_within_a_quarter_of_what_is_left(void **state)
{
    struct world *world = *state;
    struct partition *partition = first_partition(&world->fronts[0]);
    struct client client;
    uint64_t before, after;
    client_connect(&client, &world->fronts[0]);
    client_open(world, &client, "a");
    WAIT_UNTIL(world, !partition->sweep.is_under_way);
    loop_timer_stop(partition->sweep.timer);
    world->fronts[0].map->running.client_ttl = 1000;
    const struct owned *owned = owned_find(partition, bytes_from_string(client.id));
    do {
        configure(world, take_writes);
        WAIT_UNTIL(world, partition->renewals.ttl == 1000 && owned->phase == OWNED_CONFIRMED &&
                              owned->left_ms == 500 && ttl_of(world, client.id) > 500);
        configure(world, refuse_writes);
    } while (tries_that_could_save_it(world, owned) == 0);
    /* It has ended, or is about to: nothing is left to be saved by haste. */
    WAIT_UNTIL(world, next_try_comes(world, owned, &before, &after) && owned->left_ms == 0 &&
                          owned->due_ms > before + 40);
    assert_true(owned->due_ms <= after + 250);
    configure(world, take_writes);
    map_session_end(&client.session, true);
}

static void test_an_active_client_stays_for_a_day(void **state)
{
    struct world *world = *state;
    struct client client;
    client_connect(&client, &world->fronts[0]);
    client_open(world, &client, "a");
    for (unsigned hour = 0; hour < 24; hour++) {
        loop_skip(world->loop, 3600000);
        loop_iterate(world->loop, 20);
        WAIT_UNTIL(world, map_is_ready(world->fronts[0].map, NULL));
    }
    assert_false(client.ended);
    assert_int_equal(client_update(world, &client, client.id, 1, "b"), MAP_OK);
    map_session_end(&client.session, true);
}

static void test_a_write_gets_an_error_at_the_deadline_and_is_kept(void **state)
{
    struct world *world = *state;
    struct client client;
    client_connect(&client, &world->fronts[0]);
    client_open(world, &client, "a");
    front_set(&world->fronts[0], "redis.deadline=60s");
    kill(redis_embedded_pid(world->server), SIGSTOP);
    client_send_update(&client, client.id, MAP_VERSION_ABSOLUTE, 9, "kept");
    unsigned answers = client.answers;
    loop_iterate(world->loop, 0);
    loop_iterate(world->loop, 0);
    assert_int_equal(client.answers, answers);
    loop_skip(world->loop, 60100);
    WAIT_UNTIL(world, client.answers > answers);
    assert_int_equal(client.result, MAP_DEADLINE);
    kill(redis_embedded_pid(world->server), SIGCONT);
    char key[300];
    snprintf(key, sizeof key, "tracker:{main/1/0}:client:%s", client.id);
    WAIT_UNTIL(world, world->link_up);
    WAIT_UNTIL(world, !strcmp(WORLD_REDIS(world, "HGET", key, "state"), "kept"));
    map_session_end(&client.session, true);
}

/* A client with that many entries, each confirmed. Their ids are not those of another count: these
 * may wait for their clients still. */
static void connect_with_entries(struct world *world, struct client *client, const char *prefix,
                                 unsigned count)
{
    world->fronts[0].map->running.client_max_ids = 100000;
    client_connect(client, &world->fronts[0]);
    for (unsigned i = 0; i < count; i++) {
        char id[32];
        snprintf(id, sizeof id, "%s%u-%u", prefix, count, i);
        client_send_update(client, id, MAP_VERSION_ABSOLUTE, 1, "one");
        if (i % 500 == 499 || i + 1 == count) {
            WAIT_UNTIL(world, client->answers == i + 1);
            assert_int_equal(client->result, MAP_OK);
        }
    }
}

/* Each list is in the order in which its entries are due, though each was only appended. */
static void expect_lists_in_order(struct partition *partition, unsigned count)
{
    unsigned found = 0;
    for (size_t i = 0; i < RENEWAL_LISTS; i++) {
        const struct list *all = &partition->renewals.lists[i];
        uint64_t due_ms = 0;
        for (const struct list *link = all->next; link != all; link = link->next) {
            struct owned *owned = list_entry(link, struct owned, link);
            assert_true(owned->due_ms >= due_ms);
            due_ms = owned->due_ms;
            found++;
        }
    }
    assert_int_equal(found, count);
}

/* The time passes, and that many are renewed: in all, and a little beside, visits find them. */
static void expect_renewals(struct world *world, uint64_t skip_ms, unsigned due)
{
    struct partition *partition = first_partition(&world->fronts[0]);
    uint64_t visits = partition->renewals.visits;
    int64_t commands = metrics_get(METRIC_REDIS_COMMANDS);
    loop_skip(world->loop, skip_ms);
    WAIT_UNTIL(world, partition->renewals.visits >= visits + due);
    uint64_t answered = map_contact(world->fronts[0].map).answered_ms;
    WAIT_UNTIL(world, map_contact(world->fronts[0].map).answered_ms > answered);
    /* Each look finds one in each list that is not due yet. */
    assert_true(partition->renewals.visits - visits <= due + 400);
    commands = metrics_get(METRIC_REDIS_COMMANDS) - commands;
    assert_true(commands >= due && commands <= due + 400);
}

/* Twice as many entries cost twice as many visits and commands, and those of clients that have
 * little time left, which are due sooner, cost none to the others. */
static void test_renewals_of_twice_as_many_cost_twice_as_much(void **state)
{
    struct world *world = *state;
    struct partition *partition = first_partition(&world->fronts[0]);
    for (unsigned count = 1000; count <= 4000; count *= 2) {
        struct client active, quiet;
        connect_with_entries(world, &active, "a", count / 2);
        connect_with_entries(world, &quiet, "q", count / 2);
        quiet.idle_ms = TTL * 7 / 8;
        expect_renewals(world, TTL / 2 + 500, count);
        expect_lists_in_order(partition, count);
        expect_renewals(world, TTL / 8, count / 2);
        expect_lists_in_order(partition, count);
        map_session_end(&active.session, true);
        map_session_end(&quiet.session, true);
        WAIT_UNTIL(world, !partition->owned);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_the_ttl_is_renewed_at_half_time),
        TEST(test_the_ttl_shows_how_long_a_silent_client_has_left),
        TEST(test_the_key_of_a_client_that_only_answers_pings_never_ends),
        TEST(test_another_ttl_is_that_of_all_at_once),
        TEST(test_a_jump_of_redis_clock_renews_all_keys_at_once),
        TEST(test_the_end_of_a_hold_is_swept_at_once),
        TEST(test_a_renewal_that_redis_refused_is_tried_again_in_time),
        TEST(test_renewals_that_fail_are_tried_again_within_a_quarter_of_what_is_left),
        TEST(test_renewals_of_twice_as_many_cost_twice_as_much),
        TEST(test_an_active_client_stays_for_a_day),
        TEST(test_a_write_gets_an_error_at_the_deadline_and_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
