/*
 * bans: the prefixes of addresses that are banned on all front-ends, as Redis has them.
 *
 * They stand in one key (docs/redis-keys.md), written by trackerctl. This copy is read when it is
 * made, when a word on the key's channel says that it has changed, and every so often, by which
 * bans whose time is over go too. While Redis is away the last copy stays.
 */
#ifndef MAP_BANS_H
#define MAP_BANS_H

#include <stdint.h>

#include "base/bytes.h"
#include "map/map.h"

struct map_bans;

/* changed: they are others than before. reread_ms: read at each use. Both outlive it. */
struct map_bans *map_bans_create(struct map *map, const int64_t *reread_ms,
                                 void (*changed)(void *arg), void *arg);
void map_bans_destroy(struct map_bans **bans);
/* Those in force, each with a line feed: as they stand in Redis, which may be no prefixes. Valid
 * until they change. */
struct bytes map_bans_list(const struct map_bans *bans);

#endif
