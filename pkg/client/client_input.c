/*
 * client: input from the server.
 *
 * Replies arrive in the order of the requests, with pushes between them. A push begins with the
 * magic number. No reply of VERSIONED does, because ids that a server assigns are shorter.
 */
#include "client/client_private.h"

#include <string.h>

#include "client/reply_private.h"

/* Calls map_received if packets have arrived since the last call. */
static void notify_map(struct tracker_client *client)
{
    struct client_map *map = &client->map;
    if (!map->unreported) {
        return;
    }
    map->unreported = false;
    if (client->events->map_received) {
        client->events->map_received(client->arg, map->version,
                                     writer_bytes_written(&map->entries));
    }
}

/* False when the map exceeds max_map. */
static bool append_map_packet(struct tracker_client *client, const struct tracker_push *push)
{
    struct client_map *map = &client->map;
    if (!map->begun || map->version != push->version) {
        writer_reset(&map->entries);
    }
    map->begun = true;
    map->version = push->version;
    map->unreported = true;
    if (!client->events->map_received) {
        return true;
    }
    writer_bytes(&map->entries, push->entries);
    return map->entries.len <= client->options.max_map;
}

static struct tracker_result read_client_push(struct tracker_client *client, struct bytes input)
{
    struct tracker_push push;
    struct tracker_result result = tracker_read_push(input, &push);
    if (result.outcome != TRACKER_MESSAGE) {
        return result;
    }
    if (client->options.acknowledge_pushes) {
        tracker_write_ack(&client->wire.out, true);
        wire_send(&client->wire);
    }
    const unsigned generation = client->wire.generation;
    if (push.type != TRACKER_ALL || push.version != client->map.version) {
        notify_map(client);
    }
    if (client->wire.generation != generation) {
        return result;
    }
    if (push.type == TRACKER_UPDATE) {
        if (client->events->updated) {
            client->events->updated(client->arg, push.version, push.id, push.state);
        }
    } else if (!append_map_packet(client, &push)) {
        result.outcome = TRACKER_FAILED;
        result.reason = "the map exceeds max_map";
    }
    return result;
}

static void notify_opened(struct tracker_client *client, struct bytes id, bool adopted)
{
    if (client->events->opened) {
        client->events->opened(client->arg, id, adopted);
    }
}

static void notify_replied(struct tracker_client *client, enum tracker_client_request request,
                           bool accepted)
{
    if (client->events->replied) {
        client->events->replied(client->arg, request,
                                accepted ? TRACKER_CLIENT_ACCEPTED : TRACKER_CLIENT_REFUSED);
    }
}

/* The map did not answer in time; a client with `reconnect` tries again. */
static bool is_late_refusal(const struct tracker_client *client, uint64_t sent_ms)
{
    return client->options.reconnect && loop_now_ms(client->loop) - sent_ms >= CLIENT_LATE_MS;
}

static void on_open_refused(struct tracker_client *client, const struct client_pending *pending)
{
    struct client_entry *entry = &client->entry;
    if (entry->state != ENTRY_OPENING) {
        if (pending->kind == TRACKER_CLIENT_OPEN) {
            notify_replied(client, TRACKER_CLIENT_OPEN, false);
        }
        return;
    }
    if (is_late_refusal(client, pending->sent_ms) ||
        (pending->kind == PENDING_REOPEN && entry->was_open && client->options.reconnect)) {
        /* Try the old id first: the entry may still belong to this client. */
        if (entry->was_open && client_dialect_has_ids(client)) {
            entry->state = ENTRY_OPEN;
        }
        client_entry_retry(client);
        return;
    }
    entry->state = ENTRY_NONE;
    notify_replied(client, TRACKER_CLIENT_OPEN, false);
}

static void on_open_accepted(struct tracker_client *client, struct bytes id)
{
    struct client_entry *entry = &client->entry;
    /* A dialect without ids may have closed it meanwhile. */
    if (entry->state != ENTRY_NONE) {
        entry->state = ENTRY_OPEN;
        entry->was_open = true;
        entry->version = 0;
        entry->id_len = (uint8_t)id.len;
        client->refusals = 0;
        if (id.len > 0) {
            memcpy(entry->id, id.data, id.len);
        }
    }
    notify_opened(client, id, false);
}

