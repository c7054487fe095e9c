/* A WebSocket connection's life: who says Close, rates, pauses, slow readers. Time is the loop's,
 * moved by the tests. */
#include "websocket_case.h"

#define TEXT  (FIN | WEBSOCKET_FRAME_TEXT)
#define CLOSE (FIN | WEBSOCKET_FRAME_CLOSE)

static void expect_end(int fd)
{
    struct writer got = {0};
    fixture_read_end(place.f, fd, &got);
    assert_int_equal(got.len, 0);
    writer_free(&got);
}

static void test_our_close(void **state)
{
    struct writer frames = {0};
    int64_t before = metrics_get(METRIC_WEBSOCKET_CLOSED_NORMAL);
    int fd;
    struct talk *talk = place_open(&fd);
    websocket_close(talk->websocket, WEBSOCKET_NORMAL, "done");
    websocket_close(talk->websocket, WEBSOCKET_POLICY, "twice");
    websocket_send(talk->websocket, WEBSOCKET_TEXT, BYTES_LITERAL("late"));
    conn_send(websocket_conn(talk->websocket), BYTES_LITERAL("late"));
    expect_close(fd, 1000, "done");
    /* What the client had under way is read and dropped, pings are not answered. */
    frame_put_text(&frames, "crossed");
    frame_put(&frames, FIN | WEBSOCKET_FRAME_PING, BYTES_LITERAL("?"));
    frame_put_close(&frames, 1000, "done");
    place_write(fd, writer_bytes_written(&frames), 3);
    expect_end(fd);
    close(fd);
    WAIT_FOR(place.f, talk->closed == 1);
    assert_int_equal(talk->messages, 0);
    assert_int_equal(talk->code, 1000);
    assert_int_equal(talk->reason, CONN_CLOSE_LOCAL);
    assert_int_equal(metrics_get(METRIC_WEBSOCKET_CLOSED_NORMAL) - before, 1);
    writer_free(&frames);
}

static void test_nobody_answers_close(void **state)
{
    int fd;
    struct talk *talk = place_open(&fd);
    websocket_close(talk->websocket, WEBSOCKET_TRY_LATER, NULL);
    expect_close(fd, 1013, "");
    /* Of 5 s that it is waited for. */
    loop_skip(place.f->loop, 1000);
    loop_iterate(place.f->loop, 300);
    assert_int_equal(talk->closed, 0);
    loop_skip(place.f->loop, 4100);
    WAIT_FOR(place.f, talk->closed == 1);
    assert_int_equal(talk->code, 1013);
    expect_end(fd);
    close(fd);
}

/* A reason that does not fit is cut, and no character of it in two. */
static void test_long_reasons(void **state)
{
    struct writer reason = {0};
    int fd;
    struct talk *talk = place_open(&fd);
    writer_string(&reason, "a");
    for (int i = 0; i < 61; i++) {
        writer_string(&reason, "\xc3\xa9");
    }
    writer_string(&reason, "\xc3\xa9tc.");
    writer_u8(&reason, 0);
    websocket_close(talk->websocket, WEBSOCKET_NORMAL, (char *)reason.data);
    reason.data[123] = 0;
    expect_close(fd, 1000, (char *)reason.data);
    close(fd);
    writer_free(&reason);
    WAIT_FOR(place.f, talk->closed == 1);
}

static void test_the_end_without_close(void **state)
{
    int64_t before = metrics_get(METRIC_WEBSOCKET_CLOSED_ABNORMAL);
    int fd;
    struct talk *talk = place_open(&fd);
    close(fd);
    WAIT_FOR(place.f, talk->closed == 1);
    assert_int_equal(talk->code, WEBSOCKET_ABNORMAL);
    assert_int_equal(talk->reason, CONN_CLOSE_PEER);
    assert_int_equal(metrics_get(METRIC_WEBSOCKET_CLOSED_ABNORMAL) - before, 1);
}

/* Closed at once: the reason is sent all the same. */
static void test_close_at_once(void **state)
{
    static const struct {
        enum conn_close_reason reason;
        unsigned code;
    } cases[] = {{CONN_CLOSE_KICKED, 1008}, {CONN_CLOSE_DRAIN, 1001}, {CONN_CLOSE_LOCAL, 1000},
                 {CONN_CLOSE_SILENT, 1001}, {CONN_CLOSE_IDLE, 1001},  {CONN_CLOSE_PROTOCOL, 1008}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct writer expected = {0}, got = {0};
        int fd;
        struct talk *talk = place_open(&fd);
        websocket_send(talk->websocket, WEBSOCKET_TEXT, BYTES_LITERAL("before"));
        conn_close(websocket_conn(talk->websocket), cases[i].reason);
        assert_int_equal(talk->closed, 0);
        loop_iterate(place.f->loop, 0);
        assert_int_equal(talk->closed, 1);
        assert_int_equal(talk->reason, cases[i].reason);
        answer_put(&expected, TEXT, BYTES_LITERAL("before"));
        answer_put_close(&expected, cases[i].code, conn_close_reason_name(cases[i].reason));
        fixture_read_end(place.f, fd, &got);
        expect_bytes("closed", &got, &expected);
        writer_free(&expected);
        writer_free(&got);
        close(fd);
    }
}

