/* HTTP on connections: keep-alive, pipelining, answers now and later, refusals, upgrades. */
#include "net/http/http_fixture.h"

static void test_answers(void **state)
{
    int64_t before = metrics_get(METRIC_HTTP_REQUESTS);
    int fd = fixture_connect(web.f);
    for (int i = 0; i < 3; i++) {
        expect_answer(fd, "GET /hello/you?name=J%C3%A9 HTTP/1.1\r\nHost: a\r\n\r\n",
                      "HTTP/1.1 200 OK\r\nContent-Length: 18\r\nContent-Type: text/plain\r\n"
                      "Connection: keep-alive\r\nX-Test: yes\r\n\r\nGET /hello/you J\xc3\xa9");
    }
    expect_answer(fd, "HEAD /hello/you HTTP/1.1\r\nHost: a\r\n\r\n",
                  "HTTP/1.1 200 OK\r\nContent-Length: 16\r\nContent-Type: text/plain\r\n"
                  "Connection: keep-alive\r\nX-Test: yes\r\n\r\n");
    expect_answer(fd, "POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
                  "HTTP/1.1 201 Created\r\nContent-Length: 5\r\nContent-Type: text/plain\r\n"
                  "Connection: keep-alive\r\n\r\nhello");
    expect_answer(fd,
                  "POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                  "3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
                  "HTTP/1.1 201 Created\r\nContent-Length: 5\r\nContent-Type: text/plain\r\n"
                  "Connection: keep-alive\r\n\r\nhello");
    expect_answer(fd, "GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n",
                  "HTTP/1.1 204 No Content\r\nConnection: keep-alive\r\n\r\n");
    expect_answer(fd, "GET /elsewhere HTTP/1.1\r\nHost: a\r\n\r\n",
                  "HTTP/1.1 404 Not Found\r\nContent-Length: 14\r\n"
                  "Content-Type: text/plain; charset=utf-8\r\nConnection: keep-alive\r\n\r\n"
                  "404 Not Found\n");
    expect_answer(fd, "DELETE /body HTTP/1.1\r\nHost: a\r\n\r\n",
                  "HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 23\r\n"
                  "Content-Type: text/plain; charset=utf-8\r\nConnection: keep-alive\r\n"
                  "Allow: POST, OPTIONS\r\n\r\n405 Method Not Allowed\n");
    assert_int_equal(metrics_get(METRIC_HTTP_REQUESTS) - before, 9);
    close(fd);
}

static void test_options(void **state)
{
    int fd = fixture_connect(web.f);
    expect_answer(fd, "OPTIONS /body/ HTTP/1.1\r\nHost: a\r\n\r\n",
                  "HTTP/1.1 204 No Content\r\nConnection: keep-alive\r\n"
                  "Allow: POST, OPTIONS\r\n\r\n");
    expect_answer(fd, "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
                  "HTTP/1.1 204 No Content\r\nConnection: keep-alive\r\n"
                  "Allow: GET, HEAD, POST, OPTIONS\r\n\r\n");
    expect_answer(fd, "OPTIONS /elsewhere HTTP/1.1\r\nHost: a\r\n\r\n",
                  "HTTP/1.1 404 Not Found\r\nContent-Length: 14\r\n"
                  "Content-Type: text/plain; charset=utf-8\r\nConnection: keep-alive\r\n\r\n"
                  "404 Not Found\n");
    /* As HAProxy's simplest check asks, also where there is no page. */
    expect_last_answer("OPTIONS / HTTP/1.0\r\n\r\n",
                       "HTTP/1.1 204 No Content\r\nConnection: close\r\nAllow: OPTIONS\r\n\r\n");
    close(fd);
}

