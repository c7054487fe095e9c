/*
 * What turntable servers send, and a game's message on its way to the members.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "codec/json_case.h"
#include "codec/turntable.h"

static const struct turntable_limits limits = TURNTABLE_LIMITS_DEFAULT;

static void test_server_messages(void **state)
{
    const struct turntable_change changes[] = {{B("1:2345"), TURNTABLE_ONLINE},
                                               {B("1:3456"), TURNTABLE_OFFLINE},
                                               {B("1:789"), TURNTABLE_BUSY}};
    const struct bytes joined[] = {B("1:1"), B("1:2")};
    const struct turntable_members members = {joined, 2, NULL, 0};
    const struct turntable_members left = {NULL, 0, joined, 1};
    const struct bytes ids[] = {B("1:1"), B("Ab3xYz9"), B("\xff\x80"), B("\xc3\xa9")};
    struct writer to = {0};

    turntable_write_idyou(&to);
    assert_composed(&to, "{\"command\":\"idyou\",\"data\":{}}");
    assert_int_equal(turntable_write_userchange(&to, changes, 3), 3);
    assert_composed(&to, "{\"command\":\"userchange\",\"data\":{\"1:2345\":\"online\","
                         "\"1:3456\":\"offline\",\"1:789\":\"busy\"}}");
    assert_int_equal(turntable_write_userchange(&to, NULL, 0), 0);
    assert_composed(&to, "{\"command\":\"userchange\",\"data\":{}}");
    turntable_write_invite(&to, B("CStrike"), B("1:2345"), B("1:3456"));
    assert_composed(&to, "{\"command\":\"invite\",\"data\":{\"channel\":\"CStrike\","
                         "\"user\":\"1:2345\",\"from\":\"1:3456\"}}");
    turntable_write_member(&to, B("a\"b"), &members);
    assert_composed(&to, "{\"command\":\"member\",\"data\":{\"channel\":\"a\\\"b\","
                         "\"joined\":[\"1:1\",\"1:2\"],\"left\":[]}}");
    turntable_write_member(&to, B("r"), &left);
    assert_composed(&to, "{\"command\":\"member\",\"data\":{\"channel\":\"r\","
                         "\"joined\":[],\"left\":[\"1:1\"]}}");
    assert_int_equal(turntable_write_there(&to, ids, 4), 1);
    assert_composed(&to, "{\"command\":\"there\",\"data\":[\"1:1\",\"Ab3xYz9\",\"\xc3\xa9\"]}");
    assert_int_equal(turntable_write_there(&to, NULL, 0), 0);
    assert_composed(&to, "{\"command\":\"there\",\"data\":[]}");
    turntable_write_error(&to, TURNTABLE_CODE_LOST, "messages of \"r\" may be lost", "");
    assert_composed(&to, "{\"command\":\"error\",\"data\":{\"code\":\"lost\",\"message\":"
                         "\"messages of \\\"r\\\" may be lost\",\"command\":\"\"}}");
    writer_free(&to);
}

/* The document's examples of what the server sends, to the byte but for spaces. */
static void test_document_examples(void **state)
{
    const struct turntable_change changes[] = {{B("1:2345"), TURNTABLE_ONLINE},
                                               {B("1:3456"), TURNTABLE_OFFLINE},
                                               {B("1:789"), TURNTABLE_BUSY}};
    struct writer to = {0};

    turntable_write_idyou(&to);
    assert_same_json(writer_bytes_written(&to), B("{ \"command\": \"idyou\", \"data\":{}}"));
    writer_reset(&to);
    turntable_write_userchange(&to, changes, 3);
    assert_same_json(writer_bytes_written(&to),
                     B("{ \"command\" : \"userchange\", \"data\":{\"1:2345\": \"online\", "
                       "\"1:3456\": \"offline\", \"1:789\": \"busy\"}}"));
    writer_free(&to);
}

