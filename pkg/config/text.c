/* text: the table as text: help, a sample file, and the values in force. */
#include <stdlib.h>
#include <string.h>

#include "base/escape.h"
#include "base/mem.h"
#include "config/config_private.h"

static bool has_flag(const struct config_setting *setting, enum config_flags flag)
{
    return (setting->flags & flag) != 0;
}

void config_write_help(const struct config *config, struct writer *to)
{
    for (size_t i = 0; i < config->count; i++) {
        const struct config_setting *setting = config->slots[i].setting;

        writer_format(to, "  %s=%s", setting->key, value_type_name(setting));
        if (setting->standard[0] != '\0' && !has_flag(setting, CONFIG_SECRET)) {
            writer_format(to, "  (%s)", setting->standard);
        }
        writer_format(to, "\n      %s%s%s\n", setting->help,
                      has_flag(setting, CONFIG_RELOADABLE) ? " Reloadable." : "",
                      has_flag(setting, CONFIG_LISTENER) ? " Listener option." : "");
    }
}

static size_t section_length(const char *key)
{
    return (size_t)(key_without_section(key) - key);
}

static bool same_section(const char *a, const char *b)
{
    size_t len = section_length(a);

    return section_length(b) == len && strncmp(a, b, len) == 0;
}

static void write_sample_setting(const struct config_setting *setting, struct writer *to)
{
    const char *key = key_without_section(setting->key);

    writer_format(to, "\n# %s", setting->help);
    if (setting->type == CONFIG_ENUM || setting->type == CONFIG_BOOL) {
        writer_format(to, " %s.", value_type_name(setting));
    }
    if (has_flag(setting, CONFIG_RELOADABLE)) {
        writer_string(to, " Reloadable.");
    }
    if (has_flag(setting, CONFIG_SECRET)) {
        writer_format(to, " Or %s_file = PATH.", key);
    }
    writer_format(to, "\n#%s =%s%s\n", key, setting->standard[0] == '\0' ? "" : " ",
                  setting->standard);
}

/* All settings of the section of slot first, which is the first of them. */
static void write_sample_section(const struct config *config, size_t first, struct writer *to)
{
    const char *key = config->slots[first].setting->key;
    size_t len = section_length(key);

    if (len > 0) {
        writer_format(to, "\n[%.*s]\n", (int)len - 1, key);
    }
    for (size_t i = first; i < config->count; i++) {
        if (same_section(key, config->slots[i].setting->key)) {
            write_sample_setting(config->slots[i].setting, to);
        }
    }
}

void config_write_sample(const struct config *config, struct writer *to)
{
    writer_string(to, "# The settings with their defaults. Environment variables (TRACKER_, then\n"
                      "# the section and the key in capitals) and --set SECTION.KEY=VALUE go\n"
                      "# before this file.\n");
    /* Settings without a section must precede the first section. */
    for (int sectioned = 0; sectioned <= 1; sectioned++) {
        for (size_t i = 0; i < config->count; i++) {
            const char *key = config->slots[i].setting->key;
            size_t before = 0;

            while (!same_section(config->slots[before].setting->key, key)) {
                before++;
            }
            if (before == i && (section_length(key) > 0) == (sectioned == 1)) {
                write_sample_section(config, i, to);
            }
        }
    }
}

static void write_json_member(struct writer *to, const char *name, struct bytes text)
{
    writer_format(to, "\"%s\":", name);
    escape_json(to, text);
    writer_u8(to, ',');
}

/* In the form of the values, so that the two can be compared. */
static void write_json_default(const struct config_setting *setting, struct writer *to)
{
    union {
        bool boolean;
        int64_t number;
        int choice;
        char *string;
    } field = {0};
    struct config_setting alone = *setting;
    struct config_value value;
    struct writer text = {0};

    alone.offset = 0;
    /* A default is always valid: config_add has parsed it. */
    if (!value_parse(&alone, alone.standard, &value)) {
        value_store(&alone, &field, &value);
        value_write_shown(&alone, &field, &text);
    }
    write_json_member(to, "default", writer_bytes_written(&text));
    if (alone.type == CONFIG_STRING) {
        value.text = field.string;
        value_release(&value);
    }
    writer_free(&text);
}

static void write_json_value(const struct config_setting *setting, const void *values,
                             const char *name, struct writer *to)
{
    struct writer text = {0};

    value_write_shown(setting, values, &text);
    write_json_member(to, name, writer_bytes_written(&text));
    writer_free(&text);
}

char *config_refuse_parts(const char *rule, const struct config_part *parts, size_t count)
{
    struct writer text = {0};

    writer_string(&text, rule);
    for (size_t i = 0; i < count; i++) {
        const struct config_setting *setting = config_find_setting(parts[i].module, parts[i].key);
        char *value = config_value_text(setting, parts[i].values);

        writer_format(&text, "%s%s = %s", i == 0 ? ": " : ", ", setting->key, value);
        free(value);
    }
    writer_u8(&text, 0);
    return (char *)text.data;
}

static bool is_adopted(const struct config *config, const struct config_slot *slot)
{
    return config->in_force != NULL && slot->values == config->values &&
           has_flag(slot->setting, CONFIG_SHARED) && !has_flag(slot->setting, CONFIG_RELOADABLE);
}

static bool is_in_force(const struct config *config, const struct config_slot *slot)
{
    char *configured = config_value_text(slot->setting, slot->values);
    char *in_force = config_value_text(slot->setting, config->in_force);
    bool same = strcmp(configured, in_force) == 0;

    free(configured);
    free(in_force);
    return same;
}

void config_write_json(const struct config *config, struct writer *to)
{
    static const char *const sources[] = {"default", "file", "environment", "flag"};

    writer_u8(to, '{');
    for (size_t i = 0; i < config->count; i++) {
        const struct config_slot *slot = &config->slots[i];
        const bool adopted = is_adopted(config, slot);

        if (i > 0) {
            writer_u8(to, ',');
        }
        escape_json(to, bytes_from_string(slot->setting->key));
        writer_string(to, ":{");
        write_json_value(slot->setting, adopted ? config->in_force : slot->values, "value", to);
        if (adopted && !is_in_force(config, slot)) {
            write_json_value(slot->setting, slot->values, "configured", to);
        }
        write_json_default(slot->setting, to);
        writer_format(to, "\"reloadable\":%s,\"source\":\"%s\"}",
                      has_flag(slot->setting, CONFIG_RELOADABLE) ? "true" : "false",
                      adopted ? "shared" : sources[slot->source]);
    }
    writer_u8(to, '}');
}
