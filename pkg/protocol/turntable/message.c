/* turntable_message: reading and dispatching messages, and errors. */
#include <stdlib.h>

#include "base/mem.h"
#include "protocol/turntable/turntable_private.h"

#define CODE_METRIC(name, text) [TURNTABLE_CODE_##name] = METRIC_TURNTABLE_ERROR_##name,
static const enum metric code_metrics[] = {TURNTABLE_CODES(CODE_METRIC)};
#undef CODE_METRIC

#define INVITATION_UNITS 2 /* of the budget */

void turntable_send_error(struct turntable_session *session, enum turntable_code code,
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
    turntable_send_error(session, code, why, command);
    log_limited(LOG_INFO, &session->port->service->refused_limit, "turntable_message_refused",
                LOG_STRING("peer", conn_peer_text(turntable_conn(session))),
                LOG_STRING("code", turntable_code_name(code)), LOG_STRING("reason", why));
    if (error_budget_spend(&session->errors, turntable_now_ms(session), settings->error_window) >=
        (uint64_t)settings->max_errors) {
        turntable_close(session, WEBSOCKET_POLICY, "too many errors");
    }
}

void turntable_send_result(struct turntable_session *session, enum map_result result,
                           const char *what, const char *command)
{
    static const char *const reasons[] = {
        [MAP_OK] = "done",
        [MAP_STALE] = "it is stale",
        [MAP_OWNED] = "another client owns it",
        [MAP_TAKEN] = "the name is taken",
        [MAP_MISSING] = "it does not exist",
        [MAP_LIMIT] = "the limit is reached",
        [MAP_FULL] = "the memory of Redis is nearly full",
        [MAP_DEADLINE] = "the map did not answer in time",
        [MAP_REFUSED] = "the map refuses it",
    };
    enum turntable_code code = result == MAP_LIMIT || result == MAP_FULL
                                   ? TURNTABLE_CODE_LIMIT
                                   : TURNTABLE_CODE_UNAVAILABLE;
    char *why = mem_format("%s: %s", what, reasons[result]);
    turntable_send_error(session, code, why, command);
    free(why);
}

static void handle_status(struct turntable_session *session,
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
    [TURNTABLE_IDME] = {turntable_identity_idme, METRIC_TURNTABLE_IDME, false},
    [TURNTABLE_SUBSCRIBE] = {turntable_presence_subscribe, METRIC_TURNTABLE_SUBSCRIBE, false},
    [TURNTABLE_UNSUBSCRIBE] = {turntable_presence_unsubscribe, METRIC_TURNTABLE_UNSUBSCRIBE, false},
    [TURNTABLE_STATUS] = {handle_status, METRIC_TURNTABLE_STATUS, true},
    [TURNTABLE_JOINGAME] = {turntable_identity_join, METRIC_TURNTABLE_JOINGAME, false},
    [TURNTABLE_GAME] = {turntable_room_game, METRIC_TURNTABLE_GAME, true},
    [TURNTABLE_LEAVEGAME] = {turntable_room_leave, METRIC_TURNTABLE_LEAVEGAME, true},
    [TURNTABLE_WHOTHERE] = {turntable_whothere_answer, METRIC_TURNTABLE_WHOTHERE, false},
};

static void handle_turntable_message(struct turntable_session *session,
                                     const struct turntable_message *message)
{
    const char *name = turntable_command_name(message->command);
    metrics_add(commands[message->command].metric, 1);
    if (message->command != TURNTABLE_IDME && !turntable_identity_is_admitted(session)) {
        turntable_message_refuse(session, TURNTABLE_CODE_UNAUTHORIZED,
                                 "idme with a token comes first", name);
    } else if (commands[message->command].needs_identity &&
               session->state != TURNTABLE_SESSION_IDENTIFIED) {
        turntable_message_refuse(session, TURNTABLE_CODE_NOT_IDENTIFIED, "idme comes first", name);
    } else {
        commands[message->command].take(session, message);
    }
}

static struct turntable_limits turntable_limits_of(const struct turntable_settings *settings,
                                                   struct bytes bytes)
{
    struct turntable_limits limits = TURNTABLE_LIMITS_DEFAULT;
    limits.json.bytes = bytes.len; /* ws.max_message limits it */
    /* The ids of a list have a limit of their own. */
    if (settings->max_ids < (int64_t)(UINT32_MAX - limits.json.values)) {
        limits.json.values += (unsigned)settings->max_ids;
    }
    limits.ids = (size_t)settings->max_ids;
    limits.invited = (size_t)settings->max_invites;
    limits.room = (size_t)settings->max_room_name;
    limits.actions = (size_t)settings->max_actions;
    limits.strict = settings->id_form == TURNTABLE_ID_STRICT;
    return limits;
}

/* In units, beside what the message itself has cost: each id is looked up and subscribed in Redis,
 * or invited, which takes more commands; a message to a room, and what changes an entry, is written
 * there once. */
static uint32_t turntable_message_cost(const struct turntable_message *message)
{
    const uint32_t each = message->command == TURNTABLE_JOINGAME ? INVITATION_UNITS : 1;
    return 1 + each * (uint32_t)message->id_count;
}

void turntable_message_receive(struct turntable_session *session, enum websocket_opcode opcode,
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
    conn_charge(turntable_conn(session), turntable_message_cost(&message));
    handle_turntable_message(session, &message);
    turntable_message_free(&message);
}
