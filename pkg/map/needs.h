/*
 * needs: commands that features need of Redis beside those of the map itself, and that a Redis may
 * refuse (ACL, rename-command) to a front-end that works otherwise.
 *
 * Those of open listeners are tried when the link comes up, and every few seconds, on keys that
 * nothing else uses and that expire within a millisecond. The map does not serve, and is not ready,
 * before all were granted once. When one is refused later, the map stays ready and reports it.
 */
#ifndef MAP_NEEDS_H
#define MAP_NEEDS_H

#include <stdbool.h>

#include "map/map.h"

enum map_need {
    MAP_NEED_SECRET,        /* the secret that masters share */
    MAP_NEED_BANS,          /* those in Redis */
    MAP_NEED_INVITATIONS,   /* that wait for their user */
    MAP_NEED_REGISTRATIONS, /* of game servers without a connection */
    MAP_NEED_COUNT
};

/* An open listener needs it. To be called before the map's first link is up. */
void map_need(struct map *map, enum map_need need);
/* "secret", "bans", "invitations", "registrations". */
const char *map_need_name(enum map_need need);
/* NULL: it is granted, or no listener needs it; else why not, static: "noperm", "other". */
const char *map_need_withheld(const struct map *map, enum map_need need);

#endif
