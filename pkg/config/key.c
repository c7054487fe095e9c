/* key: the names of a setting, and the nearest known name to an unknown one. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "config/config_private.h"

#define LONGEST 64 /* letters of a name that are compared at most */

static const char file_suffix[] = "_file";

/* Whether the name is the key, or the key of a text with "_file" at its end. */
static enum key_match match_key(const struct config_setting *setting, const char *key,
                                const char *name, const char *suffix)
{
    size_t len = strlen(key);

    if (strncmp(key, name, len) != 0) {
        return KEY_NO_MATCH;
    }
    if (name[len] == '\0') {
        return KEY_MATCHES;
    }
    if (setting->type == CONFIG_STRING && strcmp(name + len, suffix) == 0) {
        return KEY_NAMES_FILE;
    }
    return KEY_NO_MATCH;
}

enum key_match key_match(const struct config_setting *setting, const char *key, const char *name)
{
    return match_key(setting, key, name, file_suffix);
}

enum key_match key_match_environment(const struct config_setting *setting, const char *key,
                                     const char *name)
{
    char *variable = key_environment_name(key);
    enum key_match matched = match_key(setting, variable, name, "_FILE");

    free(variable);
    return matched;
}

enum key_match key_match_option(const struct config_setting *setting, const char *key,
                                const char *name)
{
    enum key_match matched;

    if ((setting->flags & CONFIG_LISTENER) == 0) {
        return KEY_NO_MATCH;
    }
    matched = key_match(setting, key, name);
    if (matched == KEY_NO_MATCH) {
        matched = match_key(setting, key_without_section(key), name, file_suffix);
    }
    return matched;
}

char *key_environment_name(const char *key)
{
    char *name = mem_format("TRACKER_%s", key);

    for (char *at = name; *at != '\0'; at++) {
        *at = (char)(*at == '.' ? '_' : toupper((unsigned char)*at));
    }
    return name;
}

const char *key_without_section(const char *key)
{
    const char *dot = strchr(key, '.');

    return !dot ? key : dot + 1;
}

/* The Levenshtein distance, with one row of the table. */
static size_t edit_distance(const char *a, const char *b)
{
    size_t row[LONGEST + 1];
    size_t a_len = strnlen(a, LONGEST), b_len = strnlen(b, LONGEST);

    for (size_t j = 0; j <= b_len; j++) {
        row[j] = j;
    }
    for (size_t i = 1; i <= a_len; i++) {
        size_t diagonal = row[0];

        row[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            size_t above = row[j];
            size_t best = diagonal + (a[i - 1] != b[j - 1]);

            if (above + 1 < best) {
                best = above + 1;
            }
            if (row[j - 1] + 1 < best) {
                best = row[j - 1] + 1;
            }
            row[j] = best;
            diagonal = above;
        }
    }
    return row[b_len];
}

#define PREFIX_MIN   3
#define PREFIX_SHARE 8 /* missing letters that weigh as much as one wrong letter */

/* A prefix of a key counts as nearer than its missing letters would make it. */
static size_t name_distance(const char *name, const char *key)
{
    size_t len = strlen(name), key_len = strlen(key);

    if (len >= PREFIX_MIN && len < key_len && strncmp(name, key, len) == 0) {
        return 1 + (key_len - len) / PREFIX_SHARE;
    }
    return edit_distance(name, key);
}

size_t config_distance(const char *name, const char *key)
{
    size_t whole = name_distance(name, key);
    size_t without_section = name_distance(name, key_without_section(key)) + 1;

    return whole < without_section ? whole : without_section;
}
