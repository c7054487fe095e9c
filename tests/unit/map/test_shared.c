/* shared: the settings that front-ends share, as they meet in Redis. */
#include "map/fixture.h"

#include "map/shared_private.h"
#include "metrics/metrics.h"

#define KEY  "tracker:shared"
#define HEAD "tracker:{main/1/0}:head"

static int setup_none(void **state)
{
    *state = world_create();
    return 0;
}

static int teardown(void **state)
{
    world_destroy(*state);
    return 0;
}

/* A front-end with a setting of its own. */
static struct front *start(struct world *world, const char *assignment)
{
    struct front *front = &world->fronts[world->count++];
    front_prepare(world, front);
    front_set(front, "map.lease=900ms");
    front_set(front, "map.sweep=200ms");
    front_set(front, "map.recovery_grace=1s");
    front_set(front, assignment);
    front_start(world, front);
    return front;
}

static const char *stored(struct world *world, const char *field)
{
    return WORLD_REDIS(world, "HGET", KEY, field);
}

static bool is_stored(struct world *world, const char *field, const char *value)
{
    return strcmp(stored(world, field), value) == 0;
}

/* As trackerctl does it. */
static void change(struct world *world, const char *field, const char *value)
{
    WORLD_REDIS(world, "HSET", KEY, field, value);
    WORLD_REDIS(world, "HINCRBY", KEY, ".revision", "1");
}

static void test_the_first_values_are_everybodys(void **state)
{
    struct world *world = *state;
    struct front *one = start(world, "client.grace=2s");
    int64_t differences = metrics_get(METRIC_SHARED_DIFFERENCES);
    log_configure(LOG_ERROR, LOG_FORMAT_LOGFMT);
    struct front *two = start(world, "client.grace=4s");
    assert_string_equal(stored(world, "client.grace"), "2s");
    assert_int_equal(map_settings_of(one->map)->client_grace, 2000);
    assert_int_equal(map_settings_of(two->map)->client_grace, 2000);
    assert_int_equal(metrics_get(METRIC_SHARED_DIFFERENCES) - differences, 1);
}

static void test_two_that_start_at_once_agree(void **state)
{
    struct world *world = *state;
    const char *graces[] = {"client.grace=2s", "client.grace=4s"};
    for (size_t i = 0; i < 2; i++) {
        struct front *front = &world->fronts[world->count++];
        char *error = NULL;
        front_prepare(world, front);
        front_set(front, graces[i]);
        front->map = map_create(world->loop, "test", &front->settings, &front->redis,
                                &front->target, &front_callbacks, front, &error);
        assert_null(error);
    }
    WAIT_UNTIL(world, world->fronts[0].serving && world->fronts[1].serving);
    assert_int_equal(map_settings_of(world->fronts[0].map)->client_grace,
                     map_settings_of(world->fronts[1].map)->client_grace);
    assert_string_equal(stored(world, ".revision"), "1");
}

static void test_limits_stay_ones_own(void **state)
{
    struct world *world = *state;
    start(world, "client.max_ids=20");
    struct front *two = start(world, "client.max_ids=30");
    assert_int_equal(map_settings_of(two->map)->client_max_ids, 30);
    front_set(two, "client.max_ids=40");
    assert_int_equal(map_settings_of(two->map)->client_max_ids, 40);
    assert_string_equal(stored(world, "client.max_ids"), "20");
}

static void test_a_reload_does_not_bring_back_what_was_adopted(void **state)
{
    struct world *world = *state;
    start(world, "client.grace=2s");
    struct front *two = start(world, "client.grace=4s");
    map_settings_changed(two->map);
    assert_int_equal(map_settings_of(two->map)->client_grace, 2000);
}

static void test_a_change_is_adopted_and_heads_have_its_revision(void **state)
{
    struct world *world = *state;
    struct front *one = start(world, "client.grace=2s"), *two = start(world, "client.grace=2s");
    change(world, "client.grace", "3s");
    WAIT_UNTIL(world, map_settings_of(one->map)->client_grace == 3000);
    WAIT_UNTIL(world, map_settings_of(two->map)->client_grace == 3000);
    WAIT_UNTIL(world, !strcmp(WORLD_REDIS(world, "HGET", HEAD, "shared"), "2"));
}

