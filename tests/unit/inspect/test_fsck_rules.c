/*
 * The rules of fsck on a real Redis: each way to spoil a map is found by its rule, and by no other
 * but those that follow from it, is told and mended, and is clean then.
 */
#include "inspect/fsck_fixture.h"

#include "schema/event.h"

struct spoilt {
    const char *name;
    const char *spoil[5];
    enum fsck_rule rule;
    const char *id, *node;
    const char *told; /* the event that mending tells, or NULL */
    struct {
        const char *command, *reply;
    } then[6];
    enum fsck_rule also[3]; /* what else is wrong by that; 0 ends, as FSCK_TYPE is never one */
    const char *presence;   /* what is told of the user u1: "busy" */
    const char *room;       /* what the room is told, behind its epoch */
};

static const struct spoilt spoilt[] = {
    {.name = "a key of another type",
     {"DEL " P "client:one", "SET " P "client:one x"},
     FSCK_TYPE,
     "one",
     NULL,
     "close",
     {{"EXISTS " P "client:one", "0"},
      {"HEXISTS " P "node:" LIVE " one", "0"},
      {"HGET " P "head entries", "1"},
      {"HEXISTS " P "user:u1 one", "0"},
      {"HGET " P "user:u1 .status", "busy"}},
     {FSCK_DEVICE}},
    {.name = "no time to live",
     {"PERSIST " P "client:one"},
     FSCK_TTL,
     "one",
     NULL,
     NULL,
     {{"HGET " P "client:one node", LIVE}}},
    {.name = "a session that is none",
     {"HSET " P "client:one session 0123456789ABCDEF0123456789ABCDEF"},
     FSCK_SESSION,
     "one",
     NULL,
     "adopt",
     {{"HGET " P "client:one node", ""},
      {"HGET " P "client:one state", "s1"},
      {"HEXISTS " P "node:" LIVE " one", "0"},
      {"HEXISTS " P "user:u1 one", "0"}}},
    {.name = "a short session",
     {"HSET " P "client:one session 0123"},
     FSCK_SESSION,
     "one",
     NULL,
     "adopt",
     {{"HSTRLEN " P "client:one session", "32"}}},
    {.name = "no session",
     {"HDEL " P "client:two session"},
     FSCK_SESSION,
     "two",
     NULL,
     "adopt",
     {{"HSTRLEN " P "client:two session", "32"}}},
    {.name = "a version that is none",
     {"HSET " P "client:one version 3x"},
     FSCK_VERSION,
     "one",
     NULL,
     "adopt",
     {{"HGET " P "client:one version", "0"}, {"HGET " P "client:one state", "s1"}}},
    {.name = "a version with a leading zero",
     {"HSET " P "client:one version 03"},
     FSCK_VERSION,
     "one",
     NULL,
     "adopt",
     {{0}}},
    {.name = "a version over 63 bits",
     {"HSET " P "client:one version 9223372036854775808"},
     FSCK_VERSION,
     "one",
     NULL,
     "adopt",
     {{0}}},
    {.name = "an empty version",
     {"HDEL " P "client:one version"},
     FSCK_VERSION,
     "one",
     NULL,
     "adopt",
     {{0}}},
    {.name = "an orphan in an index",
     {"HSET " P "node:" LIVE " two u", "HSET " P "head entries 3"},
     FSCK_LISTED,
     "two",
     LIVE,
     NULL,
     {{"HEXISTS " P "node:" LIVE " two", "0"}, {"ZSCORE " P "deadlines c:two", "9999999999999"}}},
    {.name = "an entry in two indexes",
     {"HSET " P "node:" OTHER " one u", "HSET " P "head entries 3"},
     FSCK_LISTED,
     "one",
     OTHER,
     NULL,
     {{"HEXISTS " P "node:" LIVE " one", "1"}, {"HEXISTS " P "node:" OTHER " one", "0"}}},
    {.name = "an entry that its front-end does not list",
     {"HDEL " P "node:" LIVE " one", "HSET " P "node:" LIVE " three ''",
      "HSET " P "client:three node " LIVE " version 1 state a session " FENCE,
      "PEXPIRE " P "client:three 30000", "HSET " P "head entries 2"},
     FSCK_UNLISTED,
     "one",
     LIVE,
     NULL,
     {{"HGET " P "node:" LIVE " one", "u1"},
      {"HGET " P "client:one node", LIVE},
      {"HGET " P "head entries", "3"}}},
    {.name = "a front-end without a lease",
     {"ZREM " P "nodes " LIVE, "DEL " P "room:r", "DEL " P "members:" LIVE,
      "DEL " P "members:" OTHER},
     FSCK_ABANDONED,
     "one",
     LIVE,
     "orphan",
     {{"HGET " P "client:one node", ""},
      {"EXISTS " P "node:" LIVE, "0"},
      {"HGET " P "client:one state", "s1"},
      {"HGET " P "head entries", "2"},
      {"HLEN " P "user:u1", "2"}}},
    {.name = "a front-end whose lease has ended",
     {"ZADD " P "nodes 1000 " LIVE},
     FSCK_ABANDONED,
     "one",
     LIVE,
     "orphan",
     {{"HGET " P "client:one node", ""},
      {"ZSCORE " P "deadlines c:one", "6000"},
      {"HGET " P "room:r .members", "1"},
      {"EXISTS " P "members:" LIVE, "0"},
      {"HEXISTS " P "room:r u:u1", "0"},
      {"HGET " P "room:r u:u3", "1"}},
     {FSCK_MEMBER_ABANDONED, FSCK_MEMBER_ABANDONED}},
    {.name = "an owned entry with a deadline",
     {"ZADD " P "deadlines 9999999999999 c:one", "HSET " P "head entries 3"},
     FSCK_UNDUE,
     "one",
     NULL,
     NULL,
     {{"ZSCORE " P "deadlines c:one", "(nil)"}, {"HGET " P "head entries", "2"}}},
    {.name = "a registration that is not timed",
     {"HSET " P "client:three node '' version 1 session " FENCE,
      "HSET " P "client:three registered 9-3-1", "PEXPIRE " P "client:three 30000"},
     FSCK_NO_DEADLINE,
     "three",
     NULL,
     NULL,
     {{"ZCARD " P "registered", "1"}, {"HGET " P "head entries", "3"}}},
    {.name = "a timed registration that does not exist",
     {"ZADD " P "registered 9999999999999 three", "HSET " P "head entries 3"},
     FSCK_NO_ENTRY,
     "three",
     NULL,
     "close",
     {{"ZCARD " P "registered", "0"}, {"HGET " P "head entries", "2"}}},
    {.name = "an owned entry that is timed as a registration",
     {"ZADD " P "registered 9999999999999 one", "HSET " P "head entries 3"},
     FSCK_UNDUE,
     "one",
     NULL,
     NULL,
     {{"ZCARD " P "registered", "0"}, {"HGET " P "head entries", "2"}}},
    {.name = "a registration with an orphan's deadline",
     {"HSET " P "client:two registered 9-3-1", "ZADD " P "registered 9999999999999 two",
      "HSET " P "head entries 3"},
     FSCK_UNDUE,
     "two",
     NULL,
     NULL,
     {{"ZCARD " P "registered", "1"},
      {"ZSCORE " P "deadlines c:two", "(nil)"},
      {"HGET " P "head entries", "2"}}},
    {.name = "a registration that is spoilt",
     {"HSET " P "client:two registered 9-3-1", "ZREM " P "deadlines c:two",
      "ZADD " P "registered 9999999999999 two", "HDEL " P "client:two version"},
     FSCK_VERSION,
     "two",
     NULL,
     "adopt",
     {{"ZCARD " P "registered", "0"}, {"HEXISTS " P "client:two registered", "0"}}},
    {.name = "an orphan without a deadline",
     {"ZREM " P "deadlines c:two", "HSET " P "head entries 1"},
     FSCK_NO_DEADLINE,
     "two",
     NULL,
     "orphan",
     {{"HGET " P "client:two state", "s2"}, {"HGET " P "head entries", "2"}}},
    {.name = "an entry that is gone and listed",
     {"DEL " P "client:one"},
     FSCK_MISSING,
     "one",
     LIVE,
     "close",
     {{"EXISTS " P "node:" LIVE, "0"}, {"HGET " P "head entries", "1"}},
     {FSCK_DEVICE}},
    {.name = "an entry that is gone and has a deadline",
     {"DEL " P "client:two"},
     FSCK_NO_ENTRY,
     "two",
     NULL,
     "close",
     {{"ZSCORE " P "deadlines c:two", "(nil)"},
      {"ZSCORE " P "deadlines u:u2", "9999999999999"},
      {"HGET " P "head entries", "1"}}},
    {.name = "a wrong count",
     {"HSET " P "head entries 7"},
     FSCK_COUNT,
     "",
     NULL,
     NULL,
     {{"HGET " P "head entries", "2"}, {"HGET " P "head revision", "10"}}},
    {.name = "an index that names another user",
     {"HSET " P "node:" LIVE " one u2"},
     FSCK_USER,
     "one",
     LIVE,
     NULL,
     {{"HGET " P "node:" LIVE " one", "u1"}, {"ZSCORE " P "deadlines u:u2", "9999999999999"}}},
    {.name = "a device that its user does not have",
     {"HSET " P "client:one status online",
      "HSET " P "client:three node " LIVE " version 1 p:a b session " FENCE " user u1 status busy",
      "PEXPIRE " P "client:three 30000", "HSET " P "node:" LIVE " three u1",
      "HSET " P "head entries 3"},
     FSCK_NO_DEVICE,
     "three",
     NULL,
     NULL,
     {{"HGET " P "user:u1 three", "busy"}, {"HGET " P "user:u1 one", "online"}},
     {FSCK_DEVICE}},
    {.name = "a user of another type",
     {"DEL " P "user:u1", "SET " P "user:u1 x"},
     FSCK_USER_TYPE,
     "u1",
     NULL,
     NULL,
     {{"HGET " P "user:u1 one", "busy"}, {"HGET " P "user:u1 .status", "busy"}},
     {FSCK_NO_DEVICE},
     "busy"},
    {.name = "a user that is gone",
     {"DEL " P "user:u1"},
     FSCK_NO_DEVICE,
     "one",
     NULL,
     NULL,
     {{"HGET " P "user:u1 one", "busy"}, {"HGET " P "user:u1 .status", "busy"}},
     {0},
     "busy"},
    {.name = "a device that is none",
     {"HSET " P "user:u1 ghost online"},
     FSCK_DEVICE,
     "u1",
     NULL,
     NULL,
     {{"HLEN " P "user:u1", "3"}, {"HGET " P "user:u1 .status", "busy"}}},
    {.name = "a device without its connection",
     {"HSET " P "client:two user u2 status busy", "HSET " P "user:u2 two busy .status busy"},
     FSCK_DEVICE,
     "u2",
     NULL,
     NULL,
     {{"HGET " P "user:u2 .status", "busy"}, {"HEXISTS " P "user:u2 two", "0"}}},
    {.name = "a device that is not busy",
     {"HSET " P "client:one status online"},
     FSCK_DEVICE,
     "u1",
     NULL,
     NULL,
     {{"HGET " P "user:u1 one", "online"}, {"HGET " P "user:u1 .status", "online"}},
     {0},
     "online"},
    {.name = "a status that does not follow",
     {"HSET " P "user:u1 .status online"},
     FSCK_STATUS,
     "u1",
     NULL,
     NULL,
     {{"HGET " P "user:u1 .status", "busy"},
      {"HGET " P "user:u1 .seq", "6"},
      {"HGET " P "head seq", "6"}},
     {0},
     "busy"},
    {.name = "no status",
     {"HDEL " P "user:u1 .status"},
     FSCK_STATUS,
     "u1",
     NULL,
     NULL,
     {{"HGET " P "user:u1 .status", "busy"}},
     {0},
     "busy"},
    {.name = "a user with a device and a deadline",
     {"ZADD " P "deadlines 9999999999999 u:u1"},
     FSCK_HOLD,
     "u1",
     NULL,
     NULL,
     {{"ZSCORE " P "deadlines u:u1", "(nil)"}, {"HGET " P "user:u1 .seq", "5"}}},
    {.name = "a user with neither",
     {"ZREM " P "deadlines u:u2"},
     FSCK_HOLD,
     "u2",
     NULL,
     NULL,
     {{"HGET " P "user:u2 .status", "online"}}},
    {.name = "a deadline of nobody",
     {"ZADD " P "deadlines 9999999999999 u:u9"},
     FSCK_HOLD,
     "u9",
     NULL,
     NULL,
     {{"ZSCORE " P "deadlines u:u9", "(nil)"}}},
    {.name = "a user of whom nothing is known",
     {"DEL " P "user:u2", "HSET " P "user:u2 .seq 3", "ZREM " P "deadlines u:u2"},
     FSCK_HOLD,
     "u2",
     NULL,
     NULL,
     {{"EXISTS " P "user:u2", "0"}}},
    {.name = "a room of another type",
     {"DEL " P "room:r", "SET " P "room:r x"},
     FSCK_ROOM_TYPE,
     "r",
     NULL,
     NULL,
     {{"EXISTS " P "room:r", "0"}, {"EXISTS " P "members:" LIVE, "0"}},
     {FSCK_MEMBER_MISSING, FSCK_MEMBER_MISSING, FSCK_MEMBER_MISSING}},
    {.name = "a member of nobody knows whom",
     {"HSET " P "room:r m:x nonsense"},
     FSCK_MEMBER,
     "r",
     NULL,
     NULL,
     {{"HEXISTS " P "room:r m:x", "0"}, {"HGET " P "room:r .members", "3"}}},
    {.name = "a member of the dead",
     {"HSET " P "room:r m:late " DEAD "@3@u1 u:u1 2 .members 4",
      "HSET " P "members:" DEAD " late@r u1"},
     FSCK_MEMBER_ABANDONED,
     "r",
     DEAD,
     NULL,
     {{"HEXISTS " P "room:r m:late", "0"},
      {"HGET " P "room:r u:u1", "1"},
      {"HGET " P "room:r .members", "3"},
      {"EXISTS " P "members:" DEAD, "0"}},
     {0},
     NULL,
     "4 10 leave late 1 u1"},
    {.name = "a member that its front-end does not list",
     {"HDEL " P "members:" LIVE " far@r"},
     FSCK_MEMBER_UNLISTED,
     "r",
     LIVE,
     NULL,
     {{"HGET " P "members:" LIVE " far@r", "u3"}, {"HGET " P "room:r .seq", "9"}}},
    {.name = "a listing of no member",
     {"HSET " P "members:" LIVE " ghost@r u1"},
     FSCK_MEMBER_MISSING,
     "ghost r",
     LIVE,
     NULL,
     {{"HLEN " P "members:" LIVE, "2"}}},
    {.name = "a listing of another's member",
     {"HSET " P "members:" LIVE " farther@r u3"},
     FSCK_MEMBER_MISSING,
     "farther r",
     LIVE,
     NULL,
     {{"HLEN " P "members:" LIVE, "2"}, {"HLEN " P "members:" OTHER, "1"}}},
    {.name = "a listing in no room",
     {"HSET " P "members:" LIVE " one@a@b u1"},
     FSCK_MEMBER_MISSING,
     "one a b",
     LIVE,
     NULL,
     {{"HLEN " P "members:" LIVE, "2"}}},
    {.name = "a wrong number of members",
     {"HSET " P "room:r .members 7"},
     FSCK_ROOM_COUNT,
     "r",
     NULL,
     NULL,
     {{"HGET " P "room:r .members", "3"},
      {"HGET " P "room:r .seq", "10"},
      {"HGET " P "room:r .born", "4"}}},
    {.name = "a wrong number of a user's devices",
     {"HSET " P "room:r u:u3 1"},
     FSCK_ROOM_COUNT,
     "r",
     NULL,
     NULL,
     {{"HGET " P "room:r u:u3", "2"}, {"HGET " P "room:r .seq", "10"}}},
    {.name = "a user without devices in a room",
     {"HSET " P "room:r u:u9 1"},
     FSCK_ROOM_COUNT,
     "r",
     NULL,
     NULL,
     {{"HEXISTS " P "room:r u:u9", "0"}}},
    {.name = "a room without its birth",
     {"HDEL " P "room:r .born"},
     FSCK_ROOM_COUNT,
     "r",
     NULL,
     NULL,
     {{"HGET " P "room:r .born", "5"}, {"HGET " P "head rooms", "5"}}},
    {.name = "an empty room",
     {"HSET " P "room:empty .members 0 .born 3 .seq 8"},
     FSCK_ROOM_COUNT,
     "empty",
     NULL,
     NULL,
     {{"EXISTS " P "room:empty", "0"}}},
};

