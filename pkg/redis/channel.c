#include "redis/channel.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"

struct joined_channel {
    UT_hash_handle hh; /* by name */
    struct channels *channels;
    struct list users;
    struct list unused; /* in channels->unused when it has no users */
    struct list *next;  /* the next user to notify, while users are being notified */
    bool subscribed;
    size_t len;
    uint8_t name[];
};

struct channels {
    struct loop *loop;
    struct redis_subscriber *const *subscriber;
    struct joined_channel *table;
    struct list unused;
    struct loop_task leave;
};

static struct bytes joined_channel_name(const struct joined_channel *channel)
{
    return (struct bytes){channel->name, channel->len};
}

static void free_channel(struct joined_channel *channel)
{
    list_remove(&channel->unused);
    HASH_DEL(channel->channels->table, channel);
    free(channel);
}

/* In the phase in which the subscriber sends its changes: a channel that was left and joined again
 * without a command in between would never be confirmed. */
static void channels_leave_unused(void *arg)
{
    struct channels *channels = arg;
    while (!list_is_empty(&channels->unused)) {
        struct joined_channel *channel =
            list_entry(channels->unused.next, struct joined_channel, unused);
        if (*channels->subscriber) {
            redis_unsubscribe(*channels->subscriber, joined_channel_name(channel));
        }
        free_channel(channel);
    }
}

struct channels *channels_create(struct loop *loop, struct redis_subscriber *const *subscriber)
{
    struct channels *channels = mem_zalloc(1, sizeof *channels);
    channels->loop = loop;
    channels->subscriber = subscriber;
    list_init(&channels->unused);
    channels->leave = (struct loop_task){.callback = channels_leave_unused, .arg = channels};
    return channels;
}

void channels_destroy(struct channels **channels_pointer)
{
    struct channels *channels = *channels_pointer;
    if (!channels) {
        return;
    }
    *channels_pointer = NULL;
    loop_cancel(channels->loop, &channels->leave);
    struct joined_channel *channel, *next;
    HASH_ITER (hh, channels->table, channel, next) {
        LIST_FOREACH (node, &channel->users) {
            list_entry(node, struct channel_user, link)->channel = NULL;
            list_remove(node);
        }
        free_channel(channel);
    }
    free(channels);
}

static struct joined_channel *channels_find(struct channels *channels, struct bytes name)
{
    struct joined_channel *channel = NULL;
    HASH_FIND(hh, channels->table, name.data, name.len, channel);
    return channel;
}

static struct joined_channel *channels_add(struct channels *channels, struct bytes name)
{
    struct joined_channel *channel = mem_zalloc(1, sizeof *channel + name.len);
    channel->channels = channels;
    channel->len = name.len;
    memcpy(channel->name, name.data, name.len);
    list_init(&channel->users);
    list_init(&channel->unused);
    HASH_ADD(hh, channels->table, name, channel->len, channel);
    if (*channels->subscriber) {
        redis_subscribe(*channels->subscriber, name);
    }
    return channel;
}

bool channel_join(struct channels *channels, struct channel_user *user, struct bytes name,
                  const struct channel_callbacks *callbacks, void *arg)
{
    struct joined_channel *channel = channels_find(channels, name);
    if (!channel) {
        channel = channels_add(channels, name);
    }
    list_remove(&channel->unused);
    user->channel = channel;
    user->callbacks = callbacks;
    user->arg = arg;
    list_append(&channel->users, &user->link);
    return channel->subscribed;
}

void channel_leave(struct channel_user *user)
{
    struct joined_channel *channel = user->channel;
    if (!channel) {
        return;
    }
    user->channel = NULL;
    if (channel->next == &user->link) {
        channel->next = user->link.next;
    }
    list_remove(&user->link);
    if (!list_is_empty(&channel->users)) {
        return;
    }
    list_append(&channel->channels->unused, &channel->unused);
    loop_defer(channel->channels->loop, LOOP_PHASE_STORE, &channel->channels->leave);
}

bool channel_is_subscribed(const struct channel_user *user)
{
    return user->channel && user->channel->subscribed;
}

void channel_subscribe_again(const struct channel_user *user)
{
    const struct joined_channel *channel = user->channel;
    if (channel && channel->subscribed && *channel->channels->subscriber) {
        redis_subscribe_again(*channel->channels->subscriber, joined_channel_name(channel));
    }
}

/* The next user to notify; users may leave and join meanwhile. */
static struct channel_user *channel_next_user(struct joined_channel *channel)
{
    if (!channel->next) {
        channel->next = channel->users.next;
    }
    if (channel->next == &channel->users) {
        channel->next = NULL;
        return NULL;
    }
    struct channel_user *user = list_entry(channel->next, struct channel_user, link);
    channel->next = user->link.next;
    return user;
}

void channels_subscribed(struct channels *channels, struct bytes name)
{
    struct joined_channel *channel = channels_find(channels, name);
    struct channel_user *user;
    if (!channel) {
        return;
    }
    channel->subscribed = true;
    while ((user = channel_next_user(channel))) {
        user->callbacks->subscribed(user->arg);
    }
}

void channels_message(struct channels *channels, struct bytes name, struct bytes message)
{
    struct joined_channel *channel = channels_find(channels, name);
    struct channel_user *user;
    /* A message before the confirmation belongs to an earlier subscription. */
    if (!channel || !channel->subscribed) {
        return;
    }
    while ((user = channel_next_user(channel))) {
        user->callbacks->message(user->arg, message);
    }
}

void channels_down(struct channels *channels)
{
    struct joined_channel *channel, *next;
    struct channel_user *user;
    HASH_ITER (hh, channels->table, channel, next) {
        channel->subscribed = false;
        while ((user = channel_next_user(channel))) {
            if (user->callbacks->down) {
                user->callbacks->down(user->arg);
            }
        }
    }
}
