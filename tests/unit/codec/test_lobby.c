/*
 * The lobby's messages of JSON, each read, written and read again; what is refused of peers is
 * cases/lobby_bad.txt.
 */
#include "codec/json_case.h"

#include "codec/lobby.h"

static const struct lobby_limits limits = LOBBY_LIMITS_DEFAULT;

static void must_read(struct bytes line, enum lobby_sender sender, struct lobby_message *message)
{
    struct lobby_error error;

    if (!lobby_read(line, sender, &limits, message, &error)) {
        fail_msg("%.*s: %s", (int)line.len, (const char *)line.data, error.detail.text);
    }
}

struct login {
    const char *line, *password, *name; /* NULL: none */
    uint16_t port;
};

static void assert_optional(struct bytes actual, const char *expected)
{
    assert_int_equal(!actual.data, !expected);
    if (expected) {
        assert_text("text", actual, expected);
    }
}

static void test_login(void **state)
{
    static const struct login logins[] = {
        {"{\"type\":\"login\"}", NULL, NULL, 0},
        {"{\"type\":\"login\",\"passwd\":\"pass\",\"port\":23460}", "pass", NULL, 23460},
        {"{\"port\":65535,\"passwd\":\"\",\"name\":\"a\",\"type\":\"login\",\"x\":[{}]}", "", "a",
         65535},
        {" { \"type\" : \"lo\\u0067in\" , \"port\" : 1 } ", NULL, NULL, 1},
    };
    struct lobby_message message;
    struct writer to = {0};

    for (size_t i = 0; i < COUNT(logins); i++) {
        const struct bytes copy = exact_copy(S(logins[i].line));

        must_read(copy, LOBBY_FROM_PEER, &message);
        assert_int_equal(message.type, LOBBY_LOGIN);
        assert_optional(message.password, logins[i].password);
        assert_optional(message.name, logins[i].name);
        assert_int_equal(message.port, logins[i].port);
        lobby_message_free(&message);
        free((void *)copy.data);
    }
    lobby_write_login(&to);
    assert_composed(&to, "{\"type\":\"login\"}\n");
    lobby_write_server_login(&to, B("p\"w"), (struct bytes){0}, 23460);
    assert_composed(&to, "{\"type\":\"login\",\"passwd\":\"p\\\"w\",\"port\":23460}\n");
    lobby_write_server_login(&to, B("pw"), B("me"), 1);
    assert_composed(&to, "{\"type\":\"login\",\"passwd\":\"pw\",\"name\":\"me\",\"port\":1}\n");
    lobby_write_server_login(&to, B("\xff"), B("me"), 1);
    assert_true(to.failed);
    writer_free(&to);
}

static void test_infos(void **state)
{
    static const char line[] =
        "{\"type\":\"infos\",\"speed\":\"fast\",\"size\":\"big\",\"erase\":true,"
        "\"description\":\"My "
        "\\\"server\\\"\",\"version\":\"0.70\",\"players\":3,\"ip\":\"6.6.6.6\","
        "\"port\":23461,\"id\":1,\"since\":null,\"state\":[],\"map\":\"dm1\",\"rate\":1.50,"
        "\"open\":false}";
    struct lobby_message message;
    struct writer to = {0};

    must_read(S(line), LOBBY_FROM_PEER, &message);
    assert_int_equal(message.type, LOBBY_INFOS);
    assert_text("speed", message.infos.speed, "fast");
    assert_text("size", message.infos.size, "big");
    assert_true(message.infos.has_erase && message.infos.erase);
    assert_text("description", message.infos.description, "My \"server\"");
    assert_text("version", message.infos.version, "0.70");
    assert_true(message.infos.has_players);
    assert_int_equal(message.infos.players, 3);
    assert_int_equal(message.port, 23461);
    lobby_write_infos(&to, message.infos.properties, message.infos.property_count);
    assert_composed(&to, "{\"type\":\"infos\",\"speed\":\"fast\",\"size\":\"big\",\"erase\":true,"
                         "\"description\":\"My \\\"server\\\"\",\"version\":\"0.70\",\"players\":3,"
                         "\"map\":\"dm1\",\"rate\":1.50,\"open\":false}\n");
    lobby_message_free(&message);
    lobby_message_free(&message);

    must_read(B("{\"type\":\"infos\"}"), LOBBY_FROM_PEER, &message);
    assert_int_equal(message.infos.property_count, 0);
    assert_null(message.infos.speed.data);
    assert_false(message.infos.has_erase || message.infos.has_players);
    lobby_message_free(&message);
    writer_free(&to);
}

