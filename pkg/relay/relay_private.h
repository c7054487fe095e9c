/*
 * relay_private: packets from one front-end to another (docs/redis-keys.md has the forms):
 *
 *   relay, relayed   relay.c      packets to an id, and what became of them
 *
 * and, on a channel of each space, packets for everybody (everyone.c).
 */
#ifndef RELAY_RELAY_PRIVATE_H
#define RELAY_RELAY_PRIVATE_H

#include "base/hash.h"
#include "map/feature.h"
#include "redis/channel.h"
#include "relay/relay.h"
#include "schema/keys.h"

struct relay_space {
    struct list listeners;     /* struct map_listener */
    struct everyone *everyone; /* NULL while nobody listens to it */
};

struct relays {
    struct map *map;
    struct lookup *lookups; /* receivers whose front-end is being looked for, by key */
    struct ack *acks;       /* by front-end, to be sent at the end of the turn */
    struct loop_task send_acks;
    size_t space_count;
    struct relay_space spaces[]; /* in the map's order */
};

/* relay.c */
struct relays *relays_of(const struct map *map);

/* everyone.c */
void everyone_free(struct relay_space *space);

#endif
