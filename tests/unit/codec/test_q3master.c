/* What is sent to a Quake III master: each rule, good and bad, in whole and in part; and the
 * filter. */
#include "codec/json_case.h"

#include "codec/infostring.h"
#include "codec/q3master.h"

#define OOB  "\xff\xff\xff\xff"
#define A31  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define A62  A31 A31
#define LONG "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" /* 64 */

static enum q3master_error read_copy(struct bytes packet, struct q3master_message *message,
                                     struct bytes *copy)
{
    *copy = exact_copy(packet);
    return q3master_read(*copy, message);
}

static void test_integers(void **state)
{
    static const struct {
        const char *text;
        bool good;
        int32_t value;
    } integers[] = {
        {"68", true, 68},
        {"0", true, 0},
        {"-1", true, -1},
        {"+5", true, 5},
        {"00", true, 0},
        {"0104", true, 68},
        {"0x44", true, 68},
        {"0X44", true, 68},
        {"-0xA", true, -10},
        {" 68", true, 68},
        {"\t\n68", true, 68},
        {"2147483647", true, INT32_MAX},
        {"-2147483648", true, INT32_MIN},
        {"2147483648", false, 0},
        {"-2147483649", false, 0},
        {"99999999999999999999999999", false, 0},
        {"0xffffffff", false, 0},
        {"", false, 0},
        {" ", false, 0},
        {"-", false, 0},
        {"68 ", false, 0},
        {"68\n", false, 0},
        {"4TheFun", false, 0},
        {"08", false, 0},
        {"0x", false, 0},
        {"0xg", false, 0},
        {"6.8", false, 0},
        {"--1", false, 0},
        {"- 1", false, 0},
        {"1e3", false, 0},
        {"ff", false, 0},
    };

    for (size_t i = 0; i < COUNT(integers); i++) {
        const struct bytes copy = exact_copy(S(integers[i].text));
        int32_t value = 0;

        if (q3master_parse_integer(copy, &value) != integers[i].good) {
            fail_msg("\"%s\"", integers[i].text);
        }
        if (integers[i].good) {
            assert_int_equal(value, integers[i].value);
        }
        free((void *)copy.data);
    }
}

static void test_packets(void **state)
{
    static const struct {
        struct bytes packet;
        enum q3master_error error;
    } packets[] = {
        {B(""), Q3MASTER_ERROR_LENGTH},
        {B(OOB), Q3MASTER_ERROR_LENGTH},
        {B(OOB "x"), Q3MASTER_ERROR_UNKNOWN},
        {B(OOB "\0"), Q3MASTER_ERROR_UNKNOWN},
        {B("\xff\xff\xff\xfe"
           "heartbeat DarkPlaces\n"),
         Q3MASTER_ERROR_HEADER},
        {B("heartbeat DarkPlaces\n"), Q3MASTER_ERROR_HEADER},
        {B(OOB "heartbeat"), Q3MASTER_ERROR_UNKNOWN},
        {B(OOB "heartbeatDarkPlaces\n"), Q3MASTER_ERROR_UNKNOWN},
        {B(OOB "Heartbeat DarkPlaces\n"), Q3MASTER_ERROR_UNKNOWN},
        {B(OOB " heartbeat DarkPlaces\n"), Q3MASTER_ERROR_UNKNOWN},
        {B(OOB "infoResponse \\a\\b"), Q3MASTER_ERROR_UNKNOWN},
        {B(OOB "infoResponse"), Q3MASTER_ERROR_UNKNOWN},
        {B(OOB "getservers"), Q3MASTER_ERROR_UNKNOWN},
        {B(OOB "getserversExt"), Q3MASTER_ERROR_UNKNOWN},
        {B(OOB "getserversext Xonotic 3"), Q3MASTER_ERROR_UNKNOWN},
        {B(OOB "getserversResponse"), Q3MASTER_ERROR_UNKNOWN},
        {B(OOB "getinfo abcdefgh"), Q3MASTER_ERROR_UNKNOWN},
        {B(OOB "heart\0beat DarkPlaces\n"), Q3MASTER_ERROR_UNKNOWN},
    };
    struct q3master_message message;
    struct bytes copy;
    uint8_t big[Q3MASTER_PACKET_MAX + 1];

    for (size_t i = 0; i < COUNT(packets); i++) {
        if (read_copy(packets[i].packet, &message, &copy) != packets[i].error) {
            fail_msg("packet %zu", i);
        }
        free((void *)copy.data);
    }
    memset(big, ' ', sizeof big);
    memcpy(big, OOB "getservers 68", 17);
    assert_int_equal(q3master_read((struct bytes){big, sizeof big - 1}, &message), Q3MASTER_OK);
    assert_int_equal(q3master_read((struct bytes){big, sizeof big}, &message),
                     Q3MASTER_ERROR_LENGTH);
}

