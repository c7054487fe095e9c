/* tombstone_private: ends of entries, remembered for a Redis that comes back older. */
#ifndef MAP_TOMBSTONE_PRIVATE_H
#define MAP_TOMBSTONE_PRIVATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/list.h"

struct op;
struct partition;
struct tombstone;

/* How many ends of a partition are looked at in one event-loop iteration. */
#define TOMBSTONE_VISITS 1000

/* Each end is in one of the four lists. */
struct tombstones {
    struct tombstone *table; /* by id, in order of age */
    struct list idle;        /* struct tombstone: under way, or not to be repeated in this epoch */
    struct list due;         /* struct tombstone: to be repeated now */
    struct list soon;        /* struct tombstone: repeated for the first time, each at its due_ms */
    struct list later;       /* the same, after longer */
    uint64_t until_ms;       /* what cannot be decided is repeated until then */
    uint64_t iteration;      /* of the loop, in which `visits` is counted */
    unsigned visits;
};

void tombstones_init(struct tombstones *tombstones);
void tombstones_free(struct partition *partition);
/* An entry has ended: when it was opened, its last version and its fence. */
void tombstone_remember(struct partition *partition, struct bytes id, uint64_t since,
                        uint64_t version, struct bytes fence);
/* A session here owns the id again. */
void tombstone_forget(struct partition *partition, struct bytes id);
/* A new epoch has begun: all are to be repeated. Visits none: each is looked at when it comes
 * first. */
void tombstones_repeat(struct partition *partition);
/* Nothing else of this front-end may be sent as long as one is due. */
bool tombstones_are_due(const struct partition *partition);
/* The operation that repeats the next one that is due. NULL: none is, or those that are go on in
 * the next iteration. */
struct op *tombstone_next(struct partition *partition);
/* What tombstone_next returned has not been judged: it is due again. */
void tombstone_requeue(struct partition *partition, struct bytes id);
/* It cannot be decided yet: it is repeated later. */
void tombstone_defer(struct partition *partition, struct bytes id);
void tombstones_tick(struct partition *partition, uint64_t now_ms);

#endif
