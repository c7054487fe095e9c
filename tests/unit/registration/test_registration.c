/*
 * registry: entries without a connection: what registering, probing and losses do in Redis, and
 * what front-ends receive of them.
 */
#include "map/fields_fixture.h"

#include "registration/registration.h"

#define ID "192.0.2.7:27960"

struct asked {
    struct registration_prober prober;
    unsigned count, last;
    unsigned numbers[64]; /* of all */
    char id[64];
};

static struct asked askers[3];

static void on_probe(struct registration_prober *prober, struct bytes id, unsigned probe)
{
    struct asked *asked = (struct asked *)prober;
    assert_true(asked->count < sizeof asked->numbers / sizeof *asked->numbers);
    asked->numbers[asked->count++] = probe;
    asked->last = probe;
    snprintf(asked->id, sizeof asked->id, "%.*s", (int)id.len, (const char *)id.data);
}

static void start_asking(struct front *front, struct asked *asked)
{
    memset(asked, 0, sizeof *asked);
    asked->prober.probe = on_probe;
    registration_add_prober(map_space_find(front->map, ""), &asked->prober);
}

static int setup_two(void **state)
{
    memset(askers, 0, sizeof askers);
    *state = world_with_fronts(2);
    return 0;
}

static int teardown(void **state)
{
    for (size_t i = 0; i < 3; i++) {
        if (askers[i].prober.space) {
            registration_remove_prober(&askers[i].prober);
        }
    }
    world_destroy(*state);
    return 0;
}

/* What one answer said. */
struct answer {
    unsigned count;
    enum map_result result;
};

static void on_done(void *arg, enum map_result result, uint64_t version)
{
    struct answer *answer = arg;
    answer->count++;
    answer->result = result;
}

struct times {
    uint64_t ttl;
    unsigned probes;
    uint64_t interval;
};
static const struct times long_times = {900000, 3, 2000};

static enum map_result register_with(struct world *world, struct front *front, const char *id,
                                     const struct map_field *fields, size_t count,
                                     struct times times)
{
    struct answer answer = {0};
    struct registration registration = {.id = bytes_from_string(id),
                                        .protocol = "q3master",
                                        .address = id,
                                        .fields = fields,
                                        .field_count = count,
                                        .ttl = times.ttl,
                                        .probes = times.probes,
                                        .probe_interval = times.interval};
    registration_submit(map_space_find(front->map, ""), &registration, on_done, &answer);
    WAIT_UNTIL(world, answer.count > 0);
    return answer.result;
}

static enum map_result register_map(struct world *world, struct front *front, const char *id,
                                    const char *map, struct times times)
{
    struct map_field fields[] = {field_of("p:mapname", map), field_of("p:clients", "\"0\"")};
    return register_with(world, front, id, fields, 2, times);
}

static enum map_result unregister(struct world *world, struct front *front, const char *id)
{
    struct answer answer = {0};
    registration_remove(map_space_find(front->map, ""), bytes_from_string(id), on_done, &answer);
    WAIT_UNTIL(world, answer.count > 0);
    return answer.result;
}

static enum map_result probe_soon(struct world *world, struct front *front, const char *id)
{
    struct answer answer = {0};
    registration_probe_soon(map_space_find(front->map, ""), bytes_from_string(id), on_done,
                            &answer);
    WAIT_UNTIL(world, answer.count > 0);
    return answer.result;
}

static bool has_entries(struct world *world, const char *count)
{
    return !strcmp(WORLD_REDIS(world, "HGET", KEY("head"), "entries"), count);
}

static bool is_timed(struct world *world, const char *id)
{
    return WORLD_REDIS(world, "ZSCORE", KEY("registered"), id)[0] != 0;
}

static const char *revision(struct world *world)
{
    return WORLD_REDIS(world, "HGET", KEY("head"), "revision");
}

static void test_it_is_shown_everywhere_and_closed(void **state)
{
    struct world *world = *state;
    struct observer observer;
    observer_watch(world, &observer, &world->fronts[1]);
    assert_int_equal(register_map(world, &world->fronts[0], ID, "\"q3dm1\"", long_times), MAP_OK);
    WAIT_UNTIL(world, shows_field(&observer, ID, "p:mapname", "\"q3dm1\""));
    assert_true(shows_field(&observer, ID, "protocol", "q3master"));
    assert_true(shows_field(&observer, ID, "registered", "900000 3 2000"));
    assert_true(shows_field(&observer, ID, "node", ""));
    assert_true(has_entries(world, "1"));
    WORLD_REDIS(world, "PTTL", entry_key(ID));
    assert_true(world->reply_integer > 900000);
    WORLD_REDIS(world, "ZCARD", KEY("deadlines"));
    assert_int_equal(world->reply_integer, 0);
    assert_int_equal(unregister(world, &world->fronts[1], ID), MAP_OK);
    WAIT_UNTIL(world, observer.closed == 1);
    assert_int_equal(unregister(world, &world->fronts[1], ID), MAP_MISSING);
    assert_true(has_entries(world, "0"));
    assert_false(is_timed(world, ID));
    map_unwatch(&observer.watcher);
}

