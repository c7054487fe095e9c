/*
 * fsck on a real Redis: a sound partition is clean; each way to spoil it is found by its rule and
 * by no other, is told and mended, and is clean then.
 */
#include "map/fsck.h"

#include "map/event.h"
#include "redis/redis_fixture.h"

#define P     "t:{main/1/0}:"
#define LIVE  "aaaaaaaaaaaa"
#define OTHER "bbbbbbbbbbbb"
#define DEAD  "dddddddddddd"
#define FENCE "0123456789abcdef0123456789abcdef"
#define EPOCH "00000000000000e1"

struct fixture {
    struct server server;
    struct world world;
    struct reader *reader;
};

/* '' stands for an empty argument. */
static void ask(struct fixture *f, const char *command)
{
    const char *empty = strstr(command, "''");
    char *reply;
    if (empty) {
        char *format = mem_format("%.*s%%b%s", (int)(empty - command), command, empty + 2);
        reply = server_ask(&f->server, format, "", (size_t)0);
        free(format);
    } else {
        reply = server_ask(&f->server, command);
    }
    if (!strncmp(reply, "ERR", 3) || !strncmp(reply, "WRONGTYPE", 9))
        fail_msg("%s: %s", command, reply);
    free(reply);
}

/* Two front-ends; "one" is owned by the first, "two" waits for its client. */
static const char *const sound[] = {
    "FLUSHALL",
    "HSET t:spaces main 1",
    "HSET " P "head epoch " EPOCH " revision 10 P 1 last 1 hold_until 0 entries 2",
    "ZADD " P "nodes 9999999999999 " LIVE,
    "ZADD " P "nodes 9999999999998 " OTHER,
    "HSET " P "client:one state s1 version 3 protocol tracker node " LIVE " session " FENCE
    " user u1 p:k v",
    "PEXPIRE " P "client:one 30000",
    "HSET " P "node:" LIVE " one u1",
    "HSET " P "client:two version 0 state s2 node '' session " FENCE,
    "PEXPIRE " P "client:two 30000",
    "ZADD " P "deadlines 9999999999999 c:two",
    "ZADD " P "deadlines 9999999999999 u:u1",
    NULL,
};

static void make_sound(struct fixture *f)
{
    for (const char *const *command = sound; *command; command++)
        ask(f, *command);
}

static int set_up(void **state)
{
    static struct fixture f;
    f = (struct fixture){0};
    fixture_init(state);
    log_configure(LOG_ERROR, LOG_FORMAT_LOGFMT);
    server_start(&f.server, NULL);
    world_create_for(&f.world, &f.server);
    f.reader = reader_create(f.world.loop, &f.world.target, &f.world.settings, PATIENCE_MS);
    assert_true(reader_connect(f.reader));
    make_sound(&f);
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    reader_destroy(&f->reader);
    world_destroy(&f->world);
    server_stop(&f->server);
    return 0;
}

static struct fsck_options options_for(uint32_t partitions)
{
    return (struct fsck_options){.space = {.prefix = "t", .name = "main", .partitions = partitions},
                                 .settle_ms = 1,
                                 .ttl = 30000,
                                 .grace = 5000};
}

static void run(struct fixture *f, const struct fsck_options *options, struct fsck_report *report)
{
    if (!fsck_run(f->reader, options, report))
        fail_msg("fsck failed: %s", reader_error(f->reader));
}

static void expect_clean(struct fixture *f, uint32_t partitions, const char *when)
{
    struct fsck_options options = options_for(partitions);
    struct fsck_report report;
    run(f, &options, &report);
    for (size_t i = 0; i < report.count; i++)
        fail_msg("%s: found %s of %.*s", when, fsck_rule_name(report.findings[i].rule),
                 (int)report.findings[i].id.len, (const char *)report.findings[i].id.data);
    fsck_report_free(&report);
}

