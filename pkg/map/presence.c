#include "map/presence.h"

#include "map/map_private.h"

void presence_link_up(struct map *map)
{
}

void presence_new_epoch(struct partition *partition)
{
}

void presence_hold_seen(struct partition *partition, uint64_t redis_now_ms)
{
}
