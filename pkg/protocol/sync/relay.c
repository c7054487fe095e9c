/*
 * sync_relay: packets from client to client. The sender's front-end encodes what receivers get; it
 * is forwarded as it is.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "metrics/metrics.h"
#include "protocol/sync/sync_private.h"

/* One receiver of a packet, or all, until the outcome is known. */
struct sync_relay {
    struct list link; /* the session's */
    struct sync_session *session;
    uint8_t id_len; /* 0: all */
    uint8_t id[];
};

static void send_relay_failure(struct sync_session *session, const struct sync_relay *relay,
                               enum sync_code code, const char *why)
{
    char *text = relay->id_len > 0
                     ? mem_format("%.*s: %s", (int)relay->id_len, (const char *)relay->id, why)
                     : mem_strdup(why);
    sync_packet_fail(session, code, text);
    free(text);
}

/* A client that sends faster than it is answered must not starve the others. */
static void begin_relay(struct sync_session *session)
{
    if (++session->under_way >= (uint64_t)session->port->settings->pipeline) {
        conn_pause_reading(websocket_conn(session->websocket));
    }
}

static void end_relay(struct sync_session *session)
{
    if (--session->under_way < (uint64_t)session->port->settings->pipeline) {
        conn_resume_reading(websocket_conn(session->websocket));
    }
}

static void on_done(void *arg, enum map_result result, uint64_t version)
{
    struct sync_relay *relay = arg;
    struct sync_session *session = relay->session;
    list_remove(&relay->link);
    switch (result) {
    case MAP_OK:
        break;
    case MAP_DEADLINE:
        send_relay_failure(session, relay, SYNC_CODE_UNAVAILABLE,
                           "no answer in time, it may not have arrived");
        break;
    case MAP_REFUSED:
    case MAP_LIMIT:
        send_relay_failure(session, relay, SYNC_CODE_UNAVAILABLE,
                           "too many packets wait, this one was not sent");
        break;
    default:
        send_relay_failure(session, relay, SYNC_CODE_UNDELIVERABLE, "no receiver accepts packets");
        break;
    }
    free(relay);
    end_relay(session);
}

static struct sync_relay *create_sync_relay(struct sync_session *session, struct bytes id)
{
    struct sync_relay *relay = mem_alloc(sizeof *relay + id.len);
    relay->session = session;
    relay->id_len = (uint8_t)id.len;
    if (id.len > 0) {
        memcpy(relay->id, id.data, id.len);
    }
    list_init(&relay->link);
    list_append(&session->relays, &relay->link);
    begin_relay(session);
    return relay;
}

void sync_relay_send(struct sync_session *session, const struct sync_packet *packet)
{
    struct bytes from = bytes_from_string(session->token), text;
    struct writer writer = {0};
    metrics_add(METRIC_SYNC_RELAY, 1);
    sync_write_relay(&writer, packet, from);
    text = writer_bytes_written(&writer);
    if (packet->everyone) {
        relay_send_broadcast(session->map, from, text, on_done,
                             create_sync_relay(session, (struct bytes){NULL, 0}));
    }
    for (size_t i = 0; i < packet->to_count; i++) {
        relay_send_packet(session->map, from, packet->to[i], text, on_done,
                          create_sync_relay(session, packet->to[i]));
    }
    writer_free(&writer);
}

void sync_relay_forget(struct sync_session *session)
{
    while (!list_is_empty(&session->relays)) {
        struct sync_relay *relay = list_entry(session->relays.next, struct sync_relay, link);
        list_remove(&relay->link);
        free(relay);
    }
}

/* Packets cannot be joined: a client that does not read them is closed. */
static bool may_send_relayed(struct sync_session *session, size_t len)
{
    if (session->state != SYNC_MEMBER) {
        return false;
    }
    if (!conn_has_backlog(websocket_conn(session->websocket))) {
        return true;
    }
    session->unread += (uint32_t)len;
    if (session->unread <= (uint64_t)session->port->settings->max_backlog) {
        return true;
    }
    sync_session_end_later(session, SYNC_END_BACKLOG);
    return false;
}

bool sync_relay_receive(void *arg, struct bytes from, struct bytes packet)
{
    struct sync_session *session = arg;

    if (!may_send_relayed(session, packet.len)) {
        return false;
    }
    websocket_send(session->websocket, WEBSOCKET_TEXT, packet);
    metrics_add(METRIC_SYNC_PUSH_PACKET, 1);
    return true;
}

void sync_relay_broadcast(struct relay_listener *listener, struct bytes from, struct bytes packet)
{
    struct sync_subscribers *subscribers = list_entry(listener, struct sync_subscribers, listener);
    struct frame *frame;
    if (list_is_empty(&subscribers->members)) {
        return;
    }
    frame = websocket_frame_create(WEBSOCKET_TEXT, packet);
    LIST_FOREACH (node, &subscribers->members) {
        struct sync_session *session = list_entry(node, struct sync_session, place);
        if (!may_send_relayed(session, packet.len)) {
            continue;
        }
        websocket_send_frame(session->websocket, frame);
        metrics_add(METRIC_SYNC_PUSH_PACKET, 1);
    }
    frame_unref(&frame);
}
