/*
 * partition_private: one part of a space, as this front-end writes it.
 *
 * Members that one module alone uses are a struct of that module: contact, recovery, renewals,
 * tombstones, sweep.
 */
#ifndef MAP_PARTITION_PRIVATE_H
#define MAP_PARTITION_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/list.h"
#include "loop/loop.h"
#include "map/contact_private.h"
#include "map/recovery_private.h"
#include "map/renewal_private.h"
#include "map/sweep_private.h"
#include "map/tombstone_private.h"
#include "redis/redis.h"
#include "schema/keys.h"

struct map;
struct map_space;
struct owned;

/* Changed by partition.c only, which describes the way from one to the next. */
enum partition_state {
    PARTITION_DISCONNECTED, /* no link, or the link has not been checked yet */
    PARTITION_HANDSHAKING,  /* hello is under way */
    PARTITION_READY,        /* batches and sweeps may be sent */
    PARTITION_DRAINING      /* was refused: nothing more is sent; hello follows what is under way */
};

struct partition {
    struct map *map;
    struct map_space *space;
    uint32_t index;
    char *prefix;   /* of its keys */
    char *channels; /* what its channels begin with */
    char *key_head, *key_nodes, *key_deadlines, *key_registered, *key_mine, *key_events;

    enum partition_state state;
    uint64_t down_ms;                    /* DISCONNECTED: since when */
    bool lost_when_ready;                /* DISCONNECTED, HANDSHAKING: the state before was READY */
    char epoch[EPOCH_LENGTH + 1];        /* "": no hello was answered yet */
    char epoch_before[EPOCH_LENGTH + 1]; /* "": none */
    unsigned epochs;                     /* counts the epochs seen here */
    uint64_t link_number;
    uint64_t batch_number;
    uint64_t format;         /* in which it is written; 0: not known yet */
    uint64_t revision;       /* the last in a reply: no acknowledged write has a greater one */
    uint64_t entries;        /* in Redis, as of the last sweep */
    uint64_t recovery_until; /* of the recovery grace; Redis's clock */
    const char *refusal;     /* why Redis refused the last batch or hello; NULL: it did not */
    bool unreadable;         /* what is stored has a format that this release does not know */

    struct list urgent;   /* struct op of the audit: sent before what is queued */
    struct list queue;    /* struct op */
    struct list parked;   /* struct op */
    struct list requeued; /* struct op: put before the queue once no batch is under way */
    size_t batch_count;   /* batches under way */

    struct owned *owned;     /* by id */
    struct list unconfirmed; /* struct owned */
    uint32_t round;          /* counts how often all entries became unconfirmed */
    uint64_t owned_visits;   /* of entries that joined a round: what rounds have cost so far */
    size_t restores;         /* struct owned whose restore is under way */
    bool audit_due;          /* compare the index with what is owned */

    struct contact contact;
    struct recovery recovery;
    struct renewals renewals;
    struct tombstones tombstones;
    struct sweep sweep;

    struct loop_task flush;
    struct loop_timer *hello_timer;
};

void partition_init(struct partition *partition, struct map_space *space, uint32_t index);
void partition_free(struct partition *partition);
void partition_link_up(struct partition *partition);
void partition_link_down(struct partition *partition);
/* Batches are sent at the end of the event-loop iteration. */
void partition_wake(struct partition *partition);
void partition_tick(struct partition *partition, uint64_t now_ms);
/* hello or sweep was not answered with "ok", or a batch was refused as a whole. */
void partition_refused(struct partition *partition, struct bytes why);
/* A command of the partition got no answer, or an error of Redis. */
void partition_failed(struct partition *partition, enum redis_status status,
                      const struct redis_reply *reply);
/* The format to write, from a reply. */
void partition_set_format(struct partition *partition, uint64_t format);
void partition_set_time(struct partition *partition, uint64_t redis_now_ms);

#endif
