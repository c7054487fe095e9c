/*
 * channel: the Redis channels that this front-end subscribes to, and their users: one look-up per
 * message, however many rooms and watched names there are.
 *
 * A channel may have several users. It is subscribed to once, and unsubscribed at the end of the
 * event-loop iteration in which its last user left, unless another one has joined.
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
    /* Confirmed: every message is delivered from now on until `down`. */
    void (*subscribed)(void *arg);
    void (*message)(void *arg, struct bytes message);
    /* The subscriber link is lost; called also before a confirmation. May be NULL. */
    void (*down)(void *arg);
};

/* Embedded in the user of a channel. Zero-initialise. */
struct channel_user {
    struct list link;
    struct joined_channel *channel; /* NULL: none */
    const struct channel_callbacks *callbacks;
    void *arg;
};

/* *subscriber may become NULL: then there is none any more. */
struct channels *channels_create(struct loop *loop, struct redis_subscriber *const *subscriber);
/* Detaches the remaining users. */
void channels_destroy(struct channels **channels);
/* True when it is already subscribed: then `subscribed` is called only after the next loss. */
bool channel_join(struct channels *channels, struct channel_user *user, struct bytes name,
                  const struct channel_callbacks *callbacks, void *arg);
/* Does nothing when the user has no channel. */
void channel_leave(struct channel_user *user);
bool channel_is_subscribed(const struct channel_user *user);
/* Subscribes again, because an expected message did not arrive. The users keep the channel, and
 * `subscribed` is called when Redis has confirmed it. */
void channel_subscribe_again(const struct channel_user *user);

/* The subscriber's callbacks. */
void channels_subscribed(struct channels *channels, struct bytes name);
void channels_message(struct channels *channels, struct bytes name, struct bytes message);
void channels_down(struct channels *channels);

#endif