static void test_heartbeat(void **state)
{
    static const struct {
        const char *packet, *tag; /* NULL: refused */
    } packets[] = {
        {OOB "heartbeat DarkPlaces\n", "DarkPlaces"},
        {OOB "heartbeat QuakeArena-1\n", "QuakeArena-1"},
        {OOB "heartbeat QuakeArena-1", "QuakeArena-1"},
        {OOB "heartbeat  \t Wolfenstein-1 more\n", "Wolfenstein-1"},
        {OOB "heartbeat ETFlatline-1\r\n", "ETFlatline-1"},
        {OOB "heartbeat " A62 "b\n", A62 "b"},
        {OOB "heartbeat " LONG "\n", NULL},
        {OOB "heartbeat \n", NULL},
        {OOB "heartbeat ", NULL},
    };

    for (size_t i = 0; i < COUNT(packets); i++) {
        struct q3master_message message;
        struct bytes copy;
        const enum q3master_error error = read_copy(S(packets[i].packet), &message, &copy);

        assert_int_equal(error, packets[i].tag ? Q3MASTER_OK : Q3MASTER_ERROR_TAG);
        assert_int_equal(message.type, Q3MASTER_HEARTBEAT);
        if (packets[i].tag) {
            assert_text("tag", message.tag, packets[i].tag);
        }
        free((void *)copy.data);
    }
}

struct query {
    const char *packet;
    enum q3master_error error;
    const char *game; /* NULL: none */
    int32_t protocol;
    const char *options; /* e empty, f full, 4, 6 */
    const char *gametype;
};

static const struct query queries[] = {
    {OOB "getservers 67", .protocol = 67, .options = "4"},
    {OOB "getservers 67 ffa empty full", .protocol = 67, .options = "ef4", .gametype = "0"},
    {OOB "getservers 67 tourney", .protocol = 67, .options = "4", .gametype = "1"},
    {OOB "getservers 67 team", .protocol = 67, .options = "4", .gametype = "3"},
    {OOB "getservers 67 ctf full", .protocol = 67, .options = "f4", .gametype = "4"},
    {OOB "getservers Nexuiz 3", .game = "Nexuiz", .protocol = 3, .options = "4"},
    {OOB "getservers qfusion 39 full", .game = "qfusion", .protocol = 39, .options = "f4"},
    {OOB "getservers 4TheFun 3 empty", .game = "4TheFun", .protocol = 3, .options = "e4"},
    {OOB "getservers 08 3", .game = "08", .protocol = 3, .options = "4"},
    {OOB "getservers -1", .protocol = -1, .options = "4"},
    {OOB "getservers 0x44", .protocol = 68, .options = "4"},
    {OOB "getservers   68   full  ", .protocol = 68, .options = "f4"},
    {OOB "getservers 68 full\n", .protocol = 68, .options = "f4"},
    {OOB "getservers 68 67", .protocol = 68, .options = "4"},
    {OOB "getservers 68 Full EMPTY demo gametype ffa2", .protocol = 68, .options = "4"},
    {OOB "getservers 68 ipv6", .protocol = 68, .options = "4"},
    {OOB "getservers 68 gametype=tdm", .protocol = 68, .options = "4", .gametype = "tdm"},
    {OOB "getservers 68 ffa gametype=2 ctf", .protocol = 68, .options = "4", .gametype = "4"},
    {OOB "getservers 68 ctf gametype=2", .protocol = 68, .options = "4", .gametype = "2"},
    {OOB "getservers 68 gametype=", .protocol = 68, .options = "4", .gametype = ""},
    {OOB "getservers 68 gametype=" A31, .protocol = 68, .options = "4", .gametype = A31},
    {OOB "getservers 68 gametype=" A31 "b", .protocol = 68, .options = "4", .gametype = A31},
    {OOB "getservers " A62 "b 1", .game = A62 "b", .protocol = 1, .options = "4"},
    {OOB "getserversExt Quake3Arena 68 ipv4 empty ipv6", .game = "Quake3Arena", .protocol = 68,
     .options = "e46"},
    {OOB "getserversExt Xonotic 3", .game = "Xonotic", .protocol = 3, .options = "46"},
    {OOB "getserversExt Xonotic 3 ipv6", .game = "Xonotic", .protocol = 3, .options = "6"},
    {OOB "getserversExt Xonotic 3 ipv4 full", .game = "Xonotic", .protocol = 3, .options = "f4"},
    {OOB "getserversExt 68 68", .game = "68", .protocol = 68, .options = "46"},

    {OOB "getservers ", .error = Q3MASTER_ERROR_GAME},
    {OOB "getservers   ", .error = Q3MASTER_ERROR_GAME},
    {OOB "getservers Nexuiz", .error = Q3MASTER_ERROR_PROTOCOL},
    {OOB "getservers Nexuiz full", .error = Q3MASTER_ERROR_PROTOCOL},
    {OOB "getservers Nexuiz 3x", .error = Q3MASTER_ERROR_PROTOCOL},
    {OOB "getservers 4TheFun", .error = Q3MASTER_ERROR_PROTOCOL},
    {OOB "getservers My Game 3", .error = Q3MASTER_ERROR_PROTOCOL},
    {OOB "getservers 4294967296", .error = Q3MASTER_ERROR_PROTOCOL},
    {OOB "getservers " LONG " 1", .error = Q3MASTER_ERROR_GAME},
    {OOB "getserversExt ", .error = Q3MASTER_ERROR_GAME},
    {OOB "getserversExt 68", .error = Q3MASTER_ERROR_PROTOCOL},
    {OOB "getserversExt 68 empty ipv6", .error = Q3MASTER_ERROR_PROTOCOL},
    {OOB "getserversExt Xonotic", .error = Q3MASTER_ERROR_PROTOCOL},
    {OOB "getserversExt X\x01 3", .error = Q3MASTER_ERROR_GAME},
};