static void test_only_what_changed_is_published(void **state)
{
    struct world *world = *state;
    struct observer observer;
    char before[4096];
    observer_watch(world, &observer, &world->fronts[1]);
    register_map(world, &world->fronts[0], ID, "\"q3dm1\"", long_times);
    WAIT_UNTIL(world, observer.changed == 1);
    snprintf(before, sizeof before, "%s", revision(world));
    assert_int_equal(register_map(world, &world->fronts[1], ID, "\"q3dm1\"", long_times), MAP_OK);
    assert_string_equal(revision(world), before);
    struct map_field fields[] = {field_of("p:mapname", "\"q3dm2\"")};
    assert_int_equal(register_with(world, &world->fronts[1], ID, fields, 1, long_times), MAP_OK);
    WAIT_UNTIL(world, shows_field(&observer, ID, "p:mapname", "\"q3dm2\""));
    assert_true(shows_field(&observer, ID, "p:clients", NULL));
    assert_true(is_stored(world, ID, "version", "1"));
    assert_false(has_stored(world, ID, "p:clients"));
    assert_true(has_entries(world, "1"));
    map_unwatch(&observer.watcher);
}

static void test_each_probe_is_given_once_and_then_it_ends(void **state)
{
    struct world *world = *state;
    struct observer observer;
    observer_watch(world, &observer, &world->fronts[1]);
    start_asking(&world->fronts[0], &askers[0]);
    start_asking(&world->fronts[1], &askers[1]);
    register_map(world, &world->fronts[0], ID, "\"a\"", (struct times){1200, 3, 300});
    WAIT_UNTIL(world, observer.closed == 1);
    assert_int_equal(askers[0].count + askers[1].count, 3);
    assert_int_equal(askers[askers[1].last == 3].last, 3);
    assert_string_equal(askers[askers[1].last == 3].id, ID);
    assert_true(has_entries(world, "0"));
    assert_false(is_timed(world, ID));
    WORLD_REDIS(world, "EXISTS", entry_key(ID));
    assert_int_equal(world->reply_integer, 0);
    map_unwatch(&observer.watcher);
}

static bool was_asked_first_after(const struct asked *asked, unsigned since)
{
    for (unsigned i = since; i < asked->count; i++) {
        if (asked->numbers[i] == 1) {
            return true;
        }
    }
    return false;
}

static void test_an_answer_begins_its_time_anew(void **state)
{
    struct world *world = *state;
    start_asking(&world->fronts[0], &askers[0]);
    register_map(world, &world->fronts[0], ID, "\"a\"", (struct times){1200, 3, 300});
    WAIT_UNTIL(world, askers[0].count >= 2);
    assert_int_equal(askers[0].numbers[0], 1);
    assert_int_equal(askers[0].numbers[1], 2);
    unsigned before = askers[0].count;
    register_map(world, &world->fronts[1], ID, "\"a\"", (struct times){1200, 3, 300});
    /* A last one of before may have been on its way. */
    WAIT_UNTIL(world, was_asked_first_after(&askers[0], before));
}

static void test_one_that_may_be_gone_is_asked_at_once(void **state)
{
    struct world *world = *state;
    start_asking(&world->fronts[0], &askers[0]);
    register_map(world, &world->fronts[0], ID, "\"a\"", (struct times){900000, 2, 300});
    assert_int_equal(probe_soon(world, &world->fronts[1], ID), MAP_OK);
    WAIT_UNTIL(world, askers[0].count == 2);
    WAIT_UNTIL(world, has_entries(world, "0"));
    assert_int_equal(probe_soon(world, &world->fronts[1], ID), MAP_MISSING);
}

/* Nobody here can ask: its time passes all the same. */
static void test_without_probers_it_ends_too(void **state)
{
    struct world *world = *state;
    assert_int_equal(register_map(world, &world->fronts[0], ID, "\"a\"", (struct times){400, 0, 0}),
                     MAP_OK);
    assert_int_equal(
        register_map(world, &world->fronts[0], "192.0.2.8:1", "\"a\"", (struct times){400, 1, 100}),
        MAP_OK);
    WAIT_UNTIL(world, has_entries(world, "0"));
}

