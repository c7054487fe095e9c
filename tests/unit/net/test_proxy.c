/* The PROXY protocol: the parser by tables, whole and split at every byte; then on listeners. */
#include "fixture.h"

#include "net/prefixes_private.h"
#include "net/proxy_private.h"

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
/* The literal without its NUL. */
#define RAW(s) s, sizeof(s) - 1

struct good {
    const char *bytes;
    size_t len;
    const char *source; /* NULL: the socket's address counts */
};

static const struct good good[] = {
    {RAW("PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n"), "192.0.2.1:56324"},
    {RAW("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n"), "255.255.255.255:65535"},
    {RAW("PROXY TCP4 1.2.3.4 5.6.7.8 0 0\r\n"), "1.2.3.4:0"},
    {RAW("PROXY TCP6 2001:db8::1 2001:db8::2 4000 80\r\n"), "[2001:db8::1]:4000"},
    {RAW("PROXY TCP6 ::ffff:192.0.2.9 ::1 4000 80\r\n"), "192.0.2.9:4000"},
    {RAW("PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
         "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"),
     "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535"},
    {RAW("PROXY UNKNOWN\r\n"), NULL},
    {RAW("PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n"), NULL},
    {RAW(SIGNATURE "\x21\x11\x00\x0c\xc0\x00\x02\x01\xc6\x33\x64\x01\xdc\x04\x01\xbb"),
     "192.0.2.1:56324"},
    /* With TLVs. */
    {RAW(SIGNATURE "\x21\x11\x00\x13\xc0\x00\x02\x01\xc6\x33\x64\x01\xdc\x04\x01\xbb"
                   "\x04\x00\x04\x00\x00\x00\x00"),
     "192.0.2.1:56324"},
    {RAW(SIGNATURE "\x21\x21\x00\x24"
                   "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01"
                   "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x02"
                   "\x0f\xa0\x00\x50"),
     "[2001:db8::1]:4000"},
    {RAW(SIGNATURE "\x21\x21\x00\x24"
                   "\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\x00\x02\x09"
                   "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01"
                   "\x0f\xa0\x00\x50"),
     "192.0.2.9:4000"},
    {RAW(SIGNATURE "\x20\x00\x00\x00"), NULL},    /* LOCAL */
    {RAW(SIGNATURE "\x20\x11\x00\x03zzz"), NULL}, /* its block is not looked at */
    {RAW(SIGNATURE "\x21\x00\x00\x00"), NULL},    /* unspecified */
    {RAW(SIGNATURE "\x21\x00\x00\x07tlvtlvt"), NULL},
};

struct bad {
    const char *bytes;
    size_t len;
    const char *error; /* a part of it */
};

