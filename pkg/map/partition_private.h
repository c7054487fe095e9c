/* partition_private: one part of a space, as this front-end writes it. */
#ifndef MAP_PARTITION_PRIVATE_H
#define MAP_PARTITION_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/list.h"
#include "loop/loop.h"
#include "map/feature.h"
#include "redis/redis.h"
#include "schema/keys.h"

struct map;
struct map_space;
struct owned;
struct tombstone;

#define RENEWAL_LISTS 22 /* the longest client.ttl is halved so often until 20 ms are left */

enum partition_state {
    PARTITION_AWAY,     /* no link */
    PARTITION_GREETING, /* hello is under way */
    PARTITION_READY,    /* batches may be sent */
    PARTITION_SETTLING  /* a batch was refused whole: waits for the others, then greets again */
};

struct partition {
    struct map *map;
    struct map_space *space;
    uint32_t index;
    char *prefix;   /* of its keys */
    char *channels; /* what its channels begin with */
    char *key_head, *key_nodes, *key_deadlines, *key_registered, *key_mine, *key_events;
    enum partition_state state;
    char epoch[EPOCH_LENGTH + 1];
    uint64_t link_number;
    uint64_t batch_number;
    uint64_t revision;   /* the last that a reply carried: no acknowledged write has a greater */
    uint64_t hold_until; /* Redis's clock */
    uint64_t down_ms;    /* AWAY: since when */
    unsigned epochs;     /* counts the epochs seen here */
    char epoch_before[EPOCH_LENGTH + 1]; /* "": none */
    uint64_t asked_ms;                   /* when the last sweep or hello was sent; loop's clock */
    uint64_t renewed_ms;                 /* when the last that was answered was sent; 0: none yet */
    uint64_t answered_ms;                /* when its answer came */
    bool restoring;       /* since the new epoch not all that it may lack has been put back */
    uint64_t restored_by; /* restoring: the last batch with any of it; 0: not all is sent */
    bool greeted;         /* at least once */
    bool lost_when_ready; /* the link was, and nothing else has happened since */
    enum redis_refusal refusal;
    bool refused;    /* the last batch or hello was refused by Redis */
    bool unreadable; /* what is stored has a format that we do not understand */

    struct list urgent;   /* struct op of the audit: sent before what is queued */
    struct list queue;    /* struct op */
    struct list parked;   /* struct op */
    struct list requeued; /* struct op: to stand before the queue once no batch is under way */
    size_t batch_count;   /* batches under way */
    struct owned *owned;  /* by id */
    /* struct owned, each list by renew_at: in the n-th they wait client.ttl / 2^(n + 1). */
    struct list renewal[RENEWAL_LISTS];
    int64_t renewal_ttl; /* the client.ttl of these lists */
    int64_t
        renewal_clock_ms;    /* how far Redis's clock was ahead when these TTLs were set, or less */
    struct list unconfirmed; /* struct owned */
    struct tombstone *tombstones; /* by id, in order of age; and in these, as tombstone.c has it */
    struct list tombstones_due, tombstones_later;
    uint64_t tombstones_until_ms; /* what waits is said again until then */
    uint64_t restore_from_ms;     /* restores are not sent before: jitter after a new epoch */
    bool audit_due;               /* compare the index with what is owned */
    /* A new epoch has begun, and not all that is owned has been compared since: Redis may lack what
     * it knew, and list entries for front-ends that do not have them. */
    bool filling;
    size_t restores;       /* struct owned whose restore is under way */
    unsigned stalls_known; /* map->stalls when all was last confirmed */

    struct loop_task flush;
    struct loop_timer *greet_timer;
    struct loop_timer *sweep_timer;
    size_t room_members; /* rooms_count */
    bool sweeping;
    int64_t renewed_lease;   /* with which the lease was renewed last */
    bool sweep_again;        /* there was more than one sweep lists */
    size_t reaping;          /* operations of sweeps not yet judged */
    size_t unlisted_members; /* sweeps in a row whose count of members was not ours */
    size_t unlisted;         /* sweeps in a row whose count of the index was not ours */
};

void partition_init(struct partition *partition, struct map_space *space, uint32_t index);
void partition_free(struct partition *partition);
void partition_link_up(struct partition *partition);
void partition_link_down(struct partition *partition);
/* Says hello again once nothing is under way, after delay_ms. */
void partition_settle(struct partition *partition, uint64_t delay_ms, const char *why);
/* Asks for batches to be sent at the end of the turn. */
void partition_wake(struct partition *partition);
void partition_tick(struct partition *partition, uint64_t now_ms);
/* Answers of hello and sweep that are not "ok", and batches refused whole. */
void partition_refused(struct partition *partition, struct bytes why);
/* A command of the partition got no answer, or an error of Redis. */
void partition_failed(struct partition *partition, enum redis_status status,
                      const struct redis_reply *reply);
void partition_set_time(struct partition *partition, uint64_t redis_now_ms);

#endif
