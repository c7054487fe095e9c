/*
 * subscriber: keeps channels subscribed across reconnects.
 *
 * Each channel has the number of its users, the state of its last command, and the number of
 * replies in flight. The changes of one event-loop iteration are sent together, in
 * LOOP_PHASE_STORE, in commands of up to BATCH_CHANNELS channels. In RESP2 Redis answers such a
 * command with one array per channel, or with one error for all of them.
 *
 *                  SUBSCRIBE sent                        refused
 *   UNSUBSCRIBED ─────────────────► SUBSCRIBED ────────────────────────► REFUSED
 *                ◄─────────────────      ▲                              │       ▲
 *            UNSUBSCRIBE sent, or lost   │ confirmed     SUBSCRIBE sent │       │ refused, lost,
 *                                        └─────────────── RETRYING ◄────┘       │ UNSUBSCRIBE sent
 *                                                              └────────────────┘
 *
 * A refused channel is retried in a command of its own, so that others in a batch are not refused
 * with it. Only channel_apply changes the state.
 *
 * A channel stays in the table while it has users or replies in flight, so that batches can point
 * to it.
 */
#include "redis/link_private.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"

#define BATCH_CHANNELS 256

enum channel_state { CHANNEL_UNSUBSCRIBED, CHANNEL_SUBSCRIBED, CHANNEL_REFUSED, CHANNEL_RETRYING };
enum channel_event {
    CHANNEL_SUBSCRIBE_SENT,
    CHANNEL_CONFIRMED,
    CHANNEL_REFUSAL,
    CHANNEL_LOST /* UNSUBSCRIBE was sent, or the subscription is gone or in doubt */
};

struct subscriber_channel {
    UT_hash_handle hh;
    struct list dirty; /* in subscriber->dirty when a command may have to be sent */
    unsigned users;
    unsigned pending; /* replies in flight */
    enum channel_state state;
    size_t len;
    uint8_t name[];
};

struct redis_subscriber {
    struct redis_link *link;
    struct loop *loop;
    const struct redis_settings *settings;
    struct redis_subscriber_callbacks callbacks;
    void *arg;
    struct subscriber_channel *channels;
    struct list dirty;
    struct loop_task send_task;
    struct loop_timer *ping_timer;
    struct loop_timer *retry_timer; /* for channels that were refused */
    struct loop_task free_task;
};

/* One SUBSCRIBE or UNSUBSCRIBE in flight. */
struct channel_batch {
    struct redis_subscriber *subscriber;
    bool subscribe;
    size_t count;
    size_t confirmed;
    struct subscriber_channel *channels[BATCH_CHANNELS];
};

static struct bytes channel_name(const struct subscriber_channel *channel)
{
    return (struct bytes){channel->name, channel->len};
}

static void channel_apply(struct subscriber_channel *channel, enum channel_event event)
{
    static const enum channel_state next[][4] = {
        [CHANNEL_UNSUBSCRIBED] = {[CHANNEL_SUBSCRIBE_SENT] = CHANNEL_SUBSCRIBED,
                                  [CHANNEL_CONFIRMED] = CHANNEL_UNSUBSCRIBED,
                                  [CHANNEL_REFUSAL] = CHANNEL_REFUSED,
                                  [CHANNEL_LOST] = CHANNEL_UNSUBSCRIBED},
        [CHANNEL_SUBSCRIBED] = {[CHANNEL_SUBSCRIBE_SENT] = CHANNEL_SUBSCRIBED,
                                [CHANNEL_CONFIRMED] = CHANNEL_SUBSCRIBED,
                                [CHANNEL_REFUSAL] = CHANNEL_REFUSED,
                                [CHANNEL_LOST] = CHANNEL_UNSUBSCRIBED},
        [CHANNEL_REFUSED] = {[CHANNEL_SUBSCRIBE_SENT] = CHANNEL_RETRYING,
                             [CHANNEL_CONFIRMED] = CHANNEL_REFUSED,
                             [CHANNEL_REFUSAL] = CHANNEL_REFUSED,
                             [CHANNEL_LOST] = CHANNEL_REFUSED},
        [CHANNEL_RETRYING] = {[CHANNEL_SUBSCRIBE_SENT] = CHANNEL_RETRYING,
                              [CHANNEL_CONFIRMED] = CHANNEL_SUBSCRIBED,
                              [CHANNEL_REFUSAL] = CHANNEL_REFUSED,
                              [CHANNEL_LOST] = CHANNEL_REFUSED},
    };

    channel->state = next[channel->state][event];
}