static void test_ending_all(void **state)
{
    struct talk *talks[5];
    int fds[5];
    for (int i = 0; i < 5; i++) {
        talks[i] = place_open(&fds[i]);
    }
    websocket_port_end(place.port, CONN_CLOSE_DRAIN);
    for (int i = 0; i < 5; i++) {
        expect_close(fds[i], 1001, "drain");
        close(fds[i]);
        WAIT_FOR(place.f, talks[i]->closed == 1);
        assert_int_equal(talks[i]->code, 1001);
    }
}

static void test_closing_the_listeners_connections(void **state)
{
    int fd;
    struct talk *talk = place_open(&fd);
    listener_close_connections(place.f->listener, CONN_CLOSE_DRAIN);
    loop_iterate(place.f->loop, 0);
    assert_int_equal(talk->closed, 1);
    expect_close(fd, 1001, "drain");
    close(fd);
}

/* Nothing is kept between messages, and of control frames never. */
static void test_idle_holds_nothing(void **state)
{
    struct writer frames = {0};
    int fd;
    struct talk *talk = place_open(&fd);
    const struct websocket *websocket = talk->websocket;
    frame_put(&frames, WEBSOCKET_FRAME_TEXT, BYTES_LITERAL("in two "));
    place_write(fd, writer_bytes_written(&frames), SIZE_MAX);
    WAIT_FOR(place.f, websocket->reader != NULL);
    send_control(fd, WEBSOCKET_FRAME_PONG);
    frames.len = 0;
    frame_put(&frames, FIN | WEBSOCKET_FRAME_CONTINUATION, BYTES_LITERAL("parts"));
    place_write(fd, writer_bytes_written(&frames), 1);
    WAIT_FOR(place.f, talk->messages == 1);
    assert_null(websocket->reader);
    assert_null(websocket->rest);
    assert_null(websocket->conn->input);
    fixture_expect_text(&talk->got, "\x01in two parts");
    close(fd);
    writer_free(&frames);
}

/* Over the rate nothing is lost; it takes longer. */
static void test_rate(void **state)
{
    struct writer frames = {0}, expected = {0};
    int64_t before = metrics_get(METRIC_WEBSOCKET_THROTTLED);
    uint64_t began;
    int fd;
    place_set("ws.rate=100");
    place_set("ws.burst=5");
    place_open(&fd);
    for (int i = 0; i < 20; i++) {
        char text[32];
        snprintf(text, sizeof text, "message %d", i);
        frame_put_text(&frames, text);
        answer_put(&expected, TEXT, bytes_from_string(text));
    }
    began = clock_monotonic_us();
    place_write(fd, writer_bytes_written(&frames), SIZE_MAX);
    expect_next(fd, &expected);
    /* 15 shares of 10 ms, the clock's steps aside. */
    assert_true(clock_monotonic_us() - began >= 140000);
    assert_true(metrics_get(METRIC_WEBSOCKET_THROTTLED) > before);
    close(fd);
    writer_free(&frames);
}

static void test_rate_that_closes(void **state)
{
    struct writer frames = {0}, expected = {0};
    int fd;
    place_set("ws.rate=1");
    place_set("ws.burst=3");
    place_set("ws.over_rate=close");
    place_open(&fd);
    for (int i = 0; i < 10; i++) {
        frame_put(&frames, i % 2 ? TEXT : FIN | WEBSOCKET_FRAME_PING, BYTES_LITERAL("a"));
    }
    answer_put(&expected, FIN | WEBSOCKET_FRAME_PONG, BYTES_LITERAL("a"));
    answer_put(&expected, TEXT, BYTES_LITERAL("a"));
    answer_put(&expected, FIN | WEBSOCKET_FRAME_PONG, BYTES_LITERAL("a"));
    answer_put_error(&expected, WEBSOCKET_ERROR_RATE);
    place_write(fd, writer_bytes_written(&frames), SIZE_MAX);
    expect_next(fd, &expected);
    expect_end(fd);
    close(fd);
    writer_free(&frames);
}

