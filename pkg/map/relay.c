#include "map/relay_private.h"

#include "base/mem.h"

struct relays {
    struct map *map;
};

struct relays *relays_create(struct map *map)
{
    struct relays *relays = mem_zalloc(1, sizeof *relays);
    relays->map = map;
    return relays;
}

void relays_destroy(struct relays **relays)
{
    free(*relays);
    *relays = NULL;
}

bool relay_message(struct map *map, struct bytes verb, struct bytes rest)
{
    return false;
}
