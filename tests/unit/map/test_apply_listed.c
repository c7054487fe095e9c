/*
 * The script that writes, where several indexes list an id whose hash its TTL has ended: as after
 * Redis came back older than a move. What one batch takes out of an index is not there for what
 * follows in the batch.
 */
#include "map/fixture.h"

#include "schema/scripts.h"

#define KEY(kind) "tracker:{main/1/0}:" kind
#define SELF      "aaaaaaaaaaaa"
#define OTHER     "bbbbbbbbbbbb"
#define THIRD     "cccccccccccc"
#define LIMITS    "30000 600 100 600 0 100"
#define SESSION   "0123456789abcdef0123456789abcdef"
/* What every batch begins with, behind the keys: the first one of its link. */
#define BATCH "e", SELF, "1", "0", "1", LIMITS

/* Nobody sweeps: there is no front-end but the test. */
static int setup(void **state)
{
    struct world *world = world_create();
    WORLD_REDIS(world, "HSET", KEY("head"), "epoch", "e", "link:" SELF, "1 0", "entries", "0");
    WORLD_REDIS(world, "ZADD", KEY("nodes"), "9999999999999", SELF, "9999999999999", OTHER);
    *state = world;
    return 0;
}

static int teardown(void **state)
{
    world_destroy(*state);
    return 0;
}

static void list_in(struct world *world, const char *index)
{
    WORLD_REDIS(world, "HSET", index, "x", "");
    WORLD_REDIS(world, "HINCRBY", KEY("head"), "entries", "1");
}

static void expect(struct world *world, const char *expected, const char *lua)
{
    assert_string_equal(WORLD_REDIS(world, "EVAL", lua, "0"), expected);
}

static const char counts[] =
    "local p = 'tracker:{main/1/0}:' "
    "return redis.call('HGET', p .. 'head', 'entries') .. ' stored, listed by ' .. "
    "redis.call('HLEN', p .. 'node:" SELF "') .. ' and ' .. redis.call('HLEN', p .. 'node:" OTHER
    "') .. ' and ' .. redis.call('HLEN', p .. 'node:" THIRD "')";

/* The result of an operation, from 0 on, of the reply. */
static const char *result(struct world *world, unsigned number)
{
    static char line[200];
    const char *at = world->reply;
    if (strncmp(at, "ok ", 3) != 0) {
        fail_msg("%s", at);
    }
    for (unsigned i = 0; i <= number; i++) {
        at = strchr(at, '\n');
        assert_non_null(at);
        at++;
    }
    snprintf(line, sizeof line, "%.*s", (int)strcspn(at, "\n"), at);
    return line;
}

static void test_what_is_opened_after_its_old_listing_went_is_counted(void **state)
{
    struct world *world = *state;
    list_in(world, KEY("node:" SELF));
    list_in(world, KEY("node:" OTHER));
    WORLD_REDIS(world, "EVAL", script_apply, "7", KEY("head"), KEY("nodes"), KEY("deadlines"),
                KEY("node:" SELF), KEY("events"), KEY("client:x"), KEY("client:x"), BATCH, "orphan",
                "", "open", SESSION, "2", "state", "a");
    assert_string_equal(result(world, 0), "missing");
    assert_string_equal(result(world, 1), "ok 0");
    expect(world, "2 stored, listed by 1 and 1 and 0", counts);
}

static void test_what_registers_after_its_old_listing_went_is_counted(void **state)
{
    struct world *world = *state;
    list_in(world, KEY("node:" SELF));
    list_in(world, KEY("node:" OTHER));
    WORLD_REDIS(world, "EVAL", script_apply, "7", KEY("head"), KEY("nodes"), KEY("deadlines"),
                KEY("node:" SELF), KEY("events"), KEY("client:x"), KEY("client:x"), BATCH, "close",
                SESSION, "any", "register", "1000", "0", "4", "p:a", "1", "registered", "1000 0 0");
    assert_string_equal(result(world, 0), "missing");
    assert_string_equal(result(world, 1), "ok");
    expect(world, "2 stored, listed by 0 and 1 and 0", counts);
    assert_string_equal(WORLD_REDIS(world, "ZCARD", KEY("registered")), "");
    assert_int_equal(world->reply_integer, 1);
}

/* Two crashed front-ends list it: its end is published, once. */
static void test_the_end_of_what_two_crashed_front_ends_list_is_published(void **state)
{
    struct world *world = *state;
    list_in(world, KEY("node:" OTHER));
    list_in(world, KEY("node:" THIRD));
    WORLD_REDIS(world, "ZADD", KEY("nodes"), "1", OTHER, "1", THIRD);
    WORLD_REDIS(world, "EVAL", script_apply, "9", KEY("head"), KEY("nodes"), KEY("deadlines"),
                KEY("node:" SELF), KEY("events"), KEY("client:x"), KEY("node:" OTHER),
                KEY("client:x"), KEY("node:" THIRD), BATCH, "orphan_node", OTHER, "orphan_node",
                THIRD);
    assert_string_equal(result(world, 0), "missing");
    assert_int_equal(strncmp(result(world, 1), "ok ended ", 9), 0);
    expect(world, "0 stored, listed by 0 and 0 and 0", counts);
    assert_string_equal(WORLD_REDIS(world, "HGET", KEY("head"), "revision"), "1");
}

static void claim(struct world *world)
{
    WORLD_REDIS(world, "EVAL", script_apply, "6", KEY("head"), KEY("nodes"), KEY("deadlines"),
                KEY("node:" SELF), KEY("events"), KEY("client:x"), BATCH, "claim", SESSION, "=7",
                "any", "2", "state", "a");
}

/* Its TTL has ended, its connection has not: that front-end opens it again. */
static void test_what_a_front_end_that_is_alive_lists_is_not_opened_by_another(void **state)
{
    struct world *world = *state;
    list_in(world, KEY("node:" OTHER));
    claim(world);
    assert_string_equal(result(world, 0), "owned " OTHER " 9999999999999");
    expect(world, "1 stored, listed by 0 and 1 and 0", counts);
}

static void test_what_a_crashed_front_end_lists_is_opened_by_another(void **state)
{
    struct world *world = *state;
    list_in(world, KEY("node:" OTHER));
    WORLD_REDIS(world, "ZADD", KEY("nodes"), "1", OTHER);
    claim(world);
    assert_string_equal(result(world, 0), "ok 7");
    expect(world, "2 stored, listed by 1 and 1 and 0", counts);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_what_is_opened_after_its_old_listing_went_is_counted),
        TEST(test_what_registers_after_its_old_listing_went_is_counted),
        TEST(test_the_end_of_what_two_crashed_front_ends_list_is_published),
        TEST(test_what_a_front_end_that_is_alive_lists_is_not_opened_by_another),
        TEST(test_what_a_crashed_front_end_lists_is_opened_by_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
