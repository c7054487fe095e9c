/*
 * pending: answers that somebody waits for, each until an exact deadline.
 *
 * An owner has one set, with one timer. A pending answer is embedded in what the owner keeps
 * for it; no memory is allocated. It is completed exactly once, by the set's callback: with the
 * result it was settled with, or with LOOP_PENDING_EXPIRED at its deadline. The callback never runs
 * within the call that began or settled the answer; answers that were settled complete before
 * those that expire in the same event-loop iteration. One that is cancelled is never completed.
 */
#ifndef LOOP_PENDING_H
#define LOOP_PENDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "loop/loop.h"

struct loop_pending_set;

#define LOOP_PENDING_EXPIRED (-1)

/* To be set up by loop_pending_init. Its members belong to the module. */
struct loop_pending {
    struct list link; /* the set's: waiting, by due_ms, or settled */
    struct loop_pending_set *set;
    uint64_t due_ms;
    uint32_t size;
    int result; /* once it is settled */
};

/*
 * Completes an answer that is not in the set any more: it may be freed, or begun again. The
 * callback may begin, settle and cancel any other; it may not destroy the set.
 */
typedef void (*loop_pending_callback)(void *arg, struct loop_pending *pending, int result);

/* Settled answers complete in the event-loop phase `phase`. */
struct loop_pending_set *loop_pending_set_create(struct loop *loop, enum loop_phase phase,
                                                 loop_pending_callback complete, void *arg);
/* What is still pending is cancelled. */
void loop_pending_set_destroy(struct loop_pending_set **set);
/* Of those that wait: how many, and the sum of their sizes. */
size_t loop_pending_set_count(const struct loop_pending_set *set);
uint64_t loop_pending_set_size(const struct loop_pending_set *set);
/* The one that is due first; NULL when none waits. For owners that cancel all of theirs. */
struct loop_pending *loop_pending_set_first(const struct loop_pending_set *set);

void loop_pending_init(struct loop_pending *pending);
/* Waits for at most delay_ms, and at least until the next millisecond. size, in bytes, only counts
 * in loop_pending_set_size. Not to be called for one that is pending. */
void loop_pending_begin(struct loop_pending_set *set, struct loop_pending *pending,
                        uint64_t delay_ms, uint32_t size);
/* result: not negative. Does nothing when it does not wait any more. */
void loop_pending_settle(struct loop_pending *pending, int result);
/* Takes it back, whether it waits or is settled; otherwise does nothing. */
void loop_pending_cancel(struct loop_pending *pending);
/* Neither settled, nor completed, nor cancelled. */
bool loop_pending_is_waiting(const struct loop_pending *pending);
/* Its deadline on the loop's clock, ms; 0 when it does not wait. */
uint64_t loop_pending_due_ms(const struct loop_pending *pending);

#endif