static void test_sound(void **state)
{
    struct fixture *f = *state;
    struct fsck_options options = options_for(1);
    struct fsck_report report;
    run(f, &options, &report);
    assert_int_equal(report.count, 0);
    assert_int_equal(report.entries, 2);
    assert_int_equal(report.listed, 1);
    assert_int_equal(report.deadlines, 1);
    assert_int_equal(report.suspects, 0);
    assert_int_equal(report.unattended, 0);
    fsck_report_free(&report);
    ask(f, "FLUSHALL");
    expect_clean(f, 1, "an empty Redis");
}

struct spoilt {
    const char *name;
    const char *spoil[5];
    enum fsck_rule rule;
    const char *id, *node;
    const char *told; /* the event that mending tells, or NULL */
    struct {
        const char *command, *reply;
    } then[4];
};

static const struct spoilt spoilt[] = {
    {"a key of another type",
     {"DEL " P "client:one", "SET " P "client:one x"},
     FSCK_TYPE,
     "one",
     NULL,
     "close",
     {{"EXISTS " P "client:one", "0"},
      {"HEXISTS " P "node:" LIVE " one", "0"},
      {"HGET " P "head entries", "1"}}},
    {"no time to live",
     {"PERSIST " P "client:one"},
     FSCK_TTL,
     "one",
     NULL,
     NULL,
     {{"HGET " P "client:one node", LIVE}}},
    {"a session that is none",
     {"HSET " P "client:one session 0123456789ABCDEF0123456789ABCDEF"},
     FSCK_SESSION,
     "one",
     NULL,
     "adopt",
     {{"HGET " P "client:one node", ""},
      {"HGET " P "client:one state", "s1"},
      {"HEXISTS " P "node:" LIVE " one", "0"}}},
    {"a short session",
     {"HSET " P "client:one session 0123"},
     FSCK_SESSION,
     "one",
     NULL,
     "adopt",
     {{"HSTRLEN " P "client:one session", "32"}}},
    {"no session",
     {"HDEL " P "client:two session"},
     FSCK_SESSION,
     "two",
     NULL,
     "adopt",
     {{"HSTRLEN " P "client:two session", "32"}}},
    {"a version that is none",
     {"HSET " P "client:one version 3x"},
     FSCK_VERSION,
     "one",
     NULL,
     "adopt",
     {{"HGET " P "client:one version", "0"}, {"HGET " P "client:one state", "s1"}}},
    {"a version with a leading zero",
     {"HSET " P "client:one version 03"},
     FSCK_VERSION,
     "one",
     NULL,
     "adopt",
     {{0}}},
    {"a version over 63 bits",
     {"HSET " P "client:one version 9223372036854775808"},
     FSCK_VERSION,
     "one",
     NULL,
     "adopt",
     {{0}}},
    {"an empty version",
     {"HDEL " P "client:one version"},
     FSCK_VERSION,
     "one",
     NULL,
     "adopt",
     {{0}}},
    {"an orphan in an index",
     {"HSET " P "node:" LIVE " two u", "HSET " P "head entries 3"},
     FSCK_LISTED,
     "two",
     LIVE,
     NULL,
     {{"HEXISTS " P "node:" LIVE " two", "0"}, {"ZSCORE " P "deadlines c:two", "9999999999999"}}},
    {"an entry in two indexes",
     {"HSET " P "node:" OTHER " one u", "HSET " P "head entries 3"},
     FSCK_LISTED,
     "one",
     OTHER,
     NULL,
     {{"HEXISTS " P "node:" LIVE " one", "1"}, {"HEXISTS " P "node:" OTHER " one", "0"}}},
    {"an entry that its front-end does not list",
     {"HDEL " P "node:" LIVE " one", "HSET " P "node:" LIVE " three x",
      "HSET " P "client:three node " LIVE " version 1 state a session " FENCE,
      "PEXPIRE " P "client:three 30000", "HSET " P "head entries 2"},
     FSCK_UNLISTED,
     "one",
     LIVE,
     NULL,
     {{"HGET " P "node:" LIVE " one", "u1"},
      {"HGET " P "client:one node", LIVE},
      {"HGET " P "head entries", "3"}}},
    {"a front-end without a lease",
     {"ZREM " P "nodes " LIVE},
     FSCK_ABANDONED,
     "one",
     LIVE,
     "orphan",
     {{"HGET " P "client:one node", ""},
      {"EXISTS " P "node:" LIVE, "0"},
      {"HGET " P "client:one state", "s1"},
      {"HGET " P "head entries", "2"}}},
    {"a front-end whose lease has ended",
     {"ZADD " P "nodes 1000 " LIVE},
     FSCK_ABANDONED,
     "one",
     LIVE,
     "orphan",
     {{"HGET " P "client:one node", ""}, {"ZSCORE " P "deadlines c:one", "6000"}}},
    {"an owned entry with a deadline",
     {"ZADD " P "deadlines 9999999999999 c:one", "HSET " P "head entries 3"},
     FSCK_UNDUE,
     "one",
     NULL,
     NULL,
     {{"ZSCORE " P "deadlines c:one", "(nil)"}, {"HGET " P "head entries", "2"}}},
    {"an orphan without a deadline",
     {"ZREM " P "deadlines c:two", "HSET " P "head entries 1"},
     FSCK_NO_DEADLINE,
     "two",
     NULL,
     "orphan",
     {{"HGET " P "client:two state", "s2"}, {"HGET " P "head entries", "2"}}},
    {"an entry that is gone and listed",
     {"DEL " P "client:one"},
     FSCK_MISSING,
     "one",
     LIVE,
     "close",
     {{"EXISTS " P "node:" LIVE, "0"}, {"HGET " P "head entries", "1"}}},
    {"an entry that is gone and has a deadline",
     {"DEL " P "client:two"},
     FSCK_NO_ENTRY,
     "two",
     NULL,
     "close",
     {{"ZSCORE " P "deadlines c:two", "(nil)"},
      {"ZSCORE " P "deadlines u:u1", "9999999999999"},
      {"HGET " P "head entries", "1"}}},
    {"a wrong count",
     {"HSET " P "head entries 7"},
     FSCK_COUNT,
     "",
     NULL,
     NULL,
     {{"HGET " P "head entries", "2"}, {"HGET " P "head revision", "10"}}},
};

