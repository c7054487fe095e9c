/* gameserver: entries as clients of both protocols see them, and properties written as fields. */
#include "protocol/gameserver/gameserver.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"
#include "schema/event.h"

static struct bytes text(const char *string)
{
    return bytes_from_string(string);
}

/* "protocol=lobby p:x=1", values in a list that ends with NULL: name, value, name, value. */
static bool read_list(struct gameserver *gameserver, const char *id, const char *const *list)
{
    static struct map_field fields[64];
    size_t count = 0;

    for (; list[2 * count]; count++) {
        fields[count] = (struct map_field){text(list[2 * count]), text(list[2 * count + 1])};
    }
    return gameserver_read_fields(text(id), fields, count, gameserver);
}

#define READ(gameserver, id, ...)                                                                  \
    read_list(gameserver, id, (const char *const[]){__VA_ARGS__, NULL})

#define assert_bytes(value, string)                                                                \
    do {                                                                                           \
        struct bytes found_ = (value);                                                             \
        assert_non_null(found_.data);                                                              \
        if (!bytes_equal(found_, text(string)))                                                    \
            fail_msg("%.*s is not %s", (int)found_.len, (const char *)found_.data, string);        \
    } while (0)

static void test_of_the_lobby(void **state)
{
    struct gameserver gameserver;

    assert_true(READ(&gameserver, "203.0.113.7:23460", "protocol", "lobby", "since",
                     "1700000000000", "node", "abc", "p:speed", "\"fast\"", "p:size", "\"big\"",
                     "p:erase", "true", "p:description", "\"a \\\"b\\\" \\u00e4\"", "p:version",
                     "\"0.70\"", "p:players", "3", "p:further", "1.5"));
    assert_bytes(gameserver.server.id, "203.0.113.7:23460");
    assert_bytes(gameserver.server.ip, "203.0.113.7");
    assert_int_equal(gameserver.server.port, 23460);
    assert_int_equal(gameserver.server.since, 1700000000000);
    assert_int_equal(gameserver.server.state, LOBBY_LIVE);
    assert_int_equal(gameserver.server.infos.property_count, 7);
    assert_bytes(gameserver.server.infos.speed, "fast");
    assert_bytes(gameserver.server.infos.size, "big");
    assert_bytes(gameserver.server.infos.description, "a \"b\" \xc3\xa4");
    assert_bytes(gameserver.server.infos.version, "0.70");
    assert_true(gameserver.server.infos.has_erase && gameserver.server.infos.erase);
    assert_true(gameserver.server.infos.has_players);
    assert_int_equal(gameserver.server.infos.players, 3);
    assert_false(gameserver.in_master);
    assert_bytes(gameserver_text(&gameserver, "further"), "1.5");
    assert_null(gameserver_text(&gameserver, "nothing").data);
    gameserver_free(&gameserver);
}

static void test_suspect(void **state)
{
    struct gameserver gameserver;

    assert_true(READ(&gameserver, "[2001:db8::7]:1", "protocol", "lobby", "suspect", "1"));
    assert_int_equal(gameserver.server.state, LOBBY_SUSPECT);
    assert_bytes(gameserver.server.ip, "2001:db8::7");
    gameserver_free(&gameserver);
    assert_true(READ(&gameserver, "[2001:db8::7]:1", "protocol", "lobby", "suspect", "0"));
    assert_int_equal(gameserver.server.state, LOBBY_LIVE);
    gameserver_free(&gameserver);
}

