/* config_private: what the files of this package share. */
#ifndef CONFIG_CONFIG_PRIVATE_H
#define CONFIG_CONFIG_PRIVATE_H

#include "config/config.h"

/* In the order of precedence: a later one overrides. */
enum config_source { SOURCE_DEFAULT, SOURCE_FILE, SOURCE_ENVIRONMENT, SOURCE_FLAG };

struct config_slot {
    const struct config_setting *setting;
    const struct config_rename *rename; /* NULL: it has no former name */
    void *values;                       /* the module's struct */
    enum config_source source;
    char *standard;                         /* config_set_default; NULL: the setting's own */
    bool is_former_given, is_former_option; /* the former name: in a load, as a listener's option */
    bool is_option;                         /* a listener's option */
};

struct config {
    struct config_slot *slots;
    size_t count;
    const void *values, *in_force; /* config_show_in_force */
};

/* A parsed value, not yet in a struct. */
struct config_value {
    int64_t number; /* also the choice's index, and 0 or 1 */
    char *text;     /* of CONFIG_STRING, owned; else NULL */
};

/* value.c. Each char * returned is an error message without its place, or NULL. */
char *value_parse(const struct config_setting *setting, const char *text,
                  struct config_value *value) __attribute__((warn_unused_result));
void value_release(struct config_value *value);
/* Moves the value into the struct, and frees the struct's previous string. */
void value_store(const struct config_setting *setting, void *values, struct config_value *value);
bool value_is_stored(const struct config_setting *setting, const void *values,
                     const struct config_value *value);
/* Appends the stored value's text in its shortest form. */
void value_write(const struct config_setting *setting, const void *values, struct writer *to);
/* The same, but "***" for a secret that is set. */
void value_write_shown(const struct config_setting *setting, const void *values, struct writer *to);
/* The placeholder of the value in texts for users: "DURATION", "any|off". */
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
/* Calls back for each pair until one returns a message, and prefixes it with "PATH:LINE: ". */
char *file_read_pairs(const char *path, file_pair_callback callback, void *arg);
/* The contents of a small file without the final line end; the caller frees *value. */
char *file_read_value(const char *key, const char *path, char **value);

#endif
