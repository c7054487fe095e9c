/* contact: when Redis last answered each partition, and all of them together. */
#include "map/contact_private.h"

#include <string.h>

#include "loop/loop.h"
#include "map/map.h"
#include "map/map_private.h"
#include "map/partition_private.h"
#include "map/space_private.h"
#include "schema/keys.h"

void contact_sent(struct partition *partition)
{
    partition->contact.sent_ms = loop_now_ms(partition->map->loop);
}

void contact_answered(struct partition *partition)
{
    partition->contact.renewed_ms = partition->contact.sent_ms;
    partition->contact.answered_ms = loop_now_ms(partition->map->loop);
}

struct map_contact map_contact(const struct map *map)
{
    struct map_contact contact = {.answered_ms = 0, .renewed_ms = UINT64_MAX};

    for (size_t i = 0; i < map->space_count; i++) {
        for (uint32_t j = 0; j < map->spaces[i].count; j++) {
            const struct partition *partition = &map->spaces[i].partitions[j];

            if (partition->contact.answered_ms > contact.answered_ms) {
                contact.answered_ms = partition->contact.answered_ms;
            }
            if (partition->contact.renewed_ms < contact.renewed_ms) {
                contact.renewed_ms = partition->contact.renewed_ms;
            }
        }
    }
    return contact;
}

const char *map_epoch(const struct map *map)
{
    return map->spaces[0].partitions[0].epoch;
}

bool map_knows_epoch(const struct map *map, struct bytes epoch)
{
    for (size_t i = 0; epoch.len == EPOCH_LENGTH && i < map->space_count; i++) {
        for (uint32_t j = 0; j < map->spaces[i].count; j++) {
            const struct partition *partition = &map->spaces[i].partitions[j];

            if (memcmp(partition->epoch, epoch.data, EPOCH_LENGTH) == 0 ||
                memcmp(partition->epoch_before, epoch.data, EPOCH_LENGTH) == 0) {
                return true;
            }
        }
    }
    return false;
}
