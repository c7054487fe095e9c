/* The original lobby's packets: bytes of each field, every split, what is refused and what is cut.
 */
#include "codec/json_case.h"

#include "codec/gltron.h"
#include "codec/verify.h"

/* As the original composes them: what it does not use holds whatever was there. */
static const char login_server[] = "\x00\x00\x00\x00"
                                   "\x00\x00"
                                   "passwd\x00\x7f\x7f"
                                   "................................................."
                                   "............";
static const char login_client[] = "\x00\x00\x00\x00"
                                   "\x00\x01"
                                   "\xde\xad\xbe\xef\xde\xad\xbe\xef\xde"
                                   "................................................."
                                   "............";
static const char infos[] = "\x00\x01\x00\x07"
                            "\x00\x02\x00\x04\x00\x01"
                            "A server of mine\x00garbage from be"
                            "0.70\x00????"
                            "\xcb\x00\x71\x07\x5b\xa4\x00\x03"
                            "................."; /* to 76 */

static struct bytes packet_of(const char *bytes)
{
    return (struct bytes){(const uint8_t *)bytes, GLTRON_PACKET_SIZE};
}

_Static_assert(sizeof login_server - 1 == GLTRON_PACKET_SIZE, "a whole packet");
_Static_assert(sizeof login_client - 1 == GLTRON_PACKET_SIZE, "a whole packet");
_Static_assert(sizeof infos - 1 == GLTRON_PACKET_SIZE, "a whole packet");

/* Fed byte by byte, and whole with something behind. */
static struct gltron_packet must_read(const char *bytes, enum gltron_host_order order)
{
    struct gltron_packet packet;
    struct gltron_result result;
    uint8_t more[GLTRON_PACKET_SIZE + 1];

    for (size_t len = 0; len < GLTRON_PACKET_SIZE; len++) {
        const struct bytes part = exact_copy((struct bytes){(const uint8_t *)bytes, len});

        result = gltron_read(part, order, &packet);
        assert_int_equal(result.outcome, GLTRON_MORE);
        assert_int_equal(result.consumed, 0);
        free((void *)part.data);
    }
    memcpy(more, bytes, GLTRON_PACKET_SIZE);
    more[GLTRON_PACKET_SIZE] = 0xff;
    result = gltron_read((struct bytes){more, sizeof more}, order, &packet);
    assert_int_equal(result.outcome, GLTRON_PACKET);
    assert_int_equal(result.consumed, GLTRON_PACKET_SIZE);
    result = gltron_read(packet_of(bytes), order, &packet);
    assert_int_equal(result.outcome, GLTRON_PACKET);
    return packet;
}

static void test_login(void **state)
{
    struct gltron_packet packet = must_read(login_server, GLTRON_HOST_NETWORK);

    assert_int_equal(packet.type, GLTRON_LOGIN);
    assert_int_equal(packet.role, GLTRON_SERVER);
    assert_text("password", packet.password, "passwd");
    packet = must_read(login_client, GLTRON_HOST_NETWORK);
    assert_int_equal(packet.role, GLTRON_CLIENT);
    assert_int_equal(packet.password.len, 9);
}

static void test_infos(void **state)
{
    static const uint8_t host[4] = {203, 0, 113, 7}, reversed[4] = {7, 113, 0, 203};
    struct gltron_packet packet = must_read(infos, GLTRON_HOST_NETWORK);

    assert_int_equal(packet.type, GLTRON_INFOS);
    assert_int_equal(packet.which, 7);
    assert_string_equal(gltron_speed_name(packet.speed), "fast");
    assert_string_equal(gltron_size_name(packet.size), "extreme");
    assert_true(packet.erase);
    assert_text("description", packet.description, "A server of mine");
    assert_text("version", packet.version, "0.70");
    assert_memory_equal(packet.host, host, 4);
    assert_int_equal(packet.port, 23460);
    assert_int_equal(packet.players, 3);
    packet = must_read(infos, GLTRON_HOST_REVERSED);
    assert_memory_equal(packet.host, reversed, 4);
}

