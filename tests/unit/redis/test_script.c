/* Scripts by hash: loaded when unknown, calls sent again in their order, callbacks once. */
#include "redis/redis_fixture.h"

static struct server server;

/* Appends its argument to a list: the order of execution can be read there. */
static struct redis_script append = {
    .name = "append",
    .source = "return redis.call('RPUSH', KEYS[1], ARGV[1])",
};
static struct redis_script prepend = {
    .name = "prepend",
    .source = "redis.call('RPUSH', KEYS[1], ARGV[1]) return {err = 'ERR wanted'}",
};

static int start(void **state)
{
    fixture_init(state);
    server_start(&server, NULL);
    server_grant(&server, "~* +set +get +flushall");
    return 0;
}

static int stop(void **state)
{
    server_stop(&server);
    return 0;
}

struct calls {
    unsigned made;
    unsigned counts[4];
    unsigned order[256]; /* in which they were answered */
    unsigned answered;
};
struct one_call {
    struct calls *calls;
    unsigned number;
    unsigned called;
};

static void answered(void *arg, enum redis_status status, const struct redis_reply *reply)
{
    struct one_call *call = arg;

    call->called++;
    call->calls->counts[status]++;
    call->calls->order[call->calls->answered++] = call->number;
}

static struct one_call *make_call(struct world *world, struct calls *calls,
                                  struct redis_script *script)
{
    struct one_call *call = mem_zalloc(1, sizeof *call);
    char number[16];
    struct bytes args[] = {BYTES_LITERAL("list"), {(const uint8_t *)number, 0}};

    call->calls = calls;
    call->number = calls->made++;
    args[1].len = (size_t)snprintf(number, sizeof number, "%u", call->number);
    redis_eval(world->link, script, answered, call, 1, 2, args);
    return call;
}

/* The list holds 0..count-1, and the callbacks came in that order. */
static void expect_order(const struct calls *calls, unsigned count)
{
    char expected[1024] = "";
    size_t len = 0;

    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(calls->order[i], i);
        len += (size_t)snprintf(expected + len, sizeof expected - len, "%s%u", i > 0 ? " " : "", i);
    }
    server_expect(&server, expected, "EVAL %s 1 list",
                  "return table.concat(redis.call('LRANGE', KEYS[1], 0, -1), ' ')");
}

static void flush(void)
{
    server_expect(&server, "OK", "SCRIPT FLUSH");
    server_expect(&server, "OK", "FLUSHALL");
}

static void test_hash(void **state)
{
    struct world world;

    world_create_for(&world, &server);
    world_link_up(&world);
    redis_eval(world.link, &append, NULL, NULL, 0, 0, NULL);
    redis_eval(world.link, &prepend, NULL, NULL, 0, 0, NULL);
    world_destroy(&world);
    server_expect(&server, append.sha1, "SCRIPT LOAD %s", append.source);
    server_expect(&server, prepend.sha1, "SCRIPT LOAD %s", prepend.source);
}

static void test_loads_once(void **state)
{
    int64_t loads = metrics_get(METRIC_REDIS_SCRIPT_LOADS);
    struct calls calls = {0};
    struct one_call *made[40];
    struct world world;

    flush();
    world_create_for(&world, &server);
    world_link_up(&world);
    for (unsigned i = 0; i < 40; i++) {
        made[i] = make_call(&world, &calls, i % 3 == 0 ? &prepend : &append);
    }
    WAIT_FOR(world.loop, calls.answered == 40);
    assert_int_equal(calls.counts[REDIS_OK], 26);
    assert_int_equal(calls.counts[REDIS_REFUSED], 14); /* the script's own error */
    assert_int_equal(metrics_get(METRIC_REDIS_SCRIPT_LOADS) - loads, 2);
    expect_order(&calls, 40);
    for (unsigned i = 0; i < 40; i++) {
        assert_int_equal(made[i]->called, 1);
        free(made[i]);
    }
    world_destroy(&world);
}

