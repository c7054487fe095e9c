/*
 * websocket_header: RFC 6455, 5.2. A header is judged byte by byte as it arrives, so that a
 * bad one is refused before its rest has arrived.
 */
#include "net/websocket/websocket_private.h"

const struct websocket_error_kind websocket_error_kinds[WEBSOCKET_ERRORS] = {
    [WEBSOCKET_ERROR_NONE] = {WEBSOCKET_NORMAL, "", METRIC_WEBSOCKET_BAD_FRAME},
    [WEBSOCKET_ERROR_UNMASKED] = {WEBSOCKET_PROTOCOL_ERROR, "a frame without a mask",
                                  METRIC_WEBSOCKET_BAD_MASK},
    [WEBSOCKET_ERROR_RESERVED] = {WEBSOCKET_PROTOCOL_ERROR, "a reserved bit is set",
                                  METRIC_WEBSOCKET_BAD_RESERVED},
    [WEBSOCKET_ERROR_OPCODE] = {WEBSOCKET_PROTOCOL_ERROR, "an unknown opcode",
                                METRIC_WEBSOCKET_BAD_OPCODE},
    [WEBSOCKET_ERROR_CONTROL_FRAGMENT] = {WEBSOCKET_PROTOCOL_ERROR, "a control frame in fragments",
                                          METRIC_WEBSOCKET_BAD_FRAME},
    [WEBSOCKET_ERROR_CONTROL_LENGTH] = {WEBSOCKET_PROTOCOL_ERROR,
                                        "a control frame of more than 125 bytes",
                                        METRIC_WEBSOCKET_BAD_LENGTH},
    [WEBSOCKET_ERROR_LENGTH] = {WEBSOCKET_PROTOCOL_ERROR, "a length not in its shortest form",
                                METRIC_WEBSOCKET_BAD_LENGTH},
    [WEBSOCKET_ERROR_CONTINUATION] = {WEBSOCKET_PROTOCOL_ERROR, "a continuation without a message",
                                      METRIC_WEBSOCKET_BAD_FRAME},
    [WEBSOCKET_ERROR_INTERLEAVED] = {WEBSOCKET_PROTOCOL_ERROR, "a message within another",
                                     METRIC_WEBSOCKET_BAD_FRAME},
    [WEBSOCKET_ERROR_CLOSE] = {WEBSOCKET_PROTOCOL_ERROR, "a malformed Close",
                               METRIC_WEBSOCKET_BAD_CLOSE},
    [WEBSOCKET_ERROR_UTF8] = {WEBSOCKET_INVALID, "text that is not UTF-8",
                              METRIC_WEBSOCKET_BAD_UTF8},
    [WEBSOCKET_ERROR_TOO_BIG] = {WEBSOCKET_TOO_BIG, "a message of more than ws.max_message",
                                 METRIC_WEBSOCKET_BAD_SIZE},
    [WEBSOCKET_ERROR_FRAGMENTS] = {WEBSOCKET_POLICY, "a message of more than ws.max_fragments",
                                   METRIC_WEBSOCKET_BAD_FRAGMENTS},
    [WEBSOCKET_ERROR_RATE] = {WEBSOCKET_POLICY, "more messages than ws.rate",
                              METRIC_WEBSOCKET_BAD_RATE},
    [WEBSOCKET_ERROR_TEXT] = {WEBSOCKET_UNSUPPORTED, "text where binary messages are expected",
                              METRIC_WEBSOCKET_BAD_TEXT},
    [WEBSOCKET_ERROR_UNFINISHED] = {WEBSOCKET_POLICY, "too many bytes without a whole message",
                                    METRIC_WEBSOCKET_BAD_UNFINISHED},
    [WEBSOCKET_ERROR_INTERNAL] = {WEBSOCKET_INTERNAL, "the frame could not be read",
                                  METRIC_WEBSOCKET_INTERNAL},
};

#define MASK_SIZE 4

static bool is_control_opcode(uint8_t opcode)
{
    return opcode & 8;
}

