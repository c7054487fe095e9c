/*
 * relay_private: messages between front-ends (docs/redis-keys.md describes their format):
 *
 *   relay, relayed   relay.c      packets to an id, and their acknowledgements
 *
 * and, on a channel of each space, packets for all of its clients (broadcast.c). lookup.c finds the
 * front-ends of ids that the view does not have.
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
    struct list batches;    /* struct lookup_batch: of all lookups */
    struct loop_task send_lookups;
    struct ack *acks; /* by front-end, sent at the end of the event-loop iteration */
    struct loop_task send_acks;
    struct map_packet *received;      /* the last from another front-end: often for several here */
    struct loop_timer *forget_packet; /* after it */
    size_t space_count;
    struct relay_space spaces[]; /* in the map's order */
};

/* relay.c */
struct relays *relays_of(const struct map *map);
/* To a session here, or to the front-end with that id. */
void relay_forward(struct map_space *space, struct bytes node, uint64_t number, struct bytes to,
                   struct map_packet *packet);

/* lookup.c */
struct lookup;
void relay_lookups_init(struct relays *relays);
void relay_lookups_free(struct relays *relays);
/* The receiver's lookup in progress; NULL: there is none. */
struct lookup *relay_lookup_find(struct map_space *space, struct bytes id);
/* Queues a packet behind the others for the same receiver; it is forwarded, or its wait settled,
 * when the receiver's front-end is known. When Redis does not answer it is left to its deadline. */
void relay_lookup_add(struct lookup *lookup, uint64_t number, struct map_packet *packet);
/* Before the receivers of another packet are looked up. */
void relay_lookups_send_full(struct relays *relays);
/* Begins a lookup: it is sent at the end of the event-loop iteration, with others. */
struct lookup *relay_lookup_begin(struct map_space *space, struct bytes id);

/* broadcast.c */
void relay_broadcast_free(struct relay_space *space);

#endif
