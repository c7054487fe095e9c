/* A WebSocket connection as a stream of bytes: what is sent and received by way of conn.h. */
#include "websocket_case.h"

#define BINARY (FIN | WEBSOCKET_FRAME_BINARY)
#define CLOSE  (FIN | WEBSOCKET_FRAME_CLOSE)

static int create(void **state)
{
    place_create(state);
    place.is_stream = true;
    place.echoes = false;
    return 0;
}

static void put(struct writer *frames, const char *text)
{
    frame_put(frames, BINARY, bytes_from_string(text));
}

static void send_all(int fd, struct writer *frames, size_t step)
{
    place_write(fd, writer_bytes_written(frames), step);
    writer_free(frames);
}

static void expect_end(int fd)
{
    struct writer got = {0};
    fixture_read_end(place.f, fd, &got);
    assert_int_equal(got.len, 0);
    writer_free(&got);
}

/* The bounds of messages and fragments are not seen. */
static void test_received(void **state)
{
    static const size_t steps[] = {SIZE_MAX, 1};
    for (size_t i = 0; i < 2; i++) {
        struct writer frames = {0}, pong = {0};
        int fd;
        struct talk *talk = place_open(&fd);
        put(&frames, "one, ");
        put(&frames, "");
        frame_put(&frames, WEBSOCKET_FRAME_BINARY, BYTES_LITERAL("t"));
        frame_put(&frames, FIN | WEBSOCKET_FRAME_PING, BYTES_LITERAL(""));
        frame_put(&frames, FIN | WEBSOCKET_FRAME_CONTINUATION, BYTES_LITERAL("wo"));
        put(&frames, ", three");
        send_all(fd, &frames, steps[i]);
        WAIT_FOR(place.f, talk->got.len >= strlen("one, two, three"));
        fixture_expect_text(&talk->got, "one, two, three");
        answer_put(&pong, FIN | WEBSOCKET_FRAME_PONG, BYTES_LITERAL(""));
        expect_next(fd, &pong);
        close(fd);
        WAIT_FOR(place.f, talk->closed == 1);
        assert_int_equal(talk->reason, CONN_CLOSE_PEER);
    }
}

/* Takes whole lines only. */
static size_t take_lines(struct talk *talk, struct bytes input)
{
    size_t used = input.len;
    while (used > 0 && input.data[used - 1] != '\n') {
        used--;
    }
    writer_bytes(&talk->got, (struct bytes){input.data, used});
    return used;
}

static void test_what_is_not_consumed_comes_again(void **state)
{
    static const size_t steps[] = {SIZE_MAX, 1};
    place.received = take_lines;
    for (size_t i = 0; i < 2; i++) {
        struct writer frames = {0};
        int fd;
        struct talk *talk = place_open(&fd);
        const struct websocket *websocket = talk->websocket;
        put(&frames, "a");
        put(&frames, "b");
        put(&frames, "c\nd");
        put(&frames, "\n\ne\nf");
        send_all(fd, &frames, steps[i]);
        WAIT_FOR(place.f, talk->got.len >= 9);
        fixture_expect_text(&talk->got, "abc\nd\n\ne\n");
        WAIT_FOR(place.f, websocket->rest != NULL);
        assert_int_equal(websocket->rest->len, 1);
        put(&frames, "\n");
        send_all(fd, &frames, steps[i]);
        WAIT_FOR(place.f, talk->got.len >= 11);
        assert_null(websocket->rest);
        close(fd);
    }
}

/* One byte at a time, then a pause. */
static size_t take_one_and_pause(struct talk *talk, struct bytes input)
{
    writer_u8(&talk->got, input.data[0]);
    conn_pause_reading(websocket_conn(talk->websocket));
    return 1;
}

static void test_pause_within_a_message(void **state)
{
    static const char text[] = "abcdefghijkl";
    struct writer frames = {0};
    int fd;
    place.received = take_one_and_pause;
    struct talk *talk = place_open(&fd);
    put(&frames, "abcde");
    put(&frames, "fghi");
    put(&frames, "jkl");
    send_all(fd, &frames, SIZE_MAX);
    for (unsigned i = 1; i <= strlen(text); i++) {
        WAIT_FOR(place.f, talk->messages == i);
        loop_iterate(place.f->loop, 0);
        loop_iterate(place.f->loop, 0);
        assert_int_equal(talk->messages, i);
        conn_resume_reading(websocket_conn(talk->websocket));
        assert_int_equal(talk->messages, i); /* later, not from within */
    }
    fixture_expect_text(&talk->got, text);
    close(fd);
}

