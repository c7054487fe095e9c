/*
 * websocket: a connection's life. It is between its conn and its protocol: the conn's handler is
 * here, and what the protocol does with the conn as a stream arrives here as the conn's framing.
 */
#include "net/websocket/websocket.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "net/transport.h"
#include "net/websocket/websocket_private.h"

_Static_assert(sizeof(struct websocket) <= 104, "an idle connection is small");

static void on_drained(void *arg)
{
    struct websocket *websocket = arg;
    if (websocket->rest) {
        websocket_stream_schedule(websocket);
    }
    if (websocket->state != WEBSOCKET_OPEN) {
        return;
    }
    if (websocket->is_stream) {
        if (websocket->handler.stream->drained) {
            websocket->handler.stream->drained(websocket->arg);
        }
    } else if (websocket->handler.messages->drained) {
        websocket->handler.messages->drained(websocket->arg);
    }
}

static enum metric close_code_metric(unsigned code)
{
    switch (code) {
    case WEBSOCKET_NORMAL:
        return METRIC_WEBSOCKET_CLOSED_NORMAL;
    case WEBSOCKET_GOING_AWAY:
        return METRIC_WEBSOCKET_CLOSED_GOING_AWAY;
    case WEBSOCKET_PROTOCOL_ERROR:
        return METRIC_WEBSOCKET_CLOSED_PROTOCOL_ERROR;
    case WEBSOCKET_UNSUPPORTED:
        return METRIC_WEBSOCKET_CLOSED_UNSUPPORTED;
    case WEBSOCKET_NO_CODE:
        return METRIC_WEBSOCKET_CLOSED_NO_CODE;
    case WEBSOCKET_ABNORMAL:
        return METRIC_WEBSOCKET_CLOSED_ABNORMAL;
    case WEBSOCKET_INVALID:
        return METRIC_WEBSOCKET_CLOSED_INVALID;
    case WEBSOCKET_POLICY:
        return METRIC_WEBSOCKET_CLOSED_POLICY;
    case WEBSOCKET_TOO_BIG:
        return METRIC_WEBSOCKET_CLOSED_TOO_BIG;
    case WEBSOCKET_INTERNAL:
        return METRIC_WEBSOCKET_CLOSED_INTERNAL;
    case WEBSOCKET_TRY_LATER:
        return METRIC_WEBSOCKET_CLOSED_TRY_LATER;
    case WEBSOCKET_UNAUTHORIZED:
        return METRIC_WEBSOCKET_CLOSED_UNAUTHORIZED;
    case WEBSOCKET_FORBIDDEN:
        return METRIC_WEBSOCKET_CLOSED_FORBIDDEN;
    default:
        return METRIC_WEBSOCKET_CLOSED_OTHER;
    }
}

/* Of the first Close. */
static void note_code(struct websocket *websocket, unsigned code)
{
    websocket->code = (uint16_t)code;
    metrics_add(close_code_metric(code), 1);
}

static void on_closed(void *arg, enum conn_close_reason reason)
{
    struct websocket *websocket = arg;
    if (websocket->code == 0) {
        note_code(websocket, WEBSOCKET_ABNORMAL);
    }
    metrics_add(METRIC_WEBSOCKET_CONNECTIONS, -1);
    list_remove(&websocket->node);
    websocket_stream_drop(websocket);
    websocket_lifetime_drop(websocket);
    websocket_reader_destroy(&websocket->reader);
    websocket_count_parts(websocket);
    websocket->port->count--;
    if (websocket->is_stream) {
        websocket->handler.stream->closed(websocket->arg, reason);
    } else if (websocket->handler.messages) {
        websocket->handler.messages->closed(websocket->arg, websocket->code, reason);
    }
    free(websocket);
}

static void framing_end(void *arg, enum conn_close_reason reason)
{
    websocket_end(arg, reason);
}

static void framing_closing(void *arg, enum conn_close_reason reason)
{
    websocket_send_reason(arg, reason);
}

static void framing_pause(void *arg)
{
    websocket_stop_reading(arg, WEBSOCKET_STOP_PROTOCOL);
}

static void framing_resume(void *arg)
{
    websocket_resume_reading(arg, WEBSOCKET_STOP_PROTOCOL);
}

static void framing_after_wait(void *arg)
{
    websocket_stream_after_wait(arg);
}

