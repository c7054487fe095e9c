/* The handshake: what is upgraded, what is refused and how, subprotocols, Origins. */
#include "websocket_case.h"

#include "net/websocket/origins_private.h"

/* Sends a request; what comes until the connection is open or has ended. */
static void ask(const char *request, struct writer *answer, bool *ended)
{
    unsigned before = place.accepted;
    int fd = fixture_connect(place.f);
    fixture_write_text(fd, request);
    *ended = false;
    WAIT_FOR(place.f, ({
                 if (!fixture_read(fd, answer)) {
                     *ended = true;
                 }
                 *ended || (place.accepted > before && answer->len > 100);
             }));
    close(fd);
    WAIT_FOR(place.f, net_connection_count(place.f->net) == 0);
    writer_u8(answer, 0);
}

static void expect_upgrade(const char *request, const char *answer)
{
    struct writer got = {0};
    bool ended;
    ask(request, &got, &ended);
    assert_string_equal((char *)got.data, answer);
    assert_false(ended);
    writer_free(&got);
}

/* The status, a part of the answer, and the metric that counts it. */
static void expect_refusal(const char *request, const char *status, const char *part,
                           enum metric metric)
{
    struct writer got = {0};
    int64_t before = metrics_get(metric);
    bool ended;
    ask(request, &got, &ended);
    if (strncmp((char *)got.data, status, strlen(status)) != 0 || !strstr((char *)got.data, part)) {
        fail_msg("%s is answered with %s", request, (char *)got.data);
    }
    assert_non_null(strstr((char *)got.data, "Connection: close\r\n"));
    assert_true(ended);
    assert_int_equal(metrics_get(metric) - before, 1);
    writer_free(&got);
}

static void test_upgrade(void **state)
{
    expect_upgrade(HANDSHAKE "\r\n", HANDSHAKE_ANSWER "\r\n");
    /* Words in any case, among others, in several lines. */
    expect_upgrade("GET / HTTP/1.1\r\nhost: a\r\nupgrade: foo, WebSocket\r\n"
                   "connection: keep-alive\r\nCONNECTION: close , upgrade\r\n"
                   "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n"
                   "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
                   HANDSHAKE_ANSWER "\r\n");
    assert_int_equal(place.accepted, 2);
}

