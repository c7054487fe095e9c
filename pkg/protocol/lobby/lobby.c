/* lobby: service, ports, a session's life cycle, and its messages in either encoding. */
#include "protocol/lobby/lobby.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/share.h"
#include "metrics/metrics.h"
#include "protocol/lobby/lobby_private.h"

/* Input that may wait while a login is delayed; lines have a limit of their own. */
#define INPUT_MAX (4 * LOBBY_LINE_MAX)

static void on_lobby_bans_changed(struct bans_watcher *watcher);
static void drain_lobby_session(struct list *link, enum conn_close_reason why);

static const struct protocol_callbacks callbacks = {.drain = drain_lobby_session};

struct lobby_service *lobby_service_create(struct map *map, struct bans *bans,
                                           const struct lobby_settings *settings,
                                           const struct udp_settings *udp)
{
    struct lobby_service *service = mem_zalloc(1, sizeof *service);

    protocol_service_init(&service->common, map, map_loop(map), &callbacks);
    service->settings = settings;
    service->udp = udp;
    service->bans = bans;
    service->penalties = penalty_table_create((size_t)settings->penalty_tracked);
    list_init(&service->newcomers);
    list_init(&service->subscriber_lists);
    service->bans_watcher.changed = on_lobby_bans_changed;
    bans_watch(bans, &service->bans_watcher);
    return service;
}

void lobby_service_destroy(struct lobby_service **pointer)
{
    struct lobby_service *service = *pointer;

    *pointer = NULL;
    if (!service) {
        return;
    }
    protocol_service_free(&service->common);
    LIST_FOREACH (node, &service->subscriber_lists) {
        lobby_subscribers_free(list_entry(node, struct lobby_subscribers, link));
    }
    bans_unwatch(&service->bans_watcher);
    lobby_verifier_destroy(&service->verifier);
    penalty_table_destroy(&service->penalties);
    free(service);
}

size_t lobby_service_count(const struct lobby_service *service)
{
    return service->common.count;
}

size_t lobby_service_drain(struct lobby_service *service, size_t count, enum conn_close_reason why)
{
    return protocol_service_drain(&service->common, count, why);
}

static void drain_lobby_session(struct list *link, enum conn_close_reason why)
{
    const bool stops = why == CONN_CLOSE_DRAIN;
    const struct lobby_ending ending = {
        .code = stops ? LOBBY_CODE_DRAINING : LOBBY_CODE_UNAVAILABLE,
        .why = stops ? "this front-end is shutting down; reconnect"
                     : "this front-end cannot reach the map; reconnect to another one",
        .reason = why,
        .leave = true};

    lobby_end(list_entry(link, struct lobby_session, link), &ending);
}

struct lobby_port *lobby_port_create(struct lobby_service *service, struct map_space *space,
                                     enum lobby_role role, const struct lobby_settings *settings)
{
    struct lobby_port *port = mem_zalloc(1, sizeof *port);

    *port = (struct lobby_port){.service = service,
                                .space = space,
                                .subscribers = lobby_subscribers_of(service, space),
                                .role = role,
                                .settings = settings};
    service->common.ports++;
    return port;
}

void lobby_port_destroy(struct lobby_port **pointer)
{
    struct lobby_port *port = *pointer;

    *pointer = NULL;
    if (!port) {
        return;
    }
    port->service->common.ports--;
    password_list_destroy(&port->passwords);
    free(port->passwords_text);
    free(port);
}

/* A session's life cycle. */

void lobby_session_move(struct lobby_session *session, enum lobby_session_state state)
{
    static const uint8_t from[] = {
        [LOBBY_SESSION_DELAYED] = 1 << LOBBY_SESSION_NEW,
        [LOBBY_SESSION_SERVER] = 1 << LOBBY_SESSION_NEW | 1 << LOBBY_SESSION_DELAYED,
        [LOBBY_SESSION_PLAYER] = 1 << LOBBY_SESSION_NEW,
        [LOBBY_SESSION_CLOSED] = 1 << LOBBY_SESSION_NEW | 1 << LOBBY_SESSION_DELAYED |
                                 1 << LOBBY_SESSION_SERVER | 1 << LOBBY_SESSION_PLAYER,
    };

    assert((from[state] >> session->state & 1) != 0);
    session->state = (uint8_t)state;
}

static const enum metric gauges[] = {[POOL_NEWCOMERS] = METRIC_LOBBY_NEWCOMERS,
                                     [POOL_SERVERS] = METRIC_LOBBY_SERVERS,
                                     [POOL_CLIENTS] = METRIC_LOBBY_CLIENTS};

