/* conn_budget: a connection over its budget is not read from and loses nothing; the connections of
 * an address go on in the order in which they began to wait; waits are bounded, and neither idle
 * nor counted towards a time-out; shared addresses have no budget. */
#include "budget/budget.h"
#include "fixture.h"

static struct budget_settings budget;

/* Takes one byte at a time, at a price; asks between two as a protocol does. */
static uint32_t price;
static size_t receive_at_a_price(struct session *session, struct bytes input)
{
    size_t used = 0;
    while (used < input.len && conn_may_read(session->conn)) {
        writer_bytes(&session->input, (struct bytes){input.data + used, 1});
        used++;
        conn_charge(session->conn, price);
    }
    return used;
}

static struct fixture *begin(void **state, struct budget_settings limits, uint32_t each)
{
    struct fixture *f = *state;
    budget = limits;
    price = each;
    f->received = receive_at_a_price;
    net_set_budget(f->net, &budget);
    fixture_listen(f, "127.0.0.1:0");
    return f;
}

static void iterate(struct fixture *f, int count)
{
    for (int i = 0; i < count; i++) {
        loop_iterate(f->loop, 0);
    }
}

static void pass_ms(struct fixture *f, uint64_t ms)
{
    for (uint64_t i = 0; i < ms; i += 10) {
        loop_skip(f->loop, 10);
        iterate(f, 1);
    }
}

static void over_its_budget_it_waits_and_loses_nothing(void **state)
{
    const struct budget_settings limits = {.rate = 1000, .burst = 1000};
    struct fixture *f = begin(state, limits, 100);
    struct session *session;
    int fd;
    session = fixture_open(f, &fd);
    fixture_write_text(fd, "abcdefghijklmnopqrstuvwxyz");
    WAIT_FOR(f, conn_is_waiting(session->conn));
    assert_in_range(session->input.len, 10, 11); /* a burst of 1,000 units */
    iterate(f, 5);
    assert_in_range(session->input.len, 10, 11);
    assert_int_equal(conn_idle_ms(session->conn), 0);
    pass_ms(f, 1000);
    assert_in_range(session->input.len, 19, 23);
    pass_ms(f, 2000);
    fixture_expect_text(&session->input, "abcdefghijklmnopqrstuvwxyz");
    assert_int_equal(session->closed, 0);
    close(fd);
}

static void no_wait_is_longer_than_the_longest(void **state)
{
    const struct budget_settings limits = {.rate = 1, .burst = 1};
    struct fixture *f = begin(state, limits, 1000000);
    struct session *session;
    int fd;
    session = fixture_open(f, &fd);
    fixture_write_text(fd, "abc");
    WAIT_FOR(f, session->input.len == 1);
    pass_ms(f, 4900);
    assert_int_equal(session->input.len, 1);
    pass_ms(f, 200);
    assert_int_equal(session->input.len, 2);
    close(fd);
}

static void a_rate_of_the_protocol_waits_in_the_same_way(void **state)
{
    struct fixture *f = begin(state, (struct budget_settings){.rate = 0}, 1);
    struct session *session;
    int fd;
    session = fixture_open(f, &fd);
    WAIT_FOR(f, conn_is_open(session->conn));
    conn_wait_us(session->conn, 300000);
    assert_false(conn_may_read(session->conn));
    fixture_write_text(fd, "a");
    pass_ms(f, 290);
    assert_int_equal(session->input.len, 0);
    pass_ms(f, 40);
    WAIT_FOR(f, session->input.len == 1);
    close(fd);
}

/* Both have waited for the same time when the account may go on; then each goes on once before any
 * goes on again. */
static void connections_of_an_address_take_turns(void **state)
{
    const struct budget_settings limits = {.address_rate = 1000, .address_burst = 1};
    struct fixture *f = begin(state, limits, 100);
    struct session *flood[4], *quiet;
    int fds[4], fd;
    for (int i = 0; i < 4; i++) {
        flood[i] = fixture_open(f, &fds[i]);
        for (int n = 0; n < 100; n++) {
            fixture_write_text(fds[i], "xxxxxxxxxx");
        }
    }
    quiet = fixture_open(f, &fd);
    WAIT_FOR(f, flood[0]->input.len + flood[1]->input.len > 0);
    iterate(f, 10);
    fixture_write_text(fd, "q");
    iterate(f, 3);
    pass_ms(f, 700); /* seven messages: each has gone on at least once */
    assert_int_equal(quiet->input.len, 1);
    for (int i = 0; i < 4; i++) {
        assert_in_range(flood[i]->input.len, 1, 3);
    }
    pass_ms(f, 4000); /* forty more */
    for (int i = 0; i < 4; i++) {
        assert_in_range(flood[i]->input.len, 9, 14);
        close(fds[i]);
    }
    close(fd);
}