static void check_query(const struct query *expected, const struct q3master_query *query)
{
    char options[8];

    (void)snprintf(options, sizeof options, "%s%s%s%s", query->empty ? "e" : "",
                   query->full ? "f" : "", query->ipv4 ? "4" : "", query->ipv6 ? "6" : "");
    assert_string_equal(options, expected->options);
    assert_int_equal(query->protocol, expected->protocol);
    assert_int_equal(query->game.data != NULL, expected->game != NULL);
    if (expected->game) {
        assert_text("game", query->game, expected->game);
    }
    assert_int_equal(query->gametype.data != NULL, expected->gametype != NULL);
    if (expected->gametype) {
        assert_text("gametype", query->gametype, expected->gametype);
    }
}

static void test_queries(void **state)
{
    for (size_t i = 0; i < COUNT(queries); i++) {
        const bool extended = strstr(queries[i].packet, "Ext") != NULL;
        struct q3master_message message;
        struct bytes copy;

        if (read_copy(S(queries[i].packet), &message, &copy) != queries[i].error) {
            fail_msg("%s", queries[i].packet);
        }
        assert_int_equal(message.type, extended ? Q3MASTER_GETSERVERS_EXT : Q3MASTER_GETSERVERS);
        assert_int_equal(message.query.extended, extended);
        if (queries[i].error == Q3MASTER_OK) {
            check_query(&queries[i], &message.query);
        }
        free((void *)copy.data);
    }
}

struct info {
    const char *infostring;
    enum q3master_error error;
    const char *game; /* NULL: not said */
    int32_t protocol;
    const char *gametype;
    uint32_t clients, max_clients;
};

#define C  "\\challenge\\abcdefgh"
#define P  "\\protocol\\3"
#define M  "\\sv_maxclients\\8"
#define N  "\\clients\\2"
#define G  "\\gamename\\Xonotic"
#define V  "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define OK .protocol = 3, .gametype = "0", .clients = 2, .max_clients = 8

