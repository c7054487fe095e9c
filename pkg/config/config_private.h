/* config_private: what the files of this package share. */
#ifndef CONFIG_CONFIG_PRIVATE_H
#define CONFIG_CONFIG_PRIVATE_H

#include "config/config.h"

/* In the order of precedence: a later one wins. */
enum config_source { SOURCE_DEFAULT, SOURCE_FILE, SOURCE_ENVIRONMENT, SOURCE_FLAG };

struct config_slot {
    const struct config_setting *setting;
    const struct config_rename *rename; /* NULL: it has no former name */
    void *values;                       /* the module's struct */
    enum config_source source;
    char *standard;                         /* config_set_default; NULL: the setting's own */
    bool is_former_given, is_former_option; /* by the loads, by a listener */
};

struct config {
    struct config_slot *slots;
    size_t count;
    const void *values, *in_force; /* config_show_in_force */
};

/* A value outside of any struct. */
struct config_value {
    int64_t number; /* also the choice's index, and 0 or 1 */
    char *text;     /* of CONFIG_STRING, owned; else NULL */
};

/* value.c. Every char * that is returned is a message without its place, or NULL. */
char *value_parse(const struct config_setting *setting, const char *text,
                  struct config_value *value) __attribute__((warn_unused_result));
void value_release(struct config_value *value);
/* Moves the value into the struct, whose string it frees. */
void value_store(const struct config_setting *setting, void *values, struct config_value *value);
bool value_is_stored(const struct config_setting *setting, const void *values,
                     const struct config_value *value);
/* Copies the stored value's text, in its shortest form, to the end of the writer. */
void value_write(const struct config_setting *setting, const void *values, struct writer *to);
/* "***" instead of a secret that is set. */
void value_write_shown(const struct config_setting *setting, const void *values, struct writer *to);
/* What stands for the value in the texts for users: "DURATION", "any|off". */
const char *value_type_name(const struct config_setting *setting);

/* key.c */
enum key_match { KEY_NO_MATCH, KEY_MATCHES, KEY_NAMES_FILE /* the name is KEY_file */ };
/* key: the setting's, or its former one. */
typedef enum key_match (*key_matcher)(const struct config_setting *setting, const char *key,
                                      const char *name);
enum key_match key_match(const struct config_setting *setting, const char *key, const char *name);
enum key_match key_match_environment(const struct config_setting *setting, const char *key,
                                     const char *name);
enum key_match key_match_option(const struct config_setting *setting, const char *key,
                                const char *name);
/* TRACKER_KEY_NAME; the caller frees. */
char *key_environment_name(const char *key);
/* The part after the section. */
const char *key_without_section(const char *key);

/* file.c */
typedef char *(*file_pair_callback)(void *arg, const char *key, const char *value, unsigned line);
/* Calls back for every pair until one returns a message; adds "PATH:LINE: " to it. */
char *file_read_pairs(const char *path, file_pair_callback callback, void *arg);
/* The contents of a small file without the last line's end; *value is the caller's to free. */
char *file_read_value(const char *key, const char *path, char **value);

#endif