/* Whether the last command for the channel was SUBSCRIBE. */
static bool is_requested(const struct subscriber_channel *channel)
{
    return channel->state == CHANNEL_SUBSCRIBED || channel->state == CHANNEL_RETRYING;
}

static bool needs_own_command(const struct subscriber_channel *channel)
{
    return channel->state == CHANNEL_REFUSED || channel->state == CHANNEL_RETRYING;
}

static struct subscriber_channel *find_subscribed_channel(const struct redis_subscriber *subscriber,
                                                          struct bytes name)
{
    struct subscriber_channel *channel = NULL;

    HASH_FIND(hh, subscriber->channels, name.data, name.len, channel);
    return channel;
}

static struct subscriber_channel *find_or_create(struct redis_subscriber *subscriber,
                                                 struct bytes name)
{
    struct subscriber_channel *channel = find_subscribed_channel(subscriber, name);

    if (!channel) {
        channel = mem_zalloc(1, sizeof *channel + name.len);
        channel->len = name.len;
        if (name.len > 0) {
            memcpy(channel->name, name.data, name.len);
        }
        list_init(&channel->dirty);
        HASH_ADD(hh, subscriber->channels, name, channel->len, channel);
    }
    return channel;
}

static void forget_channel(struct redis_subscriber *subscriber, struct subscriber_channel *channel)
{
    list_remove(&channel->dirty);
    HASH_DELETE(hh, subscriber->channels, channel);
    free(channel);
}

static void forget_if_unused(struct redis_subscriber *subscriber,
                             struct subscriber_channel *channel)
{
    if (channel->users == 0 && channel->pending == 0 && !is_requested(channel)) {
        forget_channel(subscriber, channel);
    }
}

static void mark_dirty(struct redis_subscriber *subscriber, struct subscriber_channel *channel)
{
    if (list_is_empty(&channel->dirty)) {
        list_append(&subscriber->dirty, &channel->dirty);
    }
    loop_defer(subscriber->loop, LOOP_PHASE_STORE, &subscriber->send_task);
}

/* Confirmations and refusals. */

static void batch_refused(struct channel_batch *batch)
{
    struct redis_subscriber *subscriber = batch->subscriber;

    for (size_t i = batch->confirmed; i < batch->count; i++) {
        struct subscriber_channel *channel = batch->channels[i];

        channel->pending--;
        channel_apply(channel, CHANNEL_REFUSAL);
        forget_if_unused(subscriber, channel);
    }
    free(batch);
    loop_timer_start(subscriber->retry_timer, (uint64_t)subscriber->settings->backoff_max);
}

static void batch_confirmed(struct channel_batch *batch)
{
    struct redis_subscriber *subscriber = batch->subscriber;
    struct subscriber_channel *channel = batch->channels[batch->confirmed++];
    bool subscribed = batch->subscribe;

    channel->pending--;
    if (batch->confirmed == batch->count) {
        free(batch);
    }
    if (subscribed && channel->pending == 0 && channel->users > 0 && is_requested(channel)) {
        channel_apply(channel, CHANNEL_CONFIRMED);
        subscriber->callbacks.subscribed(subscriber->arg, channel_name(channel));
    } else {
        forget_if_unused(subscriber, channel);
    }
}

static void batch_replied(void *arg, enum redis_status status, const struct redis_reply *reply)
{
    struct channel_batch *batch = arg;

    if (status == REDIS_OK) {
        batch_confirmed(batch);
    } else if (status == REDIS_REFUSED) {
        batch_refused(batch);
    } else {
        free(batch); /* link_down handles its channels, or they are freed */
    }
}

/* Sending changes. */

