/* turntable: service, ports, and a session's life. */
#include "protocol/turntable.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "protocol/turntable_private.h"

static struct frame *create_idyou(void)
{
    struct writer text = {0};
    struct frame *frame;
    turntable_write_idyou(&text);
    frame = websocket_frame_create(WEBSOCKET_TEXT, writer_bytes_written(&text));
    writer_free(&text);
    return frame;
}

struct turntable_service *turntable_service_create(struct map *map)
{
    struct turntable_service *service = mem_zalloc(1, sizeof *service);
    service->map = map;
    service->loop = map_loop(map);
    list_init(&service->sessions);
    service->idyou = create_idyou();
    return service;
}

void turntable_service_destroy(struct turntable_service **pointer)
{
    struct turntable_service *service = *pointer;
    *pointer = NULL;
    if (service == NULL)
        return;
    assert(service->ports == 0 && service->count == 0);
    frame_unref(&service->idyou);
    free(service);
}

size_t turntable_service_count(const struct turntable_service *service)
{
    return service->count;
}

static void leave(struct turntable_session *session)
{
    if (session->ended)
        return;
    session->ended = true;
    list_remove(&session->link);
}

size_t turntable_service_drain(struct turntable_service *service, size_t count)
{
    size_t ended = 0;
    for (; ended < count && !list_is_empty(&service->sessions); ended++) {
        struct turntable_session *session =
            list_entry(service->sessions.next, struct turntable_session, link);
        leave(session);
        conn_close_after_output(websocket_conn(session->websocket), CONN_CLOSE_DRAIN);
    }
    return ended;
}

struct turntable_port *turntable_port_create(struct turntable_service *service,
                                             struct map_space *space,
                                             const struct turntable_settings *settings)
{
    struct turntable_port *port = mem_zalloc(1, sizeof *port);
    *port = (struct turntable_port){.service = service, .space = space, .settings = settings};
    service->ports++;
    return port;
}

void turntable_port_destroy(struct turntable_port **port)
{
    if (*port == NULL)
        return;
    (*port)->service->ports--;
    free(*port);
    *port = NULL;
}

uint64_t session_now_ms(const struct turntable_session *session)
{
    return loop_now_ms(session->port->service->loop);
}

void session_close(struct turntable_session *session, enum websocket_code code, const char *reason)
{
    if (session->ended)
        return;
    leave(session);
    websocket_close(session->websocket, code, reason);
}

static void on_message(void *arg, enum websocket_opcode opcode, struct bytes bytes)
{
    struct turntable_session *session = arg;
    if (!session->ended)
        message_take(session, opcode, bytes);
}

static void on_closed(void *arg, unsigned code, enum conn_close_reason reason)
{
    struct turntable_session *session = arg;
    (void)code;
    (void)reason;
    leave(session);
    session->port->service->count--;
    free(session);
}

static const struct websocket_handler handler = {.message = on_message, .closed = on_closed};

void turntable_serve(struct turntable_port *port, struct websocket *websocket,
                     const struct visit *visit)
{
    struct turntable_session *session = mem_zalloc(1, sizeof *session);
    (void)visit;
    session->port = port;
    session->websocket = websocket;
    list_append(&port->service->sessions, &session->link);
    port->service->count++;
    websocket_set_handler(websocket, &handler, session);
    websocket_send_frame(websocket, port->service->idyou);
}