static redisContext *listen_to_events(struct fixture *f)
{
    redisContext *context = server_connect(&f->server);
    redisReply *reply = redisCommand(context, "SUBSCRIBE " P "events");
    assert_non_null(reply);
    freeReplyObject(reply);
    return context;
}

/* -1 when there is no such field. */
static int field_length(struct bytes body, const char *name)
{
    struct bytes field, value;
    while (event_field(&body, &field, &value)) {
        if (bytes_equal(field, bytes_from_string(name)))
            return (int)value.len;
    }
    return -1;
}

/* The one event of the one message, which follows on the stored revision. */
static void expect_told(redisContext *context, const struct spoilt *c)
{
    struct event_message message;
    struct event event;
    redisReply *reply = NULL;
    bool bad;
    assert_int_equal(redisGetReply(context, (void **)&reply), REDIS_OK);
    struct bytes text = {(const uint8_t *)reply->element[2]->str, reply->element[2]->len};
    assert_true(event_message_read(text, &message));
    assert_int_equal(message.epoch, 0xe1);
    assert_int_equal(message.revision, 11);
    assert_int_equal(message.count, 1);
    assert_true(event_next(&message, &event, &bad));
    assert_string_equal(event_op_name(event.op), c->told);
    assert_true(bytes_equal(event.id, bytes_from_string(c->id)));
    if (event.op == EVENT_ADOPT) {
        assert_int_equal(field_length(event.body, "node"), 0);
        assert_int_equal(field_length(event.body, "session"), -1);
        assert_int_equal(field_length(event.body, "state"), 2);
    }
    assert_false(event_next(&message, &event, &bad));
    assert_false(bad);
    freeReplyObject(reply);
}