static void test_errors_of_a_form_of_their_own(void **state)
{
    int fd = fixture_connect(web.f);
#define ERROR_ANSWER(status, length, kept, body)                                                   \
    "HTTP/1.1 " status "\r\nContent-Length: " length                                               \
    "\r\nContent-Type: text/x\r\nConnection: " kept "\r\n" body
    expect_answer(fd, "GET /x/none HTTP/1.1\r\nHost: a\r\n\r\n",
                  ERROR_ANSWER("404 Not Found", "7", "keep-alive", "\r\n<404 ->"));
    expect_answer(fd, "GET /x HTTP/1.1\r\nHost: a\r\n\r\n",
                  ERROR_ANSWER("404 Not Found", "7", "keep-alive", "\r\n<404 ->"));
    expect_answer(fd, "GET /x/post HTTP/1.1\r\nHost: a\r\n\r\n",
                  ERROR_ANSWER("405 Method Not Allowed", "7", "keep-alive",
                               "Allow: POST, OPTIONS\r\n\r\n<405 ->"));
    expect_answer(fd, "HEAD /x/none HTTP/1.1\r\nHost: a\r\n\r\n",
                  ERROR_ANSWER("404 Not Found", "7", "keep-alive", "\r\n"));
    expect_last_answer(
        "GET /x/a?b=%z HTTP/1.1\r\nHost: a\r\n\r\n",
        ERROR_ANSWER("400 Bad Request", "32", "close", "\r\n<400 a malformed % in the query>"));
    expect_last_answer(
        "GET /x/a HTTP/1.1\r\nHost: a b\r\n\r\n",
        ERROR_ANSWER("400 Bad Request", "22", "close", "\r\n<400 a malformed Host>"));
    expect_last_answer(
        "GET /x/a HTTP/1.1\r\nHost: a\nb\r\n\r\n",
        ERROR_ANSWER("400 Bad Request", "36", "close", "\r\n<400 a line does not end with CR LF>"));
    expect_last_answer("HEAD /x/a HTTP/1.1\r\nHost: a\nb\r\n\r\n",
                       ERROR_ANSWER("400 Bad Request", "36", "close", "\r\n"));
    close(fd);
}

