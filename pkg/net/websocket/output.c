/*
 * websocket_output: whole messages, unmasked.
 *
 * A part of a frame that is sent to many as a message of its own is encoded once: the message is
 * kept for the next receiver until the port's tick, with a reference to the frame that it was made
 * of, so that equal pointers mean equal bytes. Of a large part only the header is kept, and the
 * part goes out as it is.
 */
#include <string.h>

#include "base/mem.h"
#include "net/transport.h"
#include "net/websocket/websocket_private.h"

#define COPY_MAX 4096 /* parts up to this are copied after their header */

static bool may_send_frame(const struct websocket *websocket)
{
    return websocket->state == WEBSOCKET_OPEN && conn_is_open(websocket->conn);
}

static struct frame *create_websocket_frame(uint8_t opcode, struct bytes bytes)
{
    uint8_t header[WEBSOCKET_HEADER_MAX];
    size_t size = websocket_header_write(header, opcode, bytes.len);
    struct frame *frame = frame_create_sized(size + bytes.len);
    memcpy(frame->data, header, size);
    if (bytes.len > 0) {
        memcpy(frame->data + size, bytes.data, bytes.len);
    }
    return frame;
}

struct frame *websocket_frame_create(enum websocket_opcode opcode, struct bytes bytes)
{
    return create_websocket_frame((uint8_t)opcode, bytes);
}

void websocket_send_frame(struct websocket *websocket, struct frame *message)
{
    if (!may_send_frame(websocket)) {
        return;
    }
    metrics_add(METRIC_WEBSOCKET_SENT, 1);
    conn_put_slice(websocket->conn, message, 0, message->len);
}

void websocket_send(struct websocket *websocket, enum websocket_opcode opcode, struct bytes bytes)
{
    uint8_t header[WEBSOCKET_HEADER_MAX];
    size_t size;
    if (!may_send_frame(websocket)) {
        return;
    }
    size = websocket_header_write(header, (uint8_t)opcode, bytes.len);
    metrics_add(METRIC_WEBSOCKET_SENT, 1);
    conn_put(websocket->conn, (struct bytes){header, size});
    conn_put(websocket->conn, bytes);
}

void websocket_send_parts(struct websocket *websocket, enum websocket_opcode opcode,
                          struct bytes head, struct frame *rest)
{
    uint8_t header[WEBSOCKET_HEADER_MAX];
    size_t size;
    if (!may_send_frame(websocket)) {
        return;
    }
    size = websocket_header_write(header, (uint8_t)opcode, head.len + rest->len);
    metrics_add(METRIC_WEBSOCKET_SENT, 1);
    conn_put(websocket->conn, (struct bytes){header, size});
    conn_put(websocket->conn, head);
    conn_put_slice(websocket->conn, rest, 0, rest->len);
}

void websocket_forget_shared(struct websocket_port *port)
{
    frame_unref(&port->shared.of);
    frame_unref(&port->shared.message);
    frame_unref(&port->header);
}

static struct frame *shared_message(struct websocket_port *port, struct frame *frame, size_t offset,
                                    size_t len)
{
    struct websocket_shared *shared = &port->shared;
    if (shared->of == frame && shared->offset == offset && shared->len == len) {
        return shared->message;
    }
    frame_unref(&shared->of);
    frame_unref(&shared->message);
    *shared = (struct websocket_shared){
        .of = frame_ref(frame),
        .offset = offset,
        .len = len,
        .message = create_websocket_frame(WEBSOCKET_FRAME_BINARY,
                                          (struct bytes){frame->data + offset, len}),
    };
    return shared->message;
}

static struct frame *shared_header(struct websocket_port *port, size_t len)
{
    uint8_t header[WEBSOCKET_HEADER_MAX];
    if (port->header && port->header_of == len) {
        return port->header;
    }
    frame_unref(&port->header);
    port->header_of = len;
    port->header = frame_create(
        (struct bytes){header, websocket_header_write(header, WEBSOCKET_FRAME_BINARY, len)});
    return port->header;
}

void websocket_send_slice(struct websocket *websocket, struct frame *frame, size_t offset,
                          size_t len)
{
    struct websocket_port *port = websocket->port;
    struct frame *message;
    if (!may_send_frame(websocket)) {
        return;
    }
    metrics_add(METRIC_WEBSOCKET_SENT, 1);
    if (len <= COPY_MAX) {
        message = shared_message(port, frame, offset, len);
        conn_put_slice(websocket->conn, message, 0, message->len);
        return;
    }
    message = shared_header(port, len);
    conn_put_slice(websocket->conn, message, 0, message->len);
    conn_put_slice(websocket->conn, frame, offset, len);
}

/* At most len bytes of the text, and no part of a character. */
static size_t truncate_reason(const char *text, size_t len)
{
    size_t n = strlen(text);
    if (n <= len) {
        return n;
    }
    while (len > 0 && ((uint8_t)text[len] & 0xc0) == 0x80) {
        len--;
    }
    return len;
}

void websocket_send_close(struct websocket *websocket, unsigned code, const char *reason)
{
    uint8_t frame[2 + WEBSOCKET_CONTROL_MAX];
    size_t len = reason ? truncate_reason(reason, WEBSOCKET_CONTROL_MAX - 2) : 0;
    size_t size = websocket_header_write(frame, WEBSOCKET_FRAME_CLOSE, 2 + len);
    frame[size++] = (uint8_t)(code >> 8);
    frame[size++] = (uint8_t)code;
    if (len > 0) {
        memcpy(frame + size, reason, len);
    }
    conn_put(websocket->conn, (struct bytes){frame, size + len});
}

void websocket_send_ping(struct websocket *websocket)
{
    struct frame *ping = websocket->port->ping;
    conn_put_slice(websocket->conn, ping, 0, ping->len);
}
