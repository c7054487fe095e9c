/*
 * config: every load is staged: all of its values are parsed and checked before the first one is
 * stored, so that a load with an error changes nothing.
 */
#include "config/config.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "config/config_private.h"

struct staged {
    char *text; /* NULL: not given */
    enum config_source source;
    unsigned line; /* of the file */
    bool is_former_given;
};

/* The setting that a name refers to. */
struct named_slot {
    size_t index; /* none: the config's count */
    enum key_match match;
    bool is_former;
};

/* The values of a load, parallel to the config's slots. */
struct staging {
    const struct config *config;
    struct staged *values;
};

struct config *config_create(void)
{
    return mem_zalloc(1, sizeof(struct config));
}

void config_destroy(struct config **config)
{
    if (!*config) {
        return;
    }
    for (size_t i = 0; i < (*config)->count; i++) {
        free((*config)->slots[i].standard);
    }
    free((*config)->slots);
    free(*config);
    *config = NULL;
}

/* An invalid default in a table is a bug. */
static void store_default(const struct config_setting *setting, void *values)
{
    struct config_value value;
    char *message = value_parse(setting, setting->standard, &value);

    if (message) {
        log_error("invalid_default", LOG_STRING("setting", message));
        abort();
    }
    value_store(setting, values, &value);
}

static const struct config_rename *rename_of(const struct config_module *module, const char *key)
{
    const struct config_rename *rename = module->renames;

    for (; rename && rename->former; rename++) {
        if (strcmp(rename->key, key) == 0) {
            return rename;
        }
    }
    return NULL;
}

void config_add(struct config *config, const struct config_module *module, void *values)
{
    memset(values, 0, module->values_size);
    for (const struct config_setting *setting = module->settings; setting->key; setting++) {
        assert(setting->min <= setting->max);
        assert(setting->type != CONFIG_ENUM || setting->choices);
        for (size_t i = 0; i < config->count; i++) {
            assert(strcmp(config->slots[i].setting->key, setting->key) != 0);
        }
        config->slots = mem_realloc(config->slots, (config->count + 1) * sizeof config->slots[0]);
        config->slots[config->count++] = (struct config_slot){
            .setting = setting, .rename = rename_of(module, setting->key), .values = values};
        store_default(setting, values);
    }
}

static struct config_slot *slot_of(const struct config *config, const char *key)
{
    for (size_t i = 0; i < config->count; i++) {
        if (strcmp(config->slots[i].setting->key, key) == 0) {
            return &config->slots[i];
        }
    }
    return NULL;
}

bool config_is_given(const struct config *config, const char *key)
{
    const struct config_slot *slot = slot_of(config, key);

    return slot != NULL && slot->source != SOURCE_DEFAULT;
}

bool config_is_option(const struct config *config, const char *key)
{
    const struct config_slot *slot = slot_of(config, key);
    return slot && slot->is_option;
}

const struct config_rename *config_renamed(const struct config *config, size_t index)
{
    for (size_t i = 0; i < config->count; i++) {
        const struct config_slot *slot = &config->slots[i];

        if ((slot->is_former_given || slot->is_former_option) && index-- == 0) {
            return slot->rename;
        }
    }
    return NULL;
}

void config_note_option(struct config *config, const struct config_module *module,
                        const char *option)
{
    for (size_t i = 0; i < config->count; i++) {
        struct config_slot *slot = &config->slots[i];

        if (!config_find_setting(module, slot->setting->key)) {
            continue;
        }
        if (key_match_option(slot->setting, slot->setting->key, option) != KEY_NO_MATCH) {
            slot->is_option = true;
        } else if (slot->rename &&
                   key_match_option(slot->setting, slot->rename->former, option) != KEY_NO_MATCH) {
            slot->is_former_option = true;
        }
    }
}

void config_set_default(struct config *config, const char *key, const char *text)
{
    struct config_slot *slot = slot_of(config, key);
    struct config_value value;
    char *message;

    assert(slot);
    message = value_parse(slot->setting, text, &value);
    assert(!message);
    free(message);
    free(slot->standard);
    slot->standard = mem_strdup(text);
    if (slot->source == SOURCE_DEFAULT) {
        value_store(slot->setting, slot->values, &value);
    }
    value_release(&value);
}

void config_show_in_force(struct config *config, const void *values, const void *in_force)
{
    config->values = values;
    config->in_force = in_force;
}

static struct staging staging_begin(const struct config *config)
{
    return (struct staging){config, mem_zalloc(config->count, sizeof(struct staged))};
}

static void staging_end(struct staging *staging)
{
    for (size_t i = 0; i < staging->config->count; i++) {
        free(staging->values[i].text);
    }
    free(staging->values);
}

