/* sync: service, ports, and a session's life. */
#include "protocol/sync/sync.h"

#include <assert.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "protocol/sync/sync_private.h"

#define HASH_SIZE   32 /* BLAKE2b */
#define HASH_LENGTH (2 * HASH_SIZE)

_Static_assert(sizeof(struct sync_session) <= 168, "an idle session is small");

static void drain_sync_session(struct list *link, enum conn_close_reason why);
static void end_sync_session(struct list *link);

static const struct protocol_callbacks callbacks = {.drain = drain_sync_session,
                                                    .end = end_sync_session};

struct sync_service *sync_service_create(struct map *map, const char *version)
{
    struct sync_service *service = mem_zalloc(1, sizeof *service);
    protocol_service_init(&service->common, map, map_loop(map), &callbacks);
    service->version = version;
    list_init(&service->subscriber_lists);
    return service;
}

void sync_service_destroy(struct sync_service **pointer)
{
    struct sync_service *service = *pointer;
    *pointer = NULL;
    if (!service) {
        return;
    }
    protocol_service_free(&service->common);
    LIST_FOREACH (node, &service->subscriber_lists) {
        sync_subscribers_free(list_entry(node, struct sync_subscribers, link));
    }
    free(service);
}

size_t sync_service_count(const struct sync_service *service)
{
    return service->common.count;
}

struct sync_port *sync_port_create(struct sync_service *service, struct map_space *space,
                                   const struct sync_settings *settings)
{
    struct sync_port *port = mem_zalloc(1, sizeof *port);
    *port = (struct sync_port){
        .service = service,
        .subscribers = sync_subscribers_of(service, space),
        .space = space,
        .settings = settings,
    };
    service->common.ports++;
    return port;
}

void sync_port_destroy(struct sync_port **port)
{
    if (!*port) {
        return;
    }
    (*port)->service->common.ports--;
    free(*port);
    *port = NULL;
}

void sync_session_move(struct sync_session *session, enum sync_state state)
{
    const enum sync_state from = (enum sync_state)session->state;
    session->state = (uint8_t)state;
    switch (state) {
    case SYNC_OPENING:
        break;
    case SYNC_WAITING:
        sync_subscribers_wait(session);
        break;
    case SYNC_READY:
        sync_subscribers_admit_soon(session->port->subscribers);
        break;
    case SYNC_MEMBER:
        sync_subscribers_add_member(session);
        break;
    case SYNC_ENDED:
        list_remove(&session->link);
        sync_subscribers_leave(session, from);
        break;
    }
}

/* Ends the session, but for its connection. waits: its entry waits to be resumed. */
static void leave_sync(struct sync_session *session, bool waits)
{
    if (session->state == SYNC_ENDED) {
        return;
    }
    sync_session_move(session, SYNC_ENDED);
    sync_relay_forget(session);
    sync_missed_destroy(&session->missed);
    sync_refused_destroy(&session->refused);
    map_session_end(&session->map, waits);
}

void sync_session_close(struct sync_session *session, enum websocket_code code, const char *reason)
{
    if (session->state == SYNC_ENDED) {
        return;
    }
    leave_sync(session, session->may_resume);
    websocket_close(session->websocket, code, reason);
}

size_t sync_service_drain(struct sync_service *service, size_t count, enum conn_close_reason why)
{
    return protocol_service_drain(&service->common, count, why);
}

static void drain_sync_session(struct list *link, enum conn_close_reason why)
{
    struct sync_session *session = list_entry(link, struct sync_session, link);
    leave_sync(session, session->may_resume);
    conn_close_after_output(websocket_conn(session->websocket), why);
}

/* Refusing. */

static const char *open_failure_text(enum map_result result)
{
    switch (result) {
    case MAP_LIMIT:
        return "the space is full";
    case MAP_FULL:
        return "the memory of Redis is nearly full";
    case MAP_DEADLINE:
        return "the map does not answer";
    case MAP_REFUSED:
        return "the map accepts no new entries";
    default:
        return "no entry could be opened";
    }
}

