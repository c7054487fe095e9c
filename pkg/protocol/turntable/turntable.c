/* turntable: service, ports, and a session's life cycle. */
#include "protocol/turntable/turntable.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "protocol/turntable/turntable_private.h"

_Static_assert(sizeof(struct turntable_session) <= 168, "an idle session is small");

static void drain_turntable_session(struct list *link, enum conn_close_reason why);
static void end_turntable_session(struct list *link);

static const struct protocol_callbacks callbacks = {.drain = drain_turntable_session,
                                                    .end = end_turntable_session};

struct frame *turntable_text_frame(struct writer *text)
{
    struct frame *frame = websocket_frame_create(WEBSOCKET_TEXT, writer_bytes_written(text));
    writer_free(text);
    return frame;
}

static struct frame *create_idyou(void)
{
    struct writer text = {0};
    turntable_write_idyou(&text);
    return turntable_text_frame(&text);
}

struct turntable_service *turntable_service_create(struct map *map)
{
    struct turntable_service *service = mem_zalloc(1, sizeof *service);
    protocol_service_init(&service->common, map, map_loop(map), &callbacks);
    list_init(&service->subscriber_lists);
    service->idyou = create_idyou();
    return service;
}

void turntable_service_destroy(struct turntable_service **pointer)
{
    struct turntable_service *service = *pointer;
    *pointer = NULL;
    if (!service) {
        return;
    }
    protocol_service_free(&service->common);
    frame_unref(&service->idyou);
    free(service);
}

size_t turntable_service_count(const struct turntable_service *service)
{
    return service->common.count;
}

size_t turntable_service_drain(struct turntable_service *service, size_t count,
                               enum conn_close_reason why)
{
    return protocol_service_drain(&service->common, count, why);
}

static struct turntable_subscribers *turntable_subscribers_of(struct turntable_service *service,
                                                              struct map_space *space)
{
    LIST_FOREACH (node, &service->subscriber_lists) {
        struct turntable_subscribers *subscribers =
            list_entry(node, struct turntable_subscribers, link);
        if (subscribers->space == space) {
            return subscribers;
        }
    }
    struct turntable_subscribers *subscribers = mem_zalloc(1, sizeof *subscribers);
    subscribers->service = service;
    subscribers->space = space;
    subscribers->rooms = room_set_create(space, &turntable_room_callbacks, subscribers);
    turntable_presence_begin(subscribers);
    turntable_answer_begin(subscribers);
    turntable_user_begin(subscribers);
    turntable_whothere_begin(subscribers);
    list_append(&service->subscriber_lists, &subscribers->link);
    return subscribers;
}

static void turntable_subscribers_free(struct turntable_subscribers *subscribers)
{
    turntable_whothere_free(subscribers);
    turntable_user_free(subscribers);
    turntable_answer_free(subscribers);
    turntable_presence_free(subscribers);
    room_set_destroy(&subscribers->rooms);
    list_remove(&subscribers->link);
    free(subscribers);
}

struct turntable_port *turntable_port_create(struct turntable_service *service,
                                             struct map_space *space,
                                             const struct turntable_settings *settings)
{
    struct turntable_port *port = mem_zalloc(1, sizeof *port);
    *port = (struct turntable_port){
        .service = service,
        .subscribers = turntable_subscribers_of(service, space),
        .space = space,
        .settings = settings,
    };
    port->subscribers->ports++;
    service->common.ports++;
    return port;
}

void turntable_port_destroy(struct turntable_port **port)
{
    if (!*port) {
        return;
    }
    (*port)->service->common.ports--;
    if (--(*port)->subscribers->ports == 0) {
        turntable_subscribers_free((*port)->subscribers);
    }
    free(*port);
    *port = NULL;
}

/* Sessions. */

uint64_t turntable_now_ms(const struct turntable_session *session)
{
    return loop_now_ms(session->port->service->common.loop);
}

struct bytes turntable_user(const struct turntable_session *session)
{
    return (struct bytes){(const uint8_t *)session->user->name, session->user->len};
}

struct bytes turntable_id(const struct turntable_session *session)
{
    return bytes_from_string(session->id);
}

struct conn *turntable_conn(const struct turntable_session *session)
{
    return websocket_conn(session->websocket);
}

bool turntable_is_over_backlog(const struct turntable_session *session)
{
    struct conn *conn = turntable_conn(session);
    uint64_t most = (uint64_t)session->port->settings->max_backlog;
    return conn_output_size(conn) > most && conn_flush_output(conn) > most;
}

void turntable_charge(const struct turntable_session *session, size_t count, size_t for_unit)
{
    struct conn *conn = turntable_conn(session);
    size_t units = count / for_unit;
    uint32_t most = conn_max_charge(conn);
    if (units > 0) {
        conn_charge(conn, units < most ? (uint32_t)units : most);
    }
}

static void detach_turntable_session(struct turntable_session *session)
{
    list_remove(&session->link);
    turntable_whothere_end(session);
    turntable_presence_end(session);
    turntable_room_end(session);
    turntable_user_remove(session);
    turntable_identity_end(session);
    map_session_end(&session->map, false);
    turntable_invite_drop_all(session);
}

