/* op_type_private: the kinds of operations, each a row of one table. */
#ifndef MAP_OP_TYPE_PRIVATE_H
#define MAP_OP_TYPE_PRIVATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

struct arguments;
struct op;
struct scratch;

struct op_type {
    const char *name;  /* in apply.lua */
    const char *key;   /* the kind of the key that it is about */
    bool of_room;      /* its id is a room's */
    bool of_sweep;     /* asked for by a sweep, not by a session */
    bool has_node_key; /* its second key is that front-end's index */
    /* What follows the name; NULL: nothing. */
    void (*encode)(struct arguments *to, struct scratch *scratch, const struct op *op);
    /* Redis has done it, with that version; words and bodies: what else the reply says. The version
     * that `done` gets is returned. NULL: nothing follows from it here. */
    uint64_t (*on_accepted)(struct op *op, uint64_t version, struct bytes words,
                            struct cursor *bodies);
    /* A live session of somebody else has the entry. NULL: it waits for that one's lease to end. */
    void (*on_owned)(struct op *op, struct bytes owner, uint64_t lease_end);
};
const struct op_type *op_type_of(const struct op *op);

/* result.c: for the table. */
uint64_t result_accept_owned(struct op *op, uint64_t version, struct bytes words,
                             struct cursor *bodies);
uint64_t result_accept_update(struct op *op, uint64_t version, struct bytes words,
                              struct cursor *bodies);
uint64_t result_accept_restore(struct op *op, uint64_t version, struct bytes words,
                               struct cursor *bodies);
uint64_t result_accept_resume(struct op *op, uint64_t version, struct bytes words,
                              struct cursor *bodies);
uint64_t result_accept_close(struct op *op, uint64_t version, struct bytes words,
                             struct cursor *bodies);
uint64_t result_accept_orphan(struct op *op, uint64_t version, struct bytes words,
                              struct cursor *bodies);
uint64_t result_accept_reap(struct op *op, uint64_t version, struct bytes words,
                            struct cursor *bodies);
uint64_t result_accept_orphan_node(struct op *op, uint64_t version, struct bytes words,
                                   struct cursor *bodies);
uint64_t result_accept_register(struct op *op, uint64_t version, struct bytes words,
                                struct cursor *bodies);
uint64_t result_accept_probe(struct op *op, uint64_t version, struct bytes words,
                             struct cursor *bodies);
uint64_t result_accept_probe_soon(struct op *op, uint64_t version, struct bytes words,
                                  struct cursor *bodies);
void result_restore_refused(struct op *op, struct bytes owner, uint64_t lease_end);
void result_write_refused(struct op *op, struct bytes owner, uint64_t lease_end);
void result_drop_owner(struct op *op, struct bytes owner, uint64_t lease_end);

#endif
