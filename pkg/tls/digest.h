/*
 * digest: SHA-1 (RFC 3174) from OpenSSL, as Redis names scripts by it and WebSocket answers keys
 * with it. Not for anything that must be hard to forge; other hashes come from libsodium.
 */
#ifndef TLS_DIGEST_H
#define TLS_DIGEST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

#define TLS_SHA1_SIZE 20

/* Whether OpenSSL's configuration leaves it SHA-1. Asked at start. */
bool tls_has_sha1(void);
/* Logs and aborts without SHA-1, or when memory ends. */
void tls_sha1(struct bytes bytes, uint8_t digest[TLS_SHA1_SIZE]);

#endif
