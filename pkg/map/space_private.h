/* space_private: a space of the map. */
#ifndef MAP_SPACE_PRIVATE_H
#define MAP_SPACE_PRIVATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"

struct map;
struct map_view;
struct partition;
struct registry;
struct registry_due;

struct map_space {
    struct map *map;
    char *name;
    bool named; /* in map.spaces */
    uint32_t count;
    struct partition *partitions;
    struct map_view *view;             /* NULL while nobody needs it */
    struct list rooms;                 /* struct map_rooms */
    struct registry *registry;         /* NULL while nobody registers here */
    struct registry_due *registry_due; /* what is to be judged at a time of its own, by id */
};

#endif