/* Resumed while it is being presented: what comes behind waits all the same. */
static size_t take_one_and_resume(struct talk *talk, struct bytes input)
{
    struct conn *conn = websocket_conn(talk->websocket);
    writer_u8(&talk->got, input.data[0]);
    conn_pause_reading(conn);
    conn_resume_reading(conn);
    return 1;
}

static void test_pause_and_resume_at_once(void **state)
{
    struct writer frames = {0}, expected = {0};
    int fd;
    place.received = take_one_and_resume;
    struct talk *talk = place_open(&fd);
    put(&frames, "abcde");
    put(&frames, "fg");
    frame_put_close(&frames, 1000, "");
    send_all(fd, &frames, SIZE_MAX);
    answer_put_close(&expected, 1000, "");
    expect_next(fd, &expected); /* behind all of it */
    fixture_expect_text(&talk->got, "abcdefg");
    close(fd);
}

/* A reader that the output holds back goes on when it has drained. */
static size_t take_one_and_flood(struct talk *talk, struct bytes input)
{
    static uint8_t bytes[20000]; /* more than the kernel takes, see below */
    writer_u8(&talk->got, input.data[0]);
    conn_send(websocket_conn(talk->websocket), (struct bytes){bytes, sizeof bytes});
    return 1;
}

static void test_held_by_output(void **state)
{
    struct writer frames = {0}, got = {0};
    int fd;
    fixture_set(place.f, "net.max_output=1KiB");
    fixture_receive_buffer = 4096;
    place.received = take_one_and_flood;
    struct talk *talk = place_open(&fd);
    const int least = 1; /* the kernel makes it a few kilobytes */
    assert_int_equal(setsockopt(conn_fd(websocket_conn(talk->websocket)), SOL_SOCKET, SO_SNDBUF,
                                &least, sizeof least),
                     0);
    put(&frames, "abcd");
    send_all(fd, &frames, SIZE_MAX);
    for (int i = 0; i < 20; i++) {
        struct writer more = {0};
        put(&more, "e");
        send_all(fd, &more, SIZE_MAX);
    }
    WAIT_FOR(place.f, websocket_conn(talk->websocket)->flags & CONN_HELD);
    assert_true(talk->got.len < 24);
    WAIT_FOR(place.f, (fixture_read(fd, &got), talk->got.len >= 24));
    assert_int_equal(talk->got.len, 24);
    close(fd);
    writer_free(&got);
}

static void test_too_much_without_an_end(void **state)
{
    struct writer frames = {0}, expected = {0};
    int fd;
    place.received = take_lines;
    struct talk *talk = place_open(&fd);
    conn_set_input_limit(websocket_conn(talk->websocket), 10);
    put(&frames, "0123456789");
    send_all(fd, &frames, SIZE_MAX);
    loop_iterate(place.f->loop, 10);
    assert_int_equal(talk->closed, 0);
    put(&frames, "0");
    send_all(fd, &frames, SIZE_MAX);
    answer_put_error(&expected, WEBSOCKET_ERROR_UNFINISHED);
    expect_next(fd, &expected);
    expect_end(fd);
    close(fd);
    WAIT_FOR(place.f, talk->closed == 1);
    assert_int_equal(talk->reason, CONN_CLOSE_PROTOCOL);
}

static void test_text_is_refused(void **state)
{
    struct writer frames = {0}, expected = {0};
    int fd;
    struct talk *talk = place_open(&fd);
    frame_put_text(&frames, "hello");
    put(&frames, "late");
    send_all(fd, &frames, SIZE_MAX);
    answer_put_error(&expected, WEBSOCKET_ERROR_TEXT);
    expect_next(fd, &expected);
    expect_end(fd);
    assert_int_equal(talk->messages, 0);
    close(fd);
}

