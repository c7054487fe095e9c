#include "map/relay.h"

#include "map/map_private.h"

void relay_message(struct map *map, struct bytes verb, struct bytes rest)
{
}
