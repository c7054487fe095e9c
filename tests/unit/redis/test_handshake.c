/* What a link says and judges before it is up, against servers configured to refuse. */
#include "redis/redis_fixture.h"

static void setup(struct server *server, struct world *world, const char *const *arguments)
{
    server_start(server, arguments);
    server_grant(server, "~* +get");
    world_create_for(world, server);
}

static void teardown(struct server *server, struct world *world)
{
    world_destroy(world);
    server_stop(server);
}

static void test_password(void **state)
{
    static const char *const arguments[] = {"--requirepass", "geheim", NULL};
    struct server server;
    struct world world;
    struct seen seen = {0};

    server_make_directory(&server);
    server.password = "geheim";
    server_launch(&server, arguments);
    world_create_for(&world, &server);
    world_set(&world, "redis.password=geheim");
    world_link_up(&world);
    redis_command_strings(world.link, seen_record, &seen, "SET", "a", "1", NULL);
    WAIT_FOR(world.loop, seen.called == 1);
    assert_int_equal(seen.status, REDIS_OK);
    teardown(&server, &world);
}

/* Wrong, missing, and then right: the link goes on trying. */
static void test_wrong_password(void **state)
{
    static const char *const arguments[] = {"--requirepass", "richtig", NULL};
    static const char *const wrong[] = {"redis.password=geheim", "redis.password="};
    struct server server;

    server_make_directory(&server);
    server.password = "richtig";
    server_launch(&server, arguments);
    for (size_t i = 0; i < 2; i++) {
        int64_t refused = metrics_get(METRIC_REDIS_REFUSED_NOAUTH);
        struct world world;

        world_create_for(&world, &server);
        world_set(&world, wrong[i]);
        world_link(&world);
        WAIT_FOR(world.loop, metrics_get(METRIC_REDIS_REFUSED_NOAUTH) >= refused + 3);
        assert_int_equal(world.unfits, 1); /* reported once, whatever the number of attempts */
        assert_null(strstr(world.why, "geheim"));
        assert_int_equal(world.ups + world.downs, 0);
        world_set(&world, "redis.password=richtig");
        WAIT_FOR(world.loop, world.ups == 1);
        world_destroy(&world);
    }
    server_stop(&server);
}

static void test_user(void **state)
{
    struct server server;
    struct world world;
    struct seen seen = {0};
    char *url;

    server_start(&server, NULL);
    server_expect(&server, "OK", "ACL SETUSER me on >p:w@1 ~* &* +@all");
    url = mem_format("unix://me:p%%3Aw%%401@%s?db=3", server.socket);
    world_create(&world, url);
    free(url);
    /* What the URL says goes before the settings. */
    world_set(&world, "redis.user=other");
    world_set(&world, "redis.password=other");
    world_link_up(&world);
    redis_command_strings(world.link, seen_record, &seen, "ACL", "WHOAMI", NULL);
    WAIT_FOR(world.loop, seen.called == 1);
    assert_string_equal(seen.text, "me");
    redis_command_strings(world.link, seen_record, &seen, "SET", "in-3", "x", NULL);
    WAIT_FOR(world.loop, seen.called == 2);
    server_expect(&server, "0", "EXISTS in-3");
    server_expect(&server, "1", "EVAL %s 0",
                  "redis.call('SELECT', 3) return redis.call('EXISTS', 'in-3')");
    teardown(&server, &world);
}

static void test_select_refused(void **state)
{
    struct server server;
    struct world world;
    char *url;

    server_start(&server, NULL);
    url = mem_format("unix:%s?db=16", server.socket);
    world_create(&world, url);
    free(url);
    world_link(&world);
    WAIT_FOR(world.loop, world.unfits == 1);
    assert_non_null(strstr(world.why, "SELECT"));
    teardown(&server, &world);
}

/* Each eviction policy is refused but noeviction; when it is set right the link comes up. */
static void test_eviction(void **state)
{
    static const char *const policies[] = {"allkeys-lru",   "allkeys-lfu",  "volatile-lru",
                                           "volatile-lfu",  "volatile-ttl", "volatile-random",
                                           "allkeys-random"};
    struct server server;

    server_start(&server, NULL);
    for (size_t i = 0; i < sizeof policies / sizeof *policies; i++) {
        struct world world;

        world_create_for(&world, &server);
        server_expect(&server, "OK", "CONFIG SET maxmemory-policy %s", policies[i]);
        world_link(&world);
        WAIT_FOR(world.loop, world.unfits == 1);
        assert_non_null(strstr(world.why, policies[i]));
        assert_int_equal(world.ups, 0);
        server_expect(&server, "OK", "CONFIG SET maxmemory-policy noeviction");
        WAIT_FOR(world.loop, world.ups == 1);
        assert_int_equal(world.unfits, 1);
        world_destroy(&world);
    }
    server_stop(&server);
}