static void test_close_after_output(void **state)
{
    struct writer expected = {0}, frames = {0};
    int fd;
    struct talk *talk = place_open(&fd);
    struct conn *conn = websocket_conn(talk->websocket);
    conn_send(conn, BYTES_LITERAL("last"));
    conn_close_after_output(conn, CONN_CLOSE_DRAIN);
    conn_send(conn, BYTES_LITERAL("late"));
    conn_close_after_output(conn, CONN_CLOSE_KICKED);
    answer_put(&expected, BINARY, BYTES_LITERAL("last"));
    answer_put_close(&expected, 1001, "drain");
    expect_next(fd, &expected);
    put(&frames, "crossed");
    frame_put_close(&frames, 1001, "");
    send_all(fd, &frames, SIZE_MAX);
    expect_end(fd);
    close(fd);
    WAIT_FOR(place.f, talk->closed == 1);
    assert_int_equal(talk->messages, 0);
    assert_int_equal(talk->reason, CONN_CLOSE_DRAIN);
}

static void fill(uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        bytes[i] = (uint8_t)(i * 31 + (i >> 7));
    }
}

/* Each send is a message of its own, whichever way and whatever its size. */
static void test_sent(void **state)
{
    static const size_t lengths[] = {1, 125, 126, 4095, 4096, 4097, 65535, 65536, 200000};
    static uint8_t bytes[200000];
    struct writer expected = {0};
    int fd;
    struct talk *talk = place_open(&fd);
    struct conn *conn = websocket_conn(talk->websocket);
    fill(bytes, sizeof bytes);
    conn_send(conn, (struct bytes){NULL, 0}); /* nothing is no message */
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        struct bytes part = {bytes, lengths[i]};
        struct frame *frame = frame_create(part);
        conn_send(conn, part);
        conn_send_frame(conn, frame);
        conn_send_slice(conn, frame, lengths[i] / 3, lengths[i] - lengths[i] / 3);
        conn_send_slice(conn, frame, 0, 0);
        answer_put(&expected, BINARY, part);
        answer_put(&expected, BINARY, part);
        answer_put(&expected, BINARY,
                   (struct bytes){bytes + lengths[i] / 3, lengths[i] - lengths[i] / 3});
        frame_unref(&frame);
    }
    expect_next(fd, &expected);
    close(fd);
}

#define RECEIVERS 10

/* A part of a frame that goes to many is encoded once; streams on TCP share the frame with them. */
static void test_shared_parts(void **state)
{
    static const size_t lengths[] = {100, 5000};
    static uint8_t bytes[5100];
    fill(bytes, sizeof bytes);
    for (size_t i = 0; i < 2; i++) {
        struct frame *frame = frame_create((struct bytes){bytes, sizeof bytes});
        struct talk *talks[RECEIVERS];
        int fds[RECEIVERS];
        for (int k = 0; k < RECEIVERS; k++) {
            talks[k] = place_open(&fds[k]);
        }
        for (int k = 0; k < RECEIVERS; k++) {
            conn_send_slice(websocket_conn(talks[k]->websocket), frame, 7, lengths[i]);
        }
        if (lengths[i] == 100) {
            const struct frame *message = talks[0]->websocket->conn->single.frame;
            assert_ptr_equal(message, place.port->shared.message);
            assert_int_equal(message->references, RECEIVERS + 1);
        } else {
            assert_int_equal(place.port->header->references, RECEIVERS + 1);
            assert_int_equal(frame->references, RECEIVERS + 1 + (place.port->shared.of == frame));
        }
        for (int k = 0; k < RECEIVERS; k++) {
            struct writer expected = {0};
            answer_put(&expected, BINARY, (struct bytes){bytes + 7, lengths[i]});
            expect_next(fds[k], &expected);
            close(fds[k]);
        }
        /* What was kept for the next receiver goes with the tick. */
        loop_skip(place.f->loop, 300);
        WAIT_FOR(place.f, frame->references == 1 && !place.port->header);
        frame_unref(&frame);
        WAIT_FOR(place.f, websocket_port_count(place.port) == 0);
    }
}

int main(void)
{
#define STREAM_TEST(f) cmocka_unit_test_setup_teardown(f, create, place_destroy)
    const struct CMUnitTest tests[] = {
        STREAM_TEST(test_received),
        STREAM_TEST(test_what_is_not_consumed_comes_again),
        STREAM_TEST(test_pause_within_a_message),
        STREAM_TEST(test_pause_and_resume_at_once),
        STREAM_TEST(test_held_by_output),
        STREAM_TEST(test_too_much_without_an_end),
        STREAM_TEST(test_text_is_refused),
        STREAM_TEST(test_close_after_output),
        STREAM_TEST(test_sent),
        STREAM_TEST(test_shared_parts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