static void batch_send(struct channel_batch *batch)
{
    struct redis_subscriber *subscriber = batch->subscriber;
    struct bytes args[BATCH_CHANNELS + 1];

    args[0] = batch->subscribe ? BYTES_LITERAL("SUBSCRIBE") : BYTES_LITERAL("UNSUBSCRIBE");
    for (size_t i = 0; i < batch->count; i++) {
        struct subscriber_channel *channel = batch->channels[i];

        channel->pending++;
        channel_apply(channel, batch->subscribe ? CHANNEL_SUBSCRIBE_SENT : CHANNEL_LOST);
        args[i + 1] = channel_name(channel);
    }
    redis_link_queue(subscriber->link,
                     &(struct redis_pending){.callback = batch_replied,
                                             .arg = batch,
                                             .expected = (uint32_t)batch->count},
                     batch->count + 1, args);
}

static struct channel_batch *batch_create(struct redis_subscriber *subscriber, bool subscribe)
{
    struct channel_batch *batch = mem_alloc(sizeof *batch);

    batch->subscriber = subscriber;
    batch->subscribe = subscribe;
    batch->count = 0;
    batch->confirmed = 0;
    return batch;
}

/* Adds to the batch in *filling, or sends that batch and begins another. */
static void batch_add_channel(struct redis_subscriber *subscriber, struct channel_batch **filling,
                              struct subscriber_channel *channel)
{
    bool subscribe = channel->users > 0;
    struct channel_batch *batch = *filling;

    if (batch &&
        (batch->subscribe != subscribe || batch->count == BATCH_CHANNELS ||
         needs_own_command(channel) || needs_own_command(batch->channels[batch->count - 1]))) {
        batch_send(batch);
        batch = NULL;
    }
    if (!batch) {
        batch = batch_create(subscriber, subscribe);
    }
    batch->channels[batch->count++] = channel;
    *filling = batch;
}

static void send_channel_changes(void *arg)
{
    struct redis_subscriber *subscriber = arg;
    struct channel_batch *batch = NULL;

    if (!redis_link_is_up(subscriber->link)) {
        return; /* on_subscriber_link_up sends the changes */
    }
    LIST_FOREACH (node, &subscriber->dirty) {
        struct subscriber_channel *channel = list_entry(node, struct subscriber_channel, dirty);

        list_remove(&channel->dirty);
        if ((channel->users > 0) != is_requested(channel)) {
            batch_add_channel(subscriber, &batch, channel);
        } else {
            forget_if_unused(subscriber, channel);
        }
    }
    if (batch) {
        batch_send(batch);
    }
}

static void retry_unconfirmed(void *arg)
{
    struct redis_subscriber *subscriber = arg;
    struct subscriber_channel *channel, *next;

    HASH_ITER (hh, subscriber->channels, channel, next) {
        if (channel->users > 0 && !is_requested(channel)) {
            mark_dirty(subscriber, channel);
        }
    }
}

/* Events of the link. */

static bool handle_push(void *arg, const struct redis_reply *reply)
{
    struct redis_subscriber *subscriber = arg;
    struct subscriber_channel *channel;

    if (reply->type != REDIS_ARRAY || reply->count != 3 ||
        !bytes_equal(reply->elements[0]->text, BYTES_LITERAL("message"))) {
        return false;
    }
    channel = find_subscribed_channel(subscriber, reply->elements[1]->text);
    if (channel && channel->users > 0) {
        subscriber->callbacks.message(subscriber->arg, reply->elements[1]->text,
                                      reply->elements[2]->text);
    }
    return true;
}

/* Detects a dead connection: a PING that is not answered times out. */
static void ping(void *arg)
{
    struct redis_subscriber *subscriber = arg;

    if (redis_link_is_up(subscriber->link)) {
        if (subscriber->link->pending_count == 0) {
            redis_command_strings(subscriber->link, NULL, NULL, "PING", NULL);
        }
        loop_timer_start(subscriber->ping_timer, (uint64_t)subscriber->settings->timeout / 2 + 1);
    }
}

