/*
 * websocket_reader: frames to messages. A header is judged here, by itself and by the limits; what
 * it announces is then given to wslay, frame by frame: unmasking, UTF-8, pongs; all but Close.
 *
 * wslay sees no byte beyond the frame that it is given, so nothing remains in its buffers, and its
 * context (8.8 KiB) is freed as soon as no message is under way. It does not keep messages: it
 * would allocate what the peer announces. Control frames are given to it whole, as it does not
 * check the text of a Close that comes in parts.
 */
#include "net/websocket/websocket_private.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <wslay/wslay.h>

#include "base/mem.h"

#define CONTEXT_SIZE 9011 /* of wslay's */

struct websocket_reader {
    wslay_event_context_ptr context;
    struct bytes input;     /* what wslay may take now */
    struct writer *reply;   /* during a call */
    struct writer message;  /* of the message under way */
    uint64_t announced;     /* bytes of it, with those of the frame under way */
    uint64_t fragments;     /* of it */
    uint64_t left;          /* bytes of the frame that are to come */
    uint8_t message_opcode; /* 0: none is under way */
    uint8_t frame_opcode;
    bool fin; /* of the frame */
};

static ssize_t on_recv(wslay_event_context_ptr context, uint8_t *to, size_t len, int flags,
                       void *arg)
{
    struct websocket_reader *reader = arg;
    size_t n = reader->input.len < len ? reader->input.len : len;
    if (n == 0) {
        wslay_event_set_error(context, WSLAY_ERR_WOULDBLOCK);
        return -1;
    }
    memcpy(to, reader->input.data, n);
    reader->input.data += n;
    reader->input.len -= n;
    return (ssize_t)n;
}

static ssize_t on_send(wslay_event_context_ptr context, const uint8_t *data, size_t len, int flags,
                       void *arg)
{
    struct websocket_reader *reader = arg;
    writer_bytes(reader->reply, (struct bytes){data, len});
    return (ssize_t)len;
}

static bool is_control_frame(uint8_t opcode)
{
    return opcode & 8;
}

static void on_frame_chunk(wslay_event_context_ptr context,
                           const struct wslay_event_on_frame_recv_chunk_arg *chunk, void *arg)
{
    struct websocket_reader *reader = arg;
    if (!is_control_frame(reader->frame_opcode)) {
        writer_bytes(&reader->message, (struct bytes){chunk->data, chunk->data_length});
    }
}

static const struct wslay_event_callbacks callbacks = {.recv_callback = on_recv,
                                                       .send_callback = on_send,
                                                       .on_frame_recv_chunk_callback =
                                                           on_frame_chunk};

/* NULL when there is no memory. */
static struct websocket_reader *create_websocket_reader(void)
{
    struct websocket_reader *reader = mem_zalloc(1, sizeof *reader);
    if (wslay_event_context_server_init(&reader->context, &callbacks, reader) != 0) {
        free(reader);
        return NULL;
    }
    wslay_event_config_set_no_buffering(reader->context, 1);
    return reader;
}

void websocket_reader_destroy(struct websocket_reader **pointer)
{
    struct websocket_reader *reader = *pointer;
    *pointer = NULL;
    if (!reader) {
        return;
    }
    wslay_event_context_free(reader->context);
    writer_free(&reader->message);
    free(reader);
}

size_t websocket_reader_size(const struct websocket_reader *reader)
{
    return reader ? sizeof *reader + CONTEXT_SIZE + reader->message.capacity : 0;
}

bool websocket_reader_is_between(const struct websocket_reader *reader)
{
    return !reader || reader->left == 0;
}

void websocket_event_free(struct websocket_event *event)
{
    writer_free(&event->message);
    writer_free(&event->reply);
}

static void fail_event(struct websocket_event *event, enum websocket_error error)
{
    event->kind = WEBSOCKET_EVENT_ERROR;
    event->error = error;
}

static enum websocket_error judge_limits(const struct websocket_reader *reader,
                                         const struct websocket_limits *limits,
                                         const struct websocket_header *header)
{
    uint64_t before = reader ? reader->announced : 0;
    uint64_t fragments = reader ? reader->fragments : 0;
    if (is_control_frame(header->opcode)) {
        return WEBSOCKET_ERROR_NONE;
    }
    /* The limit may have been lowered meanwhile. */
    if (before > limits->max_message || header->len > limits->max_message - before) {
        return WEBSOCKET_ERROR_TOO_BIG;
    }
    if (fragments >= limits->max_fragments) {
        return WEBSOCKET_ERROR_FRAGMENTS;
    }
    return WEBSOCKET_ERROR_NONE;
}

static void begin_frame(struct websocket_reader *reader, const struct websocket_header *header)
{
    reader->left = header->size + header->len;
    reader->frame_opcode = header->opcode;
    reader->fin = header->fin;
    if (is_control_frame(header->opcode)) {
        return;
    }
    if (header->opcode != WEBSOCKET_FRAME_CONTINUATION) {
        reader->message_opcode = header->opcode;
    }
    reader->announced += header->len;
    reader->fragments++;
}

/* Codes that a peer may send: RFC 6455, 7.4, and the registry that it set up, which has grown by
 * 1012 to 1014 since. 1004 to 1006 and 1015 are never in a frame. */
