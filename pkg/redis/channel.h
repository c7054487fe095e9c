/*
 * channel: what this front-end listens to in Redis, and who wants it: one look-up for each message,
 * however many rooms and watched names there are.
 *
 * A channel may have several users. It is subscribed to once, and left at the end of the turn in
 * which its last user has gone, unless another one has come.
 */
#ifndef REDIS_CHANNEL_H
#define REDIS_CHANNEL_H

#include <stdbool.h>

#include "base/bytes.h"
#include "base/list.h"
#include "loop/loop.h"
#include "redis/redis.h"

struct channels;
struct joined_channel;

struct channel_callbacks {
    /* From now on nothing is missed, until down. */
    void (*subscribed)(void *arg);
    void (*message)(void *arg, struct bytes message);
    /* The subscriber link is gone; called also when it had not been subscribed yet. May be NULL. */
    void (*down)(void *arg);
};

/* Embedded in what wants a channel. Zero-initialise. */
struct channel_user {
    struct list link;
    struct joined_channel *channel; /* NULL: none */
    const struct channel_callbacks *callbacks;
    void *arg;
};

/* NULL where subscriber points to: there is none any more. */
struct channels *channels_create(struct loop *loop, struct redis_subscriber *const *subscriber);
/* Users that are left have no channel any more. */
void channels_destroy(struct channels **channels);
/* True when it is subscribed to already: then `subscribed` is not called before the next loss. */
bool channel_join(struct channels *channels, struct channel_user *user, struct bytes name,
                  const struct channel_callbacks *callbacks, void *arg);
/* Harmless when it has none. */
void channel_leave(struct channel_user *user);
bool channel_is_subscribed(const struct channel_user *user);
/* Something that must have come over it has not: Redis is asked for it again. Its users go on as
 * before, and are notified by `subscribed` when it is confirmed. */
void channel_subscribe_again(const struct channel_user *user);

/* What the subscriber link tells. */
void channels_subscribed(struct channels *channels, struct bytes name);
void channels_message(struct channels *channels, struct bytes name, struct bytes message);
void channels_down(struct channels *channels);

#endif