/* The first of the client's list that is known; none is no error. */
static void test_subprotocols(void **state)
{
    static const struct {
        const char *offers, *answer;
    } cases[] = {
        {"Sec-WebSocket-Protocol: first\r\n", "Sec-WebSocket-Protocol: first\r\n"},
        {"Sec-WebSocket-Protocol: x,first, second\r\n", "Sec-WebSocket-Protocol: first\r\n"},
        {"Sec-WebSocket-Protocol:  second ,first\r\n", "Sec-WebSocket-Protocol: second\r\n"},
        {"Sec-WebSocket-Protocol: x\r\nSec-WebSocket-Protocol: y, second\r\n",
         "Sec-WebSocket-Protocol: second\r\n"},
        {"Sec-WebSocket-Protocol: First\r\n", ""},
        {"Sec-WebSocket-Protocol: firs, first2\r\n", ""},
        {"Sec-WebSocket-Protocol: ,,\r\n", ""},
        {"Sec-WebSocket-Protocol:\r\n", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *request = mem_format("%s%s\r\n", HANDSHAKE, cases[i].offers);
        char *answer = mem_format("%s%s\r\n", HANDSHAKE_ANSWER, cases[i].answer);
        expect_upgrade(request, answer);
        free(request);
        free(answer);
    }
}

#define KEY        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define VERSION    "Sec-WebSocket-Version: 13\r\n"
#define UPGRADE    "Host: a\r\nUpgrade: websocket\r\n"
#define CONNECTION "Connection: Upgrade\r\n"

static void test_refusals(void **state)
{
    static const struct {
        const char *request, *status, *part;
        enum metric metric;
    } cases[] = {
        {"POST / HTTP/1.1\r\n" UPGRADE CONNECTION KEY VERSION "\r\n", "HTTP/1.1 405 ",
         "Allow: GET\r\n", METRIC_WEBSOCKET_REFUSED_REQUEST},
        {"HEAD / HTTP/1.1\r\n" UPGRADE CONNECTION KEY VERSION "\r\n", "HTTP/1.1 405 ",
         "Allow: GET\r\n", METRIC_WEBSOCKET_REFUSED_REQUEST},
        {"GET / HTTP/1.0\r\n" UPGRADE CONNECTION KEY VERSION "\r\n", "HTTP/1.1 400 ", "handshake",
         METRIC_WEBSOCKET_REFUSED_REQUEST},
        {"GET / HTTP/1.1\r\n" UPGRADE KEY VERSION "\r\n", "HTTP/1.1 400 ", "handshake",
         METRIC_WEBSOCKET_REFUSED_REQUEST},
        {"GET / HTTP/1.1\r\n" UPGRADE "Connection: close\r\n" KEY VERSION "\r\n", "HTTP/1.1 400 ",
         "handshake", METRIC_WEBSOCKET_REFUSED_REQUEST},
        {"GET / HTTP/1.1\r\n" UPGRADE CONNECTION KEY "\r\n", "HTTP/1.1 426 ",
         "Sec-WebSocket-Version: 13\r\n", METRIC_WEBSOCKET_REFUSED_VERSION},
        {"GET / HTTP/1.1\r\n" UPGRADE CONNECTION KEY "Sec-WebSocket-Version: 8\r\n\r\n",
         "HTTP/1.1 426 ", "Sec-WebSocket-Version: 13\r\n", METRIC_WEBSOCKET_REFUSED_VERSION},
        {"GET / HTTP/1.1\r\n" UPGRADE CONNECTION KEY "Sec-WebSocket-Version: 13, 8\r\n\r\n",
         "HTTP/1.1 426 ", "13", METRIC_WEBSOCKET_REFUSED_VERSION},
        {"GET / HTTP/1.1\r\n" UPGRADE CONNECTION KEY VERSION VERSION "\r\n", "HTTP/1.1 426 ", "13",
         METRIC_WEBSOCKET_REFUSED_VERSION},
        {"GET / HTTP/1.1\r\n" UPGRADE CONNECTION VERSION "\r\n", "HTTP/1.1 400 ",
         "Sec-WebSocket-Key", METRIC_WEBSOCKET_REFUSED_KEY},
        {"GET / HTTP/1.1\r\n" UPGRADE CONNECTION VERSION KEY KEY "\r\n", "HTTP/1.1 400 ",
         "Sec-WebSocket-Key", METRIC_WEBSOCKET_REFUSED_KEY},
        {"GET / HTTP/1.1\r\n" UPGRADE CONNECTION VERSION
         "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ\r\n\r\n",
         "HTTP/1.1 400 ", "Sec-WebSocket-Key", METRIC_WEBSOCKET_REFUSED_KEY},
        {"GET / HTTP/1.1\r\n" UPGRADE CONNECTION VERSION
         "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j****\r\n\r\n",
         "HTTP/1.1 400 ", "Sec-WebSocket-Key", METRIC_WEBSOCKET_REFUSED_KEY},
        {"GET / HTTP/1.1\r\n" UPGRADE CONNECTION VERSION
         "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
         "HTTP/1.1 400 ", "Sec-WebSocket-Key", METRIC_WEBSOCKET_REFUSED_KEY},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        expect_refusal(cases[i].request, cases[i].status, cases[i].part, cases[i].metric);
    }
    assert_int_equal(place.accepted, 0);
    assert_true(fixture_logged(place.f, "request_refused"));
}

/* The frames that came with a refused handshake do not eat its answer by a reset. */
static void test_a_refusal_is_read_out(void **state)
{
    struct writer request = {0}, got = {0};
    int fd = fixture_connect(place.f);
    uint8_t byte;
    writer_string(&request, "GET / HTTP/1.1\r\n" UPGRADE CONNECTION KEY "\r\n");
    for (int i = 0; i < 200; i++) {
        frame_put_text(&request, "and so on");
    }
    fixture_write(fd, request.data, request.len);
    fixture_read_end(place.f, fd, &got);
    assert_int_equal(recv(fd, &byte, 1, 0), 0);
    assert_memory_equal(got.data, "HTTP/1.1 426 ", 13);
    close(fd);
    writer_free(&request);
    writer_free(&got);
}

/* A request that only names another protocol is plain HTTP. */
static void test_other_upgrades_are_http(void **state)
{
    struct writer got = {0};
    bool ended;
    ask("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nConnection: Upgrade, close\r\n\r\n", &got,
        &ended);
    assert_memory_equal(got.data, "HTTP/1.1 404 ", 13);
    writer_free(&got);
}

static void test_origins(void **state)
{
    static const char *const good[] = {"https://example.org",
                                       "HTTPS://EXAMPLE.org",
                                       "http://other.example:8080",
                                       "null",
                                       "https://example.org:443",
                                       "https://example.org.",
                                       "http://a",
                                       "http://a:8081",
                                       "https://A."};
    static const char *const bad[] = {"https://example.org:80",
                                      "http://example.org",
                                      "https://example.org.evil",
                                      "https://evil.example.org",
                                      "http://other.example",
                                      "http://b",
                                      "",
                                      "example.org",
                                      "same"};
    place_set("ws.origins=https://example.org http://other.example:8080,same, null");
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        char *request = mem_format(
            "GET / HTTP/1.1\r\n" UPGRADE CONNECTION KEY VERSION "Origin: %s\r\n\r\n", good[i]);
        expect_upgrade(request, HANDSHAKE_ANSWER "\r\n");
        free(request);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char *request = mem_format(
            "GET / HTTP/1.1\r\n" UPGRADE CONNECTION KEY VERSION "Origin: %s\r\n\r\n", bad[i]);
        expect_refusal(request, "HTTP/1.1 403 ", "ws.origins", METRIC_WEBSOCKET_REFUSED_ORIGIN);
        free(request);
    }
    expect_refusal("GET / HTTP/1.1\r\n" UPGRADE CONNECTION KEY VERSION
                   "Origin: null\r\nOrigin: null\r\n\r\n",
                   "HTTP/1.1 403 ", "ws.origins", METRIC_WEBSOCKET_REFUSED_ORIGIN);
    expect_upgrade(HANDSHAKE "\r\n", HANDSHAKE_ANSWER "\r\n"); /* no browser */
    place_set("ws.origins=");
    expect_upgrade(HANDSHAKE "Origin: https://anywhere\r\n\r\n", HANDSHAKE_ANSWER "\r\n");
}

