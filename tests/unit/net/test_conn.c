/* Connections: input, its limits, pauses, time-outs, and the many ways to end. */
#include "fixture.h"

static void test_echo_and_peer_close(void **state)
{
    struct fixture *f = *state;
    int64_t in = metrics_get(METRIC_BYTES_IN), closed = metrics_get(METRIC_CLOSED_PEER);
    struct session *session;
    int fd;
    fixture_listen(f, "127.0.0.1:0");
    session = fixture_open(f, &fd);
    assert_int_equal(net_connection_count(f->net), 1);
    assert_int_equal(conn_peer(session->conn)->family, ADDRESS_IPV4);
    assert_false(conn_is_tls(session->conn));
    fixture_write_text(fd, "hello");
    WAIT_FOR(f, session->input.len == 5);
    fixture_expect_text(&session->input, "hello");
    assert_int_equal(metrics_get(METRIC_BYTES_IN) - in, 5);
    close(fd);
    WAIT_FOR(f, session->closed == 1);
    assert_int_equal(session->reason, CONN_CLOSE_PEER);
    assert_int_equal(metrics_get(METRIC_CLOSED_PEER) - closed, 1);
}

/* Consumes whole lines only. */
static size_t receive_lines(struct session *session, struct bytes input)
{
    size_t used = input.len;
    while (used > 0 && input.data[used - 1] != '\n') {
        used--;
    }
    writer_bytes(&session->input, (struct bytes){input.data, used});
    return used;
}

static void test_lines_split_at_every_byte(void **state)
{
    struct fixture *f = *state;
    static const char text[] = "first\nsecond\n\nthird line\n";
    f->received = receive_lines;
    fixture_listen(f, "127.0.0.1:0");
    for (size_t cut = 1; cut < sizeof text - 1; cut++) {
        struct session *session;
        int fd;
        session = fixture_open(f, &fd);
        fixture_write(fd, text, cut);
        WAIT_FOR(f, session->input.len + (session->conn->input ? session->conn->input->len : 0) ==
                        cut);
        fixture_write(fd, text + cut, sizeof text - 1 - cut);
        WAIT_FOR(f, session->input.len == sizeof text - 1);
        fixture_expect_text(&session->input, text);
        assert_null(session->conn->input); /* an idle connection holds none */
        close(fd);
        WAIT_FOR(f, session->closed == 1);
    }
}

#define LARGE 900000

static size_t receive_large(struct session *session, struct bytes input)
{
    if (input.len < LARGE) {
        return 0;
    }
    writer_bytes(&session->input, (struct bytes){input.data, LARGE});
    return LARGE;
}

/* Sends what the socket takes, turning the loop. */
static void write_all_bytes(struct fixture *f, int fd, const uint8_t *bytes, size_t len)
{
    size_t sent = 0;
    WAIT_FOR(f, ({
                 ssize_t n = send(fd, bytes + sent, len - sent, MSG_NOSIGNAL);
                 sent += n > 0 ? (size_t)n : 0;
                 sent == len;
             }));
}

static void test_large_message(void **state)
{
    struct fixture *f = *state;
    uint8_t *bytes = mem_alloc(LARGE + 10);
    struct session *session;
    int fd;
    for (size_t i = 0; i < LARGE + 10; i++) {
        bytes[i] = (uint8_t)(i * 7 + i / 256);
    }
    f->received = receive_large;
    fixture_listen(f, "127.0.0.1:0");
    session = fixture_open(f, &fd);
    write_all_bytes(f, fd, bytes, LARGE + 10);
    WAIT_FOR(f, session->input.len == LARGE && session->conn->input &&
                    session->conn->input->len == 10);
    assert_memory_equal(session->input.data, bytes, LARGE);
    assert_memory_equal(session->conn->input->data, bytes + LARGE, 10);
    assert_true(session->conn->input->capacity < 100);
    close(fd);
    free(bytes);
}

static void test_input_limit(void **state)
{
    struct fixture *f = *state;
    static uint8_t bytes[5001];
    struct session *session;
    int fd;
    f->received = receive_large;
    fixture_listen(f, "127.0.0.1:0");
    session = fixture_open(f, &fd);
    conn_set_input_limit(session->conn, 5000);
    fixture_write(fd, bytes, 5000);
    WAIT_FOR(f, session->conn->input != NULL && session->conn->input->len == 5000);
    fixture_write(fd, bytes, 1);
    WAIT_FOR(f, session->closed == 1);
    assert_int_equal(session->reason, CONN_CLOSE_PROTOCOL);
    assert_true(fixture_logged(f, "net.max_input"));
    close(fd);
    fixture_set(f, "net.max_input=2000");
    session = fixture_open(f, &fd);
    fixture_write(fd, bytes, 2001);
    WAIT_FOR(f, session->closed == 1);
    close(fd);
}

