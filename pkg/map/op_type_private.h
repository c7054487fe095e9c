/* op_type_private: the core's kinds of operations, each a row of one table. */
#ifndef MAP_OP_TYPE_PRIVATE_H
#define MAP_OP_TYPE_PRIVATE_H

#include "map/op.h"

enum op_kind {
    OP_OPEN,
    OP_OPEN_ALONE, /* if the user has no other device */
    OP_UPDATE,
    OP_CLAIM,
    OP_RESTORE,
    OP_REFRESH, /* a restore that creates nothing */
    OP_SET,
    OP_RESUME,
    OP_CLOSE,
    OP_ORPHAN,
    OP_ENDED, /* published again to a Redis that came back older: tombstone.c */
    OP_REAP,
    OP_ORPHAN_NODE,
    OP_FORGET_NODE,
    OP_OFFLINE /* its id is a user's */
};
extern const struct op_type op_types[];

#endif
