/*
 * map: the shared client map of this front-end: one command link and one subscriber link to Redis,
 * the spaces, and for each space its partitions (what we write) and its view (what we read).
 *
 * Redis has what front-ends share; this package has copies of it, and the state of this front-end's
 * own sessions, from which it restores Redis. docs/redis-keys.md has the keys, docs/invariants.md
 * the rules.
 *
 * Sessions (map/session.h) write; watchers (view/view.h) are notified of changes. Both hand down
 * the functions by which they are called: the map does not know which protocol they speak.
 */
#ifndef MAP_MAP_H
#define MAP_MAP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "loop/loop.h"
#include "view/settings.h"

struct config_module;
struct map;
struct map_space;
struct map_view;
struct map_watcher;
struct redis_link;
struct redis_settings;
struct redis_target;

struct map_settings {
    char *spaces;     /* map.spaces: names, separated by spaces or commas */
    const char *also; /* no setting: one more space, for a service; NULL: none. Outlives the map */
    int64_t partitions;       /* map.partitions of each space: P */
    int64_t lease;            /* map.lease of a front-end, ms */
    int64_t sweep;            /* map.sweep: ms between sweeps */
    int64_t recovery_grace;   /* map.recovery_grace: ms without reaping after Redis stalled or a new
                                 epoch */
    int64_t reap;             /* map.reap: deadlines reaped per sweep */
    int64_t batch_operations; /* map.batch_operations per call of apply */
    int64_t batch_bytes;      /* map.batch_bytes per call of apply */
    int64_t max_entries;      /* map.max_entries of a space */
    int64_t max_pending;      /* map.max_pending: operations that wait for Redis */
    int64_t max_pending_bytes; /* map.max_pending_bytes: of their states and messages */
    int64_t client_ttl;        /* client.ttl, ms */
    int64_t client_grace;      /* client.grace, ms */
    int64_t client_max_ids;    /* client.max_ids owned by one connection */
    int cut_off;               /* map.cut_off: enum map_cut_off */
    int64_t max_registration;  /* map.max_registration of an entry without a connection, ms */
    int64_t close_memory;      /* map.close_memory: ms for which ends of entries are remembered */
    int64_t close_memory_max;  /* map.close_memory_max of these */
    struct view_settings view; /* view.* */
    int64_t offline_delay;     /* presence.offline_delay, ms */
    int64_t room_max_rooms;    /* room.max_rooms, of a space */
    int64_t presence_max_devices;     /* presence.max_devices of a user */
    int64_t presence_max_per_address; /* presence.max_per_address, bytes */
    int64_t presence_max_total;       /* presence.max_total, bytes */
    int64_t presence_reread; /* presence.reread: ms within which all watched users are read again */
    int64_t room_max_members;       /* room.max_members of a room */
    int64_t room_max_buffered;      /* room.max_buffered: bytes, while a room is being read */
    int64_t room_read_timeout;      /* room.read_timeout: ms until its mark */
    int64_t room_read_attempts;     /* room.read_attempts: without a mark */
    int64_t relay_max_pending;      /* relay.max_pending: packets and invitations that wait */
    int64_t relay_max_bytes;        /* relay.max_bytes of these */
    int64_t invite_ttl;             /* invite.ttl, ms */
    int64_t invite_max;             /* invite.max of one user */
    int64_t invite_max_per_sender;  /* invite.max_per_sender, of a space */
    int64_t invite_max_per_address; /* invite.max_per_address, of a space */
    int64_t invite_max_total;       /* invite.max_total, of a space */
};
extern const struct config_module map_config;
/* What happens to clients when this front-end alone cannot reach Redis (pkg/server). */
enum map_cut_off { MAP_CUT_OFF_KEEP, MAP_CUT_OFF_PEERS };

/* NULL, or which settings, each valid alone, contradict each other (the caller frees). */
char *map_settings_check(const struct map_settings *settings) __attribute__((warn_unused_result));

