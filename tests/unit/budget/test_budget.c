/* budget: accounts by address and network, what they owe after their last reference, how many are
 * kept, and that no debt lasts longer than a wait may. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"
#include "budget/budget.h"
#include "metrics/metrics.h"

#define SECOND UINT64_C(1000000)

static struct budget_settings settings;
static struct budget *budget;

static int set_up(void **state)
{
    settings = (struct budget_settings){.rate = 10000,
                                        .burst = 20000,
                                        .address_rate = 1000,
                                        .address_burst = 2000,
                                        .network_rate = 2000,
                                        .network_burst = 3000,
                                        .addresses = 100};
    random_init();
    budget = budget_create(&settings);
    return 0;
}

static int tear_down(void **state)
{
    budget_destroy(&budget);
    return 0;
}

static struct budget_account *acquire(const char *ip, uint64_t now_us)
{
    struct address address;
    assert_true(address_parse_ip(ip, &address));
    return budget_account_acquire(budget, &address, now_us);
}

static uint64_t wait_of(const struct budget_account *account, uint64_t now_us)
{
    return budget_account_wait_us(budget, account, now_us, NULL);
}

static void connections_of_an_address_share_one(void **state)
{
    static const struct {
        const char *a, *b;
        bool same;
    } cases[] = {
        {"10.0.0.1", "10.0.0.1", true},
        {"10.0.0.1", "::ffff:10.0.0.1", true},
        {"10.0.0.1", "10.0.0.2", false},
        {"2001:db8:0:1::1", "2001:db8:0:1:ffff:ffff:ffff:ffff", true},
        {"2001:db8:0:1::1", "2001:db8:0:2::1", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct budget_account *a = acquire(cases[i].a, SECOND), *b = acquire(cases[i].b, SECOND);
        assert_int_equal(a == b, cases[i].same);
        budget_account_release(budget, b, SECOND);
        budget_account_release(budget, a, SECOND);
    }
}

static void an_account_waits_for_its_rate(void **state)
{
    struct budget_account *account = acquire("10.0.0.1", SECOND);
    budget_account_charge(budget, account, 1999, SECOND);
    assert_int_equal(wait_of(account, SECOND), 0);
    budget_account_charge(budget, account, 501, SECOND);
    assert_int_equal(wait_of(account, SECOND), SECOND / 2 + SECOND / 1000);
    assert_int_equal(wait_of(account, SECOND * 2), 0);
    budget_account_release(budget, account, SECOND);
}

static void no_debt_lasts_longer_than_a_wait(void **state)
{
    struct budget_account *account = acquire("10.0.0.1", SECOND);
    for (int i = 0; i < 10; i++) {
        budget_account_charge(budget, account, 4000000000u, SECOND);
    }
    assert_int_equal(wait_of(account, SECOND), 5 * SECOND);
    budget_account_release(budget, account, SECOND);
}

static void networks_bound_their_addresses_together(void **state)
{
    struct budget_account *a = acquire("2001:db8:7:1::1", SECOND);
    struct budget_account *b = acquire("2001:db8:7:2::1", SECOND);
    struct budget_account *other = acquire("2001:db8:8:2::1", SECOND);
    bool by_network = false;
    budget_account_charge(budget, a, 1900, SECOND);
    assert_int_equal(wait_of(b, SECOND), 0);
    budget_account_charge(budget, b, 1900, SECOND);
    assert_true(budget_account_wait_us(budget, b, SECOND, &by_network) > 0);
    assert_true(by_network);
    assert_int_equal(wait_of(other, SECOND), 0);
    budget_account_release(budget, a, SECOND);
    budget_account_release(budget, b, SECOND);
    budget_account_release(budget, other, SECOND);
}

static void what_is_owed_outlives_the_last_connection(void **state)
{
    struct budget_account *account = acquire("10.0.0.1", SECOND);
    budget_account_charge(budget, account, 3000, SECOND);
    budget_account_release(budget, account, SECOND);
    assert_int_equal(budget_account_count(budget), 1);
    account = acquire("10.0.0.1", SECOND);
    assert_true(wait_of(account, SECOND) > 0);
    budget_account_release(budget, account, SECOND * 5); /* paid by then */
    assert_int_equal(budget_account_count(budget), 0);
}

static void so_many_that_owe_are_kept(void **state)
{
    for (int i = 0; i < 250; i++) {
        char ip[32];
        struct budget_account *account;
        (void)snprintf(ip, sizeof ip, "10.0.0.%d", i);
        account = acquire(ip, SECOND);
        budget_account_charge(budget, account, 3000, SECOND);
        budget_account_release(budget, account, SECOND);
        assert_int_equal(budget_account_count(budget), i < 100 ? i + 1 : 100);
    }
    struct budget_account *last = acquire("10.0.0.249", SECOND);
    struct budget_account *first = acquire("10.0.0.1", SECOND);
    assert_true(wait_of(last, SECOND) > 0);
    assert_int_equal(wait_of(first, SECOND), 0);
    budget_account_release(budget, last, SECOND);
    /* Those that owe no more are freed a few at a time. */
    for (int i = 0; i < 60; i++) {
        budget_account_release(budget, first, SECOND * 10);
        first = acquire("10.0.0.1", SECOND * 10);
    }
    assert_int_equal(budget_account_count(budget), 1);
    budget_account_release(budget, first, SECOND * 10);
}