static void test_userchange_in_chunks(void **state)
{
    static char ids[2 * TURNTABLE_CHUNK + 1][8];
    static struct turntable_change changes[COUNT(ids)];
    struct writer to = {0};
    size_t sizes[4], messages = 0;

    for (size_t i = 0; i < COUNT(ids); i++) {
        (void)snprintf(ids[i], sizeof ids[i], "1:%zu", i);
        changes[i] = (struct turntable_change){S(ids[i]), TURNTABLE_ONLINE};
    }
    for (size_t at = 0; at < COUNT(ids); at += sizes[messages++]) {
        writer_reset(&to);
        sizes[messages] = turntable_write_userchange(&to, changes + at, COUNT(ids) - at);
        const struct json_limits wide = {
            .bytes = 100000, .depth = 3, .keys = 1000, .values = 1000, .number = 9};
        struct json_error error = {0};
        struct json_document *document =
            json_document_parse(writer_bytes_written(&to), &wide, &error);
        const struct json_value *data = json_value_member(json_document_root(document), "data");

        assert_int_equal(json_value_count(data), sizes[messages]);
        assert_text("first", json_value_key(json_value_first(data)), ids[at]);
        json_document_free(&document);
    }
    assert_int_equal(messages, 3);
    assert_int_equal(sizes[0], TURNTABLE_CHUNK);
    assert_int_equal(sizes[1], TURNTABLE_CHUNK);
    assert_int_equal(sizes[2], 1);
    writer_free(&to);
}

static void test_codes_have_names(void **state)
{
    for (int a = TURNTABLE_CODE_BAD_JSON; a <= TURNTABLE_CODE_UNAVAILABLE; a++) {
        for (int b = TURNTABLE_CODE_BAD_JSON; b < a; b++) {
            assert_string_not_equal(turntable_code_name(a), turntable_code_name(b));
        }
    }
}

static void test_not_utf8_fails(void **state)
{
    const struct turntable_change change = {B("\xff"), TURNTABLE_ONLINE};
    struct writer to = {0};

    turntable_write_userchange(&to, &change, 1);
    assert_true(to.failed);
    writer_reset(&to);
    turntable_write_invite(&to, B("\xff"), B("1:1"), B("1:1"));
    assert_true(to.failed);
    writer_free(&to);
}

struct relay {
    const char *name;
    const char *before, *after; /* the actions; after NULL: the same */
};