static void release_pool_slot(struct lobby_session *session)
{
    slots_release(&session->port->service->slots[session->pool], conn_peer(session->conn));
    metrics_add(gauges[session->pool], -1);
}

void lobby_admit(struct lobby_session *session, enum lobby_session_state state,
                 enum lobby_pool pool)
{
    release_pool_slot(session);
    session->pool = (uint8_t)pool;
    lobby_session_move(session, state);
    metrics_add(gauges[pool], 1);
    list_remove(&session->newcomer);
}

/* Frees all but what its connection needs. */
static void close_lobby_session(struct lobby_session *session, bool keep_entry)
{
    if (session->state == LOBBY_SESSION_CLOSED) {
        return;
    }
    lobby_session_move(session, LOBBY_SESSION_CLOSED);
    list_remove(&session->link);
    list_remove(&session->newcomer);
    release_pool_slot(session);
    lobby_login_free(session);
    if (session->game) {
        lobby_game_free(session, keep_entry);
    }
    if (session->player) {
        lobby_player_free(session);
    }
}

bool lobby_is_json(const struct lobby_session *session)
{
    return session->encoding == LOBBY_ENCODING_JSON;
}

void lobby_send(struct lobby_session *session, struct writer *message)
{
    if (!message->failed) {
        conn_send(session->conn, writer_bytes_written(message));
    }
    writer_free(message);
}

static const enum metric error_metrics[] = {
#define CODE_METRIC(name, text) [LOBBY_CODE_##name] = METRIC_LOBBY_ERROR_##name,
    LOBBY_CODES(CODE_METRIC)
#undef CODE_METRIC
};

static void send_lobby_error(struct lobby_session *session, enum lobby_code code, const char *why)
{
    struct writer message = {0};

    metrics_add(error_metrics[code], 1);
    if (!lobby_is_json(session)) {
        return;
    }
    lobby_write_error(&message, code, why);
    lobby_send(session, &message);
}

void lobby_end(struct lobby_session *session, const struct lobby_ending *ending)
{
    if (session->state == LOBBY_SESSION_CLOSED) {
        return;
    }
    if (ending->code != LOBBY_CODE_COUNT) {
        send_lobby_error(session, ending->code, ending->why);
        log_limited(LOG_INFO, &session->port->service->ended_limit, "lobby_closed",
                    LOG_STRING("peer", conn_peer_text(session->conn)),
                    LOG_STRING("id", session->game ? session->game->id : NULL),
                    LOG_STRING("code", lobby_code_name(ending->code)),
                    LOG_STRING("reason", ending->why));
    }
    close_lobby_session(session, ending->leave);
    if (conn_output_size(session->conn) > 0) {
        conn_close_after_output(session->conn, ending->reason);
    } else {
        conn_close(session->conn, ending->reason);
    }
}

void lobby_end_with(struct lobby_session *session, enum lobby_code code, const char *why)
{
    lobby_end(session, &(struct lobby_ending){code, why, CONN_CLOSE_LOCAL, false});
}

void lobby_refuse(struct lobby_session *session, enum lobby_code code, const char *why)
{
    const struct lobby_settings *settings = lobby_settings_of(session);
    if (error_budget_spend(&session->errors, lobby_now(session), settings->error_window) >
        (uint64_t)settings->max_errors) {
        lobby_end(session, &(struct lobby_ending){LOBBY_CODE_RATE, "too many refused messages",
                                                  CONN_CLOSE_PROTOCOL, false});
        return;
    }
    send_lobby_error(session, code, why);
    log_limited(LOG_INFO, &session->port->service->refused_limit, "lobby_message_refused",
                LOG_STRING("peer", conn_peer_text(session->conn)),
                LOG_STRING("code", lobby_code_name(code)), LOG_STRING("reason", why));
}

static void end_malformed(struct lobby_session *session, enum metric metric, const char *kind,
                          const char *why)
{
    metrics_add(metric, 1);
    log_limited(LOG_WARN, &session->port->service->malformed_limit, "malformed_message",
                LOG_STRING("peer", conn_peer_text(session->conn)), LOG_STRING("protocol", "lobby"),
                LOG_STRING("kind", kind), LOG_STRING("reason", why));
    lobby_end(session, &(struct lobby_ending){LOBBY_CODE_COUNT, why, CONN_CLOSE_PROTOCOL, false});
}

