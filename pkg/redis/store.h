/*
 * store: the one Redis that a front-end works with: a command link and a subscriber, which are on
 * the same server, and that server is a master.
 *
 * The command link looks for the master: at each attempt the target is resolved anew, and all its
 * addresses are tried until one says role:master. The subscriber's link then connects to that same
 * address. Each reads `INFO server` and `INFO replication` before it counts as up. Both are given
 * up, and the master is looked for again, when
 *
 *   - the server has become a replica: its role, asked every redis.role_interval, or a READONLY
 *     answer. Its connections stay open after REPLICAOF or FAILOVER, so nothing else would show it
 *   - the two links reached servers with different run ids, also when both are read again
 *   - events do not arrive for the second time within 30 s
 *
 * Until then what happened is the reason for which the store is not up: see redis_store_why_not.
 * Where INFO is refused the roles are not checked.
 *
 * Other topologies differ in where candidates for the master come from: see find_master in store.c.
 */
#ifndef REDIS_STORE_H
#define REDIS_STORE_H

#include "redis/redis.h"

struct redis_store;
struct redis_store_callbacks {
    /* The command link is up, on a master; run_id: 40 hex digits, valid during the call. */
    void (*up)(void *arg, const char *run_id);
    /* The command link is gone. Called once for each up. */
    void (*down)(void *arg);
    /* As a link's. */
    void (*unfit)(void *arg, const char *why);
    /* The subscriber's. */
    void (*subscribed)(void *arg, struct bytes channel);
    void (*message)(void *arg, struct bytes channel, struct bytes message);
    void (*events_down)(void *arg);
};

/* Connects in the next event-loop iteration. settings and target must outlive the store. */
struct redis_store *redis_store_create(struct loop *loop, const struct redis_target *target,
                                       const struct redis_settings *settings,
                                       const struct redis_store_callbacks *callbacks, void *arg);
/* As redis_link_destroy: outstanding callbacks first; not `down`. */
void redis_store_destroy(struct redis_store **store);
/* Borrowed; they live as long as the store. */
struct redis_link *redis_store_commands(struct redis_store *store);
struct redis_subscriber *redis_store_events(struct redis_store *store);
/* NULL when `up` was called last, else a static text, kept while it reconnects. */
const char *redis_store_why_not(const struct redis_store *store);
/* Commands are answered, and messages that were published do not arrive: the subscriber's link is
 * reset; within 30 s of the last time, both are. */
void redis_store_events_missing(struct redis_store *store);

#endif
