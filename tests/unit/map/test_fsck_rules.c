/*
 * The rules of fsck on a real Redis: each way to spoil a map is found by its rule and by no other,
 * is told and mended, and is clean then.
 */
#include "map/fsck_fixture.h"

#include "map/event.h"

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
    {"a registration that is not timed",
     {"HSET " P "client:three node '' version 1 session " FENCE,
      "HSET " P "client:three registered 9-3-1", "PEXPIRE " P "client:three 30000"},
     FSCK_NO_DEADLINE,
     "three",
     NULL,
     NULL,
     {{"ZCARD " P "registered", "1"}, {"HGET " P "head entries", "3"}}},
    {"a timed registration that does not exist",
     {"ZADD " P "registered 9999999999999 three", "HSET " P "head entries 3"},
     FSCK_NO_ENTRY,
     "three",
     NULL,
     "close",
     {{"ZCARD " P "registered", "0"}, {"HGET " P "head entries", "2"}}},
    {"an owned entry that is timed as a registration",
     {"ZADD " P "registered 9999999999999 one", "HSET " P "head entries 3"},
     FSCK_UNDUE,
     "one",
     NULL,
     NULL,
     {{"ZCARD " P "registered", "0"}, {"HGET " P "head entries", "2"}}},
    {"a registration with an orphan's deadline",
     {"HSET " P "client:two registered 9-3-1", "ZADD " P "registered 9999999999999 two",
      "HSET " P "head entries 3"},
     FSCK_UNDUE,
     "two",
     NULL,
     NULL,
     {{"ZCARD " P "registered", "1"},
      {"ZSCORE " P "deadlines c:two", "(nil)"},
      {"HGET " P "head entries", "2"}}},
    {"a registration that is spoilt",
     {"HSET " P "client:two registered 9-3-1", "ZREM " P "deadlines c:two",
      "ZADD " P "registered 9999999999999 two", "HDEL " P "client:two version"},
     FSCK_VERSION,
     "two",
     NULL,
     "adopt",
     {{"ZCARD " P "registered", "0"}, {"HEXISTS " P "client:two registered", "0"}}},
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

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(test_each_rule)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