static void framing_send(void *arg, struct bytes bytes)
{
    websocket_send(arg, WEBSOCKET_BINARY, bytes);
}

static void framing_send_slice(void *arg, struct frame *frame, size_t offset, size_t len)
{
    websocket_send_slice(arg, frame, offset, len);
}

static void framing_set_handler(void *arg, const struct conn_handler *stream, void *stream_arg)
{
    websocket_set_stream(arg, stream, stream_arg);
}

static void framing_set_input_limit(void *arg, size_t limit)
{
    websocket_set_stream_limit(arg, limit);
}

static const struct conn_framing framing = {.set_handler = framing_set_handler,
                                            .set_input_limit = framing_set_input_limit,
                                            .send = framing_send,
                                            .send_slice = framing_send_slice,
                                            .pause_reading = framing_pause,
                                            .resume_reading = framing_resume,
                                            .after_wait = framing_after_wait,
                                            .closing = framing_closing,
                                            .close_after_output = framing_end};

static const struct conn_handler handler = {.received = websocket_received,
                                            .drained = on_drained,
                                            .closed = on_closed,
                                            .framing = &framing};

struct websocket *websocket_create(struct websocket_port *port, struct conn *conn)
{
    struct websocket *websocket = mem_zalloc(1, sizeof *websocket);
    list_init(&websocket->node);
    websocket->port = port;
    websocket->conn = conn;
    conn_set_handler(conn, &handler, websocket);
    websocket->pinged = net_stamp(port->net);
    port->count++;
    metrics_add(METRIC_WEBSOCKET_CONNECTIONS, 1);
    websocket_watch(websocket);
    return websocket;
}

void websocket_set_handler(struct websocket *websocket, const struct websocket_handler *messages,
                           void *arg)
{
    websocket->handler.messages = messages;
    websocket->arg = arg;
    websocket->is_stream = false;
}

struct conn *websocket_conn(struct websocket *websocket)
{
    return websocket->conn;
}

static void enter_closing(struct websocket *websocket)
{
    websocket_resume_reading(websocket, WEBSOCKET_STOP_PROTOCOL);
    conn_end_wait(websocket->conn);
    websocket_stream_drop(websocket);
    websocket_await_close(websocket);
}

static void enter_ended(struct websocket *websocket)
{
    list_remove(&websocket->node);
    websocket_stream_drop(websocket);
    websocket_reader_destroy(&websocket->reader);
    websocket_count_parts(websocket);
    conn_end(websocket->conn, (enum conn_close_reason)websocket->reason);
}

/* The one place that changes the state. */
static void move_websocket(struct websocket *websocket, enum websocket_state state,
                           enum conn_close_reason reason)
{
    websocket->state = (uint8_t)state;
    websocket->reason = (uint8_t)reason;
    switch (state) {
    case WEBSOCKET_OPEN:
        break;
    case WEBSOCKET_CLOSING:
        enter_closing(websocket);
        break;
    case WEBSOCKET_ENDED:
        enter_ended(websocket);
        break;
    }
}

static bool is_open(const struct websocket *websocket)
{
    return websocket->state == WEBSOCKET_OPEN && conn_is_open(websocket->conn);
}

static void send_close_code(struct websocket *websocket, unsigned code, const char *reason)
{
    note_code(websocket, code);
    websocket_send_close(websocket, code, reason);
}

void websocket_close(struct websocket *websocket, enum websocket_code code, const char *reason)
{
    if (!is_open(websocket)) {
        return;
    }
    send_close_code(websocket, code, reason);
    move_websocket(websocket, WEBSOCKET_CLOSING, CONN_CLOSE_LOCAL);
}