static const struct bad bad[] = {
    {RAW("GET / HTTP/1.1\r\n"), "not a PROXY header"},
    {RAW("PROXX"), "not a PROXY header"},
    {RAW("proxy TCP4"), "not a PROXY header"},
    {RAW("\x2a\x01\x00"), "not a PROXY header"},
    {RAW("\r\n\r\n\0\r\nQUIX"), "not a PROXY header"},
    {RAW("PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n"), "CR LF"},
    {RAW("PROXY\r\n"), "not a PROXY header"},
    {RAW("PROXY \r\n"), "family"},
    {RAW("PROXY TCP5 1.2.3.4 5.6.7.8 1 2\r\n"), "family"},
    {RAW("PROXY UNKNOWNX\r\n"), "family"},
    {RAW("PROXY UDP4 1.2.3.4 5.6.7.8 1 2\r\n"), "family"},
    {RAW("PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n"), "four words"},
    {RAW("PROXY TCP4 1.2.3.4 5.6.7.8 1 \r\n"), "four words"},
    {RAW("PROXY TCP4 1.2.3.4 5.6.7.8 1 2 3\r\n"), "four words"},
    {RAW("PROXY TCP4 1.2.3.4 5.6.7.8 1 2 \r\n"), "four words"},
    {RAW("PROXY TCP4 1.2.3.4\r\n"), "word is missing"},
    {RAW("PROXY TCP4  1.2.3.4 5.6.7.8 1 2\r\n"), "word is missing"},
    {RAW("PROXY TCP4 \r\n"), "word is missing"},
    {RAW("PROXY TCP4 1.2.3 5.6.7.8 1 2\r\n"), "not an address"},
    {RAW("PROXY TCP4 01.2.3.4 5.6.7.8 1 2\r\n"), "not an address"},
    {RAW("PROXY TCP4 1.2.3.4 5.6.7.888 1 2\r\n"), "not an address"},
    {RAW("PROXY TCP4 ::1 ::1 1 2\r\n"), "not an address"},
    {RAW("PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n"), "not an address"},
    {RAW("PROXY TCP4 1.2.3.4 5.6.7.8 65536 2\r\n"), "not a port"},
    {RAW("PROXY TCP4 1.2.3.4 5.6.7.8 1 99999\r\n"), "not a port"},
    {RAW("PROXY TCP4 1.2.3.4 5.6.7.8 01 2\r\n"), "not a port"},
    {RAW("PROXY TCP4 1.2.3.4 5.6.7.8 -1 2\r\n"), "not a port"},
    {RAW("PROXY TCP4 1.2.3.4 5.6.7.8 +1 2\r\n"), "not a port"},
    {RAW("PROXY TCP4 1.2.3.4 5.6.7.8 1x 2\r\n"), "not a port"},
    {RAW("PROXY TCP4 1.2.3.4\0 5.6.7.8 1 2\r\n"), "word"},
    {RAW("PROXY UNKNOWN 0123456789012345678901234567890123456789012345678901234567890123456789"
         "012345678901234567890123456789\r\n"),
     "too long"},
    {RAW(SIGNATURE "\x11\x11\x00\x0c"), "an unknown version"},
    {RAW(SIGNATURE "\x31"), "an unknown version"},
    {RAW(SIGNATURE "\x22\x11\x00\x0c"), "neither LOCAL nor PROXY"},
    {RAW(SIGNATURE "\x21\x11\x00\x0b\xc0\x00\x02\x01\xc6\x33\x64\x01\xdc\x04\x01"), "shorter"},
    {RAW(SIGNATURE "\x21\x21\x00\x0c\xc0\x00\x02\x01\xc6\x33\x64\x01\xdc\x04\x01\xbb"), "shorter"},
    {RAW(SIGNATURE "\x21\x31\x00\x04path"), "shorter"},
    {RAW(SIGNATURE "\x21\x12\x00\x0c\xc0\x00\x02\x01\xc6\x33\x64\x01\xdc\x04\x01\xbb"),
     "not a stream"},
    {RAW(SIGNATURE "\x21\x41\x00\x00"), "not a stream"},
    {RAW(SIGNATURE "\x21\x11\xff\xff"), "too long"},
};

static void expect_source(const struct proxy_header *header, const char *source)
{
    char text[ADDRESS_TEXT_SIZE];
    assert_int_equal(header->has_source, source != NULL);
    if (source) {
        assert_string_equal(address_format(&header->source, text), source);
    }
}

static void test_good_headers(void **state)
{
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        uint8_t bytes[512];
        struct proxy_header header;
        for (size_t cut = 0; cut < good[i].len; cut++) {
            /* Memory of just that size, so that reading on would be found. */
            uint8_t *part = mem_alloc(cut + 1);
            memcpy(part, good[i].bytes, cut);
            assert_int_equal(proxy_parse((struct bytes){part, cut}, &header), PROXY_MORE);
            free(part);
        }
        memcpy(bytes, good[i].bytes, good[i].len);
        assert_int_equal(proxy_parse((struct bytes){bytes, good[i].len}, &header), PROXY_DONE);
        assert_int_equal(header.len, good[i].len);
        expect_source(&header, good[i].source);
        /* What follows does not matter. */
        memcpy(bytes + good[i].len, "GET \r\n", 6);
        assert_int_equal(proxy_parse((struct bytes){bytes, good[i].len + 6}, &header), PROXY_DONE);
        assert_int_equal(header.len, good[i].len);
        expect_source(&header, good[i].source);
    }
}

