/* Output: order, joining, bounded queues, and what a reader with a backlog gets. */
#include "fixture.h"

#include "base/frame.h"

static struct frame *make_frame(size_t len, uint8_t seed)
{
    uint8_t *bytes = mem_alloc(len);
    struct frame *frame;
    for (size_t i = 0; i < len; i++) {
        bytes[i] = (uint8_t)(seed + i * 13 + i / 251);
    }
    frame = frame_create((struct bytes){bytes, len});
    free(bytes);
    return frame;
}

static void note(struct writer *expected, const struct frame *frame, size_t offset, size_t len)
{
    writer_bytes(expected, (struct bytes){frame->data + offset, len});
}

static void expect_same(const struct writer *got, const struct writer *expected)
{
    assert_int_equal(got->len, expected->len);
    assert_memory_equal(got->data, expected->data, expected->len);
}

/* What is sent in one iteration: 'c' copies, 'f' a frame, 's' a slice; the letters' order is the
 * order of the bytes. */
static void send_pattern(struct conn *conn, const char *pattern, struct frame *frame,
                         struct writer *expected)
{
    for (const char *p = pattern; *p != 0; p++) {
        if (*p == 'c') {
            conn_send(conn, (struct bytes){frame->data + 1, 3});
            note(expected, frame, 1, 3);
        } else if (*p == 'f') {
            conn_send_frame(conn, frame);
            note(expected, frame, 0, frame->len);
        } else {
            conn_send_slice(conn, frame, 2, frame->len - 5);
            note(expected, frame, 2, frame->len - 5);
        }
    }
}

static void test_order_and_one_write_per_iteration(void **state)
{
    static const struct {
        const char *pattern;
        size_t frame;
    } cases[] = {{"c", 100},        {"f", 100},   {"s", 100},       {"cc", 100},
                 {"cf", 100},       {"fc", 100},  {"ccfccsfc", 50}, {"ffffffffffc", 10},
                 {"fcsfcsf", 2000}, {"f", 10000}, {"fs", 7000}};
    struct fixture *f = *state;
    fixture_listen(f, "127.0.0.1:0");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct frame *frame = make_frame(cases[i].frame, (uint8_t)i);
        struct writer expected = {0}, got = {0};
        int64_t writes, out = metrics_get(METRIC_BYTES_OUT);
        struct session *session;
        int fd;
        session = fixture_open(f, &fd);
        writes = metrics_get(METRIC_WRITES);
        send_pattern(session->conn, cases[i].pattern, frame, &expected);
        assert_int_equal(conn_output_size(session->conn), expected.len);
        assert_false(conn_has_backlog(session->conn));
        assert_int_equal(metrics_get(METRIC_WRITES), writes);
        fixture_read_len(f, fd, &got, expected.len);
        expect_same(&got, &expected);
        assert_int_equal(metrics_get(METRIC_WRITES), writes + 1);
        assert_int_equal(metrics_get(METRIC_BYTES_OUT) - out, expected.len);
        assert_int_equal(conn_output_size(session->conn), 0);
        assert_null(session->conn->output);
        assert_null(session->conn->single.frame);
        assert_int_equal(frame->references, 1);
        assert_int_equal(session->drained, 0);
        close(fd);
        WAIT_FOR(f, session->closed == 1);
        frame_unref(&frame);
        writer_free(&expected);
        writer_free(&got);
    }
}

static void test_many_copies_grow_one_frame(void **state)
{
    struct fixture *f = *state;
    struct writer expected = {0}, got = {0};
    struct session *session;
    int fd;
    fixture_listen(f, "127.0.0.1:0");
    session = fixture_open(f, &fd);
    for (unsigned i = 0; i < 20000; i++) {
        char text[16];
        int len = snprintf(text, sizeof text, "%u,", i);
        conn_send(session->conn, (struct bytes){(const uint8_t *)text, (size_t)len});
        writer_bytes(&expected, (struct bytes){(const uint8_t *)text, (size_t)len});
    }
    assert_true(session->conn->output->count < 10);
    fixture_read_len(f, fd, &got, expected.len);
    expect_same(&got, &expected);
    close(fd);
    writer_free(&expected);
    writer_free(&got);
}

