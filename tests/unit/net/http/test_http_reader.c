/* The reader of HTTP requests and the router, without sockets: good and bad requests whole and
 * split at every byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "net/http/http_private.h"

static const struct http_settings settings = {
    .max_header = 512, .max_headers = 5, .max_body = 20, .timeout = 1000, .idle = 1000};

struct good {
    const char *text;
    const char *method, *path, *query, *body;
    bool keeps_alive;
};

#define HOST "Host: a\r\n"

static const struct good good[] = {
    {"GET / HTTP/1.1\r\n" HOST "\r\n", "GET", "/", "", "", true},
    {"\r\n\r\nGET / HTTP/1.1\r\n" HOST "\r\n", "GET", "/", "", "", true},
    {"GET / HTTP/1.0\r\n\r\n", "GET", "/", "", "", false},
    {"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "GET", "/", "", "", true},
    {"GET /a HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n", "GET", "/a", "", "", false},
    {"HEAD /a/b?c=d HTTP/1.1\r\n" HOST "\r\n", "HEAD", "/a/b", "c=d", "", true},
    {"DELETE /a%20b%2Fc? HTTP/1.1\r\n" HOST "\r\n", "DELETE", "/a b/c", "", "", true},
    {"GET http://example.org/x?y HTTP/1.1\r\n" HOST "\r\n", "GET", "/x", "y", "", true},
    {"GET http://example.org HTTP/1.1\r\n" HOST "\r\n", "GET", "/", "", "", true},
    {"GET http://example.org?q HTTP/1.1\r\n" HOST "\r\n", "GET", "/", "q", "", true},
    {"GET /a/ HTTP/1.1\r\n" HOST "\r\n", "GET", "/a", "", "", true},
    {"GET /a/b/?c=d/ HTTP/1.1\r\n" HOST "\r\n", "GET", "/a/b", "c=d/", "", true},
    {"GET /a%2F HTTP/1.1\r\n" HOST "\r\n", "GET", "/a/", "", "", true},
    {"GET /a%2f/ HTTP/1.1\r\n" HOST "\r\n", "GET", "/a/", "", "", true},
    {"GET http://example.org/x/?y HTTP/1.1\r\n" HOST "\r\n", "GET", "/x", "y", "", true},
    {"GET /?a=%C3%a9&b=+&c HTTP/1.1\r\n" HOST "\r\n", "GET", "/", "a=%C3%a9&b=+&c", "", true},
    {"GET / HTTP/1.1\r\nHost:\r\n\r\n", "GET", "/", "", "", true},
    {"GET / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n", "GET", "/", "", "", true},
    {"GET / HTTP/1.1\r\nHost: my_host-1.example.org.:\r\n\r\n", "GET", "/", "", "", true},
    {"GET / HTTP/1.1\r\nHost: [::1]\r\n\r\n", "GET", "/", "", "", true},
    {"GET / HTTP/1.1\r\nHost: [2001:db8::1]:65535\r\n\r\n", "GET", "/", "", "", true},
    {"GET / HTTP/1.1\r\nHost: [fe80::1%eth0.1]:80\r\n\r\n", "GET", "/", "", "", true},
    {"GET / HTTP/1.1\r\nHost: [fe80::1%25eth0]\r\n\r\n", "GET", "/", "", "", true},
    {"GET / HTTP/1.1\r\nHost: b%C3%BCcher\r\n\r\n", "GET", "/", "", "", true},
    {"OPTIONS / HTTP/1.0\r\n\r\n", "OPTIONS", "/", "", "", false},
    {"OPTIONS * HTTP/1.1\r\n" HOST "\r\n", "OPTIONS", "*", "", "", true},
    {"POST / HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello", "POST", "/", "", "hello", true},
    {"POST / HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n", "POST", "/", "", "", true},
    {"POST / HTTP/1.1\r\n" HOST "content-length:20\r\n\r\n01234567890123456789", "POST", "/", "",
     "01234567890123456789", true},
    {"POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
     "5\r\nhello\r\n0006;name=value\r\n world\r\n0\r\n\r\n",
     "POST", "/", "", "hello world", true},
    {"POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: CHUNKED\r\n\r\n"
     "A\r\n0123456789\r\na\r\n0123456789\r\n0\r\nTrailer: x\r\nOther: y\r\n\r\n",
     "POST", "/", "", "01234567890123456789", true},
    {"PUT / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "PUT", "/", "", "",
     true},
    {"GET /ws HTTP/1.1\r\n" HOST "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n", "GET", "/ws",
     "", "", true},
};

/* Feeds text in two parts, the second with what was not consumed of the first. */
static size_t feed_cut(struct http_reader *reader, const char *text, size_t len, size_t cut,
                       enum http_result *result)
{
    uint8_t *part = mem_alloc(cut + 1);
    size_t used;
    memcpy(part, text, cut);
    used = http_reader_feed(reader, &settings, (struct bytes){part, cut}, result);
    free(part);
    assert_true(used <= cut);
    if (*result != HTTP_MORE) {
        return used;
    }
    return used + http_reader_feed(reader, &settings,
                                   (struct bytes){(const uint8_t *)text + used, len - used},
                                   result);
}

