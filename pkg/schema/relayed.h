/*
 * relayed: the first line of a packet that one front-end sends to another. Pure, no I/O.
 *
 *   "relay " node " " number " " space " " fromlen " " tolen " " len "\n" from to packet
 *
 * This is a public contract: docs/redis-keys.md.
 */
#ifndef SCHEMA_RELAYED_H
#define SCHEMA_RELAYED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

struct relayed_head {
    struct bytes node; /* the sender */
    uint64_t number;   /* for its acknowledgement; 0: none is expected */
    struct bytes space;
    uint64_t from_len, to_len, len;
};

/* Writes the verb, too. format: what the partition's front-ends agreed on. */
void relayed_head_write(struct writer *to, uint64_t format, const struct relayed_head *head);
/* What follows the verb, in that format; sets cursor->failed if it is malformed. */
struct relayed_head relayed_head_read(struct cursor *cursor, uint64_t format);

#endif
