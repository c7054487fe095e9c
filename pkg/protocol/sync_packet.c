/* sync_packet: what a client's packet asks, and its refusal. */
#include "metrics/metrics.h"
#include "protocol/sync_private.h"

static const enum metric error_metrics[] = {
#define CODE_METRIC(name, text) [SYNC_CODE_##name] = METRIC_SYNC_ERROR_##name,
    SYNC_CODES(CODE_METRIC)
#undef CODE_METRIC
};

void sync_packet_refuse(struct sync_session *session, enum sync_code code, const char *why)
{
    const struct sync_settings *settings = session->port->settings;
    uint32_t now = (uint32_t)loop_now_ms(session->port->service->loop);
    struct writer text = {0};
    sync_write_error(&text, code, why);
    websocket_send(session->websocket, WEBSOCKET_TEXT, writer_bytes_written(&text));
    writer_free(&text);
    metrics_add(error_metrics[code], 1);
    log_limited(LOG_INFO, &session->port->service->refused_limit, "sync_refused",
                LOG_STRING("peer", conn_peer_text(websocket_conn(session->websocket))),
                LOG_STRING("code", sync_code_name(code)), LOG_STRING("reason", why));
    if (session->errors == 0 || now - session->errors_since >= (uint64_t)settings->error_window) {
        session->errors_since = now;
        session->errors = 0;
    }
    session->errors++;
    if (session->errors >= (uint64_t)settings->max_errors)
        sync_session_close(session, WEBSOCKET_POLICY, "too many errors");
}

static struct sync_limits limits_of(const struct sync_settings *settings, struct bytes bytes)
{
    struct sync_limits limits = SYNC_LIMITS_DEFAULT;
    limits.json.bytes = bytes.len; /* ws.max_message has judged it */
    limits.properties = (size_t)settings->max_properties;
    limits.name = (size_t)settings->max_name;
    limits.total = (size_t)settings->max_total;
    limits.receivers = (size_t)settings->max_receivers;
    return limits;
}

void sync_packet_take(struct sync_session *session, enum websocket_opcode opcode,
                      struct bytes bytes)
{
    struct sync_limits limits = limits_of(session->port->settings, bytes);
    struct sync_packet packet;
    struct sync_error error;
    if (opcode != WEBSOCKET_TEXT) {
        sync_packet_refuse(session, SYNC_CODE_BAD_JSON, "a text message is expected");
        return;
    }
    if (!sync_read(bytes, &limits, &packet, &error)) {
        sync_packet_refuse(session, error.code, error.detail.text);
        return;
    }
    if (packet.kind == SYNC_PING)
        metrics_add(METRIC_SYNC_PING, 1);
    else
        sync_packet_refuse(session, SYNC_CODE_UNAVAILABLE, "the map cannot be asked");
    sync_packet_free(&packet);
}
