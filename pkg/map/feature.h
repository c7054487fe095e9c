/*
 * feature: what is built on the core of the map, as packets between clients, or presence. The core
 * calls no feature by name: each registers a table of callbacks, and calls the core by the
 * functions below.
 */
#ifndef MAP_FEATURE_H
#define MAP_FEATURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "map/map.h"
#include "map/session.h"

struct channels;
struct map_view;
struct partition;

/* What a feature has done with a message on the front-end's channel. */
enum map_message {
    MAP_MESSAGE_UNEXPECTED, /* nothing: the verb is not one of its own */
    MAP_MESSAGE_HANDLED,
    MAP_MESSAGE_MALFORMED
};

/* What a sweep finds that only a feature can judge. */
enum map_found {
    MAP_FOUND_REGISTRATION, /* the id of an entry without a connection whose time has come */
    MAP_FOUND_MEMBER        /* a line of the members' index of a crashed front-end */
};

/* All but create and destroy may be NULL. state: what create returned. */
struct map_feature {
    void *(*create)(struct map *map);
    void (*destroy)(void *state);
    /* A new command link is up, to the Redis that has the map. */
    void (*link_up)(void *state);
    /* The partition is in a new epoch. */
    void (*epoch)(void *state, struct partition *partition);
    /* The partition is registered with Redis, which may have lost what this front-end has there:
     * that is put back now, before anything that waits. */
    void (*ready)(void *state, struct partition *partition);
    /* Redis may list for this front-end what it does not have: its index is compared. */
    void (*audit)(void *state, struct partition *partition);
    /* Members of the partition's rooms that Redis should list for this front-end. When sweeps find
     * another number several times, audit and ready follow. */
    size_t (*count)(const void *state, const struct partition *partition);
    /* A sweep has been answered, with that time of Redis. */
    void (*sweep)(void *state, struct partition *partition, uint64_t redis_now_ms);
    /* A sweep has listed it. node: the crashed front-end; NULL: none is concerned. The operation
     * that judges it is enqueued with op_enqueue_of_sweep (map/op.h). */
    void (*found)(void *state, struct partition *partition, enum map_found what, struct bytes name,
                  const char *node);
    /* Whether this front-end can judge the registrations of the space. While none of the features
     * does, sweeps leave each to the other front-ends for a while. */
    bool (*probes)(const void *state, const struct map_space *space);
    /* Entries that the view had before a new epoch, and Redis does not have any more. */
    void (*missing)(void *state, struct map_space *space, const struct bytes *ids, size_t count);
    /* A message of another front-end: its format, a verb and what follows it. */
    enum map_message (*message)(void *state, uint64_t format, struct bytes verb, struct bytes rest);
    /* An operator's request that is answered later: NULL, and done is called once. Else what is
     * wrong with the request (static text), or "" when the verb is not one of its own. */
    const char *(*request)(void *state, struct bytes verb, struct bytes argument, map_done done,
                           void *arg);
};
#define MAP_FEATURES_MAX 8
/* Right after map_create. The table outlives the map; the state goes with it. */
void map_add_feature(struct map *map, const struct map_feature *feature);
/* NULL when the map does not have the feature. */
void *map_feature_state(const struct map *map, const struct map_feature *feature);

/* The map. */
unsigned map_database(const struct map *map); /* of Redis: channels carry it */
struct channels *map_channels(const struct map *map);
bool map_has_events(const struct map *map); /* the subscriber link is up */
/* The partition counts in Redis are ours, on this link. */
bool map_is_checked(const struct map *map);
/* Publishes on that front-end's channel. The wait of that number (map/wait.h; 0: none) is settled
 * with MAP_MISSING when nobody subscribes to it. */
void map_send_to_node(struct map *map, struct bytes node, struct bytes message, uint64_t number);

/* Spaces. */
struct map_space *map_space_named(struct map *map, struct bytes name); /* NULL: there is none */
size_t map_space_count(const struct map *map);
size_t map_space_index(const struct map_space *space);
struct map_view *map_space_view(const struct map_space *space); /* NULL while there is no watcher */
struct partition *map_space_partition(const struct map_space *space, uint32_t index);

/* Partitions. */
struct partition *partition_of(const struct map_space *space, struct bytes id);
struct map_space *partition_space(const struct partition *partition);
uint32_t partition_index(const struct partition *partition);
const char *partition_prefix(const struct partition *partition); /* of its keys */
/* In which messages to its entries are sent: all its front-ends understand it. */
uint64_t partition_format(const struct partition *partition);
const char *partition_channels(const struct partition *partition); /* what they begin with */
const char *partition_key_head(const struct partition *partition);
const char *partition_epoch(const struct partition *partition);
/* An equal part, at least 1, of a limit for the whole space. */
uint64_t partition_share_of(const struct partition *partition, int64_t most);
uint64_t partition_recovery_until(const struct partition *partition); /* Redis's clock */
/* Operations can be sent: it is registered with Redis. */
bool partition_is_ready(const struct partition *partition);
/* Changes with each new epoch. */
unsigned partition_epochs(const struct partition *partition);
/* Has this front-end's indexes compared at the next tick, or once it is registered again. */
void partition_audit_soon(struct partition *partition);
/* An entry of that id is there again: that one had ended is not published again. */
void map_forget_end(struct partition *partition, struct bytes id);

/* Sessions. */
/* Whether a session of this front-end owns the id. */
bool map_owns(const struct map_space *space, struct bytes id);
/* Delivers a packet to the session that owns the id. False: none does, or it does not accept it. */
bool session_deliver(struct map_space *space, struct bytes id, struct map_packet *packet);
/* Ends the connection of the session here that owns that entry, if any. Its entries are released,
 * not closed. */
void session_drop(struct map_space *space, struct bytes id);

#endif
