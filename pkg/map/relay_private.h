/*
 * relay_private: what goes from one front-end to another (docs/redis-keys.md has the forms):
 *
 *   relay, relayed   relay.c      packets to an id, and what became of them
 *   drop             errand.c     a device of a user who has come elsewhere
 *   invited          invite.c     an invitation for a user who is there
 *
 * and, on a channel of each space, packets for everybody (everyone.c).
 */
#ifndef MAP_RELAY_PRIVATE_H
#define MAP_RELAY_PRIVATE_H

#include "map/relay.h"
#include "map/wait_private.h"
#include "redis/channel.h"

struct relays {
    struct map *map;
    struct lookup *lookups;  /* receivers whose front-end is being looked for, by key */
    struct ack *acks;        /* by front-end, to be sent at the end of the turn */
    struct list invitations; /* struct taking */
    struct loop_timer *take; /* runs while Redis has refused one of these */
    struct loop_task send_acks;
};

struct relays *relays_create(struct map *map);
void relays_destroy(struct relays **relays);
void relays_link_up(struct relays *relays);

/* relay.c */
/* Publishes on the front-end's channel. A number that is not 0 is settled when nobody hears it. */
void relay_publish(struct map *map, struct bytes node, struct bytes message, uint64_t number);
/* As map_relay; the wait has begun. */
void relay_send(struct map_space *space, uint64_t number, struct bytes from, struct bytes to,
                struct bytes packet);
struct map_space *relay_space(struct map *map, struct bytes name);

/* errand.c */
/* Tells the front-ends of the user's devices: what to tell of each stands in the errand. */
struct errand {
    struct map_space *space;
    size_t count; /* devices whose front-end is being looked for, and 1 while they are told */
    struct writer nodes; /* names that have been told, each NODE_ID_LENGTH long */
    struct bytes user;
    struct bytes invitation; /* as kept in Redis; none: the older devices are dropped */
    struct writer keep;      /* the device that is not */
    uint64_t since;          /* when it was opened, ms */
    uint8_t text[];          /* user and invitation */
};
struct errand *errand_create(struct map_space *space, struct bytes user, struct bytes invitation);
void errand_run(struct errand *errand, const struct redis_reply *ids);
/* The message of another front-end: "<space> <id>" */
void errand_drop(struct map *map, struct bytes rest);

/* invite.c */
/* Tells the listeners here. */
void invite_tell(struct map_space *space, struct bytes user, struct bytes invitation);
/* The message of another front-end: "<space> <userlen> <len>\n" user invitation */
bool invite_message(struct map *map, struct bytes rest);
/* Those that got no answer ask again, when the link is up. */
void invites_ask_again(struct relays *relays);
void invites_free(struct relays *relays);

/* everyone.c */
void everyone_free(struct map_space *space);

#endif