static const struct info infos[] = {
    {C P M N G, .game = "Xonotic", OK},
    {G N M P C "\\hostname\\My server\\mapname\\dm1", .game = "Xonotic", OK},
    {C P M N, .game = NULL, OK},
    {C P M N G "\n", .error = Q3MASTER_ERROR_GAME},
    {C P M N G "\\gametype\\tdm", .game = "Xonotic", .protocol = 3, .gametype = "tdm", .clients = 2,
     .max_clients = 8},
    {C P M N G "\\gametype\\", .game = "Xonotic", .protocol = 3, .gametype = "", .clients = 2,
     .max_clients = 8},
    {C P M N G "\\gametype\\" A31, .game = "Xonotic", .protocol = 3, .gametype = A31, .clients = 2,
     .max_clients = 8},
    {C P M N "\\gamename\\" A62 "b", .game = A62 "b", OK},
    {C P M N "\\gamename\\4TheFun", .game = "4TheFun", OK},
    {C "\\protocol\\-1" M N G, .game = "Xonotic", .protocol = -1, .gametype = "0", .clients = 2,
     .max_clients = 8},
    {C "\\protocol\\0x44" M N G, .game = "Xonotic", .protocol = 68, .gametype = "0", .clients = 2,
     .max_clients = 8},
    {C P "\\sv_maxclients\\8x\\clients\\x" G, .game = "Xonotic", .protocol = 3, .gametype = "0",
     .clients = 0, .max_clients = 8},
    {C P "\\sv_maxclients\\ +8\\clients\\-3" G, .game = "Xonotic", .protocol = 3, .gametype = "0",
     .clients = 0, .max_clients = 8},
    {C P "\\sv_maxclients\\99999999999999999999\\clients\\4294967297" G, .game = "Xonotic",
     .protocol = 3, .gametype = "0", .clients = INT32_MAX, .max_clients = INT32_MAX},
    {C P M "\\clients\\" G, .game = "Xonotic", .protocol = 3, .gametype = "0", .clients = 0,
     .max_clients = 8},
    {C P M N G "\\challenge\\zzzzzzzz\\protocol\\9\\clients\\7", .game = "Xonotic", OK},
    {C P M N G "\\Protocol\\9\\GAMENAME\\x", .game = "Xonotic", OK},
    /* Long keys and values are skipped. */
    {"\\long\\" V V V V V C P M N G, .game = "Xonotic", OK},
    {"\\" V V V V V "\\1" C P M N G, .game = "Xonotic", OK},
    {C P M N "\\gamename\\" V V V V, .game = NULL, OK},
    {C P M N G "\\gametype\\" V V V V, .game = "Xonotic", OK},
    {"\\challenge\\!#$&'()*+,-" P M N, .game = NULL, OK},
    {"\\challenge\\.:<=>?@[" P M N, .game = NULL, OK},

    {P M N G, .error = Q3MASTER_ERROR_CHALLENGE},
    {"", .error = Q3MASTER_ERROR_CHALLENGE},
    {"challenge\\abcdefgh" P M N G, .error = Q3MASTER_ERROR_CHALLENGE},
    {"\\challenge\\" P M N G, .error = Q3MASTER_ERROR_CHALLENGE},
    {"\\challenge\\abcdefg" P M N G, .error = Q3MASTER_ERROR_CHALLENGE},
    {"\\challenge\\abcdefghijkl" P M N G, .error = Q3MASTER_ERROR_CHALLENGE},
    {"\\challenge\\abcd fgh" P M N G, .error = Q3MASTER_ERROR_CHALLENGE},
    {"\\challenge\\abcd/fgh" P M N G, .error = Q3MASTER_ERROR_CHALLENGE},
    {"\\challenge\\abcd;fgh" P M N G, .error = Q3MASTER_ERROR_CHALLENGE},
    {"\\challenge\\abcd\"fgh" P M N G, .error = Q3MASTER_ERROR_CHALLENGE},
    {"\\challenge\\abcd%fgh" P M N G, .error = Q3MASTER_ERROR_CHALLENGE},
    {"\\challenge\\abcd\x7f"
     "fgh" P M N G,
     .error = Q3MASTER_ERROR_CHALLENGE},
    {"\\challenge\\abcd\xe9"
     "fgh" P M N G,
     .error = Q3MASTER_ERROR_CHALLENGE},
    {C M N G, .error = Q3MASTER_ERROR_PROTOCOL},
    {C "\\protocol\\" M N G, .error = Q3MASTER_ERROR_PROTOCOL},
    {C "\\protocol\\3x" M N G, .error = Q3MASTER_ERROR_PROTOCOL},
    {C "\\protocol\\3 " M N G, .error = Q3MASTER_ERROR_PROTOCOL},
    {C "\\protocol\\4294967299" M N G, .error = Q3MASTER_ERROR_PROTOCOL},
    {C P M N G "\\gametype\\a b", .error = Q3MASTER_ERROR_GAMETYPE},
    {C P M N G "\\gametype\\" A31 "b", .error = Q3MASTER_ERROR_GAMETYPE},
    {C P N G, .error = Q3MASTER_ERROR_MAX_CLIENTS},
    {C P "\\sv_maxclients\\0" N G, .error = Q3MASTER_ERROR_MAX_CLIENTS},
    {C P "\\sv_maxclients\\x" N G, .error = Q3MASTER_ERROR_MAX_CLIENTS},
    {C P "\\sv_maxclients\\" N G, .error = Q3MASTER_ERROR_MAX_CLIENTS},
    {C P "\\sv_maxclients\\-8" N G, .error = Q3MASTER_ERROR_MAX_CLIENTS},
    {C P M G, .error = Q3MASTER_ERROR_CLIENTS},
    {C P M G "\\clients", .error = Q3MASTER_ERROR_CLIENTS},
    {C P M N "\\gamename\\", .error = Q3MASTER_ERROR_GAME},
    {C P M N "\\gamename\\My Game", .error = Q3MASTER_ERROR_GAME},
    {C P M N "\\gamename\\My\tGame", .error = Q3MASTER_ERROR_GAME},
    {C P M N "\\gamename\\" LONG, .error = Q3MASTER_ERROR_GAME},
};

