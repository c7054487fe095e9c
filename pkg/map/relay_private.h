/* relay_private: what relays are for the rest of the package. */
#ifndef MAP_RELAY_PRIVATE_H
#define MAP_RELAY_PRIVATE_H

#include "map/map_private.h"
#include "map/relay.h"

struct relays *relays_create(struct map *map);
void relays_destroy(struct relays **relays);

#endif