static void test_connections_come_first(void **state)
{
    struct world *world = *state;
    struct client client, other;
    struct map_field fields[] = {field_of("p:speed", "\"fast\"")};
    struct map_open open = {.id = bytes_from_string(ID), .fields = fields, .field_count = 1};
    struct observer observer;
    observer_watch(world, &observer, &world->fronts[1]);
    register_map(world, &world->fronts[0], ID, "\"a\"", long_times);
    client_connect(&client, &world->fronts[0]);
    assert_int_equal(client_open_fields(world, &client, &open), MAP_OK);
    assert_true(has_entries(world, "1"));
    assert_false(is_timed(world, ID));
    assert_false(has_stored(world, ID, "registered"));
    assert_false(has_stored(world, ID, "p:mapname"));
    WAIT_UNTIL(world, shows_field(&observer, ID, "p:speed", "\"fast\""));
    assert_true(shows_field(&observer, ID, "p:mapname", NULL));
    assert_int_equal(observer.closed, 0);
    assert_int_equal(register_map(world, &world->fronts[1], ID, "\"a\"", long_times), MAP_OWNED);
    assert_int_equal(unregister(world, &world->fronts[1], ID), MAP_MISSING);
    client_connect(&other, &world->fronts[1]);
    assert_int_equal(client_open_fields(world, &other, &open), MAP_OWNED);
    /* It waits for its client's return. */
    world_lengthen_grace(world);
    map_session_end(&client.session, true);
    assert_int_equal(register_map(world, &world->fronts[0], ID, "\"a\"", long_times), MAP_OWNED);
    WORLD_REDIS(world, "ZADD", KEY("deadlines"), "XX", "1", "c:" ID);
    WAIT_UNTIL(world, has_entries(world, "0"));
    assert_int_equal(register_map(world, &world->fronts[0], ID, "\"a\"", long_times), MAP_OK);
    map_session_end(&other.session, false);
    map_unwatch(&observer.watcher);
}

/* A sensor's update must not write what a game server says. */
static void test_updates_do_not_take_it(void **state)
{
    struct world *world = *state;
    struct client client;
    register_map(world, &world->fronts[0], ID, "\"a\"", long_times);
    client_connect(&client, &world->fronts[0]);
    assert_int_equal(client_update(world, &client, ID, 9, "mine"), MAP_OWNED);
    assert_int_equal(client_close(world, &client, ID), MAP_OWNED);
    map_session_end(&client.session, false);
}

static void test_it_outlives_its_front_end(void **state)
{
    struct world *world = *state;
    struct observer observer;
    observer_watch(world, &observer, &world->fronts[1]);
    register_map(world, &world->fronts[0], ID, "\"a\"", long_times);
    WAIT_UNTIL(world, observer.changed == 1);
    front_idle_ms(&world->fronts[0]);
    WAIT_UNTIL(world, WORLD_REDIS(world, "ZCARD", KEY("nodes")) && world->reply_integer == 1);
    assert_true(has_entries(world, "1"));
    assert_true(is_timed(world, ID));
    assert_int_equal(observer.closed, 0);
    map_unwatch(&observer.watcher);
}

static void test_a_view_that_begins_later_has_it(void **state)
{
    struct world *world = *state;
    struct observer observer;
    register_map(world, &world->fronts[0], ID, "\"a\"", long_times);
    observer_watch(world, &observer, &world->fronts[1]);
    assert_true(shows_field(&observer, ID, "p:mapname", "\"a\""));
    map_unwatch(&observer.watcher);
}

static void test_an_emptied_redis_gets_it_back(void **state)
{
    struct world *world = *state;
    struct observer one, two;
    char id[32];
    observer_watch(world, &one, &world->fronts[0]);
    observer_watch(world, &two, &world->fronts[1]);
    for (unsigned i = 0; i < 300; i++) {
        snprintf(id, sizeof id, "192.0.2.7:%u", 1000 + i);
        assert_int_equal(register_map(world, &world->fronts[i % 2], id, "\"a\"", long_times),
                         MAP_OK);
    }
    WAIT_UNTIL(world, map_view_count(one.view) == 300 && map_view_count(two.view) == 300);
    WORLD_REDIS(world, "FLUSHALL");
    WAIT_UNTIL(world, has_entries(world, "300"));
    WORLD_REDIS(world, "ZCARD", KEY("registered"));
    assert_int_equal(world->reply_integer, 300);
    assert_true(is_stored(world, "192.0.2.7:1299", "p:mapname", "\"a\""));
    assert_true(is_stored(world, "192.0.2.7:1299", "registered", "900000 3 2000"));
    assert_int_equal(one.closed + two.closed, 0);
    /* The recovery grace passes, and it is not reported as gone. */
    uint64_t end = clock_monotonic_us() + 1500000;
    WAIT_UNTIL(world, clock_monotonic_us() > end);
    assert_int_equal(map_view_count(one.view), 300);
    assert_true(has_entries(world, "300"));
    map_unwatch(&one.watcher);
    map_unwatch(&two.watcher);
}