static void refuse_sync_entry(struct sync_session *session, const char *why)
{
    log_limited(LOG_WARN, &session->port->service->open_limit, "open_refused",
                LOG_STRING("peer", conn_peer_text(websocket_conn(session->websocket))),
                LOG_STRING("reason", why));
    sync_session_close(session, WEBSOCKET_TRY_LATER, why);
}

/* The map's side of a session. */

static uint64_t on_idle_ms(void *arg)
{
    struct sync_session *session = arg;
    return conn_idle_ms(websocket_conn(session->websocket));
}

void sync_session_end_later(struct sync_session *session, enum sync_end why)
{
    session->end = (uint8_t)why;
    protocol_service_end_later(&session->port->service->common, &session->link);
}

static void end_sync_session(struct list *link)
{
    struct sync_session *session = list_entry(link, struct sync_session, link);
    struct conn *conn = websocket_conn(session->websocket);
    switch ((enum sync_end)session->end) {
    case SYNC_END_SILENT:
        leave_sync(session, session->may_resume);
        conn_close(conn, CONN_CLOSE_SILENT);
        break;
    case SYNC_END_KICKED:
        leave_sync(session, false);
        conn_close_after_output(conn, CONN_CLOSE_KICKED);
        break;
    case SYNC_END_DROPPED:
        leave_sync(session, true);
        websocket_close(session->websocket, WEBSOCKET_POLICY, "resumed elsewhere");
        break;
    case SYNC_END_TAKEN:
        leave_sync(session, true);
        websocket_close(session->websocket, WEBSOCKET_POLICY, "taken");
        break;
    case SYNC_END_BACKLOG:
        sync_session_close(session, WEBSOCKET_TRY_LATER, "backlog too large");
        break;
    case SYNC_END_UNKNOWN:
        refuse_sync_entry(session, open_failure_text(MAP_DEADLINE));
        break;
    }
}

static void on_sync_entry_end(void *arg, enum map_end why)
{
    static const enum sync_end ends[] = {[MAP_END_SILENT] = SYNC_END_SILENT,
                                         [MAP_END_KICKED] = SYNC_END_KICKED,
                                         [MAP_END_DROPPED] = SYNC_END_DROPPED,
                                         [MAP_END_TAKEN] = SYNC_END_TAKEN};
    sync_session_end_later(arg, ends[why]);
}

static bool on_is_gone(void *arg)
{
    const struct sync_session *session = arg;
    return conn_peer_is_gone(websocket_conn(session->websocket));
}

static const struct map_sink sink = {.idle_ms = on_idle_ms,
                                     .end = on_sync_entry_end,
                                     .is_gone = on_is_gone,
                                     .relayed = sync_relay_receive};

/* Entering. */

static void on_sync_opened(void *arg, enum map_result result, uint64_t version)
{
    struct sync_session *session = arg;
    if (result == MAP_OK) {
        sync_session_move(session, SYNC_WAITING);
    } else {
        refuse_sync_entry(session, open_failure_text(result));
    }
}

/* What is stored in Redis of a secret. */
static struct bytes hash_secret(const char *secret, char hash[HASH_LENGTH + 1])
{
    uint8_t digest[HASH_SIZE];
    if (secret[0] == 0) {
        return (struct bytes){NULL, 0};
    }
    crypto_generichash(digest, sizeof digest, (const uint8_t *)secret, strlen(secret), NULL, 0);
    id_format_hex(digest, sizeof digest, hash);
    return bytes_from_string(hash);
}