/* The clock says 1700000000000, and 2 s are tolerated. */
static const struct relay relays[] = {
    {"as it came", "[{\"timestamp\":1700000000000,\"from\":\"1:2\",\"data\":{}}]", NULL},
    {"spaces and all",
     "[ {\t\"timestamp\" : 1700000000000 , \"from\" : \"1:2\" , \"data\" : { } } ] ", NULL},
    {"at the edges",
     "[{\"timestamp\":1700000002000,\"from\":\"1:2\"},{\"timestamp\":1699999998000,\"from\":\"1:"
     "2\"}"
     "]",
     NULL},
    {"a fraction, an exponent",
     "[{\"timestamp\":1.7e12,\"from\":\"1:2\"},{\"timestamp\":1700000000000.50,\"from\":\"1:2\"}]",
     NULL},
    {"an escape in from", "[{\"from\":\"1:\\u0032\",\"timestamp\":1700000000000}]", NULL},
    {"no actions", "[]", NULL},
    {"beyond the edges",
     "[{\"timestamp\":1700000002001,\"from\":\"1:2\"},{\"timestamp\":1699999997999,\"from\":\"1:"
     "2\"}"
     "]",
     "[{\"timestamp\":1700000000000,\"from\":\"1:2\"},{\"timestamp\":1700000000000,\"from\":\"1:"
     "2\"}"
     "]"},
    {"the document's",
     "[{\"timestamp\": 10223232, \"from\":\"1:2\", \"data\": {\"strike_one\":\"1:1234\"}}]",
     "[{\"timestamp\": 1700000000000, \"from\":\"1:2\", \"data\": {\"strike_one\":\"1:1234\"}}]"},
    {"far off",
     "[{\"timestamp\":-1,\"from\":\"1:2\"},{\"timestamp\":1e300,\"from\":\"1:2\"},"
     "{\"timestamp\":123456789012345678901234567890,\"from\":\"1:2\"}]",
     "[{\"timestamp\":1700000000000,\"from\":\"1:2\"},{\"timestamp\":1700000000000,\"from\":\"1:"
     "2\"}"
     ",{\"timestamp\":1700000000000,\"from\":\"1:2\"}]"},
    {"from missing", "[{\"timestamp\":1700000000001,\"data\":1}]",
     "[{\"from\":\"1:2\",\"timestamp\":1700000000001,\"data\":1}]"},
    {"timestamp missing", "[{\"data\":1,\"from\":\"1:2\"}]",
     "[{\"timestamp\":1700000000000,\"data\":1,\"from\":\"1:2\"}]"},
    {"both missing", "[{\"data\":1}]",
     "[{\"timestamp\":1700000000000,\"from\":\"1:2\",\"data\":1}]"},
    {"everything missing", "[{},{ }]",
     "[{\"timestamp\":1700000000000,\"from\":\"1:2\"},"
     "{\"timestamp\":1700000000000,\"from\":\"1:2\" }]"},
    {"one of each",
     "[ { \"data\":9007199254740993,\"timestamp\":0 , \"x\":\"\\u00e9\\/\"},{\"from\":\"1:2\"} ]",
     "[ {\"from\":\"1:2\", \"data\":9007199254740993,\"timestamp\":1700000000000 , "
     "\"x\":\"\\u00e9\\/\"},{\"timestamp\":1700000000000,\"from\":\"1:2\"} ]"},
    {"what stands deeper is not the server's",
     "[{\"timestamp\":1700000000000,\"from\":\"1:2\",\"data\":{\"timestamp\":0,\"from\":\"1:3\"}}]",
     NULL},
    {"texts that are no ids",
     "[{\"timestamp\":1700000000000,\"from\":\"1:2\",\"data\":[\"12:30:45\",\"10:30 at home\","
     "\"http://a\",\":1\",\"a:b\",\"1\",\"16:9, or 4:3\",\"2001:db8::1\",\"1:\\n\",\"\"]}]",
     NULL},
    {"texts that only look like ids",
     "[{\"timestamp\":1700000000000,\"from\":\"1:2\",\"data\":[\"3:2!\",\"1:\",{\"1:a!\":1}]}]",
     NULL},
    {"ids",
     "[{\"timestamp\":1700000000000,\"from\":\"1:2\",\"data\":{\"1:3\":[\"1:4\",{\"x\":\"10:30\"}]}"
     "}"
     "]",
     NULL},
};

static bool relay(struct writer *to, struct bytes text, const struct turntable_rules *rules,
                  struct turntable_error *error)
{
    struct turntable_message message;
    bool done;

    if (!turntable_read(text, &limits, &message, error)) {
        fail_msg("%.*s: %s", (int)text.len, (const char *)text.data, error->detail.text);
    }
    done = turntable_relay_game(to, &message, rules, error);
    turntable_message_free(&message);
    return done;
}

static void check_relay(const struct relay *row, struct bytes sender)
{
    const struct turntable_rules rules = {
        .sender = sender, .now = 1700000000000, .tolerance = 2000};
    const char *after = row->after ? row->after : row->before;
    struct writer text = {0}, expected = {0}, to = {0};
    struct turntable_error error;

    writer_format(&text, " {\"x\":1, \"data\":{ \"actions\":%s,\"channel\":\"a\"},%s", row->before,
                  "\"command\":\"game\" }\n");
    writer_format(&expected, " {\"x\":1, \"data\":{ \"actions\":%s,\"channel\":\"a\"},%s", after,
                  "\"command\":\"game\" }\n");
    writer_u8(&expected, 0);
    if (!relay(&to, writer_bytes_written(&text), &rules, &error)) {
        fail_msg("%s: %s", row->name, error.detail.text);
    }
    assert_text(row->name, writer_bytes_written(&to), (const char *)expected.data);
    /* What has been relayed is left alone by the next. */
    writer_reset(&text);
    writer_bytes(&text, writer_bytes_written(&to));
    writer_reset(&to);
    assert_true(relay(&to, writer_bytes_written(&text), &rules, &error));
    assert_text(row->name, writer_bytes_written(&to), (const char *)expected.data);
    writer_free(&text);
    writer_free(&expected);
    writer_free(&to);
}

