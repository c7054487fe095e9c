/* sha1_private: SHA-1 (RFC 3174), as Redis names scripts by it. Not for secrets. */
#ifndef REDIS_SHA1_PRIVATE_H
#define REDIS_SHA1_PRIVATE_H

#include "base/bytes.h"

#define SHA1_SIZE 20
void redis_sha1(struct bytes bytes, uint8_t digest[SHA1_SIZE]);

#endif
