/*
 * pending: a list in the order of the deadlines, nearly always appended to, and one timer. The
 * timer is not moved when answers come: it fires when the first deadline it was set for has
 * passed, and is then set for the next one. So an owner whose answers come in time costs at most
 * one timer event per deadline's length.
 */
#include "loop/pending.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"

#define WAITING (-2) /* the result while it waits */

struct loop_pending_set {
    struct loop *loop;
    enum loop_phase phase;
    loop_pending_callback complete;
    void *arg;
    struct list waiting; /* by due_ms */
    struct list settled; /* in the order in which they were */
    size_t count;
    uint64_t size;
    struct loop_task task;
    struct loop_timer *timer;
    uint64_t timer_ms; /* what it runs for */
};

static void leave_pending_set(struct loop_pending *pending)
{
    list_remove(&pending->link);
    if (pending->result == WAITING) {
        pending->set->count--;
        pending->set->size -= pending->size;
    }
}

static void complete_pending(struct loop_pending *pending, int result)
{
    struct loop_pending_set *set = pending->set;

    leave_pending_set(pending);
    pending->set = NULL;
    set->complete(set->arg, pending, result); /* may free it */
}

static void complete_settled(void *arg)
{
    struct loop_pending_set *set = arg;

    while (!list_is_empty(&set->settled)) {
        struct loop_pending *pending = list_entry(set->settled.next, struct loop_pending, link);

        complete_pending(pending, pending->result);
    }
}

static void start_pending_timer(struct loop_pending_set *set)
{
    const struct loop_pending *first = loop_pending_set_first(set);
    uint64_t now = loop_now_ms(set->loop);

    if (!first || (loop_timer_is_running(set->timer) && set->timer_ms <= first->due_ms)) {
        return;
    }
    set->timer_ms = first->due_ms;
    loop_timer_start(set->timer, first->due_ms > now ? first->due_ms - now : 0);
}

static void finish_pending(struct loop_pending *pending, int result)
{
    struct loop_pending_set *set = pending->set;

    leave_pending_set(pending);
    pending->result = result;
    list_append(&set->settled, &pending->link);
    loop_defer(set->loop, set->phase, &set->task);
}

/* Where settled answers still wait for the set's phase, those that expire follow them there. */
static void expire_pending(void *arg)
{
    struct loop_pending_set *set = arg;
    uint64_t now = loop_now_ms(set->loop);
    void (*expire)(struct loop_pending * pending, int result) =
        list_is_empty(&set->settled) ? complete_pending : finish_pending;
    struct loop_pending *first;

    while ((first = loop_pending_set_first(set)) && first->due_ms <= now) {
        expire(first, LOOP_PENDING_EXPIRED);
    }
    start_pending_timer(set);
}

struct loop_pending_set *loop_pending_set_create(struct loop *loop, enum loop_phase phase,
                                                 loop_pending_callback complete, void *arg)
{
    struct loop_pending_set *set = mem_zalloc(1, sizeof *set);

    set->loop = loop;
    set->phase = phase;
    set->complete = complete;
    set->arg = arg;
    list_init(&set->waiting);
    list_init(&set->settled);
    set->task = (struct loop_task){.callback = complete_settled, .arg = set};
    set->timer = loop_timer_create(loop, expire_pending, set);
    return set;
}

static void cancel_all(struct list *list)
{
    while (!list_is_empty(list)) {
        loop_pending_cancel(list_entry(list->next, struct loop_pending, link));
    }
}

void loop_pending_set_destroy(struct loop_pending_set **set)
{
    struct loop_pending_set *dying = *set;

    *set = NULL;
    if (!dying) {
        return;
    }
    cancel_all(&dying->waiting);
    cancel_all(&dying->settled);
    loop_cancel(dying->loop, &dying->task);
    loop_timer_destroy(&dying->timer);
    free(dying);
}

size_t loop_pending_set_count(const struct loop_pending_set *set)
{
    return set->count;
}

uint64_t loop_pending_set_size(const struct loop_pending_set *set)
{
    return set->size;
}

struct loop_pending *loop_pending_set_first(const struct loop_pending_set *set)
{
    return list_is_empty(&set->waiting) ? NULL
                                        : list_entry(set->waiting.next, struct loop_pending, link);
}

void loop_pending_init(struct loop_pending *pending)
{
    *pending = (struct loop_pending){.set = NULL};
    list_init(&pending->link);
}

/* Behind the last one that is due no later: nearly always the last of all. */
static void insert_by_deadline(struct loop_pending_set *set, struct loop_pending *pending)
{
    struct list *position = &set->waiting;

    while (position->prev != &set->waiting &&
           list_entry(position->prev, struct loop_pending, link)->due_ms > pending->due_ms) {
        position = position->prev;
    }
    list_insert_before(position, &pending->link);
}

void loop_pending_begin(struct loop_pending_set *set, struct loop_pending *pending,
                        uint64_t delay_ms, uint32_t size)
{
    uint64_t now = loop_now_ms(set->loop);

    assert(!pending->set);
    pending->set = set;
    /* A callback that begins another one with no delay must not keep the timer's loop running. */
    pending->due_ms = now + (delay_ms > 0 ? delay_ms : 1);
    pending->size = size;
    pending->result = WAITING;
    set->count++;
    set->size += size;
    insert_by_deadline(set, pending);
    start_pending_timer(set);
}

void loop_pending_settle(struct loop_pending *pending, int result)
{
    assert(result >= 0);
    if (loop_pending_is_waiting(pending)) {
        finish_pending(pending, result);
    }
}

void loop_pending_cancel(struct loop_pending *pending)
{
    if (pending->set) {
        leave_pending_set(pending);
        pending->set = NULL;
    }
}

bool loop_pending_is_waiting(const struct loop_pending *pending)
{
    return pending->set && pending->result == WAITING;
}

uint64_t loop_pending_due_ms(const struct loop_pending *pending)
{
    return loop_pending_is_waiting(pending) ? pending->due_ms : 0;
}