static enum key_match match_slot(const struct config_slot *slot, const char *name,
                                 key_matcher matches, bool *is_former)
{
    enum key_match match = matches(slot->setting, slot->setting->key, name);

    *is_former = false;
    if (match == KEY_NO_MATCH && slot->rename) {
        match = matches(slot->setting, slot->rename->former, name);
        *is_former = match != KEY_NO_MATCH;
    }
    return match;
}

static struct named_slot find_slot(const struct config *config, const char *name,
                                   key_matcher matches)
{
    struct named_slot found = {config->count, KEY_NO_MATCH, false};

    for (size_t i = 0; i < config->count && found.match != KEY_MATCHES; i++) {
        bool is_former;
        enum key_match now = match_slot(&config->slots[i], name, matches, &is_former);

        /* A setting named KEY_file takes precedence over the file of KEY. */
        if (now == KEY_MATCHES || (now == KEY_NAMES_FILE && found.match == KEY_NO_MATCH)) {
            found = (struct named_slot){i, now, is_former};
        }
    }
    return found;
}

/* The key nearest to an unknown name; NULL when there are no settings. */
static const char *find_nearest(const struct config *config, const char *name, bool in_environment)
{
    const char *nearest = NULL;
    size_t least = SIZE_MAX;

    for (size_t i = 0; i < config->count; i++) {
        const char *key = config->slots[i].setting->key;
        char *environment_name = in_environment ? key_environment_name(key) : NULL;
        size_t distance = config_distance(name, in_environment ? environment_name : key);

        if (distance < least) {
            least = distance;
            nearest = key;
        }
        free(environment_name);
    }
    return nearest;
}

/* Stages a value, or the contents of the file that it names. */
static char *stage_value(struct staging *staging, struct named_slot named, const char *text,
                         enum config_source source)
{
    const struct config_setting *setting = staging->config->slots[named.index].setting;
    struct staged *staged = &staging->values[named.index];
    struct config_value value;
    char *contents = NULL, *message = NULL;

    if (named.match == KEY_NAMES_FILE) {
        message = file_read_value(setting->key, text, &contents);
        text = contents;
    }
    if (!message) {
        message = value_parse(setting, text, &value);
        value_release(&value);
    }
    if (!message) {
        free(staged->text);
        staged->text = mem_strdup(text);
        staged->source = source;
        staged->is_former_given |= named.is_former;
    }
    free(contents);
    return message;
}

/* For messages: the name of a setting, with its former one if that was given. */
static char *name_setting(const struct config *config, struct named_slot named)
{
    const struct config_slot *slot = &config->slots[named.index];

    if (named.is_former) {
        return mem_format("%s, which is now %s,", slot->rename->former, slot->rename->key);
    }
    return mem_strdup(slot->setting->key);
}

static char *refuse_second_line(const struct staging *staging, struct named_slot named)
{
    char *name = name_setting(staging->config, named);
    char *message =
        mem_format("%s was already given in line %u", name, staging->values[named.index].line);

    free(name);
    return message;
}

static char *on_file_pair(void *arg, const char *key, const char *text, unsigned line)
{
    struct staging *staging = arg;
    const struct config *config = staging->config;
    const struct named_slot named = find_slot(config, key, key_match);

    if (named.match == KEY_NO_MATCH) {
        const char *nearest = find_nearest(config, key, false);

        return mem_format("unknown key \"%s\"; the nearest is \"%s\"", key,
                          !nearest ? "" : nearest);
    }
    if (staging->values[named.index].line != 0) {
        return refuse_second_line(staging, named);
    }
    staging->values[named.index].line = line;
    return stage_value(staging, named, text, SOURCE_FILE);
}

static char *stage_file(struct staging *staging, const char *path)
{
    return file_read_pairs(path, on_file_pair, staging);
}

/* One variable "TRACKER_NAME=value". */
static char *stage_variable(struct staging *staging, const char *variable)
{
    const struct config *config = staging->config;
    const char *equals = strchr(variable, '=');
    char *name, *key, *message = NULL, *reason = NULL;
    const char *nearest;
    struct named_slot named;

    if (!equals) {
        return NULL;
    }
    name = mem_dup(variable, (size_t)(equals - variable));
    named = find_slot(config, name, key_match_environment);
    if (named.match == KEY_NO_MATCH) {
        nearest = find_nearest(config, name, true);
        key = key_environment_name(!nearest ? "" : nearest);
        message = mem_format("environment: unknown variable %s; the nearest is %s", name, key);
        free(key);
    } else if (staging->values[named.index].source == SOURCE_ENVIRONMENT) {
        key = name_setting(config, named);
        message = mem_format("environment: %s: %s is given twice", name, key);
        free(key);
    } else {
        reason = stage_value(staging, named, equals + 1, SOURCE_ENVIRONMENT);
        if (reason) {
            message = mem_format("environment: %s: %s", name, reason);
        }
    }
    free(reason);
    free(name);
    return message;
}

