/*
 * follower: a reader of a list that changes: the whole list first, then its changes, as fast as the
 * reader takes them. Tracker pushes, the live stream of the page and the lobby's list are sent so.
 *
 *                 whole list, by chunks             end of the list
 *   BACKLOGGED ──────────────────────► CATCHING_UP ─────────────────► CURRENT
 *       ▲  └─────────────── whole list, at once ───────────────────────►│
 *       │                                  ▲ │                          │
 *       └────── its place was lost ────────│─┘◄── output still waits ───┘
 *
 * What is common to them: a list of entries in the order of their last change (view/view.h has one,
 * the lobby another), for many readers at once. No reader has a queue. One that does not keep up
 * has a place in the list instead; it skips states that were superseded meanwhile (conflation), and
 * gets the next chunk, of bounded size, whenever its output is empty and at most once per
 * event-loop iteration. Changes that a cursor does not see (closed entries) make its owner send the
 * whole list again. What all current readers get is encoded once, by the owner.
 *
 * Whole lists and chunks are sent in LOOP_PHASE_STORE, after the changes of the iteration have been
 * published: so a follower that becomes current does not get the same change twice.
 *
 * What differs is the owner's: what is sent, what a place is (a map_cursor, or the number of the
 * last change that was sent), and what becomes of closed entries. Metadata sync is no follower: its
 * readers get, at ticks, the difference between what they have and what there is now.
 */
#ifndef VIEW_FOLLOWER_H
#define VIEW_FOLLOWER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "loop/loop.h"

struct map_read;

enum follower_state {
    FOLLOWER_OFF,         /* gets nothing, and is in no list */
    FOLLOWER_BACKLOGGED,  /* must be sent the whole list, which is not possible yet: it is not
                             complete, it  lacks what the follower wrote itself, or older output
                             waits
                           */
    FOLLOWER_CATCHING_UP, /* has a place in the list, and gets the next chunk when it can */
    FOLLOWER_CURRENT      /* has been sent everything; gets what each iteration brings */
};
#define FOLLOWER_STATES 4
/* The lists of a follower_list: one for each state, and two for those that are to be sent something
 * as soon as there is time: BACKLOGGED ones that may be able to take the whole list, and
 * CATCHING_UP ones that may be able to take a chunk. So who drains or has been read for is found at
 * once, among any number of others that wait. */
enum follower_lists { FOLLOWER_TO_SERVE = FOLLOWER_STATES, FOLLOWER_TO_ADVANCE };
#define FOLLOWER_LISTS 6

/* Embedded in the reader. */
struct follower {
    struct list link; /* of one of the lists */
    union {
        struct map_read *read; /* BACKLOGGED: set until the view has the follower's own writes */
        void *place;           /* CATCHING_UP: the owner's */
    };
    uint8_t state; /* enum follower_state */
};

struct follower_callbacks {
    /* The list is complete, and not too large to be sent. */
    bool (*is_readable)(void *arg);
    /* Output of an earlier iteration waits. */
    bool (*has_backlog)(const struct follower *follower);
    /*
     * Of a BACKLOGGED one: sends the whole list, and returns FOLLOWER_CURRENT; or takes a place at
     * its beginning, and returns FOLLOWER_CATCHING_UP. FOLLOWER_OFF: it has been stopped meanwhile,
     * and its memory may be freed.
     */
    enum follower_state (*send_whole)(struct follower *follower);
    /* The next chunk. FOLLOWER_CATCHING_UP: there is more; FOLLOWER_CURRENT: there is not;
     * FOLLOWER_BACKLOGGED: its place was lost, or the whole list is due again. */
    enum follower_state (*send_chunk)(struct follower *follower);
    /* To a CURRENT one: what the iteration brought, as it was given to follower_list_publish. */
    void (*send_changes)(struct follower *follower, void *changes);
    /* Takes a place before what the iteration brought. This and the next may be NULL. */
    void (*take_place)(struct follower *follower);
    /* Frees follower->place, when it is not CATCHING_UP any more. */
    void (*free_place)(struct follower *follower);
};

/* Those that follow one list. */
struct follower_list {
    const struct follower_callbacks *callbacks;
    void *arg;
    struct loop *loop;
    struct list followers[FOLLOWER_LISTS]; /* that of FOLLOWER_OFF stays empty */
    struct loop_task serve;                /* sends whole lists */
    struct loop_task advance;              /* sends chunks */
    struct loop_timer *next;               /* when chunks are sent next */
};

void follower_list_init(struct follower_list *list, struct loop *loop,
                        const struct follower_callbacks *callbacks, void *arg);
void follower_list_free(struct follower_list *list);
bool follower_list_is_empty(const struct follower_list *list);
/* Some are CURRENT, so that publishing has an effect. */
bool follower_list_has_current(const struct follower_list *list);
/* Sends the whole list to the BACKLOGGED ones that can take it, later in this iteration, and as far
 * as that has no time left, in the next ones. */
void follower_list_serve(struct follower_list *list);
/* The list has become readable: the same, and chunks go on being sent. */
void follower_list_resume(struct follower_list *list);
/* What the iteration brought, for the CURRENT ones; those that have a backlog start to catch up. */
void follower_list_publish(struct follower_list *list, void *changes);
/* The list is not readable any more: all must be sent the whole of it again. */
void follower_list_suspend(struct follower_list *list);

void follower_init(struct follower *follower);
/* It must be sent the whole list; follower_list_serve does so. */
void follower_wait(struct follower_list *list, struct follower *follower);
/* Sends it the whole list now: in LOOP_PHASE_STORE, with a readable list and without a backlog. */
void follower_restart(struct follower_list *list, struct follower *follower);
/* Its read (follower->read) is done: it may be sent the whole list. */
void follower_reached(struct follower_list *list, struct follower *follower);
/* Its output has been written. */
void follower_drained(struct follower_list *list, struct follower *follower);
void follower_stop(struct follower_list *list, struct follower *follower);

#endif
