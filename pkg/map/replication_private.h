/*
 * replication: with redis.min_replicas, a client's write is acknowledged when so many replicas have
 * acknowledged it (WAIT).
 *
 * A batch's results count at once, for the map: the write has happened. Only the answers wait here,
 * for one WAIT that follows the batches of an event-loop iteration. WAIT makes Redis defer the
 * later commands of the link, hence there is one at a time, with a part of redis.timeout as its
 * own: with replicas that do not acknowledge, a command is answered later by that at most.
 */
#ifndef MAP_REPLICATION_PRIVATE_H
#define MAP_REPLICATION_PRIVATE_H

#include <stdbool.h>
#include <stdint.h>

struct map;
struct op;
struct replication;

struct replication *replication_create(struct map *map);
/* Releases the operations that still wait. */
void replication_destroy(struct replication **replication);
/* The operation has been accepted with that version: whether its answer waits. If so, it is
 * answered and released from here. */
bool replication_hold(struct replication *replication, struct op *op, uint64_t version)
    __attribute__((warn_unused_result));

#endif
