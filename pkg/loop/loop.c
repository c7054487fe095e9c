/*
 * loop: libevent waits and reports which descriptors and signals are ready; the timers (timer.c),
 * the deferred tasks and the jobs (job.c) are our own.
 */
#include "loop/loop.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "loop/loop_private.h"

/* One per descriptor, so its size matters. */
struct loop_io {
    struct event event;
    struct loop *loop;
    loop_io_callback callback;
    void *arg;
};

struct loop_signal {
    struct event event;
    struct loop *loop;
    loop_callback callback;
    void *arg;
};

/* libevent would write its messages to standard error in another format. */
static void on_libevent_log(int severity, const char *message)
{
    static struct log_limit limit;

    log_limited(severity >= EVENT_LOG_ERR ? LOG_ERROR : LOG_WARN, &limit, "libevent",
                LOG_STRING("text", message));
}

static struct event_base *create_base(void)
{
    struct event_config *config;
    struct event_base *base;

    event_set_log_callback(on_libevent_log);
    event_set_mem_functions(mem_alloc, mem_realloc, free);
    config = event_config_new();
    /* No changelist: with it libevent would keep descriptors that were closed meanwhile. No cached
     * time: it would be read in each iteration, and only libevent's own timers need it. */
    (void)event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_IGNORE_ENV |
                                            EVENT_BASE_FLAG_NO_CACHE_TIME);
    base = event_base_new_with_config(config);
    event_config_free(config);
    return base;
}

struct loop *loop_create(void)
{
    struct loop *loop = mem_zalloc(1, sizeof *loop);

    loop->base = create_base();
    if (!loop->base) {
        log_error("event_loop_failed", LOG_ERRNO(errno));
        abort();
    }
    for (int phase = 0; phase < LOOP_PHASES; phase++) {
        loop->phases[phase].next = loop->phases[phase].prev = &loop->phases[phase];
        loop->next_phases[phase].next = loop->next_phases[phase].prev = &loop->next_phases[phase];
    }
    loop_jobs_init(loop);
    loop->now_us = loop_clock_us(loop);
    loop->outer = -1;
    loop_timers_init(loop);
    return loop;
}

/* What was deferred to the next iteration is deferred in this one. */
static void move_next_tasks(struct loop *loop)
{
    if (!loop->may_have_next) {
        return;
    }
    loop->may_have_next = false;
    for (int phase = 0; phase < LOOP_PHASES; phase++) {
        struct loop_task *from = &loop->next_phases[phase], *to = &loop->phases[phase];

        if (from->next == from) {
            continue;
        }
        from->next->prev = to->prev;
        to->prev->next = from->next;
        from->prev->next = to;
        to->prev = from->prev;
        from->next = from->prev = from;
        loop->may_have |= 1u << phase;
    }
}

static bool has_any(const struct loop_task heads[LOOP_PHASES])
{
    for (int phase = 0; phase < LOOP_PHASES; phase++) {
        if (heads[phase].next != &heads[phase]) {
            return true;
        }
    }
    return false;
}

/* Those of the first phases. */
static void run_tasks(struct loop *loop, int phases)
{
    static const enum loop_part parts[] = {LOOP_PART_VIEW, LOOP_PART_STORE, LOOP_PART_OUTPUT,
                                           LOOP_PART_FREE};
    unsigned found;

    /* The earliest phase is determined again after each task, as a task may defer others to an
     * earlier phase. */
    while ((found = loop->may_have & ((1u << phases) - 1)) != 0) {
        int phase = __builtin_ctz(found);
        struct loop_task *head = &loop->phases[phase], *task = head->next;

        if (task == head) {
            loop->may_have &= ~(1u << phase);
            continue;
        }
        loop_cancel(loop, task);
        task->callback(task->arg); /* may free the task */
        (void)loop_profile_unit(loop, parts[phase]);
    }
}

