/* listener: copies of a module's struct with single settings overridden by options. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "config/config_private.h"

static char **string_field(const struct config_setting *setting, void *values)
{
    return (char **)(void *)((char *)values + setting->offset);
}

void config_copy_values(const struct config_module *module, const void *from, void *to)
{
    memcpy(to, from, module->values_size);
    for (const struct config_setting *setting = module->settings; setting->key; setting++) {
        if (setting->type == CONFIG_STRING) {
            *string_field(setting, to) = mem_strdup(*string_field(setting, to));
        }
    }
}

void config_free_values(const struct config_module *module, void *values)
{
    for (const struct config_setting *setting = module->settings; setting->key; setting++) {
        if (setting->type == CONFIG_STRING) {
            free(*string_field(setting, values));
            *string_field(setting, values) = NULL;
        }
    }
}

static const struct config_setting *find_option(const struct config_module *module,
                                                const char *option, enum key_match *match)
{
    const struct config_setting *found = NULL;
    const struct config_rename *rename = module->renames;

    *match = KEY_NO_MATCH;
    for (const struct config_setting *setting = module->settings; setting->key; setting++) {
        enum key_match now = key_match_option(setting, setting->key, option);

        if (now == KEY_MATCHES || (now == KEY_NAMES_FILE && !found)) {
            *match = now;
            found = setting;
        }
        if (now == KEY_MATCHES) {
            break;
        }
    }
    for (; !found && rename && rename->former; rename++) {
        const struct config_setting *setting = config_find_setting(module, rename->key);

        *match = key_match_option(setting, rename->former, option);
        if (*match != KEY_NO_MATCH) {
            found = setting;
        }
    }
    return found;
}

bool config_has_option(const struct config_module *module, const char *option)
{
    enum key_match match;

    return find_option(module, option, &match) != NULL;
}

const char *config_nearest_option(const struct config_module *module, const char *name,
                                  size_t *distance)
{
    const char *nearest = NULL;

    *distance = SIZE_MAX;
    for (const struct config_setting *setting = module->settings; setting->key; setting++) {
        size_t now = config_distance(name, setting->key);

        if ((setting->flags & CONFIG_LISTENER) != 0 && now < *distance) {
            *distance = now;
            nearest = key_without_section(setting->key);
        }
    }
    return nearest;
}

static char *refuse_unknown(const struct config_module *module, const char *option)
{
    size_t distance;
    const char *nearest = config_nearest_option(module, option, &distance);

    if (!nearest) {
        return mem_format("unknown option \"%s\"", option);
    }
    return mem_format("unknown option \"%s\"; the nearest is \"%s\"", option, nearest);
}

char *config_override(const struct config_module *module, void *values, const char *option,
                      const char *value)
{
    enum key_match match;
    const struct config_setting *setting = find_option(module, option, &match);
    struct config_value parsed;
    char *contents = NULL, *message = NULL;

    if (!setting) {
        return refuse_unknown(module, option);
    }
    if (match == KEY_NAMES_FILE) {
        message = file_read_value(setting->key, value, &contents);
        value = contents;
    }
    if (!message) {
        message = value_parse(setting, value, &parsed);
    }
    if (!message) {
        value_store(setting, values, &parsed);
    }
    free(contents);
    return message;
}
