/* sync_packet: what a client's packet requests, and its refusal. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "metrics/metrics.h"
#include "protocol/sync/sync_private.h"
#include "schema/event.h"

/* Comparisons of a packet's property with one that its client has, for a unit of work. */
#define PAIRS_PER_UNIT 512
/* What members are sent at the next tick: a write to each, and the bytes. */
#define MEMBERS_PER_UNIT 2
#define BYTES_PER_UNIT   32768

static const enum metric error_metrics[] = {
#define CODE_METRIC(name, text) [SYNC_CODE_##name] = METRIC_SYNC_ERROR_##name,
    SYNC_CODES(CODE_METRIC)
#undef CODE_METRIC
};

void sync_packet_fail(struct sync_session *session, enum sync_code code, const char *why)
{
    struct writer text = {0};
    sync_write_error(&text, code, why);
    websocket_send(session->websocket, WEBSOCKET_TEXT, writer_bytes_written(&text));
    writer_free(&text);
    metrics_add(error_metrics[code], 1);
}

/* A packet was refused; a client with too many of them is closed. */
static void refuse_sync_packet(struct sync_session *session, enum sync_code code, const char *why)
{
    const struct sync_settings *settings = session->port->settings;
    uint64_t now = loop_now_ms(session->port->service->common.loop);
    sync_packet_fail(session, code, why);
    log_limited(LOG_INFO, &session->port->service->refused_limit, "sync_packet_refused",
                LOG_STRING("peer", conn_peer_text(websocket_conn(session->websocket))),
                LOG_STRING("code", sync_code_name(code)), LOG_STRING("reason", why));
    if (error_budget_spend(&session->errors, now, settings->error_window) >=
        (uint64_t)settings->max_errors) {
        sync_session_close(session, WEBSOCKET_POLICY, "too many errors");
    }
}

static struct sync_limits sync_limits_of(const struct sync_settings *settings, struct bytes bytes)
{
    struct sync_limits limits = SYNC_LIMITS_DEFAULT;
    limits.json.bytes = bytes.len; /* ws.max_message has limited it */
    limits.properties = (size_t)settings->max_properties;
    limits.name = (size_t)settings->max_name;
    limits.total = (size_t)settings->max_total;
    limits.receivers = (size_t)settings->max_receivers;
    return limits;
}

/* What the client has, from the entry's fields; to be freed. */
static struct sync_property *properties_of(const struct sync_session *session, size_t *count)
{
    struct bytes fields = map_session_fields(session->map, bytes_from_string(session->token));
    struct bytes rest = fields, field, value;
    struct sync_property *properties;
    size_t most = 1;
    while (event_field(&rest, &field, &value)) {
        most++;
    }
    properties = mem_zalloc(most, sizeof *properties);
    *count = 0;
    rest = fields;
    while (event_field(&rest, &field, &value)) {
        if (field.len >= 2 && memcmp(field.data, "p:", 2) == 0) {
            properties[(*count)++] = (struct sync_property){{field.data + 2, field.len - 2}, value};
        }
    }
    return properties;
}

/* Removes from the packet what is too much beside the properties that the client has. */
static void fit_packet(const struct sync_session *session, struct sync_packet *packet,
                       const struct sync_limits *limits)
{
    size_t count;
    struct sync_property *properties = properties_of(session, &count);
    uint64_t pairs = (uint64_t)count * (packet->property_count + packet->refused_count);
    /* 1: they are written to Redis. */
    conn_charge(websocket_conn(session->websocket), 1 + (uint32_t)(pairs / PAIRS_PER_UNIT));
    sync_packet_fit(packet, properties, count, limits);
    free(properties);
}

/* All changes until a tick are sent in one frame: the first of them pays for it, and for the whole
 * map, which members in full mode get with it. */
static void charge_for_members(struct sync_session *session, size_t len)
{
    struct sync_subscribers *subscribers = session->port->subscribers;
    struct conn *conn = websocket_conn(session->websocket);
    uint64_t units = (uint64_t)len * subscribers->member_count / BYTES_PER_UNIT;
    uint32_t most = conn_max_charge(conn);
    if (!subscribers->is_tick_paid) {
        units += subscribers->member_count / MEMBERS_PER_UNIT;
        units += (uint64_t)(subscribers->member_count - subscribers->deltas) *
                 subscribers->rest_len / BYTES_PER_UNIT;
        subscribers->is_tick_paid = true;
    }
    conn_charge(conn, units < most ? (uint32_t)units : most);
}

/* False when the entry is no longer the session's. */
static bool set_properties(struct sync_session *session, const struct sync_packet *packet)
{
    size_t count = packet->property_count, at = 0;
    struct map_field *changes = mem_zalloc(count + 1, sizeof *changes);
    struct writer names = {0};
    bool is_set;
    for (size_t i = 0; i < count; i++) {
        writer_string(&names, "p:");
        writer_bytes(&names, packet->properties[i].name);
    }
    for (size_t i = 0; i < count; i++) {
        size_t len = 2 + packet->properties[i].name.len;
        changes[i] = (struct map_field){.name = {names.data + at, len},
                                        .value = packet->properties[i].value};
        at += len;
    }
    is_set = map_session_set(session->map, bytes_from_string(session->token), changes, count);
    writer_free(&names);
    free(changes);
    return is_set;
}

static void handle_packet_properties(struct sync_session *session, struct sync_packet *packet,
                                     size_t len, const struct sync_limits *limits)
{
    metrics_add(METRIC_SYNC_PROPERTIES, 1);
    fit_packet(session, packet, limits);
    if (packet->refused_count > 0) {
        sync_refused_add(session, packet);
    }
    if (packet->property_count == 0) {
        return;
    }
    charge_for_members(session, len);
    if (!set_properties(session, packet)) {
        sync_packet_fail(session, SYNC_CODE_UNAVAILABLE, "the entry is no longer yours");
    }
}

void sync_packet_handle(struct sync_session *session, enum websocket_opcode opcode,
                        struct bytes bytes)
{
    struct sync_limits limits = sync_limits_of(session->port->settings, bytes);
    struct sync_packet packet;
    struct sync_error error;
    if (opcode != WEBSOCKET_TEXT) {
        refuse_sync_packet(session, SYNC_CODE_BAD_JSON, "a text message is expected");
        return;
    }
    if (!sync_read(bytes, &limits, &packet, &error)) {
        refuse_sync_packet(session, error.code, error.detail.text);
        return;
    }
    if (packet.kind == SYNC_RELAY || packet.everyone || packet.to_count > 0) {
        sync_relay_send(session, &packet);
    }
    switch (packet.kind) {
    case SYNC_PROPERTIES:
        handle_packet_properties(session, &packet, bytes.len, &limits);
        break;
    case SYNC_PING:
        metrics_add(METRIC_SYNC_PING, 1);
        break;
    case SYNC_UNKNOWN:
        refuse_sync_packet(session, SYNC_CODE_BAD_TYPE, "packet.type: " SYNC_UNKNOWN_REASON);
        break;
    case SYNC_RELAY:
        break;
    }
    sync_packet_free(&packet);
}