/* Hardened by rename-command: it does without the name of the connection. */
static void test_renamed_away(void **state)
{
    static const char *const arguments[] = {"--rename-command", "CLIENT", "", NULL};
    struct server server;
    struct world world;

    setup(&server, &world, arguments);
    world_link_up(&world);
    assert_int_equal(world.unfits, 0);
    assert_int_equal(world.downs, 0);
    teardown(&server, &world);
}

/* INFO memory, CLIENT and PING not permitted: it does without. INFO at all not permitted: unfit,
 * as the run id is needed. */
static void test_not_permitted(void **state)
{
    struct server server;
    struct world world;

    server_start(&server, NULL);
    server_expect(&server, "OK", "ACL SETUSER weak on >pw ~* &* +@all -client -ping");
    world_create_for(&world, &server);
    world_set(&world, "redis.user=weak");
    world_set(&world, "redis.password=pw");
    world_link_up(&world);
    assert_int_equal(world.unfits, 0);
    redis_link_destroy(&world.link);

    server_expect(&server, "OK", "ACL SETUSER weak -info");
    world_link(&world);
    WAIT_FOR(world.loop, world.unfits == 1);
    assert_non_null(strstr(world.why, "INFO"));
    teardown(&server, &world);
}

static void test_maxclients(void **state)
{
    static const char *const arguments[] = {"--maxclients", "1", NULL};
    int64_t refused = metrics_get(METRIC_REDIS_REFUSED_MAXCLIENTS);
    struct server server;
    struct world world;
    redisContext *holder;

    setup(&server, &world, arguments);
    holder = server_connect(&server);
    freeReplyObject(redisCommand(holder, "PING")); /* accepted for certain */
    world_link(&world);
    WAIT_FOR(world.loop, metrics_get(METRIC_REDIS_REFUSED_MAXCLIENTS) >= refused + 3);
    assert_int_equal(world.unfits, 0); /* it will pass */
    assert_int_equal(world.ups, 0);
    redisFree(holder);
    WAIT_FOR(world.loop, world.ups == 1);
    teardown(&server, &world);
}

/* A replica that must not serve stale data, without its master. */
static void test_masterdown(void **state)
{
    static const char *const arguments[] = {
        "--replicaof", "127.0.0.1", "1", "--replica-serve-stale-data", "no", NULL};
    int64_t refused = metrics_get(METRIC_REDIS_REFUSED_MASTERDOWN);
    int64_t connects = metrics_get(METRIC_REDIS_CONNECTS);
    struct server server;
    struct world world;
    char *info;

    setup(&server, &world, arguments);
    world_link(&world);
    WAIT_FOR(world.loop, metrics_get(METRIC_REDIS_REFUSED_MASTERDOWN) >= refused + 3);
    assert_int_equal(world.ups + world.unfits, 0);
    server_expect(&server, "OK", "REPLICAOF NO ONE");
    WAIT_FOR(world.loop, world.ups == 1);
    assert_int_equal(metrics_get(METRIC_REDIS_CONNECTS) - connects, 1);
    info = server_ask(&server, "INFO stats");
    /* The connection was kept meanwhile: the start's, those that asked, and ours. */
    assert_in_range(atoi(strstr(info, "total_connections_received:") + 27), 2, 40);
    free(info);
    teardown(&server, &world);
}

/* A server that is reading its data: the connection waits, and comes up when it is done. */
static void test_loading(void **state)
{
    static const char *const slow[] = {"--key-load-delay", "20000",
                                       "--loading-process-events-interval-bytes", "1024", NULL};
    int64_t refused = metrics_get(METRIC_REDIS_REFUSED_LOADING);
    struct server server;
    struct world world;

    server_start(&server, NULL);
    server_expect(&server, "(nil)", "EVAL %s 0",
                  "for i = 1, 20000 do redis.call('SET', 'key' .. i, string.rep('x', 200)) end");
    server_expect(&server, "OK", "SAVE");
    assert_int_equal(kill(server.pid, SIGKILL), 0);
    assert_int_equal(waitpid(server.pid, NULL, 0), server.pid);
    server_launch(&server, slow);
    world_create_for(&world, &server);
    world_link(&world);
    WAIT_FOR(world.loop, metrics_get(METRIC_REDIS_REFUSED_LOADING) >= refused + 3);
    assert_int_equal(world.ups + world.unfits, 0);
    server_expect(&server, "OK", "CONFIG SET key-load-delay 0");
    WAIT_FOR(world.loop, world.ups == 1);
    server_expect(&server, "20000", "DBSIZE");
    teardown(&server, &world);
}

