/* loop_private: what the files of this package share: the loop itself and its heap of timers. */
#ifndef LOOP_LOOP_PRIVATE_H
#define LOOP_LOOP_PRIVATE_H

#include <event2/event.h>
#include <event2/event_struct.h>
#include <stddef.h>

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
    uint64_t now_us;
    uint64_t skipped_us; /* by loop_skip */
    bool now_is_known;   /* sampled in this turn */
    bool is_stopped;
    bool in_turn;
    int outer; /* outer.c's descriptor, -1: none */
};

/* Called first by whatever an event of this turn wakes: the first one samples the time. */
void loop_note_turn(struct loop *loop);
/* Registers an event with libevent; says so in the log when that fails. */
void loop_add_event(struct event *event);

/* The loop's clock now, which this turn's time may be behind. */
uint64_t loop_clock_us(const struct loop *loop);

/* outer.c. Keeps the outer descriptor's interest as the loop's own; enum loop_events. */
void loop_outer_watch(struct loop *loop, int fd, unsigned before, unsigned after);
/* Between turns: makes the outer descriptor readable at until_us, or at the first timer's time. */
void loop_outer_wake(struct loop *loop, uint64_t until_us);
void loop_outer_free(struct loop *loop);

void loop_timers_init(struct loop *loop);
void loop_timers_free(struct loop *loop);
/* Before the wait: makes sure that the loop wakes for the earliest timer, and at until_us. */
void loop_timers_arm(struct loop *loop, uint64_t until_us);
/* Fires what is due at loop_now_us. */
void loop_timers_fire(struct loop *loop);

#endif