static bool is_close_code(unsigned code)
{
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
           (code >= 3000 && code <= 4999);
}

/* A complete Close; the answer is the same Close. It is not given to wslay, whose table of codes
 * lacks some that are in use, and that this server itself sends. */
static size_t take_close_frame(struct bytes input, struct websocket_event *event)
{
    size_t len = input.data[1] & 0x7f;
    const uint8_t *mask = input.data + 2, *masked = mask + 4;
    uint8_t answer[2 + WEBSOCKET_CONTROL_MAX] = {0x80 | WEBSOCKET_FRAME_CLOSE};
    uint8_t *payload = answer + 2;
    for (size_t i = 0; i < len; i++) {
        payload[i] = masked[i] ^ mask[i % 4];
    }
    event->kind = WEBSOCKET_EVENT_CLOSE;
    event->code = WEBSOCKET_NO_CODE;
    if (len >= 2) {
        event->code = (uint16_t)(payload[0] << 8 | payload[1]);
        if (!is_close_code(event->code)) {
            fail_event(event, WEBSOCKET_ERROR_CLOSE);
        } else if (!bytes_is_utf8((struct bytes){payload + 2, len - 2})) {
            fail_event(event, WEBSOCKET_ERROR_UTF8);
        }
    }
    if (event->kind == WEBSOCKET_EVENT_CLOSE) {
        answer[1] = (uint8_t)len;
        writer_bytes(&event->reply, (struct bytes){answer, 2 + len});
    }
    return input.len;
}

/* wslay reads no more: text that is not UTF-8, as all else has been judged before. */
static void take_end(struct websocket_reader *reader, struct websocket_event *event)
{
    /* What it would have answered shows which; the answer is ours, with a reason. */
    uint16_t code = wslay_event_get_status_code_sent(reader->context);
    writer_reset(&event->reply);
    fail_event(event, code == WSLAY_CODE_INVALID_FRAME_PAYLOAD_DATA ? WEBSOCKET_ERROR_UTF8
                                                                    : WEBSOCKET_ERROR_INTERNAL);
}

/* The frame is complete. */
static void end_frame(struct websocket_reader *reader, struct websocket_event *event)
{
    if (is_control_frame(reader->frame_opcode)) {
        event->kind = WEBSOCKET_EVENT_CONTROL;
    } else if (reader->fin) {
        event->kind = WEBSOCKET_EVENT_MESSAGE;
        event->opcode = reader->message_opcode;
        event->message = reader->message;
        reader->message = (struct writer){0};
        reader->message_opcode = 0;
        reader->announced = 0;
        reader->fragments = 0;
    }
}

/* Gives wslay what there is of the frame. */
static size_t feed_wslay(struct websocket_reader *reader, struct bytes input,
                         struct websocket_event *event)
{
    size_t used = input.len < reader->left ? input.len : (size_t)reader->left;
    if (reader->frame_opcode == WEBSOCKET_FRAME_CLOSE) {
        return take_close_frame((struct bytes){input.data, used}, event);
    }
    reader->input = (struct bytes){input.data, used};
    reader->reply = &event->reply;
    if (wslay_event_recv(reader->context) != 0 || wslay_event_send(reader->context) != 0) {
        fail_event(event, WEBSOCKET_ERROR_INTERNAL);
        return used;
    }
    if (!wslay_event_get_read_enabled(reader->context)) {
        take_end(reader, event);
        return used;
    }
    assert(reader->input.len == 0);
    reader->left -= used;
    if (reader->left == 0) {
        end_frame(reader, event);
    }
    return used;
}

/* Begins the next frame. False when its header is incomplete or refused. */
static bool begin_next_frame(struct websocket_reader **reader,
                             const struct websocket_limits *limits, struct bytes input,
                             struct websocket_event *event)
{
    bool in_message = *reader != NULL && (*reader)->message_opcode != 0;
    struct websocket_header header;
    enum websocket_error error = websocket_header_read(input, in_message, &header);
    if (error == WEBSOCKET_ERROR_NONE && header.size > 0) {
        error = judge_limits(*reader, limits, &header);
    }
    if (error != WEBSOCKET_ERROR_NONE) {
        fail_event(event, error);
    }
    if (event->kind == WEBSOCKET_EVENT_ERROR || header.size == 0 ||
        (is_control_frame(header.opcode) && input.len < header.size + header.len)) {
        return false;
    }
    if (!*reader && !(*reader = create_websocket_reader())) {
        fail_event(event, WEBSOCKET_ERROR_INTERNAL);
        return false;
    }
    begin_frame(*reader, &header);
    return true;
}

size_t websocket_read(struct websocket_reader **reader, const struct websocket_limits *limits,
                      struct bytes input, struct websocket_event *event)
{
    size_t used;
    *event = (struct websocket_event){.kind = WEBSOCKET_EVENT_MORE};
    if (websocket_reader_is_between(*reader) && !begin_next_frame(reader, limits, input, event)) {
        return 0;
    }
    used = feed_wslay(*reader, input, event);
    if ((*reader)->left == 0 && (*reader)->message_opcode == 0) {
        websocket_reader_destroy(reader);
    }
    return used;
}
