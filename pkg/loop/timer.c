/*
 * timer: the loop's timers, a binary heap, and one timerfd that wakes the loop for the earliest.
 *
 * libevent has timers too; these are smaller (48 bytes instead of more than 128, and there are
 * several per connection) and exact: libevent reads a clock that advances every 4 ms, which would
 * be measured as lag. The timerfd is set only when the loop would otherwise sleep too long, and it
 * is not reset when a timer is stopped: the loop then wakes once without work.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "loop/loop_private.h"
#include "metrics/metrics.h"

#define NOT_RUNNING SIZE_MAX

struct loop_timer {
    struct loop *loop;
    loop_callback callback;
    void *arg;
    uint64_t due_us;
    size_t index; /* in the heap, or NOT_RUNNING */
};

static void place_in_heap(struct loop_timers *timers, size_t index, struct loop_timer *timer)
{
    timers->heap[index] = timer;
    timer->index = index;
}

/* Moves a timer towards the top while it is earlier than its parent. */
static void sift_up(struct loop_timers *timers, size_t index, struct loop_timer *timer)
{
    while (index > 0 && timer->due_us < timers->heap[(index - 1) / 2]->due_us) {
        place_in_heap(timers, index, timers->heap[(index - 1) / 2]);
        index = (index - 1) / 2;
    }
    place_in_heap(timers, index, timer);
}

static void sift_down(struct loop_timers *timers, size_t index, struct loop_timer *timer)
{
    for (;;) {
        size_t child = 2 * index + 1;

        if (child >= timers->count) {
            break;
        }
        if (child + 1 < timers->count &&
            timers->heap[child + 1]->due_us < timers->heap[child]->due_us) {
            child++;
        }
        if (timer->due_us <= timers->heap[child]->due_us) {
            break;
        }
        place_in_heap(timers, index, timers->heap[child]);
        index = child;
    }
    place_in_heap(timers, index, timer);
}

static void restore_order(struct loop_timers *timers, size_t index, struct loop_timer *timer)
{
    if (index > 0 && timer->due_us < timers->heap[(index - 1) / 2]->due_us) {
        sift_up(timers, index, timer);
    } else {
        sift_down(timers, index, timer);
    }
}

struct loop_timer *loop_timer_create(struct loop *loop, loop_callback callback, void *arg)
{
    struct loop_timer *timer = mem_zalloc(1, sizeof *timer);

    timer->loop = loop;
    timer->callback = callback;
    timer->arg = arg;
    timer->index = NOT_RUNNING;
    return timer;
}

/* Relative to the current time, not to the iteration's: a long iteration must not shorten the
 * timers that it starts. Later than the iteration's time, so that a timer that restarts itself
 * without a delay fires in the next iteration. */
static uint64_t due_after(const struct loop *loop, uint64_t delay_ms)
{
    uint64_t now_us = loop_clock_us(loop);

    if (delay_ms > (UINT64_MAX - now_us) / 1000) {
        return UINT64_MAX - 1;
    }
    now_us += delay_ms * 1000;
    return now_us > loop->now_us ? now_us : loop->now_us + 1;
}

void loop_timer_start(struct loop_timer *timer, uint64_t delay_ms)
{
    struct loop_timers *timers = &timer->loop->timers;

    timer->due_us = due_after(timer->loop, delay_ms);
    if (timer->index != NOT_RUNNING) {
        restore_order(timers, timer->index, timer);
    } else {
        if (timers->count == timers->capacity) {
            timers->capacity = timers->capacity == 0 ? 16 : 2 * timers->capacity;
            timers->heap = mem_realloc(timers->heap, timers->capacity * sizeof *timers->heap);
        }
        timers->count++;
        sift_up(timers, timers->count - 1, timer);
    }
    loop_outer_wake(timer->loop, UINT64_MAX);
}

void loop_timer_stop(struct loop_timer *timer)
{
    struct loop_timers *timers = &timer->loop->timers;
    size_t index = timer->index;

    if (index == NOT_RUNNING) {
        return;
    }
    timer->index = NOT_RUNNING;
    timers->count--;
    if (index < timers->count) {
        restore_order(timers, index, timers->heap[timers->count]);
    }
}

bool loop_timer_is_running(const struct loop_timer *timer)
{
    return timer->index != NOT_RUNNING;
}

void loop_timer_destroy(struct loop_timer **timer)
{
    if (!*timer) {
        return;
    }
    loop_timer_stop(*timer);
    free(*timer);
    *timer = NULL;
}

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
    struct loop *loop = arg;
    uint64_t expirations;

    loop_note_iteration(loop);
    loop->timers.armed_us = 0;
    /* Only clears the readiness; there is nothing to read if it was set again meanwhile. */
    if (read(fd, &expirations, sizeof expirations) < 0 && errno != EAGAIN) {
        log_error("timer_read_failed", LOG_ERRNO(errno));
    }
}

void loop_timers_init(struct loop *loop)
{
    struct loop_timers *timers = &loop->timers;

    timers->fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (timers->fd < 0) {
        log_error("timer_failed", LOG_ERRNO(errno));
        abort();
    }
    (void)event_assign(&timers->event, loop->base, timers->fd, EV_READ | EV_PERSIST, on_wake, loop);
    loop_add_event(&timers->event);
}

void loop_timers_free(struct loop *loop)
{
    (void)event_del(&loop->timers.event);
    (void)close(loop->timers.fd);
    free(loop->timers.heap);
}

void loop_timers_arm(struct loop *loop, uint64_t until_us)
{
    struct loop_timers *timers = &loop->timers;
    struct itimerspec when = {0};
    uint64_t due_us = until_us;

    if (timers->count > 0 && timers->heap[0]->due_us < due_us) {
        due_us = timers->heap[0]->due_us;
    }
    if (due_us >= UINT64_MAX - 1 || (timers->armed_us != 0 && timers->armed_us <= due_us)) {
        return;
    }
    /* The kernel's clock does not include the skipped time; a time in the past is due at once. */
    uint64_t at_us = due_us > loop->skipped_us ? due_us - loop->skipped_us : 1;
    when.it_value.tv_sec = (time_t)(at_us / 1000000);
    when.it_value.tv_nsec = (long)(at_us % 1000000 * 1000);
    if (timerfd_settime(timers->fd, TFD_TIMER_ABSTIME, &when, NULL) != 0) {
        log_error("timer_set_failed", LOG_ERRNO(errno));
        return;
    }
    timers->armed_us = due_us;
}

void loop_timers_fire(struct loop *loop)
{
    struct loop_timers *timers = &loop->timers;
    uint64_t now_us;

    if (timers->count == 0 || timers->heap[0]->due_us > loop->now_us) {
        return;
    }
    /* The lag includes the descriptor callbacks that ran before the timers. */
    now_us = loop_clock_us(loop);
    while (timers->count > 0 && timers->heap[0]->due_us <= loop->now_us) {
        struct loop_timer *timer = timers->heap[0];

        metrics_observe(HISTOGRAM_LOOP_LAG, now_us - timer->due_us);
        loop_timer_stop(timer);
        timer->callback(timer->arg); /* may destroy timer */
        (void)loop_profile_unit(loop, LOOP_PART_TIMERS);
    }
}
