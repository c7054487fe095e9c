/*
 * fanout: frames for the receivers in a list, in one order for all of them.
 *
 * A frame goes to a few hundred receivers at once, to fewer when it is large; where there are more,
 * the others get it in later event-loop iterations (loop/job.h), and frames that are added
 * meanwhile queue behind it. While it is full, its owner has senders wait; each frame that is added
 * then goes on with a few steps at once. Should far too much be queued nevertheless, the oldest
 * frames are sent at once: nothing is dropped.
 *
 * Frames are numbered. The owner keeps of each receiver the number of the last frame that it has
 * got, or that was added before it came, and sends it none up to that number.
 */
#ifndef LOOP_FANOUT_H
#define LOOP_FANOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/frame.h"
#include "base/list.h"
#include "loop/job.h"

struct fanout_frame {
    struct list link; /* the fanout's */
    struct frame *frame;
    uint64_t number; /* from 1 on */
    unsigned kind;   /* the owner's */
};

/* Sends the frame to a receiver, unless its number is too low for it. It must not remove other
 * receivers than through fanout_leave, nor add frames. */
typedef void (*fanout_send)(void *arg, struct list *receiver, const struct fanout_frame *frame);

/* To be embedded in its owner's struct. */
struct fanout {
    struct loop *loop;
    struct loop_job job;
    struct list *receivers;
    struct list *next; /* receiver of the first frame, or the list's head */
    struct list frames;
    size_t bytes;
    uint64_t number; /* of the last frame */
    fanout_send send;
    void *arg;
};

/* label: as that of a job. */
void fanout_init(struct fanout *fanout, struct loop *loop, struct list *receivers,
                 const char *label, fanout_send send, void *arg);
/* Drops what is queued. */
void fanout_stop(struct fanout *fanout);
/* Takes a reference of its own. */
void fanout_add(struct fanout *fanout, unsigned kind, struct frame *frame);
/* Much is queued: those that send should wait. */
bool fanout_is_full(const struct fanout *fanout);
/* Sends all that is queued to this receiver now: before something that has to come after it. */
void fanout_catch_up(struct fanout *fanout, struct list *receiver);
/* Before the receiver is removed from the list. */
void fanout_leave(struct fanout *fanout, const struct list *receiver);

#endif
