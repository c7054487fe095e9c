/* A WebSocket connection's pings, and what becomes of an idle one. Time is the
 * loop's, moved by the tests. */
#include "websocket_case.h"

static void expect_ping(int fd)
{
    struct writer expected = {0};
    answer_put(&expected, FIN | WEBSOCKET_FRAME_PING, (struct bytes){NULL, 0});
    expect_next(fd, &expected);
}

static void test_pings_keep_alive(void **state)
{
    int fd;
    struct talk *talk = place_open(&fd);
    for (int i = 0; i < 5; i++) {
        loop_skip(place.f->loop, 18000);
        loop_iterate(place.f->loop, 0);
        loop_skip(place.f->loop, 5000);
        expect_ping(fd);
        send_control(fd, WEBSOCKET_FRAME_PONG);
        loop_iterate(place.f->loop, 100);
        assert_int_equal(conn_idle_ms(websocket_conn(talk->websocket)), 0);
    }
    assert_int_equal(talk->closed, 0);
    close(fd);
}

/* Times of the loop, ms: the ping was sent after the first, and by the second. They are far apart
 * where this process was stopped between them. */
struct ping {
    uint64_t after, by;
};

/* The client sends something every so many ms (0: only the pongs). */
static struct ping next_ping(int fd, uint64_t every)
{
    struct writer got = {0};
    struct ping ping = {.by = loop_now_ms(place.f->loop)};
    uint64_t until = loop_now_ms(place.f->loop) + 60000;
    uint64_t send_at = loop_now_ms(place.f->loop) + every;
    while (got.len == 0) {
        assert_true(loop_now_ms(place.f->loop) < until);
        ping.after = ping.by;
        loop_skip(place.f->loop, 50);
        loop_iterate(place.f->loop, 0);
        if (every > 0 && loop_now_ms(place.f->loop) >= send_at) {
            send_control(fd, WEBSOCKET_FRAME_PONG);
            loop_iterate(place.f->loop, 0);
            send_at += every;
        }
        assert_true(fixture_read(fd, &got));
        ping.by = loop_now_ms(place.f->loop);
    }
    writer_free(&got);
    send_control(fd, WEBSOCKET_FRAME_PONG);
    loop_iterate(place.f->loop, 0);
    return ping;
}

static void assert_apart(struct ping earlier, struct ping later, uint64_t least, uint64_t most)
{
    assert_true(later.by - earlier.after >= least);
    assert_true(later.after <= earlier.by + most);
}

/* Every ws.ping_interval to within half a second, however much the client sends. */
static void test_pings_are_on_time(void **state)
{
    static const uint64_t every[] = {0, 500, 3000, 19000};
    for (size_t i = 0; i < sizeof every / sizeof *every; i++) {
        int fd;
        struct talk *talk = place_open(&fd);
        struct ping last = next_ping(fd, every[i]);
        for (int round = 0; round < 5; round++) {
            struct ping now = next_ping(fd, every[i]);
            assert_apart(last, now, 20000, 20500);
            last = now;
        }
        assert_int_equal(talk->closed, 0);
        close(fd);
        WAIT_FOR(place.f, talk->closed == 1);
    }
}

/* A reload counts for connections that are there. */
static void test_a_shorter_interval_counts_at_once(void **state)
{
    int fd;
    struct talk *talk = place_open(&fd);
    struct ping last = next_ping(fd, 0);
    place_set("ws.ping_interval=2s");
    assert_apart(last, next_ping(fd, 0), 2000, 2500);
    assert_int_equal(talk->closed, 0);
    close(fd);
}

/* Acknowledgements of the kernel do not count. */
static void test_silence(void **state)
{
    int64_t before = metrics_get(METRIC_CLOSED_SILENT);
    int fd;
    struct talk *talk = place_open(&fd);
    loop_skip(place.f->loop, 20500);
    expect_ping(fd);
    assert_true(conn_idle_ms(websocket_conn(talk->websocket)) >= 20400);
    loop_skip(place.f->loop, 2000);
    loop_iterate(place.f->loop, 0);
    assert_int_equal(talk->closed, 0);
    loop_skip(place.f->loop, 10000);
    WAIT_FOR(place.f, talk->closed == 1);
    assert_int_equal(talk->reason, CONN_CLOSE_SILENT);
    assert_int_equal(metrics_get(METRIC_CLOSED_SILENT) - before, 1);
    expect_close(fd, 1001, "silent");
    assert_true(fixture_logged(place.f, "msg=websocket_closed peer=127.0.0.1"));
    close(fd);
}

static void test_neither_pings_nor_time_outs(void **state)
{
    int fd;
    struct talk *talk = place_open(&fd);
    struct writer got = {0};
    place_set("ws.ping_interval=0");
    place_set("ws.timeout=0");
    for (int i = 0; i < 20; i++) {
        loop_skip(place.f->loop, 60000);
        loop_iterate(place.f->loop, 0);
    }
    assert_true(fixture_read(fd, &got));
    assert_int_equal(got.len, 0);
    assert_int_equal(talk->closed, 0);
    close(fd);
}

/* A silent connection on a unix socket is not taken to be there because the socket is: behind it
 * may be a proxy. */
static void test_silence_on_a_unix_socket(void **state)
{
    char directory[] = "/tmp/test-ws-XXXXXX";
    char *where;
    int fd;
    assert_non_null(mkdtemp(directory));
    where = mem_format("unix:%s/s", directory);
    place_listen(where);
    struct talk *talk = place_open(&fd);
    loop_skip(place.f->loop, 25000);
    loop_iterate(place.f->loop, 0);
    assert_true(conn_idle_ms(websocket_conn(talk->websocket)) >= 24900);
    loop_skip(place.f->loop, 10000);
    WAIT_FOR(place.f, talk->closed == 1);
    assert_int_equal(talk->reason, CONN_CLOSE_SILENT);
    close(fd);
    listener_destroy(&place.f->listener);
    (void)rmdir(directory);
    free(where);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLACE_TEST(test_pings_keep_alive),
        PLACE_TEST(test_pings_are_on_time),
        PLACE_TEST(test_a_shorter_interval_counts_at_once),
        PLACE_TEST(test_silence),
        PLACE_TEST(test_neither_pings_nor_time_outs),
        PLACE_TEST(test_silence_on_a_unix_socket),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