void loop_destroy(struct loop **loop)
{
    struct loop *dying = *loop;

    if (!dying) {
        return;
    }
    move_next_tasks(dying);
    run_tasks(dying, LOOP_PHASES);
    loop_timers_free(dying);
    loop_outer_free(dying);
    event_base_free(dying->base);
    free(dying);
    *loop = NULL;
}

/* One iteration that waits until until_us at most; 0: does not wait. */
static void run_iteration(struct loop *loop, uint64_t until_us)
{
    bool polls;

    move_next_tasks(loop);
    /* Tasks deferred between iterations, and jobs, must not wait for an event. */
    polls = until_us == 0 || (loop->may_have != 0 && has_any(loop->phases)) || loop_has_jobs(loop);
    loop->is_iterating = true;
    if (!polls) {
        loop_timers_arm(loop, until_us);
    }
    loop->now_is_known = false;
    loop->iterations++;
    /* EVLOOP_ONCE always: with EVLOOP_NONBLOCK alone it would loop while anything is ready. */
    (void)event_base_loop(loop->base, EVLOOP_ONCE | (polls ? EVLOOP_NONBLOCK : 0));
    loop_note_iteration(loop);
    loop_timers_fire(loop);
    run_tasks(loop, LOOP_PHASE_VIEW + 1);
    if (loop_has_jobs(loop)) {
        loop_jobs_run(loop);
    }
    run_tasks(loop, LOOP_PHASES);
    loop_profile_end(loop);
    loop->is_iterating = false;
    if (loop->outer >= 0) {
        loop_outer_wake(loop, loop_has_jobs(loop) || has_any(loop->next_phases) ? 1 : UINT64_MAX);
    }
}

void loop_run(struct loop *loop)
{
    while (!loop->is_stopped) {
        run_iteration(loop, UINT64_MAX);
    }
    loop->is_stopped = false;
}

void loop_stop(struct loop *loop)
{
    loop->is_stopped = true;
}

void loop_iterate(struct loop *loop, unsigned timeout_ms)
{
    run_iteration(loop, timeout_ms == 0 ? 0 : loop_clock_us(loop) + (uint64_t)timeout_ms * 1000);
}

void loop_note_iteration(struct loop *loop)
{
    if (loop->now_is_known) {
        return;
    }
    loop->now_us = loop_clock_us(loop);
    loop->now_is_known = true;
    loop_profile_begin(loop);
}

uint64_t loop_clock_us(const struct loop *loop)
{
    return clock_monotonic_us() + loop->skipped_us;
}

void loop_skip(struct loop *loop, uint64_t ms)
{
    loop->skipped_us += ms * 1000;
    loop->timers.armed_us = 0; /* the earliest timer is due sooner now */
}

uint64_t loop_iteration_count(const struct loop *loop)
{
    return loop->iterations;
}

uint64_t loop_now_us(const struct loop *loop)
{
    return loop->now_us;
}

uint64_t loop_elapsed_us(const struct loop *loop)
{
    return loop_clock_us(loop) - loop->now_us;
}

uint64_t loop_now_ms(const struct loop *loop)
{
    return loop->now_us / 1000;
}

void loop_add_event(struct event *event)
{
    static struct log_limit limit;

    if (event_add(event, NULL) != 0) {
        log_limited(LOG_ERROR, &limit, "watch_failed", LOG_INT("fd", event_get_fd(event)),
                    LOG_ERRNO(errno));
    }
}

static unsigned interest_of_events(short what)
{
    return ((what & EV_READ) != 0 ? LOOP_READ : 0u) | ((what & EV_WRITE) != 0 ? LOOP_WRITE : 0u);
}

static void on_io(evutil_socket_t fd, short what, void *arg)
{
    struct loop_io *io = arg;
    struct loop *loop = io->loop;

    loop_note_iteration(loop);
    io->callback(io->arg, interest_of_events(what)); /* may destroy io */
    (void)loop_profile_unit(loop, LOOP_PART_INPUT);
}

struct loop_io *loop_io_create(struct loop *loop, int fd, loop_io_callback callback, void *arg)
{
    struct loop_io *io = mem_alloc(sizeof *io);