/* Its hash is gone, and its time is still counted: the next one comes in its place. */
static void test_a_hash_that_only_its_ttl_ended(void **state)
{
    struct world *world = *state;
    register_map(world, &world->fronts[0], ID, "\"a\"", long_times);
    WORLD_REDIS(world, "DEL", entry_key(ID));
    register_map(world, &world->fronts[0], ID, "\"a\"", long_times);
    assert_true(has_entries(world, "1"));
    WORLD_REDIS(world, "DEL", entry_key(ID));
    assert_int_equal(unregister(world, &world->fronts[0], ID), MAP_OK);
    assert_true(has_entries(world, "0"));
    register_map(world, &world->fronts[0], ID, "\"a\"", (struct times){300, 0, 0});
    WORLD_REDIS(world, "DEL", entry_key(ID));
    WAIT_UNTIL(world, has_entries(world, "0"));
    assert_false(is_timed(world, ID));
}

static void test_a_time_too_long_is_cut(void **state)
{
    struct world *world = *state;
    register_map(world, &world->fronts[0], ID, "\"a\"", (struct times){99999999999, 0, 0});
    assert_true(is_stored(world, ID, "registered", "3600000 0 0"));
    WORLD_REDIS(world, "ZADD", KEY("registered"), "9999999999999", ID);
    WAIT_UNTIL(world,
               strcmp(WORLD_REDIS(world, "ZSCORE", KEY("registered"), ID), "9999999999999") != 0);
}

static int setup_small(void **state)
{
    memset(askers, 0, sizeof askers);
    struct world *world = world_create();
    struct front *front = &world->fronts[world->count++];
    front_prepare(world, front);
    front_set(front, "map.max_entries=2");
    front_start(world, front);
    *state = world;
    return 0;
}

static void test_a_full_space_refuses(void **state)
{
    struct world *world = *state;
    struct front *front = &world->fronts[0];
    assert_int_equal(register_map(world, front, "a:1", "\"a\"", long_times), MAP_OK);
    assert_int_equal(register_map(world, front, "b:1", "\"a\"", long_times), MAP_OK);
    assert_int_equal(register_map(world, front, "c:1", "\"a\"", long_times), MAP_LIMIT);
    assert_int_equal(register_map(world, front, "b:1", "\"b\"", long_times), MAP_OK);
    assert_true(has_entries(world, "2"));
}

static void test_without_redis_it_is_answered(void **state)
{
    struct world *world = *state;
    front_set(&world->fronts[0], "redis.deadline=300ms");
    kill(redis_embedded_pid(world->server), SIGSTOP);
    assert_int_equal(register_map(world, &world->fronts[0], "a:1", "\"a\"", long_times),
                     MAP_DEADLINE);
    kill(redis_embedded_pid(world->server), SIGCONT);
}

#define TEST(name, setup) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_it_is_shown_everywhere_and_closed, setup_two),
        TEST(test_only_what_changed_is_published, setup_two),
        TEST(test_each_probe_is_given_once_and_then_it_ends, setup_two),
        TEST(test_an_answer_begins_its_time_anew, setup_two),
        TEST(test_one_that_may_be_gone_is_asked_at_once, setup_two),
        TEST(test_without_probers_it_ends_too, setup_two),
        TEST(test_connections_come_first, setup_two),
        TEST(test_updates_do_not_take_it, setup_two),
        TEST(test_it_outlives_its_front_end, setup_two),
        TEST(test_a_view_that_begins_later_has_it, setup_two),
        TEST(test_an_emptied_redis_gets_it_back, setup_two),
        TEST(test_a_hash_that_only_its_ttl_ended, setup_two),
        TEST(test_a_time_too_long_is_cut, setup_two),
        TEST(test_a_full_space_refuses, setup_small),
        TEST(test_without_redis_it_is_answered, setup_small),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
