/*
 * websocket_stream: binary messages as one stream of bytes, presented as conn.h says of input. What
 * the protocol does not consume is kept here, as the conn's own input is still in frames.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "net/transport.h"
#include "net/websocket/websocket_private.h"

static struct websocket_rest *create_stream_rest(struct websocket *websocket, struct bytes bytes)
{
    struct websocket_rest *rest = mem_alloc(sizeof *rest + bytes.len);
    rest->websocket = websocket;
    list_init(&rest->node);
    rest->start = 0;
    rest->len = rest->capacity = (uint32_t)bytes.len;
    if (bytes.len > 0) {
        memcpy(rest->data, bytes.data, bytes.len);
    }
    return rest;
}

/* Detaches the rest from the connection and from those to be presented again. May be NULL. */
static struct websocket_rest *take_rest(struct websocket *websocket)
{
    struct websocket_rest *rest = websocket->rest;
    websocket->rest = NULL;
    if (rest) {
        list_remove(&rest->node);
    }
    return rest;
}

void websocket_stream_drop(struct websocket *websocket)
{
    free(take_rest(websocket));
}

void websocket_stream_schedule(struct websocket *websocket)
{
    struct websocket_port *port = websocket->port;
    if (!websocket->rest) {
        websocket->rest = create_stream_rest(websocket, (struct bytes){NULL, 0});
    }
    list_remove(&websocket->rest->node);
    list_append(&port->resumed, &websocket->rest->node);
    loop_defer(net_loop(port->net), LOOP_PHASE_FREE, &port->present);
}

bool websocket_stream_waits(const struct websocket *websocket)
{
    return websocket->rest != NULL && !list_is_empty(&websocket->rest->node);
}

/* Keeps the bytes, in own (which may be NULL) if they are there and it is not much too large for
 * them: a protocol may take a large message packet by packet. */
static void keep_stream_rest(struct websocket *websocket, struct websocket_rest *own,
                             struct bytes bytes)
{
    bool scheduled = websocket->rest != NULL; /* scheduled while the bytes were presented */
    websocket_stream_drop(websocket);
    if (bytes.len > 0 && own && own->capacity / 4 <= bytes.len) {
        own->start = (uint32_t)(bytes.data - own->data);
        own->len = (uint32_t)bytes.len;
        websocket->rest = own;
        own = NULL;
    } else if (bytes.len > 0) {
        websocket->rest = create_stream_rest(websocket, bytes);
    }
    free(own);
    if (scheduled && bytes.len > 0) {
        websocket_stream_schedule(websocket);
    }
}

static bool is_stream_rest_too_large(const struct websocket *websocket)
{
    uint64_t limit = websocket->rest_limit > 0 ? websocket->rest_limit
                                               : (uint64_t)websocket->port->settings->max_message;
    return websocket->rest != NULL && websocket->rest->len > limit &&
           websocket_may_present(websocket);
}

/* Presents the bytes, which may lie in own, and keeps the rest. While they are presented they do
 * not belong to the connection: a handler may close it and still read them. */
static void present_stream_bytes(struct websocket *websocket, struct websocket_rest *own,
                                 struct bytes bytes)
{
    struct websocket_port *port = websocket->port;
    size_t len = bytes.len;
    bool handed_over = true;
    port->presenting = websocket;
    while (handed_over && bytes.len > 0 && websocket_may_present(websocket)) {
        const struct conn_handler *handler = websocket->handler.stream;
        void *arg = websocket->arg;
        size_t used = handler->received(arg, bytes);
        assert(used <= bytes.len);
        bytes.data += used;
        bytes.len -= used;
        handed_over = websocket->handler.stream != handler || websocket->arg != arg;
    }
    port->presenting = NULL;
    if (websocket->state != WEBSOCKET_OPEN || !conn_is_open(websocket->conn)) {
        free(own);
        return;
    }
    keep_stream_rest(websocket, own, bytes);
    websocket_count_parts(websocket);
    conn_note_message(websocket->conn, bytes.len < len, websocket_has_part(websocket));
    if (is_stream_rest_too_large(websocket)) {
        websocket_fail(websocket, WEBSOCKET_ERROR_UNFINISHED);
    }
}

/* With the bytes that follow it. */
static struct websocket_rest *grow_stream_rest(struct websocket_rest *rest, struct bytes bytes)
{
    size_t len = rest->len + bytes.len;
    if (rest->start > 0) {
        memmove(rest->data, rest->data + rest->start, rest->len);
    }
    rest->start = 0;
    if (len > rest->capacity) {
        rest->capacity = (uint32_t)(len < 64 ? 64 : len + len / 2);
        rest = mem_realloc(rest, sizeof *rest + rest->capacity);
        list_init(&rest->node);
    }
    if (bytes.len > 0) {
        memcpy(rest->data + rest->len, bytes.data, bytes.len);
    }
    rest->len = (uint32_t)len;
    return rest;
}

static void present_rest(struct websocket *websocket, struct websocket_rest *rest)
{
    present_stream_bytes(websocket, rest, (struct bytes){rest->data + rest->start, rest->len});
}

void websocket_stream_take(struct websocket *websocket, struct bytes bytes)
{
    struct websocket_rest *rest = take_rest(websocket);
    if (!rest) {
        present_stream_bytes(websocket, NULL, bytes);
    } else {
        present_rest(websocket, grow_stream_rest(rest, bytes));
    }
}

void websocket_stream_after_wait(struct websocket *websocket)
{
    struct websocket_rest *rest;
    if (websocket->rest && websocket_may_present(websocket)) {
        rest = take_rest(websocket);
        present_rest(websocket, rest);
    }
}

void websocket_stream_present(void *arg)
{
    struct websocket_port *port = arg;
    struct list resumed;
    list_init(&resumed);
    /* Those that are scheduled again meanwhile wait until their output has been sent. */
    if (!list_is_empty(&port->resumed)) {
        list_insert_before(&port->resumed, &resumed);
        list_remove(&port->resumed);
    }
    while (!list_is_empty(&resumed)) {
        struct websocket_rest *rest = list_entry(resumed.next, struct websocket_rest, node);
        struct websocket *websocket = rest->websocket;
        list_remove(&rest->node);
        if (!websocket_may_present(websocket)) {
            continue;
        }
        websocket->rest = NULL;
        present_rest(websocket, rest);
        /* Then what follows it, which is still in frames. */
        if (conn_has_input(websocket->conn) && !websocket_stream_waits(websocket)) {
            conn_schedule_input(websocket->conn);
        }
    }
}

void websocket_set_stream(struct websocket *websocket, const struct conn_handler *handler,
                          void *arg)
{
    websocket->handler.stream = handler;
    websocket->arg = arg;
    websocket->is_stream = true;
}

void websocket_set_stream_limit(struct websocket *websocket, size_t limit)
{
    websocket->rest_limit = limit < UINT32_MAX ? (uint32_t)limit : UINT32_MAX;
}
