/*
 * op: operations, for features: what is asked of a partition's Redis. Operations are judged by the
 * script apply, in their order; each is answered once, and its caller in the order of its session.
 *
 * A kind of operation is a struct op_type, which the core (op_type.c) or a feature has, and a part
 * of the script of the same name. It says how an operation becomes arguments of the script, and
 * what follows from each of the script's answers.
 */
#ifndef MAP_OP_H
#define MAP_OP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "map/session.h"

struct arguments;
struct op;
struct partition;

/* All but name and key may be 0 or NULL. */
struct op_type {
    const char *name;  /* in the script */
    const char *key;   /* what its key begins with, before the id and behind the prefix */
    bool of_entry;     /* its id is an entry's: what of that is unconfirmed is restored before it */
    bool of_sweep;     /* issued by a sweep, which repeats it: it is sent once */
    bool has_node_key; /* its second key is the index of a front-end: data begins with the id */
    bool has_body;     /* an accepted one has a body behind the lines of the reply */
    bool outlives;     /* it is sent again, when it has to be, though its caller was answered */
    bool makes_id; /* its id is a new entry's; may be replaced by another, unless the caller chose
                      it */
    bool is_remembered; /* a tombstone of the entry that it ends exists already */
    bool leaves_orphan; /* an entry that nobody wants any more waits for its client, not closed */
    /* What follows the name in the script's arguments: at most 13 besides those of its fields, of
     * which the texts that are made have at most 192 bytes. NULL: nothing. */
    void (*encode)(struct arguments *to, const struct op *op);
    /* It is being sent. */
    void (*on_sent)(struct op *op);
    /* Redis has done it, with that version. Returns the version that `done` gets. NULL: the same.
     */
    uint64_t (*on_accepted)(struct op *op, uint64_t version, struct bytes body);
    /* A live session of somebody else has the entry. NULL: it waits for that one's lease to end. */
    void (*on_owned)(struct op *op, struct bytes owner, uint64_t lease_end);
    /* The front-end that has the entry has crashed. NULL: the entry is orphaned, and it is sent
     * again. */
    void (*on_crashed)(struct op *op, struct bytes owner);
    /* Its key does not exist. True: the callback has completed the operation. NULL, or false: its
     * caller gets MAP_MISSING. */
    bool (*on_missing)(struct op *op);
    /* It cannot be decided yet; true: as above. */
    bool (*on_undecided)(struct op *op);
    /* There is no room for it, or its key is of another type. */
    void (*on_refused)(struct op *op);
    /* Its caller stops waiting. Returns whether it is to be sent all the same. NULL: it is not. */
    bool (*on_expired)(struct op *op);
    /* It comes back without having been judged. Returns whether it is to be sent again. NULL: when
     * its caller still waits, or it outlives that. */
    bool (*on_unjudged)(struct op *op);
};

/* Bytes of an operation that are its feature's own: op_data. */
#define OP_DATA_SIZE 32

/* The type outlives it. id: copied, at most 255 bytes. */
struct op *op_create_typed(struct partition *partition, const struct op_type *type,
                           struct bytes id);
/* Zero at first, aligned for all types of that size. */
void *op_data(const struct op *op);
struct bytes op_id(const struct op *op);
struct bytes op_state(const struct op *op);
struct partition *op_partition(const struct op *op);
/* What it brings: memory from malloc, which it takes over. It counts in map.max_pending_bytes. */
void op_take_state(struct op *op, void *state, size_t len);
/* The same, a body of fields (schema/fields.h), of which the writer is emptied. */
void op_take_fields(struct op *op, struct writer *body);

/* Enqueues it for a caller. session: in whose order done is called; NULL: of none. With too much
 * waiting it is refused: done gets MAP_REFUSED, and false is returned. done may be NULL. */
bool op_submit(struct op *op, struct map_session *session, map_done done, void *arg);
/* Answers the caller without asking Redis, in the session's order. */
void op_refuse(struct op *op, struct map_session *session, enum map_result result, map_done done,
               void *arg);
/* The session's, enqueued however much waits. */
void op_attach(struct op *op, struct map_session *session, map_done done, void *arg);
void op_enqueue(struct op *op);
/* Of a type that is of_sweep: the next sweep lists nothing before all of these are judged. */
void op_enqueue_of_sweep(struct op *op);

/* Arguments of the script, in order. The text is copied only of numbers. */
void arguments_add(struct arguments *to, struct bytes value);
void arguments_add_number(struct arguments *to, uint64_t number);
/* The fields of a body that have values, each a name and a value. */
void arguments_add_fields(struct arguments *to, struct bytes body);

#endif