/* RFC 6454, 4 and 5: an origin is a scheme, a host and a port. */
static void test_origins_are_compared_by_meaning(void **state)
{
    static const struct {
        const char *list, *origin, *host;
        bool is_in;
    } cases[] = {
        {"https://a.example:443", "https://a.example", "x", true},
        {"http://a.example:80", "http://A.Example.", "x", true},
        {"http://a.example.", "http://a.example", "x", true},
        {"http://a.example:443", "http://a.example", "x", false},
        {"https://a.example", "http://a.example:443", "x", false},
        {"https://[2001:db8::1]", "https://[2001:DB8:0:0:0:0:0:1]:443", "x", true},
        {"https://[2001:db8::1]", "https://[2001:db8::2]", "x", false},
        {"http://[::1]:8080", "http://[0:0::1]:8080", "x", true},
        {"capacitor://localhost", "capacitor://localhost", "x", true},
        {"capacitor://localhost:1", "capacitor://localhost", "x", false},
        {"moz-extension://0c1d", "moz-extension://0C1D", "x", true},
        {"same", "https://a.example", "a.example:8080", true},
        {"same", "http://a.example:3000", "A.example.", true},
        {"same", "http://a.example.evil", "a.example", false},
        {"same", "http://[::1]:3000", "[0::1]:8080", true},
        {"same", "http://a", "", false},
        {"same", "http://a", "a b", false},
        {"same", "null", "null", false},
        {"null", "http://null", "x", false},
        {"https://a", "https://a/", "x", false},
        {"https://a", "https://u@a", "x", false},
        {"https://a", "https://a:0443", "x", true},
        {"https://a", "https://a:99999", "x", false},
        {"https://a", "https://a:", "x", false},
        {"https://a", "https://[::1", "x", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bool is_in = origins_contain(cases[i].list, bytes_from_string(cases[i].origin),
                                     bytes_from_string(cases[i].host));
        if (is_in != cases[i].is_in) {
            fail_msg("%s with \"%s\" and Host \"%s\": %d", cases[i].origin, cases[i].list,
                     cases[i].host, is_in);
        }
    }
}

static void test_origins_that_are_none(void **state)
{
    static const char *const bad[] = {"example.org",
                                      "https://",
                                      "://a",
                                      "https://a/",
                                      "https://a/path",
                                      "*",
                                      "https://a b",
                                      "https://*.example.org",
                                      "https://u@a",
                                      "https://a:0",
                                      "https://a:70000",
                                      "https://a:b",
                                      "ws://a",
                                      "wss://a:8080",
                                      "https://[::1",
                                      "https://::1",
                                      "https://[::g]",
                                      "https://b\xc3\xbc",
                                      "1http://a",
                                      "https://a:",
                                      "https://a?query"};
    assert_null(origins_check(""));
    assert_null(origins_check(" , "));
    assert_null(origins_check("https://a:1, same null"));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (!origins_check(bad[i])) {
            fail_msg("\"%s\" is taken", bad[i]);
        }
    }
}

/* Frames behind the request, in one write: nothing is lost or overtaken. */
static void test_frames_behind_the_handshake(void **state)
{
    struct writer request = {0}, expected = {0}, got = {0};
    int fd = fixture_connect(place.f);
    writer_string(&request, HANDSHAKE "\r\n");
    frame_put_text(&request, "first");
    frame_put_close(&request, 1000, "");
    writer_string(&expected, HANDSHAKE_ANSWER "\r\n");
    answer_put(&expected, FIN | WEBSOCKET_FRAME_TEXT, BYTES_LITERAL("first"));
    answer_put_close(&expected, 1000, "");
    fixture_write(fd, request.data, request.len);
    fixture_read_end(place.f, fd, &got);
    expect_bytes("all at once", &got, &expected);
    close(fd);
    writer_free(&request);
    writer_free(&expected);
    writer_free(&got);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLACE_TEST(test_upgrade),
        PLACE_TEST(test_subprotocols),
        PLACE_TEST(test_refusals),
        PLACE_TEST(test_a_refusal_is_read_out),
        PLACE_TEST(test_other_upgrades_are_http),
        PLACE_TEST(test_origins),
        PLACE_TEST(test_origins_are_compared_by_meaning),
        PLACE_TEST(test_origins_that_are_none),
        PLACE_TEST(test_frames_behind_the_handshake),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