static void expect_found(const struct fsck_report *report, const struct spoilt *c, bool mended)
{
    bool found = false;
    for (size_t i = 0; i < report->count; i++) {
        const struct fsck_finding *finding = &report->findings[i];
        if (finding->rule == FSCK_COUNT && c->rule != FSCK_COUNT)
            fail_msg("%s: the count is %llu, and %llu are counted", c->name,
                     (unsigned long long)finding->stored, (unsigned long long)finding->counted);
        if (finding->rule != c->rule)
            fail_msg("%s: found %s", c->name, fsck_rule_name(finding->rule));
        assert_true(bytes_equal(finding->id, bytes_from_string(c->id)));
        if (c->node)
            assert_string_equal(finding->node, c->node);
        else
            assert_null(finding->node);
        assert_int_equal(finding->mended, mended);
        found = true;
    }
    if (!found)
        fail_msg("%s: not found", c->name);
    assert_int_equal(report->count, 1);
    assert_int_equal(report->mended, mended);
}

static void test_each_rule(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof spoilt / sizeof *spoilt; i++) {
        const struct spoilt *c = &spoilt[i];
        struct fsck_options options = options_for(1);
        struct fsck_report report;
        make_sound(f);
        expect_clean(f, 1, c->name);
        for (size_t j = 0; j < 5 && c->spoil[j]; j++)
            ask(f, c->spoil[j]);
        redisContext *context = listen_to_events(f);
        run(f, &options, &report);
        expect_found(&report, c, false);
        fsck_report_free(&report);
        /* Looking changes nothing: the same is found again. */
        options.repair = true;
        run(f, &options, &report);
        expect_found(&report, c, true);
        fsck_report_free(&report);
        if (c->told)
            expect_told(context, c);
        redisFree(context);
        server_expect(&f->server, c->told ? "11" : "10", "HGET " P "head revision");
        for (size_t j = 0; j < 4 && c->then[j].command; j++) {
            char *reply = server_ask(&f->server, c->then[j].command);
            if (strcmp(reply, c->then[j].reply) != 0)
                fail_msg("%s: %s says %s", c->name, c->then[j].command, reply);
            free(reply);
        }
        expect_clean(f, 1, c->name);
    }
}

/* One that does not say whose it is stands in no index and has no deadline: so it is not counted
 * either, until it is mended. */
static void test_no_node(void **state)
{
    struct fixture *f = *state;
    struct fsck_options options = options_for(1);
    struct fsck_report report;
    ask(f, "HSET " P "client:three state s version 1 session " FENCE);
    ask(f, "PEXPIRE " P "client:three 30000");
    options.repair = true;
    run(f, &options, &report);
    assert_int_equal(report.count, 1);
    assert_int_equal(report.findings[0].rule, FSCK_NODE);
    assert_true(report.findings[0].mended);
    fsck_report_free(&report);
    server_expect(&f->server, "", "HGET " P "client:three node");
    server_expect(&f->server, "3", "HGET " P "head entries");
    expect_clean(f, 1, "mended");
}

static void test_head(void **state)
{
    struct fixture *f = *state;
    struct fsck_options options = options_for(1);
    struct fsck_report report;
    ask(f, "HDEL " P "head epoch");
    options.repair = true;
    run(f, &options, &report);
    assert_int_equal(report.count, 1);
    assert_int_equal(report.findings[0].rule, FSCK_HEAD);
    assert_false(report.findings[0].mended);
    fsck_report_free(&report);
    ask(f, "HSET " P "head epoch " EPOCH " P 3");
    run(f, &options, &report);
    assert_int_equal(report.count, 1);
    assert_int_equal(report.findings[0].rule, FSCK_PARTITIONS);
    assert_int_equal(report.findings[0].stored, 3);
    assert_int_equal(report.findings[0].counted, 1);
    assert_false(report.findings[0].mended);
    fsck_report_free(&report);
}