/* A field without a NUL is taken whole. */
static void test_full_fields(void **state)
{
    uint8_t bytes[GLTRON_PACKET_SIZE];
    struct gltron_packet packet;

    memcpy(bytes, infos, sizeof bytes);
    memset(bytes + 10, 'd', 32);
    memset(bytes + 42, 'v', 9);
    assert_int_equal(gltron_read((struct bytes){bytes, sizeof bytes}, 0, &packet).outcome,
                     GLTRON_PACKET);
    assert_text("description", packet.description, "dddddddddddddddddddddddddddddddd");
    assert_text("version", packet.version, "vvvvvvvvv");
    assert_int_equal(packet.port, 23460);
}

struct change {
    size_t at, len; /* the length from which it fails */
    uint8_t high, low;
    enum gltron_error error;
};

static void test_bad(void **state)
{
    static const struct change changes[] = {
        {0, 2, 0, 2, GLTRON_ERROR_TYPE},       {0, 2, 1, 0, GLTRON_ERROR_TYPE},
        {0, 2, 0x7b, 0x22, GLTRON_ERROR_TYPE}, {0, 2, 0xff, 0xff, GLTRON_ERROR_TYPE},
        {4, 76, 0, 4, GLTRON_ERROR_VALUE},     {4, 76, 0xff, 0xfe, GLTRON_ERROR_VALUE},
        {6, 76, 0, 5, GLTRON_ERROR_VALUE},     {6, 76, 1, 0, GLTRON_ERROR_VALUE},
    };
    uint8_t bytes[GLTRON_PACKET_SIZE];
    struct gltron_packet packet;

    for (size_t i = 0; i < COUNT(changes); i++) {
        memcpy(bytes, infos, sizeof bytes);
        bytes[changes[i].at] = changes[i].high;
        bytes[changes[i].at + 1] = changes[i].low;
        for (size_t len = 0; len <= sizeof bytes; len++) {
            const struct gltron_result result =
                gltron_read((struct bytes){bytes, len}, GLTRON_HOST_NETWORK, &packet);

            assert_int_equal(result.outcome, len < changes[i].len ? GLTRON_MORE : GLTRON_FAILED);
            if (result.outcome == GLTRON_FAILED) {
                assert_int_equal(result.error, changes[i].error);
                assert_non_null(result.reason);
            }
        }
    }
    memcpy(bytes, login_server, sizeof bytes);
    bytes[5] = 2;
    assert_int_equal(gltron_read((struct bytes){bytes, 5}, 0, &packet).outcome, GLTRON_MORE);
    assert_int_equal(gltron_read((struct bytes){bytes, 6}, 0, &packet).error, GLTRON_ERROR_ROLE);
}

/* "Not known yet" is what the original sends for servers that have said nothing. */
static void test_unknown(void **state)
{
    uint8_t bytes[GLTRON_PACKET_SIZE];
    struct gltron_packet packet;

    memcpy(bytes, infos, sizeof bytes);
    memset(bytes + 4, 0xff, 6);
    memset(bytes + 57, 0xff, 2);
    assert_int_equal(gltron_read((struct bytes){bytes, sizeof bytes}, 0, &packet).outcome,
                     GLTRON_PACKET);
    assert_int_equal(packet.speed, GLTRON_UNKNOWN);
    assert_int_equal(packet.size, GLTRON_UNKNOWN);
    assert_int_equal(packet.players, GLTRON_UNKNOWN);
    assert_null(gltron_speed_name(packet.speed));
    assert_null(gltron_size_name(packet.size));
}

static struct gltron_packet written(const struct gltron_packet *packet,
                                    enum gltron_host_order order, uint8_t *bytes)
{
    struct gltron_packet read;
    struct writer to = {0};

    gltron_write(&to, packet, order);
    assert_false(to.failed);
    assert_int_equal(to.len, GLTRON_PACKET_SIZE);
    memcpy(bytes, to.data, GLTRON_PACKET_SIZE);
    writer_free(&to);
    assert_int_equal(gltron_read((struct bytes){bytes, GLTRON_PACKET_SIZE}, order, &read).outcome,
                     GLTRON_PACKET);
    return read;
}

