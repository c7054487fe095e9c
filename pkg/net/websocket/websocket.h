/*
 * websocket: RFC 6455, version 13, on a connection that began as HTTP.
 *
 * Receiving (fragments, control frames between them, UTF-8, Close) is wslay's, behind a reader
 * that judges each frame's header first, so that each refusal has its reason.
 * Nothing is kept between messages: an idle connection costs its struct. Sending is our own: a
 * message is one struct frame with its header, encoded once for all its receivers.
 *
 * A protocol uses a WebSocket connection in one of two ways:
 *   - by messages: websocket_set_handler, websocket_send*, websocket_close;
 *   - as a stream of bytes: it takes websocket_conn and is served as on a TCP connection. Each
 *     conn_send, conn_send_frame and conn_send_slice becomes one binary message; `received` gets
 *     the payloads of the client's binary messages one after the other, without their bounds;
 *     conn_close_after_output sends Close. A text message ends it (1003).
 * In both the connection is the net's: it destroys itself, `closed` is called exactly once.
 *
 *   OPEN ── our Close sent ──► CLOSING ── theirs received, or ws.close_timeout ──► ENDED
 *     └──── theirs received and answered, or an error of the peer ──────────────────┘
 */
#ifndef NET_WEBSOCKET_WEBSOCKET_H
#define NET_WEBSOCKET_WEBSOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/frame.h"
#include "config/config.h"
#include "net/conn.h"
#include "net/http/http.h"

struct websocket_settings {
    char *origins;         /* ws.origins: who may connect from browsers; empty: any */
    int64_t max_message;   /* ws.max_message, bytes */
    int64_t max_fragments; /* ws.max_fragments of a message */
    int64_t rate;          /* ws.rate, messages a second of a connection; 0: no limit */
    int64_t burst;         /* ws.burst */
    int over_rate;         /* ws.over_rate: enum websocket_over_rate */
    int64_t ping_interval; /* ws.ping_interval, ms; 0: no pings */
    int64_t timeout;       /* ws.timeout, ms without traffic; 0: none */
    int64_t close_timeout; /* ws.close_timeout, ms to wait for the peer's Close */
};
extern const struct config_module websocket_config;

enum websocket_over_rate { WEBSOCKET_OVER_RATE_PAUSE, WEBSOCKET_OVER_RATE_CLOSE };

/* Close codes of RFC 6455, 7.4.1, and of its registry. */
enum websocket_code {
    WEBSOCKET_NORMAL = 1000,
    WEBSOCKET_GOING_AWAY = 1001,
    WEBSOCKET_PROTOCOL_ERROR = 1002,
    WEBSOCKET_UNSUPPORTED = 1003,
    WEBSOCKET_NO_CODE = 1005,  /* never sent: a Close without a code */
    WEBSOCKET_ABNORMAL = 1006, /* never sent: no Close at all */
    WEBSOCKET_INVALID = 1007,
    WEBSOCKET_POLICY = 1008,
    WEBSOCKET_TOO_BIG = 1009,
    WEBSOCKET_INTERNAL = 1011,
    WEBSOCKET_TRY_LATER = 1013,
    WEBSOCKET_UNAUTHORIZED = 3000, /* no valid token, or it has expired */
    WEBSOCKET_FORBIDDEN = 3003     /* a valid token, without this right */
};

enum websocket_opcode { WEBSOCKET_TEXT = 1, WEBSOCKET_BINARY = 2 };

struct websocket;
struct websocket_port;

/* What the WebSocket connections of one listener share. settings are read at each use. */
struct websocket_port *websocket_port_create(struct net *net,
                                             const struct websocket_settings *settings);
/* It must have no connections. */
void websocket_port_destroy(struct websocket_port **port);
/* Open connections. */
size_t websocket_port_count(const struct websocket_port *port);
/* Sends Close to all that are open. */
void websocket_port_end(struct websocket_port *port, enum conn_close_reason reason);

/* Whether the request asks for an upgrade to WebSocket, valid or not. */
bool websocket_is_requested(const struct http_request *request);
/* The first subprotocol of the client's list that is known (ends with NULL): the entry of known,
 * or NULL. */
const char *websocket_choose(const struct http_request *request, const char *const *known);
/*
 * Upgrades. protocol: the subprotocol to be answered, which the client has offered; NULL: none.
 * NULL when the handshake is not one or its Origin is not allowed: then it has been answered, and
 * the connection ends. The caller must set a handler at once, of either kind.
 */
struct websocket *websocket_accept(struct websocket_port *port, struct http_request *request,
                                   const char *protocol) __attribute__((warn_unused_result));

struct websocket_handler {
    /* A whole message; text is valid UTF-8. The bytes live until it returns. Not called while
     * reading is paused (conn_pause_reading), nor after websocket_close. */
    void (*message)(void *arg, enum websocket_opcode opcode, struct bytes bytes);
    /* The backlog has been sent. May be NULL. */
    void (*drained)(void *arg);
    /* It is closed. code: of the first Close, the peer's or ours; WEBSOCKET_NO_CODE when
     * it had none, WEBSOCKET_ABNORMAL when there was no Close. */
    void (*closed)(void *arg, unsigned code, enum conn_close_reason reason);
};
/* handler: static; arg: passed to it. */
void websocket_set_handler(struct websocket *websocket, const struct websocket_handler *handler,
                           void *arg);
/* For the functions of conn.h: its peer, whether it has a backlog, pausing; or to use it as a
 * stream. */
struct conn *websocket_conn(struct websocket *websocket);

/* A message with its header, to be given to any number of connections; one reference is the
 * caller's. */
struct frame *websocket_frame_create(enum websocket_opcode opcode, struct bytes bytes);
/* Each returns at once, and does nothing after Close. A frame of websocket_frame_create: */
void websocket_send_frame(struct websocket *websocket, struct frame *message);
/* One message of two parts: head is copied, the rest is a plain frame (frame_create) that many
 * messages share, each with a head of its own. */
void websocket_send_parts(struct websocket *websocket, enum websocket_opcode opcode,
                          struct bytes head, struct frame *rest);
/* Copies. */
void websocket_send(struct websocket *websocket, enum websocket_opcode opcode, struct bytes bytes);

/* Sends Close, waits for the peer's, and closes; `closed` follows. reason: UTF-8, at most 123 bytes
 * of it are sent; may be NULL. */
void websocket_close(struct websocket *websocket, enum websocket_code code, const char *reason);
/* Does so, and logs it, when it is still open so many ms from now; replaces the time that was set
 * before. UINT64_MAX: removes it. reason: static. */
void websocket_set_lifetime(struct websocket *websocket, uint64_t ms, enum websocket_code code,
                            const char *reason);

#endif