static void pause_at_each(struct talk *talk, enum websocket_opcode opcode, struct bytes bytes)
{
    writer_bytes(&talk->got, bytes);
    conn_pause_reading(websocket_conn(talk->websocket));
}

/* Paused in a message's callback, the next one waits, though it has been read already. */
static void test_pause(void **state)
{
    struct writer frames = {0};
    int fd;
    place.message = pause_at_each;
    struct talk *talk = place_open(&fd);
    for (int i = 0; i < 4; i++) {
        frame_put_text(&frames, "ab");
    }
    place_write(fd, writer_bytes_written(&frames), SIZE_MAX);
    for (unsigned i = 1; i <= 4; i++) {
        WAIT_FOR(place.f, talk->messages == i);
        loop_iterate(place.f->loop, 0);
        loop_iterate(place.f->loop, 0);
        assert_int_equal(talk->messages, i);
        conn_resume_reading(websocket_conn(talk->websocket));
        assert_int_equal(talk->messages, i);
    }
    fixture_expect_text(&talk->got, "abababab");
    close(fd);
    writer_free(&frames);
}

/* Paused, its pongs lie in the socket: it is not silent, and then has time to be read. */
static void test_silence_while_paused(void **state)
{
    int fd;
    place.message = pause_at_each;
    place_set("ws.ping_interval=0");
    struct talk *talk = place_open(&fd);
    send_text(fd, "a");
    WAIT_FOR(place.f, talk->messages == 1);
    for (int i = 0; i < 10; i++) {
        loop_skip(place.f->loop, 5000);
        loop_iterate(place.f->loop, 0);
    }
    assert_int_equal(talk->closed, 0);
    conn_resume_reading(websocket_conn(talk->websocket));
    loop_iterate(place.f->loop, 0);
    assert_int_equal(talk->closed, 0);
    close(fd);
}

static void close_at_once(struct talk *talk, enum websocket_opcode opcode, struct bytes bytes)
{
    conn_close(websocket_conn(talk->websocket), CONN_CLOSE_LOCAL);
    assert_int_equal(bytes.data[0], 'a'); /* is there until the callback returns */
}

static void close_politely(struct talk *talk, enum websocket_opcode opcode, struct bytes bytes)
{
    websocket_close(talk->websocket, WEBSOCKET_NORMAL, "enough");
    assert_int_equal(bytes.data[0], 'a');
}

static void test_closing_in_a_message(void **state)
{
    void (*const ways[])(struct talk *, enum websocket_opcode, struct bytes) = {close_at_once,
                                                                                close_politely};
    for (size_t i = 0; i < 2; i++) {
        struct writer frames = {0}, got = {0};
        int fd;
        place.message = ways[i];
        struct talk *talk = place_open(&fd);
        frame_put_text(&frames, "a");
        frame_put_text(&frames, "b");
        frame_put_close(&frames, 1000, "");
        place_write(fd, writer_bytes_written(&frames), SIZE_MAX);
        fixture_read_end(place.f, fd, &got);
        assert_int_equal(talk->messages, 1);
        close(fd);
        WAIT_FOR(place.f, talk->closed == 1);
        assert_int_equal(talk->code, 1000);
        writer_free(&frames);
        writer_free(&got);
    }
}

#define RECEIVERS 20

/* One frame for all; each holds a reference no longer than it needs it. */
static void test_shared_messages(void **state)
{
    struct frame *frame = websocket_frame_create(WEBSOCKET_TEXT, BYTES_LITERAL("to everybody"));
    struct talk *talks[RECEIVERS];
    int fds[RECEIVERS];
    for (int i = 0; i < RECEIVERS; i++) {
        talks[i] = place_open(&fds[i]);
    }
    for (int i = 0; i < RECEIVERS; i++) {
        websocket_send_frame(talks[i]->websocket, frame);
    }
    assert_int_equal(frame->references, RECEIVERS + 1);
    loop_iterate(place.f->loop, 0);
    assert_int_equal(frame->references, 1);
    for (int i = 0; i < RECEIVERS; i++) {
        struct writer expected = {0};
        answer_put(&expected, TEXT, BYTES_LITERAL("to everybody"));
        expect_next(fds[i], &expected);
        close(fds[i]);
    }
    frame_unref(&frame);
}

/* One that does not read has a backlog, is sent no pings and does not count as idle; then it gets
 * all, and `drained` is called. */
