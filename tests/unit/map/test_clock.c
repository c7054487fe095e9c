/*
 * What the map does as time goes by, on a clock that jumps: renewals of TTLs, silence, deadlines.
 * The settings are the standard ones.
 */
#include "map/fixture.h"

static int setup(void **state)
{
    struct world *world = world_create();
    struct front *front = &world->fronts[world->count++];
    front_prepare(world, front);
    front_start(world, front);
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

static void age(struct world *world, const char *id, const char *ms)
{
    char key[300];
    snprintf(key, sizeof key, "tracker:{main/1/0}:client:%s", id);
    WORLD_REDIS(world, "PEXPIRE", key, ms);
}

static void test_the_ttl_is_renewed_at_half_time(void **state)
{
    struct world *world = *state;
    struct client client;
    client_connect(&client, &world->fronts[0]);
    client_open(world, &client, "a");
    assert_true(ttl_of(world, client.id) > 29000);
    /* Redis's clock does not jump, so its part is done by hand. */
    age(world, client.id, "16000");
    loop_skip(world->loop, 14000);
    loop_turn(world->loop, 0);
    assert_true(ttl_of(world, client.id) <= 16000);
    loop_skip(world->loop, 1500);
    WAIT_UNTIL(world, ttl_of(world, client.id) > 29000);
    map_session_end(&client.session, true);
}

static void test_the_ttl_shows_how_long_a_silent_client_has_left(void **state)
{
    struct world *world = *state;
    struct client client;
    client_connect(&client, &world->fronts[0]);
    client_open(world, &client, "a");
    client.silence = 15000;
    loop_skip(world->loop, 15500);
    /* And a little more: as long as the connection is taken to be there, so is the key. */
    WAIT_UNTIL(world, ttl_of(world, client.id) <= 17000);
    assert_true(ttl_of(world, client.id) > 13000);
    assert_false(client.ended);
    client.silence = 30000;
    loop_skip(world->loop, 15500);
    WAIT_UNTIL(world, client.ended);
    WAIT_UNTIL(world, ttl_of(world, client.id) == -2);
}

/* As one that answers pings and says nothing else: its silence grows from ping to ping. */
static void test_the_key_of_a_client_that_only_answers_pings_never_ends(void **state)
{
    struct world *world = *state;
    struct observer observer;
    struct client client;
    char key[300], since[sizeof world->reply];
    world->fronts[0].map->running.client_ttl = 2000;
    observer_watch(world, &observer, &world->fronts[0]);
    client_connect(&client, &world->fronts[0]);
    client_open(world, &client, "a");
    WAIT_UNTIL(world, observer_shows(&observer, client.id, "a"));
    unsigned changed = observer.changed;
    snprintf(key, sizeof key, "tracker:{main/1/0}:client:%s", client.id);
    strcpy(since, WORLD_REDIS(world, "HGET", key, "since"));
    uint64_t began = clock_monotonic_us() / 1000, now = began;
    while ((now = clock_monotonic_us() / 1000) < began + 8000) {
        client.silence = (now - began) % 1900;
        assert_int_not_equal(ttl_of(world, client.id), -2);
        loop_turn(world->loop, 10);
    }
    assert_false(client.ended);
    assert_string_equal(WORLD_REDIS(world, "HGET", key, "since"), since);
    assert_int_equal(observer.changed, changed);
    assert_int_equal(observer.closed, 0);
    map_session_end(&client.session, true);
    map_unwatch(&observer.watcher);
}

static void test_another_ttl_is_that_of_all_at_once(void **state)
{
    struct world *world = *state;
    struct client client;
    client_connect(&client, &world->fronts[0]);
    client_open(world, &client, "a");
    assert_true(ttl_of(world, client.id) > 29000);
    world->fronts[0].map->running.client_ttl = 6000;
    WAIT_UNTIL(world, ttl_of(world, client.id) <= 6000);
    assert_true(ttl_of(world, client.id) > 0);
    assert_false(client.ended);
    map_session_end(&client.session, true);
}

/* Keys end at a time of Redis's clock. What a jump does to them is done by hand: it shortens what
 * is left, or ends them, and nothing here is due for a long time. */
static void test_a_jump_of_redis_clock_renews_all_keys_at_once(void **state)
{
    struct world *world = *state;
    struct partition *partition = &map_space_find(world->fronts[0].map, "")->partitions[0];
    struct observer observer;
    struct client shortened, ended;
    observer_watch(world, &observer, &world->fronts[0]);
    client_connect(&shortened, &world->fronts[0]);
    client_connect(&ended, &world->fronts[0]);
    client_open(world, &shortened, "a");
    client_open(world, &ended, "b");
    WAIT_UNTIL(world, observer_shows(&observer, ended.id, "b"));
    WAIT_UNTIL(world, partition->renewal_clock_ms == partition->map->clock_offset_ms);
    uint64_t began = loop_now_ms(world->loop);
    age(world, shortened.id, "10000");
    age(world, ended.id, "1");
    partition->renewal_clock_ms -= 20000;
    WAIT_UNTIL(world, ttl_of(world, shortened.id) > 25000);
    WAIT_UNTIL(world, ttl_of(world, ended.id) > 25000);
    assert_true(loop_now_ms(world->loop) - began < 10000);
    assert_int_equal(observer.closed, 0);
    /* What comes late looks like a jump back, which shortens nothing. */
    partition->renewal_clock_ms += 20000;
    age(world, shortened.id, "20000");
    WAIT_UNTIL(world, partition->renewal_clock_ms <= partition->map->clock_offset_ms);
    for (unsigned turns = 0; turns < 20; turns++)
        loop_turn(world->loop, 20);
    assert_true(ttl_of(world, shortened.id) <= 20000);
    map_session_end(&shortened.session, true);
    map_session_end(&ended.session, true);
    map_unwatch(&observer.watcher);
}

/* Not up to a sweep later. */
static void test_the_end_of_a_hold_is_swept_at_once(void **state)
{
    struct world *world = *state;
    struct partition *partition = &map_space_find(world->fronts[0].map, "")->partitions[0];
    char until[24];
    world->fronts[0].map->running.sweep = 20000;
    snprintf(until, sizeof until, "%llu",
             (unsigned long long)map_redis_time_ms(world->fronts[0].map) + 500);
    WORLD_REDIS(world, "HSET", "tracker:{main/1/0}:head", "hold_until", until);
    uint64_t began = clock_monotonic_us() / 1000;
    sweep_run(partition);
    WAIT_UNTIL(world, partition->hold_until == strtoull(until, NULL, 10));
    uint64_t answered = map_contact(world->fronts[0].map).answered_ms;
    WAIT_UNTIL(world, map_contact(world->fronts[0].map).answered_ms > answered);
    assert_true(map_redis_time_ms(world->fronts[0].map) >= partition->hold_until);
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
    loop_timer_stop(map_space_find(world->fronts[0].map, "")->partitions[0].sweep_timer);
    age(world, client.id, "15000");
    configure(world, refuse_writes);
    loop_skip(world->loop, 15500);
    for (unsigned turns = 0; turns < 20; turns++)
        loop_turn(world->loop, 20);
    assert_true(ttl_of(world, client.id) < 15000);
    configure(world, take_writes);
    uint64_t began = loop_now_ms(world->loop);
    loop_skip(world->loop, 3800);
    WAIT_UNTIL(world, ttl_of(world, client.id) > 25000);
    /* Not only when half of a whole TTL has passed. */
    assert_true(loop_now_ms(world->loop) - began < 13000);
    assert_string_equal(WORLD_REDIS(world, "HGET", key, "since"), since);
    map_session_end(&client.session, true);
}

static void test_a_client_that_is_heard_stays_for_a_day(void **state)
{
    struct world *world = *state;
    struct client client;
    client_connect(&client, &world->fronts[0]);
    client_open(world, &client, "a");
    for (unsigned hour = 0; hour < 24; hour++) {
        loop_skip(world->loop, 3600000);
        loop_turn(world->loop, 20);
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
    kill(redis_embedded_pid(world->server), SIGSTOP);
    client_send_update(&client, client.id, MAP_VERSION_ABSOLUTE, 9, "kept");
    unsigned answers = client.answers;
    loop_turn(world->loop, 0);
    loop_turn(world->loop, 0);
    assert_int_equal(client.answers, answers);
    loop_skip(world->loop, 3100);
    WAIT_UNTIL(world, client.answers > answers);
    assert_int_equal(client.result, MAP_DEADLINE);
    kill(redis_embedded_pid(world->server), SIGCONT);
    char key[300];
    snprintf(key, sizeof key, "tracker:{main/1/0}:client:%s", client.id);
    WAIT_UNTIL(world, world->link_up);
    WAIT_UNTIL(world, !strcmp(WORLD_REDIS(world, "HGET", key, "state"), "kept"));
    map_session_end(&client.session, true);
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
        TEST(test_a_client_that_is_heard_stays_for_a_day),
        TEST(test_a_write_gets_an_error_at_the_deadline_and_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