static enum websocket_code close_code_of(enum conn_close_reason reason)
{
    static const enum websocket_code codes[] = {
        [CONN_CLOSE_PEER] = WEBSOCKET_NORMAL,       [CONN_CLOSE_ERROR] = WEBSOCKET_INTERNAL,
        [CONN_CLOSE_IDLE] = WEBSOCKET_GOING_AWAY,   [CONN_CLOSE_HANDSHAKE] = WEBSOCKET_POLICY,
        [CONN_CLOSE_WRITE] = WEBSOCKET_TRY_LATER,   [CONN_CLOSE_MESSAGE] = WEBSOCKET_POLICY,
        [CONN_CLOSE_SILENT] = WEBSOCKET_GOING_AWAY, [CONN_CLOSE_PROTOCOL] = WEBSOCKET_POLICY,
        [CONN_CLOSE_DRAIN] = WEBSOCKET_GOING_AWAY,  [CONN_CLOSE_KICKED] = WEBSOCKET_POLICY,
        [CONN_CLOSE_BANNED] = WEBSOCKET_POLICY,     [CONN_CLOSE_TAKEN] = WEBSOCKET_POLICY,
        [CONN_CLOSE_MEMORY] = WEBSOCKET_TRY_LATER,  [CONN_CLOSE_CUT_OFF] = WEBSOCKET_TRY_LATER,
        [CONN_CLOSE_LOCAL] = WEBSOCKET_NORMAL};
    return codes[reason];
}

/* After a violation of the protocol the peer's Close is not awaited. */
static bool ends_without_close(enum conn_close_reason reason)
{
    return reason == CONN_CLOSE_PROTOCOL || reason == CONN_CLOSE_MESSAGE ||
           reason == CONN_CLOSE_MEMORY;
}

void websocket_end(struct websocket *websocket, enum conn_close_reason reason)
{
    if (!is_open(websocket)) {
        return;
    }
    send_close_code(websocket, close_code_of(reason), conn_close_reason_name(reason));
    move_websocket(websocket, ends_without_close(reason) ? WEBSOCKET_ENDED : WEBSOCKET_CLOSING,
                   reason);
}

void websocket_send_reason(struct websocket *websocket, enum conn_close_reason reason)
{
    if (!is_open(websocket) || conn_has_backlog(websocket->conn) || reason == CONN_CLOSE_PEER ||
        reason == CONN_CLOSE_ERROR) {
        return;
    }
    send_close_code(websocket, close_code_of(reason), conn_close_reason_name(reason));
    conn_flush(websocket->conn);
}

void websocket_fail(struct websocket *websocket, enum websocket_error error)
{
    const struct websocket_error_kind *kind = &websocket_error_kinds[error];
    metrics_add(kind->metric, 1);
    log_limited(LOG_INFO, &websocket->port->closed_limit, "websocket_closed",
                LOG_STRING("peer", conn_peer_text(websocket->conn)), LOG_INT("code", kind->code),
                LOG_STRING("reason", kind->text));
    if (websocket->state == WEBSOCKET_OPEN) {
        send_close_code(websocket, kind->code, kind->text);
    }
    move_websocket(websocket, WEBSOCKET_ENDED, CONN_CLOSE_PROTOCOL);
}

void websocket_on_peer_close(struct websocket *websocket, unsigned code)
{
    bool is_theirs = websocket->state == WEBSOCKET_OPEN;
    if (is_theirs) {
        note_code(websocket, code);
    }
    move_websocket(websocket, WEBSOCKET_ENDED,
                   is_theirs ? CONN_CLOSE_PEER : (enum conn_close_reason)websocket->reason);
}

void websocket_give_up(struct websocket *websocket, enum conn_close_reason reason)
{
    log_limited(LOG_INFO, &websocket->port->closed_limit, "websocket_closed",
                LOG_STRING("peer", conn_peer_text(websocket->conn)),
                LOG_STRING("reason", conn_close_reason_name(reason)));
    conn_close(websocket->conn, reason);
}

void websocket_stop_reading(struct websocket *websocket, enum websocket_stop reason)
{
    if (websocket->state != WEBSOCKET_OPEN) {
        return;
    }
    websocket->stops |= (uint8_t)reason;
    conn_pause(websocket->conn);
}

void websocket_resume_reading(struct websocket *websocket, enum websocket_stop reason)
{
    if (!(websocket->stops & reason)) {
        return;
    }
    websocket->stops &= (uint8_t)~reason;
    if (websocket->stops != 0) {
        return;
    }
    if (websocket->rest || websocket->port->presenting == websocket) {
        websocket_stream_schedule(websocket);
    }
    conn_resume(websocket->conn);
}

bool websocket_may_present(const struct websocket *websocket)
{
    return is_open(websocket) && websocket->stops == 0 && !conn_is_held(websocket->conn) &&
           !conn_is_waiting(websocket->conn);
}