static void test_bad_headers(void **state)
{
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct proxy_header header;
        enum proxy_result result =
            proxy_parse((struct bytes){(const uint8_t *)bad[i].bytes, bad[i].len}, &header);
        if (result != PROXY_BAD || !strstr(header.error, bad[i].error)) {
            fail_msg("case %zu: %d %s, not %s", i, result, header.error, bad[i].error);
        }
        for (size_t cut = 0; cut < bad[i].len; cut++) {
            result = proxy_parse((struct bytes){(const uint8_t *)bad[i].bytes, cut}, &header);
            assert_int_not_equal(result, PROXY_DONE);
        }
    }
}

static void test_unix_client(void **state)
{
    uint8_t bytes[16 + 216] = SIGNATURE "\x21\x31\x00\xd8";
    struct proxy_header header;
    assert_int_equal(proxy_parse((struct bytes){bytes, sizeof bytes - 1}, &header), PROXY_MORE);
    assert_int_equal(proxy_parse((struct bytes){bytes, sizeof bytes}, &header), PROXY_DONE);
    assert_true(header.has_source);
    assert_int_equal(header.source.family, ADDRESS_UNIX);
}

static void test_largest_header(void **state)
{
    static uint8_t bytes[PROXY_MAX_SIZE] = SIGNATURE "\x21\x00";
    struct proxy_header header;
    size_t len = sizeof bytes - 16;
    bytes[14] = (uint8_t)(len >> 8);
    bytes[15] = (uint8_t)len;
    assert_int_equal(proxy_parse((struct bytes){bytes, sizeof bytes - 1}, &header), PROXY_MORE);
    assert_int_equal(proxy_parse((struct bytes){bytes, sizeof bytes}, &header), PROXY_DONE);
    len++;
    bytes[14] = (uint8_t)(len >> 8);
    bytes[15] = (uint8_t)len;
    assert_int_equal(proxy_parse((struct bytes){bytes, sizeof bytes}, &header), PROXY_BAD);
}

static void listen_behind_proxy(struct fixture *f)
{
    fixture_set(f, "net.proxy=true");
    fixture_listen(f, "127.0.0.1:0");
}

static void test_listener_takes_the_address(void **state)
{
    struct fixture *f = *state;
    listen_behind_proxy(f);
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        unsigned before = f->accepted;
        struct session *session = &f->sessions[before % SESSIONS_MAX];
        int fd = fixture_connect(f);
        fixture_write(fd, good[i].bytes, good[i].len);
        fixture_write_text(fd, "hello");
        WAIT_FOR(f, f->accepted > before);
        if (good[i].source) {
            assert_string_equal(conn_peer_text(session->conn), good[i].source);
        } else {
            assert_int_equal(strncmp(conn_peer_text(session->conn), "127.0.0.1:", 10), 0);
        }
        assert_int_equal(f->asked, before + 1);
        assert_memory_equal(&f->asked_for, conn_peer(session->conn), sizeof f->asked_for);
        WAIT_FOR(f, session->input.len == 5);
        fixture_expect_text(&session->input, "hello");
        close(fd);
        WAIT_FOR(f, session->closed == 1);
    }
}

static void test_listener_takes_it_byte_by_byte(void **state)
{
    struct fixture *f = *state;
    listen_behind_proxy(f);
    for (size_t i = 0; i < sizeof good / sizeof *good; i += 3) {
        unsigned before = f->accepted;
        struct session *session = &f->sessions[before % SESSIONS_MAX];
        int fd = fixture_connect(f);
        for (size_t j = 0; j < good[i].len; j++) {
            fixture_write(fd, good[i].bytes + j, 1);
            loop_iterate(f->loop, 1);
        }
        fixture_write_text(fd, "hello");
        WAIT_FOR(f, f->accepted > before && session->input.len == 5);
        fixture_expect_text(&session->input, "hello");
        close(fd);
        WAIT_FOR(f, session->closed == 1);
    }
}

