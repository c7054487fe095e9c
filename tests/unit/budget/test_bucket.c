/* budget/bucket: rates kept exactly over long times, waits that are right to the millisecond, and a
 * table that stays within its capacity. The time is an argument. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"
#include "budget/bucket.h"

#define SECOND UINT64_C(1000000)

static unsigned take_all(struct bucket *bucket, uint32_t rate, uint32_t burst, uint64_t now_us)
{
    unsigned taken = 0;

    while (bucket_take(bucket, rate, burst, now_us)) {
        taken++;
    }
    return taken;
}

static void eight_bytes(void **state)
{
    assert_int_equal(sizeof(struct bucket), 8);
}

static void it_is_full_at_first_and_fills_up_again(void **state)
{
    static const uint64_t starts[] = {0, 1, 5 * SECOND, UINT64_C(1) << 53};

    for (size_t i = 0; i < 4; i++) {
        uint64_t now_us = starts[i];
        struct bucket bucket = {0};

        assert_int_equal(take_all(&bucket, 200, 400, now_us), 400);
        assert_int_equal(take_all(&bucket, 200, 400, now_us), 0);
        now_us += SECOND;
        assert_in_range(take_all(&bucket, 200, 400, now_us), 199, 200); /* 0 counts as 1 us */
        assert_int_equal(take_all(&bucket, 200, 400, now_us += 2 * SECOND), 400);
        assert_int_equal(take_all(&bucket, 200, 400, now_us += 1000 * SECOND), 400);
        assert_int_equal(take_all(&bucket, 200, 400, now_us + (UINT64_C(1) << 52)), 400);
    }
}

static void no_rate_is_no_limit(void **state)
{
    struct bucket bucket = {0};

    for (int i = 0; i < 100000; i++) {
        assert_true(bucket_take(&bucket, 0, 1, 5));
    }
    assert_int_equal(bucket_wait_ms(&bucket, 0, 1, 5), 0);
}

static void bursts_are_kept_within_bounds(void **state)
{
    struct bucket none = {0}, large = {0};

    assert_int_equal(take_all(&none, 10, 0, 7), 1);
    assert_int_equal(take_all(&large, 1, UINT32_MAX, 7), 4000000);
}

/* Asked at every step, more often than tokens come, it lets through the rate: no more ever, and no
 * less than one microsecond per ask costs. */
static void rates_are_kept(void **state)
{
    static const struct {
        uint32_t rate;
        uint64_t step_us;
    } cases[] = {{1, 10007}, {3, 999}, {7, 33333}, {200, 50}, {200, 1777}, {1500, 100}, {9999, 7}};

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const uint64_t start_us = 123456789;
        uint64_t now_us = start_us, asked = 0, taken = 0;
        struct bucket bucket = {0};

        assert_int_equal(take_all(&bucket, cases[i].rate, 5, now_us), 5);
        while (now_us < start_us + 20 * SECOND && asked < 500000) {
            uint64_t lost_us, ideal;

            now_us += cases[i].step_us;
            asked++;
            taken += bucket_take(&bucket, cases[i].rate, 5, now_us);
            ideal = (now_us - start_us) * cases[i].rate / SECOND;
            lost_us = asked < now_us - start_us ? asked : now_us - start_us;
            assert_true(taken <= ideal);
            assert_true(taken + 1 + lost_us * cases[i].rate / SECOND >= ideal);
        }
        assert_true(taken > 0);
    }
}

static void a_clock_that_goes_back_does_no_harm(void **state)
{
    struct bucket bucket = {0};

    assert_int_equal(take_all(&bucket, 10, 5, 100 * SECOND), 5);
    assert_int_equal(take_all(&bucket, 10, 5, 1 * SECOND), 0);
    assert_int_equal(bucket_wait_ms(&bucket, 10, 5, 100 * SECOND), 100);
    assert_true(bucket_take(&bucket, 10, 5, 100 * SECOND + 100000));
}

static void settings_may_change(void **state)
{
    struct bucket bucket = {0};

    assert_true(bucket_take(&bucket, 10, 1000, SECOND));
    assert_int_equal(take_all(&bucket, 10, 3, SECOND), 2); /* a lower burst holds at once */
    assert_int_equal(take_all(&bucket, 1000, 1000, 2 * SECOND), 1000);
}

/* Neither one millisecond too few nor one too many. */
static void waits_are_exact(void **state)
{
    static const uint32_t rates[] = {1, 3, 7, 60, 200, 999, 1000, 4000};

    for (size_t i = 0; i < sizeof rates / sizeof *rates; i++) {
        struct bucket bucket = {0};
        uint64_t now_us = 3 * SECOND;

        assert_int_equal(bucket_wait_ms(&bucket, rates[i], 2, now_us), 0);
        assert_int_equal(take_all(&bucket, rates[i], 2, now_us), 2);
        for (int round = 0; round < 50; round++) {
            uint64_t wait_ms = bucket_wait_ms(&bucket, rates[i], 2, now_us);
            struct bucket early = bucket;

            assert_in_range(wait_ms, 1, 1000 / rates[i] + 1);
            assert_false(bucket_take(&early, rates[i], 2, now_us + wait_ms * 1000 - 1000));
            now_us += wait_ms * 1000;
            assert_int_equal(bucket_wait_ms(&bucket, rates[i], 2, now_us), 0);
            assert_true(bucket_take(&bucket, rates[i], 2, now_us));
            (void)take_all(&bucket, rates[i], 2, now_us);
        }
    }
}

