/* The player's and the server's side of the Quake III protocols: forgiving, and never beyond. */
#include "codec/json_case.h"

#include "codec/infostring.h"
#include "codec/q3master_client.h"

#define OOB "\xff\xff\xff\xff"

static void test_types(void **state)
{
    static const struct {
        struct bytes packet;
        enum q3client_type type;
        const char *challenge; /* or the infostring */
    } packets[] = {
        {B(""), Q3CLIENT_OTHER, NULL},
        {B(OOB), Q3CLIENT_OTHER, NULL},
        {B(OOB "print\nhello"), Q3CLIENT_OTHER, NULL},
        {B("infoResponse\n\\a\\b"), Q3CLIENT_OTHER, NULL},
        {B(OOB "getinfo"), Q3CLIENT_GETINFO, ""},
        {B(OOB "getinfo abc"), Q3CLIENT_GETINFO, "abc"},
        {B(OOB "getinfo  abc \n"), Q3CLIENT_GETINFO, "abc"},
        {B(OOB "getinfo abc\0def"), Q3CLIENT_GETINFO, "abc"},
        {B(OOB "getinfox"), Q3CLIENT_OTHER, NULL},
        {B(OOB "getstatus"), Q3CLIENT_GETSTATUS, ""},
        {B(OOB "getstatus x\r\n"), Q3CLIENT_GETSTATUS, "x"},
        {B(OOB "infoResponse\n\\a\\b"), Q3CLIENT_INFO, "\\a\\b"},
        {B(OOB "infoResponse\n\\a\\b\nc\0d"), Q3CLIENT_INFO, "\\a\\b\nc"},
        {B(OOB "infoResponse \\a\\b"), Q3CLIENT_OTHER, NULL},
        {B(OOB "statusResponse\n\\a\\b\n1 2 \"x\"\n"), Q3CLIENT_STATUS, "\\a\\b"},
        {B(OOB "statusResponse\n"), Q3CLIENT_STATUS, ""},
        {B(OOB "getserversResponse"), Q3CLIENT_LIST, NULL},
        {B(OOB "getserversExtResponse\\EOT\0\0\0"), Q3CLIENT_LIST, NULL},
    };

    for (size_t i = 0; i < COUNT(packets); i++) {
        const struct bytes copy = exact_copy(packets[i].packet);
        const struct q3client_packet read = q3client_read(copy);
        const bool asks = read.type == Q3CLIENT_GETINFO || read.type == Q3CLIENT_GETSTATUS;

        if (read.type != packets[i].type) {
            fail_msg("packet %zu", i);
        }
        if (packets[i].challenge) {
            assert_text("text", asks ? read.challenge : read.infostring, packets[i].challenge);
        }
        free((void *)copy.data);
    }
}

/* ioquake3 answers no challenge over 128 characters. */
static void test_long_challenge(void **state)
{
    uint8_t packet[4 + 8 + 129];
    struct q3client_packet refused;

    memset(packet, 'a', sizeof packet);
    memcpy(packet, OOB "getinfo ", 12);
    assert_int_equal(q3client_read((struct bytes){packet, sizeof packet - 1}).type,
                     Q3CLIENT_GETINFO);
    refused = q3client_read((struct bytes){packet, sizeof packet});
    assert_int_equal(refused.type, Q3CLIENT_OTHER);
    assert_int_equal(refused.challenge.len, 0);
}

struct list {
    struct bytes packet;
    const char *servers; /* each with a space behind */
    bool last;
};

static const struct list lists[] = {
    {B(OOB "getserversResponse"), "", false},
    {B(OOB "getserversResponse\\EOT\0\0\0"), "", true},
    {B(OOB "getserversResponse\\EOT"), "", true},
    {B(OOB "getserversResponse\\EOT\0"), "", true},
    {B(OOB "getserversResponse\\EOT\0\0\0\0\n"), "", true},
    {B(OOB "getserversResponse\\EO"), "", false},
    {B(OOB "getserversResponse\\\1\2\3\4\x6d\x38\\EOT\0\0\0"), "1.2.3.4:27960 ", true},
    {B(OOB "getserversResponse\n\0\\\1\2\3\4\x6d\x38\\EOT\0\0\0"), "1.2.3.4:27960 ", true},
    {B(OOB "getserversResponse\\\1\2\3\4\x6d\x38"), "1.2.3.4:27960 ", false},
    {B(OOB "getserversResponse\\\1\2\3\4\x6d\x38\\"), "1.2.3.4:27960 ", false},
    {B(OOB "getserversResponse\\\1\2\3\4\x6d"), "", false},
    {B(OOB "getserversResponse\\\1\2\3\4\x6d\x38x\\\1\2\3\5\x6d\x38"), "1.2.3.4:27960 ", false},
    {B(OOB "getserversResponse\\\1\2\3\4\0\0\\\1\2\3\5\0\1"), "1.2.3.5:1 ", false},
    {B(OOB "getserversResponse\\EOT\1\0\1\\EOT\0\0\0"), "69.79.84.1:1 ", true},
    {B(OOB "getserversResponse\\\\\\\\\\\\\\\\EOT\0\0\0"), "92.92.92.92:23644 ", true},
    {B(OOB "getserversResponse/\x20\1\xd\xb8\0\0\0\0\0\0\0\0\0\0\0\1\x6d\x38\\EOT\0\0\0"), "",
     true}, /* the plain form knows no IPv6: what follows counts */
    {B(OOB "getserversExtResponse/\x20\1\xd\xb8\0\0\0\0\0\0\0\0\0\0\0\1\x6d\x38\\\1\2\3\4\0\1"
           "\\EOT\0\0\0"),
     "[2001:db8::1]:27960 1.2.3.4:1 ", true},
    {B(OOB "getserversExtResponse/\x20\1\xd\xb8\0\0\0\0\0\0\0\0\0\0\0\1\x6d"), "", false},
};