static void test_more_pieces_than_one_call_takes(void **state)
{
    struct fixture *f = *state;
    struct frame *small = make_frame(100, 1), *large = make_frame(1500, 9);
    struct writer expected = {0}, got = {0};
    struct session *session;
    int fd;
    fixture_listen(f, "127.0.0.1:0");
    session = fixture_open(f, &fd);
    for (unsigned i = 0; i < 2500; i++) {
        conn_send_frame(session->conn, i % 3 == 0 ? small : large);
        note(&expected, i % 3 == 0 ? small : large, 0, i % 3 == 0 ? 100 : 1500);
    }
    fixture_read_len(f, fd, &got, expected.len);
    expect_same(&got, &expected);
    assert_int_equal(small->references, 1);
    assert_int_equal(large->references, 1);
    frame_unref(&small);
    frame_unref(&large);
    close(fd);
    writer_free(&expected);
    writer_free(&got);
}

/* The same pieces to several, one of whom gets something else in between. */
static void test_shared_pieces(void **state)
{
    struct fixture *f = *state;
    struct frame *a = make_frame(70, 1), *b = make_frame(90, 2);
    struct session *sessions[4];
    struct writer expected[4] = {0};
    int fds[4];
    fixture_listen(f, "127.0.0.1:0");
    for (int i = 0; i < 4; i++) {
        sessions[i] = fixture_open(f, &fds[i]);
    }
    for (int turn = 0; turn < 3; turn++) {
        for (int i = 0; i < 4; i++) {
            conn_send_frame(sessions[i]->conn, a);
            note(&expected[i], a, 0, 70);
            conn_send_frame(sessions[i]->conn, i == 2 ? a : b);
            note(&expected[i], i == 2 ? a : b, 0, i == 2 ? 70 : 90);
        }
        loop_iterate(f->loop, 0);
        assert_int_equal(a->references, 1);
        assert_int_equal(b->references, 1);
    }
    for (int i = 0; i < 4; i++) {
        struct writer got = {0};
        fixture_read_len(f, fds[i], &got, expected[i].len);
        expect_same(&got, &expected[i]);
        writer_free(&got);
        writer_free(&expected[i]);
        close(fds[i]);
    }
    frame_unref(&a);
    frame_unref(&b);
}

/* Sends frames until the connection has a backlog and keeps it. */
static void fill_output(struct fixture *f, struct session *session, struct frame *frame,
                        struct writer *expected)
{
    size_t before = 0;
    WAIT_FOR(f, ({
                 size_t now = conn_has_backlog(session->conn) ? conn_output_size(session->conn) : 0;
                 bool stays = now > 0 && now == before;
                 before = now;
                 if (now == 0) {
                     conn_send_frame(session->conn, frame);
                     note(expected, frame, 0, frame->len);
                 }
                 stays;
             }));
}

/* What the client of test_behind_and_drained is to read. */
static struct writer drained_expected;

static void note_drained(struct session *session)
{
    assert_false(conn_has_backlog(session->conn));
    assert_int_equal(conn_output_size(session->conn), 0);
    conn_send(session->conn, BYTES_LITERAL("newest"));
    writer_string(&drained_expected, "newest");
}

static void test_behind_and_drained(void **state)
{
    struct fixture *f = *state;
    static const size_t sizes[] = {100, 700, 5000, 100000};
    fixture_receive_buffer = 8192;
    fixture_set(f, "net.send_buffer=8KiB");
    f->drained = note_drained;
    fixture_listen(f, "127.0.0.1:0");
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct frame *frame = make_frame(sizes[i], (uint8_t)i);
        struct writer *expected = &drained_expected, got = {0};
        struct session *session;
        unsigned before;
        int fd;
        session = fixture_open(f, &fd);
        fill_output(f, session, frame, expected);
        /* A slow kernel may have taken all in the meantime, and then no more. */
        before = session->drained;
        assert_int_equal(metrics_get(METRIC_OUTPUT_QUEUED), conn_output_size(session->conn));
        conn_send(session->conn, BYTES_LITERAL("reply"));
        writer_string(expected, "reply");
        assert_int_equal(metrics_get(METRIC_OUTPUT_QUEUED), conn_output_size(session->conn));
        fixture_read_len(f, fd, &got, expected->len + strlen("newest"));
        expect_same(&got, expected);
        assert_int_equal(session->drained, before + 1);
        assert_int_equal(metrics_get(METRIC_OUTPUT_QUEUED), 0);
        assert_int_equal(frame->references, 1);
        close(fd);
        WAIT_FOR(f, session->closed == 1);
        frame_unref(&frame);
        writer_free(expected);
        writer_free(&got);
    }
}