/* While nobody is taken for dead, the entries of one without a lease are in order. */
static void test_hold(void **state)
{
    struct fixture *f = *state;
    struct fsck_options options = options_for(1);
    struct fsck_report report;
    ask(f, "ZADD " P "nodes 1000 " LIVE);
    ask(f, "DEL " P "client:two");
    ask(f, "HSET " P "head hold_until 9999999999999");
    run(f, &options, &report);
    assert_int_equal(report.count, 0);
    assert_int_equal(report.holding, 1);
    fsck_report_free(&report);
    ask(f, "HSET " P "head hold_until 1000");
    run(f, &options, &report);
    assert_int_equal(report.count, 2);
    assert_int_equal(report.holding, 0);
    fsck_report_free(&report);
    ask(f, "DEL " P "nodes");
    run(f, &options, &report);
    assert_int_equal(report.unattended, 1);
    fsck_report_free(&report);
}

static void repair_by_hand(void *arg)
{
    struct fixture *f = arg;
    ask(f, "HSET " P "node:" LIVE " one u1");
    ask(f, "HSET " P "head entries 2");
    /* Another thing is wrong now, but has not been so for a sweep. */
    ask(f, "PERSIST " P "client:one");
}

/* What is put right before the second look is no finding. */
static void test_looks_twice(void **state)
{
    struct fixture *f = *state;
    struct fsck_options options = options_for(1);
    struct fsck_report report;
    struct loop_timer *timer = loop_timer_create(f->world.loop, repair_by_hand, f);
    ask(f, "HDEL " P "node:" LIVE " one");
    options.settle_ms = 1000;
    loop_timer_start(timer, 500);
    run(f, &options, &report);
    loop_timer_destroy(&timer);
    assert_int_equal(report.suspects, 2); /* the entry, and the count */
    assert_int_equal(report.count, 0);
    fsck_report_free(&report);
}

static void new_front_end(void *arg)
{
    struct fixture *f = arg;
    ask(f, "ZADD " P "nodes 9999999999999 cccccccccccc");
    ask(f, "HSET " P "client:one node cccccccccccc");
    ask(f, "HDEL " P "node:" LIVE " one");
    ask(f, "HSET " P "node:cccccccccccc one u1");
}

/* A front-end that comes between the two looks, and adopts. */
static void test_front_end_comes(void **state)
{
    struct fixture *f = *state;
    struct fsck_options options = options_for(1);
    struct fsck_report report;
    struct loop_timer *timer = loop_timer_create(f->world.loop, new_front_end, f);
    ask(f, "ZADD " P "nodes 1000 " LIVE);
    options.settle_ms = 1000;
    loop_timer_start(timer, 500);
    run(f, &options, &report);
    loop_timer_destroy(&timer);
    assert_int_equal(report.suspects, 1);
    assert_int_equal(report.count, 0);
    fsck_report_free(&report);
}

/* Ids of any bytes, and partitions. */
static void test_binary_ids_in_partitions(void **state)
{
    static const char script[] =
        "local ids = {'\\0', '\\r\\n', 'a b', '\\255\\254', 'c:x', 'client:y', '', '}:', '*'} "
        "for p = 0, 2 do local k = 't:{main/3/' .. p .. '}:' "
        "redis.call('HSET', k .. 'head', 'epoch', '00000000000000e1', 'revision', '0', 'P', '3', "
        "'entries', tostring(#ids)) "
        "redis.call('ZADD', k .. 'nodes', '9999999999999', 'aaaaaaaaaaaa') "
        "for i, id in ipairs(ids) do local e = k .. 'client:' .. id "
        "redis.call('HSET', e, 'node', i % 2 == 0 and 'aaaaaaaaaaaa' or '', 'version', '1', "
        "'state', '', 'session', '0123456789abcdef0123456789abcdef') "
        "redis.call('PEXPIRE', e, 30000) "
        "if i % 2 == 0 then redis.call('HSET', k .. 'node:aaaaaaaaaaaa', id, '') "
        "else redis.call('ZADD', k .. 'deadlines', '9999999999999', 'c:' .. id) end end end";
    struct fixture *f = *state;
    struct fsck_options options = options_for(3);
    struct fsck_report report;
    ask(f, "FLUSHALL");
    char *reply = server_ask(&f->server, "EVAL %s 0", script);
    assert_string_equal(reply, "(nil)");
    free(reply);
    run(f, &options, &report);
    assert_int_equal(report.count, 0);
    assert_int_equal(report.entries, 27);
    assert_int_equal(report.suspects, 0);
    fsck_report_free(&report);

    reply = server_ask(&f->server, "DEL t:{main/3/1}:client:%b", "\r\n", (size_t)2);
    free(reply);
    reply = server_ask(&f->server, "HSET t:{main/3/2}:client:%b session x", "\0", (size_t)1);
    free(reply);
    options.repair = true;
    run(f, &options, &report);
    assert_int_equal(report.count, 2);
    for (size_t i = 0; i < 2; i++) {
        const struct fsck_finding *finding = &report.findings[i];
        assert_int_equal(finding->partition, i + 1);
        assert_int_equal(finding->rule, i == 0 ? FSCK_MISSING : FSCK_SESSION);
        assert_true(bytes_equal(finding->id, i == 0 ? BYTES_LITERAL("\r\n") : BYTES_LITERAL("\0")));
        assert_true(finding->mended);
    }
    fsck_report_free(&report);
    expect_clean(f, 3, "mended");
}

