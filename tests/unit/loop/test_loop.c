/* loop: descriptors, signals and turns, over real sockets. */
#include <signal.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "loop/loop_case.h"

static void note_events(void *arg, unsigned events)
{
    note(events == LOOP_READ ? 'r' : events == LOOP_WRITE ? 'w' : events == 3 ? 'b' : '?');
}

static void events_are_reported_as_wanted(void **state)
{
    struct loop_io *io = loop_io_create(loop, ends[0], note_events, NULL);

    put("x");
    loop_iterate(loop, 0); /* nothing is wanted at first */
    assert_string_equal(journal, "");
    loop_io_set(io, LOOP_READ);
    loop_iterate(loop, 10000);
    loop_iterate(loop, 10000); /* level-triggered */
    assert_string_equal(journal, "rr");
    loop_io_set(io, LOOP_READ | LOOP_WRITE);
    loop_iterate(loop, 10000);
    assert_string_equal(journal, "rrb");
    loop_io_set(io, LOOP_WRITE);
    loop_iterate(loop, 10000);
    assert_string_equal(journal, "rrbw");
    loop_io_set(io, LOOP_WRITE);
    loop_iterate(loop, 10000);
    assert_string_equal(journal, "rrbww");
    loop_io_set(io, LOOP_READ | LOOP_WRITE);
    loop_iterate(loop, 10000);
    assert_string_equal(journal, "rrbwwb");
    loop_io_set(io, LOOP_READ);
    drain(ends[0]);
    loop_iterate(loop, 0);
    assert_string_equal(journal, "rrbwwb");
    loop_io_set(io, 0);
    put("x");
    loop_iterate(loop, 0);
    assert_string_equal(journal, "rrbwwb");
    loop_io_destroy(&io);
    assert_null(io);
    loop_io_destroy(&io);
}

/* Every change from any set of events to any other, with the descriptor readable and writable. */
static void any_change_takes_effect(void **state)
{
    static const char *const letters[] = {"", "r", "w", "b"};
    struct loop_io *io = loop_io_create(loop, ends[0], note_events, NULL);

    put("x");
    for (unsigned before = 0; before < 4; before++) {
        for (unsigned after = 0; after < 4; after++) {
            loop_io_set(io, before);
            loop_io_set(io, after);
            journal[0] = '\0';
            loop_iterate(loop, 0);
            assert_string_equal(journal, letters[after]);
        }
    }
    loop_io_destroy(&io);
}

static void two_may_watch_one_descriptor(void **state)
{
    struct loop_io *reader = loop_io_create(loop, ends[0], note_events, NULL),
                   *writer = loop_io_create(loop, ends[0], note_events, NULL);

    put("x");
    loop_io_set(reader, LOOP_READ);
    loop_io_set(writer, LOOP_WRITE);
    loop_iterate(loop, 10000);
    assert_true(strcmp(journal, "rw") == 0 || strcmp(journal, "wr") == 0);
    loop_io_destroy(&writer);
    journal[0] = '\0';
    loop_iterate(loop, 10000);
    assert_string_equal(journal, "r");
    loop_io_destroy(&reader);
}

static void the_peer_s_end_is_readable(void **state)
{
    struct loop_io *io = loop_io_create(loop, ends[0], note_events, NULL);

    loop_io_set(io, LOOP_READ);
    shutdown(ends[1], SHUT_RDWR);
    loop_iterate(loop, 10000);
    assert_string_equal(journal, "r");
    loop_io_destroy(&io);
}

static void what_cannot_be_watched_is_said(void **state)
{
    FILE *file = tmpfile(); /* epoll refuses plain files */
    struct loop_io *io;
    char text[2048];
    ssize_t len;

    assert_non_null(file);
    log_set_fd(ends[1]);
    io = loop_io_create(loop, fileno(file), note_events, NULL);
    loop_io_set(io, LOOP_READ);
    log_set_fd(STDERR_FILENO);
    len = read(ends[0], text, sizeof text - 1);
    assert_true(len > 0);
    text[len] = '\0';
    assert_non_null(strstr(text, "msg=watch_failed"));
    loop_io_destroy(&io);
    (void)fclose(file);
}

/* Two descriptors that are ready in the same iteration; whichever comes first destroys both. */
static struct loop_io *pair[2];

static void destroy_both(void *arg, unsigned events)
{
    note('d');
    loop_io_destroy(&pair[0]);
    loop_io_destroy(&pair[1]);
}