static char *stage_environment(struct staging *staging, char *const *environment)
{
    static const char ours[] = "TRACKER_", tests[] = "TRACKER_TEST_";
    char *message = NULL;

    for (; *environment && !message; environment++) {
        if (strncmp(*environment, ours, sizeof ours - 1) == 0 &&
            strncmp(*environment, tests, sizeof tests - 1) != 0) {
            message = stage_variable(staging, *environment);
        }
    }
    return message;
}

static char *stage_assignment(struct staging *staging, const char *assignment)
{
    const struct config *config = staging->config;
    const char *equals = strchr(assignment, '=');
    char *key, *reason, *message = NULL;
    struct named_slot named;

    if (!equals) {
        return mem_format("command line: \"%s\" is not KEY=VALUE", assignment);
    }
    key = mem_dup(assignment, (size_t)(equals - assignment));
    named = find_slot(config, key, key_match);
    if (named.match == KEY_NO_MATCH) {
        const char *nearest = find_nearest(config, key, false);

        message = mem_format("command line: unknown key \"%s\"; the nearest is \"%s\"", key,
                             !nearest ? "" : nearest);
    } else {
        reason = stage_value(staging, named, equals + 1, SOURCE_FLAG);
        if (reason) {
            message = mem_format("command line: %s", reason);
        }
        free(reason);
    }
    free(key);
    return message;
}

/* Parses text that staging has checked, or a default. */
static struct config_value parse_judged(const struct config_setting *setting, const char *text)
{
    struct config_value value;
    char *message = value_parse(setting, text, &value);

    assert(!message);
    free(message);
    return value;
}

/* Stores the staged values, except over values from a source that takes precedence. */
static void commit_load(struct config *config, const struct staging *staging)
{
    for (size_t i = 0; i < config->count; i++) {
        struct config_slot *slot = &config->slots[i];
        const struct staged *staged = &staging->values[i];
        struct config_value value;

        slot->is_former_given |= staged->is_former_given;
        if (!staged->text || slot->source > staged->source) {
            continue;
        }
        value = parse_judged(slot->setting, staged->text);
        value_store(slot->setting, slot->values, &value);
        slot->source = staged->source;
    }
}

static char *finish_load(struct config *config, struct staging *staging, char *message)
{
    if (!message) {
        commit_load(config, staging);
    }
    staging_end(staging);
    return message;
}

char *config_load_file(struct config *config, const char *path)
{
    struct staging staging = staging_begin(config);

    return finish_load(config, &staging, stage_file(&staging, path));
}

char *config_load_environment(struct config *config, char *const *environment)
{
    struct staging staging = staging_begin(config);

    return finish_load(config, &staging, stage_environment(&staging, environment));
}

char *config_set(struct config *config, const char *assignment)
{
    struct staging staging = staging_begin(config);

    return finish_load(config, &staging, stage_assignment(&staging, assignment));
}

/* Stores one slot's value if it is reloadable. Returns whether it differs from the value in force.
 */
static bool commit_reloaded(struct config_slot *slot, const struct staged *staged)
{
    const struct config_setting *setting = slot->setting;
    const char *standard = slot->standard ? slot->standard : setting->standard;
    struct config_value value = parse_judged(setting, staged->text ? staged->text : standard);
    bool differs = !value_is_stored(setting, slot->values, &value);

    slot->is_former_given = staged->is_former_given;
    if (!differs || (setting->flags & CONFIG_RELOADABLE) != 0) {
        slot->source = !staged->text ? SOURCE_DEFAULT : staged->source;
        if (differs) {
            value_store(setting, slot->values, &value);
        }
    }
    value_release(&value);
    return differs;
}

static void commit_reload(struct config *config, const struct staging *staging,
                          config_changed changed, void *arg)
{
    bool *differs = mem_zalloc(config->count, sizeof *differs);

    for (size_t i = 0; i < config->count; i++) {
        differs[i] = commit_reloaded(&config->slots[i], &staging->values[i]);
    }
    /* After all are stored: a callback may read other settings. */
    for (size_t i = 0; i < config->count && changed; i++) {
        const struct config_setting *setting = config->slots[i].setting;

        if (differs[i]) {
            changed(arg, setting->key, (setting->flags & CONFIG_RELOADABLE) != 0);
        }
    }
    free(differs);
}

char *config_reload(struct config *config, const char *path, char *const *environment,
                    const char *const *assignments, size_t count, config_changed changed, void *arg)
{
    struct staging staging = staging_begin(config);
    char *message = NULL;

    if (path) {
        message = stage_file(&staging, path);
    }
    if (!message && environment) {
        message = stage_environment(&staging, environment);
    }
    for (size_t i = 0; i < count && !message; i++) {
        message = stage_assignment(&staging, assignments[i]);
    }
    if (!message) {
        commit_reload(config, &staging, changed, arg);
    }
    staging_end(&staging);
    return message;
}
