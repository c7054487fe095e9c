/* pacer: a timerfd, as the loop's timers have a resolution of a millisecond. */
#include "pacer.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"

#define AT_ONCE  256 /* calls per event-loop iteration, so that answers are read in between */
#define NEVER_US (1ull << 62)

struct pacer {
    int fd;
    struct loop_io *io;
    void (*due)(void *arg, uint64_t intended_us);
    void (*ended)(void *arg);
    void *arg;
    double rate;
    uint64_t begin_us;
    uint64_t end_us;
    uint64_t count;
    uint64_t limit; /* of count; 0: none */
};

/* Rounded, so that a second at rate 3 has three moments, not a fourth one in its last microsecond.
 */
uint64_t pacer_moment_us(uint64_t begin_us, double rate, uint64_t number)
{
    double after = round((double)number * 1e6 / rate);
    return after < (double)NEVER_US ? begin_us + (uint64_t)after : NEVER_US;
}

static uint64_t next_us(const struct pacer *pacer)
{
    uint64_t next = pacer->end_us;
    if (pacer->rate > 0) {
        next = pacer_moment_us(pacer->begin_us, pacer->rate, pacer->count);
    }
    return next < pacer->end_us ? next : pacer->end_us;
}

static bool has_ended(const struct pacer *pacer, uint64_t now_us)
{
    if (pacer->limit > 0) {
        return pacer->count == pacer->limit;
    }
    return now_us >= pacer->end_us && next_us(pacer) >= pacer->end_us;
}

static void arm_pacer(struct pacer *pacer)
{
    uint64_t at = next_us(pacer);
    struct itimerspec when = {.it_value = {(time_t)(at / 1000000), (long)(at % 1000000) * 1000}};
    if (timerfd_settime(pacer->fd, TFD_TIMER_ABSTIME, &when, NULL) != 0) {
        bench_fail("timer: %s", strerror(errno));
    }
}

static void on_pacer_timer(void *arg, unsigned events)
{
    struct pacer *pacer = arg;
    uint64_t now = clock_monotonic_us();
    uint64_t next = next_us(pacer);
    for (int i = 0; i < AT_ONCE && next <= now && next < pacer->end_us && !has_ended(pacer, now);
         i++) {
        pacer->due(pacer->arg, next);
        pacer->count++;
        next = next_us(pacer);
    }
    if (has_ended(pacer, now)) {
        loop_io_destroy(&pacer->io);
        pacer->ended(pacer->arg);
        return;
    }
    arm_pacer(pacer);
}

struct pacer *pacer_create(struct loop *loop, void (*due)(void *arg, uint64_t intended_us),
                           void (*ended)(void *arg), void *arg)
{
    struct pacer *pacer = mem_zalloc(1, sizeof *pacer);
    pacer->due = due;
    pacer->ended = ended;
    pacer->arg = arg;
    pacer->fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (pacer->fd < 0) {
        bench_fail("no timer: %s", strerror(errno));
    }
    pacer->io = loop_io_create(loop, pacer->fd, on_pacer_timer, pacer);
    return pacer;
}

void pacer_start(struct pacer *pacer, double rate, uint64_t begin_us, uint64_t end_us)
{
    pacer->rate = rate;
    pacer->begin_us = begin_us;
    pacer->end_us = end_us;
    pacer->count = 0;
    arm_pacer(pacer);
    loop_io_set(pacer->io, LOOP_READ);
}

void pacer_start_count(struct pacer *pacer, double rate, uint64_t count)
{
    pacer->limit = count;
    pacer_start(pacer, rate, clock_monotonic_us(), NEVER_US);
}
