#include "map/feature.h"

#include <assert.h>

#include "map/feature_private.h"
#include "map/map_private.h"
#include "map/owned_private.h"
#include "map/partition_private.h"
#include "map/space_private.h"
#include "map/tombstone_private.h"

void map_add_feature(struct map *map, const struct map_feature *feature)
{
    assert(map->feature_count < MAP_FEATURES_MAX);
    struct added_feature *added = &map->features[map->feature_count++];
    added->feature = feature;
    added->state = feature->create(map);
}

void *map_feature_state(const struct map *map, const struct map_feature *feature)
{
    for (size_t i = 0; i < map->feature_count; i++) {
        if (map->features[i].feature == feature) {
            return map->features[i].state;
        }
    }
    return NULL;
}

void features_destroy(struct map *map)
{
    while (map->feature_count > 0) {
        const struct added_feature *added = &map->features[--map->feature_count];
        added->feature->destroy(added->state);
    }
}

void features_link_up(struct map *map)
{
    for (size_t i = 0; i < map->feature_count; i++) {
        if (map->features[i].feature->link_up) {
            map->features[i].feature->link_up(map->features[i].state);
        }
    }
}

void features_new_epoch(struct partition *partition)
{
    const struct map *map = partition->map;
    for (size_t i = 0; i < map->feature_count; i++) {
        if (map->features[i].feature->epoch) {
            map->features[i].feature->epoch(map->features[i].state, partition);
        }
    }
}

void features_ready(struct partition *partition)
{
    const struct map *map = partition->map;
    for (size_t i = 0; i < map->feature_count; i++) {
        if (map->features[i].feature->ready) {
            map->features[i].feature->ready(map->features[i].state, partition);
        }
    }
}

void features_audit(struct partition *partition)
{
    const struct map *map = partition->map;
    for (size_t i = 0; i < map->feature_count; i++) {
        if (map->features[i].feature->audit) {
            map->features[i].feature->audit(map->features[i].state, partition);
        }
    }
}

size_t features_count(const struct partition *partition)
{
    const struct map *map = partition->map;
    size_t count = 0;
    for (size_t i = 0; i < map->feature_count; i++) {
        if (map->features[i].feature->count) {
            count += map->features[i].feature->count(map->features[i].state, partition);
        }
    }
    return count;
}

void features_sweep(struct partition *partition, uint64_t redis_now_ms)
{
    const struct map *map = partition->map;
    for (size_t i = 0; i < map->feature_count; i++) {
        if (map->features[i].feature->sweep) {
            map->features[i].feature->sweep(map->features[i].state, partition, redis_now_ms);
        }
    }
}

void features_found(struct partition *partition, enum map_found what, struct bytes name,
                    const char *node)
{
    const struct map *map = partition->map;
    for (size_t i = 0; i < map->feature_count; i++) {
        if (map->features[i].feature->found) {
            map->features[i].feature->found(map->features[i].state, partition, what, name, node);
        }
    }
}

bool features_probe(const struct map_space *space)
{
    const struct map *map = space->map;
    for (size_t i = 0; i < map->feature_count; i++) {
        if (map->features[i].feature->probes &&
            map->features[i].feature->probes(map->features[i].state, space)) {
            return true;
        }
    }
    return false;
}

void features_missing(struct map_space *space, const struct bytes *ids, size_t count)
{
    const struct map *map = space->map;
    for (size_t i = 0; i < map->feature_count; i++) {
        if (map->features[i].feature->missing) {
            map->features[i].feature->missing(map->features[i].state, space, ids, count);
        }
    }
}

enum map_message features_message(struct map *map, uint64_t format, struct bytes verb,
                                  struct bytes rest)
{
    enum map_message handled = MAP_MESSAGE_UNEXPECTED;
    for (size_t i = 0; i < map->feature_count && handled == MAP_MESSAGE_UNEXPECTED; i++) {
        if (map->features[i].feature->message) {
            handled = map->features[i].feature->message(map->features[i].state, format, verb, rest);
        }
    }
    return handled;
}

const char *features_request(struct map *map, struct bytes verb, struct bytes argument,
                             map_done done, void *arg)
{
    const char *why = "";
    for (size_t i = 0; i < map->feature_count && why && !*why; i++) {
        if (map->features[i].feature->request) {
            why = map->features[i].feature->request(map->features[i].state, verb, argument, done,
                                                    arg);
        }
    }
    return why;
}

unsigned map_database(const struct map *map)
{
    return map->database;
}

struct channels *map_channels(const struct map *map)
{
    return map->channels;
}

bool map_has_events(const struct map *map)
{
    return redis_subscriber_is_up(map->subscriber);
}

bool map_is_checked(const struct map *map)
{
    return map->checked;
}

struct map_space *map_space_named(struct map *map, struct bytes name)
{
    for (size_t i = 0; i < map->space_count; i++) {
        if (bytes_equal(name, bytes_from_string(map->spaces[i].name))) {
            return &map->spaces[i];
        }
    }
    return NULL;
}

size_t map_space_count(const struct map *map)
{
    return map->space_count;
}

size_t map_space_index(const struct map_space *space)
{
    return (size_t)(space - space->map->spaces);
}

struct map_view *map_space_view(const struct map_space *space)
{
    return space->view;
}

struct partition *map_space_partition(const struct map_space *space, uint32_t index)
{
    return &space->partitions[index];
}

struct map_space *partition_space(const struct partition *partition)
{
    return partition->space;
}

uint32_t partition_index(const struct partition *partition)
{
    return partition->index;
}

const char *partition_prefix(const struct partition *partition)
{
    return partition->prefix;
}

uint64_t partition_format(const struct partition *partition)
{
    return partition->format;
}

const char *partition_channels(const struct partition *partition)
{
    return partition->channels;
}

const char *partition_key_head(const struct partition *partition)
{
    return partition->key_head;
}

const char *partition_epoch(const struct partition *partition)
{
    return partition->epoch;
}

uint64_t partition_share_of(const struct partition *partition, int64_t most)
{
    uint64_t share = (uint64_t)most / partition->space->count;
    return share > 0 ? share : 1;
}

uint64_t partition_recovery_until(const struct partition *partition)
{
    return partition->recovery_until;
}

bool partition_is_ready(const struct partition *partition)
{
    return partition->state == PARTITION_READY;
}

unsigned partition_epochs(const struct partition *partition)
{
    return partition->epochs;
}

void map_forget_end(struct partition *partition, struct bytes id)
{
    tombstone_forget(partition, id);
}

void partition_audit_soon(struct partition *partition)
{
    partition->audit_due = true;
}

bool map_owns(const struct map_space *space, struct bytes id)
{
    return owned_find(partition_of(space, id), id) != NULL;
}