static void on_lobby_bans_changed(struct bans_watcher *watcher)
{
    struct lobby_service *service = list_entry(watcher, struct lobby_service, bans_watcher);

    LIST_FOREACH (node, &service->common.sessions) {
        struct lobby_session *session = list_entry(node, struct lobby_session, link);

        if (bans_hold(service->bans, conn_peer(session->conn))) {
            lobby_end(session, &(struct lobby_ending){LOBBY_CODE_BANNED, "this address is banned",
                                                      CONN_CLOSE_KICKED, false});
        }
    }
}

/* Messages. */

static bool is_reading(const struct lobby_session *session)
{
    return session->state == LOBBY_SESSION_NEW || session->state == LOBBY_SESSION_SERVER ||
           session->state == LOBBY_SESSION_PLAYER;
}

/* False: the message has to wait, and reading has stopped. */
static bool rate_admits(struct lobby_session *session)
{
    const struct lobby_settings *settings = lobby_settings_of(session);
    const uint32_t rate = (uint32_t)settings->rate, burst = (uint32_t)settings->burst;
    const uint64_t now_us = loop_now_us(session->port->service->common.loop);

    if (bucket_take(&session->bucket, rate, burst, now_us)) {
        return true;
    }
    conn_wait_us(session->conn, bucket_wait_us(&session->bucket, rate, burst, now_us));
    return false;
}

static void handle_peer_message(struct lobby_session *session, const struct lobby_message *message)
{
    if (message->type == LOBBY_LOGIN) {
        metrics_add(METRIC_LOBBY_LOGIN, 1);
        if (session->state == LOBBY_SESSION_NEW) {
            lobby_login_handle(session, message->password, message->name, message->port);
        } else {
            lobby_refuse(session, LOBBY_CODE_LOGGED_IN, "this connection has logged in");
        }
    } else if (session->state == LOBBY_SESSION_NEW) {
        lobby_refuse(session, LOBBY_CODE_NOT_LOGGED_IN, "login comes first");
    } else if (session->state == LOBBY_SESSION_PLAYER) {
        lobby_refuse(session, LOBBY_CODE_NOT_A_SERVER, "only game servers send this message");
    } else {
        lobby_game_handle(session, message);
    }
}

static struct lobby_limits lobby_limits_of(const struct lobby_settings *settings)
{
    struct lobby_limits limits = LOBBY_LIMITS_DEFAULT;

    limits.properties = (size_t)settings->max_properties;
    limits.total = (size_t)settings->max_total;
    return limits;
}

/* A message, and what it is long. */
static void charge_message(struct lobby_session *session, size_t len)
{
    conn_charge(session->conn, 1 + (uint32_t)(len / 1024));
}

static void handle_peer_line(struct lobby_session *session, struct bytes line)
{
    const struct lobby_limits limits = lobby_limits_of(lobby_settings_of(session));
    struct lobby_message message;
    struct lobby_error error;

    if (!lobby_read(line, LOBBY_FROM_PEER, &limits, &message, &error)) {
        lobby_refuse(session, error.code, error.detail.text);
        return;
    }
    handle_peer_message(session, &message);
    lobby_message_free(&message);
}

/* Each consumes one message of the input; false when there is none that may be read now. */

static bool read_json_message(struct lobby_session *session, struct bytes *input)
{
    const struct lobby_line line = lobby_read_line(*input, LOBBY_LINE_MAX);

    if (line.outcome == LOBBY_LINE_TOO_LONG) {
        lobby_end(session, &(struct lobby_ending){LOBBY_CODE_LIMIT, "a line is too long",
                                                  CONN_CLOSE_PROTOCOL, false});
        return false;
    }
    if (line.outcome == LOBBY_LINE_WHOLE && !rate_admits(session)) {
        return false;
    }
    input->data += line.consumed;
    input->len -= line.consumed;
    if (line.consumed > 0) { /* blank lines alone, too */
        charge_message(session, line.consumed);
    }
    if (line.outcome == LOBBY_LINE_MORE) {
        return false;
    }
    handle_peer_line(session, line.text);
    return true;
}

static bool read_peer_packet(struct lobby_session *session, struct bytes *input)
{
    const struct lobby_settings *settings = lobby_settings_of(session);
    struct gltron_packet packet;
    const struct gltron_result result =
        gltron_read(*input, (enum gltron_host_order)settings->host_byte_order, &packet);

    if (result.outcome == GLTRON_FAILED) {
        end_malformed(session, METRIC_LOBBY_MALFORMED_PACKET, "packet", result.reason);
        return false;
    }
    if (result.outcome == GLTRON_MORE || !rate_admits(session)) {
        return false;
    }
    input->data += result.consumed;
    input->len -= result.consumed;
    charge_message(session, result.consumed);
    lobby_original_handle(session, &packet);
    return true;
}

