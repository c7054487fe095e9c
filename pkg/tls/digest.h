/*
 * digest: SHA-1 (RFC 3174) from OpenSSL: Redis identifies scripts by it, and the WebSocket
 * handshake uses it. Not for anything that must be hard to forge; other hashes come from libsodium.
 */
#ifndef TLS_DIGEST_H
#define TLS_DIGEST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

#define TLS_SHA1_SIZE 20

/* Whether OpenSSL's configuration permits SHA-1. Checked at the start. */
bool tls_has_sha1(void);
/* Logs and aborts without SHA-1, or when out of memory. */
void tls_sha1(struct bytes bytes, uint8_t digest[TLS_SHA1_SIZE]);

#endif
