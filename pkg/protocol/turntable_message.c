/* turntable_message: what a message asks, and its refusal. */
#include "protocol/turntable_private.h"

void message_refuse(struct turntable_session *session, enum turntable_code code, const char *why,
                    const char *command)
{
    const struct turntable_settings *settings = session->port->settings;
    uint32_t now = (uint32_t)session_now_ms(session);
    struct writer text = {0};
    turntable_write_error(&text, code, why, command);
    websocket_send(session->websocket, WEBSOCKET_TEXT, writer_bytes_written(&text));
    writer_free(&text);
    log_limited(LOG_INFO, &session->port->service->refused_limit, "turntable_refused",
                LOG_STRING("peer", conn_peer_text(websocket_conn(session->websocket))),
                LOG_STRING("code", turntable_code_name(code)), LOG_STRING("reason", why));
    if (session->errors == 0 || now - session->errors_since >= (uint64_t)settings->error_window) {
        session->errors_since = now;
        session->errors = 0;
    }
    session->errors++;
    if (session->errors >= (uint64_t)settings->max_errors)
        session_close(session, WEBSOCKET_POLICY, "too many errors");
}

static struct turntable_limits limits_of(const struct turntable_settings *settings,
                                         struct bytes bytes)
{
    struct turntable_limits limits = TURNTABLE_LIMITS_DEFAULT;
    limits.json.bytes = bytes.len;
    limits.ids = (size_t)settings->max_ids;
    limits.room = (size_t)settings->max_room_name;
    limits.actions = (size_t)settings->max_actions;
    return limits;
}

void message_take(struct turntable_session *session, enum websocket_opcode opcode,
                  struct bytes bytes)
{
    struct turntable_limits limits = limits_of(session->port->settings, bytes);
    struct turntable_message message;
    struct turntable_error error;
    if (opcode != WEBSOCKET_TEXT) {
        message_refuse(session, TURNTABLE_CODE_BAD_JSON, "a text message is expected", "");
        return;
    }
    if (!turntable_read(bytes, &limits, &message, &error)) {
        message_refuse(session, error.code, error.detail.text, error.command);
        return;
    }
    message_refuse(session, TURNTABLE_CODE_UNAVAILABLE, "the map cannot be asked",
                   turntable_command_name(message.command));
    turntable_message_free(&message);
}
