/*
 * websocket_private: what the files of WebSocket share.
 *
 *   websocket.c a connection's life: its states, Close, its handlers
 *   upgrade.c   the handshake
 *   header.c    the header of a frame, judged (no I/O)
 *   reader.c    frames to messages through wslay (no I/O)
 *   input.c     what is received, the rate
 *   stream.c    a connection as a stream of bytes
 *   output.c    what is sent
 *   port.c      pings, time-outs, those over the rate
 *   lifetime.c  the end that a protocol has set for one
 */
#ifndef NET_WEBSOCKET_WEBSOCKET_PRIVATE_H
#define NET_WEBSOCKET_WEBSOCKET_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/frame.h"
#include "base/list.h"
#include "base/log.h"
#include "budget/bucket.h"
#include "loop/loop.h"
#include "metrics/metrics.h"
#include "net/conn.h"
#include "net/websocket/websocket.h"

#define WEBSOCKET_HEADER_MAX  10  /* of a frame that we send */
#define WEBSOCKET_CONTROL_MAX 125 /* bytes of a control frame's payload */

enum websocket_frame_opcode {
    WEBSOCKET_FRAME_CONTINUATION = 0,
    WEBSOCKET_FRAME_TEXT = 1,
    WEBSOCKET_FRAME_BINARY = 2,
    WEBSOCKET_FRAME_CLOSE = 8,
    WEBSOCKET_FRAME_PING = 9,
    WEBSOCKET_FRAME_PONG = 10
};

/* What a peer may do wrong. */
enum websocket_error {
    WEBSOCKET_ERROR_NONE,
    WEBSOCKET_ERROR_UNMASKED,
    WEBSOCKET_ERROR_RESERVED,
    WEBSOCKET_ERROR_OPCODE,
    WEBSOCKET_ERROR_CONTROL_FRAGMENT,
    WEBSOCKET_ERROR_CONTROL_LENGTH,
    WEBSOCKET_ERROR_LENGTH,
    WEBSOCKET_ERROR_CONTINUATION,
    WEBSOCKET_ERROR_INTERLEAVED,
    WEBSOCKET_ERROR_CLOSE,
    WEBSOCKET_ERROR_UTF8,
    WEBSOCKET_ERROR_TOO_BIG,
    WEBSOCKET_ERROR_FRAGMENTS,
    WEBSOCKET_ERROR_RATE,
    WEBSOCKET_ERROR_TEXT,
    WEBSOCKET_ERROR_UNFINISHED,
    WEBSOCKET_ERROR_INTERNAL,
    WEBSOCKET_ERRORS
};

struct websocket_error_kind {
    enum websocket_code code; /* that it is closed with */
    const char *text;
    enum metric metric;
};
extern const struct websocket_error_kind websocket_error_kinds[WEBSOCKET_ERRORS];

/* ---- header.c ---- */

struct websocket_header {
    uint64_t len; /* of the payload */
    uint8_t size; /* of the header with its mask; 0: not all of it is there */
    uint8_t opcode;
    bool fin;
};
/* Reads a client's header, as far as it is there. in_message: a message is under way. */
enum websocket_error websocket_header_read(struct bytes input, bool in_message,
                                           struct websocket_header *header);
/* Writes the header of a whole, unmasked message; returns its size. */
size_t websocket_header_write(uint8_t header[WEBSOCKET_HEADER_MAX], uint8_t opcode, uint64_t len);

/* ---- reader.c ---- */

struct websocket_limits {
    uint64_t max_message;
    uint64_t max_fragments;
};

/* Exists only in the middle of a message or a frame. */
struct websocket_reader;

struct websocket_event {
    enum {
        WEBSOCKET_EVENT_MORE,    /* nothing yet */
        WEBSOCKET_EVENT_MESSAGE, /* a whole one */
        WEBSOCKET_EVENT_CONTROL, /* a ping or pong */
        WEBSOCKET_EVENT_CLOSE,
        WEBSOCKET_EVENT_ERROR
    } kind;
    uint8_t opcode;             /* MESSAGE */
    uint16_t code;              /* CLOSE: the peer's, WEBSOCKET_NO_CODE if it had none */
    enum websocket_error error; /* ERROR */
    struct writer message;      /* MESSAGE: its payload */
    struct writer reply;        /* frames to be sent before anything else */
};
/* Takes at most one frame, or a part of it; returns how many bytes. What is not consumed must be
 * presented again with more. *reader is NULL at first, and whenever no message is under way. After
 * CLOSE and ERROR only websocket_reader_destroy may follow. */
size_t websocket_read(struct websocket_reader **reader, const struct websocket_limits *limits,
                      struct bytes input, struct websocket_event *event);
void websocket_event_free(struct websocket_event *event);
/* Whether the next byte is the first of a frame. */
bool websocket_reader_is_between(const struct websocket_reader *reader);
/* Bytes of memory. */
size_t websocket_reader_size(const struct websocket_reader *reader);
void websocket_reader_destroy(struct websocket_reader **reader);

/* ---- connections ---- */

enum websocket_state { WEBSOCKET_OPEN, WEBSOCKET_CLOSING, WEBSOCKET_ENDED };

/* Why nothing is read. */
enum websocket_stop { WEBSOCKET_STOP_PROTOCOL = 1 };

