/*
 * loop: the one event loop of a process, a façade over libevent's core.
 *
 * A turn is: wait, run the callbacks of ready descriptors, timers and signals, then run the tasks
 * that were deferred, phase by phase, until none is left. Deferred tasks are how what one turn
 * brings is joined: the map sends its batches in LOOP_PHASE_STORE, the links to Redis and the
 * connections write in LOOP_PHASE_OUTPUT, and objects freed from inside their own callbacks go in
 * LOOP_PHASE_FREE.
 *
 * Everything belongs to one thread. Callbacks may destroy any io, timer or signal, their own too.
 */
#ifndef LOOP_LOOP_H
#define LOOP_LOOP_H

#include <stdbool.h>
#include <stdint.h>

struct loop;
struct loop_io;
struct loop_timer;
struct loop_signal;

enum loop_events { LOOP_READ = 1, LOOP_WRITE = 2 };
enum loop_phase { LOOP_PHASE_VIEW, LOOP_PHASE_STORE, LOOP_PHASE_OUTPUT, LOOP_PHASE_FREE };
#define LOOP_PHASES 4

typedef void (*loop_callback)(void *arg);
typedef void (*loop_io_callback)(void *arg, unsigned events);

struct loop *loop_create(void);
/* Everything registered must have been destroyed before; deferred tasks are run first. */
void loop_destroy(struct loop **loop);
/* Runs turns until loop_stop. */
void loop_run(struct loop *loop);
void loop_stop(struct loop *loop);
/* One turn that waits at most timeout_ms (0: polls): for tests, tools and foreign loops. */
void loop_turn(struct loop *loop, unsigned timeout_ms);
/*
 * A descriptor, the loop's, that is readable when loop_turn(loop, 0) has something to do: for a
 * program with a loop of its own (poll, epoll, libevent). To be asked for before any descriptor is
 * watched. Signals do not make it readable. -1 when the process has no descriptor left.
 */
int loop_fd(struct loop *loop);
/* The monotonic time at which this turn's events were picked up. */
uint64_t loop_now_us(const struct loop *loop);
uint64_t loop_now_ms(const struct loop *loop);

/* For tests: the loop's clock jumps forward, as if that much time had passed; what became due by it
 * fires in the next turn. So what takes hours can be tested in no time. */
void loop_skip(struct loop *loop, uint64_t ms);

/* The descriptor stays the caller's. Level-triggered. Interested in nothing at first. */
struct loop_io *loop_io_create(struct loop *loop, int fd, loop_io_callback callback, void *arg);
/* events: any of LOOP_READ | LOOP_WRITE, or 0. */
void loop_io_set(struct loop_io *io, unsigned events);
void loop_io_destroy(struct loop_io **io);

/* A one-shot timer, not running at first. Starting a running timer moves it. */
struct loop_timer *loop_timer_create(struct loop *loop, loop_callback callback, void *arg);
void loop_timer_start(struct loop_timer *timer, uint64_t delay_ms);
void loop_timer_stop(struct loop_timer *timer);
bool loop_timer_is_running(const struct loop_timer *timer);
void loop_timer_destroy(struct loop_timer **timer);

struct loop_signal *loop_signal_create(struct loop *loop, int signal_number, loop_callback callback,
                                       void *arg);
void loop_signal_destroy(struct loop_signal **signal);

/*
 * A task to be embedded where it is needed; no memory is allocated for it. Zero-initialised, with
 * callback and arg set. Deferring a task that waits already does nothing; tasks run in the order
 * in which they were deferred, within their phase. A task deferred from a task runs in this turn.
 */
struct loop_task {
    loop_callback callback;
    void *arg;
    struct loop_task *next;
    struct loop_task *prev;
    bool queued;
};
void loop_defer(struct loop *loop, enum loop_phase phase, struct loop_task *task);
/* Takes it back; harmless when it does not wait. */
void loop_cancel(struct loop *loop, struct loop_task *task);

#endif
