/* sha1: SHA-1 (RFC 3174), as Redis names scripts by it and WebSocket answers keys with it. Not for
 * secrets. */
#ifndef BASE_SHA1_H
#define BASE_SHA1_H

#include "base/bytes.h"

#define SHA1_SIZE 20
void sha1_hash(struct bytes bytes, uint8_t digest[SHA1_SIZE]);

#endif