/* A key with null is one that is not there. */
static void test_null(void **state)
{
    struct lobby_message message;

    must_read(S("{\"type\":\"infos\",\"port\":null,\"speed\":null,\"size\":null,\"erase\":null,"
                "\"description\":null,\"version\":null,\"players\":null,\"map\":null,\"x\":1}"),
              LOBBY_FROM_PEER, &message);
    assert_int_equal(message.port, 0);
    assert_null(message.infos.speed.data);
    assert_null(message.infos.size.data);
    assert_null(message.infos.description.data);
    assert_null(message.infos.version.data);
    assert_false(message.infos.has_erase);
    assert_false(message.infos.has_players);
    assert_int_equal(message.infos.property_count, 1);
    lobby_message_free(&message);
    must_read(S("{\"type\":\"login\",\"passwd\":null,\"port\":null}"), LOBBY_FROM_PEER, &message);
    assert_null(message.password.data);
    assert_int_equal(message.port, 0);
    lobby_message_free(&message);
}

/* As many JSON libraries write whole numbers. */
static void test_whole_numbers_with_fractions(void **state)
{
    struct lobby_message message;

    must_read(S("{\"type\":\"infos\",\"port\":23460.0,\"players\":3e0}"), LOBBY_FROM_PEER,
              &message);
    assert_int_equal(message.port, 23460);
    assert_int_equal(message.infos.players, 3);
    lobby_message_free(&message);
}

static void test_counted(void **state)
{
    static const struct {
        const char *line;
        enum lobby_sender sender;
        enum lobby_type type;
        uint64_t number;
    } lines[] = {
        {"{\"type\":\"pong\",\"n\":7}", LOBBY_FROM_PEER, LOBBY_PONG, 7},
        {"{\"type\":\"pong\",\"n\":0}", LOBBY_FROM_PEER, LOBBY_PONG, 0},
        {"{\"type\":\"verify\",\"number\":999999999999999}", LOBBY_FROM_PEER, LOBBY_VERIFY,
         999999999999999},
        {"{\"type\":\"ping\",\"n\":9007199254740992}", LOBBY_FROM_TRACKER, LOBBY_PING, 1ull << 53},
    };
    struct writer to = {0};

    for (size_t i = 0; i < COUNT(lines); i++) {
        struct lobby_message message;

        must_read(S(lines[i].line), lines[i].sender, &message);
        assert_int_equal(message.type, lines[i].type);
        assert_int_equal(message.number, lines[i].number);
        lobby_message_free(&message);
    }
    lobby_write_ping(&to, 7);
    assert_composed(&to, "{\"type\":\"ping\",\"n\":7}\n");
    lobby_write_pong(&to, 7);
    assert_composed(&to, "{\"type\":\"pong\",\"n\":7}\n");
    lobby_write_verify(&to, 123456789012345);
    assert_composed(&to, "{\"type\":\"verify\",\"number\":123456789012345}\n");
    writer_free(&to);
}

static void test_welcome_and_error(void **state)
{
    struct lobby_message message;
    struct writer to = {0};

    lobby_write_welcome(&to, B("203.0.113.7:23460"), true);
    must_read(writer_bytes_written(&to), LOBBY_FROM_TRACKER, &message);
    assert_text("id", message.id, "203.0.113.7:23460");
    assert_true(message.verify);
    lobby_message_free(&message);
    assert_composed(&to,
                    "{\"type\":\"welcome\",\"id\":\"203.0.113.7:23460\",\"verify\":\"udp\"}\n");
    lobby_write_welcome(&to, B("[2001:db8::1]:1"), false);
    assert_composed(&to, "{\"type\":\"welcome\",\"id\":\"[2001:db8::1]:1\",\"verify\":\"off\"}\n");
    lobby_write_error(&to, LOBBY_CODE_BAD_PASSWORD, "passwd: is wrong");
    must_read(writer_bytes_written(&to), LOBBY_FROM_TRACKER, &message);
    assert_int_equal(lobby_code_parse(message.code), LOBBY_CODE_BAD_PASSWORD);
    assert_text("reason", message.reason, "passwd: is wrong");
    lobby_message_free(&message);
    assert_composed(
        &to, "{\"type\":\"error\",\"code\":\"bad_password\",\"message\":\"passwd: is wrong\"}\n");
    for (enum lobby_code code = 0; code < LOBBY_CODE_COUNT; code++) {
        assert_int_equal(lobby_code_parse(S(lobby_code_name(code))), code);
    }
    assert_int_equal(lobby_code_parse(B("other")), LOBBY_CODE_COUNT);
    writer_free(&to);
}

