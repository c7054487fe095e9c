/*
 * What turntable clients send: every command, read, written again and read again; and the corpus of
 * what is refused, cases/turntable_bad.txt.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "codec/json_case.h"
#include "codec/turntable.h"

static const struct turntable_limits limits = TURNTABLE_LIMITS_DEFAULT;

struct good {
    const char *text;
    enum turntable_command command;
    const char *user, *token, *channel; /* NULL: none */
    enum turntable_status status;
    const char *ids; /* parted by spaces */
    size_t actions;
    const char *written; /* as we would send it */
};

static const struct good good[] = {
    /* The document's examples; the game's with its missing brace, and keys in quotes. */
    {"{ \"command\": \"idme\", \"data\":\"1:12345\"}", TURNTABLE_IDME, .user = "1:12345",
     .written = "{\"command\":\"idme\",\"data\":\"1:12345\"}"},
    {"{ \"command\": \"subscribe\", \"data\":[\"1:2345\", \"1:3456\", \"1:789\"]}",
     TURNTABLE_SUBSCRIBE, .ids = "1:2345 1:3456 1:789",
     .written = "{\"command\":\"subscribe\",\"data\":[\"1:2345\",\"1:3456\",\"1:789\"]}"},
    {"{ \"command\": \"joingame\", \"data\":{ \"channel\": \"CStrike\", \"self\":\"1:3456\", "
     "\"invite\": [\"1:2345\"] }}",
     TURNTABLE_JOINGAME, .user = "1:3456", .channel = "CStrike", .ids = "1:2345",
     .written = "{\"command\":\"joingame\",\"data\":{\"channel\":\"CStrike\",\"self\":\"1:3456\","
                "\"invite\":[\"1:2345\"]}}"},
    {"{ \"command\": \"game\", \"data\":{\"channel\": \"CStrike\", \"actions\":[{\"timestamp\": "
     "10223232, \"from\":\"1:23456\", \"data\": {\"strike_one\":\"1:1234\"}}]}}",
     TURNTABLE_GAME, .channel = "CStrike", .actions = 1,
     .written = "{\"command\":\"game\",\"data\":{\"channel\":\"CStrike\",\"actions\":[{"
                "\"timestamp\": 10223232, \"from\":\"1:23456\", \"data\": "
                "{\"strike_one\":\"1:1234\"}}]}}"},

    {"{\"data\":\"0:a\",\"token\":\"x.y.z\",\"command\":\"idme\"}", TURNTABLE_IDME, .user = "0:a",
     .token = "x.y.z", .written = "{\"command\":\"idme\",\"data\":\"0:a\",\"token\":\"x.y.z\"}"},
    {"{\"command\":\"idme\",\"data\":\"00000000000000000001:AZaz09._-\",\"token\":\"\"}",
     TURNTABLE_IDME, .user = "00000000000000000001:AZaz09._-", .token = "",
     .written =
         "{\"command\":\"idme\",\"data\":\"00000000000000000001:AZaz09._-\",\"token\":\"\"}"},
    {"{\"command\":\"idm\\u0065\",\"data\":\"1:\\u0061\"}", TURNTABLE_IDME, .user = "1:a",
     .written = "{\"command\":\"idme\",\"data\":\"1:a\"}"},
    {"{\"command\":\"idme\",\"data\":\"1:a\",\"more\":{\"x\":[]},\"Command\":\"game\"}",
     TURNTABLE_IDME, .user = "1:a", .written = "{\"command\":\"idme\",\"data\":\"1:a\"}"},
    /* Ids as a page of the original program may use them; integers are sent as text. */
    {"{\"command\":\"idme\",\"data\":\"game:User1\"}", TURNTABLE_IDME, .user = "game:User1",
     .written = "{\"command\":\"idme\",\"data\":\"game:User1\"}"},
    {"{\"command\":\"idme\",\"data\":12345}", TURNTABLE_IDME, .user = "12345",
     .written = "{\"command\":\"idme\",\"data\":\"12345\"}"},
    {"{\"command\":\"idme\",\"data\":-12345678901234567890}", TURNTABLE_IDME,
     .user = "-12345678901234567890",
     .written = "{\"command\":\"idme\",\"data\":\"-12345678901234567890\"}"},
    {"{\"command\":\"joingame\",\"data\":{\"channel\":\"a\",\"self\":7,\"invite\":[8,\"8\","
     "\"\xc3\xa9"
     " \\\"\"]}}",
     TURNTABLE_JOINGAME, .user = "7", .channel = "a", .ids = "8 \xc3\xa9 \"",
     .written = "{\"command\":\"joingame\",\"data\":{\"channel\":\"a\",\"self\":\"7\","
                "\"invite\":[\"8\",\"\xc3\xa9 \\\"\"]}}"},
    {"{\"command\":\"subscribe\",\"data\":[1,\"a\",0]}", TURNTABLE_SUBSCRIBE, .ids = "1 a 0",
     .written = "{\"command\":\"subscribe\",\"data\":[\"1\",\"a\",\"0\"]}"},
    {"{\"command\":\"subscribe\",\"data\":[]}", TURNTABLE_SUBSCRIBE, .ids = "",
     .written = "{\"command\":\"subscribe\",\"data\":[]}"},
    {"{\"command\":\"subscribe\",\"data\":[\"a\",\"b\",\"a\",\"1:1\",\"b\",\"a\"]}",
     TURNTABLE_SUBSCRIBE, .ids = "a b 1:1",
     .written = "{\"command\":\"subscribe\",\"data\":[\"a\",\"b\",\"1:1\"]}"},
    {"{\"command\":\"subscribe\",\"data\":[\"Ab3xYz9\",\"\xc3\xa9\",\"\\u00e9\",\"\\n\"]}",
     TURNTABLE_SUBSCRIBE, .ids = "Ab3xYz9 \xc3\xa9 \n",
     .written = "{\"command\":\"subscribe\",\"data\":[\"Ab3xYz9\",\"\xc3\xa9\",\"\\n\"]}"},
    {"{\"command\":\"unsubscribe\",\"data\":[\"1:1\"]}", TURNTABLE_UNSUBSCRIBE, .ids = "1:1",
     .written = "{\"command\":\"unsubscribe\",\"data\":[\"1:1\"]}"},
    {"{\"command\":\"status\",\"data\":\"busy\"}", TURNTABLE_STATUS, .status = TURNTABLE_BUSY,
     .written = "{\"command\":\"status\",\"data\":\"busy\"}"},
    {"{\"command\":\"status\",\"data\":\"online\"}", TURNTABLE_STATUS, .status = TURNTABLE_ONLINE,
     .written = "{\"command\":\"status\",\"data\":\"online\"}"},
    {"{\"command\":\"joingame\",\"data\":{\"channel\":\"a b\",\"self\":\"1:1\"}}",
     TURNTABLE_JOINGAME, .user = "1:1", .channel = "a b",
     .written = "{\"command\":\"joingame\",\"data\":{\"channel\":\"a b\",\"self\":\"1:1\","
                "\"invite\":[]}}"},
    {"{\"command\":\"joingame\",\"data\":{\"channel\":\"\xc3\xa9\xf0\x9f\x98\x80\",\"self\":"
     "\"1:1\",\"invite\":[\"1:2\",\"1:2\"],\"password\":1}}",
     TURNTABLE_JOINGAME, .user = "1:1", .channel = "\xc3\xa9\xf0\x9f\x98\x80", .ids = "1:2",
     .written = "{\"command\":\"joingame\",\"data\":{\"channel\":\"\xc3\xa9\xf0\x9f\x98\x80\","
                "\"self\":\"1:1\",\"invite\":[\"1:2\"]}}"},
    {"{\"command\":\"game\",\"data\":{\"channel\":\"a\",\"actions\":[]}}", TURNTABLE_GAME,
     .channel = "a",
     .written = "{\"command\":\"game\",\"data\":{\"channel\":\"a\",\"actions\":[]}}"},
    {"{\"command\":\"game\",\"data\":{\"channel\":\"a\",\"actions\":[{},{ \"x\" : 1e2}]}}",
     TURNTABLE_GAME, .channel = "a", .actions = 2,
     .written =
         "{\"command\":\"game\",\"data\":{\"channel\":\"a\",\"actions\":[{},{ \"x\" : 1e2}]}}"},
    {"{\"command\":\"leavegame\",\"data\":{\"channel\":\"a\"}}", TURNTABLE_LEAVEGAME,
     .channel = "a", .written = "{\"command\":\"leavegame\",\"data\":{\"channel\":\"a\"}}"},
    {"{\"command\":\"whothere\"}", TURNTABLE_WHOTHERE,
     .written = "{\"command\":\"whothere\",\"data\":{}}"},
    {"{\"command\":\"whothere\",\"data\":{\"x\":1}}", TURNTABLE_WHOTHERE,
     .written = "{\"command\":\"whothere\",\"data\":{}}"},
    {"{\"command\":\"whothere\",\"data\":{\"channel\":\"a\"}}", TURNTABLE_WHOTHERE, .channel = "a",
     .written = "{\"command\":\"whothere\",\"data\":{\"channel\":\"a\"}}"},
};

