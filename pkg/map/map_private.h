/* map_private: the map, which the modules of this package share. */
#ifndef MAP_MAP_PRIVATE_H
#define MAP_MAP_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "map/feature.h"
#include "map/map.h"
#include "redis/redis.h"
#include "schema/keys.h"

struct channels;
struct delivery;
struct map_finish_wait;
struct needs;
struct node;
struct replication;
struct shared;
struct waits;

/* Changed by map_enter only; never back. */
enum map_phase {
    MAP_STARTING,  /* no first answer of Redis for every partition yet: what is unfit is fatal */
    MAP_SERVING,   /* it has been: what is unfit now may pass */
    MAP_FINISHING, /* map_finish waits for what is under way; leases are not renewed any more */
    MAP_FINISHED
};

struct map {
    struct loop *loop;
    const struct map_settings *settings;   /* what runs: &running */
    const struct map_settings *configured; /* of this front-end alone */
    struct map_settings running;           /* with what is adopted; its strings are configured's */
    struct shared *shared;
    const struct redis_settings *redis;
    unsigned database; /* of Redis: channels carry it */
    const struct map_callbacks *callbacks;
    void *arg;
    char node[NODE_ID_LENGTH + 1];
    char *name;
    struct redis_store *store;
    struct redis_link *link;             /* the store's */
    struct redis_subscriber *subscriber; /* the store's */
    char run_id[41];
    bool checked;        /* on this link: the partition counts in Redis are ours */
    uint64_t recheck_ms; /* when they are checked again; 0: never */
    enum map_phase phase;
    int64_t clock_offset_ms; /* Redis's wall clock minus the loop's clock */
    uint64_t ticked_ms;      /* when the tick timer last ran */
    uint64_t tick_at_ms;     /* when it runs next */
    unsigned stalls;         /* counts the times when the loop did not run for a whole lease */
    struct loop_pending_set *pending_ops; /* struct op */
    struct loop_timer *tick_timer;        /* renewals, parked operations, tombstones */
    struct scratch {
        char *data;
        size_t used, size;
    } scratch; /* arguments of the batch being built */
    uint64_t pending;
    uint64_t refused;      /* of these, which were refused, as too much waits */
    uint64_t pending_size; /* bytes of what sessions asked for */
    size_t space_count;
    struct map_space *spaces;
    struct node *node_channel;
    struct needs *needs;
    struct map_memory *memory;
    struct channels *channels;
    struct waits *waits;
    struct replication *replication;
    struct added_feature {
        const struct map_feature *feature;
        void *state;
    } features[MAP_FEATURES_MAX];
    size_t feature_count;
    struct list secrets;    /* struct map_secret */
    struct list tombstones; /* of all partitions, the oldest first */
    size_t tombstone_count;
    struct map_finish_wait *finish;
    struct delivery *delivery; /* the innermost */
};

/* Stores the space's partition count in Redis where it is missing, and compares it. */
void map_put_count(struct map_space *space);
void map_enter(struct map *map, enum map_phase phase);
/* The map serves once all partitions have been answered and all needs are met. */
void map_check_serving(struct map *map);
/* The tick timer runs at that time at the latest. */
void map_tick_at(struct map *map, uint64_t at_ms);
/* The counts are ours and the shared settings are known: the partitions send hello. */
void map_begin(struct map *map);
/* Redis refused to store the shared settings: everything is checked again soon. */
void map_check_again(struct map *map, enum redis_refusal refusal);

#endif
