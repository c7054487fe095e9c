/* watch: the views of a front-end's spaces, and the callbacks by which they know the map. */
#include "map/feature_private.h"
#include "map/map.h"
#include "map/map_private.h"
#include "map/owned_private.h"
#include "map/partition_private.h"
#include "map/recovery_private.h"
#include "map/space_private.h"
#include "view/view.h"

static struct partition *partition_at(void *space, uint32_t index)
{
    return &((struct map_space *)space)->partitions[index];
}

static struct view_known known_of(void *space, uint32_t index)
{
    const struct partition *partition = partition_at(space, index);
    return (struct view_known){.epoch = partition->epoch,
                               .epochs = partition->epochs,
                               .revision = partition->revision,
                               .restoring = !recovery_is_done(partition),
                               .recovery_until_ms = partition->recovery_until,
                               .is_down = partition->state == PARTITION_DISCONNECTED,
                               .down_ms = partition->down_ms};
}

static uint64_t redis_time_ms(void *space)
{
    return map_redis_time_ms(((struct map_space *)space)->map);
}

static bool may_read(void *space)
{
    return ((struct map_space *)space)->map->checked;
}

static struct map_session *find_entry_owner(void *space, uint32_t index, struct bytes id)
{
    const struct owned *owned = owned_find(partition_at(space, index), id);
    return owned ? owned->session : NULL;
}

static void restore_missing(void *space, const struct bytes *ids, size_t count)
{
    features_missing(space, ids, count);
}

static void destroy_unused_view(void *arg)
{
    struct map_space *space = arg;
    view_destroy(&space->view);
}

static const struct view_callbacks view_callbacks = {.known = known_of,
                                                     .redis_time_ms = redis_time_ms,
                                                     .may_read = may_read,
                                                     .owner = find_entry_owner,
                                                     .missing = restore_missing,
                                                     .unused = destroy_unused_view};

static struct map_view *create_view(struct map_space *space)
{
    struct map *map = space->map;
    const struct view_source source = {.callbacks = &view_callbacks,
                                       .arg = space,
                                       .loop = map->loop,
                                       .link = &map->link,
                                       .channels = map->channels,
                                       .redis = map->redis,
                                       .settings = &map->settings->view,
                                       .recovery_grace = &map->settings->recovery_grace,
                                       .space = space->name,
                                       .partitions = space->count,
                                       .database = map->database};
    return view_create(&source);
}

struct map_view *map_watch(struct map_space *space, struct map_watcher *watcher, const char **why)
{
    if (!space->view) {
        space->view = create_view(space);
    }
    return view_watch(space->view, watcher, why) ? space->view : NULL;
}
