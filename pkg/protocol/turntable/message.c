/* turntable_message: what a message asks, and its refusal. */
#include <stdlib.h>

#include "base/mem.h"
#include "protocol/turntable/turntable_private.h"

#define CODE_METRIC(name, text) [TURNTABLE_CODE_##name] = METRIC_TURNTABLE_ERROR_##name,
static const enum metric code_metrics[] = {TURNTABLE_CODES(CODE_METRIC)};
#undef CODE_METRIC

void turntable_message_tell(struct turntable_session *session, enum turntable_code code,
                            const char *why, const char *command)
{
    struct writer text = {0};
    turntable_write_error(&text, code, why, command);
    turntable_send(session, code_metrics[code], &text);
    writer_free(&text);
}

void turntable_message_refuse(struct turntable_session *session, enum turntable_code code,
                              const char *why, const char *command)
{
    const struct turntable_settings *settings = session->port->settings;
    turntable_message_tell(session, code, why, command);
    log_limited(LOG_INFO, &session->port->service->refused_limit, "turntable_message_refused",
                LOG_STRING("peer", conn_peer_text(turntable_conn(session))),
                LOG_STRING("code", turntable_code_name(code)), LOG_STRING("reason", why));
    if (error_budget_spend(&session->errors, turntable_now_ms(session), settings->error_window) >=
        (uint64_t)settings->max_errors)
        turntable_close(session, WEBSOCKET_POLICY, "too many errors");
}

void turntable_message_tell_result(struct turntable_session *session, enum map_result result,
                                   const char *what, const char *command)
{
    static const char *const reasons[] = {
        [MAP_OK] = "done",
        [MAP_STALE] = "it is stale",
        [MAP_OWNED] = "somebody else has it",
        [MAP_TAKEN] = "the name is taken",
        [MAP_MISSING] = "it is not there",
        [MAP_LIMIT] = "there are as many as there may be",
        [MAP_DEADLINE] = "the map did not answer in time",
        [MAP_REFUSED] = "the map refuses it",
    };
    enum turntable_code code =
        result == MAP_LIMIT ? TURNTABLE_CODE_LIMIT : TURNTABLE_CODE_UNAVAILABLE;
    char *why = mem_format("%s: %s", what, reasons[result]);
    turntable_message_tell(session, code, why, command);
    free(why);
}

static void take_status_message(struct turntable_session *session,
                                const struct turntable_message *message)
{
    session->busy = message->status == TURNTABLE_BUSY;
    turntable_identity_update_status(session);
}

static const struct {
    void (*take)(struct turntable_session *session, const struct turntable_message *message);
    enum metric metric;
    bool needs_identity;
} commands[TURNTABLE_COMMANDS] = {
    [TURNTABLE_IDME] = {turntable_identity_take, METRIC_TURNTABLE_IDME, false},
    [TURNTABLE_SUBSCRIBE] = {turntable_presence_subscribe, METRIC_TURNTABLE_SUBSCRIBE, false},
    [TURNTABLE_UNSUBSCRIBE] = {turntable_presence_unsubscribe, METRIC_TURNTABLE_UNSUBSCRIBE, false},
    [TURNTABLE_STATUS] = {take_status_message, METRIC_TURNTABLE_STATUS, true},
    [TURNTABLE_JOINGAME] = {turntable_identity_take_join, METRIC_TURNTABLE_JOINGAME, false},
    [TURNTABLE_GAME] = {turntable_room_take_game, METRIC_TURNTABLE_GAME, true},
    [TURNTABLE_LEAVEGAME] = {turntable_room_take_leave, METRIC_TURNTABLE_LEAVEGAME, true},
    [TURNTABLE_WHOTHERE] = {turntable_there_take, METRIC_TURNTABLE_WHOTHERE, false},
};

static void take_turntable_message(struct turntable_session *session,
                                   const struct turntable_message *message)
{
    const char *name = turntable_command_name(message->command);
    metrics_add(commands[message->command].metric, 1);
    if (message->command != TURNTABLE_IDME && !turntable_identity_is_admitted(session))
        turntable_message_refuse(session, TURNTABLE_CODE_UNAUTHORIZED,
                                 "idme with a token comes first", name);
    else if (commands[message->command].needs_identity && session->state != SESSION_IDENTIFIED)
        turntable_message_refuse(session, TURNTABLE_CODE_NOT_IDENTIFIED, "idme comes first", name);
    else
        commands[message->command].take(session, message);
}

static struct turntable_limits turntable_limits_of(const struct turntable_settings *settings,
                                                   struct bytes bytes)
{
    struct turntable_limits limits = TURNTABLE_LIMITS_DEFAULT;
    /* ws.max_message has judged it. */
    limits.json.bytes = bytes.len;
    /* Besides the ids of a list, for which there is a setting. */
    if (settings->max_ids < (int64_t)(UINT32_MAX - limits.json.values))
        limits.json.values += (unsigned)settings->max_ids;
    limits.ids = (size_t)settings->max_ids;
    limits.room = (size_t)settings->max_room_name;
    limits.actions = (size_t)settings->max_actions;
    limits.strict = settings->id_form == TURNTABLE_ID_STRICT;
    return limits;
}

void turntable_message_take(struct turntable_session *session, enum websocket_opcode opcode,
                            struct bytes bytes)
{
    struct turntable_limits limits = turntable_limits_of(session->port->settings, bytes);
    struct turntable_message message;
    struct turntable_error error;
    if (opcode != WEBSOCKET_TEXT) {
        turntable_message_refuse(session, TURNTABLE_CODE_BAD_JSON, "a text message is expected",
                                 "");
        return;
    }
    if (!turntable_read(bytes, &limits, &message, &error)) {
        turntable_message_refuse(session, error.code, error.detail.text, error.command);
        return;
    }
    take_turntable_message(session, &message);
    turntable_message_free(&message);
}
