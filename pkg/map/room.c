#include "map/room.h"

#include "map/map_private.h"

void rooms_rejoin(struct partition *partition)
{
}

bool rooms_have_member(const struct partition *partition, struct bytes room, struct bytes id)
{
    return false;
}

size_t rooms_count(const struct partition *partition)
{
    return partition->room_members;
}
