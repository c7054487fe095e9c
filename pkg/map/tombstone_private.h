/* tombstone_private: ends of entries, remembered for a Redis that comes back older. */
#ifndef MAP_TOMBSTONE_PRIVATE_H
#define MAP_TOMBSTONE_PRIVATE_H

#include <stdint.h>

#include "base/bytes.h"
#include "base/list.h"

struct op;
struct partition;
struct tombstone;

struct tombstones {
    struct tombstone *table; /* by id, in order of age */
    struct list due;         /* struct tombstone: to be repeated now */
    struct list soon;        /* struct tombstone: repeated for the first time, each at its due_ms */
    struct list later;       /* the same, after longer */
    uint64_t until_ms;       /* what cannot be decided is repeated until then */
};

void tombstones_init(struct tombstones *tombstones);
void tombstones_free(struct partition *partition);
/* An entry has ended: when it was opened, its last version and its fence. */
void tombstone_remember(struct partition *partition, struct bytes id, uint64_t since,
                        uint64_t version, struct bytes fence);
/* A session here owns the id again. */
void tombstone_forget(struct partition *partition, struct bytes id);
/* A new epoch has begun: all are to be repeated. */
void tombstones_repeat(struct partition *partition);
/* The operation that repeats the next one that is due; NULL: none is. */
struct op *tombstone_next(struct partition *partition);
/* What tombstone_next returned has not been judged: it is due again. */
void tombstone_requeue(struct partition *partition, struct bytes id);
/* It cannot be decided yet: it is repeated later. */
void tombstone_defer(struct partition *partition, struct bytes id);
void tombstones_tick(struct partition *partition, uint64_t now_ms);

#endif