static void test_of_the_lobby_in_the_master(void **state)
{
    static const struct {
        const char *name, *value;
        bool is_in;
        int protocol;
    } cases[] = {
        {"p:game", "\"Xonotic\"", true, 3},    {"p:gamename", "\"Xonotic\"", true, 3},
        {"p:game", "\"two words\"", false, 0}, {"p:game", "7", true, 3},
        {"p:game", "\"\"", false, 0},          {"p:other", "\"Xonotic\"", false, 0},
    };
    struct gameserver gameserver;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_true(READ(&gameserver, "10.0.0.1:5", "protocol", "lobby", cases[i].name,
                         cases[i].value, "p:protocol", "3", "p:players", "4", "p:max_players",
                         "4"));
        assert_int_equal(gameserver.in_master, cases[i].is_in);
        if (cases[i].is_in) {
            assert_int_equal(gameserver.master.protocol, cases[i].protocol);
            assert_bytes(gameserver.master.gametype, "0");
            assert_int_equal(gameserver.master.address.port, 5);
            assert_true(q3master_is_full(&gameserver.master));
        }
        gameserver_free(&gameserver);
    }
    assert_true(READ(&gameserver, "10.0.0.1:5", "protocol", "lobby", "p:game", "\"a\"",
                     "p:protocol", "\"71\"", "p:players", "4000000", "p:gametype", "4"));
    assert_true(gameserver.in_master);
    assert_int_equal(gameserver.master.protocol, 71);
    assert_bytes(gameserver.master.gametype, "4");
    assert_false(q3master_is_full(&gameserver.master));
    gameserver_free(&gameserver);
    assert_true(READ(&gameserver, "10.0.0.1:5", "protocol", "lobby", "p:game", "\"a\"",
                     "p:protocol", "\"x\""));
    assert_false(gameserver.in_master);
    gameserver_free(&gameserver);
}

static void test_of_the_master(void **state)
{
    struct gameserver gameserver;

    assert_true(READ(&gameserver, "10.0.0.1:27960", "protocol", "q3master", "p:gamename",
                     "\"Quake3Arena\"", "p:protocol", "\"68\"", "p:hostname", "\"^1Red^7 \\\\o/\"",
                     "p:clients", "\"2\"", "p:sv_maxclients", "\"8\"", "p:mapname", "\"q3dm1\"",
                     "p:players", "\"forged\"", "p:description", "\"forged\"", "p:id", "\"x\""));
    assert_true(gameserver.in_master);
    assert_bytes(gameserver.master.game, "Quake3Arena");
    assert_int_equal(gameserver.master.protocol, 68);
    assert_int_equal(gameserver.master.clients, 2);
    assert_int_equal(gameserver.master.max_clients, 8);
    assert_bytes(gameserver.server.infos.description, "Red \\o/");
    assert_true(gameserver.server.infos.has_players);
    assert_int_equal(gameserver.server.infos.players, 2);
    assert_bytes(gameserver_text(&gameserver, "max_players"), "8");
    assert_bytes(gameserver_text(&gameserver, "map"), "q3dm1");
    assert_bytes(gameserver_text(&gameserver, "game"), "Quake3Arena");
    assert_bytes(gameserver_text(&gameserver, "hostname"), "^1Red^7 \\o/");
    assert_null(gameserver_text(&gameserver, "id").data);
    /* Each name is written once; otherwise no reader accepts the line. */
    for (size_t i = 0; i < gameserver.server.infos.property_count; i++) {
        for (size_t j = 0; j < i; j++) {
            assert_false(bytes_equal(gameserver.properties[i].name, gameserver.properties[j].name));
        }
    }
    struct writer line = {0};
    lobby_write_change(&line, LOBBY_UP, &gameserver.server);
    assert_false(line.failed);
    writer_free(&line);
    gameserver_free(&gameserver);
}

static void test_entries_that_are_not_game_servers(void **state)
{
    struct gameserver gameserver;

    assert_false(READ(&gameserver, "10.0.0.1:1", "protocol", "sync"));
    assert_false(READ(&gameserver, "10.0.0.1:1", "p:speed", "\"fast\""));
    assert_false(READ(&gameserver, "10.0.0.1", "protocol", "lobby"));
    assert_false(READ(&gameserver, "10.0.0.1:0", "protocol", "lobby"));
    assert_false(READ(&gameserver, "abcdefg", "protocol", "q3master"));
    assert_false(READ(&gameserver,
                      "1234567890123456789012345678901234567890123456789012345678901234:1",
                      "protocol", "lobby"));
}

/* Redis is a peer. */
static void test_malformed_fields_are_ignored(void **state)
{
    struct gameserver gameserver;

    assert_true(READ(&gameserver, "10.0.0.1:1", "protocol", "lobby", "since", "x", "p:", "1", "p:a",
                     "[1]", "p:b", "null", "p:c", "\"open", "p:\xff", "1", "p:d", "", "p:state",
                     "\"live\"", "p:erase", "1", "p:players", "-1", "p:speed", "7"));
    assert_int_equal(gameserver.server.since, 0);
    assert_int_equal(gameserver.server.infos.property_count, 3);
    assert_false(gameserver.server.infos.has_erase);
    assert_false(gameserver.server.infos.has_players);
    assert_null(gameserver.server.infos.speed.data);
    gameserver_free(&gameserver);
}

