/*
 * bucket: token buckets, for rates of connections, addresses and users.
 */
#ifndef AUTH_BUCKET_H
#define AUTH_BUCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"

/* Zero-initialised it is full. 16 bytes. */
struct bucket {
    uint64_t filled_us; /* 0: never used */
    uint32_t milli_left;
    uint32_t unused;
};
/* rate: tokens per second (0: unlimited); burst: the bucket's size, 1 to 4,000,000. Takes one
 * token; false when there is none. */
bool bucket_take(struct bucket *bucket, uint32_t rate, uint32_t burst, uint64_t now_us);
/* Milliseconds until the next token; 0 when there is one. */
uint64_t bucket_wait_ms(const struct bucket *bucket, uint32_t rate, uint32_t burst,
                        uint64_t now_us);

/* Buckets by address (IPv4 whole, IPv6 by /64), at most capacity of them: when full, the least
 * recently used one is evicted, so that a new address is never refused because the table is full.
 */
struct bucket_table;
struct bucket_table *bucket_table_create(size_t capacity);
void bucket_table_destroy(struct bucket_table **table);
bool bucket_table_take(struct bucket_table *table, const struct address *address, uint32_t rate,
                       uint32_t burst, uint64_t now_us);
size_t bucket_table_count(const struct bucket_table *table);

#endif
