/*
 * op_private: operations.
 *
 * An operation (struct op) lives in one list at a time: its partition's queue, a batch under way,
 * or the partition's parked list (waiting for another front-end's lease to decide). It is also in
 * its session's list until its `done` has been called, and in the map's set of pending operations
 * until it has been answered.
 */
#ifndef MAP_OP_PRIVATE_H
#define MAP_OP_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/list.h"
#include "loop/pending.h"
#include "map/op.h"
#include "map/op_type_private.h"
#include "map/session.h"
#include "schema/keys.h"

struct op {
    struct list link;
    struct list in_session;
    struct loop_pending pending; /* in the map's pending_ops, until it is answered */
    const struct op_type *type;
    struct partition *partition;
    struct map_session *session;    /* NULL: it has ended, or there was none */
    struct budget_account *account; /* in which it counts; NULL: none */
    map_done done;
    void *arg;
    uint64_t version;
    uint64_t parked_until_ms; /* 0: was never parked */
    uint64_t retry_ms;        /* parked: when it is sent again */
    uint64_t owner_lease;     /* parked: the end of the owner's lease then */
    char *state;              /* RESUME: what the entry's `resume` must be */
    uint32_t state_len;
    uint32_t counted; /* of the state, in the map's pending_size */
    uint8_t id_len;
    uint8_t result;
    bool is_refused;     /* too much waited; only its answer is still to be delivered */
    bool answered;       /* its result is settled; done may wait for earlier ones */
    bool adds;           /* may give its session one more entry */
    bool sent;           /* in a batch under way */
    bool leave;          /* its session has ended: an entry that it opens is left, not closed */
    bool orphan_first;   /* its entry's front-end (owner) has crashed */
    bool made_of_fields; /* state is a body of fields; of SET, of their changes */
    /* What an entry that it creates has of its client. */
    const char *protocol;
    char *address;
    char *certificate;                 /* NULL: none. Goes with the address */
    char fence[ID_FENCE_LENGTH + 1];   /* "": no session's */
    char owner[NODE_ID_LENGTH + 1];    /* parked, orphan_first: the front-end that has the entry */
    union {                            /* by type */
        char node[NODE_ID_LENGTH + 1]; /* has_node_key: the front-end concerned */
        bool named;                    /* makes_id: the id is its caller's */
        uint64_t since;                /* ENDED: when its entry was opened */
        struct {                       /* UPDATE, CLAIM, CLOSE */
            uint8_t version_kind;      /* enum map_version_kind */
            uint8_t adopt;             /* enum map_adopt */
        } write;
        uint64_t data[OP_DATA_SIZE / sizeof(uint64_t)]; /* a feature's own */
    } of;
    char id[];
};

struct op *op_create(struct partition *partition, enum op_kind kind, struct bytes id);
/* It is another kind of the core's from now on; both have the same in the union. */
void op_change_kind(struct op *op, enum op_kind kind);
/* Before all that is queued. */
void op_enqueue_urgent(struct op *op);
/* The entry that it was to add to its session has been added, or will not be. */
void op_settle_addition(struct op *op);
/* Settles the result; done is called by the op_release that follows. */
void op_answer(struct op *op, enum map_result result, uint64_t version);
/* It leaves its list for good: calls the session's dones that are due, and frees it when nothing
 * needs it any more. */
void op_release(struct op *op);
/* Both, and what waits for the operations of a sweep goes on. */
void op_finish(struct op *op, enum map_result result, uint64_t version);
/* What an entry says of its client, for the kinds that may create one. */
void op_describe(struct op *op, const struct map_session *session);
/* Waits until the owner's lease has decided. */
void op_park(struct op *op, struct bytes owner, uint64_t owner_lease);
void op_unpark(struct op *op);
/* Has waited as long as an owner's lease may decide. */
bool op_has_waited(const struct op *op);
/* It is sent again, before what is queued. */
void op_run_again(struct op *op);
/* The same, after what makes the entry of that crashed front-end an orphan. */
void op_run_behind_orphan(struct op *op, struct bytes owner);
void op_forget_session(struct op *op, bool leave);
/* The set of a map's operations that have not been answered. */
struct loop_pending_set *op_pending_create(struct loop *loop);

#endif