static const struct lobby_property properties[] = {
    {B("speed"), B("\"fast\"")}, {B("players"), B("3")},     {B("erase"), B("true")},
    {B("port"), B("6")},         {B("a\"b"), B("\"c\\n\"")},
};

static struct lobby_server server_of(const char *id, size_t count)
{
    return (struct lobby_server){.id = S(id),
                                 .ip = B("203.0.113.7"),
                                 .port = 23460,
                                 .state = LOBBY_SUSPECT,
                                 .since = 1700000000123,
                                 .infos = {.properties = properties, .property_count = count}};
}

static void test_change(void **state)
{
    static const char listed[] =
        "{\"type\":\"changed\",\"server\":{\"id\":\"x\",\"ip\":\"203.0.113.7\",\"port\":23460,"
        "\"state\":\"suspect\",\"since\":1700000000123,\"speed\":\"fast\",\"players\":3,"
        "\"erase\":true,\"a\\\"b\":\"c\\n\",\"size\":null,\"description\":null,\"version\":null}}"
        "\n";
    const struct lobby_server server = server_of("x", COUNT(properties));
    const struct lobby_server *read;
    struct lobby_message message;
    struct writer to = {0};

    lobby_write_change(&to, LOBBY_CHANGED, &server);
    must_read(writer_bytes_written(&to), LOBBY_FROM_TRACKER, &message);
    assert_int_equal(message.type, LOBBY_CHANGED);
    assert_int_equal(message.server_count, 1);
    read = &message.servers[0];
    assert_text("id", read->id, "x");
    assert_text("ip", read->ip, "203.0.113.7");
    assert_int_equal(read->port, 23460);
    assert_int_equal(read->state, LOBBY_SUSPECT);
    assert_int_equal(read->since, 1700000000123);
    assert_text("speed", read->infos.speed, "fast");
    assert_null(read->infos.size.data);
    assert_true(read->infos.has_erase && read->infos.erase && read->infos.has_players);
    assert_int_equal(read->infos.players, 3);
    assert_int_equal(read->infos.property_count, 4); /* neither the port nor what is null */
    assert_text("name", read->infos.properties[3].name, "a\"b");
    assert_text("value", read->infos.properties[3].value, "\"c\\n\"");
    lobby_message_free(&message);
    assert_composed(&to, listed);
    writer_free(&to);
}

/* What a client does not understand of a server is not said; without an id it is none. */
static void test_lenient(void **state)
{
    struct lobby_message message;
    struct lobby_error error;

    must_read(B("{\"type\":\"servers\",\"servers\":[{\"id\":\"a\",\"port\":\"x\",\"since\":-1,"
                "\"state\":5,\"speed\":\"warp\",\"size\":9,\"players\":-1,\"erase\":\"no\","
                "\"version\":null,\"deep\":{\"x\":1},\"ip\":{}},{\"id\":\"b\",\"port\":70000}]}"),
              LOBBY_FROM_TRACKER, &message);
    assert_int_equal(message.server_count, 2);
    assert_false(message.more);
    assert_int_equal(message.servers[0].port, 0);
    assert_int_equal(message.servers[0].since, 0);
    assert_int_equal(message.servers[0].state, LOBBY_LIVE);
    assert_text("speed", message.servers[0].infos.speed, "warp");
    assert_null(message.servers[0].infos.size.data);
    assert_false(message.servers[0].infos.has_players || message.servers[0].infos.has_erase);
    assert_text("id", message.servers[1].id, "b");
    assert_int_equal(message.servers[1].port, 0);
    lobby_message_free(&message);
    assert_false(lobby_read(B("{\"type\":\"up\",\"server\":{\"ip\":\"1.2.3.4\"}}"),
                            LOBBY_FROM_TRACKER, &limits, &message, &error));
    assert_string_equal(error.detail.text, "server.id: is missing");
    assert_false(lobby_read(B("{\"type\":\"servers\",\"servers\":[{\"id\":\"a\"},5]}"),
                            LOBBY_FROM_TRACKER, &limits, &message, &error));
    assert_string_equal(error.detail.text, "servers[1]: an object is expected");
    assert_null(message.servers);
    assert_false(
        lobby_read(B("{\"type\":\"login\"}"), LOBBY_FROM_TRACKER, &limits, &message, &error));
    assert_int_equal(error.code, LOBBY_CODE_UNKNOWN_TYPE);
}

