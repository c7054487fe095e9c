/*
 * shared: the settings in which front-ends of one Redis must agree, as a hash in Redis
 * (docs/redis-keys.md). For the map, and for inspect/shared_reader.h.
 *
 * Those of map_config with the flag CONFIG_SHARED. The ones that are not reloadable are adopted:
 * all front-ends run with the stored values. Limits, which are reloadable, are only compared.
 */
#ifndef MAP_SHARED_H
#define MAP_SHARED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/config.h"
#include "map/map.h"

struct redis_reply;

/* The shared settings, one after the other; NULL behind the last. */
const struct config_setting *map_shared_setting(size_t index);
/* Whether front-ends run with what is stored. */
bool map_shared_is_adopted(const struct config_setting *setting);

/* The field of the hash that has it: the name of the setting in 0.1.0, also where it was renamed.
 */
const char *map_shared_field(const struct config_setting *setting);

/* At most so many. */
#define SHARED_SETTINGS_MAX 32
/* A setting's place in a struct: they all are numbers. */
int64_t *shared_field(const struct config_setting *setting, struct map_settings *values);
/* Overwrites the values with the pairs of a reply from `first` on. Unknown ones are a newer
 * release's, and are ignored. NULL, or what is wrong (the caller frees). */
char *shared_set_values(struct map_settings *stored, const struct redis_reply *reply, size_t first);

#endif
