/* ws: see the header. */
#include "ws.h"

#include <string.h>

static const uint8_t our_mask[4] = {0x9e, 0x37, 0x79, 0xb9};

void ws_write_request(struct writer *to, const char *path, const char *protocol)
{
    writer_format(to,
                  "GET %s HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                  "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
                  path);
    if (protocol) {
        writer_format(to, "Sec-WebSocket-Protocol: %s\r\n", protocol);
    }
    writer_string(to, "\r\n");
}

/* Bytes up to the empty line and with it; 0: it has not come. */
static size_t find_head_end(struct bytes input)
{
    const uint8_t *end = input.len > 0 ? memmem(input.data, input.len, "\r\n\r\n", 4) : NULL;
    return !end ? 0 : (size_t)(end - input.data) + 4;
}

size_t ws_read_response(struct bytes input, bool *accepted)
{
    size_t size = find_head_end(input);
    *accepted = size > 0 && input.len > 12 && memcmp(input.data, "HTTP/1.1 101", 12) == 0;
    return size;
}

size_t ws_read_request(struct bytes input)
{
    return find_head_end(input);
}

void ws_write_response(struct writer *to)
{
    writer_string(to, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                      "Connection: Upgrade\r\n\r\n");
}

static bool is_known_opcode(unsigned opcode)
{
    return opcode == WS_TEXT || opcode == WS_BINARY || (opcode >= WS_CLOSE && opcode <= WS_PONG);
}

bool ws_read_header(struct bytes input, struct ws_header *header, bool *valid)
{
    struct cursor cursor = cursor_over(input);
    uint8_t first = cursor_u8(&cursor);
    uint8_t second = cursor_u8(&cursor);
    struct bytes mask = {NULL, 0};
    header->opcode = first & 0x0f;
    header->len = second & 0x7f;
    if (header->len == 126) {
        header->len = cursor_u16(&cursor);
    } else if (header->len == 127) {
        header->len = cursor_u64(&cursor);
    }
    header->is_masked = (second & 0x80) != 0;
    if (header->is_masked) {
        mask = cursor_take(&cursor, sizeof header->mask);
    }
    if (cursor.failed) {
        return false;
    }
    if (header->is_masked) {
        memcpy(header->mask, mask.data, sizeof header->mask);
    }
    header->size = (uint8_t)(cursor.at - input.data);
    *valid = (first & 0xf0) == 0x80 && is_known_opcode(header->opcode);
    return true;
}

static void write_frame_header(struct writer *to, enum ws_opcode opcode, size_t len, uint8_t masked)
{
    writer_u8(to, (uint8_t)(0x80 | opcode));
    if (len < 126) {
        writer_u8(to, (uint8_t)(masked | len));
    } else if (len <= UINT16_MAX) {
        writer_u8(to, masked | 126);
        writer_u16(to, (uint16_t)len);
    } else {
        writer_u8(to, masked | 127);
        writer_u64(to, len);
    }
}

void ws_write_masked(struct writer *to, enum ws_opcode opcode, struct bytes payload)
{
    size_t start;
    write_frame_header(to, opcode, payload.len, 0x80);
    writer_bytes(to, (struct bytes){our_mask, sizeof our_mask});
    start = to->len;
    writer_bytes(to, payload);
    ws_unmask(to->data + start, payload.len, our_mask);
}

void ws_write_plain(struct writer *to, enum ws_opcode opcode, struct bytes payload)
{
    write_frame_header(to, opcode, payload.len, 0);
    writer_bytes(to, payload);
}

void ws_unmask(uint8_t *payload, size_t len, const uint8_t mask[4])
{
    for (size_t i = 0; i < len; i++) {
        payload[i] ^= mask[i & 3];
    }
}
