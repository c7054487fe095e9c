/* penalty: the wait after bad passwords. */
#include "auth/penalty.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/random.h"

static const struct penalty_rules rules = {
    .first_ms = 1000, .longest_ms = 10000, .memory_ms = 60000};

static struct address ip(const char *text)
{
    struct address address;

    if (!address_parse_ip(text, &address)) {
        fail_msg("%s is no address", text);
    }
    return address;
}

static void test_it_doubles_up_to_the_longest(void **state)
{
    static const uint64_t expected[] = {1000, 2000, 4000, 8000, 10000, 10000};
    struct penalty_table *table = penalty_table_create(10);
    const struct address address = ip("10.0.0.1");
    uint64_t now = 5000;

    assert_int_equal(penalty_take(table, &address, &rules, now), 0);
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        penalty_add(table, &address, &rules, now);
        assert_int_equal(penalty_take(table, &address, &rules, now), expected[i]);
        now += expected[i];
    }
    penalty_table_destroy(&table);
}

static void test_attempts_wait_in_line(void **state)
{
    struct penalty_table *table = penalty_table_create(10);
    const struct address address = ip("10.0.0.1"), other = ip("10.0.0.2");

    penalty_add(table, &address, &rules, 0);
    penalty_add(table, &address, &rules, 0);
    assert_int_equal(penalty_take(table, &address, &rules, 0), 2000);
    assert_int_equal(penalty_take(table, &address, &rules, 0), 4000);
    assert_int_equal(penalty_take(table, &address, &rules, 1000), 5000);
    assert_int_equal(penalty_take(table, &address, &rules, 1000), 7000);
    assert_int_equal(penalty_take(table, &address, &rules, 1000), 9000);
    /* Too many before it: it has taken no place. */
    assert_int_equal(penalty_take(table, &address, &rules, 1000), 11000);
    assert_int_equal(penalty_take(table, &address, &rules, 1000), 11000);
    assert_int_equal(penalty_take(table, &address, &rules, 2000), 10000);
    assert_int_equal(penalty_take(table, &other, &rules, 1000), 0);
    penalty_table_destroy(&table);
}

static void test_forgiven_and_forgotten(void **state)
{
    struct penalty_table *table = penalty_table_create(10);
    const struct address address = ip("10.0.0.1"), other = ip("10.0.0.2");

    penalty_add(table, &address, &rules, 0);
    penalty_add(table, &other, &rules, 0);
    penalty_forgive(table, &address);
    penalty_forgive(table, &address);
    assert_int_equal(penalty_take(table, &address, &rules, 0), 0);
    assert_int_equal(penalty_take(table, &other, &rules, 59999), 0);
    assert_int_equal(penalty_count(table), 1);
    assert_int_equal(penalty_take(table, &other, &rules, 61000), 0);
    assert_int_equal(penalty_count(table), 0);
    penalty_table_destroy(&table);
}

static void test_the_one_seen_longest_ago_is_forgotten(void **state)
{
    struct penalty_table *table = penalty_table_create(2);
    const struct address a = ip("10.0.0.1"), b = ip("10.0.0.2"), c = ip("2001:db8::1"),
                         same = ip("2001:db8::2");

    penalty_add(table, &a, &rules, 0);
    penalty_add(table, &b, &rules, 0);
    assert_int_equal(penalty_take(table, &a, &rules, 0), 1000);
    penalty_add(table, &c, &rules, 0);
    assert_int_equal(penalty_count(table), 2);
    assert_int_equal(penalty_take(table, &b, &rules, 0), 0);
    assert_int_equal(penalty_take(table, &a, &rules, 0), 2000);
    assert_int_equal(penalty_take(table, &same, &rules, 0), 1000);
    penalty_table_destroy(&table);
}

static void test_none_when_switched_off(void **state)
{
    const struct penalty_rules off = {.first_ms = 0, .longest_ms = 10, .memory_ms = 10};
    struct penalty_table *table = penalty_table_create(2);
    const struct address address = ip("10.0.0.1");

    penalty_add(table, &address, &off, 0);
    assert_int_equal(penalty_take(table, &address, &off, 0), 0);
    assert_int_equal(penalty_count(table), 0);
    penalty_table_destroy(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_it_doubles_up_to_the_longest),
        cmocka_unit_test(test_attempts_wait_in_line),
        cmocka_unit_test(test_forgiven_and_forgotten),
        cmocka_unit_test(test_the_one_seen_longest_ago_is_forgotten),
        cmocka_unit_test(test_none_when_switched_off),
    };

    random_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
