/* shared_values: which settings are shared, and their values as they are stored. */
#include "map/shared.h"

#include <stdlib.h>

#include "base/mem.h"
#include "redis/redis.h"

const struct config_setting *map_shared_setting(size_t index)
{
    const struct config_setting *setting = map_config.settings;
    for (; setting->key; setting++) {
        if (setting->flags & CONFIG_SHARED && index-- == 0) {
            return setting;
        }
    }
    return NULL;
}

bool map_shared_is_adopted(const struct config_setting *setting)
{
    return !(setting->flags & CONFIG_RELOADABLE);
}

int64_t *shared_field(const struct config_setting *setting, struct map_settings *values)
{
    return (int64_t *)(void *)((char *)values + setting->offset);
}

/* A stored value, over what is there. NULL, or what is wrong. */
static char *take_value(struct map_settings *stored, struct bytes name, struct bytes text)
{
    char *key = mem_dup(name.data, name.len), *value = mem_dup(text.data, text.len);
    const struct config_setting *setting = config_find_setting(&map_config, key);
    char *why = NULL;
    if (setting && setting->flags & CONFIG_SHARED) {
        why = config_value_set(setting, stored, value);
    }
    free(key);
    free(value);
    return why;
}

char *shared_take_values(struct map_settings *stored, const struct redis_reply *reply, size_t first)
{
    char *why = NULL;
    for (size_t i = first; i + 1 < reply->count && !why; i += 2) {
        if (reply->elements[i]->text.len > 0 && reply->elements[i]->text.data[0] != '.') {
            why = take_value(stored, reply->elements[i]->text, reply->elements[i + 1]->text);
        }
    }
    return why;
}
