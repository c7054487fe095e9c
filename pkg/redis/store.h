/*
 * store: a front-end's connections to Redis: a command link and a subscriber on the same server,
 * which is a master.
 *
 * The command link searches for the master: each attempt resolves the target anew, or asks its
 * Sentinels, and tries the addresses until one reports role:master. The subscriber's link then
 * connects to the same address. Each reads `INFO server` and `INFO replication` before it is up.
 * Both are reset, and the search begins again, when
 *
 *   - the server has become a replica: by its role, checked every redis.role_interval, or by a
 *     READONLY reply. REPLICAOF and FAILOVER do not close connections, so there is no other sign
 *   - the Sentinels name another master (+switch-master)
 *   - the two links reach servers with different run ids, also after both have been read again
 *   - events fail to arrive for the second time within 30 s
 *
 * The cause remains the reason why the store is not up until it is: redis_store_why_not. If INFO is
 * refused, roles are not checked.
 */
#ifndef REDIS_STORE_H
#define REDIS_STORE_H

#include "redis/redis.h"

struct redis_store;
struct redis_store_callbacks {
    /* The command link is up, on a master; run_id: 40 hex digits, valid during the call. */
    void (*up)(void *arg, const char *run_id);
    /* The command link is lost. Called once for each up. */
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
/* NULL after `up`; after `down`, and before the first `up`, the reason (static text). */
const char *redis_store_why_not(const struct redis_store *store);
/* Commands are answered, but published messages do not arrive: resets the subscriber's link; if it
 * is called again within 30 s, both. */
void redis_store_events_missing(struct redis_store *store);

#endif
