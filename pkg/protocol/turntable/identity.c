/*
 * turntable_identity: which user a session is.
 *
 *   ANONYMOUS ── idme ──► IDENTIFYING ── its entry is open ──► IDENTIFIED
 *       ▲                      │
 *       └──── it is refused ───┘
 *
 * A joingame before idme identifies the session by its `self` in the same way, and then joins. The
 * original program's page does that: its connection for a game sends nothing else.
 *
 * A session's entry is closed with the session, not kept for a reconnect: what a reconnect within
 * presence.offline_delay keeps is the user's status, which the map takes care of.
 *
 * With authentication on, a session has credentials: the token of its upgrade request or its idme
 * says which user it may be, and for how long it may stay.
 */
#include <stdlib.h>
#include <string.h>

#include "auth/token.h"
#include "base/mem.h"
#include "protocol/turntable/turntable_private.h"

struct credentials {
    const struct auth_verifier *tokens;
    char *user; /* NULL: no token yet */
};

/* Tokens. */

static uint64_t redis_wall_ms(const struct turntable_session *session)
{
    return map_redis_time_ms(session->port->service->common.map);
}

static void admit_user(struct turntable_session *session, const struct auth_claims *claims)
{
    struct credentials *credentials = session->credentials;
    free(credentials->user);
    credentials->user = mem_strdup(claims->user);
    websocket_set_lifetime(session->websocket, auth_claims_left_ms(claims, redis_wall_ms(session)),
                           WEBSOCKET_UNAUTHORIZED, "token expired");
}

void turntable_identity_begin(struct turntable_session *session,
                              const struct ws_request *ws_request)
{
    struct credentials *credentials;
    if (!ws_request->tokens) {
        return;
    }
    credentials = mem_zalloc(1, sizeof *credentials);
    credentials->tokens = ws_request->tokens;
    session->credentials = credentials;
    if (ws_request->claims) {
        admit_user(session, ws_request->claims);
    } else {
        websocket_set_lifetime(session->websocket, auth_verifier_deadline_ms(ws_request->tokens),
                               WEBSOCKET_UNAUTHORIZED, "no token");
    }
}

void turntable_identity_end(struct turntable_session *session)
{
    struct credentials *credentials = session->credentials;
    session->credentials = NULL;
    if (!credentials) {
        return;
    }
    free(credentials->user);
    free(credentials);
}

bool turntable_identity_is_admitted(const struct turntable_session *session)
{
    return !session->credentials || session->credentials->user;
}

static bool refuse_token(struct turntable_session *session, const struct turntable_message *message,
                         unsigned code, const char *why)
{
    turntable_message_refuse(session, TURNTABLE_CODE_UNAUTHORIZED, why,
                             turntable_command_name(message->command));
    turntable_close(session, code, why);
    return false;
}

static bool check_idme_token(struct turntable_session *session,
                             const struct turntable_message *message)
{
    struct auth_claims claims;
    const char *why;
    bool good;
    conn_charge(turntable_conn(session), auth_verifier_units(session->credentials->tokens));
    if (!auth_token_check(session->credentials->tokens, message->token, redis_wall_ms(session),
                          &claims, &why)) {
        return refuse_token(session, message, WEBSOCKET_UNAUTHORIZED, why);
    }
    if (!auth_claims_allow(&claims, map_space_name(session->port->space))) {
        good =
            refuse_token(session, message, WEBSOCKET_FORBIDDEN, "token does not allow this space");
    } else if (!auth_claims_name(&claims, message->user)) {
        good = refuse_token(session, message, WEBSOCKET_FORBIDDEN, "token is another user's");
    } else {
        good = true;
    }
    if (good) {
        admit_user(session, &claims);
    }
    auth_claims_free(&claims);
    return good;
}

/* Whether the session may be the user that the message names. */
static bool is_allowed(struct turntable_session *session, const struct turntable_message *message)
{
    const struct credentials *credentials = session->credentials;
    if (!credentials) {
        return true;
    }
    if (message->token.data) {
        return check_idme_token(session, message);
    }
    if (!credentials->user) {
        return refuse_token(session, message, WEBSOCKET_UNAUTHORIZED, "no token");
    }
    if (!bytes_equal(bytes_from_string(credentials->user), message->user)) {
        return refuse_token(session, message, WEBSOCKET_FORBIDDEN, "token is another user's");
    }
    return true;
}

/* The map's side of a session. */

static uint64_t on_idle_ms(void *arg)
{
    const struct turntable_session *session = arg;
    return conn_idle_ms(turntable_conn(session));
}

static void on_turntable_entry_end(void *arg, enum map_end why)
{
    switch (why) {
    case MAP_END_SILENT:
        turntable_end(arg, CONN_CLOSE_SILENT);
        break;
    case MAP_END_KICKED:
        turntable_end(arg, CONN_CLOSE_KICKED);
        break;
    case MAP_END_DROPPED:
        turntable_close(arg, CLOSE_REPLACED, "the user has logged in again");
        break;
    case MAP_END_TAKEN:
        turntable_close(arg, CLOSE_LOST, "taken");
        break;
    }
}

