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

/* Of an iteration, in order; the last four but for the jobs are the phases. */
enum loop_part {
    LOOP_PART_INPUT, /* descriptors and signals */
    LOOP_PART_TIMERS,
    LOOP_PART_VIEW,
    LOOP_PART_JOBS,
    LOOP_PART_STORE,
    LOOP_PART_OUTPUT,
    LOOP_PART_FREE
};
#define LOOP_PARTS 7

struct loop_profile {
    uint64_t slow_us; /* what is logged; 0: nothing */
    uint64_t began_us;
    uint64_t last_us; /* the end of the last unit */
    uint64_t part_us[LOOP_PARTS];
    uint64_t longest_us; /* of all units so far */
    char longest[48];    /* its label */
    const char *label;   /* of the unit that runs; NULL: none was set */
};

struct loop {
    struct event_base *base;
    struct event scratch; /* see loop_io_set */
    struct loop_timers timers;
    struct loop_task phases[LOOP_PHASES];      /* heads of circular lists */
    struct loop_task next_phases[LOOP_PHASES]; /* the same, of the next iteration */
    unsigned may_have;                         /* a bit per phase: 0 while it has no tasks */
    bool may_have_next;                        /* false while next_phases has none */
    struct loop_job jobs;      /* the head of a circular list; the next to run first */
    struct loop_job *stepping; /* whose step runs; NULL: none, or it was stopped */
    uint64_t now_us;
    uint64_t skipped_us; /* by loop_skip */
    uint64_t iterations; /* begun */
    bool now_is_known;   /* sampled in this iteration */
    struct loop_profile profile;
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

/* profile.c. The iteration begins at loop_now_us. */
void loop_profile_begin(struct loop *loop);
/* What has run since the last call was of that part. Returns the time. */
uint64_t loop_profile_unit(struct loop *loop, enum loop_part part);
void loop_profile_end(struct loop *loop);

void loop_jobs_init(struct loop *loop);
static inline bool loop_has_jobs(const struct loop *loop)
{
    return loop->jobs.next != &loop->jobs;
}
/* One iteration's share of steps, of which there are any. */
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