static size_t receive_one_and_pause(struct session *session, struct bytes input)
{
    writer_bytes(&session->input, (struct bytes){input.data, 1});
    conn_pause_reading(session->conn);
    return 1;
}

static void test_pause_and_resume(void **state)
{
    struct fixture *f = *state;
    struct session *session;
    int fd;
    f->received = receive_one_and_pause;
    fixture_listen(f, "127.0.0.1:0");
    session = fixture_open(f, &fd);
    fixture_write_text(fd, "abc");
    WAIT_FOR(f, session->input.len == 1);
    fixture_write_text(fd, "d");
    loop_iterate(f->loop, 10);
    fixture_expect_text(&session->input, "a");
    /* What was kept comes again although nothing arrives. */
    conn_resume_reading(session->conn);
    WAIT_FOR(f, session->input.len == 2);
    conn_resume_reading(session->conn);
    WAIT_FOR(f, session->input.len == 3);
    loop_iterate(f->loop, 10);
    fixture_expect_text(&session->input, "abc");
    conn_resume_reading(session->conn);
    WAIT_FOR(f, session->input.len == 4);
    fixture_expect_text(&session->input, "abcd");
    close(fd);
}

static size_t receive_one_resuming_at_once(struct session *session, struct bytes input)
{
    size_t used = receive_one_and_pause(session, input);
    conn_resume_reading(session->conn);
    return used;
}

static void test_resume_inside_received(void **state)
{
    struct fixture *f = *state;
    struct session *session;
    int fd;
    f->received = receive_one_resuming_at_once;
    fixture_listen(f, "127.0.0.1:0");
    session = fixture_open(f, &fd);
    fixture_write_text(fd, "abcdef");
    WAIT_FOR(f, session->input.len == 6);
    fixture_expect_text(&session->input, "abcdef");
    close(fd);
    WAIT_FOR(f, session->closed == 1);
}

static struct writer handed_over;

static size_t receive_after_handover(void *arg, struct bytes input)
{
    writer_bytes(&handed_over, input);
    return input.len;
}

static const struct conn_handler second_handler = {.received = receive_after_handover,
                                                   .closed = fixture_closed};

static size_t receive_and_hand_over(struct session *session, struct bytes input)
{
    conn_set_handler(session->conn, &second_handler, session);
    return 3;
}

static void test_handover_presents_the_rest(void **state)
{
    struct fixture *f = *state;
    struct session *session;
    int fd;
    f->received = receive_and_hand_over;
    fixture_listen(f, "127.0.0.1:0");
    session = fixture_open(f, &fd);
    fixture_write_text(fd, "onetwo");
    WAIT_FOR(f, handed_over.len == 3);
    fixture_expect_text(&handed_over, "two");
    writer_free(&handed_over);
    handed_over = (struct writer){0};
    close(fd);
    WAIT_FOR(f, session->closed == 1);
}

static size_t receive_and_close(struct session *session, struct bytes input)
{
    conn_close(session->conn, CONN_CLOSE_LOCAL);
    /* It lives until the end of the iteration, and so do the bytes; nothing of this does anything.
     */
    writer_bytes(&session->input, input);
    conn_send(session->conn, input);
    conn_close(session->conn, CONN_CLOSE_KICKED);
    conn_close_after_output(session->conn, CONN_CLOSE_KICKED);
    conn_pause_reading(session->conn);
    conn_resume_reading(session->conn);
    conn_handshake_done(session->conn);
    assert_int_equal(session->closed, 0);
    return 0;
}

static void close_others(struct session *session)
{
    for (unsigned i = 0; i < SESSIONS_MAX; i++) {
        if (session->fixture->sessions[i].conn) {
            conn_close(session->fixture->sessions[i].conn, CONN_CLOSE_KICKED);
        }
    }
}

static void test_close_from_callbacks(void **state)
{
    struct fixture *f = *state;
    struct session *session, *other;
    struct writer got = {0};
    int fd, other_fd;
    fixture_listen(f, "127.0.0.1:0");
    other = fixture_open(f, &other_fd);
    session = fixture_open(f, &fd);
    f->received = receive_and_close;
    f->closed = close_others;
    fixture_write_text(fd, "bye");
    WAIT_FOR(f, session->closed > 0);
    fixture_expect_text(&session->input, "bye");
    assert_int_equal(session->reason, CONN_CLOSE_LOCAL);
    assert_int_equal(other->closed, 1);
    assert_int_equal(other->reason, CONN_CLOSE_KICKED);
    loop_iterate(f->loop, 10);
    assert_int_equal(session->closed, 1);
    assert_int_equal(other->closed, 1);
    fixture_read_end(f, other_fd, &got);
    assert_int_equal(got.len, 0);
    close(fd);
    close(other_fd);
}