static void open_sync_entry(struct sync_session *session)
{
    char *secret = session->entering->secret;
    char hash[HASH_LENGTH + 1];
    struct map_open open = {.id = {(const uint8_t *)session->token, SYNC_TOKEN_LENGTH}};
    id_make_hex(session->token, SYNC_TOKEN_LENGTH);
    if (session->may_resume) {
        memcpy(secret, session->token, SYNC_TOKEN_LENGTH);
        id_make_hex(secret + SYNC_TOKEN_LENGTH, SYNC_SECRET_LENGTH - SYNC_TOKEN_LENGTH);
    }
    open.resume = hash_secret(secret, hash);
    map_session_open_fields(session->map, &open, on_sync_opened, session);
}

static void on_sync_resumed(void *arg, enum map_result result, uint64_t version)
{
    struct sync_session *session = arg;
    switch (result) {
    case MAP_OK:
        session->entering->is_resumed = true;
        sync_session_move(session, SYNC_WAITING);
        break;
    case MAP_DEADLINE:
    case MAP_REFUSED:
        /* Its entry may still wait for it: it must not get another one. */
        refuse_sync_entry(session, open_failure_text(result));
        break;
    default:
        open_sync_entry(session);
        break;
    }
}

static bool is_secret(struct bytes text)
{
    uint8_t digits[SYNC_SECRET_LENGTH / 2];
    if (text.len != SYNC_SECRET_LENGTH || !id_parse_hex(text, digits, sizeof digits)) {
        return false;
    }
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] >= 'A' && text.data[i] <= 'F') {
            return false;
        }
    }
    return true;
}

static void resume_sync_entry(struct sync_session *session, struct bytes given)
{
    char *secret = session->entering->secret;
    char hash[HASH_LENGTH + 1];
    memcpy(secret, given.data, SYNC_SECRET_LENGTH);
    memcpy(session->token, secret, SYNC_TOKEN_LENGTH);
    map_session_resume(session->map, bytes_from_string(session->token), hash_secret(secret, hash),
                       on_sync_resumed, session);
}

/* The connection's side. */

static void on_message(void *arg, enum websocket_opcode opcode, struct bytes bytes)
{
    struct sync_session *session = arg;
    if (session->state != SYNC_ENDED) {
        sync_packet_handle(session, opcode, bytes);
    }
}

static void on_drained(void *arg)
{
    struct sync_session *session = arg;
    if (session->state != SYNC_ENDED) {
        sync_subscribers_drained(session);
    }
}

static void on_closed(void *arg, unsigned code, enum conn_close_reason reason)
{
    struct sync_session *session = arg;
    leave_sync(session, session->may_resume);
    protocol_service_leave(&session->port->service->common, &session->link);
    free(session);
}

static const struct websocket_handler handler = {
    .message = on_message, .drained = on_drained, .closed = on_closed};

static struct sync_session *create_sync_session(struct sync_port *port, struct websocket *websocket,
                                                const struct ws_request *ws_request)
{
    struct sync_session *session = mem_zalloc(1, sizeof *session);
    session->port = port;
    session->websocket = websocket;
    session->entering = mem_zalloc(1, sizeof *session->entering);
    session->is_delta = bytes_equal(ws_request->mode, BYTES_LITERAL("delta"));
    session->may_resume = ws_request->resume.data != NULL;
    list_init(&session->place);
    list_init(&session->relays);
    protocol_service_join(&port->service->common, &session->link);
    session->map = map_session_create(port->space, "sync",
                                      conn_peer_text(websocket_conn(websocket)), &sink, session);
    map_session_count_in(session->map, conn_limited_account(websocket_conn(websocket)));
    return session;
}

void sync_serve(struct sync_port *port, struct websocket *websocket,
                const struct ws_request *ws_request)
{
    struct sync_session *session = create_sync_session(port, websocket, ws_request);
    const char *why;
    websocket_set_handler(websocket, &handler, session);
    if (!sync_subscribers_enter(session, &why)) {
        refuse_sync_entry(session, why);
        return;
    }
    conn_pause_reading(websocket_conn(websocket));
    if (is_secret(ws_request->resume)) {
        resume_sync_entry(session, ws_request->resume);
    } else {
        open_sync_entry(session);
    }
}