/* Calls in every phase: before the flush, when it is unknown that the scripts are gone, while they
 * are being loaded (an iteration later), and after. */
static void test_flushed_between(void **state)
{
    struct calls calls = {0};
    struct one_call *made[200];
    struct world world;

    flush();
    world_create_for(&world, &server);
    world_link_up(&world);
    for (unsigned i = 0; i < 200; i++) {
        made[i] = make_call(&world, &calls, i % 2 == 0 ? &prepend : &append);
        if (i % 7 == 0) {
            loop_iterate(world.loop, 0);
        }
        if (i % 31 == 0) {
            server_expect(&server, "OK", "SCRIPT FLUSH");
        }
    }
    WAIT_FOR(world.loop, calls.answered == 200);
    for (unsigned i = 0; i < 200; i++) {
        assert_int_equal(made[i]->called, 1);
        free(made[i]);
    }
    assert_int_equal(calls.counts[REDIS_OK], 100);
    assert_int_equal(calls.counts[REDIS_REFUSED], 100);
    /* No order here: between a flush and its discovery, the other script's calls may still
     * succeed. But each ran exactly once. */
    server_expect(&server, "200", "LLEN list");
    server_expect(
        &server, "200", "EVAL %s 1 list",
        "local seen, n = {}, 0 for _, v in ipairs(redis.call('LRANGE', KEYS[1], 0, -1)) do "
        "if not seen[v] then seen[v] = true n = n + 1 end end return n");
    world_destroy(&world);
}

/* With one script, the order holds through any flush: nothing sent later can succeed before. */
static void test_order_while_loading(void **state)
{
    struct calls calls = {0};
    struct one_call *made[60];
    struct world world;

    flush();
    world_create_for(&world, &server);
    world_link_up(&world);
    for (unsigned i = 0; i < 60; i++) {
        made[i] = make_call(&world, &calls, &append);
        if (i % 5 == 0) {
            loop_iterate(world.loop, 0);
        }
    }
    WAIT_FOR(world.loop, calls.answered == 60);
    expect_order(&calls, 60);
    for (unsigned i = 0; i < 60; i++) {
        free(made[i]);
    }
    world_destroy(&world);
}

/* The connection ends while calls are held and others wait behind: each is lost, once. */
static void test_lost_while_loading(void **state)
{
    int64_t loads = metrics_get(METRIC_REDIS_SCRIPT_LOADS);
    struct calls calls = {0};
    struct one_call *made[30];
    struct world world;

    flush();
    world_create_for(&world, &server);
    world_link_up(&world);
    for (unsigned i = 0; i < 10; i++) {
        made[i] = make_call(&world, &calls, i % 2 == 0 ? &append : &prepend);
    }
    /* Until NOSCRIPT has come and SCRIPT LOAD was made; its reply cannot have come in this
     * iteration. */
    WAIT_FOR(world.loop, metrics_get(METRIC_REDIS_SCRIPT_LOADS) > loads);
    for (unsigned i = 10; i < 30; i++) {
        made[i] = make_call(&world, &calls, &append);
    }
    redis_link_reset(world.link, "a test");
    assert_int_equal(calls.answered, 30);
    for (unsigned i = 0; i < 30; i++) {
        assert_int_equal(made[i]->called, 1);
        free(made[i]);
    }
    assert_int_equal(calls.counts[REDIS_LOST], 30);
    assert_int_equal(calls.order[0], 0); /* the held, and then those behind */
    assert_int_equal(calls.order[29], 29);
    WAIT_FOR(world.loop, world.ups == 2);
    world_destroy(&world);
}

