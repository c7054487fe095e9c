/*
 * nodes: the descriptions that front-ends publish of themselves, as last read from Redis
 * (docs/redis-keys.md, node:<node>).
 */
#ifndef INSPECT_NODES_H
#define INSPECT_NODES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/bytes.h"
#include "map/map.h"

struct map_nodes;

/* done is called once for each map_nodes_read; known: they have been read at least once. The map
 * has to outlive it. */
struct map_nodes *map_nodes_create(struct map *map, void (*done)(void *arg, bool known), void *arg);
/* done is not called any more. */
void map_nodes_destroy(struct map_nodes **nodes);
/* Reads them again, unless that is under way. done may be called before it returns. */
void map_nodes_read(struct map_nodes *nodes);

/* Those with a lease, in the order of their ids; valid until they are read again. */
size_t map_nodes_count(const struct map_nodes *nodes);
struct bytes map_nodes_id(const struct map_nodes *nodes, size_t index);
/* "name", "host", "pid", "version", "listeners", ...; data NULL when there is none. */
struct bytes map_nodes_field(const struct map_nodes *nodes, size_t index, const char *field);
/* The name of a front-end; data NULL when it is not known. */
struct bytes map_nodes_name(const struct map_nodes *nodes, struct bytes id);

#endif