static void on_subscriber_link_up(void *arg, const char *run_id)
{
    struct redis_subscriber *subscriber = arg;

    retry_unconfirmed(subscriber);
    loop_timer_start(subscriber->ping_timer, (uint64_t)subscriber->settings->timeout / 2 + 1);
    if (subscriber->callbacks.up) {
        subscriber->callbacks.up(subscriber->arg);
    }
}

static void link_down(void *arg)
{
    struct redis_subscriber *subscriber = arg;
    struct subscriber_channel *channel, *next;

    HASH_ITER (hh, subscriber->channels, channel, next) {
        channel_apply(channel, CHANNEL_LOST);
        channel->pending = 0;
        forget_if_unused(subscriber, channel);
    }
    loop_timer_stop(subscriber->ping_timer);
    loop_timer_stop(subscriber->retry_timer);
    if (subscriber->callbacks.down) {
        subscriber->callbacks.down(subscriber->arg);
    }
}

/* The public part. */

static void free_subscriber(void *arg)
{
    struct redis_subscriber *subscriber = arg;
    struct subscriber_channel *channel, *next;

    HASH_ITER (hh, subscriber->channels, channel, next) {
        forget_channel(subscriber, channel);
    }
    free(subscriber);
}

struct redis_subscriber *redis_subscriber_create(struct loop *loop, const char *name,
                                                 const struct redis_target *target,
                                                 const struct redis_settings *settings,
                                                 const struct redis_subscriber_callbacks *callbacks,
                                                 void *arg)
{
    const struct redis_link_callbacks link_callbacks = {.up = on_subscriber_link_up,
                                                        .down = link_down};
    struct redis_subscriber *subscriber = mem_zalloc(1, sizeof *subscriber);

    subscriber->loop = loop;
    subscriber->settings = settings;
    subscriber->callbacks = *callbacks;
    subscriber->arg = arg;
    list_init(&subscriber->dirty);
    subscriber->send_task = (struct loop_task){.callback = send_channel_changes, .arg = subscriber};
    subscriber->free_task = (struct loop_task){.callback = free_subscriber, .arg = subscriber};
    subscriber->ping_timer = loop_timer_create(loop, ping, subscriber);
    subscriber->retry_timer = loop_timer_create(loop, retry_unconfirmed, subscriber);
    subscriber->link = redis_link_create_pushed(loop, name, target, settings, &link_callbacks,
                                                subscriber, handle_push);
    return subscriber;
}

void redis_subscriber_destroy(struct redis_subscriber **pointer)
{
    struct redis_subscriber *subscriber = *pointer;

    *pointer = NULL;
    if (!subscriber) {
        return;
    }
    redis_link_destroy(&subscriber->link);
    loop_cancel(subscriber->loop, &subscriber->send_task);
    loop_timer_destroy(&subscriber->ping_timer);
    loop_timer_destroy(&subscriber->retry_timer);
    loop_defer(subscriber->loop, LOOP_PHASE_FREE, &subscriber->free_task);
}

void redis_subscribe(struct redis_subscriber *subscriber, struct bytes name)
{
    struct subscriber_channel *channel = find_or_create(subscriber, name);

    if (channel->users++ == 0) {
        mark_dirty(subscriber, channel);
    }
}

void redis_unsubscribe(struct redis_subscriber *subscriber, struct bytes name)
{
    struct subscriber_channel *channel = find_subscribed_channel(subscriber, name);

    if (channel && channel->users > 0 && --channel->users == 0) {
        mark_dirty(subscriber, channel);
    }
}

void redis_subscribe_again(struct redis_subscriber *subscriber, struct bytes name)
{
    struct subscriber_channel *channel = find_subscribed_channel(subscriber, name);

    if (channel && channel->users > 0 && channel->pending == 0) {
        channel_apply(channel, CHANNEL_LOST);
        mark_dirty(subscriber, channel);
    }
}

bool redis_subscriber_is_up(const struct redis_subscriber *subscriber)
{
    return subscriber != NULL && redis_link_is_up(subscriber->link);
}

struct redis_link *redis_subscriber_link(const struct redis_subscriber *subscriber)
{
    return subscriber->link;
}

void redis_subscriber_reset(struct redis_subscriber *subscriber, const char *why)
{
    redis_link_reset(subscriber->link, why);
}
