/*
 * penalty: how long an address must wait for its next password attempt after bad ones.
 *
 * The first bad password costs `first` ms, each further one twice as much, up to `longest`. The
 * attempts of an address are queued, so that many connections guess no faster than one. A good
 * password, or `memory` ms without a bad one, clears the penalty.
 *
 * At most capacity addresses are stored (IPv4 whole, IPv6 by /64); the least recently seen one is
 * evicted first, so that nobody is refused because the table is full.
 */
#ifndef AUTH_PENALTY_H
#define AUTH_PENALTY_H

#include <stddef.h>
#include <stdint.h>

#include "base/address.h"

struct penalty_rules {
    uint64_t first_ms; /* 0: no penalty at all */
    uint64_t longest_ms;
    uint64_t memory_ms;
};

struct penalty_table;
struct penalty_table *penalty_table_create(size_t capacity);
void penalty_table_destroy(struct penalty_table **table);

/* How long this attempt must wait before it is checked, ms; the next one waits for it. If more than
 * longest_ms, the attempt must be refused instead, and is not queued. */
uint64_t penalty_take(struct penalty_table *table, const struct address *address,
                      const struct penalty_rules *rules, uint64_t now_ms);
/* The password was bad. */
void penalty_add(struct penalty_table *table, const struct address *address,
                 const struct penalty_rules *rules, uint64_t now_ms);
/* It was good. */
void penalty_forgive(struct penalty_table *table, const struct address *address);
size_t penalty_count(const struct penalty_table *table);

#endif