static void test_lists(void **state)
{
    for (size_t i = 0; i < COUNT(lists); i++) {
        const struct bytes copy = exact_copy(lists[i].packet);
        struct q3client_packet read = q3client_read(copy);
        struct writer to = {0};
        struct address server;
        bool last = false;

        assert_int_equal(read.type, Q3CLIENT_LIST);
        while (q3client_next_server(&read, &server, &last)) {
            char text[ADDRESS_TEXT_SIZE];

            writer_string(&to, address_format(&server, text));
            writer_u8(&to, ' ');
        }
        if (last != lists[i].last) {
            fail_msg("list %zu: last", i);
        }
        assert_composed(&to, lists[i].servers);
        assert_false(q3client_next_server(&read, &server, &last));
        writer_free(&to);
        free((void *)copy.data);
    }
}

static void test_players(void **state)
{
    const struct bytes packet =
        B(OOB "statusResponse\n\\sv_hostname\\x\\mapname\\q3dm17\n"
              "12 45 \"^1Ann\"\n"
              "-3 999 2 \"B \"ob\" \"\n" /* with a team, and quotes in the name */
              "nonsense\n"
              "\n"
              "1\n"
              "1 2\n"
              "x y \"Cy\"\n"
              "0 0 \"\"\n"
              "7 8 \"open");
    static const struct {
        int32_t score, ping;
        const char *name;
    } players[] = {
        {12, 45, "^1Ann"}, {-3, 999, "B \"ob\" "}, {0, 0, "Cy"}, {0, 0, ""}, {7, 8, "open"}};
    struct q3client_player player;

    for (size_t len = 0; len <= packet.len; len++) {
        const struct bytes copy = exact_copy((struct bytes){packet.data, len});
        struct q3client_packet read = q3client_read(copy);
        size_t count = 0;

        for (; q3client_next_player(&read.players, &player); count++) {
            if (len < packet.len) {
                continue;
            }
            assert_int_equal(player.score, players[count].score);
            assert_int_equal(player.ping, players[count].ping);
            assert_text("name", player.name, players[count].name);
        }
        if (len == packet.len) {
            assert_int_equal(count, COUNT(players));
        }
        free((void *)copy.data);
    }
}

static void test_queries(void **state)
{
    static const char *const queries[] = {
        "getservers 68",
        "getservers Xonotic 3 empty full",
        "getservers -1 full gametype=4",
        "getservers 68 gametype=",
        "getserversExt Xonotic 3 empty full gametype=tdm ipv4 ipv6",
        "getserversExt Xonotic 3 ipv6",
    };

    for (size_t i = 0; i < COUNT(queries); i++) {
        struct q3master_message message;
        struct writer packet = {0}, again = {0};

        writer_string(&packet, OOB);
        writer_string(&packet, queries[i]);
        assert_int_equal(q3master_read(writer_bytes_written(&packet), &message), Q3MASTER_OK);
        q3client_write_query(&again, &message.query);
        assert_true(bytes_equal(writer_bytes_written(&packet), writer_bytes_written(&again)));
        writer_free(&packet);
        writer_free(&again);
    }
}

/* What a server sends, a master reads. */
static void test_server(void **state)
{
    struct q3master_message message;
    struct writer to = {0}, infostring = {0};

    q3client_write_heartbeat(&to, B("DarkPlaces"));
    assert_int_equal(q3master_read(writer_bytes_written(&to), &message), Q3MASTER_OK);
    assert_text("tag", message.tag, "DarkPlaces");
    assert_composed(&to, OOB "heartbeat DarkPlaces\n");

    q3master_write_getinfo(&to, B("A_ch4Lleng3"));
    assert_text("challenge", q3client_read(writer_bytes_written(&to)).challenge, "A_ch4Lleng3");
    writer_reset(&to);
    infostring_write(&infostring, B("challenge"), B("A_ch4Lleng3"));
    infostring_write(&infostring, B("protocol"), B("3"));
    infostring_write(&infostring, B("sv_maxclients"), B("8"));
    infostring_write(&infostring, B("clients"), B("0"));
    q3client_write_info_response(&to, writer_bytes_written(&infostring));
    assert_int_equal(q3master_read(writer_bytes_written(&to), &message), Q3MASTER_OK);
    assert_int_equal(message.info.max_clients, 8);
    assert_true(bytes_equal(q3client_read(writer_bytes_written(&to)).infostring,
                            writer_bytes_written(&infostring)));
    writer_reset(&to);
    q3client_write_getstatus(&to, B(""));
    assert_composed(&to, OOB "getstatus");
    q3client_write_getstatus(&to, B("x"));
    assert_composed(&to, OOB "getstatus x");
    writer_free(&to);
    writer_free(&infostring);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_types),   cmocka_unit_test(test_long_challenge),
        cmocka_unit_test(test_lists),   cmocka_unit_test(test_players),
        cmocka_unit_test(test_queries), cmocka_unit_test(test_server),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
