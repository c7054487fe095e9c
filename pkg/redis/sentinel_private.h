/*
 * sentinel_private: finding the master of a target of Sentinels, and learning of a new one.
 *
 * Source: the Redis documentation, "Guidelines for Redis clients with support for Redis Sentinel".
 */
#ifndef REDIS_SENTINEL_PRIVATE_H
#define REDIS_SENTINEL_PRIVATE_H

#include "redis/redis.h"

/* How Sentinels are connected to, for both. Owns what target points to. */
struct redis_sentinel_access {
    struct redis_target target; /* of one Sentinel */
    struct redis_settings settings;
};
/* index: below target->endpoint_count. target and settings must outlive it. */
void redis_sentinel_access_init(struct redis_sentinel_access *access,
                                const struct redis_target *target,
                                const struct redis_settings *settings, size_t index);
void redis_sentinel_access_free(struct redis_sentinel_access *access);

/*
 * A lookup: asks all Sentinels at once (SENTINEL MASTER), and uses the answer with the highest
 * config-epoch, which is that of the last fail-over: a Sentinel that was separated from the others
 * still names the previous master. It is complete as soon as more than half of the Sentinels have
 * answered, half a second after the first answer, or when none is left that may answer.
 */
struct redis_sentinel_lookup;
/* master is NULL when there is no answer; why then gives the reason. Both are valid during the
 * call. The caller must cancel the lookup, which may be done in the callback. */
typedef void (*redis_sentinel_callback)(void *arg, const struct redis_endpoint *master,
                                        const char *why);
/* Calls the callback once, from the loop. target and settings must outlive the lookup. */
struct redis_sentinel_lookup *redis_sentinel_lookup_start(struct loop *loop,
                                                          const struct redis_target *target,
                                                          const struct redis_settings *settings,
                                                          redis_sentinel_callback callback,
                                                          void *arg);
/* Does nothing when NULL. */
void redis_sentinel_lookup_cancel(struct redis_sentinel_lookup **lookup);

/*
 * A watch: is subscribed to +switch-master at all Sentinels. Since a message may be lost while a
 * connection is, it also looks the master up after each time that it has subscribed.
 */
struct redis_sentinel_watch;
struct redis_sentinel_watch *redis_sentinel_watch_create(
    struct loop *loop, const struct redis_target *target, const struct redis_settings *settings,
    /* The Sentinels name this master. It may be the one that is known; the other Sentinels
     * report a change, too. */
    void (*named)(void *arg, struct bytes host, struct bytes port), void *arg);
/* Does nothing when NULL. */
void redis_sentinel_watch_destroy(struct redis_sentinel_watch **watch);

#endif
