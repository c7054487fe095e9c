/*
 * broadcast: packets for all clients of a space. Each is published once, on the space's channel,
 * to which every front-end with a listener is subscribed.
 */
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "map/wait.h"
#include "metrics/metrics.h"
#include "redis/redis.h"
#include "relay/relay_private.h"
#include "schema/format.h"
#include "schema/keys.h"

struct relay_broadcast {
    struct channel_user channel;
    struct map_space *space;
};

static struct relay_space *relay_space_of(const struct map_space *space)
{
    return &relays_of(map_space_map(space))->spaces[map_space_index(space)];
}

struct list *relay_listeners(const struct map_space *space)
{
    return &relay_space_of(space)->listeners;
}

static void deliver_broadcast(struct map_space *space, struct bytes from, struct bytes packet)
{
    LIST_FOREACH (node, relay_listeners(space)) {
        struct relay_listener *listener = list_entry(node, struct relay_listener, link);
        if (listener->broadcast) {
            listener->broadcast(listener, from, packet);
        }
    }
}

/* "<node> <fromlen> <len>\n" from packet */
static void on_message(void *arg, struct bytes message)
{
    static struct log_limit limit = {.burst = 5};
    struct relay_broadcast *broadcast = arg;
    if (format_is_unknown(FORMAT_RELAY, map_space_name(broadcast->space), message)) {
        return;
    }
    struct cursor cursor = cursor_over(message);
    struct bytes node = cursor_until(&cursor, ' ');
    size_t from_len = cursor_decimal(&cursor, ' '), len = cursor_decimal(&cursor, '\n');
    struct bytes from = cursor_take(&cursor, from_len), packet = cursor_take(&cursor, len);
    if (cursor.failed) {
        metrics_add(METRIC_MALFORMED_FROM_REDIS, 1);
        log_limited(LOG_WARN, &limit, "malformed_relay", LOG_STRING("verb", "everyone"));
        return;
    }
    if (!bytes_equal(node, bytes_from_string(map_node_id(map_space_map(broadcast->space))))) {
        deliver_broadcast(broadcast->space, from, packet);
    }
}

/* Packets published while the subscription was lost are lost, too: nobody waits for them. */
static void on_broadcast_subscribed(void *arg)
{
}

static bool has_broadcast_listener(struct relay_space *space)
{
    LIST_FOREACH (node, &space->listeners) {
        if (list_entry(node, struct relay_listener, link)->broadcast) {
            return true;
        }
    }
    return false;
}

static void create_broadcast_channel(struct map_space *space, struct relay_space *relay)
{
    static const struct channel_callbacks callbacks = {.subscribed = on_broadcast_subscribed,
                                                       .message = on_message};
    struct map *map = map_space_map(space);
    char *name = keys_everyone(map_prefix(map), map_database(map), map_space_name(space));
    relay->broadcast = mem_zalloc(1, sizeof *relay->broadcast);
    relay->broadcast->space = space;
    channel_join(map_channels(map), &relay->broadcast->channel, bytes_from_string(name), &callbacks,
                 relay->broadcast);
    free(name);
}

void relay_broadcast_free(struct relay_space *space)
{
    if (!space->broadcast) {
        return;
    }
    channel_leave(&space->broadcast->channel);
    free(space->broadcast);
    space->broadcast = NULL;
}

void relay_listen(struct map_space *space, struct relay_listener *listener)
{
    struct relay_space *relay = relay_space_of(space);
    listener->space = space;
    list_append(&relay->listeners, &listener->link);
    if (!relay->broadcast && listener->broadcast) {
        create_broadcast_channel(space, relay);
    }
}

void relay_unlisten(struct relay_listener *listener)
{
    struct map_space *space = listener->space;
    if (!space) {
        return;
    }
    listener->space = NULL;
    list_remove(&listener->link);
    struct relay_space *relay = relay_space_of(space);
    if (!has_broadcast_listener(relay)) {
        relay_broadcast_free(relay);
    }
}

static void on_broadcast_published(void *arg, enum redis_status status,
                                   const struct redis_reply *reply)
{
    struct wait_reply wait = *(struct wait_reply *)arg;
    free(arg);
    if (status == REDIS_OK) {
        wait_settle(wait.map, wait.number, MAP_OK);
    } else if (status == REDIS_REFUSED) {
        wait_settle(wait.map, wait.number, MAP_REFUSED);
    }
}

void relay_send_broadcast(struct map_session *session, struct bytes from, struct bytes packet,
                          map_done done, void *arg)
{
    struct map_space *space = map_session_space(session);
    struct map *map = map_space_map(space);
    struct writer message = {0};
    uint64_t number;
    if (!wait_begin(map, session, packet.len, done, arg, &number)) {
        return;
    }
    char *channel = keys_everyone(map_prefix(map), map_database(map), map_space_name(space));
    writer_format(&message, "%s %zu %zu\n", map_node_id(map), from.len, packet.len);
    writer_bytes(&message, from);
    writer_bytes(&message, packet);
    struct bytes args[] = {BYTES_LITERAL("PUBLISH"), bytes_from_string(channel),
                           writer_bytes_written(&message)};
    redis_command(map_link(map), on_broadcast_published, wait_reply_create(map, number), 3, args);
    writer_free(&message);
    free(channel);
    deliver_broadcast(space, from, packet);
}