static void test_relay(void **state)
{
    for (size_t i = 0; i < COUNT(relays); i++) {
        check_relay(&relays[i], B("1:2"));
    }
}

/* An id that is an integer is sent as a string. */
static void test_relay_of_integers(void **state)
{
    static const struct relay rows[] = {
        {"before the timestamp", "[{\"from\" : 12 ,\"timestamp\":0}]",
         "[{\"from\" : \"12\" ,\"timestamp\":1700000000000}]"},
        {"behind the timestamp", "[{\"timestamp\":0,\"from\":12}]",
         "[{\"timestamp\":1700000000000,\"from\":\"12\"}]"},
        {"alone, and again", "[{\"from\":12},{\"from\":12,\"timestamp\":1700000000000}]",
         "[{\"timestamp\":1700000000000,\"from\":\"12\"},{\"from\":\"12\",\"timestamp\":"
         "1700000000000}]"},
        {"as text", "[{\"from\":\"12\",\"timestamp\":1700000000000}]", NULL},
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        check_relay(&rows[i], B("12"));
    }
}

/* The members of a room: what the arg lists, and nobody else. */
static bool is_listed(void *arg, struct bytes id)
{
    const char *const *members = arg;

    for (; *members; members++) {
        if (bytes_equal(id, S(*members))) {
            return true;
        }
    }
    return false;
}

static void test_members_only(void **state)
{
    static const struct {
        const char *data;
        const char *error; /* NULL: none */
    } cases[] = {
        {"{\"strike_one\":\"1:2\",\"1:3\":[]}", NULL},
        {"\"no id\"", NULL},
        {"{\"strike_one\":\"1:4\"}",
         "data.actions[0].data.strike_one: a user who is not a member of the room"},
        {"[[\"1:3\",\"1:33\"]]",
         "data.actions[0].data[0][1]: a user who is not a member of the room"},
        {"{\"1:9\":1}", "data.actions[0].data[\"1:9\"]: a user who is not a member of the room"},
    };
    const char *members[] = {"1:2", "1:3", NULL};
    const struct turntable_rules rules = {
        .sender = B("1:2"), .now = 1, .is_member = is_listed, .arg = members};
    struct writer text = {0}, to = {0};
    struct turntable_error error;

    for (size_t i = 0; i < COUNT(cases); i++) {
        writer_reset(&text);
        writer_reset(&to);
        writer_format(&text,
                      "{\"command\":\"game\",\"data\":{\"channel\":\"a\",\"actions\":[{"
                      "\"data\":%s}]}}",
                      cases[i].data);
        assert_int_equal(relay(&to, writer_bytes_written(&text), &rules, &error), !cases[i].error);
        assert_int_equal(to.len > 0, !cases[i].error);
        if (!cases[i].error) {
            continue;
        }
        assert_string_equal(error.detail.text, cases[i].error);
        assert_int_equal(error.code, TURNTABLE_CODE_NOT_MEMBER);
        assert_string_equal(error.command, "game");
    }
    writer_free(&text);
    writer_free(&to);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_server_messages),  cmocka_unit_test(test_document_examples),
        cmocka_unit_test(test_codes_have_names), cmocka_unit_test(test_userchange_in_chunks),
        cmocka_unit_test(test_not_utf8_fails),   cmocka_unit_test(test_relay),
        cmocka_unit_test(test_members_only),     cmocka_unit_test(test_relay_of_integers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
