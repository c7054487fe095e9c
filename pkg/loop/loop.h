/*
 * loop: the one event loop of a process, a façade over libevent's core.
 *
 * An iteration waits, runs the callbacks of ready descriptors, timers and signals, and then runs
 * the deferred tasks, phase by phase, until none is left. Jobs (job.h), which last for several
 * iterations, take their steps after LOOP_PHASE_VIEW. Deferred tasks combine the work of one
 * iteration: the map sends its batches in LOOP_PHASE_STORE, the links to Redis and the connections
 * write in LOOP_PHASE_OUTPUT, and objects that are destroyed inside their own callbacks are freed
 * in LOOP_PHASE_FREE.
 *
 * A loop belongs to one thread. Callbacks may destroy any io, timer or signal, including their own.
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
/* All ios, timers and signals must have been destroyed; runs the deferred tasks first. */
void loop_destroy(struct loop **loop);
/* Iterates until loop_stop. */
void loop_run(struct loop *loop);
void loop_stop(struct loop *loop);
/* One iteration that waits at most timeout_ms (0: polls): for tests, tools and outer loops. */
void loop_iterate(struct loop *loop, unsigned timeout_ms);
/*
 * A descriptor, owned by the loop, that is readable when loop_iterate(loop, 0) has something to do:
 * for a program with its own loop (poll, epoll, libevent). Must be called before any descriptor is
 * watched. Signals do not make it readable. -1 when the process has no descriptor left.
 */
int loop_fd(struct loop *loop);
/* How many iterations have begun: the same number means the same iteration. */
uint64_t loop_iteration_count(const struct loop *loop);
/* The monotonic time at which the events of this iteration were collected. */
uint64_t loop_now_us(const struct loop *loop);
uint64_t loop_now_ms(const struct loop *loop);
/* How long ago that is: for what ends an iteration before it takes too long. */
uint64_t loop_elapsed_us(const struct loop *loop);

/*
 * An iteration that runs for at least ms is counted (tracker_slow_iterations_total) and logged
 * (slow_iteration) with what ran longest in it; 0, at first: none.
 */
void loop_set_slow(struct loop *loop, uint64_t ms);
/* Names what runs now for that line, until the callback returns; valid as long. */
void loop_label(struct loop *loop, const char *label);

/* For tests: moves the loop's clock forward; timers that are due by then fire in the next
 * iteration. */
void loop_skip(struct loop *loop, uint64_t ms);

/* The caller keeps the descriptor. Level-triggered; watches no events at first. */
struct loop_io *loop_io_create(struct loop *loop, int fd, loop_io_callback callback, void *arg);
/* events: any of LOOP_READ | LOOP_WRITE, or 0. */
void loop_io_set(struct loop_io *io, unsigned events);
int loop_io_fd(const struct loop_io *io);
void loop_io_destroy(struct loop_io **io);

/* A one-shot timer, not running at first. Starting a running timer restarts it. */
struct loop_timer *loop_timer_create(struct loop *loop, loop_callback callback, void *arg);
void loop_timer_start(struct loop_timer *timer, uint64_t delay_ms);
void loop_timer_stop(struct loop_timer *timer);
bool loop_timer_is_running(const struct loop_timer *timer);
void loop_timer_destroy(struct loop_timer **timer);

struct loop_signal *loop_signal_create(struct loop *loop, int signal_number, loop_callback callback,
                                       void *arg);
void loop_signal_destroy(struct loop_signal **signal);

/*
 * A task to be embedded in its owner's struct; no memory is allocated for it. Zero-initialise it
 * and set callback and arg. Deferring a task that is already waiting does nothing; within a phase,
 * tasks run in the order in which they were deferred. A task deferred by a task runs in this
 * iteration.
 */
struct loop_task {
    loop_callback callback;
    void *arg;
    struct loop_task *next;
    struct loop_task *prev;
    bool queued;
};
void loop_defer(struct loop *loop, enum loop_phase phase, struct loop_task *task);
/* The same, in the next iteration, which does not wait for an event: for what is left of a task
 * that has used its share (loop_share_is_used). */
void loop_defer_next(struct loop *loop, enum loop_phase phase, struct loop_task *task);
/* Whether the callback or task that runs now has run for so long that it has to leave the rest to
 * the next iteration. */
bool loop_share_is_used(const struct loop *loop);
/* Does nothing when the task is not waiting. */
void loop_cancel(struct loop *loop, struct loop_task *task);

#endif