static void on_get_reply(struct tracker_client *client, const struct reply *reply)
{
    if (client->options.dialect == TRACKER_2013) {
        notify_replied(client, TRACKER_CLIENT_GET, reply->accepted);
    } else if (client->events->map_text_received) {
        client->events->map_text_received(client->arg, reply->bytes);
    }
}

static void on_adopt_reply(struct tracker_client *client, const struct client_pending *pending,
                           bool accepted)
{
    /* Closed meanwhile. */
    if (client->entry.state != ENTRY_OPEN) {
        return;
    }
    if (accepted) {
        client->refusals = 0;
        notify_opened(client, tracker_client_entry_id(client), true);
    } else if (is_late_refusal(client, pending->sent_ms)) {
        client_entry_retry(client);
    } else {
        client_entry_reopen(client);
    }
}

/* An Update or a Close. A late refusal may still take effect, so the newest state is sent again. */
static void on_write_reply(struct tracker_client *client, const struct client_pending *pending,
                           bool accepted)
{
    enum tracker_client_request request = client_pending_request(pending->kind);
    if (accepted || !is_late_refusal(client, pending->sent_ms)) {
        notify_replied(client, request, accepted);
        return;
    }
    if (request == TRACKER_CLIENT_UPDATE && client->entry.state == ENTRY_OPEN) {
        client_entry_retry(client);
    }
    if (client->events->replied) {
        client->events->replied(client->arg, request, TRACKER_CLIENT_LOST);
    }
}

static void dispatch_client_reply(struct tracker_client *client,
                                  const struct client_pending *pending, const struct reply *reply)
{
    enum tracker_client_request request = client_pending_request(pending->kind);
    if (pending->kind == PENDING_ADOPT) {
        on_adopt_reply(client, pending, reply->accepted);
    } else if (request == TRACKER_CLIENT_OPEN && reply->accepted) {
        on_open_accepted(client, reply->bytes);
    } else if (request == TRACKER_CLIENT_OPEN) {
        on_open_refused(client, pending);
    } else if (request == TRACKER_CLIENT_GET) {
        on_get_reply(client, reply);
    } else {
        on_write_reply(client, pending, reply->accepted);
    }
}

static struct tracker_result read_reply(struct tracker_client *client, struct bytes input)
{
    struct reply reply;
    if (client_pending_count(client) == 0) {
        return (struct tracker_result){.outcome = TRACKER_FAILED,
                                       .reason = "a reply without a request"};
    }
    const struct client_pending pending = client_pending_peek(client, 0);
    const struct tracker_result result =
        reply_read(input, client->options.dialect, client_pending_request(pending.kind),
                   client->options.max_map, &reply);
    if (result.outcome != TRACKER_MESSAGE) {
        return result;
    }
    const unsigned generation = client->wire.generation;
    client_pending_pop(client);
    notify_map(client);
    if (client->wire.generation != generation) {
        return result;
    }
    dispatch_client_reply(client, &pending, &reply);
    return result;
}

size_t client_input(void *arg, struct bytes input)
{
    struct tracker_client *client = arg;
    const unsigned generation = client->wire.generation;
    size_t taken = 0;
    client->failures = 0;
    while (taken < input.len) {
        const struct bytes left = {input.data + taken, input.len - taken};
        const bool is_push =
            client->options.dialect == TRACKER_VERSIONED && left.data[0] == TRACKER_MAGIC_DOCUMENT;
        const struct tracker_result result =
            is_push ? read_client_push(client, left) : read_reply(client, left);
        if (client->wire.generation != generation) {
            return 0;
        }
        if (result.outcome == TRACKER_FAILED) {
            wire_fail(&client->wire, result.reason);
            return 0;
        }
        if (result.outcome == TRACKER_MORE) {
            return taken;
        }
        taken += result.consumed;
    }
    /* No partial packet is left, so the map is as complete as the client can know. */
    notify_map(client);
    return taken;
}
