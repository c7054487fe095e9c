/*
 * memory_private: whether Redis's memory is nearly full; see memory.c.
 */
#ifndef MAP_MEMORY_PRIVATE_H
#define MAP_MEMORY_PRIVATE_H

struct map;
struct map_memory;

struct map_memory *memory_create(struct map *map);
void memory_destroy(struct map_memory **memory);
/* A link is up: reads it at once, also if an earlier one was refused. */
void memory_link_up(struct map_memory *memory);

#endif
