/*
 * keys: the names of everything in Redis. A public contract: docs/redis-keys.md.
 *
 * <prefix>:{<space>/<P>/<p>}:<name> for what belongs to a partition (one hash tag: one Cluster
 * slot), <prefix>:<name> for the rest. Names may hold any byte.
 */
#ifndef MAP_KEYS_H
#define MAP_KEYS_H

#include "base/bytes.h"

/* "tracker:{main/1/0}:"; the caller frees. */
char *keys_partition_prefix(const char *prefix, const char *space, uint32_t partitions,
                            uint32_t partition);
/* partition_prefix + kind + name, e.g. ("client:", id), appended to the writer and returned as the
 * part that was written (valid until the writer's next write). */
struct bytes keys_write(struct writer *to, const char *partition_prefix, const char *kind,
                        struct bytes name);
/* "tracker:node:<node>", hash and channel; the caller frees. */
char *keys_node(const char *prefix, const char *node);
/* "tracker:relay:<space>", channel; the caller frees. */
char *keys_everyone(const char *prefix, const char *space);
/* "tracker:spaces": HASH space → P; the caller frees. */
char *keys_spaces(const char *prefix);
/* "tracker:bans": ZSET prefix of addresses → end, ms, or +inf; and the channel on which a change of
 * it is told. The caller frees. */
char *keys_bans(const char *prefix);

#endif