/* More than one batch, in all passes. */
static void test_many(void **state)
{
    static const char script[] =
        "local k = 't:{main/1/0}:' for i = 1, 1234 do local e = k .. 'client:m' .. i "
        "redis.call('HSET', e, 'node', 'dddddddddddd', 'version', '1', 'state', '', 'session', "
        "'0123456789abcdef0123456789abcdef') redis.call('PEXPIRE', e, 30000) "
        "redis.call('HSET', k .. 'node:dddddddddddd', 'm' .. i, '') end "
        "redis.call('HSET', k .. 'head', 'entries', '1236')";
    struct fixture *f = *state;
    struct fsck_options options = options_for(1);
    struct fsck_report report;
    free(server_ask(&f->server, "EVAL %s 0", script));
    options.repair = true;
    run(f, &options, &report);
    assert_int_equal(report.entries, 1236);
    assert_int_equal(report.count, 1234);
    assert_int_equal(report.mended, 1234);
    for (size_t i = 0; i < report.count; i++)
        assert_int_equal(report.findings[i].rule, FSCK_ABANDONED);
    fsck_report_free(&report);
    server_expect(&f->server, "0", "EXISTS " P "node:" DEAD);
    server_expect(&f->server, "1236", "HGET " P "head entries");
    server_expect(&f->server, "1244", "HGET " P "head revision");
    expect_clean(f, 1, "mended");
}

/* A Redis that goes away ends it with a problem, not with a clean report. */
static void test_redis_goes(void **state)
{
    struct fixture *f = *state;
    struct fsck_options options = options_for(1);
    struct fsck_report report;
    (void)kill(f->server.pid, SIGKILL);
    assert_false(fsck_run(f->reader, &options, &report));
    fsck_report_free(&report);
    assert_int_equal(reader_problem(f->reader), READER_UNREACHABLE);
    assert_true(strlen(reader_error(f->reader)) > 0);
}

/* A nodes key that is no sorted set cannot be judged. */
static void test_unreadable(void **state)
{
    struct fixture *f = *state;
    struct fsck_options options = options_for(1);
    struct fsck_report report;
    ask(f, "DEL " P "nodes");
    ask(f, "SET " P "nodes x");
    assert_false(fsck_run(f->reader, &options, &report));
    fsck_report_free(&report);
    assert_int_equal(reader_problem(f->reader), READER_REFUSED);
}

static void test_rules_have_names(void **state)
{
    for (int i = 0; i < FSCK_RULES; i++) {
        assert_non_null(fsck_rule_name((enum fsck_rule)i));
        assert_non_null(fsck_rule_help((enum fsck_rule)i));
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_sound),
        TEST(test_each_rule),
        TEST(test_no_node),
        TEST(test_head),
        TEST(test_hold),
        TEST(test_looks_twice),
        TEST(test_front_end_comes),
        TEST(test_binary_ids_in_partitions),
        TEST(test_many),
        TEST(test_redis_goes),
        TEST(test_unreadable),
        cmocka_unit_test(test_rules_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
