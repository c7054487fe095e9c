/*
 * Fuzzes WebSocket frames. The first byte of the input is the size of the chunks in which the rest
 * is fed, the second selects the limits.
 *
 * Invariant: feeding it whole and in chunks results in the same messages, replies and end.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "net/websocket/websocket_private.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void note(struct writer *seen, uint8_t kind, struct bytes bytes)
{
    writer_u8(seen, kind);
    writer_u32(seen, (uint32_t)bytes.len);
    writer_bytes(seen, bytes);
}

static void check_message(const struct websocket_event *event,
                          const struct websocket_limits *limits)
{
    struct bytes message = writer_bytes_written(&event->message);
    if (message.len > limits->max_message) {
        abort();
    }
    if (event->opcode == WEBSOCKET_FRAME_TEXT ? !bytes_is_utf8(message)
                                              : event->opcode != WEBSOCKET_FRAME_BINARY) {
        abort();
    }
}

/* A reply is whole frames: a pong, or an answered Close. */
static void check_reply(struct bytes reply)
{
    if (reply.len == 0) {
        return;
    }
    if (reply.len < 2 || (reply.data[0] != 0x8a && reply.data[0] != 0x88) ||
        reply.data[1] > WEBSOCKET_CONTROL_MAX || reply.len != 2U + reply.data[1]) {
        abort();
    }
}

static void check(const struct websocket_event *event, const struct websocket_limits *limits)
{
    check_reply(writer_bytes_written(&event->reply));
    if (event->kind == WEBSOCKET_EVENT_MESSAGE) {
        check_message(event, limits);
    }
    if (event->kind == WEBSOCKET_EVENT_ERROR &&
        (event->error == WEBSOCKET_ERROR_NONE || event->error >= WEBSOCKET_ERROR_INTERNAL ||
         event->reply.len > 0)) {
        abort();
    }
}

/* True when nothing may follow. */
static bool take(const struct websocket_event *event, struct writer *seen)
{
    switch (event->kind) {
    case WEBSOCKET_EVENT_MORE:
        return false;
    case WEBSOCKET_EVENT_MESSAGE:
        note(seen, event->opcode, writer_bytes_written(&event->message));
        return false;
    case WEBSOCKET_EVENT_CONTROL:
        note(seen, 8, writer_bytes_written(&event->reply));
        return false;
    case WEBSOCKET_EVENT_CLOSE:
        note(seen, 9, writer_bytes_written(&event->reply));
        writer_u16(seen, event->code);
        return true;
    case WEBSOCKET_EVENT_ERROR:
        writer_u8(seen, 10);
        writer_u8(seen, (uint8_t)event->error);
        return true;
    }
    return true;
}

/* As a connection does: what is not consumed is presented again with the next part. */
static void read_all(struct bytes input, size_t step, const struct websocket_limits *limits,
                     struct writer *seen)
{
    struct websocket_reader *reader = NULL;
    size_t used = 0, shown = step < input.len ? step : input.len;
    bool ended = false;
    while (!ended) {
        struct websocket_event event;
        /* A copy of just that size, so that reading beyond it is found. */
        size_t len = shown - used, n;
        uint8_t *part = mem_dup(input.data + used, len);
        part = mem_realloc(part, len > 0 ? len : 1);
        n = websocket_read(&reader, limits, (struct bytes){part, len}, &event);
        free(part);
        check(&event, limits);
        if (n > len) {
            abort();
        }
        used += n;
        ended = take(&event, seen);
        if (!ended && n == 0 && shown == input.len) {
            break;
        }
        if (!ended && n == 0) {
            shown = input.len - shown < step ? input.len : shown + step;
        }
        websocket_event_free(&event);
    }
    websocket_reader_destroy(&reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct writer whole = {0}, parts = {0};
    struct websocket_limits limits;
    if (size < 2 || size > 8192) {
        return 0;
    }
    limits = (struct websocket_limits){.max_message = 125U + (data[1] >> 4) * 200U,
                                       .max_fragments = 1U + (data[1] & 15)};
    read_all((struct bytes){data + 2, size - 2}, size, &limits, &whole);
    read_all((struct bytes){data + 2, size - 2}, data[0] % 61 + 1U, &limits, &parts);
    if (!bytes_equal(writer_bytes_written(&whole), writer_bytes_written(&parts))) {
        abort();
    }
    writer_free(&whole);
    writer_free(&parts);
    return 0;
}
