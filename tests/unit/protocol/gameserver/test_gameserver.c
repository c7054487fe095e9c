/* listed: entries read in the words of both kinds of client, and what servers say written as
 * fields. */
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
static bool read_list(struct listed *listed, const char *id, const char *const *list)
{
    static struct map_field fields[64];
    size_t count = 0;

    for (; list[2 * count] != NULL; count++)
        fields[count] = (struct map_field){text(list[2 * count]), text(list[2 * count + 1])};
    return listed_read_fields(text(id), fields, count, listed);
}

#define READ(listed, id, ...) read_list(listed, id, (const char *const[]){__VA_ARGS__, NULL})

#define assert_bytes(value, string)                                                                \
    do {                                                                                           \
        struct bytes found_ = (value);                                                             \
        assert_non_null(found_.data);                                                              \
        if (!bytes_equal(found_, text(string)))                                                    \
            fail_msg("%.*s is not %s", (int)found_.len, (const char *)found_.data, string);        \
    } while (0)

static void test_of_the_lobby(void **state)
{
    struct listed listed;

    assert_true(READ(&listed, "203.0.113.7:23460", "protocol", "lobby", "since", "1700000000000",
                     "node", "abc", "p:speed", "\"fast\"", "p:size", "\"big\"", "p:erase", "true",
                     "p:description", "\"a \\\"b\\\" \\u00e4\"", "p:version", "\"0.70\"",
                     "p:players", "3", "p:further", "1.5"));
    assert_bytes(listed.server.id, "203.0.113.7:23460");
    assert_bytes(listed.server.ip, "203.0.113.7");
    assert_int_equal(listed.server.port, 23460);
    assert_int_equal(listed.server.since, 1700000000000);
    assert_int_equal(listed.server.state, LOBBY_LIVE);
    assert_int_equal(listed.server.infos.property_count, 7);
    assert_bytes(listed.server.infos.speed, "fast");
    assert_bytes(listed.server.infos.size, "big");
    assert_bytes(listed.server.infos.description, "a \"b\" \xc3\xa4");
    assert_bytes(listed.server.infos.version, "0.70");
    assert_true(listed.server.infos.has_erase && listed.server.infos.erase);
    assert_true(listed.server.infos.has_players);
    assert_int_equal(listed.server.infos.players, 3);
    assert_false(listed.in_master);
    assert_bytes(listed_text(&listed, "further"), "1.5");
    assert_null(listed_text(&listed, "nothing").data);
    listed_free(&listed);
}

static void test_suspect(void **state)
{
    struct listed listed;

    assert_true(READ(&listed, "[2001:db8::7]:1", "protocol", "lobby", "suspect", "1"));
    assert_int_equal(listed.server.state, LOBBY_SUSPECT);
    assert_bytes(listed.server.ip, "2001:db8::7");
    listed_free(&listed);
    assert_true(READ(&listed, "[2001:db8::7]:1", "protocol", "lobby", "suspect", "0"));
    assert_int_equal(listed.server.state, LOBBY_LIVE);
    listed_free(&listed);
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
    struct listed listed;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_true(READ(&listed, "10.0.0.1:5", "protocol", "lobby", cases[i].name, cases[i].value,
                         "p:protocol", "3", "p:players", "4", "p:max_players", "4"));
        assert_int_equal(listed.in_master, cases[i].is_in);
        if (cases[i].is_in) {
            assert_int_equal(listed.master.protocol, cases[i].protocol);
            assert_bytes(listed.master.gametype, "0");
            assert_int_equal(listed.master.address.port, 5);
            assert_true(q3master_is_full(&listed.master));
        }
        listed_free(&listed);
    }
    assert_true(READ(&listed, "10.0.0.1:5", "protocol", "lobby", "p:game", "\"a\"", "p:protocol",
                     "\"71\"", "p:players", "4000000", "p:gametype", "4"));
    assert_true(listed.in_master);
    assert_int_equal(listed.master.protocol, 71);
    assert_bytes(listed.master.gametype, "4");
    assert_false(q3master_is_full(&listed.master));
    listed_free(&listed);
    assert_true(
        READ(&listed, "10.0.0.1:5", "protocol", "lobby", "p:game", "\"a\"", "p:protocol", "\"x\""));
    assert_false(listed.in_master);
    listed_free(&listed);
}

static void test_of_the_master(void **state)
{
    struct listed listed;

    assert_true(READ(&listed, "10.0.0.1:27960", "protocol", "q3master", "p:gamename",
                     "\"Quake3Arena\"", "p:protocol", "\"68\"", "p:hostname", "\"^1Red^7 \\\\o/\"",
                     "p:clients", "\"2\"", "p:sv_maxclients", "\"8\"", "p:mapname", "\"q3dm1\"",
                     "p:players", "\"forged\"", "p:description", "\"forged\"", "p:id", "\"x\""));
    assert_true(listed.in_master);
    assert_bytes(listed.master.game, "Quake3Arena");
    assert_int_equal(listed.master.protocol, 68);
    assert_int_equal(listed.master.clients, 2);
    assert_int_equal(listed.master.max_clients, 8);
    assert_bytes(listed.server.infos.description, "Red \\o/");
    assert_true(listed.server.infos.has_players);
    assert_int_equal(listed.server.infos.players, 2);
    assert_bytes(listed_text(&listed, "max_players"), "8");
    assert_bytes(listed_text(&listed, "map"), "q3dm1");
    assert_bytes(listed_text(&listed, "game"), "Quake3Arena");
    assert_bytes(listed_text(&listed, "hostname"), "^1Red^7 \\o/");
    assert_null(listed_text(&listed, "id").data);
    /* Each name stands once, or no reader takes the line. */
    for (size_t i = 0; i < listed.server.infos.property_count; i++) {
        for (size_t j = 0; j < i; j++)
            assert_false(bytes_equal(listed.properties[i].name, listed.properties[j].name));
    }
    struct writer line = {0};
    lobby_write_change(&line, LOBBY_UP, &listed.server);
    assert_false(line.failed);
    writer_free(&line);
    listed_free(&listed);
}