static size_t on_lobby_input(void *arg, struct bytes input)
{
    struct lobby_session *session = arg;
    struct bytes left = input;
    bool (*take)(struct lobby_session * session, struct bytes * input);

    if (session->encoding == LOBBY_ENCODING_NONE) {
        session->encoding = (uint8_t)lobby_detect(input.data[0]);
    }
    if (session->encoding == LOBBY_ENCODING_NONE) {
        end_malformed(session, METRIC_LOBBY_MALFORMED_ENCODING, "encoding",
                      "the first byte is neither of an object nor of an original packet");
        return input.len;
    }
    take = lobby_is_json(session) ? read_json_message : read_peer_packet;
    while (left.len > 0 && is_reading(session) && conn_may_read(session->conn) &&
           take(session, &left)) {
    }
    return input.len - left.len;
}

static void on_drained(void *arg)
{
    struct lobby_session *session = arg;

    if (session->player) {
        lobby_player_drained(session->player);
    }
}

/* The peer has closed its half: a player may still read the list, a server is gone. */
static void on_ended(void *arg)
{
    struct lobby_session *session = arg;

    if (session->player) {
        lobby_player_ended(session->player);
    } else {
        lobby_end(session, &(struct lobby_ending){LOBBY_CODE_COUNT, "closed by the peer",
                                                  CONN_CLOSE_PEER, false});
    }
}

static void on_closed(void *arg, enum conn_close_reason reason)
{
    struct lobby_session *session = arg;

    /* A server that closes is gone; one whose connection was lost may reconnect. */
    close_lobby_session(session, reason != CONN_CLOSE_PEER && reason != CONN_CLOSE_KICKED);
    protocol_service_leave(&session->port->service->common, &session->link);
    free(session);
}

static void on_expelled(void *arg, enum conn_close_reason reason)
{
    bool is_late = reason == CONN_CLOSE_MESSAGE;
    lobby_end(arg,
              &(struct lobby_ending){is_late ? LOBBY_CODE_TIMEOUT : LOBBY_CODE_LIMIT,
                                     is_late ? "a message was not complete in time"
                                             : "this front-end is short of memory; reconnect later",
                                     reason, true});
}

static const struct conn_handler handler = {.received = on_lobby_input,
                                            .drained = on_drained,
                                            .ended = on_ended,
                                            .expelled = on_expelled,
                                            .closed = on_closed};

/* Makes room for a new connection. */
static void close_oldest_newcomer(struct lobby_service *service)
{
    if (!list_is_empty(&service->newcomers)) {
        lobby_end_with(list_entry(service->newcomers.next, struct lobby_session, newcomer),
                       LOBBY_CODE_TIMEOUT, "too many connections wait for a login");
    }
}

static bool take_newcomers_slot(struct lobby_port *port, const struct address *peer)
{
    struct lobby_service *service = port->service;
    struct slots *slots = &service->slots[POOL_NEWCOMERS];
    const size_t most = share_of((size_t)port->settings->max_newcomers),
                 each = (size_t)port->settings->max_per_ip;
    enum slots_result result = slots_take(slots, peer, most, each);

    if (result == SLOTS_FULL) {
        close_oldest_newcomer(service);
        result = slots_take(slots, peer, most, each);
    }
    return result == SLOTS_TAKEN;
}

void lobby_serve(struct lobby_port *port, struct conn *conn)
{
    struct lobby_service *service = port->service;
    struct lobby_session *session;

    session = mem_zalloc(1, sizeof *session);
    list_init(&session->newcomer);
    session->port = port;
    session->conn = conn;
    protocol_service_join(&service->common, &session->link);
    conn_set_handler(conn, &handler, session);
    conn_handshake_done(conn); /* the login has a deadline of its own */
    conn_set_input_limit(conn, INPUT_MAX);
    if (!take_newcomers_slot(port, conn_peer(conn))) {
        metrics_add(METRIC_LOBBY_ERROR_ADDRESS_LIMIT, 1);
        lobby_session_move(session, LOBBY_SESSION_CLOSED);
        list_remove(&session->link);
        conn_close(conn, CONN_CLOSE_LOCAL);
        return;
    }
    metrics_add(METRIC_LOBBY_NEWCOMERS, 1);
    list_append(&service->newcomers, &session->newcomer);
    lobby_login_begin(session);
}