static void expect_bytes(struct bytes bytes, const char *text)
{
    if (!bytes_equal(bytes, bytes_from_string(text))) {
        fail_msg("\"%.*s\" is not \"%s\"", (int)bytes.len, (const char *)bytes.data, text);
    }
}

static void test_good(void **state)
{
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        const struct good *g = &good[i];
        size_t len = strlen(g->text);
        for (size_t cut = 0; cut <= len; cut++) {
            struct http_reader reader = {0};
            enum http_result result;
            char text[512];
            /* Another request behind it is left alone. */
            snprintf(text, sizeof text, "%sGET /", g->text);
            assert_int_equal(feed_cut(&reader, text, len + 5, cut, &result), len);
            if (result != HTTP_DONE) {
                fail_msg("case %zu, cut %zu: %s", i, cut, reader.error);
            }
            expect_bytes(reader.method, g->method);
            expect_bytes(writer_bytes_written(&reader.path), g->path);
            expect_bytes(reader.query, g->query);
            expect_bytes(writer_bytes_written(&reader.body), g->body);
            assert_int_equal(reader.keeps_alive, g->keeps_alive);
            http_reader_reset(&reader);
        }
    }
}

static const struct {
    int status;
    const char *text;
} bad[] = {
    {400, "hello\r\n\r\n"},
    {400, "\x16\x03\x01\x02\n"},
    {400, "GET\r\n\r\n"},
    {400, "GET /\r\n\r\n"},
    {400, "GET / HTTP/1.1\r\n\r\n"},
    {400, "GET / HTTP/1.1\r\n" HOST HOST "\r\n"},
    {400, "GET / HTTP/1.1\n" HOST "\r\n"},
    {400, "GET / HTTP/1.1\r\nHost: a\n\r\n"},
    {400, "GET / HTTP/1.1\r\n" HOST "\n"},
    {400, "GET / HTTP/1.1\r\n" HOST "A: b\rc\r\n\r\n"},
    {400, "GET / HTTP/1.1\r\n" HOST "A: b\r\n folded\r\n\r\n"},
    {400, "GET / HTTP/1.1\r\n folded: x\r\n" HOST "\r\n"},
    {400, "GET / HTTP/1.1\r\n" HOST "A b: c\r\n\r\n"},
    {400, "GET / HTTP/1.1\r\n" HOST "A : c\r\n\r\n"},
    {400, "GET / HTTP/1.1\r\n" HOST ": c\r\n\r\n"},
    {400, "GET / HTTP/1.1\r\n" HOST "no colon\r\n\r\n"},
    {400, "GET / HTTP/1.1\r\n" HOST "A: \x01\r\n\r\n"},
    {400, "GET /%zz HTTP/1.1\r\n" HOST "\r\n"},
    {400, "GET /%2 HTTP/1.1\r\n" HOST "\r\n"},
    {400, "GET /#x HTTP/1.1\r\n" HOST "\r\n"},
    {400, "GET * HTTP/1.1\r\n" HOST "\r\n"},
    {400, "GET x HTTP/1.1\r\n" HOST "\r\n"},
    {400, "get / HTTP/1.1\r\n" HOST "\r\n"},
    {501, "FROB / HTTP/1.1\r\n" HOST "\r\n"},
    {501, "CONNECT a:80 HTTP/1.1\r\n" HOST "\r\n"},
    {505, "GET / HTTP/2.0\r\n" HOST "\r\n"},
    {505, "GET / HTTP/1.2\r\n" HOST "\r\n"},
    {417, "POST / HTTP/1.1\r\n" HOST "Content-Length: 1\r\nExpect: more\r\n\r\n"},
    /* Where a request ends must not be open to doubt. */
    {400,
     "POST / HTTP/1.1\r\n" HOST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
    {400,
     "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"},
    {400, "POST / HTTP/1.1\r\n" HOST "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello"},
    {400, "POST / HTTP/1.1\r\n" HOST "Content-Length: 5, 5\r\n\r\nhello"},
    {400, "POST / HTTP/1.1\r\n" HOST "Content-Length: +5\r\n\r\nhello"},
    {400, "POST / HTTP/1.1\r\n" HOST "Content-Length: -5\r\n\r\nhello"},
    {400, "POST / HTTP/1.1\r\n" HOST "Content-Length: 0x5\r\n\r\nhello"},
    {400, "POST / HTTP/1.1\r\n" HOST "Content-Length:\r\n\r\nhello"},
    {400, "POST / HTTP/1.1\r\n" HOST "Content-Length: 99999999999999999999999\r\n\r\n"},
    {400, "POST / HTTP/1.1\r\n" HOST "Content-Length : 5\r\n\r\nhello"},
    {400, "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
    {400, "POST / HTTP/1.1\r\n" HOST
          "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
    {501, "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"},
/* Hosts. */
#define WITH_HOST(host) "GET / HTTP/1.1\r\nHost: " host "\r\n\r\n"
    {400, WITH_HOST("a b")},
    {400, WITH_HOST("a\tb")},
    {400, WITH_HOST("a, b")},
    {400, WITH_HOST("a:b")},
    {400, WITH_HOST("a:80:80")},
    {400, WITH_HOST("a:65536")},
    {400, WITH_HOST("a:99999999999")},
    {400, WITH_HOST("a:-1")},
    {400, WITH_HOST(":80")},
    {400, WITH_HOST("user@a")},
    {400, WITH_HOST("http://a")},
    {400, WITH_HOST("a/b")},
    {400, WITH_HOST("a?b")},
    {400, WITH_HOST("a\"b")},
    {400, WITH_HOST("a%zz")},
    {400, WITH_HOST("\xc3\xbc")},
    {400, WITH_HOST("::1")},
    {400, WITH_HOST("[::1")},
    {400, WITH_HOST("[]")},
    {400, WITH_HOST("[a]")},
    {400, WITH_HOST("[::1]x")},
    {400, WITH_HOST("[::1%]")},
    {400, WITH_HOST("[::1%eth%]")},
    {400, WITH_HOST("[x%eth0]")},
    {400, "GET / HTTP/1.0\r\nHost: a b\r\n\r\n"},
    /* Targets. */
    {400, "GET /?a=%zz HTTP/1.1\r\n" HOST "\r\n"},
    {400, "GET /?a=1&%4 HTTP/1.1\r\n" HOST "\r\n"},
    {400, "GET /?% HTTP/1.1\r\n" HOST "\r\n"},
    {400, "GET http://example.org/?a=%g0 HTTP/1.1\r\n" HOST "\r\n"},
    {400, "GET /a\tb HTTP/1.1\r\n" HOST "\r\n"},
    {400, "GET http://user:word@example.org/ HTTP/1.1\r\n" HOST "\r\n"},
/* Chunks. */
#define CHUNKED "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
    {400, CHUNKED "\r\n"},
    {400, CHUNKED "x\r\n"},
    {400, CHUNKED "-1\r\n"},
    {400, CHUNKED "5 \r\nhello\r\n0\r\n\r\n"},
    {400, CHUNKED "5\nhello\r\n0\r\n\r\n"},
    {400, CHUNKED "5\rxhello\r\n0\r\n\r\n"},
    {400, CHUNKED "5;ext\nhello\r\n0\r\n\r\n"},
    {400, CHUNKED "5\r\nhelloo\r\n0\r\n\r\n"},
    {400, CHUNKED "5\r\nhello\n0\r\n\r\n"},
    {400, CHUNKED "5\r\nhello\rx0\r\n\r\n"},
    {400, CHUNKED "0\r\n\n"},
    {400, CHUNKED "0\r\n\rx"},
    {400, CHUNKED "0\r\nTrailer\n"},
    {413, CHUNKED "15\r\n0123456789012345678901234567890"},
    {413, CHUNKED "14\r\n01234567890123456789\r\n1\r\nx"},
    {413, CHUNKED "ffffffffffffffff\r\n"},
    {413, CHUNKED "10000000000000005\r\nhello\r\n"},
    {413, "POST / HTTP/1.1\r\n" HOST "Content-Length: 21\r\n\r\n"},
    {413, "POST / HTTP/1.1\r\n" HOST "Content-Length: 21\r\nExpect: 100-continue\r\n\r\n"},
    {431, "GET / HTTP/1.1\r\n" HOST "A: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\nE: 5\r\n\r\n"},
};

static void test_bad(void **state)
{
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        size_t len = strlen(bad[i].text);
        for (size_t cut = 0; cut <= len; cut++) {
            struct http_reader reader = {0};
            enum http_result result;
            (void)feed_cut(&reader, bad[i].text, len, cut, &result);
            if (result != HTTP_BAD || reader.status != bad[i].status) {
                fail_msg("case %zu, cut %zu: result %d, status %d (%s), not %d", i, cut, result,
                         reader.status, reader.error, bad[i].status);
            }
            assert_non_null(reader.error);
            http_reader_reset(&reader);
        }
    }
}

static void expect_status(const char *start, const char *repeated, size_t len, int status)
{
    struct http_reader reader = {0};
    enum http_result result;
    struct writer text = {0};
    writer_string(&text, start);
    while (text.len < len) {
        writer_string(&text, repeated);
    }
    (void)http_reader_feed(&reader, &settings, (struct bytes){text.data, len}, &result);
    assert_int_equal(result, status == 0 ? HTTP_MORE : HTTP_BAD);
    assert_int_equal(reader.status, status);
    http_reader_reset(&reader);
    writer_free(&text);
}

static void test_limits(void **state)
{
    expect_status("GET /", "a", 511, 0);
    expect_status("GET /", "a", 512, 414);
    expect_status("GET / HTTP/1.1\r\nA: ", "a", 511, 0);
    expect_status("GET / HTTP/1.1\r\nA: ", "a", 512, 431);
    expect_status("GET / HTTP/1.1\r\n", "A: b\r\n", 511, 431); /* lines */
    /* A body in tiny chunks, with endless extensions and trailers. */
    expect_status(CHUNKED "1;", "e", 2000, 413);
    expect_status(CHUNKED "0\r\n", "T: x\r\n", 2000, 413);
    expect_status(CHUNKED, "0", 2000, 413);
}

static void test_limit_lowered_meanwhile(void **state)
{
    static const char text[] = "GET / HTTP/1.1\r\nHost: a\r\nA: a longer header\r\nB: c\r\n";
    struct http_settings lower = settings;
    struct http_reader reader = {0};
    enum http_result result;
    (void)http_reader_feed(&reader, &settings, bytes_from_string(text), &result);
    assert_int_equal(result, HTTP_MORE);
    lower.max_header = 20;
    (void)http_reader_feed(&reader, &lower, bytes_from_string(text), &result);
    assert_int_equal(result, HTTP_BAD);
    assert_int_equal(reader.status, 431);
    http_reader_reset(&reader);
}

static void test_headers(void **state)
{
    static const char text[] = "GET / HTTP/1.1\r\nHost:a\r\nX-One:  padded \t\r\nX-Empty:\r\n"
                               "x-one: second\r\n\r\n";
    struct http_reader reader = {0};
    enum http_result result;
    (void)http_reader_feed(&reader, &settings, bytes_from_string(text), &result);
    assert_int_equal(result, HTTP_DONE);
    expect_bytes(http_reader_header(&reader, "host"), "a");
    expect_bytes(http_reader_header(&reader, "x-OnE"), "padded");
    expect_bytes(http_reader_header(&reader, "X-Empty"), "");
    assert_non_null(http_reader_header(&reader, "X-Empty").data);
    assert_null(http_reader_header(&reader, "X-On").data);
    assert_null(http_reader_header(&reader, "").data);
    http_reader_reset(&reader);
}

static void test_query(void **state)
{
    static const char text[] =
        "GET /?a=1&b=two+words%21&&c&=x&a=2&e=%00%26&%66=g&e%66=h HTTP/1.1\r\n"
        "Host: a\r\n\r\n";
    struct http_reader reader = {0};
    enum http_result result;
    struct bytes first;
    (void)http_reader_feed(&reader, &settings, bytes_from_string(text), &result);
    assert_int_equal(result, HTTP_DONE);
    first = http_reader_query(&reader, "a");
    expect_bytes(http_reader_query(&reader, "b"), "two words!");
    expect_bytes(http_reader_query(&reader, "c"), "");
    assert_non_null(http_reader_query(&reader, "c").data);
    expect_bytes(http_reader_query(&reader, "ef"), "h");
    assert_null(http_reader_query(&reader, "d").data);
    assert_true(bytes_equal(http_reader_query(&reader, "e"), BYTES_LITERAL("\0&")));
    expect_bytes(http_reader_query(&reader, "f"), "g");
    assert_null(http_reader_query(&reader, "g").data);
    expect_bytes(first, "1"); /* still there */
    http_reader_reset(&reader);
}

/* What is known of a request that is refused: enough for an answer of the right form. */
static void test_refused_at_once(void **state)
{
    static const struct {
        const char *text, *method, *path;
    } cases[] = {
        {"HEAD /api/x HTTP/1.1\r\nHost: a\r\nA\n\r\n", "HEAD", "/api/x"},
        {"GET /api/x?%zz HTTP/1.1\r\nHost: a\r\n\r\n", "GET", "/api/x"},
        {"GET /a%zz HTTP/1.1\r\nHost: a\r\n\r\n", "GET", "/a"},
        {"GET\n", "GET", ""},
        {"\xff\n", "", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct http_reader reader = {0};
        enum http_result result;
        (void)http_reader_feed(&reader, &settings, bytes_from_string(cases[i].text), &result);
        assert_int_equal(result, HTTP_BAD);
        expect_bytes(http_reader_method(&reader), cases[i].method);
        expect_bytes(http_reader_path(&reader), cases[i].path);
        http_reader_reset(&reader);
    }
}

static void test_continue(void **state)
{
    static const char head[] = "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\n"
                               "Content-Length: 2\r\n\r\n";
    char whole[200];
    struct http_reader reader = {0};
    enum http_result result;
    assert_int_equal(http_reader_feed(&reader, &settings, bytes_from_string(head), &result),
                     sizeof head - 1);
    assert_int_equal(result, HTTP_MORE);
    assert_true(reader.wants_continue);
    (void)http_reader_feed(&reader, &settings, BYTES_LITERAL("ok"), &result);
    assert_int_equal(result, HTTP_DONE);
    assert_false(reader.wants_continue);
    http_reader_reset(&reader);
    /* One that does not wait needs no answer. */
    snprintf(whole, sizeof whole, "%so", head);
    (void)http_reader_feed(&reader, &settings, bytes_from_string(whole), &result);
    assert_int_equal(result, HTTP_MORE);
    assert_false(reader.wants_continue);
    http_reader_reset(&reader);
}

static void test_texts(void **state)
{
    assert_string_equal(http_status_text(200), "OK");
    assert_string_equal(http_status_text(431), "Request Header Fields Too Large");
    assert_string_equal(http_status_text(299), "Unknown");
    assert_string_equal(http_date(784111777), "Sun, 06 Nov 1994 08:49:37 GMT"); /* RFC 9110 */
    assert_string_equal(http_date(0), "Thu, 01 Jan 1970 00:00:00 GMT");
}

static void test_accepted_codings(void **state)
{
    static const struct {
        const char *first, *second;
        bool accepted;
    } cases[] = {
        {"gzip", NULL, true},
        {"deflate, gzip;q=1.0, *;q=0.5", NULL, true},
        {"GZip ; Q=0.001", NULL, true},
        {"br", "gzip", true},
        {"*", NULL, true},
        {"identity;q=0.5, gzip;q=0.5", NULL, true},
        {"gzip;q=0.5, identity;q=0", NULL, true},
        {"gzip;level=9;q=0.8", NULL, true},
        {"", NULL, false},
        {",,", NULL, false},
        {"br, deflate", NULL, false},
        {"gzipped", NULL, false},
        {"gzip;q=0", NULL, false},
        {"gzip;q=0.000, *", NULL, false},
        {"*;q=0", NULL, false},
        {"gzip;q=0.5, identity", NULL, false},
        {"gzip;q=0.4", "identity;q=0.41", false},
        {"gzip;q=x", NULL, false},
        {"gzip;q=", NULL, false},
        {"gzip;q=1.1", NULL, false},
        {"gzip;q=0.5555", NULL, false},
        {"gzip;q=-1", NULL, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct http_accept accept = {0};
        http_accept_read(&accept, bytes_from_string(cases[i].first), "gzip");
        if (cases[i].second) {
            http_accept_read(&accept, bytes_from_string(cases[i].second), "gzip");
        }
        if (http_accept_allows(&accept) != cases[i].accepted) {
            fail_msg("%s", cases[i].first);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_headers),
        cmocka_unit_test(test_limit_lowered_meanwhile),
        cmocka_unit_test(test_query),
        cmocka_unit_test(test_refused_at_once),
        cmocka_unit_test(test_continue),
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_accepted_codings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