/* That front-end has not looked for changes yet when it sweeps. */
static void test_a_sweep_with_older_settings_is_refused(void **state)
{
    struct world *world = *state;
    struct front *front = start(world, "client.grace=2s");
    WORLD_REDIS(world, "HSET", KEY, "client.grace", "3s", ".revision", "9");
    WORLD_REDIS(world, "HSET", HEAD, "shared", "9");
    WAIT_UNTIL(world, map_settings_of(front->map)->client_grace == 3000);
    assert_int_equal(shared_revision(front->map->shared), 9);
    WAIT_UNTIL(world, map_is_ready(front->map, NULL));
}

/* Whatever has become of the hash, what heads have is reached. */
static void test_a_head_ahead_of_the_hash_is_caught_up_with(void **state)
{
    struct world *world = *state;
    WORLD_REDIS(world, "HSET", HEAD, "shared", "7");
    struct front *front = start(world, "client.grace=2s");
    assert_true(front->serving);
    assert_string_equal(stored(world, ".revision"), "7");
}

static void test_what_ran_is_put_back(void **state)
{
    struct world *world = *state;
    struct front *one = start(world, "client.grace=2s"), *two = start(world, "client.grace=4s");
    change(world, "client.grace", "3s");
    WAIT_UNTIL(world, map_settings_of(one->map)->client_grace == 3000);
    WAIT_UNTIL(world, map_settings_of(two->map)->client_grace == 3000);
    WORLD_REDIS(world, "FLUSHALL");
    WAIT_UNTIL(world, is_stored(world, "client.grace", "3s"));
    /* And so it is where an older one came back. */
    WORLD_REDIS(world, "HSET", KEY, "client.grace", "2s", ".revision", "1");
    WAIT_UNTIL(world, is_stored(world, "client.grace", "3s"));
    assert_int_equal(map_settings_of(one->map)->client_grace, 3000);
    assert_int_equal(map_settings_of(two->map)->client_grace, 3000);
}

/* A field that a newer release has added, and one that it would add. */
static void test_unknown_fields_are_left_and_missing_ones_filled(void **state)
{
    struct world *world = *state;
    start(world, "client.grace=2s");
    WORLD_REDIS(world, "HSET", KEY, "map.unheard_of", "7");
    WORLD_REDIS(world, "HDEL", KEY, "client.ttl");
    struct front *two = start(world, "client.ttl=40s");
    assert_string_equal(stored(world, "client.ttl"), "40s");
    assert_string_equal(stored(world, "map.unheard_of"), "7");
    assert_int_equal(map_settings_of(two->map)->client_ttl, 40000);
    WAIT_UNTIL(world, map_settings_of(world->fronts[0].map)->client_ttl == 40000);
}

static void goes_on_with_what_it_had(struct world *world, const char *field, const char *value)
{
    struct front *front = start(world, "client.grace=2s");
    log_configure(LOG_ERROR + 1, LOG_FORMAT_LOGFMT);
    change(world, field, value);
    WAIT_UNTIL(world, shared_revision(front->map->shared) == 2);
    assert_int_equal(map_settings_of(front->map)->client_grace, 2000);
    assert_int_equal(map_settings_of(front->map)->lease, 900);
    change(world, field, "8s");
    WAIT_UNTIL(world, shared_revision(front->map->shared) == 3);
    WAIT_UNTIL(world, map_is_ready(front->map, NULL));
}

static void test_nonsense_changes_nothing(void **state)
{
    goes_on_with_what_it_had(*state, "client.grace", "soon");
}

static void test_values_that_do_not_fit_together_change_nothing(void **state)
{
    goes_on_with_what_it_had(*state, "client.grace", "50m");
}

static void test_a_value_out_of_bounds_changes_nothing(void **state)
{
    goes_on_with_what_it_had(*state, "map.lease", "1ms");
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, setup_none, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_the_first_values_are_everybodys),
        TEST(test_two_that_start_at_once_agree),
        TEST(test_limits_stay_ones_own),
        TEST(test_a_reload_does_not_bring_back_what_was_adopted),
        TEST(test_a_change_is_adopted_and_heads_have_its_revision),
        TEST(test_a_sweep_with_older_settings_is_refused),
        TEST(test_a_head_ahead_of_the_hash_is_caught_up_with),
        TEST(test_what_ran_is_put_back),
        TEST(test_unknown_fields_are_left_and_missing_ones_filled),
        TEST(test_nonsense_changes_nothing),
        TEST(test_values_that_do_not_fit_together_change_nothing),
        TEST(test_a_value_out_of_bounds_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