static struct address ip(const char *text)
{
    struct address address;

    assert_true(address_parse_ip(text, &address));
    return address;
}

static void addresses_have_their_own(void **state)
{
    static const struct {
        const char *a, *b;
        bool shared;
    } cases[] = {
        {"10.0.0.1", "10.0.0.2", false},
        {"10.0.0.1", "10.0.0.1", true},
        {"10.0.0.1", "::ffff:10.0.0.1", true},
        {"2001:db8:0:1::1", "2001:db8:0:1:ffff:ffff:ffff:ffff", true},
        {"2001:db8:0:1::1", "2001:db8:0:2::1", false},
        {"a00:1::", "10.0.0.1", false},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct bucket_table *table = bucket_table_create(10);
        struct address a = ip(cases[i].a), b = ip(cases[i].b);

        a.port = 1;
        b.port = 2;
        assert_true(bucket_table_take(table, &a, 1, 1, SECOND));
        assert_false(bucket_table_take(table, &a, 1, 1, SECOND));
        assert_int_equal(bucket_table_take(table, &b, 1, 1, SECOND), !cases[i].shared);
        assert_int_equal(bucket_table_count(table), cases[i].shared ? 1 : 2);
        bucket_table_destroy(&table);
        assert_null(table);
        bucket_table_destroy(&table);
    }
}

static void sockets_share_one(void **state)
{
    struct bucket_table *table = bucket_table_create(10);
    struct address local = {.family = ADDRESS_UNIX};

    assert_true(bucket_table_take(table, &local, 1, 1, SECOND));
    assert_false(bucket_table_take(table, &local, 1, 1, SECOND));
    assert_int_equal(bucket_table_count(table), 1);
    bucket_table_destroy(&table);
}

static bool take_numbered(struct bucket_table *table, unsigned number)
{
    struct address address = {.family = ADDRESS_IPV4};

    memcpy(address.ip, &number, 4);
    return bucket_table_take(table, &address, 1, 1, SECOND);
}

static void the_least_recently_used_is_forgotten(void **state)
{
    struct bucket_table *table = bucket_table_create(3);

    assert_true(take_numbered(table, 1));
    assert_true(take_numbered(table, 2));
    assert_true(take_numbered(table, 3));
    assert_false(take_numbered(table, 1)); /* used again, so 2 is the oldest */
    assert_true(take_numbered(table, 4));
    assert_int_equal(bucket_table_count(table), 3);
    assert_false(take_numbered(table, 1));
    assert_false(take_numbered(table, 3));
    assert_false(take_numbered(table, 4));
    assert_true(take_numbered(table, 2)); /* forgotten, so it is new, and 1 goes */
    assert_true(take_numbered(table, 1));
    bucket_table_destroy(&table);
}

static void newcomers_are_never_refused(void **state)
{
    struct bucket_table *table = bucket_table_create(1000);

    for (unsigned i = 0; i < 20000; i++) {
        assert_true(take_numbered(table, i));
        assert_int_equal(bucket_table_count(table), i < 1000 ? i + 1 : 1000);
    }
    bucket_table_destroy(&table);

    table = bucket_table_create(0); /* holds one */
    assert_true(take_numbered(table, 1));
    assert_true(take_numbered(table, 2));
    assert_int_equal(bucket_table_count(table), 1);
    bucket_table_destroy(&table);
}

static void no_rate_needs_no_room(void **state)
{
    struct bucket_table *table = bucket_table_create(10);
    struct address address = ip("10.0.0.1");

    assert_true(bucket_table_take(table, &address, 0, 0, SECOND));
    assert_int_equal(bucket_table_count(table), 0);
    bucket_table_destroy(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(eight_bytes),
        cmocka_unit_test(it_is_full_at_first_and_fills_up_again),
        cmocka_unit_test(no_rate_is_no_limit),
        cmocka_unit_test(bursts_are_kept_within_bounds),
        cmocka_unit_test(rates_are_kept),
        cmocka_unit_test(a_clock_that_goes_back_does_no_harm),
        cmocka_unit_test(settings_may_change),
        cmocka_unit_test(waits_are_exact),
        cmocka_unit_test(addresses_have_their_own),
        cmocka_unit_test(sockets_share_one),
        cmocka_unit_test(the_least_recently_used_is_forgotten),
        cmocka_unit_test(newcomers_are_never_refused),
        cmocka_unit_test(no_rate_needs_no_room),
    };

    random_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