static void test_reset_is_an_error(void **state)
{
    struct fixture *f = *state;
    struct linger now = {1, 0};
    struct session *session;
    int fd;
    fixture_listen(f, "127.0.0.1:0");
    session = fixture_open(f, &fd);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now), 0);
    close(fd);
    WAIT_FOR(f, session->closed == 1);
    assert_int_equal(session->reason, CONN_CLOSE_ERROR);
}

static void test_handshake_timeout(void **state)
{
    struct fixture *f = *state;
    struct session *silent, *known;
    int fd, known_fd;
    f->keep_handshake = true;
    fixture_set(f, "net.handshake_timeout=100ms");
    fixture_listen(f, "127.0.0.1:0");
    silent = fixture_open(f, &fd);
    known = fixture_open(f, &known_fd);
    conn_handshake_done(known->conn);
    fixture_write_text(fd, "half a mess");
    WAIT_FOR(f, silent->closed == 1);
    assert_int_equal(silent->reason, CONN_CLOSE_HANDSHAKE);
    assert_true(fixture_logged(f, "reason=handshake"));
    assert_int_equal(known->closed, 0);
    assert_true(list_is_empty(&f->listener->queues[QUEUE_HANDSHAKE]));
    close(fd);
    close(known_fd);
}

static void test_idle_timeout(void **state)
{
    struct fixture *f = *state;
    struct session *idle, *busy;
    int fd, busy_fd;
    fixture_listen(f, "127.0.0.1:0");
    idle = fixture_open(f, &fd);
    busy = fixture_open(f, &busy_fd);
    /* Off by default; a reload that turns it on applies to those that are open. */
    fixture_set(f, "net.idle_timeout=400ms");
    WAIT_FOR(f, (fixture_write_text(busy_fd, "."), idle->closed == 1));
    assert_int_equal(idle->reason, CONN_CLOSE_IDLE);
    assert_int_equal(busy->closed, 0);
    WAIT_FOR(f, busy->closed == 1);
    assert_int_equal(busy->reason, CONN_CLOSE_IDLE);
    close(fd);
    close(busy_fd);
}

/* A whole line, then parts of one: its time begins with its first byte, whatever comes after. */
static void test_message_timeout(void **state)
{
    struct fixture *f = *state;
    struct session *slow, *busy;
    int fd, busy_fd;
    f->received = receive_lines;
    fixture_set(f, "net.message_timeout=400ms");
    fixture_listen(f, "127.0.0.1:0");
    slow = fixture_open(f, &fd);
    busy = fixture_open(f, &busy_fd);
    fixture_write_text(fd, "whole\nhalf");
    /* Each of its lines is complete soon, but there is always a part of one. */
    WAIT_FOR(f, (fixture_write_text(busy_fd, "x\nx"), send(fd, "x", 1, MSG_NOSIGNAL),
                 slow->closed == 1));
    assert_int_equal(slow->reason, CONN_CLOSE_MESSAGE);
    assert_true(fixture_logged(f, "reason=message_timeout"));
    fixture_expect_text(&slow->input, "whole\n");
    assert_int_equal(busy->closed, 0);
    WAIT_FOR(f, busy->closed == 1);
    assert_int_equal(busy->reason, CONN_CLOSE_MESSAGE);
    close(fd);
    close(busy_fd);
}

/* While the peer is not read from the time does not run. */
static void test_message_timeout_during_pauses(void **state)
{
    struct fixture *f = *state;
    struct session *paused, *other;
    int fd, other_fd;
    f->received = receive_lines;
    fixture_set(f, "net.message_timeout=200ms");
    fixture_listen(f, "127.0.0.1:0");
    paused = fixture_open(f, &fd);
    fixture_write_text(fd, "half");
    WAIT_FOR(f, paused->conn->input != NULL);
    conn_pause_reading(paused->conn);
    for (int i = 0; i < 2; i++) {
        other = fixture_open(f, &other_fd);
        fixture_write_text(other_fd, "half");
        WAIT_FOR(f, other->closed == 1);
        assert_int_equal(other->reason, CONN_CLOSE_MESSAGE);
        assert_int_equal(paused->closed, 0);
        close(other_fd);
    }
    conn_resume_reading(paused->conn);
    WAIT_FOR(f, paused->closed == 1);
    assert_int_equal(paused->reason, CONN_CLOSE_MESSAGE);
    close(fd);
}