/* What waits after a frame of this length to a client that reads nothing. */
static size_t rest_of(struct fixture *f, size_t len, uint32_t *references)
{
    struct frame *frame = make_frame(len, 3);
    struct session *session;
    size_t rest;
    int fd;
    session = fixture_open(f, &fd);
    conn_send_frame(session->conn, frame);
    loop_iterate(f->loop, 0);
    rest = conn_has_backlog(session->conn) ? conn_output_size(session->conn) : 0;
    *references = frame->references;
    if (rest > 0 && rest < 1024) {
        struct writer got = {0}, expected = {0};
        note(&expected, frame, 0, len);
        fixture_read_len(f, fd, &got, len);
        expect_same(&got, &expected);
        writer_free(&got);
        writer_free(&expected);
    }
    close(fd);
    WAIT_FOR(f, session->closed == 1);
    frame_unref(&frame);
    return rest;
}

/* A small rest is copied, so that it does not hold the frame; a large one is not. */
static void test_small_rests_are_copied(void **state)
{
    struct fixture *f = *state;
    char where[] = "unix:/tmp/test-net-XXXXXX";
    bool small = false, large = false;
    close(mkstemp(where + 5));
    unlink(where + 5);
    fixture_set(f, "net.send_buffer=8KiB");
    fixture_listen(f, where);
    /* The kernel takes whole blocks, so some length leaves little more than one. */
    for (size_t len = 2000; len < 200000 && !(small && large); len += 300) {
        uint32_t references;
        size_t rest = rest_of(f, len, &references);
        if (rest > 0) {
            assert_int_equal(references, rest < 1024 ? 1 : 2);
            small |= rest < 1024;
            large |= rest >= 1024;
        }
    }
    assert_true(small);
    assert_true(large);
}

static void test_closed_while_behind(void **state)
{
    struct fixture *f = *state;
    struct frame *frame = make_frame(100000, 1);
    struct writer expected = {0};
    struct session *session;
    int fd;
    fixture_receive_buffer = 8192;
    fixture_set(f, "net.send_buffer=8KiB");
    fixture_listen(f, "127.0.0.1:0");
    session = fixture_open(f, &fd);
    fill_output(f, session, frame, &expected);
    assert_true(frame->references > 1);
    conn_close(session->conn, CONN_CLOSE_KICKED);
    loop_iterate(f->loop, 0);
    assert_int_equal(session->closed, 1);
    assert_int_equal(frame->references, 1);
    assert_int_equal(metrics_get(METRIC_OUTPUT_QUEUED), 0);
    frame_unref(&frame);
    close(fd);
    writer_free(&expected);
}

static void test_write_timeout(void **state)
{
    struct fixture *f = *state;
    struct frame *frame = make_frame(100000, 1);
    struct writer expected = {0};
    struct session *session;
    int fd;
    fixture_receive_buffer = 8192;
    fixture_set(f, "net.send_buffer=8KiB");
    fixture_set(f, "net.write_timeout=100ms");
    fixture_listen(f, "127.0.0.1:0");
    session = fixture_open(f, &fd);
    fill_output(f, session, frame, &expected);
    WAIT_FOR(f, session->closed == 1);
    assert_int_equal(session->reason, CONN_CLOSE_WRITE);
    assert_true(fixture_logged(f, "reason=write_timeout"));
    assert_int_equal(frame->references, 1);
    frame_unref(&frame);
    close(fd);
    writer_free(&expected);
}

/* Each received byte asks for a large answer; nobody reads the answers. */
static size_t answer_largely(struct session *session, struct bytes input)
{
    static uint8_t answer[65536];
    writer_bytes(&session->input, (struct bytes){input.data, 1});
    conn_send(session->conn, (struct bytes){answer, sizeof answer});
    conn_pause_reading(session->conn);
    conn_resume_reading(session->conn);
    return 1;
}

