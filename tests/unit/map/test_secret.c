/* secret: what front-ends agree on, and how it outlives Redis. */
#include "map/fixture.h"

#include "map/secret.h"

#define KEY "tracker:secret:test"

struct holder {
    struct map_secret *secret;
    uint8_t value[MAP_SECRET_SIZE];
    unsigned changes;
};

static void on_changed(void *arg, const uint8_t value[MAP_SECRET_SIZE])
{
    struct holder *holder = arg;
    memcpy(holder->value, value, MAP_SECRET_SIZE);
    holder->changes++;
}

static void hold(struct holder *holder, struct front *front)
{
    memset(holder, 0, sizeof *holder);
    holder->secret = map_secret_create(front->map, "test", on_changed, holder);
    assert_int_equal(holder->changes, 1); /* there is one from the first moment */
}

static bool is_same(const struct holder *a, const struct holder *b)
{
    return memcmp(a->value, b->value, MAP_SECRET_SIZE) == 0;
}

static int setup_two(void **state)
{
    *state = world_with_fronts(2);
    return 0;
}

static int teardown(void **state)
{
    world_destroy(*state);
    return 0;
}

static void test_front_ends_agree(void **state)
{
    struct world *world = *state;
    struct holder one, two;
    hold(&one, &world->fronts[0]);
    hold(&two, &world->fronts[1]);
    assert_false(is_same(&one, &two));
    WAIT_UNTIL(world, is_same(&one, &two));
    assert_int_equal(strlen(WORLD_REDIS(world, "GET", KEY)), 2 * MAP_SECRET_SIZE);
    assert_int_equal(one.changes + two.changes, 3); /* one of them has given up its own */
    map_secret_destroy(&one.secret);
    map_secret_destroy(&two.secret);
}

static void test_an_emptied_redis_gets_it_back(void **state)
{
    struct world *world = *state;
    struct holder one, two;
    char before[4096];
    hold(&one, &world->fronts[0]);
    hold(&two, &world->fronts[1]);
    WAIT_UNTIL(world, is_same(&one, &two));
    snprintf(before, sizeof before, "%s", WORLD_REDIS(world, "GET", KEY));
    WORLD_REDIS(world, "FLUSHALL");
    WAIT_UNTIL(world, strcmp(WORLD_REDIS(world, "GET", KEY), before) == 0);
    assert_int_equal(one.changes + two.changes, 3);
    map_secret_destroy(&one.secret);
    map_secret_destroy(&two.secret);
}

/* Somebody else has written there: what was known stays, until there is a good one. */
static void test_what_is_no_secret(void **state)
{
    struct world *world = *state;
    struct holder one;
    uint8_t wanted[MAP_SECRET_SIZE];
    WORLD_REDIS(world, "SET", KEY, "no secret");
    hold(&one, &world->fronts[0]);
    uint64_t end = clock_monotonic_us() + 200000;
    WAIT_UNTIL(world, clock_monotonic_us() > end);
    assert_int_equal(one.changes, 1);
    WORLD_REDIS(world, "SET", KEY,
                "abababababababababababababababababababababababababababababababab");
    WAIT_UNTIL(world, one.changes == 2);
    memset(wanted, 0xab, sizeof wanted);
    assert_memory_equal(one.value, wanted, sizeof wanted);
    map_secret_destroy(&one.secret);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_two, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_front_ends_agree),
        TEST(test_an_emptied_redis_gets_it_back),
        TEST(test_what_is_no_secret),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
