/*
 * bans: the prefixes of addresses that are banned on all front-ends, as Redis has them.
 *
 * They are stored in one key (docs/redis-keys.md), which trackerctl writes. This copy is read at
 * the start, when a message on the key's channel reports a change, and at an interval, so that
 * expired bans are dropped. While Redis is unreachable the last copy remains in force.
 */
#ifndef MAP_BANS_H
#define MAP_BANS_H

#include <stdint.h>

#include "base/bytes.h"
#include "map/map.h"

struct map_bans;

/* changed: the list differs from the last one. reread_ms: the interval; read at each use. Both
 * outlive the bans. */
struct map_bans *map_bans_create(struct map *map, const int64_t *reread_ms,
                                 void (*changed)(void *arg), void *arg);
void map_bans_destroy(struct map_bans **bans);
/* Those in force, each followed by a line feed, as they are stored in Redis: not checked to be
 * prefixes. Valid until they change. */
struct bytes map_bans_list(const struct map_bans *bans);

#endif
