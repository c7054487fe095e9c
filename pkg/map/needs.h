/*
 * needs: what features need of Redis beside the map itself: commands that a Redis may withhold (an
 * ACL, rename-command) from a front-end that otherwise works.
 *
 * Each that an open listener needs is tried out when the link comes up, and every few seconds: with
 * keys of a name that nobody has, gone within a millisecond. The map does not serve, and is not
 * ready, before all of them were granted once; what is withheld later leaves it ready, and is
 * named.
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

/* An open listener needs it. Before the map's first link is up. */
void map_need(struct map *map, enum map_need need);
/* "secret", "bans", "invitations", "registrations". */
const char *map_need_name(enum map_need need);
/* NULL: it is granted, or nobody needs it; else a static word: "noperm", "other". */
const char *map_need_withheld(const struct map *map, enum map_need need);

#endif
