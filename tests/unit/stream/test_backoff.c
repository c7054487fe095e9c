/* Pauses between attempts to connect: their bounds, and that all of what is between them occurs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/random.h"
#include "stream/backoff.h"

#define DRAWS 4000

static const struct stream_backoff backoff = {.first_ms = 100, .most_ms = 1000};

struct range {
    uint64_t least, most;
};

static void widen(struct range *range, uint64_t pause)
{
    range->least = pause < range->least ? pause : range->least;
    range->most = pause > range->most ? pause : range->most;
}

/* All lie between the two, and some near each. */
static void assert_spread(const struct range *range, uint64_t from, uint64_t to)
{
    const uint64_t tenth = (to - from) / 10;

    assert_true(range->least >= from && range->most <= to);
    assert_true(range->least <= from + tenth);
    assert_true(range->most >= to - tenth);
}

static void test_the_bound_doubles_up_to_the_longest(void **state)
{
    static const uint64_t bounds[] = {100, 200, 400, 800, 1000, 1000};

    for (unsigned failures = 0; failures < 6; failures++) {
        struct range range = {.least = UINT64_MAX};

        for (unsigned i = 0; i < DRAWS; i++) {
            widen(&range, stream_backoff_pause(&backoff, failures));
        }
        assert_spread(&range, 0, bounds[failures]);
    }
}

static void test_no_count_of_failures_is_too_many(void **state)
{
    const struct stream_backoff wide = {.first_ms = UINT32_MAX, .most_ms = UINT32_MAX};

    for (unsigned i = 0; i < DRAWS; i++) {
        assert_true(stream_backoff_pause(&backoff, UINT32_MAX - i) <= 1000);
        assert_true(stream_backoff_pause(&wide, i) <= UINT32_MAX);
    }
    assert_int_equal(stream_backoff_pause(&(struct stream_backoff){0}, 3), 0);
}

/* At most a quarter of the time since the loss, but at least the first bound. */
static void test_pauses_after_a_loss_are_short_at_first(void **state)
{
    static const struct {
        unsigned failures;
        uint64_t lost_for_ms, bound;
    } cases[] = {{0, 0, 100},     {3, 0, 100},      {3, 1200, 300},      {3, 3200, 800},
                 {3, 99999, 800}, {9, 99999, 1000}, {0, UINT64_MAX, 100}};

    for (unsigned c = 0; c < sizeof cases / sizeof *cases; c++) {
        struct range range = {.least = UINT64_MAX};

        for (unsigned i = 0; i < DRAWS; i++) {
            widen(&range, stream_backoff_pause_after_loss(&backoff, cases[c].failures,
                                                          cases[c].lost_for_ms));
        }
        assert_spread(&range, 0, cases[c].bound);
    }
}

static void test_pauses_after_a_refusal_are_long(void **state)
{
    struct range range = {.least = UINT64_MAX};

    for (unsigned i = 0; i < DRAWS; i++) {
        widen(&range, stream_backoff_pause_after_refusal(&backoff));
    }
    assert_spread(&range, 500, 1000);
}

static int start_random(void **state)
{
    random_init();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_bound_doubles_up_to_the_longest),
        cmocka_unit_test(test_no_count_of_failures_is_too_many),
        cmocka_unit_test(test_pauses_after_a_loss_are_short_at_first),
        cmocka_unit_test(test_pauses_after_a_refusal_are_long),
    };

    return cmocka_run_group_tests(tests, start_random, NULL);
}