static void test_write(void **state)
{
    const struct gltron_packet packet = {.type = GLTRON_INFOS,
                                         .which = 7,
                                         .speed = GLTRON_FAST,
                                         .size = GLTRON_EXTREME,
                                         .erase = true,
                                         .description = B("A server of mine"),
                                         .version = B("0.70"),
                                         .host = {203, 0, 113, 7},
                                         .port = 23460,
                                         .players = 3};
    static const uint8_t text[] = "A server of mine", zeros[GLTRON_PACKET_SIZE];
    uint8_t bytes[GLTRON_PACKET_SIZE];

    (void)written(&packet, GLTRON_HOST_NETWORK, bytes);
    assert_memory_equal(bytes, infos, 10);
    assert_memory_equal(bytes + 10, text, sizeof text);
    assert_memory_equal(bytes + 10 + sizeof text, zeros, 32 - sizeof text);
    assert_memory_equal(bytes + 42, "0.70\0\0\0\0\0", 9);
    assert_memory_equal(bytes + 51, infos + 51, 8);
    assert_memory_equal(bytes + 59, zeros, GLTRON_PACKET_SIZE - 59);
    (void)written(&packet, GLTRON_HOST_REVERSED, bytes);
    assert_memory_equal(bytes + 51, "\x07\x71\x00\xcb", 4);
}

struct cut {
    struct bytes text;
    const char *description, *version;
};

static void test_cut(void **state)
{
    static const struct cut cuts[] = {
        {B(""), "", ""},
        {B("12345678"), "12345678", "12345678"},
        {B("123456789"), "123456789", "12345678"},
        {B("1234567890123456789012345678901"), "1234567890123456789012345678901", "12345678"},
        {B("12345678901234567890123456789012"), "1234567890123456789012345678901", "12345678"},
        {B("123456789012345678901234567890\xc3\xa9"), "123456789012345678901234567890", "12345678"},
        {B("1234567\xc3\xa9"), "1234567\xc3\xa9", "1234567"},
        {B("1234567\xe9\xe9"), "1234567\xe9\xe9", "1234567\xe9"}, /* not UTF-8: cut anywhere */
        {B("123\0"
           "56789"),
         "123", "123"},
        {B("\xf0\x9f\x98\x80\xf0\x9f\x98\x80\xf0\x9f\x98\x80"),
         "\xf0\x9f\x98\x80\xf0\x9f\x98\x80\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80\xf0\x9f\x98\x80"},
    };
    uint8_t bytes[GLTRON_PACKET_SIZE];

    for (size_t i = 0; i < COUNT(cuts); i++) {
        struct gltron_packet packet = {
            .type = GLTRON_INFOS, .description = cuts[i].text, .version = cuts[i].text};

        packet = written(&packet, 0, bytes);
        assert_text("description", packet.description, cuts[i].description);
        assert_text("version", packet.version, cuts[i].version);
        assert_int_equal(bytes[41], 0);
        assert_int_equal(bytes[50], 0);
        packet = (struct gltron_packet){.type = GLTRON_LOGIN, .password = cuts[i].text};
        packet = written(&packet, 0, bytes);
        assert_text("password", packet.password, cuts[i].version);
        assert_int_equal(bytes[14], 0);
    }
}

static void test_names(void **state)
{
    static const char *const speeds[] = {"boring", "normal", "fast", "crazy"};
    static const char *const sizes[] = {"tiny", "medium", "big", "vast", "extreme"};
    static const char *const none[] = {"", "Fast", "fast ", "fas", "extremes", "0"};
    uint16_t number;

    for (uint16_t i = 0; i < COUNT(speeds); i++) {
        assert_string_equal(gltron_speed_name(i), speeds[i]);
        assert_true(gltron_speed_parse(S(speeds[i]), &number));
        assert_int_equal(number, i);
        assert_false(gltron_size_parse(S(speeds[i]), &number));
    }
    for (uint16_t i = 0; i < COUNT(sizes); i++) {
        assert_string_equal(gltron_size_name(i), sizes[i]);
        assert_true(gltron_size_parse(S(sizes[i]), &number));
        assert_int_equal(number, i);
        assert_false(gltron_speed_parse(S(sizes[i]), &number));
    }
    for (size_t i = 0; i < COUNT(none); i++) {
        assert_false(gltron_speed_parse(S(none[i]), &number));
        assert_false(gltron_size_parse(S(none[i]), &number));
    }
    assert_null(gltron_speed_name(4));
    assert_null(gltron_size_name(5));
}