static redisContext *listen_to(struct fixture *f, const char *channel)
{
    redisContext *context = server_connect(&f->server);
    redisReply *reply = redisCommand(context, "SUBSCRIBE %s", channel);
    assert_non_null(reply);
    freeReplyObject(reply);
    return context;
}

/* A message of a user or a room that is told in this epoch; NULL: none has come yet. */
static void expect_message(redisContext *context, const struct spoilt *c, const char *text)
{
    redisReply *reply = NULL;
    if (text) {
        assert_int_equal(redisGetReply(context, (void **)&reply), REDIS_OK);
        const char *message = reply->element[2]->str;
        size_t len = strlen(message), text_len = strlen(text);
        if (strncmp(message, "1 " EPOCH " ", 3 + sizeof EPOCH - 1) != 0 || len < text_len ||
            strcmp(message + len - text_len, text) != 0)
            fail_msg("%s: told %s", c->name, message);
        freeReplyObject(reply);
    }
    redisFree(context);
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

static bool is_expected(const struct spoilt *c, enum fsck_rule rule, size_t *others)
{
    for (size_t i = 0; i < sizeof c->also / sizeof *c->also && c->also[i]; i++) {
        if (rule == c->also[i] && rule != c->rule) {
            ++*others;
            return true;
        }
    }
    return rule == c->rule;
}

static void expect_found(const struct fsck_report *report, const struct spoilt *c, bool mended)
{
    size_t found = 0, others = 0, wanted = 0;
    while (wanted < sizeof c->also / sizeof *c->also && c->also[wanted])
        wanted++;
    for (size_t i = 0; i < report->count; i++) {
        const struct fsck_finding *finding = &report->findings[i];
        if (finding->rule == FSCK_COUNT && c->rule != FSCK_COUNT)
            fail_msg("%s: the count is %llu, and %llu are counted", c->name,
                     (unsigned long long)finding->stored, (unsigned long long)finding->counted);
        if (!is_expected(c, finding->rule, &others))
            fail_msg("%s: found %s", c->name, fsck_rule_name(finding->rule));
        if (finding->mended != mended)
            fail_msg("%s: %s is %smended", c->name, fsck_rule_name(finding->rule),
                     mended ? "not " : "");
        if (finding->rule != c->rule)
            continue;
        if (!bytes_equal(finding->id, bytes_from_string(c->id)))
            fail_msg("%s: found of %.*s", c->name, (int)finding->id.len,
                     (const char *)finding->id.data);
        if (c->node)
            assert_string_equal(finding->node, c->node);
        else
            assert_null(finding->node);
        found++;
    }
    if (found != 1 || others != wanted)
        fail_msg("%s: found %zu times, and %zu others", c->name, found, others);
    assert_int_equal(report->mended, mended ? report->count : 0);
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
        redisContext *context = listen_to(f, P "events");
        redisContext *presence = listen_to(f, P "presence:u1"), *room = listen_to(f, P "room:r");
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
        expect_message(presence, c, c->presence);
        expect_message(room, c, c->room);
        server_expect(&f->server, c->told ? "11" : "10", "HGET " P "head revision");
        for (size_t j = 0; j < sizeof c->then / sizeof *c->then && c->then[j].command; j++) {
            char *reply = ask_for(f, c->then[j].command);
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