/* The fields that were written, as "name=value name=value"; a deletion has no "=". */
static void assert_fields(const struct gameserver_fields *fields, const char *expected)
{
    struct writer all = {0};

    for (size_t i = 0; i < fields->count; i++) {
        const struct map_field *field = &fields->fields[i];

        writer_format(&all, "%s%.*s", i > 0 ? " " : "", (int)field->name.len,
                      (const char *)field->name.data);
        if (field->value.data) {
            writer_format(&all, "=%.*s", (int)field->value.len, (const char *)field->value.data);
        }
    }
    writer_u8(&all, 0);
    assert_string_equal((const char *)all.data, expected);
    writer_free(&all);
}

static void test_infos_as_fields(void **state)
{
    const struct lobby_property properties[] = {
        {text("speed"), text("\"fast\"")}, {text("id"), text("\"x\"")}, {text("n"), text("1")}};
    const struct lobby_infos infos = {.properties = properties, .property_count = 3};
    struct gameserver_fields fields = {0};

    for (int i = 0; i < 2; i++) {
        gameserver_fields_from_infos(&fields, &infos, text("caf\xe9"));
        assert_fields(&fields, "p:speed=\"fast\" p:n=1 original=caf\xe9");
    }
    gameserver_fields_from_infos(&fields, &(struct lobby_infos){0}, (struct bytes){0});
    assert_int_equal(fields.count, 0);
    gameserver_fields_free(&fields);
}

static void test_an_infostring_as_fields(void **state)
{
    const struct q3master_info info = {
        .infostring = text(
            "\\challenge\\12345678\\hostname\\a\"\xe4\\clients\\1\\clients\\2\\gamename\\forged")};
    struct gameserver_fields fields = {0};

    gameserver_fields_from_info(&fields, &info, text("et"), true);
    assert_fields(&fields,
                  "p:gamename=\"et\" p:hostname=\"a\\\"\xc3\xa4\" p:clients=\"1\" implied=1");
    gameserver_fields_free(&fields);
}

static void test_two_keys_that_become_one(void **state)
{
    const struct q3master_info info = {.infostring = text("\\a\x01\\1\\a\x02\\2")};
    struct gameserver_fields fields = {0};

    gameserver_fields_from_info(&fields, &info, text("g"), false);
    assert_fields(&fields, "p:gamename=\"g\" p:a =\"1\" implied=0");
    gameserver_fields_free(&fields);
}

static void write_pair(struct writer *to, const char *name, const char *value)
{
    writer_format(to, "%zu %zu\n%s%s", strlen(name), strlen(value), name, value);
}

static void test_differences(void **state)
{
    const struct lobby_property properties[] = {
        {text("same"), text("1")}, {text("other"), text("2")}, {text("new"), text("3")}};
    const struct lobby_infos infos = {.properties = properties, .property_count = 3};
    struct gameserver_fields wanted = {0}, difference = {0};
    struct writer present = {0};

    write_pair(&present, "p:gone", "9");
    write_pair(&present, "p:same", "1");
    write_pair(&present, "p:other", "1");
    write_pair(&present, "suspect", "1");
    gameserver_fields_from_infos(&wanted, &infos, (struct bytes){0});
    gameserver_fields_from_difference(&difference, writer_bytes_written(&present), &wanted);
    assert_fields(&difference, "p:gone p:other=2 p:new=3");
    gameserver_fields_from_difference(&difference, (struct bytes){0}, &wanted);
    assert_fields(&difference, "p:same=1 p:other=2 p:new=3");
    writer_free(&present);
    gameserver_fields_free(&wanted);
    gameserver_fields_free(&difference);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_of_the_lobby),
        cmocka_unit_test(test_suspect),
        cmocka_unit_test(test_of_the_lobby_in_the_master),
        cmocka_unit_test(test_of_the_master),
        cmocka_unit_test(test_entries_that_are_not_game_servers),
        cmocka_unit_test(test_malformed_fields_are_ignored),
        cmocka_unit_test(test_infos_as_fields),
        cmocka_unit_test(test_an_infostring_as_fields),
        cmocka_unit_test(test_two_keys_that_become_one),
        cmocka_unit_test(test_differences),
    };

    random_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