static void test_answers_nobody_reads(void **state)
{
    struct fixture *f = *state;
    struct writer got = {0};
    struct session *session;
    char requests[500];
    int fd;
    fixture_receive_buffer = 8192;
    fixture_set(f, "net.send_buffer=8KiB");
    fixture_set(f, "net.max_output=200KiB");
    f->received = answer_largely;
    fixture_listen(f, "127.0.0.1:0");
    session = fixture_open(f, &fd);
    memset(requests, 'r', sizeof requests);
    fixture_write(fd, requests, sizeof requests);
    WAIT_FOR(f, conn_has_backlog(session->conn) && (session->conn->flags & CONN_HELD));
    for (int i = 0; i < 5; i++) {
        loop_iterate(f->loop, 1);
    }
    assert_true(session->input.len < sizeof requests);
    assert_true(conn_output_size(session->conn) <= 200 * 1024 + 65536);
    /* Reading them brings the others. */
    fixture_read_len(f, fd, &got, sizeof requests * 65536);
    assert_int_equal(session->input.len, sizeof requests);
    close(fd);
    writer_free(&got);
}

static void test_peer_that_closes_its_half_gets_all(void **state)
{
    struct fixture *f = *state;
    struct frame *frame = make_frame(100000, 1);
    struct writer expected = {0}, got = {0};
    struct session *session;
    int fd;
    fixture_receive_buffer = 8192;
    fixture_set(f, "net.send_buffer=8KiB");
    fixture_listen(f, "127.0.0.1:0");
    session = fixture_open(f, &fd);
    fill_output(f, session, frame, &expected);
    shutdown(fd, SHUT_WR);
    WAIT_FOR(f, session->conn->state == CONN_ENDING);
    fixture_read_end(f, fd, &got);
    expect_same(&got, &expected);
    WAIT_FOR(f, session->closed == 1);
    assert_int_equal(session->reason, CONN_CLOSE_PEER);
    frame_unref(&frame);
    close(fd);
    writer_free(&expected);
    writer_free(&got);
}

static void test_close_after_waiting_output(void **state)
{
    struct fixture *f = *state;
    struct frame *frame = make_frame(100000, 1);
    struct writer expected = {0}, got = {0};
    struct session *session;
    unsigned before;
    int fd;
    fixture_receive_buffer = 8192;
    fixture_set(f, "net.send_buffer=8KiB");
    fixture_listen(f, "127.0.0.1:0");
    session = fixture_open(f, &fd);
    fill_output(f, session, frame, &expected);
    before = session->drained;
    conn_send(session->conn, BYTES_LITERAL("last"));
    writer_string(&expected, "last");
    conn_close_after_output(session->conn, CONN_CLOSE_DRAIN);
    conn_send(session->conn, BYTES_LITERAL("too late"));
    fixture_read_end(f, fd, &got);
    expect_same(&got, &expected);
    close(fd);
    WAIT_FOR(f, session->closed == 1);
    assert_int_equal(session->reason, CONN_CLOSE_DRAIN);
    assert_int_equal(session->drained, before);
    frame_unref(&frame);
    writer_free(&expected);
    writer_free(&got);
}

static void test_broken_pipe(void **state)
{
    struct fixture *f = *state;
    struct session *session;
    int fd;
    fixture_listen(f, "127.0.0.1:0");
    session = fixture_open(f, &fd);
    conn_pause_reading(session->conn); /* so that only writing can find out */
    close(fd);
    WAIT_FOR(f, ({
                 if (session->conn) {
                     conn_send(session->conn, BYTES_LITERAL("hello?"));
                 }
                 session->closed == 1;
             }));
    assert_int_equal(session->reason, CONN_CLOSE_ERROR);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_order_and_one_write_per_iteration),
        TEST(test_many_copies_grow_one_frame),
        TEST(test_more_pieces_than_one_call_takes),
        TEST(test_shared_pieces),
        TEST(test_behind_and_drained),
        TEST(test_small_rests_are_copied),
        TEST(test_closed_while_behind),
        TEST(test_write_timeout),
        TEST(test_answers_nobody_reads),
        TEST(test_peer_that_closes_its_half_gets_all),
        TEST(test_close_after_waiting_output),
        TEST(test_broken_pipe),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