static bool on_is_gone(void *arg)
{
    const struct turntable_session *session = arg;
    return conn_peer_is_gone(turntable_conn(session));
}

static const struct map_sink sink = {.idle_ms = on_idle_ms,
                                     .end = on_turntable_entry_end,
                                     .is_gone = on_is_gone,
                                     .relayed = turntable_user_relayed};

/* idme, and joingame without it. */

static void fail_identity(struct turntable_session *session, enum map_result result)
{
    const char *command =
        turntable_command_name(session->joined_first ? TURNTABLE_JOINGAME : TURNTABLE_IDME);
    turntable_room_drop_deferred_join(session);
    turntable_user_remove(session);
    /* Whatever has become of the entry, it is not this session's. */
    map_session_end(&session->map, false);
    turntable_session_move(session, TURNTABLE_SESSION_ANONYMOUS);
    if (result == MAP_OWNED) {
        turntable_message_refuse(session, TURNTABLE_CODE_DUPLICATE_LOGIN,
                                 "the user is connected already", command);
    } else if (result == MAP_TAKEN) {
        turntable_message_refuse(session, TURNTABLE_CODE_TAKEN,
                                 "the id is that of another client's entry", command);
    } else if (result == MAP_LIMIT) {
        turntable_send_error(session, TURNTABLE_CODE_LIMIT,
                             "the user has as many connections as presence.max_devices allows, or "
                             "the space is full",
                             command);
    } else {
        turntable_send_result(session, result, "you could not be identified", command);
    }
}

static void on_identity_opened(void *arg, enum map_result result, uint64_t version)
{
    struct turntable_session *session = arg;
    struct bytes id;
    if (session->state != TURNTABLE_SESSION_IDENTIFYING) {
        return;
    }
    if (result == MAP_OK) {
        id = map_session_opened_id(session->map);
        memcpy(session->id, id.data, id.len < ID_CLIENT_LENGTH ? id.len : ID_CLIENT_LENGTH);
        turntable_session_move(session, TURNTABLE_SESSION_IDENTIFIED);
        if (session->port->settings->duplicate_login == TURNTABLE_DUPLICATE_REPLACE) {
            presence_drop_other_devices(session->map, turntable_user(session),
                                        turntable_id(session));
        }
        invite_take_waiting(session->map, turntable_user(session), turntable_user_invited, session);
        if (turntable_room_start_deferred_join(session)) {
            return;
        }
    } else {
        fail_identity(session, result);
    }
    turntable_resume_reading(session, STOP_BARRIER);
}

static void open_user_entry(struct turntable_session *session,
                            const struct turntable_message *message)
{
    struct map_open open = {
        .user = message->user,
        .status = MAP_ONLINE,
        .alone = session->port->settings->duplicate_login == TURNTABLE_DUPLICATE_REJECT,
    };
    turntable_session_move(session, TURNTABLE_SESSION_IDENTIFYING);
    session->status = MAP_ONLINE;
    session->map = map_session_create(session->port->space, "turntable",
                                      conn_peer_text(turntable_conn(session)), &sink, session);
    map_session_count_in(session->map, conn_limited_account(turntable_conn(session)));
    turntable_user_add(session, message->user);
    turntable_stop_reading(session, STOP_BARRIER);
    map_session_open_fields(session->map, &open, on_identity_opened, session);
}

void turntable_identity_idme(struct turntable_session *session,
                             const struct turntable_message *message)
{
    if (session->state != TURNTABLE_SESSION_ANONYMOUS) {
        /* After a joingame that identified the session, idme of the same user is accepted. */
        if (!session->joined_first || !bytes_equal(message->user, turntable_user(session))) {
            turntable_message_refuse(session, TURNTABLE_CODE_IDENTIFIED,
                                     "you are identified already", "idme");
        }
    } else if (is_allowed(session, message)) {
        session->joined_first = false;
        open_user_entry(session, message);
    }
}

void turntable_identity_join(struct turntable_session *session,
                             const struct turntable_message *message)
{
    if (session->state == TURNTABLE_SESSION_IDENTIFIED) {
        turntable_room_join(session, message);
    } else if (is_allowed(session, message)) {
        session->joined_first = true;
        turntable_room_defer_join(session, message);
        open_user_entry(session, message);
    }
}

void turntable_identity_update_status(struct turntable_session *session)
{
    enum map_status status =
        session->busy || !list_is_empty(&session->rooms) ? MAP_BUSY : MAP_ONLINE;
    if (status == session->status || session->state != TURNTABLE_SESSION_IDENTIFIED) {
        return;
    }
    if (map_session_set_status(session->map, turntable_id(session), status)) {
        session->status = (uint8_t)status;
    }
}
