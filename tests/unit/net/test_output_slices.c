/*
 * The output of many connections is written in slices: what an iteration has no time for is written
 * in the next ones, in the same order, and nothing of it is lost by a close.
 */
#define SESSIONS_MAX 256

#include "fixture.h"

#define LARGE                                                                                      \
    128          /* the first connections get a large frame each: more than an iteration's share   \
                  */
#define SMALL 64 /* the others a few bytes */
#define ALL   (LARGE + SMALL)

struct crowd {
    int fds[ALL];
    struct session *sessions[ALL];
    struct frame *frame;
};

static struct conn *crowd_conn(const struct crowd *crowd, size_t i)
{
    return crowd->sessions[i]->conn;
}

static bool is_flushed(const struct crowd *crowd, size_t i)
{
    return !(crowd_conn(crowd, i)->flags & CONN_DIRTY);
}

/* All are sent something, and one iteration has begun to write it. */
static void crowd_begin(struct fixture *f, struct crowd *crowd)
{
    fixture_listen(f, "127.0.0.1:0");
    for (size_t i = 0; i < ALL; i++) {
        crowd->sessions[i] = fixture_open(f, &crowd->fds[i]);
    }
    crowd->frame = frame_create_sized(1U << 20);
    memset(crowd->frame->data, 'x', crowd->frame->len);
    for (size_t i = 0; i < LARGE; i++) {
        conn_send_frame(crowd_conn(crowd, i), crowd->frame);
    }
    for (size_t i = LARGE; i < ALL; i++) {
        conn_send(crowd_conn(crowd, i), BYTES_LITERAL("first "));
    }
    loop_iterate(f->loop, 0);
}

static void crowd_end(struct crowd *crowd)
{
    for (size_t i = 0; i < ALL; i++) {
        close(crowd->fds[i]);
    }
    frame_unref(&crowd->frame);
}

static void expect_to_get(struct fixture *f, int fd, const char *text)
{
    struct writer got = {0};
    fixture_read_len(f, fd, &got, strlen(text));
    fixture_expect_text(&got, text);
    writer_free(&got);
}

static void test_an_iteration_writes_its_share_in_order(void **state)
{
    struct fixture *f = *state;
    struct crowd crowd;
    size_t flushed = 0, rounds = 0;
    crowd_begin(f, &crowd);
    while (flushed < ALL && is_flushed(&crowd, flushed)) {
        flushed++;
    }
    assert_in_range(flushed, 1, 63); /* each of them takes time */
    for (size_t i = flushed; i < ALL; i++) {
        assert_false(is_flushed(&crowd, i));
    }
    for (size_t i = LARGE; i < ALL; i++) {
        assert_false(conn_has_backlog(crowd_conn(&crowd, i))); /* its peer reads as it should */
        conn_send(crowd_conn(&crowd, i), BYTES_LITERAL("second"));
    }
    while (!is_flushed(&crowd, ALL - 1)) {
        loop_iterate(f->loop, 3600000); /* does not wait */
        rounds++;
    }
    assert_in_range(rounds, 1, LARGE + SMALL / 64);
    for (size_t i = LARGE; i < ALL; i++) {
        expect_to_get(f, crowd.fds[i], "first second");
    }
    crowd_end(&crowd);
}

static void test_a_close_loses_nothing_of_an_earlier_iteration(void **state)
{
    struct fixture *f = *state;
    struct crowd crowd;
    struct writer got = {0};
    crowd_begin(f, &crowd);
    assert_false(is_flushed(&crowd, ALL - 1));
    conn_close(crowd_conn(&crowd, ALL - 1), CONN_CLOSE_LOCAL);
    conn_end(crowd_conn(&crowd, ALL - 2), CONN_CLOSE_LOCAL);
    for (size_t i = ALL - 2; i < ALL; i++) {
        fixture_read_end(f, crowd.fds[i], &got);
        fixture_expect_text(&got, "first ");
        writer_reset(&got);
    }
    assert_int_equal(crowd.sessions[ALL - 1]->reason, CONN_CLOSE_LOCAL);
    writer_free(&got);
    crowd_end(&crowd);
}

static void test_all_is_written_at_the_end(void **state)
{
    struct fixture *f = *state;
    struct crowd crowd;
    crowd_begin(f, &crowd);
    net_flush(f->net);
    for (size_t i = 0; i < ALL; i++) {
        assert_true(is_flushed(&crowd, i));
    }
    expect_to_get(f, crowd.fds[ALL - 1], "first ");
    crowd_end(&crowd);
}

static size_t answer_each_byte(struct session *session, struct bytes input)
{
    conn_send(session->conn, (struct bytes){input.data, 1});
    if (input.len > 1) {
        conn_schedule_input(session->conn);
    }
    return 1;
}

/* Requests that wait for their connection's answers are answered, one after the other. */
static void test_input_that_waits_is_presented_after_the_output(void **state)
{
    struct fixture *f = *state;
    struct crowd crowd;
    crowd_begin(f, &crowd);
    expect_to_get(f, crowd.fds[ALL - 1], "first ");
    f->received = answer_each_byte;
    for (size_t i = 0; i < LARGE; i++) {
        conn_send_frame(crowd_conn(&crowd, i), crowd.frame);
    }
    fixture_write_text(crowd.fds[ALL - 1], "abcdef");
    expect_to_get(f, crowd.fds[ALL - 1], "abcdef");
    crowd_end(&crowd);
}

/* What one connection is sent is more than its share of an iteration: the rest is its backlog. */
static void test_one_connection_has_a_share_too(void **state)
{
    struct fixture *f = *state;
    struct session *session;
    struct frame *frame = frame_create_sized(1U << 20);
    struct writer got = {0};
    const int64_t before = metrics_get(METRIC_BYTES_OUT);
    const int size = 16 << 20;
    int fd;
    memset(frame->data, 'y', frame->len);
    fixture_listen(f, "127.0.0.1:0");
    session = fixture_open(f, &fd);
    (void)setsockopt(conn_fd(session->conn), SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    for (int i = 0; i < 8; i++) {
        conn_send_frame(session->conn, frame);
    }
    loop_iterate(f->loop, 0);
    assert_true(conn_has_backlog(session->conn));
    assert_true(metrics_get(METRIC_BYTES_OUT) - before <= 1 << 20);
    fixture_read_len(f, fd, &got, 8U << 20);
    WAIT_FOR(f, session->drained == 1);
    writer_free(&got);
    frame_unref(&frame);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_an_iteration_writes_its_share_in_order),
        TEST(test_a_close_loses_nothing_of_an_earlier_iteration),
        TEST(test_all_is_written_at_the_end),
        TEST(test_input_that_waits_is_presented_after_the_output),
        TEST(test_one_connection_has_a_share_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
