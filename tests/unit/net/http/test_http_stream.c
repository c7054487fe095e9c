/* Answers in pieces, as the client takes them; and requests that are sent ahead: one in an
 * event-loop iteration. */
#include "net/http/http_fixture.h"

#define PIECE 65536

/* An answer of so many pieces. */
static struct stream {
    struct http_request *request;
    unsigned pieces, sent;
    unsigned ended;
    bool gone; /* the client had disconnected */
} stream;

static void on_stream_ready(void *arg)
{
    static uint8_t piece[PIECE];
    assert_non_null(stream.request);
    stream.gone = !http_request_conn(stream.request);
    if (stream.gone || stream.sent == stream.pieces) {
        struct http_request *request = stream.request;
        stream.request = NULL;
        stream.ended++;
        http_stream_end(request);
        return;
    }
    memset(piece, 'a' + (int)(stream.sent % 26), sizeof piece);
    stream.sent++;
    http_stream_send(stream.request, (struct bytes){piece, stream.pieces == 1 ? 5 : PIECE});
}

/* The request that waits for its answer gets one of so many pieces. */
static void answer_in_pieces(unsigned pieces)
{
    stream = (struct stream){.request = web.later, .pieces = pieces};
    web.later = NULL;
    http_stream_begin(stream.request, 200, "text/plain", "X-Test: yes\r\n", on_stream_ready, NULL);
}

static int ask_later(const char *request)
{
    int fd = fixture_connect(web.f);
    fixture_write_text(fd, request);
    WAIT_FOR(web.f, web.later != NULL);
    return fd;
}

static void test_chunks(void **state)
{
    struct writer got = {0};
    int fd = ask_later("GET /later HTTP/1.1\r\nHost: a\r\n\r\n");
    answer_in_pieces(1);
    WAIT_FOR(web.f, (fixture_read(fd, &got), got.len > 5 && got.data[got.len - 5] == '0'));
    drop_date(&got);
    fixture_expect_text(&got, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
                              "Content-Type: text/plain\r\nConnection: keep-alive\r\n"
                              "X-Test: yes\r\n\r\n5\r\naaaaa\r\n0\r\n\r\n");
    /* The connection is kept. */
    expect_answer(fd, "GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n",
                  "HTTP/1.1 204 No Content\r\nConnection: keep-alive\r\n\r\n");
    close(fd);
    writer_free(&got);
}