static void expect_refused(struct fixture *f, int fd, const char *why)
{
    int64_t before = metrics_get(METRIC_REFUSED_PROXY);
    struct writer got = {0};
    WAIT_FOR(f, metrics_get(METRIC_REFUSED_PROXY) == before + 1);
    while (fixture_read(fd, &got)) {
        loop_iterate(f->loop, 10);
    }
    assert_int_equal(got.len, 0);
    assert_int_equal(f->accepted, 0);
    assert_int_equal(net_connection_count(f->net), 0);
    assert_true(fixture_logged(f, "reason=proxy_header"));
    assert_true(fixture_logged(f, "peer=127.0.0.1:"));
    if (!fixture_logged(f, why)) {
        fail_msg("not logged: %s", why);
    }
    close(fd);
}

static void test_listener_refuses_malformed(void **state)
{
    struct fixture *f = *state;
    int fd;
    listen_behind_proxy(f);
    fd = fixture_connect(f);
    fixture_write_text(fd, "PROXY TCP4 1.2.3.4 5.6.7.8 1 70000\r\nhello");
    expect_refused(f, fd, "not a port");
    fd = fixture_connect(f);
    fixture_write_text(fd, "hello");
    expect_refused(f, fd, "not a PROXY header");
}

static void test_listener_refuses_missing_and_late(void **state)
{
    struct fixture *f = *state;
    int fd;
    fixture_set(f, "net.handshake_timeout=100ms");
    listen_behind_proxy(f);
    fd = fixture_connect(f);
    shutdown(fd, SHUT_WR);
    expect_refused(f, fd, "closed before the header");
    fd = fixture_connect(f);
    expect_refused(f, fd, "no header in time");
    fd = fixture_connect(f);
    fixture_write_text(fd, "PROXY TCP4 1.2.3.4");
    expect_refused(f, fd, "no header in time");
}

static void test_proxy_from(void **state)
{
    struct fixture *f = *state;
    char *error = config_set(f->config, "net.proxy_from=10.0.0.0/8 rubbish");
    int fd;
    assert_non_null(error);
    free(error);
    fixture_set(f, "net.proxy_from=10.0.0.0/8, 2001:db8::/32");
    listen_behind_proxy(f);
    fd = fixture_connect(f);
    expect_refused(f, fd, "not one of net.proxy_from");
    fixture_set(f, "net.proxy_from=10.0.0.0/8 127.0.0.0/8");
    fd = fixture_connect(f);
    fixture_write_text(fd, "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n");
    WAIT_FOR(f, f->accepted == 1);
    close(fd);
}

static void test_prefix_lists(void **state)
{
    struct address address;
    assert_true(address_parse_ip("10.1.2.3", &address));
    assert_null(prefixes_check(""));
    assert_null(prefixes_check(" , ,, "));
    assert_null(prefixes_check("10.0.0.0/8,::1 192.0.2.1"));
    assert_non_null(prefixes_check("10.0.0.0/33"));
    assert_non_null(prefixes_check("10.0.0.0/8 x"));
    assert_non_null(prefixes_check("1111111111111111111111111111111111111111111111111111111111111"
                                   "1111111111111111111111111111111111111"));
    assert_false(prefixes_contain("", &address));
    assert_false(prefixes_contain("11.0.0.0/8 ::/0", &address));
    assert_true(prefixes_contain("11.0.0.0/8,10.0.0.0/8", &address));
    assert_true(prefixes_contain(" 10.1.2.3 ", &address));
}

static void send_client(int fd, const char *address)
{
    char text[108];
    bool is_ipv6 = strchr(address, ':') != NULL;
    snprintf(text, sizeof text, "PROXY TCP%c %s %s 1 2\r\n", is_ipv6 ? '6' : '4', address,
             is_ipv6 ? "::1" : "5.6.7.8");
    fixture_write_text(fd, text);
}