/* A script that does not end: BUSY at the handshake and for commands. */
static void test_busy(void **state)
{
    static const char *const arguments[] = {"--busy-reply-threshold", "10", NULL};
    int64_t refused = metrics_get(METRIC_REDIS_REFUSED_BUSY);
    struct server server;
    struct world world;
    struct seen seen = {0};
    redisContext *runner;

    setup(&server, &world, arguments);
    world_link_up(&world);
    redis_command_strings(world.link, seen_record, &seen, "GET", "a", NULL);
    WAIT_FOR(world.loop, seen.called == 1);
    runner = server_connect(&server);
    assert_int_equal(redisAppendCommand(runner, "EVAL %s 0", "while true do end"), 0);
    {
        int done = 0;

        while (done == 0) {
            assert_int_equal(redisBufferWrite(runner, &done), 0);
        }
    }
    while (seen.status != REDIS_REFUSED) {
        unsigned called = seen.called;

        redis_command_strings(world.link, seen_record, &seen, "GET", "a", NULL);
        WAIT_FOR(world.loop, seen.called > called);
    }
    assert_int_equal(seen.refusal, REDIS_REFUSAL_BUSY);
    redis_link_reset(world.link, "a test");
    WAIT_FOR(world.loop, metrics_get(METRIC_REDIS_REFUSED_BUSY) >= refused + 4);
    assert_int_equal(world.ups, 1);
    server_expect(&server, "OK", "SCRIPT KILL");
    WAIT_FOR(world.loop, world.ups == 2);
    redisFree(runner);
    teardown(&server, &world);
}

/* Refusals of writes, plain and from inside a script, each distinguished. */

static void expect_refusal(struct world *world, enum redis_refusal refusal)
{
    struct redis_script set = {.name = "set", .source = "return redis.call('SET', KEYS[1], '1')"};
    struct bytes args[] = {BYTES_LITERAL("key")};
    struct seen plain = {0}, scripted = {0};

    redis_command_strings(world->link, seen_record, &plain, "SET", "key", "1", NULL);
    redis_eval(world->link, &set, seen_record, &scripted, 1, 1, args);
    WAIT_FOR(world->loop, plain.called == 1 && scripted.called == 1);
    assert_int_equal(plain.status, REDIS_REFUSED);
    assert_int_equal(plain.refusal, refusal);
    assert_int_equal(scripted.status, REDIS_REFUSED);
    if (scripted.refusal != refusal) {
        fail_msg("in a script: %s", scripted.text);
    }
    assert_true(redis_link_is_up(world->link));
}

static void test_readonly(void **state)
{
    static const char *const arguments[] = {"--replicaof", "127.0.0.1", "1", NULL};
    struct server server;
    struct world world;

    setup(&server, &world, arguments);
    world_link_up(&world);
    expect_refusal(&world, REDIS_REFUSAL_READONLY);
    teardown(&server, &world);
}

static void test_oom(void **state)
{
    struct server server;
    struct world world;

    setup(&server, &world, NULL);
    world_link_up(&world);
    server_expect(&server, "OK", "CONFIG SET maxmemory 1");
    expect_refusal(&world, REDIS_REFUSAL_OOM);
    teardown(&server, &world);
}

static void test_noperm(void **state)
{
    struct server server;
    struct world world;

    setup(&server, &world, NULL);
    server_expect(&server, "OK", "ACL SETUSER weak on >pw ~* &* +@all -set");
    world_set(&world, "redis.user=weak");
    world_set(&world, "redis.password=pw");
    world_link_up(&world);
    expect_refusal(&world, REDIS_REFUSAL_NOPERM);
    teardown(&server, &world);
}

/* A snapshot that failed makes Redis refuse writes: its directory is gone. */
static void test_misconf(void **state)
{
    static const char *const arguments[] = {"--enable-protected-configs", "yes", NULL};
    struct server server;
    struct world world;
    char directory[96];

    setup(&server, &world, arguments);
    (void)snprintf(directory, sizeof directory, "%s/data", server.directory);
    assert_int_equal(mkdir(directory, 0700), 0);
    server_expect(&server, "OK", "CONFIG SET dir %s", directory);
    server_expect(&server, "OK", "CONFIG SET save %s", "100000 1");
    assert_int_equal(rmdir(directory), 0);
    server_expect(&server, "Background saving started", "BGSAVE");
    for (;;) {
        char *info = server_ask(&server, "INFO persistence");
        bool failed = strstr(info, "rdb_last_bgsave_status:err") != NULL;

        free(info);
        if (failed) {
            break;
        }
        (void)poll(NULL, 0, 5);
    }
    world_link_up(&world);
    expect_refusal(&world, REDIS_REFUSAL_MISCONF);
    teardown(&server, &world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_password),     cmocka_unit_test(test_wrong_password),
        cmocka_unit_test(test_user),         cmocka_unit_test(test_select_refused),
        cmocka_unit_test(test_eviction),     cmocka_unit_test(test_not_permitted),
        cmocka_unit_test(test_renamed_away), cmocka_unit_test(test_maxclients),
        cmocka_unit_test(test_masterdown),   cmocka_unit_test(test_loading),
        cmocka_unit_test(test_busy),         cmocka_unit_test(test_readonly),
        cmocka_unit_test(test_oom),          cmocka_unit_test(test_noperm),
        cmocka_unit_test(test_misconf),
    };

    return cmocka_run_group_tests(tests, fixture_init, NULL);
}