static void without_settings_nothing_waits(void **state)
{
    struct budget_account *account = acquire("2001:db8:7:1::1", SECOND);
    budget_set(budget, NULL);
    budget_account_charge(budget, account, UINT32_MAX, SECOND);
    assert_int_equal(wait_of(account, SECOND), 0);
    assert_true(budget_max_charge(budget, true) == UINT32_MAX);
    budget_account_release(budget, account, SECOND);
}

static void a_message_may_cost_what_five_seconds_pay(void **state)
{
    assert_int_equal(budget_max_charge(budget, false), 50000);
    assert_int_equal(budget_max_charge(budget, true), 5000); /* the address has less */
}

static void who_causes_little_is_known(void **state)
{
    struct budget_account *account = acquire("10.0.0.1", SECOND),
                          *other = acquire("10.0.0.2", SECOND);
    uint64_t now_us = SECOND;
    for (int i = 0; i < 20; i++, now_us += SECOND) {
        assert_true(budget_account_causes_little(account, now_us));
        budget_account_charge(budget, account, 200, now_us);
    }
    budget_account_charge(budget, account, 100000, now_us);
    assert_false(budget_account_causes_little(account, now_us));
    assert_true(budget_account_causes_little(other, now_us));
    assert_true(budget_account_causes_little(account, now_us + 5 * SECOND));
    budget_account_release(budget, account, now_us);
    budget_account_release(budget, other, now_us);
}

#define MOST 100

/* Takes as many as the account may have; *total: of all. */
static uint64_t take_share(struct budget_account *account, uint64_t *total)
{
    uint64_t taken = 0;
    while (*total < MOST &&
           !budget_account_exceeds_share(account, BUDGET_OPERATIONS, 1, *total + 1, MOST)) {
        budget_account_add(account, BUDGET_OPERATIONS, 1);
        (*total)++;
        taken++;
    }
    return taken;
}

static void return_share(struct budget_account *account, uint64_t taken)
{
    budget_account_subtract(account, BUDGET_OPERATIONS, taken);
    budget_account_release(budget, account, 0);
}

static void an_address_may_have_as_much_as_is_free(void **state)
{
    struct budget_account *a = acquire("10.0.0.1", 0), *b = acquire("10.0.0.2", 0);
    uint64_t total = 0, of_a = take_share(a, &total), of_b = take_share(b, &total);
    assert_int_equal(of_a, 50);
    assert_int_equal(of_b, 25);
    assert_int_equal(take_share(a, &total), 0);
    /* Of one that has nothing, a single one may be larger. */
    assert_true(budget_account_exceeds_share(b, BUDGET_OPERATIONS, 25, total + 25, MOST));
    assert_false(budget_account_exceeds_share(b, BUDGET_OPERATION_BYTES, 90, 90, MOST));
    return_share(a, of_a);
    return_share(b, of_b);
}

static void a_network_may_have_as_much_as_is_free(void **state)
{
    struct budget_account *of[20], *other = acquire("2001:db8:2::1", 0);
    uint64_t total = 0, taken[20], of_network = 0;
    for (unsigned i = 0; i < 20; i++) {
        char ip[64];
        snprintf(ip, sizeof ip, "2001:db8:1:%x::1", i);
        of[i] = acquire(ip, 0);
        taken[i] = take_share(of[i], &total);
        of_network += taken[i];
    }
    assert_int_equal(of_network, 50);
    uint64_t of_other = take_share(other, &total);
    assert_int_equal(of_other, 25);
    for (unsigned i = 0; i < 20; i++) {
        return_share(of[i], taken[i]);
    }
    return_share(other, of_other);
}

static void what_is_counted_keeps_its_account(void **state)
{
    struct budget_account *account = acquire("2001:db8:1::1", 0);
    budget_account_add(account, BUDGET_SESSIONS, 1);
    budget_account_release(budget, account, 0);
    assert_int_equal(budget_account_count(budget), 2);
    assert_ptr_equal(acquire("2001:db8:1::1", 0), account);
    budget_account_subtract(account, BUDGET_SESSIONS, 1);
    budget_account_release(budget, account, 0);
    assert_int_equal(budget_account_count(budget), 0);
}

/* As for operations that are freed after the connections' network: the memory is freed with them.
 */
static void what_is_counted_outlives_the_budget(void **state)
{
    struct budget_account *one = acquire("2001:db8:1::1", 0),
                          *other = acquire("2001:db8:1:2::1", 0);
    budget_account_add(one, BUDGET_OPERATIONS, 2);
    budget_account_add(other, BUDGET_OPERATIONS, 1);
    budget_account_release(budget, one, 0);
    budget_account_release(budget, other, 0);
    assert_int_equal(metrics_get(METRIC_BUDGET_ACCOUNTS), 3);
    budget_destroy(&budget);
    assert_int_equal(metrics_get(METRIC_BUDGET_ACCOUNTS), 0);
    budget_account_add(one, BUDGET_OPERATIONS, 1);
    budget_account_subtract(one, BUDGET_OPERATIONS, 3);
    budget_account_subtract(other, BUDGET_OPERATIONS, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(connections_of_an_address_share_one),
        TEST(an_account_waits_for_its_rate),
        TEST(no_debt_lasts_longer_than_a_wait),
        TEST(networks_bound_their_addresses_together),
        TEST(what_is_owed_outlives_the_last_connection),
        TEST(so_many_that_owe_are_kept),
        TEST(who_causes_little_is_known),
        TEST(without_settings_nothing_waits),
        TEST(a_message_may_cost_what_five_seconds_pay),
        TEST(an_address_may_have_as_much_as_is_free),
        TEST(a_network_may_have_as_much_as_is_free),
        TEST(what_is_counted_keeps_its_account),
        TEST(what_is_counted_outlives_the_budget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
