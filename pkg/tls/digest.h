/*
 * digest: SHA-1 (RFC 3174) from OpenSSL, as Redis names scripts by it and WebSocket answers keys
 * with it. Not for anything that must be hard to forge; other hashes come from libsodium.
 */
#ifndef TLS_DIGEST_H
#define TLS_DIGEST_H

#include <stdint.h>

#include "base/bytes.h"

#define TLS_SHA1_SIZE 20

/* Logs and aborts if OpenSSL is configured without SHA-1, or memory ends. Scripts are named at
 * start, so a configuration without it shows before the first peer connects. */
void tls_sha1(struct bytes bytes, uint8_t digest[TLS_SHA1_SIZE]);

#endif