static void check_info(const struct info *expected, const struct q3master_info *info)
{
    assert_int_equal(info->protocol, expected->protocol);
    assert_int_equal(info->clients, expected->clients);
    assert_int_equal(info->max_clients, expected->max_clients);
    assert_text("gametype", info->gametype, expected->gametype);
    assert_text("infostring", info->infostring, expected->infostring);
    assert_int_equal(info->game.data != NULL, expected->game != NULL);
    if (expected->game) {
        assert_text("game", info->game, expected->game);
    }
}

static void test_infos(void **state)
{
    for (size_t i = 0; i < COUNT(infos); i++) {
        struct q3master_message message;
        struct writer to = {0};
        struct bytes copy;
        enum q3master_error error;

        writer_string(&to, OOB "infoResponse\n");
        writer_string(&to, infos[i].infostring);
        error = read_copy(writer_bytes_written(&to), &message, &copy);
        if (error != infos[i].error) {
            fail_msg("%s: %s", infos[i].infostring, q3master_error_name(error));
        }
        assert_int_equal(message.type, Q3MASTER_INFO_RESPONSE);
        if (error == Q3MASTER_OK) {
            check_info(&infos[i], &message.info);
        }
        free((void *)copy.data);
        writer_free(&to);
    }
}

/* Cut anywhere, and ended by a NUL anywhere, it is read or refused, and never read beyond. */
static void test_every_split(void **state)
{
    const struct bytes packet = B(OOB "infoResponse\n" C P M N G "\\gametype\\ctf\\hostname\\x");

    for (size_t len = 0; len <= packet.len; len++) {
        struct q3master_message cut, ended;
        struct bytes copies[2];
        uint8_t *zeroed = mem_dup(packet.data, packet.len);
        enum q3master_error errors[2];

        if (len < packet.len) {
            zeroed[len] = 0;
        }
        errors[0] = read_copy((struct bytes){packet.data, len}, &cut, &copies[0]);
        errors[1] = read_copy((struct bytes){zeroed, packet.len}, &ended, &copies[1]);
        if (len >= Q3MASTER_PACKET_MIN) {
            assert_int_equal(errors[0], errors[1]);
        }
        if (errors[0] == Q3MASTER_OK) {
            assert_true(bytes_equal(cut.info.infostring, ended.info.infostring));
        }
        if (len < sizeof(OOB "infoResponse\n" C P M "\\clients\\") - 1) {
            assert_int_not_equal(errors[0], Q3MASTER_OK);
        }
        if (len == packet.len) {
            assert_int_equal(errors[0], Q3MASTER_OK);
        }
        free(zeroed);
        free((void *)copies[0].data);
        free((void *)copies[1].data);
    }
}

static void test_info_game(void **state)
{
    struct q3master_info info = {0};
    struct bytes game;

    assert_int_equal(q3master_info_game(&info, NULL, &game), Q3MASTER_ERROR_GAME);
    assert_int_equal(q3master_info_game(&info, "Quake3Arena", &game), Q3MASTER_OK);
    assert_text("game", game, "Quake3Arena");
    info.game = B("Quake3Arena");
    assert_int_equal(q3master_info_game(&info, "Quake3Arena", &game), Q3MASTER_OK);
    assert_int_equal(q3master_info_game(&info, NULL, &game), Q3MASTER_OK);
    assert_text("game", game, "Quake3Arena");
    assert_int_equal(q3master_info_game(&info, "wolfmp", &game), Q3MASTER_ERROR_GAME);
}

static void test_getinfo(void **state)
{
    struct writer to = {0};

    q3master_write_getinfo(&to, B("A_ch4Lleng3"));
    assert_composed(&to, OOB "getinfo A_ch4Lleng3");
    writer_free(&to);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_integers),  cmocka_unit_test(test_packets),
        cmocka_unit_test(test_heartbeat), cmocka_unit_test(test_queries),
        cmocka_unit_test(test_infos),     cmocka_unit_test(test_every_split),
        cmocka_unit_test(test_info_game), cmocka_unit_test(test_getinfo),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
