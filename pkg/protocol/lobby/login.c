/*
 * lobby_login: admitting a session as a game server or a player.
 *
 * Everything that does not depend on the password is checked before it, so that no error reveals
 * whether a password is right. After a wrong password, the next login from the same address is
 * delayed.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/share.h"
#include "protocol/lobby/lobby_private.h"

#define PASSWORD_UNITS 2 /* of the budget, for a password that is checked */

static void free_login(struct lobby_session *session)
{
    if (!session->login) {
        return;
    }
    free(session->login->password);
    free(session->login->name);
    free(session->login);
    session->login = NULL;
}

void lobby_login_free(struct lobby_session *session)
{
    free_login(session);
    if (session->timer) {
        loop_timer_destroy(&session->timer);
    }
}

/* Slots. */

static bool take_slot(struct lobby_session *session, enum lobby_pool pool, int64_t most)
{
    const struct lobby_settings *settings = lobby_settings_of(session);
    struct slots *slots = &session->port->service->slots[pool];

    switch (slots_take(slots, conn_peer(session->conn), share_of((size_t)most),
                       (size_t)settings->max_per_ip)) {
    case SLOTS_TAKEN:
        return true;
    case SLOTS_FULL:
        lobby_end_with(session, LOBBY_CODE_FULL, "no slot is free");
        return false;
    case SLOTS_ADDRESS_FULL:
        break;
    }
    lobby_end_with(session, LOBBY_CODE_ADDRESS_LIMIT, "too many connections from this address");
    return false;
}

static void admit_player(struct lobby_session *session)
{
    if (!take_slot(session, POOL_CLIENTS, lobby_settings_of(session)->max_clients)) {
        return;
    }
    lobby_login_free(session);
    lobby_admit(session, LOBBY_SESSION_PLAYER, POOL_CLIENTS);
    lobby_player_begin(session);
}

static void admit_server(struct lobby_session *session, const char *name)
{
    const uint16_t port = session->login->port;

    if (!take_slot(session, POOL_SERVERS, lobby_settings_of(session)->max_servers)) {
        return;
    }
    lobby_login_free(session);
    lobby_admit(session, LOBBY_SESSION_SERVER, POOL_SERVERS);
    lobby_game_begin(session, name, port);
}

/* Passwords. */

/* A reload may have changed the setting. */
static const struct password_list *passwords_of(struct lobby_port *port)
{
    const char *text = port->settings->passwords;
    char *error;

    if (!port->passwords_text || strcmp(port->passwords_text, text) != 0) {
        password_list_destroy(&port->passwords);
        free(port->passwords_text);
        port->passwords_text = mem_strdup(text);
        port->passwords = password_list_create(text, &error);
        free(error); /* the configuration has been checked */
    }
    return port->passwords;
}

/* Both kinds are always checked, so that the time taken does not depend on which there are. *name:
 * NULL for the password that has no name. */
static bool is_password_good(struct lobby_session *session, const struct lobby_login *login,
                             const char **name)
{
    const char *expected = lobby_settings_of(session)->password;
    const struct password_list *list = passwords_of(session->port);
    const struct bytes password = {(const uint8_t *)login->password, login->password_len};
    const struct bytes wanted = login->name ? bytes_from_string(login->name) : (struct bytes){0};
    const bool is_plain = password_is(expected, password) && *expected != 0 && !login->name;

    *name = list ? password_list_find(list, wanted, password) : NULL;
    if (is_plain) {
        *name = NULL;
    }
    return is_plain || *name;
}

static struct penalty_rules rules_of(const struct lobby_settings *settings)
{
    return (struct penalty_rules){.first_ms = (uint64_t)settings->penalty,
                                  .longest_ms = (uint64_t)settings->penalty_max,
                                  .memory_ms = (uint64_t)settings->penalty_memory};
}