static void assert_optional(const char *what, struct bytes actual, const char *expected)
{
    assert_int_equal(!actual.data, !expected);
    if (expected) {
        assert_text(what, actual, expected);
    }
}

static void assert_ids(const struct turntable_message *message, const char *expected)
{
    struct writer ids = {0};

    for (size_t i = 0; i < message->id_count; i++) {
        if (i > 0) {
            writer_u8(&ids, ' ');
        }
        writer_bytes(&ids, message->ids[i]);
    }
    assert_text("ids", writer_bytes_written(&ids), expected ? expected : "");
    writer_free(&ids);
}

static void check_good(const struct good *expected, struct bytes text)
{
    struct turntable_message message;
    struct turntable_error error;
    struct writer to = {0};

    if (!turntable_read(text, &limits, &message, &error)) {
        fail_msg("%s: %s", expected->text, error.detail.text);
    }
    assert_int_equal(message.command, expected->command);
    assert_string_equal(error.command, turntable_command_name(expected->command));
    assert_optional("user", message.user, expected->user);
    assert_optional("token", message.token, expected->token);
    assert_optional("channel", message.channel, expected->channel);
    assert_int_equal(message.status, expected->status);
    assert_ids(&message, expected->ids);
    assert_int_equal(message.action_count, expected->actions);
    turntable_write_message(&to, &message);
    assert_composed(&to, expected->written);
    writer_free(&to);
    turntable_message_free(&message);
    turntable_message_free(&message);
}

