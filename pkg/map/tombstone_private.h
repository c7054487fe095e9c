/* tombstone_private: remembered ends of entries. */
#ifndef MAP_TOMBSTONE_PRIVATE_H
#define MAP_TOMBSTONE_PRIVATE_H

#include <stdint.h>

#include "base/bytes.h"

struct op;
struct partition;

/* An entry has ended: when it was opened, its last version and its fence. */
void tombstone_remember(struct partition *partition, struct bytes id, uint64_t since,
                        uint64_t version, struct bytes fence);
/* Somebody here has the id again. */
void tombstone_forget(struct partition *partition, struct bytes id);
/* A new epoch has begun: all are to be said again. */
void tombstones_repeat(struct partition *partition);
/* The next to be said; NULL: there is none. */
struct op *tombstone_next(struct partition *partition);
/* What tombstone_next made was not judged; or cannot be decided yet. */
void tombstone_unsaid(struct partition *partition, struct bytes id);
void tombstone_waits(struct partition *partition, struct bytes id);
void tombstones_tick(struct partition *partition, uint64_t now_ms);
void tombstones_free(struct partition *partition);

#endif