/* The map calls the server around it. All but fatal may be NULL. */
struct map_callbacks {
    /* This front-end cannot work as it is configured (partitions, eviction policy at start). */
    void (*fatal)(void *arg, const char *why);
    /* Redis has answered for every partition: the map can serve. Once. */
    void (*serving)(void *arg);
    /* Whether a setting is given by a file or a flag: then a different shared one is reported.
     * NULL: all are. */
    bool (*is_given)(void *arg, const char *key);
    /* Shared settings have been adopted: map_settings_of has changed. */
    void (*adopted)(void *arg);
    /* Fields for tracker:node:<node>: call add for each, every few seconds. */
    void (*describe)(void *arg, void (*add)(void *to, const char *field, const char *value),
                     void *to);
    /* A request of an operator through the node's channel: "drain", "reload", "config", "ping".
     * The answer is written to reply; false: it failed. */
    bool (*request)(void *arg, struct bytes verb, struct bytes argument, struct writer *reply);
};

/* name: of this front-end, for people. settings, redis and target must outlive the map, and may
 * change in what is reloadable. Starts connecting at once. NULL and *error (caller frees) when the
 * settings cannot be used. */
struct map *map_create(struct loop *loop, const char *name, const struct map_settings *settings,
                       const struct redis_settings *redis, const struct redis_target *target,
                       const struct map_callbacks *callbacks, void *arg, char **error)
    __attribute__((warn_unused_result));
/* All sessions must have ended and all watchers be gone. */
void map_destroy(struct map **map);

/* NULL: no space of that name is configured. "" is the first configured one. */
struct map_space *map_space_find(struct map *map, const char *name);
/* The spaces in the order of map.spaces; NULL behind the last. */
struct map_space *map_space_at(struct map *map, size_t index);
const char *map_space_name(const struct map_space *space);
/* Whether map.spaces names it: else clients cannot choose it, only the service that needs it. */
bool map_space_is_named(const struct map_space *space);
struct map *map_space_map(const struct map_space *space);
uint32_t map_space_partitions(const struct map_space *space);
struct loop *map_loop(const struct map *map);
/* The command link, for other reads than the map's; NULL while the map is being destroyed. */
struct redis_link *map_link(const struct map *map);
/* redis.prefix. */
const char *map_prefix(const struct map *map);
/* Keeps the space's view (view/view.h) from now on; the watcher's functions are set by the caller.
 * NULL: the space has more than view.max_entries entries, and is not watched (why: static text). */
struct map_view *map_watch(struct map_space *space, struct map_watcher *watcher, const char **why);
/* The settings in force: shared ones (map/shared.h) may differ from what is configured. */
const struct map_settings *map_settings_of(const struct map *map);
/* The settings that map_create was given have been read again. */
void map_settings_changed(struct map *map);
/* redis.deadline: how long a caller waits for Redis, ms. */
uint64_t map_deadline_ms(const struct map *map);
/* This process's random id, 12 lowercase hex digits, as in the keys. */
const char *map_node_id(const struct map *map);
/* As map_create was given it. */
const char *map_node_name(const struct map *map);

/* End to end: both links are up, every partition has been answered, and a nonce came back in the
 * last 3 s. why (may be NULL) gets a text when not, valid until the next call. */
bool map_is_ready(const struct map *map, const char **why);
/* Redis's memory is nearly full (redis.memory_limit): nothing new is stored. */
bool map_is_full(const struct map *map);
/* When Redis last answered what renews leases (hello, sweeps); the loop's clock. */
struct map_contact {
    uint64_t answered_ms; /* for any partition; 0: none yet */
    uint64_t renewed_ms;  /* when the oldest of the leases began; 0: a partition has none yet */
};
struct map_contact map_contact(const struct map *map);
/* The epoch of the first partition: front-ends that share it share a map. "" at first. */
const char *map_epoch(const struct map *map);
/* Whether a partition has that epoch, or had it before the current one. */
bool map_knows_epoch(const struct map *map, struct bytes epoch);
/* Wall-clock time of Redis, ms since the epoch, from the offset last seen. */
uint64_t map_redis_time_ms(const struct map *map);

/*
 * The end, after the protocols have ended all sessions: waits until the entries that they left are
 * orphans in Redis, or redis.deadline has passed; releases the lease; and calls done once.
 */
void map_finish(struct map *map, void (*done)(void *arg), void *arg);

#endif
