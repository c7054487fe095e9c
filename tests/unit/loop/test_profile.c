/* loop: what is counted and logged of iterations that run long. */
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "loop/job.h"
#include "loop/loop_case.h"
#include "metrics/metrics.h"

#define SLOW_MS 3

static char label[] = "encode_all";

static void spin(uint64_t us)
{
    uint64_t until_us = clock_monotonic_us() + us;

    while (clock_monotonic_us() < until_us) {
        continue;
    }
}

static void run_labelled(void *arg)
{
    loop_label(loop, arg);
    spin(10 * SLOW_MS * 1000);
}

static void run_short(void *arg)
{
    spin(100);
}

static bool step_long(void *arg)
{
    spin(50 * SLOW_MS * 1000);
    return false;
}

static void read_long(void *arg, unsigned events)
{
    drain(ends[0]);
    spin(10 * SLOW_MS * 1000);
}

/* Iterates once, and returns the lines that it logged. */
static const char *lines_of_an_iteration(void)
{
    static char lines[4096];
    FILE *file = tmpfile();
    size_t len;

    assert_non_null(file);
    log_set_fd(fileno(file));
    loop_iterate(loop, 0);
    log_set_fd(STDERR_FILENO);
    rewind(file);
    len = fread(lines, 1, sizeof lines - 1, file);
    lines[len] = '\0';
    fclose(file);
    return lines;
}

static void a_slow_iteration_names_what_ran_longest(void **state)
{
    struct loop_task view = {.callback = run_short}, store = {.callback = run_labelled};
    int64_t slow = metrics_get(METRIC_SLOW_STORE);
    const char *lines;

    store.arg = label;
    loop_set_slow(loop, SLOW_MS);
    loop_defer(loop, LOOP_PHASE_VIEW, &view);
    loop_defer(loop, LOOP_PHASE_STORE, &store);
    lines = lines_of_an_iteration();
    assert_non_null(strstr(lines, "level=warn msg=slow_iteration"));
    assert_non_null(strstr(lines, " phase=store "));
    assert_non_null(strstr(lines, " longest=encode_all "));
    assert_int_equal(metrics_get(METRIC_SLOW_STORE), slow + 1);
    lines = lines_of_an_iteration(); /* in which nothing runs */
    assert_string_equal(lines, "");
}

static void a_job_is_named_by_its_label(void **state)
{
    struct loop_job job = {.step = step_long, .label = "scan_entries"};
    struct loop_task store = {.callback = run_labelled, .arg = label};
    int64_t slow = metrics_get(METRIC_SLOW_JOBS);
    const char *lines;

    loop_set_slow(loop, SLOW_MS);
    loop_job_start(loop, &job);
    loop_defer(loop, LOOP_PHASE_STORE, &store);
    lines = lines_of_an_iteration();
    assert_non_null(strstr(lines, " phase=jobs "));
    assert_non_null(strstr(lines, " longest=scan_entries "));
    assert_int_equal(metrics_get(METRIC_SLOW_JOBS), slow + 1);
}

static void what_has_no_label_is_named_by_its_phase(void **state)
{
    struct loop_io *io = loop_io_create(loop, ends[0], read_long, NULL);
    struct loop_timer *timer;
    const char *lines;

    loop_set_slow(loop, SLOW_MS);
    loop_io_set(io, LOOP_READ);
    put("x");
    lines = lines_of_an_iteration();
    assert_non_null(strstr(lines, " phase=input "));
    assert_non_null(strstr(lines, " longest=input "));
    loop_io_destroy(&io);
    timer = loop_timer_create(loop, run_labelled, NULL);
    loop_timer_start(timer, 1);
    loop_skip(loop, 1);
    lines = lines_of_an_iteration();
    assert_non_null(strstr(lines, " phase=timers "));
    assert_non_null(strstr(lines, " longest=timers "));
    loop_timer_destroy(&timer);
}

static void without_a_threshold_nothing_is_slow(void **state)
{
    struct loop_task store = {.callback = run_labelled, .arg = label};

    loop_defer(loop, LOOP_PHASE_STORE, &store);
    assert_string_equal(lines_of_an_iteration(), "");
    loop_set_slow(loop, 3600000);
    loop_defer(loop, LOOP_PHASE_STORE, &store);
    assert_string_equal(lines_of_an_iteration(), "");
}

static double iteration_metric(const char *line)
{
    struct writer text = {0};
    double value;

    metrics_write_text(&text);
    writer_bytes(&text, (struct bytes){(const uint8_t *)"", 1});
    value = atof(strstr((char *)text.data, line) + strlen(line));
    writer_free(&text);
    return value;
}

static void the_length_is_measured_without_the_wait(void **state)
{
    static const char count_line[] = "\ntracker_loop_iteration_seconds_count ",
                      sum_line[] = "\ntracker_loop_iteration_seconds_sum ";
    double count = iteration_metric(count_line), sum = iteration_metric(sum_line);
    struct loop_task store = {.callback = run_labelled, .arg = label};

    loop_iterate(loop, 20); /* waits */
    assert_true(iteration_metric(count_line) == count + 1);
    assert_true(iteration_metric(sum_line) < sum + 0.0199);
    sum = iteration_metric(sum_line);
    loop_defer(loop, LOOP_PHASE_STORE, &store);
    loop_iterate(loop, 0);
    assert_true(iteration_metric(count_line) == count + 2);
    assert_true(iteration_metric(sum_line) >= sum + 0.0009 * SLOW_MS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_loop(a_slow_iteration_names_what_ran_longest),
        with_loop(a_job_is_named_by_its_label),
        with_loop(what_has_no_label_is_named_by_its_phase),
        with_loop(without_a_threshold_nothing_is_slow),
        with_loop(the_length_is_measured_without_the_wait),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
