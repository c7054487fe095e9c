/* everyone: packets for everybody in a space: once to each front-end that has somebody there. */
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "map/wait.h"
#include "metrics/metrics.h"
#include "redis/redis.h"
#include "relay/relay_private.h"
#include "schema/format.h"
#include "schema/keys.h"

struct everyone {
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
        struct map_listener *listener = list_entry(node, struct map_listener, link);
        if (listener->everyone)
            listener->everyone(listener, from, packet);
    }
}

/* "<node> <fromlen> <len>\n" from packet */
static void on_message(void *arg, struct bytes message)
{
    static struct log_limit limit = {.burst = 5};
    struct everyone *everyone = arg;
    if (format_is_unknown(FORMAT_RELAY, map_space_name(everyone->space), message))
        return;
    struct cursor cursor = cursor_over(message);
    struct bytes node = cursor_until(&cursor, ' ');
    size_t from_len = cursor_decimal(&cursor, ' '), len = cursor_decimal(&cursor, '\n');
    struct bytes from = cursor_take(&cursor, from_len), packet = cursor_take(&cursor, len);
    if (cursor.failed) {
        metrics_add(METRIC_MALFORMED_FROM_REDIS, 1);
        log_limited(LOG_WARN, &limit, "malformed_relay", LOG_STRING("verb", "everyone"));
        return;
    }
    if (!bytes_equal(node, bytes_from_string(map_node_id(map_space_map(everyone->space)))))
        deliver_broadcast(everyone->space, from, packet);
}

/* What came before is nobody's any more. */
static void on_broadcast_subscribed(void *arg)
{
}

static bool is_listened_to(struct relay_space *space)
{
    LIST_FOREACH (node, &space->listeners) {
        if (list_entry(node, struct map_listener, link)->everyone)
            return true;
    }
    return false;
}

static void create_broadcast_channel(struct map_space *space, struct relay_space *relay)
{
    static const struct channel_callbacks callbacks = {.subscribed = on_broadcast_subscribed,
                                                       .message = on_message};
    struct map *map = map_space_map(space);
    char *name = keys_everyone(map_prefix(map), map_database(map), map_space_name(space));
    relay->everyone = mem_zalloc(1, sizeof *relay->everyone);
    relay->everyone->space = space;
    channel_join(map_channels(map), &relay->everyone->channel, bytes_from_string(name), &callbacks,
                 relay->everyone);
    free(name);
}

void everyone_free(struct relay_space *space)
{
    if (!space->everyone)
        return;
    channel_leave(&space->everyone->channel);
    free(space->everyone);
    space->everyone = NULL;
}

void map_listen(struct map_space *space, struct map_listener *listener)
{
    struct relay_space *relay = relay_space_of(space);
    listener->space = space;
    list_append(&relay->listeners, &listener->link);
    if (!relay->everyone && listener->everyone)
        create_broadcast_channel(space, relay);
}

void map_unlisten(struct map_listener *listener)
{
    struct map_space *space = listener->space;
    if (!space)
        return;
    listener->space = NULL;
    list_remove(&listener->link);
    struct relay_space *relay = relay_space_of(space);
    if (!is_listened_to(relay))
        everyone_free(relay);
}

static void on_broadcast_published(void *arg, enum redis_status status,
                                   const struct redis_reply *reply)
{
    struct wait_reply wait = *(struct wait_reply *)arg;
    free(arg);
    if (status == REDIS_OK)
        wait_settle(wait.map, wait.number, MAP_OK);
    else if (status == REDIS_REFUSED)
        wait_settle(wait.map, wait.number, MAP_REFUSED);
}

void map_relay_all(struct map_session *session, struct bytes from, struct bytes packet,
                   map_done done, void *arg)
{
    struct map_space *space = map_session_space(session);
    struct map *map = map_space_map(space);
    struct writer message = {0};
    uint64_t number;
    if (!wait_begin(map, session, packet.len, done, arg, &number))
        return;
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