static void test_good(void **state)
{
    for (size_t i = 0; i < COUNT(good); i++) {
        const struct bytes text = exact_copy(S(good[i].text));

        check_good(&good[i], text);
        check_good(&good[i], S(good[i].written));
        free((void *)text.data);
    }
}

static void check_bad(const char *code, const char *text, struct bytes input)
{
    const struct turntable_rules rules = {
        .sender = B("1:2"), .now = 1700000000000, .needs_form = true};
    struct turntable_limits small = limits;
    struct turntable_message message;
    struct turntable_error error;
    struct writer to = {0};

    small.ids = small.invited = 4;
    small.actions = 3;
    small.token = 16;
    small.strict = true;
    if (turntable_read(input, &small, &message, &error)) {
        assert_int_equal(message.command, TURNTABLE_GAME);
        assert_false(turntable_relay_game(&to, &message, &rules, &error));
        assert_int_equal(to.len, 0);
    }
    turntable_message_free(&message);
    if (strcmp(turntable_code_name(error.code), code) != 0 ||
        strcmp(error.detail.text, text) != 0) {
        fail_msg("%.*s: %s, %s; not %s, %s", (int)input.len, (const char *)input.data,
                 turntable_code_name(error.code), error.detail.text, code, text);
    }
    /* It can be sent, whatever it was. */
    turntable_write_error(&to, error.code, error.detail.text, error.command);
    assert_false(to.failed);
    struct json_document *document = must_parse(writer_bytes_written(&to));
    json_document_free(&document);
    writer_free(&to);
}

static void test_corpus(void **state)
{
    assert_true(each_case("turntable_bad.txt", check_bad) >= 350);
}

static void test_users(void **state)
{
    static const struct {
        const char *id;
        bool user;
    } ids[] = {
        {"1:1", true},
        {"12345678901234567890:a", true},
        {"123456789012345678901:a", false},
        {"1:1234567890123456789012345678901234567890123456789012345678901234", true},
        {"1:12345678901234567890123456789012345678901234567890123456789012345", false},
        {"1:.", true},
        {"1:-_", true},
        {"", false},
        {"1", false},
        {":", false},
        {"1:", false},
        {":1", false},
        {"1:1:1", false},
        {"1:a b", false},
        {"1:\xc3\xa9", false},
    };

    for (size_t i = 0; i < COUNT(ids); i++) {
        assert_int_equal(turntable_is_user(S(ids[i].id)), ids[i].user);
    }
    assert_false(turntable_is_user(B("1:a\0")));
}

