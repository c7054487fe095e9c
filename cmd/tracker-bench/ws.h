/*
 * ws: as much of WebSocket (RFC 6455) as the generator and its floor need: handshakes, and frames
 * in both directions. No I/O.
 *
 * Whole messages only: nobody whom we measure sends fragments of what we ask for, so a fragment is
 * a failure. Masks are one constant: the server unmasks all the same.
 */
#ifndef BENCH_WS_H
#define BENCH_WS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

#define WS_HEADER_MAX 14

enum ws_opcode { WS_TEXT = 1, WS_BINARY = 2, WS_CLOSE = 8, WS_PING = 9, WS_PONG = 10 };

struct ws_header {
    enum ws_opcode opcode;
    uint64_t len; /* of the payload */
    uint8_t size; /* of the header, its mask included */
    bool is_masked;
    uint8_t mask[4];
};

/* The client's request; protocol: the subprotocol, or NULL. */
void ws_write_request(struct writer *to, const char *path, const char *protocol);
/* Its answer: consumed bytes, 0 while it is not whole. *accepted: whether it is 101. */
size_t ws_read_response(struct bytes input, bool *accepted);
/* The server's side of it, as bare as a client that does not look accepts it. */
size_t ws_read_request(struct bytes input);
void ws_write_response(struct writer *to);

/* False while the header is not whole. *valid: it is no fragment, and nothing is reserved. */
bool ws_read_header(struct bytes input, struct ws_header *header, bool *valid);
/* A client's message. */
void ws_write_masked(struct writer *to, enum ws_opcode opcode, struct bytes payload);
/* A server's. */
void ws_write_plain(struct writer *to, enum ws_opcode opcode, struct bytes payload);
void ws_unmask(uint8_t *payload, size_t len, const uint8_t mask[4]);

#endif
