/*
 * verify: the datagram with which a tracker verifies that a game server receives at the address
 * that it announced (docs/protocol-lobby.md).
 *
 * `FF FF FF FF`, then `tracker verify N` and a line feed; N decimal, 4 to 15 digits, without
 * leading zeros. It goes to the server's game port; the server sends the number back over TCP.
 */
#ifndef CODEC_VERIFY_H
#define CODEC_VERIFY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

#define VERIFY_MIN        1000ull            /* 4 digits */
#define VERIFY_MAX        999999999999999ull /* 15 digits: exact in a double, for JSON readers */
#define VERIFY_PACKET_MAX 36                 /* bytes of the longest datagram */

/* number: VERIFY_MIN to VERIFY_MAX; others fail the writer. */
void verify_write(struct writer *to, uint64_t number);
/* Whether this is such a datagram, and its number. The line feed may be missing, or preceded by a
 * carriage return; nothing may follow it. */
bool verify_read(struct bytes packet, uint64_t *number) __attribute__((warn_unused_result));

#endif