static void check_list(size_t count, size_t limit, size_t wanted_left_out)
{
    struct lobby_server *servers = mem_zalloc(count + 1, sizeof *servers);
    char(*ids)[24] = mem_zalloc(count + 1, sizeof *ids);
    size_t at = 0, left_out = 0, seen = 0;
    struct writer to = {0};
    bool more = true;

    for (size_t i = 0; i < count; i++) {
        (void)snprintf(ids[i], sizeof ids[i], "%zu", i);
        servers[i] = server_of(ids[i], i % 5);
    }
    while (more) {
        struct lobby_message message;

        writer_reset(&to);
        at += lobby_write_servers(&to, servers + at, count - at, limit, &left_out);
        assert_false(to.failed);
        assert_true(to.len <= limit + 1);
        must_read(writer_bytes_written(&to), LOBBY_FROM_TRACKER, &message);
        more = message.more;
        assert_int_equal(more, at < count);
        assert_true(!more || message.server_count > 0);
        for (size_t i = 0; wanted_left_out == 0 && i < message.server_count; i++) {
            assert_text("id", message.servers[i].id, ids[seen + i]);
        }
        seen += message.server_count;
        lobby_message_free(&message);
    }
    assert_int_equal(at, count);
    assert_int_equal(left_out, wanted_left_out);
    assert_int_equal(seen, count - left_out);
    writer_free(&to);
    free(servers);
    free(ids);
}

static void test_lists(void **state)
{
    for (size_t limit = 260; limit < 700; limit++) {
        check_list(7, limit, 0);
    }
    check_list(0, 40, 0);
    check_list(1, LOBBY_LINE_MAX, 0);
    check_list(500, LOBBY_LINE_MAX, 0);
    check_list(3, 100, 3); /* too little for any */
}

/* Messages of servers that are kept written say the same as those of servers. */
static void test_messages_of_texts(void **state)
{
    struct lobby_server servers[9];
    struct bytes texts[9];
    struct writer written[9] = {{0}}, one = {0}, other = {0};
    char ids[9][4];

    for (size_t i = 0; i < 9; i++) {
        (void)snprintf(ids[i], sizeof ids[i], "%zu", i);
        servers[i] = server_of(ids[i], i % 5);
        lobby_write_server(&written[i], &servers[i]);
        texts[i] = writer_bytes_written(&written[i]);
        for (enum lobby_type type = LOBBY_UP; type <= LOBBY_DOWN; type++) {
            writer_reset(&one);
            writer_reset(&other);
            lobby_write_change(&one, type, &servers[i]);
            lobby_write_change_of(&other, type, texts[i]);
            assert_true(bytes_equal(writer_bytes_written(&one), writer_bytes_written(&other)));
        }
    }
    for (size_t count = 0; count <= 9; count++) {
        for (size_t limit = 300; limit < 1500; limit += 7) {
            size_t left_out = 0, done;

            writer_reset(&one);
            writer_reset(&other);
            done = lobby_write_servers(&one, servers, count, limit, &left_out);
            assert_int_equal(left_out, 0);
            assert_int_equal(lobby_write_servers_of(&other, texts, count, limit), done);
            assert_true(bytes_equal(writer_bytes_written(&one), writer_bytes_written(&other)));
        }
    }
    for (size_t i = 0; i < 9; i++) {
        writer_free(&written[i]);
    }
    writer_free(&one);
    writer_free(&other);
}

/* The largest that may be kept fits a line of either kind. */
static void test_the_largest_text(void **state)
{
    char *text = mem_alloc(LOBBY_SERVER_MAX + 1);
    const struct bytes server = {(const uint8_t *)text, LOBBY_SERVER_MAX};
    struct bytes two[] = {server, server};
    struct writer to = {0};

    memset(text, ' ', LOBBY_SERVER_MAX);
    lobby_write_change_of(&to, LOBBY_CHANGED, server);
    assert_true(to.len <= LOBBY_LINE_MAX + 1);
    writer_reset(&to);
    assert_int_equal(lobby_write_servers_of(&to, two, 2, LOBBY_LINE_MAX), 1);
    assert_true(to.len <= LOBBY_LINE_MAX + 1);
    writer_free(&to);
    free(text);
}