/* SCRIPT LOAD itself is refused: so are the calls, with its error. */
static void test_load_refused(void **state)
{
    struct seen seen = {0};
    struct world world;
    struct bytes args[] = {BYTES_LITERAL("list"), BYTES_LITERAL("x")};

    flush();
    server_expect(&server, "OK", "ACL SETUSER weak on >pw ~* &* +@all -script|load");
    world_create_for(&world, &server);
    world_set(&world, "redis.user=weak");
    world_set(&world, "redis.password=pw");
    world_link_up(&world);
    redis_eval(world.link, &append, seen_record, &seen, 1, 2, args);
    redis_eval(world.link, &append, seen_record, &seen, 1, 2, args);
    WAIT_FOR(world.loop, seen.called == 2);
    assert_int_equal(seen.status, REDIS_REFUSED);
    assert_int_equal(seen.refusal, REDIS_REFUSAL_NOPERM);
    server_expect(&server, append.sha1, "SCRIPT LOAD %s", append.source);
    redis_eval(world.link, &append, seen_record, &seen, 1, 2, args);
    WAIT_FOR(world.loop, seen.called == 3);
    assert_int_equal(seen.status, REDIS_OK);
    server_expect(&server, "1", "ACL DELUSER weak");
    world_destroy(&world);
}

/* A hash that is not the source's: it could be loaded for ever. */
static void test_wrong_hash(void **state)
{
    struct redis_script wrong = append;
    struct seen seen = {0};
    struct world world;

    flush();
    memset(wrong.sha1, '0', 40);
    world_create_for(&world, &server);
    world_link_up(&world);
    redis_eval(world.link, &wrong, seen_record, &seen, 0, 0, NULL);
    WAIT_FOR(world.loop, seen.called == 1);
    assert_int_equal(seen.status, REDIS_REFUSED);
    assert_int_equal(seen.refusal, REDIS_REFUSAL_OTHER);
    world_destroy(&world);
}

static struct world *resetting;

static void reset_from_call(void *arg, enum redis_status status, const struct redis_reply *reply)
{
    struct seen *seen = arg;

    seen_record(seen, status, reply);
    if (seen->called == 1) {
        redis_link_destroy(&resetting->link);
    }
}

/* The first of the refused calls destroys the link in its callback. */
static void test_destroy_in_refused_load(void **state)
{
    struct seen seen = {0};
    struct world world;
    struct bytes args[] = {BYTES_LITERAL("list"), BYTES_LITERAL("x")};

    flush();
    server_expect(&server, "OK", "ACL SETUSER weak on >pw ~* &* +@all -script|load");
    world_create_for(&world, &server);
    world_set(&world, "redis.user=weak");
    world_set(&world, "redis.password=pw");
    world_link_up(&world);
    resetting = &world;
    for (unsigned i = 0; i < 5; i++) {
        redis_eval(world.link, &append, reset_from_call, &seen, 1, 2, args);
    }
    WAIT_FOR(world.loop, seen.called > 0);
    assert_int_equal(seen.called, 5);
    assert_int_equal(seen.status, REDIS_LOST);
    server_expect(&server, "1", "ACL DELUSER weak");
    world_destroy(&world);
}

static void test_down(void **state)
{
    struct seen seen = {0};
    struct world world;

    world_create_for(&world, &server);
    world_link(&world);
    redis_eval(world.link, &append, seen_record, &seen, 0, 0, NULL);
    assert_int_equal(seen.called, 1);
    assert_int_equal(seen.status, REDIS_DOWN);
    redis_eval(NULL, &append, seen_record, &seen, 0, 0, NULL);
    assert_int_equal(seen.called, 2);
    redis_eval(world.link, &append, NULL, NULL, 0, 0, NULL);
    world_destroy(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hash),
        cmocka_unit_test(test_loads_once),
        cmocka_unit_test(test_flushed_between),
        cmocka_unit_test(test_order_while_loading),
        cmocka_unit_test(test_lost_while_loading),
        cmocka_unit_test(test_load_refused),
        cmocka_unit_test(test_wrong_hash),
        cmocka_unit_test(test_destroy_in_refused_load),
        cmocka_unit_test(test_down),
    };

    return cmocka_run_group_tests(tests, start, stop);
}
