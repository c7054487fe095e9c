/*
 * keys: the names of everything in Redis. A public contract: docs/redis-keys.md.
 *
 * <prefix>:{<space>/<P>/<p>}:<name> for what belongs to a partition (one hash tag: one Cluster
 * slot), <prefix>:<name> for the rest. Names may contain any byte.
 *
 * Pub/sub has no databases, so the name of a channel of a database other than 0 contains its
 * number: "db<N>:" behind the hash tag, or behind the kind, where no name of database 0 can contain
 * it.
 */
#ifndef SCHEMA_KEYS_H
#define SCHEMA_KEYS_H

#include <stdint.h>

#include "base/bytes.h"

#define NODE_ID_LENGTH 12 /* characters of a front-end's id */
#define EPOCH_LENGTH   16 /* hex digits */

/* "tracker:{main/1/0}:"; the caller frees. */
char *keys_partition_prefix(const char *prefix, const char *space, uint32_t partitions,
                            uint32_t partition);
/* Appends partition_prefix + kind + name, e.g. ("client:", id). Returns what was written, valid
 * until the writer's next write. */
struct bytes keys_write(struct writer *to, const char *partition_prefix, const char *kind,
                        struct bytes name);
/* What a partition's channels begin with: the prefix itself in database 0,
 * "tracker:{main/1/0}:db1:" in database 1; the caller frees. */
char *keys_partition_channels(const char *partition_prefix, unsigned database);
/* "tracker:node:<node>", the hash; the caller frees. */
char *keys_node(const char *prefix, const char *node);
/* "tracker:node:<node>" or "tracker:node:db1:<node>"; the caller frees. */
char *keys_node_channel(const char *prefix, unsigned database, const char *node);
/* "tracker:relay:<space>" or "tracker:relay:db1:<space>", channel; the caller frees. */
char *keys_everyone(const char *prefix, unsigned database, const char *space);
/* "tracker:reply:<name>" or "tracker:reply:db1:<name>", channel; the caller frees. */
char *keys_reply_channel(const char *prefix, unsigned database, const char *name);
/* "tracker:spaces": HASH space → P; the caller frees. */
char *keys_spaces(const char *prefix);
/* "tracker:shared": HASH of the shared settings (map/shared.h); the caller frees. */
char *keys_shared(const char *prefix);
/* "tracker:bans": ZSET prefix of addresses → end, ms, or +inf. The caller frees. */
char *keys_bans(const char *prefix);
/* "tracker:bans" or "tracker:bans:db1", the channel on which a change is sent; the caller frees. */
char *keys_bans_channel(const char *prefix, unsigned database);

#endif
