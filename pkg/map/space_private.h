/* space_private: a space of the map. */
#ifndef MAP_SPACE_PRIVATE_H
#define MAP_SPACE_PRIVATE_H

#include <stdbool.h>
#include <stdint.h>

struct map;
struct map_view;
struct partition;

struct map_space {
    struct map *map;
    char *name;
    bool named; /* in map.spaces */
    uint32_t count;
    struct partition *partitions;
    uint64_t owned;        /* entries of sessions here */
    uint64_t entries;      /* in Redis, as of the last sweeps */
    struct map_view *view; /* NULL while nobody needs it */
};

#endif
