/*
 * loop: timers. What is waited for is a condition; time appears only as an order and as "not
 * before".
 */
#include "base/clock.h"
#include "loop/loop_case.h"
#include "metrics/metrics.h"

static void timers_fire_in_order_and_once(void **state)
{
    char letters[] = "abc";
    struct loop_timer *timers[3];

    for (int i = 0; i < 3; i++) {
        timers[i] = timer_of(&letters[i]);
    }
    assert_false(loop_timer_is_running(timers[0]));
    loop_timer_start(timers[2], 30);
    loop_timer_start(timers[0], 1);
    loop_timer_start(timers[1], 15);
    assert_true(loop_timer_is_running(timers[0]));
    turn_until(3);
    assert_string_equal(journal, "abc");
    for (int i = 0; i < 3; i++) {
        assert_false(loop_timer_is_running(timers[i]));
    }
    loop_iterate(loop, 5);
    assert_string_equal(journal, "abc");
    for (int i = 0; i < 3; i++) {
        loop_timer_destroy(&timers[i]);
        assert_null(timers[i]);
        loop_timer_destroy(&timers[i]);
    }
}

static void timers_are_never_early(void **state)
{
    char letter = 'a';
    struct loop_timer *timer = timer_of(&letter);

    for (uint64_t delay_ms = 0; delay_ms < 12; delay_ms++) {
        uint64_t start_us = clock_monotonic_us(), loop_start_ms = loop_now_ms(loop);

        journal[0] = '\0';
        loop_timer_start(timer, delay_ms);
        turn_until(1);
        assert_true(clock_monotonic_us() - start_us >= delay_ms * 1000);
        assert_true(loop_now_ms(loop) - loop_start_ms >= delay_ms);
    }
    loop_timer_destroy(&timer);
}

static void timers_are_stopped_and_moved(void **state)
{
    char letters[] = "abc";
    struct loop_timer *a = timer_of(&letters[0]), *b = timer_of(&letters[1]),
                      *c = timer_of(&letters[2]);

    loop_timer_start(a, 1);
    loop_timer_start(b, 2);
    loop_timer_start(c, 3600000);
    loop_timer_stop(a);
    assert_false(loop_timer_is_running(a));
    loop_timer_stop(a);
    loop_timer_start(c, 40);      /* sooner */
    loop_timer_start(b, 3600000); /* later */
    turn_until(1);
    assert_string_equal(journal, "c");
    assert_true(loop_timer_is_running(b));
    loop_timer_start(c, UINT64_MAX); /* never: no overflow makes it soon */
    loop_iterate(loop, 5);
    assert_string_equal(journal, "c");
    loop_timer_destroy(&a);
    loop_timer_destroy(&b);
    loop_timer_destroy(&c);
}

static void end_the_wait(void *arg, unsigned events)
{
    loop_io_set(*(struct loop_io **)arg, 0);
}

static void the_wait_ends_for_a_nearer_timer(void **state)
{
    struct loop_io *io = NULL;
    char letters[] = "abc";
    struct loop_timer *a = timer_of(&letters[0]), *b = timer_of(&letters[1]);

    loop_timer_start(a, 3600000);
    io = loop_io_create(loop, ends[0], end_the_wait, &io);
    loop_io_set(io, LOOP_WRITE);
    loop_iterate(loop, 3600000); /* it was waited for */
    loop_timer_start(b, 1);
    turn_until(1);
    assert_string_equal(journal, "b");
    loop_timer_destroy(&b);
    loop_timer_start(a, 2);
    turn_until(2);
    assert_string_equal(journal, "ba");
    loop_timer_destroy(&a);
    loop_io_destroy(&io);
}

/* Against a model: a plain table of which timers run, and until when. */
#define MANY 300

static void note_fired(void *arg)
{
    *(bool *)arg = true;
}

