/* websocket_input: frames as they arrive, one after the other, while reading is allowed. */
#include "net/transport.h"
#include "net/websocket/websocket_private.h"

static struct websocket_limits websocket_limits_of(const struct websocket *websocket)
{
    const struct websocket_settings *settings = websocket->port->settings;
    return (struct websocket_limits){.max_message = (uint64_t)settings->max_message,
                                     .max_fragments = (uint64_t)settings->max_fragments};
}

static void deliver_message(struct websocket *websocket, const struct websocket_event *event)
{
    struct bytes message = writer_bytes_written(&event->message);
    conn_charge(websocket->conn, 1 + (uint32_t)(message.len / 1024));
    metrics_add(
        event->opcode == WEBSOCKET_FRAME_TEXT ? METRIC_WEBSOCKET_TEXT : METRIC_WEBSOCKET_BINARY, 1);
    if (websocket->state != WEBSOCKET_OPEN) {
        return;
    }
    if (!websocket->is_stream) {
        websocket->handler.messages->message(websocket->arg, (enum websocket_opcode)event->opcode,
                                             message);
    } else if (event->opcode == WEBSOCKET_FRAME_BINARY) {
        websocket_stream_take(websocket, message);
    } else {
        websocket_fail(websocket, WEBSOCKET_ERROR_TEXT);
    }
}

static void handle_event(struct websocket *websocket, const struct websocket_event *event)
{
    /* wslay does not know that our Close has been sent. */
    if (websocket->state == WEBSOCKET_OPEN) {
        conn_put(websocket->conn, writer_bytes_written(&event->reply));
    }
    switch (event->kind) {
    case WEBSOCKET_EVENT_MORE:
        break;
    case WEBSOCKET_EVENT_MESSAGE:
        deliver_message(websocket, event);
        break;
    case WEBSOCKET_EVENT_CONTROL:
        metrics_add(METRIC_WEBSOCKET_CONTROL, 1);
        conn_charge(websocket->conn, 1);
        break;
    case WEBSOCKET_EVENT_CLOSE:
        websocket_on_peer_close(websocket, event->code);
        break;
    case WEBSOCKET_EVENT_ERROR:
        websocket_fail(websocket, event->error);
        break;
    }
}

/* Whether the byte begins a message or a control frame. */
static bool begins_message(const struct websocket *websocket, uint8_t byte)
{
    return websocket_reader_is_between(websocket->reader) &&
           (byte & 0x0f) != WEBSOCKET_FRAME_CONTINUATION;
}

static bool may_take_frame(const struct websocket *websocket)
{
    return conn_may_read(websocket->conn) && websocket->state != WEBSOCKET_ENDED &&
           !websocket_stream_waits(websocket);
}

/* Takes at most one frame. */
static size_t receive_websocket_frame(struct websocket *websocket, struct bytes input)
{
    struct websocket_limits limits = websocket_limits_of(websocket);
    bool counts = websocket->state == WEBSOCKET_OPEN && begins_message(websocket, input.data[0]);
    struct websocket_event event;
    size_t used;
    if (counts && !websocket_admits(websocket)) {
        return 0;
    }
    used = websocket_read(&websocket->reader, &limits, input, &event);
    if (counts && used > 0) {
        websocket_charge(websocket);
    }
    handle_event(websocket, &event);
    websocket_event_free(&event);
    return used;
}

void websocket_count_parts(struct websocket *websocket)
{
    const struct websocket_rest *rest = websocket->rest;
    size_t size = websocket_reader_size(websocket->reader) + (rest ? rest->capacity : 0);
    int64_t change = (int64_t)size - websocket->counted;
    websocket->counted = (uint32_t)size;
    if (change != 0) {
        conn_count_input(websocket->conn, change);
    }
}

bool websocket_has_part(const struct websocket *websocket)
{
    return websocket->reader != NULL || (websocket->rest != NULL && websocket->rest->len > 0);
}

size_t websocket_received(void *arg, struct bytes input)
{
    struct websocket *websocket = arg;
    size_t used = 0, n = 1;
    bool is_complete = false;
    while (n > 0 && used < input.len && may_take_frame(websocket)) {
        n = receive_websocket_frame(websocket, (struct bytes){input.data + used, input.len - used});
        used += n;
        if (!websocket_has_part(websocket)) {
            is_complete = true;
        }
    }
    websocket_count_parts(websocket);
    conn_note_message(websocket->conn, is_complete, websocket_has_part(websocket));
    return used;
}
