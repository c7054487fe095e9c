/* registry_private: registrations, for the sweeps, results and views. */
#ifndef MAP_REGISTRY_PRIVATE_H
#define MAP_REGISTRY_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/bytes.h"

struct map_space;
struct partition;

bool registry_has_prober(const struct map_space *space);
/* A sweep has found its time come. */
void registry_enqueue_probe(struct partition *partition, struct bytes id);
/* This front-end is to ask it now. */
void registry_probe(struct map_space *space, struct bytes id, unsigned probe);
/* The view has been read in a new epoch: entries that it had and Redis has not. */
void registry_restore(struct map_space *space, const struct bytes *ids, size_t count);
/* registry_due.c */
/* It is due one probe interval from now: it is judged then, and not only by the next sweep. again:
 * it has just been judged, so that an earlier time is past. */
void registry_expect_due(struct partition *partition, struct bytes id, bool again);
void registry_forget_due(struct map_space *space);

void registry_free(struct map_space *space);

#endif