static void test_slow_reader(void **state)
{
    static uint8_t bytes[100000];
    struct writer got = {0}, expected = {0};
    struct bytes message = {bytes, sizeof bytes};
    size_t sent = 0;
    int fd;
    fixture_set(place.f, "net.write_timeout=1h");
    fixture_receive_buffer = 4096;
    struct talk *talk = place_open(&fd);
    struct conn *conn = websocket_conn(talk->websocket);
    for (; !conn_has_backlog(conn) || sent < 10; sent++) {
        websocket_send(talk->websocket, WEBSOCKET_BINARY, message);
        answer_put(&expected, FIN | WEBSOCKET_FRAME_BINARY, message);
        loop_iterate(place.f->loop, 0);
    }
    for (int i = 0; i < 20; i++) {
        loop_skip(place.f->loop, 5000);
        loop_iterate(place.f->loop, 0);
    }
    assert_int_equal(talk->closed, 0);
    assert_int_equal(talk->drained, 0);
    WAIT_FOR(place.f, (fixture_read(fd, &got), got.len >= expected.len));
    expect_bytes("all that was sent", &got, &expected);
    WAIT_FOR(place.f, talk->drained == 1);
    assert_true(conn_idle_ms(conn) < 20000); /* of 100 s */
    close(fd);
    writer_free(&got);
    writer_free(&expected);
}

/* Moved, taken back, and come: as the end of a token, of messages and of a stream. */
static void test_lifetime(void **state)
{
    int64_t before = metrics_get(METRIC_WEBSOCKET_CLOSED_UNAUTHORIZED);
    for (int is_stream = 0; is_stream < 2; is_stream++) {
        struct talk *talk;
        int fd;
        place.is_stream = is_stream;
        place.settings.ping_interval = place.settings.timeout = 0;
        talk = place_open(&fd);
        websocket_set_lifetime(talk->websocket, 1000, WEBSOCKET_FORBIDDEN, "moved");
        websocket_set_lifetime(talk->websocket, 60000, WEBSOCKET_UNAUTHORIZED, "token expired");
        loop_skip(place.f->loop, 40000);
        loop_iterate(place.f->loop, 0);
        assert_int_equal(talk->closed, 0);
        loop_skip(place.f->loop, 20100);
        loop_iterate(place.f->loop, 0);
        expect_close(fd, 3000, "token expired");
        close(fd);
        WAIT_FOR(place.f, talk->closed == 1);
        assert_int_equal(talk->code, is_stream ? 0 : 3000);
    }
    assert_int_equal(metrics_get(METRIC_WEBSOCKET_CLOSED_UNAUTHORIZED) - before, 2);
}

static void test_lifetimes_that_do_not_come(void **state)
{
    int fd, other;
    struct talk *talk, *gone;
    place.settings.ping_interval = place.settings.timeout = 0;
    talk = place_open(&fd);
    gone = place_open(&other);
    websocket_set_lifetime(gone->websocket, 5000, WEBSOCKET_FORBIDDEN, "it has gone");
    websocket_set_lifetime(talk->websocket, 1000, WEBSOCKET_FORBIDDEN, "taken back");
    websocket_set_lifetime(talk->websocket, UINT64_MAX, WEBSOCKET_FORBIDDEN, NULL);
    websocket_set_lifetime(talk->websocket, UINT64_MAX, WEBSOCKET_FORBIDDEN, NULL);
    close(other);
    WAIT_FOR(place.f, gone->closed == 1);
    for (int i = 0; i < 3; i++) {
        loop_skip(place.f->loop, 3600000);
        loop_iterate(place.f->loop, 0);
    }
    websocket_set_lifetime(talk->websocket, UINT64_MAX - 1, WEBSOCKET_FORBIDDEN, "never");
    loop_skip(place.f->loop, 3600000);
    loop_iterate(place.f->loop, 0);
    assert_int_equal(talk->closed, 0);
    send_text(fd, "still there");
    WAIT_FOR(place.f, talk->messages == 1);
    close(fd);
    WAIT_FOR(place.f, talk->closed == 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLACE_TEST(test_our_close),
        PLACE_TEST(test_nobody_answers_close),
        PLACE_TEST(test_long_reasons),
        PLACE_TEST(test_the_end_without_close),
        PLACE_TEST(test_close_at_once),
        PLACE_TEST(test_ending_all),
        PLACE_TEST(test_closing_the_listeners_connections),
        PLACE_TEST(test_idle_holds_nothing),
        PLACE_TEST(test_rate),
        PLACE_TEST(test_rate_that_closes),
        PLACE_TEST(test_pause),
        PLACE_TEST(test_silence_while_paused),
        PLACE_TEST(test_closing_in_a_message),
        PLACE_TEST(test_shared_messages),
        PLACE_TEST(test_slow_reader),
        PLACE_TEST(test_lifetime),
        PLACE_TEST(test_lifetimes_that_do_not_come),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