static void test_ping(void **state)
{
    uint8_t pong[] = {1, 2, 3, 4, 2, 0, 0, 0, 9, 0, 0, 0};
    struct writer to = {0};
    uint32_t time, place;

    gltron_write_ping(&to, 0x04030201, 9);
    assert_int_equal(to.len, GLTRON_PING_SIZE);
    assert_int_equal(to.data[4], 1);
    assert_false(gltron_read_pong(writer_bytes_written(&to), &time, &place));
    to.data[4] = 2;
    assert_memory_equal(to.data, pong, sizeof pong);
    assert_true(gltron_read_pong((struct bytes){pong, sizeof pong}, &time, &place));
    assert_int_equal(time, 0x04030201);
    assert_int_equal(place, 9);
    assert_false(gltron_read_pong((struct bytes){pong, 11}, &time, &place));
    pong[7] = 1;
    assert_false(gltron_read_pong((struct bytes){pong, sizeof pong}, &time, &place));
    writer_free(&to);
}

static void test_verify(void **state)
{
    static const struct {
        struct bytes packet;
        uint64_t number; /* 0: none */
    } packets[] = {
        {B("\xff\xff\xff\xfftracker verify 1234\n"), 1234},
        {B("\xff\xff\xff\xfftracker verify 999999999999999\n"), 999999999999999},
        {B("\xff\xff\xff\xfftracker verify 1234"), 1234},
        {B("\xff\xff\xff\xfftracker verify 1234\r\n"), 1234},
        {B("\xff\xff\xff\xfftracker verify 123\n"), 0},
        {B("\xff\xff\xff\xfftracker verify 0123\n"), 0},
        {B("\xff\xff\xff\xfftracker verify 1234567890123456\n"), 0},
        {B("\xff\xff\xff\xfftracker verify 1234\n\n"), 0},
        {B("\xff\xff\xff\xfftracker verify 12 34\n"), 0},
        {B("\xff\xff\xff\xfftracker verify -1234\n"), 0},
        {B("\xff\xff\xff\xfftracker verify 1234\n\0"), 0},
        {B("\xff\xff\xff\xfftracker verify \n"), 0},
        {B("\xff\xff\xff\xfftracker verify "), 0},
        {B("\xff\xff\xff\xffTracker verify 1234\n"), 0},
        {B("\xff\xff\xff\xfetracker verify 1234\n"), 0},
        {B("tracker verify 1234\n"), 0},
        {B(""), 0},
    };
    uint64_t number;
    struct writer to = {0};

    for (size_t i = 0; i < COUNT(packets); i++) {
        const struct bytes copy = exact_copy(packets[i].packet);

        if (verify_read(copy, &number) != (packets[i].number != 0)) {
            fail_msg("packet %zu", i);
        }
        if (packets[i].number != 0) {
            assert_int_equal(number, packets[i].number);
        }
        free((void *)copy.data);
    }
    verify_write(&to, VERIFY_MIN);
    assert_composed(&to, "\xff\xff\xff\xfftracker verify 1000\n");
    verify_write(&to, VERIFY_MAX);
    assert_int_equal(to.len, 35);
    assert_true(to.len <= VERIFY_PACKET_MAX);
    writer_reset(&to);
    verify_write(&to, VERIFY_MIN - 1);
    assert_true(to.failed);
    writer_reset(&to);
    verify_write(&to, VERIFY_MAX + 1);
    assert_true(to.failed);
    writer_free(&to);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_login),       cmocka_unit_test(test_infos),
        cmocka_unit_test(test_full_fields), cmocka_unit_test(test_bad),
        cmocka_unit_test(test_unknown),     cmocka_unit_test(test_write),
        cmocka_unit_test(test_cut),         cmocka_unit_test(test_names),
        cmocka_unit_test(test_ping),        cmocka_unit_test(test_verify),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