static void another_address_does_not_wait(void **state)
{
    const struct budget_settings limits = {.address_rate = 1000, .address_burst = 1};
    struct fixture *f = begin(state, limits, 100);
    struct session *first, *other;
    int fd, fd2;
    first = fixture_open(f, &fd);
    fixture_write_text(fd, "xxxxxxxxxx");
    WAIT_FOR(f, conn_is_waiting(first->conn));
    fixture_from = "127.0.0.3";
    other = fixture_open(f, &fd2);
    fixture_write_text(fd2, "q");
    WAIT_FOR(f, other->input.len == 1);
    fixture_from = NULL;
    close(fd);
    close(fd2);
}

static void shared_addresses_have_no_budget(void **state)
{
    const struct budget_settings limits = {.address_rate = 10, .address_burst = 1};
    struct fixture *f = *state;
    struct session *session;
    int fd;
    fixture_set(f, "net.shared_addresses=10.0.0.0/8 127.0.0.1");
    f = begin(state, limits, 100);
    session = fixture_open(f, &fd);
    fixture_write_text(fd, "xxxxxxxxxx");
    WAIT_FOR(f, session->input.len == 10);
    assert_false(conn_is_waiting(session->conn));
    assert_true(conn_max_charge(session->conn) == UINT32_MAX);
    close(fd);
}

static void reconnecting_pays_for_nothing(void **state)
{
    const struct budget_settings limits = {
        .address_rate = 1000, .address_burst = 1, .addresses = 10};
    struct fixture *f = begin(state, limits, 1000);
    struct session *session;
    int fd;
    session = fixture_open(f, &fd);
    fixture_write_text(fd, "x");
    WAIT_FOR(f, session->input.len == 1);
    conn_close(session->conn, CONN_CLOSE_LOCAL);
    WAIT_FOR(f, session->closed == 1);
    close(fd);
    session = fixture_open(f, &fd);
    fixture_write_text(fd, "x");
    WAIT_FOR(f, conn_is_waiting(session->conn));
    assert_int_equal(session->input.len, 0);
    pass_ms(f, 1100);
    assert_int_equal(session->input.len, 1);
    close(fd);
}

/* Neither the time for a handshake nor the idle time runs while we do not read. */
static void waiting_is_no_silence(void **state)
{
    const struct budget_settings limits = {.rate = 1, .burst = 1};
    struct fixture *f = *state;
    struct session *session;
    int fd;
    fixture_set(f, "net.idle_timeout=2s");
    fixture_set(f, "net.handshake_timeout=2s");
    f->keep_handshake = true;
    f = begin(state, limits, 1000000);
    session = fixture_open(f, &fd);
    fixture_write_text(fd, "ab");
    WAIT_FOR(f, conn_is_waiting(session->conn));
    pass_ms(f, 4900);
    assert_int_equal(session->closed, 0);
    pass_ms(f, 200);
    assert_int_equal(session->input.len, 2);
    conn_handshake_done(session->conn);
    pass_ms(f, 4700);
    assert_int_equal(session->closed, 0);
    pass_ms(f, 5000);
    assert_int_equal(session->closed, 1);
    assert_int_equal(session->reason, CONN_CLOSE_IDLE);
    close(fd);
}

/* A message that is only half there must not lose the rest of its bytes to its place in the queue.
 */
static size_t receive_pairs(struct session *session, struct bytes input)
{
    size_t used = 0;
    while (input.len - used >= 2 && conn_may_read(session->conn)) {
        writer_bytes(&session->input, (struct bytes){input.data + used, 2});
        used += 2;
        conn_charge(session->conn, price);
    }
    return used;
}

static void half_a_message_is_completed(void **state)
{
    const struct budget_settings limits = {.address_rate = 1000, .address_burst = 1};
    struct fixture *f = begin(state, limits, 100);
    struct session *flood, *slow;
    int fd, fd2;
    f->received = receive_pairs;
    slow = fixture_open(f, &fd2);
    fixture_write_text(fd2, "1");
    iterate(f, 3);
    flood = fixture_open(f, &fd);
    for (int n = 0; n < 100; n++) {
        fixture_write_text(fd, "xxxxxxxxxx");
    }
    WAIT_FOR(f, conn_is_waiting(flood->conn));
    fixture_write_text(fd2, "2");
    iterate(f, 3);
    pass_ms(f, 400);
    fixture_expect_text(&slow->input, "12");
    close(fd);
    close(fd2);
}