static void end_turntable_session(struct list *link)
{
    detach_turntable_session(list_entry(link, struct turntable_session, link));
}

static void drain_turntable_session(struct list *link, enum conn_close_reason why)
{
    turntable_end(list_entry(link, struct turntable_session, link), why);
}

void turntable_session_move(struct turntable_session *session, enum turntable_session_state state)
{
    static const uint8_t from[] = {
        [TURNTABLE_SESSION_ANONYMOUS] = 1 << TURNTABLE_SESSION_IDENTIFYING,
        [TURNTABLE_SESSION_IDENTIFYING] = 1 << TURNTABLE_SESSION_ANONYMOUS,
        [TURNTABLE_SESSION_IDENTIFIED] = 1 << TURNTABLE_SESSION_IDENTIFYING,
        [TURNTABLE_SESSION_CLOSING] = 0xff, /* again by the close of a closing connection */
    };
    assert((from[state] >> session->state & 1) != 0);
    session->state = (uint8_t)state;
}

/* It is detached later: the map may be in the middle of notifying its sessions. */
static void begin_turntable_close(struct turntable_session *session)
{
    turntable_session_move(session, TURNTABLE_SESSION_CLOSING);
    protocol_service_end_later(&session->port->service->common, &session->link);
}

void turntable_close(struct turntable_session *session, unsigned code, const char *reason)
{
    if (session->state == TURNTABLE_SESSION_CLOSING) {
        return;
    }
    log_limited(LOG_INFO, &session->port->service->closed_limit, "turntable_closed",
                LOG_STRING("peer", conn_peer_text(turntable_conn(session))), LOG_INT("code", code),
                LOG_STRING("reason", reason));
    begin_turntable_close(session);
    websocket_close(session->websocket, (enum websocket_code)code, reason);
}

void turntable_end(struct turntable_session *session, enum conn_close_reason why)
{
    if (session->state == TURNTABLE_SESSION_CLOSING) {
        return;
    }
    begin_turntable_close(session);
    /* A peer that has not been active is not waited for. */
    if (why == CONN_CLOSE_SILENT) {
        conn_close(turntable_conn(session), why);
    } else {
        conn_close_after_output(turntable_conn(session), why);
    }
}

void turntable_stop_reading(struct turntable_session *session, enum turntable_stop_reason reason)
{
    protocol_stop_reading(&session->stops, reason, turntable_conn(session));
}

void turntable_resume_reading(struct turntable_session *session, enum turntable_stop_reason reason)
{
    if (session->state != TURNTABLE_SESSION_CLOSING) {
        protocol_resume_reading(&session->stops, reason, turntable_conn(session));
    }
}

void turntable_request_begin(struct turntable_session *session, size_t count)
{
    session->under_way += (uint32_t)count;
    if (session->under_way >= (uint64_t)session->port->settings->pipeline) {
        turntable_stop_reading(session, STOP_FULL);
    }
}

void turntable_request_end(struct turntable_session *session, size_t count)
{
    session->under_way -= (uint32_t)count;
    if (session->under_way < (uint64_t)session->port->settings->pipeline) {
        turntable_resume_reading(session, STOP_FULL);
    }
}

void turntable_send(struct turntable_session *session, enum metric kind, const struct writer *text)
{
    if (session->state == TURNTABLE_SESSION_CLOSING) {
        return;
    }
    metrics_add(kind, 1);
    websocket_send(session->websocket, WEBSOCKET_TEXT, writer_bytes_written(text));
}

void turntable_send_frame(struct turntable_session *session, enum metric kind, struct frame *frame)
{
    if (session->state == TURNTABLE_SESSION_CLOSING) {
        return;
    }
    metrics_add(kind, 1);
    websocket_send_frame(session->websocket, frame);
}

static void on_message(void *arg, enum websocket_opcode opcode, struct bytes bytes)
{
    struct turntable_session *session = arg;
    if (session->state != TURNTABLE_SESSION_CLOSING) {
        turntable_message_receive(session, opcode, bytes);
    }
}

static void on_drained(void *arg)
{
    struct turntable_session *session = arg;
    if (session->state != TURNTABLE_SESSION_CLOSING) {
        turntable_presence_drained(session);
    }
}

static void on_closed(void *arg, unsigned code, enum conn_close_reason reason)
{
    struct turntable_session *session = arg;
    turntable_session_move(session, TURNTABLE_SESSION_CLOSING);
    detach_turntable_session(session);
    protocol_service_leave(&session->port->service->common, &session->link);
    free(session);
}

static const struct websocket_handler handler = {
    .message = on_message, .drained = on_drained, .closed = on_closed};

void turntable_serve(struct turntable_port *port, struct websocket *websocket,
                     const struct ws_request *ws_request)
{
    struct turntable_session *session = mem_zalloc(1, sizeof *session);
    session->port = port;
    session->websocket = websocket;
    list_init(&session->of_user);
    list_init(&session->rooms);
    list_init(&session->whothere_requests);
    protocol_service_join(&port->service->common, &session->link);
    websocket_set_handler(websocket, &handler, session);
    turntable_identity_begin(session, ws_request);
    websocket_send_frame(websocket, port->service->idyou);
}
