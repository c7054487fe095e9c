/* worker: what every role needs of its process. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"

static void print_warning(const char *format, va_list arguments)
{
    (void)fputs("tracker-bench: ", stderr);
    (void)vfprintf(stderr, format, arguments);
    (void)fputc('\n', stderr);
}

void bench_warn(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    print_warning(format, arguments);
    va_end(arguments);
}

_Noreturn void bench_fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    print_warning(format, arguments);
    va_end(arguments);
    _exit(1);
}

void worker_done(struct worker *worker)
{
    if (write(worker->control, "d", 1) != 1) {
        bench_fail("the parent is gone");
    }
}

bool worker_in_window(const struct worker *worker, uint64_t now_us)
{
    return now_us >= worker->span.window_us && now_us < worker->span.end_us;
}

static void put_time(uint8_t *to, uint64_t time_us)
{
    for (int i = 7; i >= 0; i--, time_us >>= 8) {
        to[i] = (uint8_t)time_us;
    }
}

struct bytes bench_state(const struct worker *worker, uint8_t *scratch, uint64_t intended_us,
                         uint64_t now_us)
{
    memset(scratch + BENCH_STAMPS, 'x', worker->part.state_size - BENCH_STAMPS);
    put_time(scratch, intended_us);
    put_time(scratch + 8, now_us);
    return (struct bytes){scratch, worker->part.state_size};
}

/* What something else wrote, and what is of the steps before, has no time of this run. */
void bench_delivered_at(struct worker *worker, uint64_t intended_us, uint64_t actual_us,
                        uint64_t now_us)
{
    struct results *results = worker->results;
    if (worker->span.begin_us == 0 || intended_us < worker->span.begin_us || actual_us > now_us ||
        intended_us > actual_us) {
        return;
    }
    results->delivered += worker_in_window(worker, now_us);
    if (worker_in_window(worker, intended_us)) {
        histogram_record(&results->intended, now_us - intended_us);
        histogram_record(&results->actual, now_us - actual_us);
    }
}

void bench_delivered(struct worker *worker, struct bytes state, uint64_t now_us)
{
    struct cursor cursor = cursor_over(state);
    uint64_t intended = cursor_u64(&cursor);
    uint64_t actual = cursor_u64(&cursor);
    if (!cursor.failed) {
        bench_delivered_at(worker, intended, actual, now_us);
    }
}
