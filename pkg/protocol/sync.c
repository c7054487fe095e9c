/* sync: service, ports, and a session's life. */
#include "protocol/sync.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "protocol/sync_private.h"

struct sync_service *sync_service_create(struct map *map, const char *version)
{
    struct sync_service *service = mem_zalloc(1, sizeof *service);
    service->map = map;
    service->loop = map_loop(map);
    service->version = version;
    list_init(&service->sessions);
    return service;
}

void sync_service_destroy(struct sync_service **pointer)
{
    struct sync_service *service = *pointer;
    *pointer = NULL;
    if (service == NULL)
        return;
    assert(service->ports == 0 && service->count == 0);
    free(service);
}

size_t sync_service_count(const struct sync_service *service)
{
    return service->count;
}

static void leave(struct sync_session *session)
{
    if (session->ended)
        return;
    session->ended = true;
    list_remove(&session->link);
}

void sync_session_close(struct sync_session *session, enum websocket_code code, const char *reason)
{
    if (session->ended)
        return;
    leave(session);
    websocket_close(session->websocket, code, reason);
}

size_t sync_service_drain(struct sync_service *service, size_t count)
{
    size_t ended = 0;
    for (; ended < count && !list_is_empty(&service->sessions); ended++) {
        struct sync_session *session =
            list_entry(service->sessions.next, struct sync_session, link);
        leave(session);
        conn_close_after_output(websocket_conn(session->websocket), CONN_CLOSE_DRAIN);
    }
    return ended;
}

struct sync_port *sync_port_create(struct sync_service *service, struct map_space *space,
                                   const struct sync_settings *settings)
{
    struct sync_port *port = mem_zalloc(1, sizeof *port);
    *port = (struct sync_port){.service = service, .space = space, .settings = settings};
    service->ports++;
    return port;
}

void sync_port_destroy(struct sync_port **port)
{
    if (*port == NULL)
        return;
    (*port)->service->ports--;
    free(*port);
    *port = NULL;
}

static void on_message(void *arg, enum websocket_opcode opcode, struct bytes bytes)
{
    struct sync_session *session = arg;
    if (!session->ended)
        sync_packet_take(session, opcode, bytes);
}

static void on_closed(void *arg, unsigned code, enum conn_close_reason reason)
{
    struct sync_session *session = arg;
    (void)code;
    (void)reason;
    leave(session);
    session->port->service->count--;
    free(session);
}

static const struct websocket_handler handler = {.message = on_message, .closed = on_closed};

void sync_serve(struct sync_port *port, struct websocket *websocket, const struct visit *visit)
{
    struct sync_session *session = mem_zalloc(1, sizeof *session);
    (void)visit;
    session->port = port;
    session->websocket = websocket;
    list_append(&port->service->sessions, &session->link);
    port->service->count++;
    websocket_set_handler(websocket, &handler, session);
}