static size_t answer_and_end(struct session *session, struct bytes input)
{
    conn_send(session->conn, BYTES_LITERAL("sorry"));
    conn_close_after_output(session->conn, CONN_CLOSE_PROTOCOL);
    return 1; /* the rest is never read by the protocol */
}

static void test_last_words_are_not_eaten_by_a_reset(void **state)
{
    struct fixture *f = *state;
    struct session *session;
    struct writer got = {0};
    int fd;
    fixture_set(f, "net.linger=60s");
    f->received = answer_and_end;
    fixture_listen(f, "127.0.0.1:0");
    session = fixture_open(f, &fd);
    fixture_write_text(fd, "first");
    fixture_write_text(fd, "second");
    WAIT_FOR(f, session->conn->state == CONN_LINGER);
    /* Closing now with unread bytes would reset the connection. */
    fixture_write_text(fd, "third, after the answer");
    WAIT_FOR(f, session->input.len == 0 && !fixture_read(fd, &got));
    fixture_expect_text(&got, "sorry");
    assert_int_equal(session->closed, 0);
    close(fd);
    WAIT_FOR(f, session->closed == 1);
    assert_int_equal(session->reason, CONN_CLOSE_PROTOCOL);
    writer_free(&got);
}

static void test_linger_is_bounded(void **state)
{
    struct fixture *f = *state;
    struct session *session;
    int fd;
    fixture_set(f, "net.linger=100ms");
    f->received = answer_and_end;
    fixture_listen(f, "127.0.0.1:0");
    session = fixture_open(f, &fd);
    fixture_write_text(fd, "x");
    /* The client neither reads nor closes. */
    WAIT_FOR(f, session->closed == 1);
    assert_int_equal(session->reason, CONN_CLOSE_PROTOCOL);
    close(fd);
}

static void test_silence(void **state)
{
    struct fixture *f = *state;
    struct session *session;
    int fd;
    fixture_listen(f, "127.0.0.1:0");
    session = fixture_open(f, &fd);
    fixture_write_text(fd, "x");
    WAIT_FOR(f, session->input.len == 1);
    WAIT_FOR(f, conn_idle_ms(session->conn) >= 200);
    /* An acknowledgement counts as traffic. */
    conn_send(session->conn, BYTES_LITERAL("there?"));
    WAIT_FOR(f, conn_idle_ms(session->conn) < 200);
    assert_int_equal(session->input.len, 1);
    close(fd);
    WAIT_FOR(f, session->closed == 1);
}

static uint64_t idle_ms_when_closed;

static void note_idle_ms(struct session *session)
{
    idle_ms_when_closed = conn_idle_ms(session->conn);
    assert_string_equal(conn_peer_text(session->conn), "unix");
}

/* A local peer is there as long as its socket is open, however long it says nothing. */
static void test_silence_of_a_unix_socket(void **state)
{
    struct fixture *f = *state;
    struct session *session;
    char where[] = "unix:/tmp/test-net-XXXXXX";
    int fd;
    close(mkstemp(where + 5));
    unlink(where + 5);
    f->closed = note_idle_ms;
    fixture_listen(f, where);
    session = fixture_open(f, &fd);
    fixture_write_text(fd, "x");
    WAIT_FOR(f, session->input.len == 1);
    loop_skip(f->loop, 3600000);
    loop_iterate(f->loop, 0);
    assert_int_equal(conn_idle_ms(session->conn), 0);
    assert_int_equal(session->closed, 0);
    close(fd);
    WAIT_FOR(f, session->closed == 1);
    assert_in_range(idle_ms_when_closed, 3599900, 7200000);
}

static void test_reason_names(void **state)
{
    assert_string_equal(conn_close_reason_name(CONN_CLOSE_PEER), "peer");
    assert_string_equal(conn_close_reason_name(CONN_CLOSE_WRITE), "write_timeout");
    assert_string_equal(conn_close_reason_name(CONN_CLOSE_MESSAGE), "message_timeout");
    assert_string_equal(conn_close_reason_name(CONN_CLOSE_LOCAL), "local");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_echo_and_peer_close),
        TEST(test_lines_split_at_every_byte),
        TEST(test_large_message),
        TEST(test_input_limit),
        TEST(test_pause_and_resume),
        TEST(test_resume_inside_received),
        TEST(test_handover_presents_the_rest),
        TEST(test_close_from_callbacks),
        TEST(test_reset_is_an_error),
        TEST(test_handshake_timeout),
        TEST(test_idle_timeout),
        TEST(test_message_timeout),
        TEST(test_message_timeout_during_pauses),
        TEST(test_last_words_are_not_eaten_by_a_reset),
        TEST(test_linger_is_bounded),
        TEST(test_silence),
        TEST(test_silence_of_a_unix_socket),
        cmocka_unit_test(test_reason_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