/* 128 bytes are a user id of any form, 129 are not. */
static void test_users_of_any_form(void **state)
{
    static const char *const bad[] = {"\"\"", "\"a\\u0009b\"", "\"a\\u007f\"", "\"\\u0085\"",
                                      "1.0",  "1e3",           "1E3",          "-1.5",
                                      "null", "true",          "[1]",          "{}"};
    struct turntable_message message;
    struct turntable_error error;
    struct writer text = {0};
    char id[130] = "";

    for (size_t i = 0; i < COUNT(bad); i++) {
        writer_reset(&text);
        writer_format(&text, "{\"command\":\"idme\",\"data\":%s}", bad[i]);
        if (turntable_read(writer_bytes_written(&text), &limits, &message, &error)) {
            fail_msg("%s", bad[i]);
        }
        assert_true(error.code == TURNTABLE_CODE_BAD_ID ||
                    error.code == TURNTABLE_CODE_BAD_MESSAGE);
    }
    writer_free(&text);
    memset(id, '7', sizeof id - 1);
    assert_false(turntable_is_any_user(S(id)));
    id[TURNTABLE_ID_MAX] = '\0';
    assert_true(turntable_is_any_user(S(id)));
    assert_false(turntable_is_any_user(B("\xc3")));
    assert_true(turntable_is_any_user(B("\xc2\xa0 game:User1")));
}

static void test_rooms(void **state)
{
    assert_true(turntable_is_room(B("a"), 1));
    assert_false(turntable_is_room(B("ab"), 1));
    assert_false(turntable_is_room(B(""), 1));
    assert_true(turntable_is_room(B("a b/\xc2\xa0\xc3\x80"), 128));
    assert_false(turntable_is_room(B("\xc2\x9f"), 128));
    assert_false(turntable_is_room(B("\xc2"), 128));
    assert_false(turntable_is_room(B("a\0"), 128));
}

/* More ids than are compared pair by pair; each twice. */
static void test_many_ids(void **state)
{
    struct writer to = {0};
    struct json_writer json = json_writer_over(&to);
    struct turntable_message message;
    struct turntable_error error;
    char id[16];

    json_write_object_begin(&json);
    json_write_member(&json, "command", B("subscribe"));
    json_write_name(&json, "data");
    json_write_array_begin(&json);
    for (int i = 0; i < 2000; i++) {
        (void)snprintf(id, sizeof id, "1:%d", i * 7919 % 1000);
        json_write_text(&json, S(id));
    }
    json_write_array_end(&json);
    json_write_object_end(&json);
    assert_true(turntable_read(writer_bytes_written(&to), &limits, &message, &error));
    assert_int_equal(message.id_count, 1000);
    for (int i = 0; i < 1000; i++) {
        (void)snprintf(id, sizeof id, "1:%d", i * 7919 % 1000);
        assert_text("id", message.ids[i], id);
    }
    turntable_message_free(&message);
    writer_free(&to);
}

/* A command's name is sent back, cut between characters. */
static void test_command_shown(void **state)
{
    static const struct {
        const char *text, *shown;
    } cases[] = {
        {"[]", ""},
        {"{\"command\":1}", ""},
        {"{\"command\":\"x\\ny\"}", "x\ny"},
        {"{\"command\":\"idme\"}", "idme"},
        {"{\"command\":\"123456789012345678901234567890123456789012345678901234567890\xc3\xa9"
         "12\"}",
         "123456789012345678901234567890123456789012345678901234567890\xc3\xa9"
         "1"},
        {"{\"command\":\"12345678901234567890123456789012345678901234567890123456789012\xc3\xa9"
         "\"}",
         "12345678901234567890123456789012345678901234567890123456789012"},
        {"{\"command\":\"12345678901234567890123456789012345678901234567890123456789012"
         "\xf0\x9f\x98\x80\"}",
         "12345678901234567890123456789012345678901234567890123456789012"},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct turntable_message message;
        struct turntable_error error;

        assert_false(turntable_read(S(cases[i].text), &limits, &message, &error));
        assert_string_equal(error.command, cases[i].shown);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_corpus),
        cmocka_unit_test(test_users),
        cmocka_unit_test(test_rooms),
        cmocka_unit_test(test_users_of_any_form),
        cmocka_unit_test(test_many_ids),
        cmocka_unit_test(test_command_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
