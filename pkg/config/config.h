/*
 * config: one table of settings for the whole program, composed of the modules' tables.
 *
 * A module has a plain struct with its settings, and a table that describes the struct's fields.
 * --help, the sample file, docs/configuration.md (its check), `trackerctl config`, the file, the
 * environment (TRACKER_KEY_NAME), --set and the options of listeners are all derived from the
 * tables. Precedence: flags over environment over file over defaults.
 *
 * Values: durations "500ms", "5s", "2m", "1h" (kept in ms); sizes "64", "64KiB", "1MiB" (bytes);
 * booleans "true", "false"; integers; one of a list; text. A text may also be given as
 * KEY_file = path (TRACKER_KEY_FILE, --set KEY_file=path): the contents of that file, without the
 * final line end. Lines of the file have at most 198 bytes, and " ;" begins a comment.
 */
#ifndef CONFIG_CONFIG_H
#define CONFIG_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

/* The C type of the field that the offset names. */
enum config_type {
    CONFIG_BOOL,     /* bool */
    CONFIG_INT,      /* int64_t */
    CONFIG_SIZE,     /* int64_t, bytes */
    CONFIG_DURATION, /* int64_t, ms */
    CONFIG_ENUM,     /* int: the index in choices */
    CONFIG_STRING    /* char *, never NULL, owned by the struct (config_free_values) */
};

enum config_flags {
    CONFIG_RELOADABLE = 1, /* SIGHUP applies it */
    CONFIG_SECRET = 2,     /* never shown */
    CONFIG_LISTENER = 4,   /* a listener's option may override it, without the part before '.' */
    CONFIG_SHARED = 8      /* shared by the front-ends of one Redis: config_show_in_force */
};

struct config_setting {
    const char *key; /* "redis.deadline": [section] deadline in the file */
    enum config_type type;
    size_t offset;
    const char *standard; /* the default, as text */
    unsigned flags;
    int64_t min, max;    /* of numbers, in the field's unit; both 0: no bounds */
    const char *choices; /* CONFIG_ENUM: "any|same_address|off" */
    const char *help;    /* one sentence; docs/configuration.md has the long form */
    /* CONFIG_STRING: NULL, or a check that returns NULL or the error (static text). */
    const char *(*check)(const char *value);
};

/* A former name, accepted for one release: config_renamed. */
struct config_rename {
    const char *former, *key;
};

struct config_module {
    const struct config_setting *settings; /* ends with a NULL key */
    size_t values_size;                    /* of the module's struct */
    const struct config_rename *renames;   /* NULL, or ends with a NULL former */
};

struct config;

struct config *config_create(void);
void config_destroy(struct config **config);
/* values: the module's struct; it is zeroed and filled with the defaults, and the loads write to
 * it. It must outlive the config. Its strings are freed by config_free_values. */
void config_add(struct config *config, const struct config_module *module, void *values);

/* Each returns NULL, or a message for the user (the caller frees) with the key, the place and, for
 * an unknown key, the nearest known one. */
char *config_load_file(struct config *config, const char *path) __attribute__((warn_unused_result));
char *config_load_environment(struct config *config, char *const *environment)
    __attribute__((warn_unused_result));
/* "key=value" */
char *config_set(struct config *config, const char *assignment) __attribute__((warn_unused_result));

/*
 * Reads file, environment and assignments again, in that order, over the defaults, and applies the
 * reloadable settings. On any error nothing changes, and the message is returned. changed (may be
 * NULL) is called for each setting whose new value differs: applied, or waiting for a restart.
 */
typedef void (*config_changed)(void *arg, const char *key, bool applied);
char *config_reload(struct config *config, const char *path, char *const *environment,
                    const char *const *assignments, size_t count, config_changed changed, void *arg)
    __attribute__((warn_unused_result));

/* Copies a module's struct (its strings too) for a listener, and overrides one setting in it.
 * The option's name is the key with or without its section. */
void config_copy_values(const struct config_module *module, const void *from, void *to);
void config_free_values(const struct config_module *module, void *values);
char *config_override(const struct config_module *module, void *values, const char *option,
                      const char *value) __attribute__((warn_unused_result));
/* Whether the module has a listener option of this name. */
bool config_has_option(const struct config_module *module, const char *option);
/* The module's option nearest to a name; NULL when it has none. *distance: the edit distance. */
const char *config_nearest_option(const struct config_module *module, const char *name,
                                  size_t *distance);
/* The edit distance between a name and a key, with or without its section. */
size_t config_distance(const char *name, const char *key);

/* The module's setting of that key; NULL when it has none. */
const struct config_setting *config_find_setting(const struct config_module *module,
                                                 const char *key);
/* A setting's value in its module's struct as text, in its shortest form; the caller frees. */
char *config_value_text(const struct config_setting *setting, const void *values);
/* Parses a text into the struct. NULL, or the error (the caller frees); then nothing has changed.
 */
char *config_value_set(const struct config_setting *setting, void *values, const char *text)
    __attribute__((warn_unused_result));
/* Whether the file, the environment or a flag sets it. */
bool config_is_given(const struct config *config, const char *key);
/* Whether the options of a listener set it, as config_note_option was called. */
bool config_is_option(const struct config *config, const char *key);
/* The index-th setting that is given by its former name; NULL after the last. The caller warns the
 * user. */
const struct config_rename *config_renamed(const struct config *config, size_t index);
/* Records that a listener's option is given, for config_is_option, and whether by its former name,
 * for config_renamed. */
void config_note_option(struct config *config, const struct config_module *module,
                        const char *option);
/* The module's rename of that former name; NULL when it has none. */
const struct config_rename *config_find_rename(const struct config_module *module,
                                               const char *former);
/* Replaces a default by one that is derived from other settings, also in reloads. The text must be
 * valid. */
void config_set_default(struct config *config, const char *key, const char *text);
/* The error of settings that are valid one by one but not together: the rule that they break, and
 * their values: "RULE: KEY = VALUE, KEY = VALUE". The caller frees. */
struct config_part {
    const struct config_module *module;
    const void *values; /* the module's struct */
    const char *key;
};
char *config_refuse_parts(const char *rule, const struct config_part *parts, size_t count);
/* For a module whose shared settings are adopted from Redis unless they are reloadable: the struct
 * with the values in force. config_write_json writes these with the source "shared", and the value
 * of the configuration as "configured" where it differs. It must outlive the config. */
void config_show_in_force(struct config *config, const void *values, const void *in_force);

/* Texts, appended to the writer: the settings part of --help, a commented sample file, the values
 * in force as a JSON object {"key": {"value","default","reloadable","source"}} (secrets as "***").
 */
void config_write_help(const struct config *config, struct writer *to);
void config_write_sample(const struct config *config, struct writer *to);
void config_write_json(const struct config *config, struct writer *to);

/* Also used by tools for their own options: false when the text is malformed. */
bool config_parse_duration(const char *text, int64_t *ms) __attribute__((warn_unused_result));
bool config_parse_size(const char *text, int64_t *bytes) __attribute__((warn_unused_result));

#endif
