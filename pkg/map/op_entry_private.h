/* op_entry_private: what follows from the results of operations on entries: for the table of kinds,
 * whose callbacks (map/op.h) these are. */
#ifndef MAP_OP_ENTRY_PRIVATE_H
#define MAP_OP_ENTRY_PRIVATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

struct op;

/* on_accepted */
uint64_t op_entry_opened(struct op *op, uint64_t version, struct bytes body);
uint64_t op_entry_resumed(struct op *op, uint64_t version, struct bytes body);
uint64_t op_entry_updated(struct op *op, uint64_t version, struct bytes body);
uint64_t op_entry_restored(struct op *op, uint64_t version, struct bytes body);
uint64_t op_entry_closed(struct op *op, uint64_t version, struct bytes body);
uint64_t op_entry_orphaned(struct op *op, uint64_t version, struct bytes body);
uint64_t op_entry_reaped(struct op *op, uint64_t version, struct bytes body);
uint64_t op_entry_node_orphaned(struct op *op, uint64_t version, struct bytes body);

/* on_owned */
/* The client's old connection still has its entry: it is asked to release it, until it does. */
void op_entry_drop_owner(struct op *op, struct bytes owner, uint64_t lease_end);
void op_update_owned(struct op *op, struct bytes owner, uint64_t lease_end);
void op_set_owned(struct op *op, struct bytes owner, uint64_t lease_end);
void op_restore_owned(struct op *op, struct bytes owner, uint64_t lease_end);

/* The others, by kind. */
void op_set_sent(struct op *op);
void op_set_crashed(struct op *op, struct bytes owner);
bool op_set_missing(struct op *op);
bool op_set_unjudged(struct op *op);
void op_restore_crashed(struct op *op, struct bytes owner);
bool op_restore_missing(struct op *op);
bool op_restore_undecided(struct op *op);
void op_restore_refused(struct op *op);
bool op_restore_unjudged(struct op *op);
bool op_update_missing(struct op *op);
bool op_update_expired(struct op *op);
bool op_close_missing(struct op *op);
bool op_close_expired(struct op *op);
bool op_orphan_unjudged(struct op *op);
bool op_ended_undecided(struct op *op);
bool op_ended_unjudged(struct op *op);

#endif