/* What another front-end may have stored is not valid JSON, or not UTF-8: left out, and the rest is
 * sent. */
static void test_unwritable(void **state)
{
    static const struct lobby_property bad = {B("x"), B("nonsense")};
    struct lobby_server servers[] = {server_of("a", 1), server_of("b", 1), server_of("\xff", 1)};
    struct writer to = {0};
    size_t left_out = 0;
    struct lobby_message message;

    servers[1].infos.properties = &bad;
    assert_int_equal(lobby_write_servers(&to, servers, 3, LOBBY_LINE_MAX, &left_out), 3);
    assert_int_equal(left_out, 2);
    must_read(writer_bytes_written(&to), LOBBY_FROM_TRACKER, &message);
    assert_int_equal(message.server_count, 1);
    lobby_message_free(&message);
    writer_reset(&to);
    lobby_write_change(&to, LOBBY_UP, &servers[1]);
    assert_true(to.failed);
    writer_free(&to);
}

/* A server whose infos are as large as they may be fits a line when it is listed. */
static void test_largest(void **state)
{
    struct lobby_property *large = mem_zalloc(limits.properties, sizeof *large);
    struct lobby_server server = server_of("[2001:db8:1234:5678:9abc:def0:1234:5678]:65535", 0);
    struct lobby_message message;
    struct writer infos = {0}, value = {0}, to = {0};
    size_t left_out = 0;

    writer_u8(&value, '"');
    for (size_t i = 0; i < limits.total - 4; i++) {
        writer_u8(&value, 'x');
    }
    writer_u8(&value, '"');
    large[0] = (struct lobby_property){B("xx"), writer_bytes_written(&value)};
    lobby_write_infos(&infos, large, 1);
    assert_true(infos.len <= LOBBY_LINE_MAX);
    must_read((struct bytes){infos.data, infos.len - 1}, LOBBY_FROM_PEER, &message);
    server.infos = message.infos;
    server.ip = B("2001:db8:1234:5678:9abc:def0:1234:5678");
    assert_int_equal(lobby_write_servers(&to, &server, 1, LOBBY_LINE_MAX, &left_out), 1);
    assert_int_equal(left_out, 0);
    lobby_message_free(&message);
    writer_free(&infos);
    writer_free(&value);
    writer_free(&to);
    free(large);
}

static void check_bad(const char *code, const char *text, struct bytes input)
{
    struct lobby_limits small = limits;
    struct lobby_message message;
    struct lobby_error error;
    struct writer to = {0};
    struct json_document *document;

    small.json.bytes = 256;
    small.properties = 8;
    small.name = 12;
    small.total = 96;
    small.description = 16;
    small.version = 8;
    small.password = 8;
    if (lobby_read(input, LOBBY_FROM_PEER, &small, &message, &error)) {
        fail_msg("accepted: %.*s", (int)input.len, (const char *)input.data);
    }
    assert_null(message.document);
    assert_null(message.properties);
    if (strcmp(lobby_code_name(error.code), code) != 0 || strcmp(error.detail.text, text) != 0) {
        fail_msg("%.*s: %s, %s; not %s, %s", (int)input.len, (const char *)input.data,
                 lobby_code_name(error.code), error.detail.text, code, text);
    }
    lobby_write_error(&to, error.code, error.detail.text);
    assert_false(to.failed);
    document = must_parse(writer_bytes_written(&to));
    json_document_free(&document);
    writer_free(&to);
}

static void test_corpus(void **state)
{
    assert_true(each_case("lobby_bad.txt", check_bad) >= 70);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_login),
        cmocka_unit_test(test_infos),
        cmocka_unit_test(test_null),
        cmocka_unit_test(test_whole_numbers_with_fractions),
        cmocka_unit_test(test_counted),
        cmocka_unit_test(test_welcome_and_error),
        cmocka_unit_test(test_change),
        cmocka_unit_test(test_lenient),
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_messages_of_texts),
        cmocka_unit_test(test_the_largest_text),
        cmocka_unit_test(test_unwritable),
        cmocka_unit_test(test_largest),
        cmocka_unit_test(test_corpus),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
