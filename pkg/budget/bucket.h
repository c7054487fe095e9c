/*
 * bucket: a rate with a burst, as the time at which everything so far is paid for (GCRA): each
 * token moves that time by its share of a second, and is taken while the time is no further ahead
 * than a burst takes.
 */
#ifndef BUDGET_BUCKET_H
#define BUDGET_BUCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"

/* Zero-initialised it owes nothing. */
struct bucket {
    uint64_t due_ns;
};
/* rate: tokens per second (0: unlimited); burst: how many may be taken at once, 1 to 4,000,000.
 * Takes one token; false when it would have to wait for it. */
bool bucket_take(struct bucket *bucket, uint32_t rate, uint32_t burst, uint64_t now_us);
/* Takes tokens whether or not they are there. */
void bucket_charge(struct bucket *bucket, uint32_t rate, uint64_t tokens, uint64_t now_us);
/* Forgives what could be taken only after wait_us. */
void bucket_forgive(struct bucket *bucket, uint32_t rate, uint32_t burst, uint64_t wait_us,
                    uint64_t now_us);
/* Time until a token can be taken; 0 when it can be taken now. */
uint64_t bucket_wait_us(const struct bucket *bucket, uint32_t rate, uint32_t burst,
                        uint64_t now_us);
uint64_t bucket_wait_ms(const struct bucket *bucket, uint32_t rate, uint32_t burst,
                        uint64_t now_us);
/* Whether something is not yet paid for. */
bool bucket_owes(const struct bucket *bucket, uint64_t now_us);

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