static void what_waits_may_be_closed_paused_and_ended(void **state)
{
    const struct budget_settings limits = {
        .rate = 10, .burst = 1, .address_rate = 10, .address_burst = 1};
    struct fixture *f = begin(state, limits, 100);
    struct session *sessions[4];
    int fds[4];
    for (int i = 0; i < 4; i++) {
        sessions[i] = fixture_open(f, &fds[i]);
        fixture_write_text(fds[i], "xxx");
    }
    WAIT_FOR(f, conn_is_waiting(sessions[0]->conn) && conn_is_waiting(sessions[1]->conn) &&
                    conn_is_waiting(sessions[2]->conn) && conn_is_waiting(sessions[3]->conn));
    conn_close(sessions[0]->conn, CONN_CLOSE_LOCAL);
    conn_close_after_output(sessions[1]->conn, CONN_CLOSE_LOCAL);
    conn_pause_reading(sessions[2]->conn);
    WAIT_FOR(f, sessions[0]->closed == 1);
    pass_ms(f, 9000);
    assert_int_equal(sessions[2]->input.len, 0);
    assert_in_range(sessions[3]->input.len, 1, 2);
    conn_resume_reading(sessions[2]->conn);
    pass_ms(f, 6000);
    assert_in_range(sessions[2]->input.len, 1, 2);
    conn_charge(sessions[2]->conn, 1000);
    listener_close_connections(f->listener, CONN_CLOSE_DRAIN);
    WAIT_FOR(f, sessions[2]->closed == 1 && sessions[3]->closed == 1);
    assert_int_equal(metrics_get(METRIC_BUDGET_WAITING), 0);
    for (int i = 0; i < 4; i++) {
        close(fds[i]);
    }
}

/* Takes all of it, and long. */
static size_t receive_slowly(struct session *session, struct bytes input)
{
    const uint64_t until = clock_monotonic_us() + 60000;
    while (clock_monotonic_us() < until) {
    }
    writer_bytes(&session->input, input);
    conn_charge(session->conn, 100);
    return input.len;
}

static size_t count_read(struct session *const *sessions, int count)
{
    size_t read = 0;
    for (int i = 0; i < count; i++) {
        read += sessions[i]->input.len;
    }
    return read;
}

static void a_long_iteration_reads_on_from_those_who_owe_nothing(void **state)
{
    const struct budget_settings limits = {.rate = 10, .burst = 1000000};
    struct fixture *f = begin(state, limits, 0);
    struct session *sessions[4];
    int fds[4];
    for (int i = 0; i < 4; i++) {
        sessions[i] = fixture_open(f, &fds[i]);
    }
    f->received = receive_slowly;
    for (int i = 0; i < 4; i++) {
        if (i < 3) {
            conn_charge(sessions[i]->conn, 100);
        }
        fixture_write_text(fds[i], "x");
    }
    for (size_t i = 1; i <= 3; i++) {
        iterate(f, 1);
        assert_int_equal(sessions[3]->input.len, 1);
        assert_in_range(count_read(sessions, 3), i - 1, i);
    }
    WAIT_FOR(f, count_read(sessions, 3) == 3);
    for (int i = 0; i < 4; i++) {
        close(fds[i]);
    }
}

/* Also when the first has more meanwhile. */
static void those_deferred_are_read_from_in_their_order(void **state)
{
    const struct budget_settings limits = {.rate = 10, .burst = 1000000};
    struct fixture *f = begin(state, limits, 0);
    struct session *sessions[4];
    int fds[4], first = -1;
    for (int i = 0; i < 4; i++) {
        sessions[i] = fixture_open(f, &fds[i]);
    }
    f->received = receive_slowly;
    for (int i = 0; i < 4; i++) {
        conn_charge(sessions[i]->conn, 100);
        fixture_write_text(fds[i], "x");
    }
    iterate(f, 1);
    assert_int_equal(count_read(sessions, 4), 1);
    for (int i = 0; i < 4; i++) {
        first = sessions[i]->input.len == 1 ? i : first;
    }
    for (size_t others = 1; others <= 3; others++) {
        fixture_write_text(fds[first], "x");
        iterate(f, 1);
        assert_int_equal(sessions[first]->input.len, 1);
        assert_int_equal(count_read(sessions, 4), 1 + others);
    }
    WAIT_FOR(f, sessions[first]->input.len == 4);
    for (int i = 0; i < 4; i++) {
        close(fds[i]);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_create, fixture_destroy)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(over_its_budget_it_waits_and_loses_nothing),
        TEST(no_wait_is_longer_than_the_longest),
        TEST(a_rate_of_the_protocol_waits_in_the_same_way),
        TEST(connections_of_an_address_take_turns),
        TEST(another_address_does_not_wait),
        TEST(shared_addresses_have_no_budget),
        TEST(reconnecting_pays_for_nothing),
        TEST(waiting_is_no_silence),
        TEST(half_a_message_is_completed),
        TEST(what_waits_may_be_closed_paused_and_ended),
        TEST(a_long_iteration_reads_on_from_those_who_owe_nothing),
        TEST(those_deferred_are_read_from_in_their_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