/* Of a stream: bytes of messages that were not consumed. */
struct websocket_rest {
    struct websocket *websocket;
    struct list node; /* in the port's resumed */
    uint32_t start;   /* those before it have been consumed since */
    uint32_t len;     /* from there */
    uint32_t capacity;
    uint8_t data[];
};

struct websocket {
    struct list node; /* in a slot of the port's wheel, or in closing */
    struct websocket_port *port;
    struct conn *conn;
    union {
        const struct websocket_handler *messages;
        const struct conn_handler *stream;
    } handler;
    void *arg;
    struct websocket_reader *reader; /* NULL between messages */
    struct websocket_rest *rest;     /* NULL: none */
    struct websocket_lifetime *life; /* NULL: no end is set */
    struct bucket rate;              /* ws.rate */
    uint32_t closing_since;          /* stamp */
    uint32_t pinged;                 /* stamp */
    uint32_t rest_limit;             /* 0: ws.max_message */
    uint32_t counted;                /* bytes of reader and rest, as counted */
    uint16_t code;                   /* of the first Close; 0: none yet */
    uint8_t state;                   /* enum websocket_state */
    uint8_t stops;                   /* enum websocket_stop */
    uint8_t reason;                  /* CLOSING: enum conn_close_reason */
    bool is_stream;
};

/* A message made of a part of a frame, for those after the first that get the same part. */
struct websocket_shared {
    struct frame *of;
    size_t offset, len;
    struct frame *message;
};

/* Open connections by when they are to be checked: port.c. */
#define WEBSOCKET_WHEEL_SLOTS 512
struct websocket_wheel {
    struct list slots[WEBSOCKET_WHEEL_SLOTS];
    size_t position;                /* the slot that was checked last */
    uint64_t time_ms;               /* when it was due */
    int64_t ping_interval, timeout; /* the settings that determine the slots */
};

struct websocket_port {
    struct net *net;
    const struct websocket_settings *settings;
    size_t count;
    struct websocket_wheel wheel; /* OPEN */
    struct list closing;          /* CLOSING, oldest first */
    struct list resumed;          /* rests to be presented again */
    struct loop_task present;
    struct loop_timer *tick; /* runs while there are connections */
    struct websocket *presenting;
    struct frame *ping;
    struct websocket_shared shared;
    struct frame *header; /* the last of a large message */
    uint64_t header_of;   /* its length */
    struct log_limit closed_limit;
    struct log_limit refused_limit;
};

/* websocket.c */
/* Makes the connection one; the 101 has not been sent. */
struct websocket *websocket_create(struct websocket_port *port, struct conn *conn);
/* Closes for what the peer did. */
void websocket_fail(struct websocket *websocket, enum websocket_error error);
/* Sends Close for a connection's reason, and waits for the peer's. */
void websocket_end(struct websocket *websocket, enum conn_close_reason reason);
/* The connection is being closed at once: sends the reason if that is still possible. */
void websocket_send_reason(struct websocket *websocket, enum conn_close_reason reason);
/* The peer's Close, which has been answered. */
void websocket_on_peer_close(struct websocket *websocket, unsigned code);
/* The peer has not answered in time. */
void websocket_give_up(struct websocket *websocket, enum conn_close_reason reason);
void websocket_stop_reading(struct websocket *websocket, enum websocket_stop reason);
void websocket_resume_reading(struct websocket *websocket, enum websocket_stop reason);
/* Whether messages may be delivered. */
bool websocket_may_present(const struct websocket *websocket);

/* input.c: a conn_handler's received. */
size_t websocket_received(void *websocket, struct bytes input);
/* Counts what is kept of a message outside the conn's input; after each change. */
void websocket_count_parts(struct websocket *websocket);
/* Whether a part of a message is kept outside the conn's input. */
bool websocket_has_part(const struct websocket *websocket);

/* stream.c */
void websocket_set_stream(struct websocket *websocket, const struct conn_handler *handler,
                          void *arg);
void websocket_set_stream_limit(struct websocket *websocket, size_t limit);
/* A binary message's bytes. */
void websocket_stream_take(struct websocket *websocket, struct bytes bytes);
/* Has the rest presented again at the end of this iteration. */
void websocket_stream_schedule(struct websocket *websocket);
/* At once, after a time in which nothing was read. */
void websocket_stream_after_wait(struct websocket *websocket);
/* Whether it will be. */
bool websocket_stream_waits(const struct websocket *websocket);
/* A loop_task's callback. */
void websocket_stream_present(void *port);
void websocket_stream_drop(struct websocket *websocket);

/* output.c */
void websocket_send_slice(struct websocket *websocket, struct frame *frame, size_t offset,
                          size_t len);
/* A control frame. */
void websocket_send_close(struct websocket *websocket, unsigned code, const char *reason);
void websocket_send_ping(struct websocket *websocket);
/* Frees what is kept for the next receiver. */
void websocket_forget_shared(struct websocket_port *port);

/* lifetime.c: it is closed. */
void websocket_lifetime_drop(struct websocket *websocket);

/* port.c */
void websocket_watch(struct websocket *websocket);
void websocket_await_close(struct websocket *websocket);
/* Whether a message may be received now; if not, reading stops until it may, or it is closed. */
bool websocket_admits(struct websocket *websocket);
/* One has been received. */
void websocket_charge(struct websocket *websocket);

#endif
