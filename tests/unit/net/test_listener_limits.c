/* Whom a listener refuses: limits in all and per address, what its owner says, and the log of it.
 */
#include "fixture.h"

/* Connects to be refused: the stream ends without a byte. */
static void expect_refusal(struct fixture *f, const char *where)
{
    unsigned accepted = f->accepted;
    uint64_t connections = net_connection_count(f->net);
    struct writer got = {0};
    int fd = fixture_connect_to(where);
    fixture_read_end(f, fd, &got);
    assert_int_equal(got.len, 0);
    assert_int_equal(f->accepted, accepted);
    assert_int_equal(net_connection_count(f->net), connections);
    close(fd);
}

static void test_limit_in_all(void **state)
{
    struct fixture *f = *state;
    int64_t refused = metrics_get(METRIC_REFUSED_LIMIT);
    struct session *session;
    int first, second, third;
    fixture_set(f, "net.max_connections=2");
    fixture_listen(f, "127.0.0.1:0");
    session = fixture_open(f, &first);
    fixture_open(f, &second);
    expect_refusal(f, listener_where(f->listener));
    assert_int_equal(metrics_get(METRIC_REFUSED_LIMIT) - refused, 1);
    assert_true(fixture_logged(f, "reason=limit"));
    close(first);
    WAIT_FOR(f, session->closed == 1);
    fixture_open(f, &third);
    close(second);
    close(third);
}

static void test_limit_per_address(void **state)
{
    struct fixture *f = *state;
    int64_t refused = metrics_get(METRIC_REFUSED_ADDRESS_LIMIT);
    struct session *session;
    char where[64];
    int first, second, third;
    fixture_set(f, "net.max_per_address=2");
    fixture_listen(f, "*:0");
    session = fixture_open(f, &first);
    fixture_open(f, &second);
    expect_refusal(f, listener_where(f->listener));
    assert_int_equal(metrics_get(METRIC_REFUSED_ADDRESS_LIMIT) - refused, 1);
    assert_true(fixture_logged(f, "reason=address_limit"));
    /* Another address is not concerned. */
    snprintf(where, sizeof where, "[::1]:%u", fixture_port_of(listener_where(f->listener)));
    fixture_expect_service(f, where, ADDRESS_IPV6);
    close(first);
    WAIT_FOR(f, session->closed == 1);
    fixture_open(f, &third);
    assert_int_equal(metrics_get(METRIC_REFUSED_ADDRESS_LIMIT) - refused, 1);
    close(second);
    close(third);
}

static void test_admit(void **state)
{
    static const struct {
        const char *reason;
        enum metric metric;
    } cases[] = {{"denied", METRIC_REFUSED_DENIED},
                 {"rate", METRIC_REFUSED_RATE},
                 {"full moon", METRIC_REFUSED_DENIED}};
    struct fixture *f = *state;
    fixture_listen(f, "127.0.0.1:0");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t before = metrics_get(cases[i].metric);
        f->refuse = cases[i].reason;
        expect_refusal(f, listener_where(f->listener));
        assert_int_equal(metrics_get(cases[i].metric) - before, 1);
        assert_true(fixture_logged(f, cases[i].reason));
    }
    f->refuse = NULL;
    fixture_expect_service(f, listener_where(f->listener), ADDRESS_IPV4);
    assert_int_equal(budget_account_count(f->net->budget), 0);
}

static size_t count_lines(struct fixture *f, const char *text)
{
    static char log[262144];
    ssize_t n = pread(f->log, log, sizeof log - 1, 0);
    size_t count = 0;
    log[n < 0 ? 0 : n] = 0;
    for (const char *at = log; (at = strstr(at, text)); at++) {
        count++;
    }
    return count;
}

static void test_refusals_do_not_flood_the_log(void **state)
{
    struct fixture *f = *state;
    int64_t before = metrics_get(METRIC_REFUSED_DENIED);
    f->refuse = "denied";
    fixture_listen(f, "127.0.0.1:0");
    for (int i = 0; i < 100; i++) {
        expect_refusal(f, listener_where(f->listener));
    }
    assert_int_equal(metrics_get(METRIC_REFUSED_DENIED) - before, 100);
    assert_in_range(count_lines(f, "connection_refused"), 1, 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_limit_in_all),
        TEST(test_limit_per_address),
        TEST(test_admit),
        TEST(test_refusals_do_not_flood_the_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
