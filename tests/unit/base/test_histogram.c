/* histogram: exact below 256, within 1/128 above, sums of parts equal the whole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/histogram.h"

static struct histogram *make(void)
{
    struct histogram *histogram = calloc(1, sizeof *histogram);
    assert_non_null(histogram);
    return histogram;
}

static void test_empty(void **state)
{
    struct histogram *h = make();
    assert_int_equal(histogram_percentile(h, 50), 0);
    assert_int_equal(histogram_percentile(h, 100), 0);
    free(h);
}

static void test_single_values(void **state)
{
    static const uint64_t values[] = {0,          1,          127,   128,        255,
                                      256,        257,        1000,  65535,      65536,
                                      999999,     1ull << 31, 12345, 1ull << 32, (1ull << 39) + 1,
                                      1ull << 40, UINT64_MAX};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        struct histogram *h = make();
        histogram_record(h, values[i]);
        /* One value is every percentile, and never shown above the largest. */
        assert_true(histogram_percentile(h, 0) == values[i]);
        assert_true(histogram_percentile(h, 50) == values[i]);
        assert_true(histogram_percentile(h, 100) == values[i]);
        free(h);
    }
}

static void test_bounded_error(void **state)
{
    for (uint64_t value = 1; value < 1ull << 40; value += value / 3 + 1) {
        struct histogram *h = make();
        uint64_t found;
        histogram_record(h, value);
        histogram_record(h, UINT64_MAX);
        found = histogram_percentile(h, 50);
        assert_true(found >= value);
        assert_true(found - value <= value / 128);
        if (value < 256) {
            assert_true(found == value);
        }
        free(h);
    }
}

static void test_percentiles(void **state)
{
    static const struct {
        double percent;
        uint64_t wanted;
    } cases[] = {{0, 1}, {1, 1}, {50, 50}, {90, 90}, {99, 99}, {99.9, 100}, {100, 100}};
    struct histogram *h = make();
    for (uint64_t value = 100; value > 0; value--) {
        histogram_record(h, value);
    }
    assert_int_equal(h->count, 100);
    assert_int_equal(h->sum, 5050);
    assert_int_equal(h->max, 100);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(histogram_percentile(h, cases[i].percent), cases[i].wanted);
    }
    free(h);
}

static void test_add(void **state)
{
    struct histogram *parts[2] = {make(), make()};
    struct histogram *whole = make();
    for (uint64_t i = 0; i < 5000; i++) {
        histogram_record(parts[i % 2], i * i);
        histogram_record(whole, i * i);
    }
    histogram_add(parts[0], parts[1]);
    assert_memory_equal(parts[0], whole, sizeof *whole);
    free(parts[0]);
    free(parts[1]);
    free(whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty),         cmocka_unit_test(test_single_values),
        cmocka_unit_test(test_bounded_error), cmocka_unit_test(test_percentiles),
        cmocka_unit_test(test_add),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
