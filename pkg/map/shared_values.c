/* shared_values: which settings are shared, and their values as they are stored. */
#include "map/shared.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "redis/redis.h"

/* Settings that have been renamed since they were first stored: front-ends of other releases read
 * them by these fields. */
static const struct {
    const char *key, *field;
} renamed_fields[] = {
    {"map.recovery_grace", "map.hold"},
    {"presence.offline_delay", "presence.hold"},
};

const char *map_shared_field(const struct config_setting *setting)
{
    for (size_t i = 0; i < sizeof renamed_fields / sizeof *renamed_fields; i++) {
        if (strcmp(renamed_fields[i].key, setting->key) == 0) {
            return renamed_fields[i].field;
        }
    }
    return setting->key;
}

static const struct config_setting *find_stored(struct bytes field)
{
    const struct config_setting *setting;
    for (size_t i = 0; (setting = map_shared_setting(i)); i++) {
        if (bytes_equal(field, bytes_from_string(map_shared_field(setting)))) {
            break;
        }
    }
    return setting;
}

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

/* NULL, or what is wrong. */
static char *set_stored_value(struct map_settings *stored, struct bytes field, struct bytes text)
{
    const struct config_setting *setting = find_stored(field);
    if (!setting) {
        return NULL;
    }
    char *value = mem_dup(text.data, text.len);
    char *why = config_value_set(setting, stored, value);
    free(value);
    return why;
}

char *shared_set_values(struct map_settings *stored, const struct redis_reply *reply, size_t first)
{
    char *why = NULL;
    for (size_t i = first; i + 1 < reply->count && !why; i += 2) {
        if (reply->elements[i]->text.len > 0 && reply->elements[i]->text.data[0] != '.') {
            why = set_stored_value(stored, reply->elements[i]->text, reply->elements[i + 1]->text);
        }
    }
    return why;
}
