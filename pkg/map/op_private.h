/*
 * op_private: operations.
 *
 * An operation (struct op) lives in one list at a time: its partition's queue, a batch under way,
 * or the partition's parked list (waiting for another front-end's lease to decide). It is also in
 * its session's list until its `done` has been called, and in the map's list of deadlines until it
 * has been answered.
 */
#ifndef MAP_OP_PRIVATE_H
#define MAP_OP_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/list.h"
#include "map/session.h"
#include "schema/keys.h"

struct partition;

enum op_kind {
    OP_OPEN,
    OP_UPDATE,
    OP_CLAIM,
    OP_RESTORE,
    OP_SET,
    OP_RESUME,
    OP_CLOSE,
    OP_ORPHAN,
    OP_ENDED, /* said again to a Redis that came back older: tombstone.c */
    OP_REAP,
    OP_ORPHAN_NODE,
    OP_FORGET_NODE,
    OP_OFFLINE,  /* its id is a user's */
    OP_REGISTER, /* these on entries without a connection: registry.c */
    OP_UNREGISTER,
    OP_PROBE,
    OP_PROBE_SOON,
    OP_JOIN, /* these on rooms: room_op.c */
    OP_LEAVE,
    OP_EVICT_MEMBER, /* of a member whose front-end is dead */
    OP_PUBLISH
};

struct op {
    struct list link;
    struct list in_session;
    struct list in_deadlines;
    struct partition *partition;
    struct map_session *session; /* NULL: it has ended, or there was none */
    map_done done;
    void *arg;
    uint64_t deadline_ms;
    uint64_t parked_until_ms; /* 0: was never parked */
    uint64_t version;
    uint64_t since;       /* ENDED: when its entry was opened */
    uint64_t owner_lease; /* parked: the owner's lease end when it was parked */
    char *state;          /* RESUME: what the entry's `resume` must be */
    uint32_t state_len;
    uint32_t counted; /* of the state, in the map's pending_size */
    uint8_t kind;
    uint8_t version_kind;
    uint8_t adopt;
    uint8_t id_len;
    uint8_t member_len; /* on rooms: of the member's id, with which the state begins */
    bool answered;      /* its result is settled; done may wait for earlier ones */
    bool adds;          /* may give its session one more entry */
    bool sent;          /* in a batch under way */
    bool
        leave; /* its session has ended: an entry that it opens is left to its client, not closed */
    bool orphan_first;   /* its entry's front-end (other) is dead */
    bool made_of_fields; /* state is a body of fields; of SET, of their changes */
    bool named;          /* OPEN: the id is its caller's: no other one will do */
    bool alone;          /* OPEN: the user may have no other device */
    bool restores;       /* REGISTER: only if there is no such entry. Its version is `first` */
    bool only_there;     /* RESTORE: only if Redis has it as this session's; nothing is created */
    uint8_t result;
    uint64_t retry_ms;    /* parked: when to ask again */
    const char *protocol; /* what an entry that it creates says of its client */
    char *address;
    char *certificate; /* of its client; NULL: none. Goes with the address */
    char fence[ID_FENCE_LENGTH + 1];
    char other[NODE_ID_LENGTH + 1]; /* of ORPHAN_NODE, FORGET_NODE, orphan_first */
    char id[];
};

struct op *op_create(struct partition *partition, enum op_kind kind, struct bytes id);
/* For a session's caller: joins the session's list and the deadlines. */
void op_attach(struct op *op, struct map_session *session, map_done done, void *arg);
/* For a caller without a session: joins the deadlines. */
void op_attach_alone(struct op *op, map_done done, void *arg);
/* With it more waits, or is held in memory, than allowed: it is to be refused. */
bool op_is_too_much(const struct op *op);
void op_enqueue(struct op *op);
/* Before all that is queued. */
void op_enqueue_urgent(struct op *op);
/* Settles the result; done is called by the op_release that follows. */
void op_answer(struct op *op, enum map_result result, uint64_t version);
/* It leaves its list for good: calls the session's dones that are due, and frees it when nothing
 * needs it any more. */
void op_release(struct op *op);
/* What an entry says of its client, for the kinds that may create one. */
void op_describe(struct op *op, const struct map_session *session);
struct bytes op_state(const struct op *op);
/* Asked for by a sweep, not by a session. */
bool op_is_of_sweep(const struct op *op);
/* Asked for by the audit: for an entry that no session here owns. */
bool op_is_of_audit(const struct op *op);
/* Waits until the owner's lease has decided. */
void op_park(struct op *op, struct bytes owner, uint64_t owner_lease);
void op_unpark(struct op *op);
void op_forget_session(struct op *op, bool leave);
void op_check_deadlines(void *map);

#endif
