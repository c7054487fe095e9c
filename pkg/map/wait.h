/*
 * wait: callers who wait for an answer that no operation of a partition gives: of another
 * front-end, or of a script of its own.
 *
 * A wait is known by its number, so that an answer that comes too late finds nothing. Each is told
 * once, never from within the call that began it, and not at all when its session has ended.
 */
#ifndef MAP_WAIT_H
#define MAP_WAIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "map/map.h"
#include "map/session.h"

/* Something that ends with a session at the latest: `end` frees it. */
struct ending {
    struct list link; /* the session's */
    void (*end)(struct ending *ending);
};
/* session may be NULL: then nothing ends it. */
void ending_attach(struct ending *ending, struct map_session *session,
                   void (*end)(struct ending *ending));
void ending_detach(struct ending *ending);

/* Begins one, whose number is never 0, for something of that size. done may be NULL: then nobody
 * waits, and the number is 0. False when too many wait, or with too many bytes (relay.max_pending,
 * relay.max_bytes): done gets MAP_REFUSED. session may be NULL; when it ends, done is not called,
 * and what it asked for still counts until it is settled. */
bool wait_begin(struct map *map, struct map_session *session, size_t size, map_done done, void *arg,
                uint64_t *number) __attribute__((warn_unused_result));
/* Harmless when it waits no more. */
void wait_settle(struct map *map, uint64_t number, enum map_result result);

/* A command whose reply settles a wait: the callback's arg, which it takes and frees. */
struct wait_reply {
    struct map *map;
    uint64_t number;
};
struct wait_reply *wait_reply_create(struct map *map, uint64_t number);

#endif
