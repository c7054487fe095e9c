/*
 * owned_private: the entries of this front-end's own sessions.
 *
 *   CONFIRMED ──new link, new epoch, refusal──► UNCONFIRMED ──batch──► RESTORING ──► CONFIRMED
 *                                                    ▲── not judged, or refused ──┘
 *
 * Only owned.c changes the phase.
 */
#ifndef MAP_OWNED_PRIVATE_H
#define MAP_OWNED_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/hash.h"
#include "base/list.h"
#include "schema/fields.h"

struct map_session;
struct op;
struct partition;

enum owned_phase {
    OWNED_CONFIRMED,   /* Redis has said that it is ours; in a renewal list */
    OWNED_UNCONFIRMED, /* to be compared with Redis; in the unconfirmed list */
    OWNED_RESTORING    /* its restore is under way; in no list */
};

/* What an entry made of fields has instead of a state. */
struct owned_fields {
    struct writer body; /* as they are wanted: schema/fields.h */
    struct op *set;     /* the changes that wait in the queue, unsent; NULL: none */
};

/* An entry that a session of this front-end owns. */
struct owned {
    UT_hash_handle hh; /* by id, in its partition */
    struct map_session *session;
    struct list in_session;
    struct list link;            /* by phase */
    uint64_t due_ms;             /* of its renewal; UNCONFIRMED: not restored before */
    uint64_t version;            /* that Redis must have: the last that was accepted or kept */
    uint64_t wanted;             /* the last requested; later relative versions count from it */
    struct owned_fields *fields; /* NULL: it has a state */
    uint32_t state_len;
    uint32_t capacity; /* for the state */
    uint32_t left_ms;  /* CONFIRMED: what is left of its TTL in Redis at due_ms */
    /* Since when another front-end has seemed to own it: the low bits of the loop's clock; 0: none
     * does. */
    uint32_t contested_at;
    uint32_t round; /* its partition's, when the phase was set: another one means UNCONFIRMED */
    uint8_t phase;
    uint8_t id_len;
    char id[]; /* and behind it the state: one block of memory for each entry */
};

/* NULL: no session here owns it. Its phase is that of the partition's round. May release its set
 * that waits in the queue. */
struct owned *owned_find(struct partition *partition, struct bytes id);
/* The same, of an entry that was found in another way. */
void owned_join_round(struct partition *partition, struct owned *owned);
/* The first that is to be restored; NULL: none is, or none can be yet. */
struct owned *owned_first_due(struct partition *partition, uint64_t now_ms);
/* With room for a state of that length, which is empty yet. */
struct owned *owned_create(struct map_session *session, struct partition *partition,
                           struct bytes id, size_t state_len);
/* The entry may move to another place in memory, which is returned. */
struct owned *owned_set_state(struct partition *partition, struct owned *owned, uint64_t version,
                              struct bytes state);
/* It is made of these fields from now on. */
void owned_take_fields(struct owned *owned, struct bytes body);
/* What differs becomes the next version, and is sent when it can be sent. */
void owned_change_fields(struct partition *partition, struct owned *owned,
                         const struct map_field *changes, size_t count);
/* The set operation leaves the queue: it is sent, or dropped. */
void owned_forget_set(struct partition *partition, const struct op *set);
void owned_confirm(struct partition *partition, struct owned *owned);
void owned_unconfirm(struct partition *partition, struct owned *owned);
/* It cannot be restored for now: UNCONFIRMED, and tried again after a while. */
void owned_restore_later(struct partition *partition, struct owned *owned);
/* The same, because another front-end has it, or seems to. False when that has lasted too long:
 * nothing has been done, and the entry is that front-end's. */
bool owned_contest(struct partition *partition, struct owned *owned)
    __attribute__((warn_unused_result));
/* Begins a round, and visits no entry. */
void owned_unconfirm_all(struct partition *partition);
/* Takes it from its session and frees it. */
void owned_destroy(struct partition *partition, struct owned *owned);
/* Its restore, to be sent before anything else of it. */
struct op *owned_make_restore(struct partition *partition, struct owned *owned);
/* Whether all entries of the partition are confirmed. */
bool owned_is_settled(const struct partition *partition);
/* owned_audit.c */
void owned_audit(struct partition *partition);

#endif