static void test_the_client_may_ask_to_close(void **state)
{
    expect_last_answer("GET /nothing HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
                       "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
    expect_last_answer("GET /nothing HTTP/1.0\r\n\r\n",
                       "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
    /* What comes after is not answered. */
    expect_last_answer("GET /nothing HTTP/1.0\r\n\r\nGET /nothing HTTP/1.0\r\n\r\n",
                       "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
}

static void test_byte_by_byte(void **state)
{
    static const char text[] =
        "POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        "3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n";
    struct writer got = {0};
    int fd = fixture_connect(web.f);
    for (size_t i = 0; i < sizeof text - 1; i++) {
        fixture_write(fd, text + i, 1);
        loop_iterate(web.f->loop, 1);
    }
    WAIT_FOR(web.f, (fixture_read(fd, &got), got.len > 5));
    assert_memory_equal(got.data + got.len - 5, "hello", 5);
    close(fd);
    writer_free(&got);
}

static void test_refusals(void **state)
{
#define REFUSAL(status, length, reason)                                                            \
    "HTTP/1.1 " status "\r\nContent-Length: " length                                               \
    "\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n" status ": " reason  \
    "\n"
    int64_t before = metrics_get(METRIC_HTTP_REFUSED);
    fixture_set(web.f, "net.linger=60s");
    expect_last_answer("nonsense\r\n\r\nand much more that nobody reads",
                       REFUSAL("400 Bad Request", "37", "not an HTTP request"));
    expect_last_answer("POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n"
                       "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
                       "GET /hello/smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
                       REFUSAL("400 Bad Request", "50", "unexpected content-length header"));
    expect_last_answer("POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 65537\r\n\r\n",
                       REFUSAL("413 Payload Too Large", "45", "the body is too large"));
    expect_last_answer("FROB / HTTP/1.1\r\nHost: a\r\n\r\n",
                       REFUSAL("501 Not Implemented", "39", "an unknown method"));
    assert_int_equal(metrics_get(METRIC_HTTP_REFUSED) - before, 4);
    assert_true(fixture_logged(web.f, "request_refused"));
}

static void expect_status(const struct writer *got, const char *status)
{
    if (got->len < strlen(status) || memcmp(got->data, status, strlen(status)) != 0) {
        fail_msg("\"%.*s\" does not begin with %s", (int)got->len, (const char *)got->data, status);
    }
}

static void test_too_large(void **state)
{
    static char text[70000];
    static const struct {
        const char *start, *status;
    } cases[] = {{"GET /", "HTTP/1.1 414 "}, {"GET / HTTP/1.1\r\nA: ", "HTTP/1.1 431 "}};
    for (size_t i = 0; i < 2; i++) {
        struct writer got = {0};
        int fd = fixture_connect(web.f);
        memset(text, 'a', sizeof text);
        memcpy(text, cases[i].start, strlen(cases[i].start));
        fixture_write(fd, text, 16383);
        loop_iterate(web.f->loop, 10);
        assert_true(fixture_read(fd, &got));
        assert_int_equal(got.len, 0);
        fixture_write(fd, text + 16383, 20000);
        fixture_read_end(web.f, fd, &got);
        expect_status(&got, cases[i].status);
        close(fd);
        writer_free(&got);
    }
}

static void test_slow_requests(void **state)
{
    static const char *const parts[] = {
        "G", "GET / HTTP/1.1\r\nHost: a\r\n",
        "POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nh"};
    web.settings.timeout = 100;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        struct writer got = {0};
        int fd = fixture_connect(web.f);
        fixture_write_text(fd, parts[i]);
        fixture_read_end(web.f, fd, &got);
        expect_status(&got, "HTTP/1.1 408 ");
        close(fd);
        writer_free(&got);
    }
}

static void test_silent_connections(void **state)
{
    int64_t handshake = metrics_get(METRIC_CLOSED_HANDSHAKE);
    int64_t idle = metrics_get(METRIC_CLOSED_IDLE);
    struct writer got = {0};
    int fd;
    web.settings.timeout = 100;
    fd = fixture_connect(web.f);
    fixture_read_end(web.f, fd, &got);
    assert_int_equal(got.len, 0);
    assert_int_equal(metrics_get(METRIC_CLOSED_HANDSHAKE) - handshake, 1);
    close(fd);
    web.settings.timeout = 60000;
    web.settings.idle = 100;
    fd = fixture_connect(web.f);
    expect_answer(fd, "GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n",
                  "HTTP/1.1 204 No Content\r\nConnection: keep-alive\r\n\r\n");
    fixture_read_end(web.f, fd, &got);
    assert_int_equal(got.len, 0);
    assert_int_equal(metrics_get(METRIC_CLOSED_IDLE) - idle, 1);
    close(fd);
}

static void test_continue(void **state)
{
    struct writer got = {0};
    int fd = fixture_connect(web.f);
    fixture_write_text(fd, "POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n"
                           "Expect: 100-continue\r\n\r\n");
    fixture_read_len(web.f, fd, &got, 25);
    fixture_expect_text(&got, "HTTP/1.1 100 Continue\r\n\r\n");
    expect_answer(fd, "ok",
                  "HTTP/1.1 201 Created\r\nContent-Length: 2\r\nContent-Type: text/plain\r\n"
                  "Connection: keep-alive\r\n\r\nok");
    close(fd);
    writer_free(&got);
}

static void test_answers_later_and_in_order(void **state)
{
    struct writer got = {0};
    int fd = fixture_connect(web.f);
    struct http_request *first;
    fixture_write_text(fd, "GET /later HTTP/1.1\r\nHost: a\r\n\r\n"
                           "GET /later HTTP/1.1\r\nHost: a\r\n\r\n"
                           "GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n");
    WAIT_FOR(web.f, web.later != NULL);
    for (int i = 0; i < 3; i++) {
        loop_iterate(web.f->loop, 1);
    }
    assert_true(fixture_read(fd, &got));
    assert_int_equal(got.len, 0);
    first = web.later;
    web.later = NULL;
    http_respond(first, 200, "text/plain", NULL, BYTES_LITERAL("first"));
    WAIT_FOR(web.f, web.later != NULL);
    first = web.later;
    web.later = NULL;
    http_respond(first, 200, "text/plain", NULL, BYTES_LITERAL("second"));
    WAIT_FOR(web.f, ({
                 fixture_read(fd, &got);
                 writer_u8(&got, 0);
                 got.len--;
                 strstr((char *)got.data, "204");
             }));
    assert_true(strstr((char *)got.data, "first") < strstr((char *)got.data, "second"));
    assert_true(strstr((char *)got.data, "second") < strstr((char *)got.data, "204"));
    close(fd);
    writer_free(&got);
}

static void test_client_gone_before_the_answer(void **state)
{
    struct linger now = {1, 0};
    int fd = fixture_connect(web.f);
    fixture_write_text(fd, "GET /later HTTP/1.1\r\nHost: a\r\n\r\n");
    WAIT_FOR(web.f, web.later != NULL);
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(fd);
    /* It is found out when something closes the connection. */
    conn_close(http_request_conn(web.later), CONN_CLOSE_KICKED);
    loop_iterate(web.f->loop, 0);
    assert_null(http_request_conn(web.later));
    http_respond(web.later, 200, "text/plain", NULL, BYTES_LITERAL("too late"));
}

static void test_many_in_one_piece(void **state)
{
    static const char one[] = "GET /large HTTP/1.1\r\nHost: a\r\n\r\n";
    struct writer requests = {0}, got = {0};
    size_t largest = 0;
    unsigned answers = 0;
    int fd = fixture_connect(web.f);
    for (int i = 0; i < 200; i++) {
        writer_string(&requests, one);
    }
    fixture_write(fd, requests.data, requests.len);
    WAIT_FOR(web.f, ({
                 size_t queued = (size_t)metrics_get(METRIC_OUTPUT_QUEUED);
                 largest = queued > largest ? queued : largest;
                 fixture_read(fd, &got);
                 got.len >= 200 * 30000;
             }));
    for (size_t i = 0; i + 8 < got.len; i++) {
        answers += memcmp(got.data + i, "HTTP/1.1", 8) == 0;
    }
    assert_int_equal(answers, 200);
    assert_true(largest < 200000);
    close(fd);
    writer_free(&requests);
    writer_free(&got);
}

static void test_upgrade(void **state)
{
    struct writer got = {0};
    int fd = fixture_connect(web.f);
    fixture_write_text(fd, "GET /upgrade HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n"
                           "Upgrade: other\r\n\r\nfirst");
    WAIT_FOR(web.f, web.seen.len == 5);
    fixture_write_text(fd, "second");
    WAIT_FOR(web.f, web.seen.len == 11);
    fixture_expect_text(&web.seen, "firstsecond");
    fixture_read_len(web.f, fd, &got, 36);
    expect_status(&got, "HTTP/1.1 101 ");
    close(fd);
    WAIT_FOR(web.f, web.upgraded_closed == 1);
    writer_free(&got);
}

static void test_upgrade_later(void **state)
{
    int fd = fixture_connect(web.f);
    fixture_write_text(fd, "GET /later HTTP/1.1\r\nHost: a\r\n\r\nfirst");
    WAIT_FOR(web.f, web.later != NULL);
    upgrade(NULL, web.later);
    WAIT_FOR(web.f, web.seen.len == 5);
    fixture_expect_text(&web.seen, "first");
    close(fd);
    WAIT_FOR(web.f, web.upgraded_closed == 1);
}

#define WEB(name) cmocka_unit_test_setup_teardown(name, create, destroy)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WEB(test_answers),
        WEB(test_options),
        WEB(test_errors_of_a_form_of_their_own),
        WEB(test_the_client_may_ask_to_close),
        WEB(test_byte_by_byte),
        WEB(test_refusals),
        WEB(test_too_large),
        WEB(test_slow_requests),
        WEB(test_silent_connections),
        WEB(test_continue),
        WEB(test_answers_later_and_in_order),
        WEB(test_client_gone_before_the_answer),
        WEB(test_many_in_one_piece),
        WEB(test_upgrade),
        WEB(test_upgrade_later),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