static void many_timers_keep_their_order(void **state)
{
    static struct loop_timer *timers[MANY];
    static bool fired[MANY], running[MANY];
    unsigned seed = 42;

    for (int i = 0; i < MANY; i++) {
        timers[i] = loop_timer_create(loop, note_fired, &fired[i]);
    }
    for (int step = 0; step < 20000; step++) {
        int i;

        seed = seed * 1103515245 + 12345;
        i = (int)(seed >> 8) % MANY;
        /* Half of them are due at once, the others an hour and more later. */
        running[i] = (seed >> 4) % 3 != 0;
        if (running[i]) {
            loop_timer_start(timers[i], i % 2 == 0 ? 0 : 3600000 + (seed >> 8) % 1000);
        } else {
            loop_timer_stop(timers[i]);
        }
        assert_int_equal(loop_timer_is_running(timers[i]), running[i]);
    }
    for (int left = 1; left > 0;) {
        left = 0;
        loop_iterate(loop, 1);
        for (int i = 0; i < MANY; i += 2) {
            left += loop_timer_is_running(timers[i]);
        }
    }
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(fired[i], i % 2 == 0 && running[i]);
        assert_int_equal(loop_timer_is_running(timers[i]), i % 2 == 1 && running[i]);
        loop_timer_destroy(&timers[i]);
    }
}

static struct loop_timer *victims[2];

static void destroy_timers(void *arg)
{
    note('d');
    loop_timer_destroy(&victims[0]);
    loop_timer_destroy(&victims[1]);
}

static void callbacks_may_destroy_any_timer(void **state)
{
    for (int i = 0; i < 2; i++) {
        victims[i] = loop_timer_create(loop, destroy_timers, NULL);
        loop_timer_start(victims[i], 0);
    }
    turn_until(1);
    loop_iterate(loop, 5);
    assert_string_equal(journal, "d");
}

static void start_again(void *arg)
{
    note('s');
    loop_timer_start(*(struct loop_timer **)arg, 0);
}

static void a_timer_that_starts_itself_waits_for_the_next_iteration(void **state)
{
    struct loop_timer *timer = NULL;

    timer = loop_timer_create(loop, start_again, &timer);
    loop_timer_start(timer, 0);
    for (size_t fired = 1; fired <= 20; fired++) {
        size_t before = strlen(journal);

        loop_iterate(loop, 10000);
        assert_true(strlen(journal) <= before + 1);
    }
    turn_until(5);
    loop_timer_destroy(&timer);
}

/* The number of observations and their sum, as the metrics show them. */
static double lag_metric(const char *name)
{
    struct writer writer = {0};
    double value = -1;
    char *at;

    metrics_write_text(&writer);
    writer_u8(&writer, '\0');
    at = strstr((char *)writer.data, name);
    if (at) {
        value = strtod(at + strlen(name), NULL);
    }
    writer_free(&writer);
    return value;
}

static void lateness_is_measured(void **state)
{
    char letter = 'a';
    struct loop_timer *timer = timer_of(&letter);
    double count = lag_metric("\ntracker_loop_lag_seconds_count "),
           sum = lag_metric("\ntracker_loop_lag_seconds_sum ");
    uint64_t start_us;

    loop_timer_start(timer, 1);
    start_us = clock_monotonic_us();
    while (clock_monotonic_us() < start_us + 21000) { /* it is due after the first of them */
        continue;
    }
    turn_until(1);
    assert_true(lag_metric("\ntracker_loop_lag_seconds_count ") == count + 1);
    assert_true(lag_metric("\ntracker_loop_lag_seconds_sum ") >= sum + 0.0199);
    loop_timer_destroy(&timer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_loop(timers_fire_in_order_and_once),
        with_loop(timers_are_never_early),
        with_loop(timers_are_stopped_and_moved),
        with_loop(the_wait_ends_for_a_nearer_timer),
        with_loop(many_timers_keep_their_order),
        with_loop(callbacks_may_destroy_any_timer),
        with_loop(a_timer_that_starts_itself_waits_for_the_next_iteration),
        with_loop(lateness_is_measured),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
