/*
 * ids: generated ids and names, and the shard that a key belongs to.
 */
#ifndef BASE_IDS_H
#define BASE_IDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

#define ID_CLIENT_LENGTH 7 /* of A-Z a-z 0-9, the Tracker protocol's own ids */
#define ID_UUID_LENGTH   36
#define ID_FENCE_SIZE    16
#define ID_FENCE_LENGTH  32 /* lowercase hex */

/* Random id and NUL. */
void id_make_client(char id[ID_CLIENT_LENGTH + 1]);
/* A random UUID (RFC 4122, version 4), in lowercase, and NUL. */
void id_make_uuid(char id[ID_UUID_LENGTH + 1]);
/* len lowercase hex digits and NUL; len is even. */
void id_make_hex(char *text, size_t len);
void id_format_hex(const uint8_t *bytes, size_t len, char *text);
/* Reads 2*len hex digits of either case. */
bool id_parse_hex(struct bytes text, uint8_t *bytes, size_t len)
    __attribute__((warn_unused_result));

/*
 * Which of count parts a key belongs to: abs((int32)crc32(key)) % count, the absolute value taken
 * in 64 bits. count > 0. Source: the turntable protocol's sharding rule (docs/redis-keys.md).
 */
uint32_t shard_of(struct bytes key, uint32_t count);
/* Space names: [a-z0-9_-]{1,32}. */
bool id_is_space_name(const char *name);

#endif
