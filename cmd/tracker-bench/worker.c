/* member: what every role needs of its process. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"

static void say(const char *format, va_list arguments)
{
    (void)fputs("tracker-bench: ", stderr);
    (void)vfprintf(stderr, format, arguments);
    (void)fputc('\n', stderr);
}

void bench_warn(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    say(format, arguments);
    va_end(arguments);
}

_Noreturn void bench_fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    say(format, arguments);
    va_end(arguments);
    _exit(1);
}

void member_done(struct member *member)
{
    if (write(member->control, "d", 1) != 1)
        bench_fail("the parent is gone");
}

bool member_in_window(const struct member *member, uint64_t now_us)
{
    return now_us >= member->span.window_us && now_us < member->span.end_us;
}

static void put_time(uint8_t *to, uint64_t time_us)
{
    for (int i = 7; i >= 0; i--, time_us >>= 8)
        to[i] = (uint8_t)time_us;
}

struct bytes bench_state(const struct member *member, uint8_t *scratch, uint64_t intended_us,
                         uint64_t now_us)
{
    memset(scratch + BENCH_STAMPS, 'x', member->part.state_size - BENCH_STAMPS);
    put_time(scratch, intended_us);
    put_time(scratch + 8, now_us);
    return (struct bytes){scratch, member->part.state_size};
}

/* What something else wrote, and what is of the steps before, has no time of this run. */
void bench_delivered_at(struct member *member, uint64_t intended_us, uint64_t actual_us,
                        uint64_t now_us)
{
    struct results *results = member->results;
    if (member->span.begin_us == 0 || intended_us < member->span.begin_us || actual_us > now_us ||
        intended_us > actual_us)
        return;
    results->delivered += member_in_window(member, now_us);
    if (member_in_window(member, intended_us)) {
        histogram_record(&results->intended, now_us - intended_us);
        histogram_record(&results->actual, now_us - actual_us);
    }
}

void bench_delivered(struct member *member, struct bytes state, uint64_t now_us)
{
    struct cursor cursor = cursor_over(state);
    uint64_t intended = cursor_u64(&cursor);
    uint64_t actual = cursor_u64(&cursor);
    if (!cursor.failed)
        bench_delivered_at(member, intended, actual, now_us);
}
