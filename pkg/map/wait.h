/*
 * wait: callers that wait for an answer which is no result of an operation: of another front-end,
 * or of a script of its own.
 *
 * A wait is known by its number, so that a late answer finds nothing. Its done is called once,
 * never from within the call that began it, and not at all when its session has ended.
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
/* session may be NULL: then only ending_detach ends it. */
void ending_attach(struct ending *ending, struct map_session *session,
                   void (*end)(struct ending *ending));
void ending_detach(struct ending *ending);

/* Begins a wait for something of that size; its number is never 0. Without done there is no wait,
 * and the number is 0. False: there are too many waits, or too many bytes (relay.max_pending,
 * relay.max_bytes), and done gets MAP_REFUSED. session may be NULL; when it ends, done is not
 * called, but the wait still counts until it is settled. */
bool wait_begin(struct map *map, struct map_session *session, size_t size, map_done done, void *arg,
                uint64_t *number) __attribute__((warn_unused_result));
/* Does nothing when the wait has been settled. */
void wait_settle(struct map *map, uint64_t number, enum map_result result);

/* The arg of a command whose reply settles a wait; the callback frees it. */
struct wait_reply {
    struct map *map;
    uint64_t number;
};
struct wait_reply *wait_reply_create(struct map *map, uint64_t number);

#endif
