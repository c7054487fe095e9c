/*
 * fanout: frames for the receivers in a list, in one order for all of them.
 *
 * A frame goes to a few hundred receivers at once, to fewer when it is large; where there are more,
 * the others get it in later event-loop iterations (loop/job.h), and frames that are added
 * meanwhile queue behind it. When much is queued, each frame that is added goes on with a few steps
 * at once. No frame that was added is dropped, and none costs an iteration more than that: so the
 * owner has its senders wait (fanout_wait_us), and refuses what they send when far too much is
 * queued (fanout_refuses).
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
/* How long who sends has to wait before the next frame; 0 while little is queued. */
uint64_t fanout_wait_us(const struct fanout *fanout);
/* Nothing more is to be accepted from senders now. */
bool fanout_refuses(const struct fanout *fanout);
/* Sends all that is queued to this receiver now: before something that has to come after it. */
void fanout_catch_up(struct fanout *fanout, struct list *receiver);
/* Before the receiver is removed from the list. */
void fanout_leave(struct fanout *fanout, const struct list *receiver);

#endif
