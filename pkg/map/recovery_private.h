/*
 * recovery_private: what Redis may lack of this front-end in a new epoch (entries, and ends of
 * entries), until it is there again.
 *
 *   DONE ──new epoch──► SENDING ──all of it is sent──► SENT ──all of it is judged──► DONE
 *                          ▲── a batch was not judged, or hello was sent again ──┘
 *
 * Once it is DONE, a view that is read has all that this front-end knows.
 */
#ifndef MAP_RECOVERY_PRIVATE_H
#define MAP_RECOVERY_PRIVATE_H

#include <stdbool.h>
#include <stdint.h>

struct partition;

enum recovery_state {
    RECOVERY_DONE,    /* there is nothing to be put back */
    RECOVERY_SENDING, /* something has not been sent yet */
    RECOVERY_SENT     /* the last of it is in the batch last_batch */
};

struct recovery {
    enum recovery_state state;
    uint64_t last_batch;
    uint64_t restore_from_ms; /* restores are not sent before: jitter after a new epoch */
    /* Since the epoch began not all that is owned here has been compared with Redis: it may lack
     * what it knew, and list entries for front-ends that do not have them. */
    bool comparing;
    unsigned stalls; /* map->stalls when all that is owned was last confirmed */
};

/* hello was accepted; recovery_begin_epoch follows when the epoch is a new one. */
void recovery_begin_link(struct partition *partition);
void recovery_begin_epoch(struct partition *partition);
/* In a new epoch, when all that is to be put back is in its lists. */
void recovery_start(struct partition *partition);
bool recovery_may_restore(const struct partition *partition, uint64_t now_ms);
/* What could be sent has been sent. */
void recovery_note_sent(struct partition *partition);
void recovery_batch_judged(struct partition *partition, uint64_t number);
void recovery_batch_returned(struct partition *partition);
void recovery_tick(struct partition *partition);
bool recovery_is_done(const struct partition *partition);
/* Whether Redis may still list entries for front-ends that do not have them. */
bool recovery_is_comparing(const struct partition *partition);
/* Whether a restore may create an entry whose connection has ended: Redis has lost what it knew,
 * and this process has run all the time, so that nobody can have ended the entry meanwhile. */
bool recovery_may_create(const struct partition *partition);

#endif