static void test_clients_are_counted_not_the_proxy(void **state)
{
    struct fixture *f = *state;
    int64_t before = metrics_get(METRIC_REFUSED_ADDRESS_LIMIT);
    struct writer got = {0};
    int fds[4];
    fixture_set(f, "net.max_per_address=2");
    listen_behind_proxy(f);
    for (int i = 0; i < 3; i++) {
        fds[i] = fixture_connect(f);
        send_client(fds[i], i < 2 ? "192.0.2.1" : "192.0.2.2");
        WAIT_FOR(f, f->accepted == (unsigned)i + 1);
    }
    fds[3] = fixture_connect(f);
    send_client(fds[3], "192.0.2.1");
    fixture_read_end(f, fds[3], &got);
    assert_int_equal(metrics_get(METRIC_REFUSED_ADDRESS_LIMIT) - before, 1);
    assert_true(fixture_logged(f, "peer=192.0.2.1:1"));
    assert_int_equal(f->accepted, 3);
    for (int i = 0; i < 4; i++) {
        close(fds[i]);
    }
}

static void test_ipv6_clients_are_counted_by_their_net(void **state)
{
    static const char *const clients[] = {"2001:db8::1", "2001:db8::ffff:0:0:2", "2001:db8:0:1::1",
                                          "2001:db8::3"};
    struct fixture *f = *state;
    int64_t before = metrics_get(METRIC_REFUSED_ADDRESS_LIMIT);
    struct writer got = {0};
    int fds[4];
    fixture_set(f, "net.max_per_address=2");
    listen_behind_proxy(f);
    for (unsigned i = 0; i < 4; i++) {
        fds[i] = fixture_connect(f);
        send_client(fds[i], clients[i]);
        if (i < 3) {
            WAIT_FOR(f, f->accepted == i + 1);
        }
    }
    fixture_read_end(f, fds[3], &got);
    assert_int_equal(metrics_get(METRIC_REFUSED_ADDRESS_LIMIT) - before, 1);
    for (int i = 0; i < 4; i++) {
        close(fds[i]);
    }
}

static void test_admit_sees_the_client(void **state)
{
    struct fixture *f = *state;
    int64_t before = metrics_get(METRIC_REFUSED_DENIED);
    struct writer got = {0};
    char text[ADDRESS_TEXT_SIZE];
    int fd;
    f->refuse = "denied";
    listen_behind_proxy(f);
    fd = fixture_connect(f);
    loop_iterate(f->loop, 10);
    assert_int_equal(f->asked, 0);
    send_client(fd, "192.0.2.1");
    fixture_read_end(f, fd, &got);
    assert_int_equal(f->asked, 1);
    assert_string_equal(address_format(&f->asked_for, text), "192.0.2.1:1");
    assert_int_equal(metrics_get(METRIC_REFUSED_DENIED) - before, 1);
    close(fd);
}

static void test_those_in_a_handshake_end_with_the_listener(void **state)
{
    struct fixture *f = *state;
    struct writer got = {0};
    int fd;
    listen_behind_proxy(f);
    fd = fixture_connect(f);
    WAIT_FOR(f, net_connection_count(f->net) == 1);
    listener_destroy(&f->listener);
    fixture_read_end(f, fd, &got);
    assert_int_equal(net_connection_count(f->net), 0);
    assert_int_equal(f->accepted, 0);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_headers),
        cmocka_unit_test(test_bad_headers),
        cmocka_unit_test(test_unix_client),
        cmocka_unit_test(test_largest_header),
        cmocka_unit_test(test_prefix_lists),
        TEST(test_listener_takes_the_address),
        TEST(test_listener_takes_it_byte_by_byte),
        TEST(test_listener_refuses_malformed),
        TEST(test_listener_refuses_missing_and_late),
        TEST(test_proxy_from),
        TEST(test_clients_are_counted_not_the_proxy),
        TEST(test_ipv6_clients_are_counted_by_their_net),
        TEST(test_admit_sees_the_client),
        TEST(test_those_in_a_handshake_end_with_the_listener),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
