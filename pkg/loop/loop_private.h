/* loop_private: what the files of this package share: the loop itself and its heap of timers. */
#ifndef LOOP_LOOP_PRIVATE_H
#define LOOP_LOOP_PRIVATE_H

#include <event2/event.h>
#include <event2/event_struct.h>
#include <stddef.h>

#include "loop/job.h"
#include "loop/loop.h"

struct loop_timers {
    struct loop_timer **heap; /* the earliest at 0 */
    size_t count;
    size_t capacity;
    int fd;             /* a timerfd */
    uint64_t armed_us;  /* when it wakes the loop; 0: not at all */
    struct event event; /* of the fd */
};

struct loop {
    struct event_base *base;
    struct event scratch; /* see loop_io_set */
    struct loop_timers timers;
    struct loop_task phases[LOOP_PHASES]; /* heads of circular lists */
    struct loop_job jobs;                 /* the head of a circular list; the next to run first */
    struct loop_job *stepping;            /* whose step runs; NULL: none, or it was stopped */
    uint64_t now_us;
    uint64_t skipped_us; /* by loop_skip */
    bool now_is_known;   /* sampled in this iteration */
    bool is_stopped;
    bool is_iterating;
    int outer; /* outer.c's descriptor, -1: none */
};

/* Called first by each event callback; the first call of an iteration samples the time. */
void loop_note_iteration(struct loop *loop);
/* Registers an event with libevent; logs a failure. */
void loop_add_event(struct event *event);

/* The loop's clock now, which may be later than this iteration's time. */
uint64_t loop_clock_us(const struct loop *loop);

void loop_jobs_init(struct loop *loop);
bool loop_has_jobs(const struct loop *loop);
/* One iteration's share of steps. */
void loop_jobs_run(struct loop *loop);

/* outer.c. Mirrors the watched events (enum loop_events) in the outer descriptor. */
void loop_outer_watch(struct loop *loop, int fd, unsigned before, unsigned after);
/* Between iterations: makes the outer descriptor readable at until_us, or when the first timer is
 * due. */
void loop_outer_wake(struct loop *loop, uint64_t until_us);
void loop_outer_free(struct loop *loop);

void loop_timers_init(struct loop *loop);
void loop_timers_free(struct loop *loop);
/* Before the wait: sets the timerfd to the earliest timer or until_us, if it is set later. */
void loop_timers_arm(struct loop *loop, uint64_t until_us);
/* Fires what is due at loop_now_us. */
void loop_timers_fire(struct loop *loop);

#endif
