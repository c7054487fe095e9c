/*
 * relay_private: messages between front-ends (docs/redis-keys.md describes their format):
 *
 *   relay, relayed   relay.c      packets to an id, and their acknowledgements
 *
 * and, on a channel of each space, packets for all of its clients (broadcast.c).
 */
#ifndef RELAY_RELAY_PRIVATE_H
#define RELAY_RELAY_PRIVATE_H

#include "base/hash.h"
#include "map/feature.h"
#include "redis/channel.h"
#include "relay/relay.h"
#include "schema/keys.h"

struct relay_space {
    struct list listeners;             /* struct relay_listener */
    struct relay_broadcast *broadcast; /* NULL while no listener wants them */
};

struct relays {
    struct map *map;
    struct lookup *lookups; /* receivers whose front-end is being looked up, by key */
    struct ack *acks;       /* by front-end, sent at the end of the event-loop iteration */
    struct loop_task send_acks;
    size_t space_count;
    struct relay_space spaces[]; /* in the map's order */
};

/* relay.c */
struct relays *relays_of(const struct map *map);

/* broadcast.c */
void relay_broadcast_free(struct relay_space *space);

#endif