static void test_what_is_no_server(void **state)
{
    struct listed listed;

    assert_false(READ(&listed, "10.0.0.1:1", "protocol", "sync"));
    assert_false(READ(&listed, "10.0.0.1:1", "p:speed", "\"fast\""));
    assert_false(READ(&listed, "10.0.0.1", "protocol", "lobby"));
    assert_false(READ(&listed, "10.0.0.1:0", "protocol", "lobby"));
    assert_false(READ(&listed, "abcdefg", "protocol", "q3master"));
    assert_false(READ(&listed, "1234567890123456789012345678901234567890123456789012345678901234:1",
                      "protocol", "lobby"));
}

/* Whoever can write into Redis can write anything. */
static void test_fields_that_make_no_sense_are_left_out(void **state)
{
    struct listed listed;

    assert_true(READ(&listed, "10.0.0.1:1", "protocol", "lobby", "since", "x", "p:", "1", "p:a",
                     "[1]", "p:b", "null", "p:c", "\"open", "p:\xff", "1", "p:d", "", "p:state",
                     "\"live\"", "p:erase", "1", "p:players", "-1", "p:speed", "7"));
    assert_int_equal(listed.server.since, 0);
    assert_int_equal(listed.server.infos.property_count, 3);
    assert_false(listed.server.infos.has_erase);
    assert_false(listed.server.infos.has_players);
    assert_null(listed.server.infos.speed.data);
    listed_free(&listed);
}

/* What field writers made, as "name=value name=value"; a deletion has no "=". */
static void assert_fields(const struct listed_fields *fields, const char *expected)
{
    struct writer all = {0};

    for (size_t i = 0; i < fields->count; i++) {
        const struct map_field *field = &fields->fields[i];

        writer_format(&all, "%s%.*s", i > 0 ? " " : "", (int)field->name.len,
                      (const char *)field->name.data);
        if (field->value.data != NULL)
            writer_format(&all, "=%.*s", (int)field->value.len, (const char *)field->value.data);
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
    struct listed_fields fields = {0};

    for (int i = 0; i < 2; i++) {
        listed_fields_from_infos(&fields, &infos, text("caf\xe9"));
        assert_fields(&fields, "p:speed=\"fast\" p:n=1 original=caf\xe9");
    }
    listed_fields_from_infos(&fields, &(struct lobby_infos){0}, (struct bytes){0});
    assert_int_equal(fields.count, 0);
    listed_fields_free(&fields);
}

static void test_an_infostring_as_fields(void **state)
{
    const struct q3master_info info = {
        .infostring = text(
            "\\challenge\\12345678\\hostname\\a\"\xe4\\clients\\1\\clients\\2\\gamename\\forged")};
    struct listed_fields fields = {0};

    listed_fields_from_info(&fields, &info, text("et"), true);
    assert_fields(&fields,
                  "p:gamename=\"et\" p:hostname=\"a\\\"\xc3\xa4\" p:clients=\"1\" implied=1");
    listed_fields_free(&fields);
}

static void test_two_keys_that_become_one(void **state)
{
    const struct q3master_info info = {.infostring = text("\\a\x01\\1\\a\x02\\2")};
    struct listed_fields fields = {0};

    listed_fields_from_info(&fields, &info, text("g"), false);
    assert_fields(&fields, "p:gamename=\"g\" p:a =\"1\" implied=0");
    listed_fields_free(&fields);
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
    struct listed_fields wanted = {0}, difference = {0};
    struct writer present = {0};

    write_pair(&present, "p:gone", "9");
    write_pair(&present, "p:same", "1");
    write_pair(&present, "p:other", "1");
    write_pair(&present, "suspect", "1");
    listed_fields_from_infos(&wanted, &infos, (struct bytes){0});
    listed_fields_from_difference(&difference, writer_bytes_written(&present), &wanted);
    assert_fields(&difference, "p:gone p:other=2 p:new=3");
    listed_fields_from_difference(&difference, (struct bytes){0}, &wanted);
    assert_fields(&difference, "p:same=1 p:other=2 p:new=3");
    writer_free(&present);
    listed_fields_free(&wanted);
    listed_fields_free(&difference);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_of_the_lobby),
        cmocka_unit_test(test_suspect),
        cmocka_unit_test(test_of_the_lobby_in_the_master),
        cmocka_unit_test(test_of_the_master),
        cmocka_unit_test(test_what_is_no_server),
        cmocka_unit_test(test_fields_that_make_no_sense_are_left_out),
        cmocka_unit_test(test_infos_as_fields),
        cmocka_unit_test(test_an_infostring_as_fields),
        cmocka_unit_test(test_two_keys_that_become_one),
        cmocka_unit_test(test_differences),
    };

    random_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
