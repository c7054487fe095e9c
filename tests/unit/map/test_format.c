/* format: what is stored by newer releases, and what they send. */
#include "map/fixture.h"

#include "metrics/metrics.h"

#define HEAD   "tracker:{main/1/0}:head"
#define EVENTS "tracker:{main/1/0}:events"

static int setup_none(void **state)
{
    *state = world_create();
    return 0;
}

static int setup_one(void **state)
{
    *state = world_with_fronts(1);
    return 0;
}

static int teardown(void **state)
{
    world_destroy(*state);
    return 0;
}

static struct front *start(struct world *world)
{
    struct front *front = &world->fronts[world->count++];
    front_prepare(world, front);
    front_set(front, "map.lease=900ms");
    front_set(front, "map.sweep=200ms");
    front_start(world, front);
    return front;
}

static const char *stored(struct world *world, const char *field)
{
    return WORLD_REDIS(world, "HGET", HEAD, field);
}

static void test_the_first_front_end_says_what_it_stores(void **state)
{
    struct world *world = *state;
    start(world);
    assert_string_equal(stored(world, "format"), "1");
    assert_string_equal(stored(world, "reader"), "1");
    assert_string_equal(stored(world, "release"), "0.1.0");
}

/* Stored before there were formats. */
static void test_what_has_no_format_has_the_first(void **state)
{
    struct world *world = *state;
    WORLD_REDIS(world, "HSET", HEAD, "epoch", "0123456789abcdef", "run", "x");
    struct front *front = start(world);
    assert_true(front->serving);
    assert_string_equal(stored(world, "format"), "1");
}

static void test_a_newer_format_for_our_reader_is_accepted_and_left(void **state)
{
    struct world *world = *state;
    WORLD_REDIS(world, "HSET", HEAD, "format", "2", "reader", "1");
    struct front *front = start(world);
    assert_true(front->serving);
    assert_string_equal(stored(world, "format"), "2");
}

static void refused_at_start(struct world *world, const char *field, const char *value)
{
    WORLD_REDIS(world, "HSET", HEAD, "format", "3", "reader", "1");
    WORLD_REDIS(world, "HSET", HEAD, "release", "0.4.0", field, value);
    struct front *front = start(world);
    assert_false(front->serving);
    assert_non_null(strstr(front->fatal, "0.4.0"));
    assert_string_equal(stored(world, "epoch"), ""); /* nothing was written */
}

static void test_a_format_for_a_newer_reader_is_fatal_at_start(void **state)
{
    refused_at_start(*state, "reader", "2");
}

static void test_a_reader_that_is_no_number_is_fatal_at_start(void **state)
{
    refused_at_start(*state, "reader", "two");
}

static void test_a_format_before_the_oldest_is_fatal_at_start(void **state)
{
    refused_at_start(*state, "format", "0");
}

static void test_a_format_raised_later_is_waited_out(void **state)
{
    struct world *world = *state;
    struct map *map = world->fronts[0].map;
    const char *why = NULL;
    log_configure(LOG_ERROR + 1, LOG_FORMAT_LOGFMT);
    WAIT_UNTIL(world, map_is_ready(map, NULL));
    WORLD_REDIS(world, "HSET", HEAD, "format", "2", "reader", "2");
    WAIT_UNTIL(world, !map_is_ready(map, &why));
    assert_non_null(strstr(why, "format"));
    assert_string_equal(world->fronts[0].fatal, "");
    WORLD_REDIS(world, "HSET", HEAD, "reader", "1");
    WAIT_UNTIL(world, map_is_ready(map, NULL));
}

/* As a newer front-end's: of the present epoch, and with the next revisions. */
static void test_events_of_unknown_formats_cause_no_snapshot(void **state)
{
    struct world *world = *state;
    struct observer observer;
    struct client client;
    int64_t unknown = metrics_get(METRIC_UNKNOWN_FORMAT_EVENTS);
    log_configure(LOG_ERROR + 1, LOG_FORMAT_LOGFMT);
    observer_watch(world, &observer, &world->fronts[0]);
    client_connect(&client, &world->fronts[0]);
    assert_int_equal(client_open(world, &client, "one"), MAP_OK);
    WAIT_UNTIL(world, observer_shows(&observer, client.id, "one"));
    int64_t snapshots = metrics_get(METRIC_SNAPSHOTS);
    char *epoch = mem_strdup(stored(world, "epoch"));
    for (int i = 0; i < 200; i++) {
        char *message = mem_format("%d %s %d 1\nwhat %d has", 2 + i % 2, epoch, 2 + i, i);
        WORLD_REDIS(world, "PUBLISH", EVENTS, message);
        free(message);
    }
    assert_int_equal(client_update(world, &client, client.id, 1, "two"), MAP_OK);
    WAIT_UNTIL(world, observer_shows(&observer, client.id, "two"));
    assert_int_equal(metrics_get(METRIC_UNKNOWN_FORMAT_EVENTS) - unknown, 200);
    assert_int_equal(metrics_get(METRIC_SNAPSHOTS), snapshots);
    free(epoch);
    map_session_end(&client.session, false);
    map_unwatch(&observer.watcher);
}

int main(void)
{
#define ALONE(test) cmocka_unit_test_setup_teardown(test, setup_none, teardown)
#define ONE(test)   cmocka_unit_test_setup_teardown(test, setup_one, teardown)
    const struct CMUnitTest tests[] = {
        ALONE(test_the_first_front_end_says_what_it_stores),
        ALONE(test_what_has_no_format_has_the_first),
        ALONE(test_a_newer_format_for_our_reader_is_accepted_and_left),
        ALONE(test_a_format_for_a_newer_reader_is_fatal_at_start),
        ALONE(test_a_reader_that_is_no_number_is_fatal_at_start),
        ALONE(test_a_format_before_the_oldest_is_fatal_at_start),
        ONE(test_a_format_raised_later_is_waited_out),
        ONE(test_events_of_unknown_formats_cause_no_snapshot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