static void callbacks_may_destroy_any_io(void **state)
{
    put("x");
    assert_int_equal(write(ends[0], "y", 1), 1);
    for (int i = 0; i < 2; i++) {
        pair[i] = loop_io_create(loop, ends[i], destroy_both, NULL);
        loop_io_set(pair[i], LOOP_READ);
    }
    loop_iterate(loop, 10000);
    loop_iterate(loop, 0);
    assert_string_equal(journal, "d");
}

static uint64_t seen_us[2];

static void see_time(void *arg, unsigned events)
{
    uint64_t *seen = arg;

    *seen = loop_now_us(loop);
    while (clock_monotonic_us() < *seen + 2000) { /* a long callback */
        continue;
    }
    note('t');
}

static void one_iteration_has_one_time(void **state)
{
    struct loop_io *io[2];
    uint64_t before_us = clock_monotonic_us(), first_us;

    put("x");
    assert_int_equal(write(ends[0], "y", 1), 1);
    for (int i = 0; i < 2; i++) {
        io[i] = loop_io_create(loop, ends[i], see_time, &seen_us[i]);
        loop_io_set(io[i], LOOP_READ);
    }
    loop_iterate(loop, 10000);
    assert_string_equal(journal, "tt");
    assert_int_equal(seen_us[0], seen_us[1]);
    assert_true(seen_us[0] >= before_us);
    assert_int_equal(loop_now_us(loop), seen_us[0]);
    assert_int_equal(loop_now_ms(loop), seen_us[0] / 1000);
    first_us = seen_us[0];
    loop_iterate(loop, 0);
    assert_true(seen_us[0] >= first_us + 2000);
    loop_io_destroy(&io[0]);
    loop_io_destroy(&io[1]);
}

static void an_iteration_returns(void **state)
{
    uint64_t before_us = clock_monotonic_us();

    loop_iterate(loop, 0);
    loop_iterate(loop, 20);
    assert_true(clock_monotonic_us() - before_us >= 20000);
    assert_string_equal(journal, "");
}

static struct loop_signal *first_signal;

static void on_signal(void *arg)
{
    note('s');
}

static void on_signal_once(void *arg)
{
    note('o');
    loop_signal_destroy(&first_signal);
}

static void signals_are_reported(void **state)
{
    struct loop_signal *signal = loop_signal_create(loop, SIGUSR1, on_signal, NULL);

    raise(SIGUSR1);
    assert_string_equal(journal, ""); /* not from inside of the handler */
    turn_until(1);
    raise(SIGUSR1);
    turn_until(2);
    assert_string_equal(journal, "ss");

    first_signal = loop_signal_create(loop, SIGUSR2, on_signal_once, NULL);
    raise(SIGUSR2);
    turn_until(3);
    assert_string_equal(journal, "sso");
    assert_null(first_signal);
    loop_signal_destroy(&signal);
    assert_null(signal);
    loop_signal_destroy(&signal);
}

static void stop(void *arg)
{
    note('x');
    loop_stop(loop);
    loop_defer(loop, LOOP_PHASE_FREE, arg);
}

static void the_loop_runs_until_it_is_stopped(void **state)
{
    char letters[] = "ab";
    struct loop_task task = {.callback = note_letter, .arg = &letters[1]};
    struct loop_timer *first = timer_of(&letters[0]), *last = loop_timer_create(loop, stop, &task);

    loop_timer_start(first, 1);
    loop_timer_start(last, 10);
    loop_run(loop);
    assert_string_equal(journal, "axb"); /* the iteration that stops it ends as every other */

    loop_timer_start(last, 0); /* it runs again */
    loop_run(loop);
    assert_string_equal(journal, "axbxb");

    loop_stop(loop); /* before it runs: it does not */
    loop_run(loop);
    assert_string_equal(journal, "axbxb");
    loop_timer_destroy(&first);
    loop_timer_destroy(&last);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_loop(events_are_reported_as_wanted),  with_loop(any_change_takes_effect),
        with_loop(two_may_watch_one_descriptor),   with_loop(the_peer_s_end_is_readable),
        with_loop(what_cannot_be_watched_is_said), with_loop(callbacks_may_destroy_any_io),
        with_loop(one_iteration_has_one_time),     with_loop(an_iteration_returns),
        with_loop(signals_are_reported),           with_loop(the_loop_runs_until_it_is_stopped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