static bool is_known_frame_opcode(uint8_t opcode)
{
    return opcode <= WEBSOCKET_FRAME_BINARY ||
           (opcode >= WEBSOCKET_FRAME_CLOSE && opcode <= WEBSOCKET_FRAME_PONG);
}

static enum websocket_error judge_first(uint8_t byte, bool in_message)
{
    uint8_t opcode = byte & 0x0f;
    if (byte & 0x70) {
        return WEBSOCKET_ERROR_RESERVED;
    }
    if (!is_known_frame_opcode(opcode)) {
        return WEBSOCKET_ERROR_OPCODE;
    }
    if (is_control_opcode(opcode)) {
        return byte & 0x80 ? WEBSOCKET_ERROR_NONE : WEBSOCKET_ERROR_CONTROL_FRAGMENT;
    }
    if (opcode == WEBSOCKET_FRAME_CONTINUATION) {
        return in_message ? WEBSOCKET_ERROR_NONE : WEBSOCKET_ERROR_CONTINUATION;
    }
    return in_message ? WEBSOCKET_ERROR_INTERLEAVED : WEBSOCKET_ERROR_NONE;
}

static enum websocket_error judge_second(uint8_t opcode, uint8_t byte)
{
    if (!(byte & 0x80)) {
        return WEBSOCKET_ERROR_UNMASKED;
    }
    if (is_control_opcode(opcode) && (byte & 0x7f) > WEBSOCKET_CONTROL_MAX) {
        return WEBSOCKET_ERROR_CONTROL_LENGTH;
    }
    if (opcode == WEBSOCKET_FRAME_CLOSE && (byte & 0x7f) == 1) { /* half a code */
        return WEBSOCKET_ERROR_CLOSE;
    }
    return WEBSOCKET_ERROR_NONE;
}

/* The length that follows in 2 or 8 bytes. */
static enum websocket_error read_length(struct bytes bytes, struct websocket_header *header)
{
    struct cursor cursor = cursor_over(bytes);
    bool is_long = bytes.len == 8;
    header->len = is_long ? cursor_u64(&cursor) : cursor_u16(&cursor);
    if (header->len < (is_long ? 65536 : 126) || header->len >> 63) {
        return WEBSOCKET_ERROR_LENGTH;
    }
    return WEBSOCKET_ERROR_NONE;
}

enum websocket_error websocket_header_read(struct bytes input, bool in_message,
                                           struct websocket_header *header)
{
    enum websocket_error error;
    uint8_t form;
    size_t more;
    *header = (struct websocket_header){.size = 0};
    if (input.len == 0) {
        return WEBSOCKET_ERROR_NONE;
    }
    header->opcode = input.data[0] & 0x0f;
    header->fin = input.data[0] & 0x80;
    error = judge_first(input.data[0], in_message);
    if (error != WEBSOCKET_ERROR_NONE || input.len < 2) {
        return error;
    }
    error = judge_second(header->opcode, input.data[1]);
    if (error != WEBSOCKET_ERROR_NONE) {
        return error;
    }
    form = input.data[1] & 0x7f;
    more = form == 127 ? 8 : form == 126 ? 2 : 0;
    header->len = form;
    if (more > 0 && input.len >= 2 + more) {
        error = read_length((struct bytes){input.data + 2, more}, header);
    }
    if (input.len >= 2 + more + MASK_SIZE) {
        header->size = (uint8_t)(2 + more + MASK_SIZE);
    }
    return error;
}

size_t websocket_header_write(uint8_t header[WEBSOCKET_HEADER_MAX], uint8_t opcode, uint64_t len)
{
    size_t more = len < 126 ? 0 : len < 65536 ? 2 : 8;
    header[0] = 0x80 | opcode;
    header[1] = (uint8_t)(more == 0 ? len : more == 2 ? 126 : 127);
    for (size_t i = 0; i < more; i++) {
        header[2 + i] = (uint8_t)(len >> (8 * (more - 1 - i)));
    }
    return 2 + more;
}