static void test_nothing_in_pieces(void **state)
{
    struct writer got = {0};
    int fd = ask_later("GET /later HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    answer_in_pieces(0);
    fixture_read_end(web.f, fd, &got);
    drop_date(&got);
    fixture_expect_text(&got, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
                              "Content-Type: text/plain\r\nConnection: close\r\n"
                              "X-Test: yes\r\n\r\n0\r\n\r\n");
    close(fd);
    writer_free(&got);
}

static void test_until_the_end_of_the_connection(void **state)
{
    struct writer got = {0};
    int fd = ask_later("GET /later HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    answer_in_pieces(1);
    fixture_read_end(web.f, fd, &got);
    drop_date(&got);
    fixture_expect_text(&got, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n"
                              "X-Test: yes\r\n\r\naaaaa");
    close(fd);
    writer_free(&got);
}

static void test_head_in_pieces(void **state)
{
    struct writer got = {0};
    int fd = ask_later("HEAD /later HTTP/1.1\r\nHost: a\r\n\r\n");
    answer_in_pieces(1);
    WAIT_FOR(web.f, stream.ended == 1);
    WAIT_FOR(web.f, (fixture_read(fd, &got), got.len > 0));
    drop_date(&got);
    fixture_expect_text(&got, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
                              "Content-Type: text/plain\r\nConnection: keep-alive\r\n"
                              "X-Test: yes\r\n\r\n");
    expect_answer(fd, "GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n",
                  "HTTP/1.1 204 No Content\r\nConnection: keep-alive\r\n\r\n");
    close(fd);
    writer_free(&got);
}

/* One piece waits at most: no more is asked for until it has been taken. */
static void test_who_does_not_read_gets_no_more(void **state)
{
    struct writer got = {0};
    int fd = ask_later("GET /later HTTP/1.1\r\nHost: a\r\n\r\n");
    answer_in_pieces(500);
    WAIT_FOR(web.f, metrics_get(METRIC_OUTPUT_QUEUED) > 0);
    unsigned sent = stream.sent;
    for (int i = 0; i < 50; i++) {
        loop_iterate(web.f->loop, 1);
        assert_true(metrics_get(METRIC_OUTPUT_QUEUED) <= PIECE + 64);
    }
    assert_true(stream.sent <= sent + 1 && stream.sent < 500);
    WAIT_FOR(web.f, (fixture_read(fd, &got), stream.ended == 1));
    assert_int_equal(stream.sent, 500);
    WAIT_FOR(web.f, (fixture_read(fd, &got), got.len > 500 * (PIECE + 9) + 5));
    assert_memory_equal(got.data + got.len - 7, "\r\n0\r\n\r\n", 7);
    close(fd);
    writer_free(&got);
}

static void test_a_client_that_is_gone(void **state)
{
    int fd = ask_later("GET /later HTTP/1.1\r\nHost: a\r\n\r\n");
    answer_in_pieces(1000);
    WAIT_FOR(web.f, metrics_get(METRIC_OUTPUT_QUEUED) > 0);
    conn_close(http_request_conn(stream.request), CONN_CLOSE_KICKED);
    WAIT_FOR(web.f, stream.ended == 1);
    assert_true(stream.gone);
    close(fd);
    expect_last_answer("GET /nothing HTTP/1.0\r\n\r\n",
                       "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
    /* Also one that has gone before the answer begins. */
    fd = ask_later("GET /later HTTP/1.1\r\nHost: a\r\n\r\n");
    conn_close(http_request_conn(web.later), CONN_CLOSE_KICKED);
    loop_iterate(web.f->loop, 0);
    answer_in_pieces(3);
    WAIT_FOR(web.f, stream.ended == 1);
    assert_true(stream.gone && stream.sent == 0);
    close(fd);
}

static void test_a_shared_frame(void **state)
{
    struct frame *frame = frame_create(BYTES_LITERAL("the same for all"));
    for (int i = 0; i < 2; i++) {
        struct writer got = {0};
        int fd = ask_later("GET /later HTTP/1.0\r\n\r\n");
        struct http_request *request = web.later;
        web.later = NULL;
        http_respond_frame(request, 200, "text/plain", NULL, frame);
        assert_int_equal(frame->references, 2);
        fixture_read_end(web.f, fd, &got);
        drop_date(&got);
        fixture_expect_text(&got,
                            "HTTP/1.1 200 OK\r\nContent-Length: 16\r\nContent-Type: text/plain\r\n"
                            "Connection: close\r\n\r\nthe same for all");
        close(fd);
        writer_free(&got);
    }
    assert_int_equal(frame->references, 1);
    frame_unref(&frame);
}

/* However many requests have arrived. */
static void test_one_request_in_an_iteration(void **state)
{
    static const char one[] = "GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n";
    struct writer requests = {0}, got = {0};
    int64_t before = metrics_get(METRIC_HTTP_REQUESTS);
    int fd = fixture_connect(web.f);
    for (int i = 0; i < 100; i++) {
        writer_string(&requests, one);
    }
    fixture_write(fd, requests.data, requests.len);
    while (metrics_get(METRIC_HTTP_REQUESTS) < before + 100) {
        int64_t taken = metrics_get(METRIC_HTTP_REQUESTS);
        loop_iterate(web.f->loop, 10);
        assert_true(metrics_get(METRIC_HTTP_REQUESTS) <= taken + 1);
    }
    WAIT_FOR(web.f, (fixture_read(fd, &got), got.len >= 100 * 64));
    close(fd);
    writer_free(&requests);
    writer_free(&got);
}

/* Nor when each is answered later in the same iteration. */
static void test_one_later_answer_in_an_iteration(void **state)
{
    static const char one[] = "GET /later HTTP/1.1\r\nHost: a\r\n\r\n";
    struct writer requests = {0};
    int fd = fixture_connect(web.f);
    for (int i = 0; i < 20; i++) {
        writer_string(&requests, one);
    }
    fixture_write(fd, requests.data, requests.len);
    for (int i = 0; i < 20; i++) {
        struct http_request *request;
        WAIT_FOR(web.f, web.later != NULL);
        request = web.later;
        web.later = NULL;
        http_respond(request, 204, NULL, NULL, (struct bytes){NULL, 0});
        assert_null(web.later);
    }
    close(fd);
    writer_free(&requests);
}

#define WEB(name) cmocka_unit_test_setup_teardown(name, create, destroy)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WEB(test_chunks),
        WEB(test_nothing_in_pieces),
        WEB(test_until_the_end_of_the_connection),
        WEB(test_head_in_pieces),
        WEB(test_who_does_not_read_gets_no_more),
        WEB(test_a_client_that_is_gone),
        WEB(test_a_shared_frame),
        WEB(test_one_request_in_an_iteration),
        WEB(test_one_later_answer_in_an_iteration),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