static void judge_login(struct lobby_session *session)
{
    struct lobby_service *service = session->port->service;
    const struct penalty_rules rules = rules_of(lobby_settings_of(session));
    const struct address *peer = conn_peer(session->conn);
    const char *name;

    conn_charge(session->conn, PASSWORD_UNITS);
    if (!is_password_good(session, session->login, &name)) {
        penalty_add(service->penalties, peer, &rules, lobby_now(session));
        lobby_end_with(session, LOBBY_CODE_BAD_PASSWORD, "the password is wrong");
        return;
    }
    penalty_forgive(service->penalties, peer);
    admit_server(session, name);
}

static void wait_or_judge(struct lobby_session *session)
{
    const struct penalty_rules rules = rules_of(lobby_settings_of(session));
    const uint64_t wait = penalty_take(session->port->service->penalties, conn_peer(session->conn),
                                       &rules, lobby_now(session));

    if (wait > rules.longest_ms) {
        lobby_end_with(session, LOBBY_CODE_RATE, "too many wrong passwords from this address");
    } else if (wait > 0) {
        lobby_session_move(session,
                           LOBBY_SESSION_DELAYED); /* its input waits, but a close is noticed */
        loop_timer_start(session->timer, wait);
    } else {
        judge_login(session);
    }
}

static void on_login_timer(void *arg)
{
    struct lobby_session *session = arg;

    if (session->state == LOBBY_SESSION_DELAYED) {
        judge_login(session);
        if (session->state != LOBBY_SESSION_CLOSED) {
            /* Input that came meanwhile is passed on again. */
            conn_pause_reading(session->conn);
            conn_resume_reading(session->conn);
        }
    } else {
        lobby_end(session, &(struct lobby_ending){LOBBY_CODE_TIMEOUT, "no login in time",
                                                  CONN_CLOSE_HANDSHAKE, false});
    }
}

void lobby_login_begin(struct lobby_session *session)
{
    session->timer =
        loop_timer_create(session->port->service->common.loop, on_login_timer, session);
    loop_timer_start(session->timer, (uint64_t)lobby_settings_of(session)->login_timeout);
}

/* What a game server needs besides its password. */
static bool can_be_listed(struct lobby_session *session, uint16_t port)
{
    const struct address *peer = conn_peer(session->conn);

    if (peer->family != ADDRESS_IPV4 && peer->family != ADDRESS_IPV6) {
        lobby_end_with(session, LOBBY_CODE_BAD_MESSAGE,
                       "this connection has no address under which a server could be listed");
        return false;
    }
    if (lobby_is_json(session) && port == 0) {
        lobby_refuse(session, LOBBY_CODE_BAD_MESSAGE, "port: missing");
        return false;
    }
    return true;
}

void lobby_login_handle(struct lobby_session *session, struct bytes password, struct bytes name,
                        uint16_t port)
{
    const bool is_server = password.data != NULL;
    const enum lobby_role role = session->port->role;

    if (bans_hold(session->port->service->bans, conn_peer(session->conn))) {
        lobby_end(session, &(struct lobby_ending){LOBBY_CODE_BANNED, "this address is banned",
                                                  CONN_CLOSE_KICKED, false});
    } else if (!is_server && role == LOBBY_FOR_SERVERS) {
        lobby_end_with(session, LOBBY_CODE_BAD_PASSWORD, "a password is needed here");
    } else if (is_server && role == LOBBY_FOR_CLIENTS) {
        lobby_end_with(session, LOBBY_CODE_NOT_A_SERVER, "no game server logs in on this port");
    } else if (!is_server) {
        admit_player(session);
    } else if (can_be_listed(session, port)) {
        session->login = mem_zalloc(1, sizeof *session->login);
        session->login->password = mem_dup(password.data, password.len);
        session->login->password_len = password.len;
        session->login->name = name.data ? mem_dup(name.data, name.len) : NULL;
        session->login->port = port;
        wait_or_judge(session);
    }
}