    io->loop = loop;
    io->callback = callback;
    io->arg = arg;
    (void)event_assign(&io->event, loop->base, fd, EV_PERSIST, on_io, io);
    return io;
}

int loop_io_fd(const struct loop_io *io)
{
    return io->event.ev_fd;
}

void loop_io_set(struct loop_io *io, unsigned events)
{
    short before = (short)(event_get_events(&io->event) & (EV_READ | EV_WRITE)), after = 0;
    evutil_socket_t fd = event_get_fd(&io->event);
    struct event *scratch = &io->loop->scratch;
    bool changes;

    if ((events & LOOP_READ) != 0) {
        after |= EV_READ;
    }
    if ((events & LOOP_WRITE) != 0) {
        after |= EV_WRITE;
    }
    if (after == before) {
        return;
    }
    /* libevent would remove the descriptor from epoll and add it again: two system calls. A second
     * event that keeps it registered while the first one changes saves one of them. */
    changes = before != 0 && after != 0;
    if (changes) {
        (void)event_assign(scratch, io->loop->base, fd, EV_PERSIST | after, on_io, io);
        loop_add_event(scratch);
    }
    (void)event_del(&io->event);
    (void)event_assign(&io->event, io->loop->base, fd, EV_PERSIST | after, on_io, io);
    if (after != 0) {
        loop_add_event(&io->event);
    }
    if (changes) {
        (void)event_del(scratch);
    }
    loop_outer_watch(io->loop, fd, interest_of_events(before), interest_of_events(after));
}

void loop_io_destroy(struct loop_io **io)
{
    if (!*io) {
        return;
    }
    /* libevent does not touch an event after its callback, so this may be called inside it. */
    loop_outer_watch((*io)->loop, event_get_fd(&(*io)->event),
                     interest_of_events(event_get_events(&(*io)->event)), 0);
    (void)event_del(&(*io)->event);
    free(*io);
    *io = NULL;
}

static void on_event_signal(evutil_socket_t number, short what, void *arg)
{
    struct loop_signal *signal = arg;
    struct loop *loop = signal->loop;

    loop_note_iteration(loop);
    signal->callback(signal->arg); /* may destroy signal */
    (void)loop_profile_unit(loop, LOOP_PART_INPUT);
}

struct loop_signal *loop_signal_create(struct loop *loop, int signal_number, loop_callback callback,
                                       void *arg)
{
    struct loop_signal *signal = mem_alloc(sizeof *signal);

    signal->loop = loop;
    signal->callback = callback;
    signal->arg = arg;
    (void)event_assign(&signal->event, loop->base, signal_number, EV_SIGNAL | EV_PERSIST,
                       on_event_signal, signal);
    loop_add_event(&signal->event);
    return signal;
}

void loop_signal_destroy(struct loop_signal **signal)
{
    if (!*signal) {
        return;
    }
    (void)event_del(&(*signal)->event);
    free(*signal);
    *signal = NULL;
}

static void append_task(struct loop *loop, struct loop_task *head, struct loop_task *task)
{
    if (task->queued) {
        return;
    }
    task->queued = true;
    task->prev = head->prev;
    task->next = head;
    head->prev->next = task;
    head->prev = task;
    loop_outer_wake(loop, 1);
}

void loop_defer(struct loop *loop, enum loop_phase phase, struct loop_task *task)
{
    loop->may_have |= 1u << phase;
    append_task(loop, &loop->phases[phase], task);
}

void loop_defer_next(struct loop *loop, enum loop_phase phase, struct loop_task *task)
{
    loop->may_have_next = true;
    append_task(loop, &loop->next_phases[phase], task);
}

bool loop_share_is_used(const struct loop *loop)
{
    return loop_clock_us(loop) >= loop->profile.last_us + LOOP_SHARE_US;
}

void loop_cancel(struct loop *loop, struct loop_task *task)
{
    if (!task->queued) {
        return;
    }
    task->queued = false;
    task->prev->next = task->next;
    task->next->prev = task->prev;
    task->next = task->prev = NULL;
}
