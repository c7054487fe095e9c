/* shared: the command shared: the settings that all front-ends of one Redis share. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "ctl.h"
#include "inspect/shared_reader.h"
#include "map/shared.h"
#include "rows.h"

/* Others may change a setting between our read and our write. */
#define ATTEMPTS 10

/* A setting, or the number of partitions of a space. */
struct shared_row {
    const char *key;
    const char *value;
    bool is_adopted, is_fixed;
};

static void write_shared_key(const void *row, struct cell *cell)
{
    const struct shared_row *shared = row;
    cell_string(cell, shared->key);
}

static void write_shared_value(const void *row, struct cell *cell)
{
    const struct shared_row *shared = row;
    cell_string(cell, shared->value);
}

static void write_shared_use(const void *row, struct cell *cell)
{
    const struct shared_row *shared = row;
    if (cell->json) {
        cell_bool(cell, shared->is_adopted);
    } else {
        cell_string(cell, shared->is_fixed ? "fixed" : shared->is_adopted ? "adopted" : "compared");
    }
}

static const struct column shared_columns[] = {
    {.heading = "SETTING", .write = write_shared_key},
    {.heading = "VALUE", .key = "value", .write = write_shared_value},
    {.heading = "USE", .key = "adopted", .write = write_shared_use},
};

/* In JSON: a member named after the space. */
static void add_space_row(void *arg, struct bytes name, struct bytes partitions)
{
    struct rows *rows = arg;
    if (rows->is_json) {
        if (bytes_is_utf8(name)) {
            json_bytes_named(&rows->json, name, partitions);
        }
        return;
    }
    char *space = output_shown_string(name), *count = output_shown_string(partitions);
    char *key = mem_format("map.partitions of %s", space);
    rows_add(rows, &(struct shared_row){.key = key, .value = count, .is_fixed = true});
    free(key);
    free(space);
    free(count);
}

static void add_shared_settings(struct rows *rows, const struct map_shared *shared)
{
    const struct config_setting *setting;
    for (size_t i = 0; (setting = map_shared_setting(i)); i++) {
        char *value = config_value_text(setting, &shared->values);
        rows_add_named(rows, bytes_from_string(setting->key),
                       &(struct shared_row){.key = setting->key,
                                            .value = value,
                                            .is_adopted = map_shared_is_adopted(setting)});
        free(value);
    }
}

static enum ctl_exit show_shared(struct ctl *ctl, const struct map_shared *shared)
{
    static const struct columns columns = COLUMNS(shared_columns);
    struct rows rows;
    rows_begin(&rows, &columns, ctl->json, NULL);
    json_open(&rows.json, NULL, '{');
    json_number(&rows.json, "revision", (int64_t)shared->revision);
    json_open(&rows.json, "settings", '{');
    add_shared_settings(&rows, shared);
    json_close(&rows.json, '}');
    json_open(&rows.json, "partitions", '{');
    (void)reader_each_space(ctl->reader, ctl->redis.prefix, add_space_row, &rows);
    json_close(&rows.json, '}');
    json_close(&rows.json, '}');
    enum ctl_exit result = ctl_check(ctl);
    if (result == CTL_OK) {
        rows_print(&rows);
    }
    rows_free(&rows);
    return result;
}

static enum ctl_exit read_shared(struct ctl *ctl, struct map_shared *shared)
{
    shared->values = ctl->map;
    if (!map_shared_read(ctl->reader, ctl->redis.prefix, shared)) {
        return ctl_check(ctl);
    }
    if (shared->revision == 0) {
        ctl_complain("no front-end has stored any shared settings");
        return CTL_NO;
    }
    return CTL_OK;
}

static const struct config_setting *find_shared(const char *key)
{
    const struct config_rename *rename = config_find_rename(&map_config, key);
    if (rename) {
        ctl_warn_renamed(rename);
        key = rename->key;
    }
    const struct config_setting *setting = config_find_setting(&map_config, key);
    if (strcmp(key, "map.partitions") == 0) {
        ctl_complain("map.partitions cannot be changed while front-ends run: see tracker:spaces in "
                     "docs/redis-keys.md");
        return NULL;
    }
    if (!setting || !(setting->flags & CONFIG_SHARED)) {
        ctl_complain("\"%s\" is not a shared setting; \"trackerctl shared\" lists them", key);
        return NULL;
    }
    return setting;
}

/* "key=value" into the struct. */
static bool assign_setting(struct map_settings *values, const char *assignment)
{
    const char *equals = strchr(assignment, '=');
    if (!equals) {
        ctl_complain("\"%s\" is not KEY=VALUE", assignment);
        return false;
    }
    char *key = mem_dup(assignment, (size_t)(equals - assignment)), *why = NULL;
    const struct config_setting *setting = find_shared(key);
    if (setting) {
        why = config_value_set(setting, values, equals + 1);
    }
    if (why) {
        ctl_complain("%s", why);
    }
    bool fine = setting && !why;
    free(key);
    free(why);
    return fine;
}

static bool assign_all(struct map_settings *values, int count, char **assignments)
{
    for (int i = 0; i < count; i++) {
        if (!assign_setting(values, assignments[i])) {
            return false;
        }
    }
    char *wrong = map_settings_check(values);
    if (wrong) {
        ctl_complain("%s", wrong);
    }
    const bool fine = !wrong;
    free(wrong);
    return fine;
}

static enum ctl_exit set_shared(struct ctl *ctl, int count, char **assignments)
{
    enum map_shared_result written = MAP_SHARED_CHANGED;
    struct map_shared shared;
    for (int i = 0; i < ATTEMPTS && written == MAP_SHARED_CHANGED; i++) {
        enum ctl_exit result = read_shared(ctl, &shared);
        if (result != CTL_OK) {
            return result;
        }
        struct map_settings wanted = shared.values;
        if (!assign_all(&wanted, count, assignments)) {
            return CTL_USAGE;
        }
        written = map_shared_write(ctl->reader, ctl->redis.prefix, &shared, &wanted);
    }
    if (written == MAP_SHARED_FAILED) {
        return ctl_check(ctl);
    }
    if (written == MAP_SHARED_CHANGED) {
        ctl_complain("the shared settings keep changing; try again");
        return CTL_NO;
    }
    return show_shared(ctl, &shared);
}

enum ctl_exit command_shared(struct ctl *ctl, int count, char **arguments)
{
    struct map_shared shared;
    if (count > 0 && (strcmp(arguments[0], "set") != 0 || count == 1)) {
        ctl_complain("usage: trackerctl [OPTION...] shared [set KEY=VALUE...]");
        return CTL_USAGE;
    }
    enum ctl_exit result = ctl_connect(ctl);
    if (result != CTL_OK) {
        return result;
    }
    if (count > 0) {
        return set_shared(ctl, count - 1, arguments + 1);
    }
    result = read_shared(ctl, &shared);
    return result == CTL_OK ? show_shared(ctl, &shared) : result;
}
