/* value: converts texts to the fields of a struct and back. */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "config/config_private.h"

struct unit {
    const char *name;
    int64_t factor;
};

/* The smallest first. */
static const struct unit duration_units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};
static const struct unit size_units[] = {
    {"", 1}, {"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}};
#define UNITS 4

static bool parse_with_unit(const char *text, const struct unit units[UNITS], int64_t *value)
{
    size_t digits = strspn(text, "0123456789");
    int64_t number = 0;

    if (digits == 0) {
        return false;
    }
    for (size_t i = 0; i < digits; i++) {
        if (__builtin_mul_overflow(number, 10, &number) ||
            __builtin_add_overflow(number, text[i] - '0', &number)) {
            return false;
        }
    }
    for (size_t i = 0; i < UNITS; i++) {
        if (strcmp(text + digits, units[i].name) == 0) {
            return !__builtin_mul_overflow(number, units[i].factor, value);
        }
    }
    return false;
}

bool config_parse_duration(const char *text, int64_t *ms)
{
    /* Zero needs no unit. */
    if (strcmp(text, "0") == 0) {
        *ms = 0;
        return true;
    }
    return parse_with_unit(text, duration_units, ms);
}

bool config_parse_size(const char *text, int64_t *bytes)
{
    return parse_with_unit(text, size_units, bytes);
}

/* In the largest unit that needs no fraction. */
static void write_with_unit(const struct unit units[UNITS], int64_t number, struct writer *to)
{
    size_t unit = UNITS - 1;

    while (unit > 0 && number % units[unit].factor != 0) {
        unit--;
    }
    if (number == 0) {
        unit = units == duration_units ? 1 : 0;
    }
    writer_format(to, "%" PRId64 "%s", number / units[unit].factor, units[unit].name);
}

static bool parse_integer(const char *text, int64_t *value)
{
    const char *digits = text + (text[0] == '-');
    char *end;

    if (strspn(digits, "0123456789") == 0) {
        return false;
    }
    errno = 0;
    *value = strtoll(text, &end, 10);
    return errno == 0 && *end == '\0';
}

static bool parse_choice(const char *choices, const char *text, int64_t *index)
{
    size_t len = strlen(text);

    for (*index = 0;; ++*index) {
        size_t choice = strcspn(choices, "|");

        if (choice == len && memcmp(choices, text, len) == 0) {
            return true;
        }
        if (choices[choice] == '\0') {
            return false;
        }
        choices += choice + 1;
    }
}

static void write_setting_number(const struct config_setting *setting, int64_t number,
                                 struct writer *to)
{
    const char *choice = setting->choices;

    switch (setting->type) {
    case CONFIG_BOOL:
        writer_string(to, number != 0 ? "true" : "false");
        break;
    case CONFIG_SIZE:
        write_with_unit(size_units, number, to);
        break;
    case CONFIG_DURATION:
        write_with_unit(duration_units, number, to);
        break;
    case CONFIG_ENUM:
        while (number-- > 0) {
            choice += strcspn(choice, "|") + 1;
        }
        writer_bytes(to, (struct bytes){(const uint8_t *)choice, strcspn(choice, "|")});
        break;
    case CONFIG_INT:
    case CONFIG_STRING:
        writer_format(to, "%" PRId64, number);
        break;
    }
}

/* An error message with the value and the rule. Secrets are not repeated. */
static char *refuse_value(const struct config_setting *setting, const char *text, const char *what)
{
    if ((setting->flags & CONFIG_SECRET) != 0) {
        return mem_format("%s: %s", setting->key, what);
    }
    return mem_format("%s = \"%.200s\": %s", setting->key, text, what);
}

static char *refuse_choice(const struct config_setting *setting, const char *text)
{
    struct writer what = {0};
    char *message;

    writer_string(&what, "must be one of ");
    for (const char *at = setting->choices; *at != '\0'; at++) {
        if (*at == '|') {
            writer_string(&what, ", ");
        } else {
            writer_u8(&what, (uint8_t)*at);
        }
    }
    writer_u8(&what, '\0');
    message = refuse_value(setting, text, (const char *)what.data);
    writer_free(&what);
    return message;
}

static char *check_bounds(const struct config_setting *setting, const char *text, int64_t number)
{
    struct writer what = {0};
    char *message;

    if ((setting->min == 0 && setting->max == 0) ||
        (number >= setting->min && number <= setting->max)) {
        return NULL;
    }
    writer_string(&what, setting->max == INT64_MAX ? "must be at least " : "must be from ");
    write_setting_number(setting, setting->min, &what);
    if (setting->max != INT64_MAX) {
        writer_string(&what, " to ");
        write_setting_number(setting, setting->max, &what);
    }
    writer_u8(&what, '\0');
    message = refuse_value(setting, text, (const char *)what.data);
    writer_free(&what);
    return message;
}

static char *parse_string(const struct config_setting *setting, const char *text,
                          struct config_value *value)
{
    const char *what = !setting->check ? NULL : setting->check(text);

    /* A secret may be any bytes; other values appear in outputs. */
    if ((setting->flags & CONFIG_SECRET) == 0 && !bytes_is_utf8(bytes_from_string(text))) {
        what = "must be UTF-8";
    }
    if (what) {
        return refuse_value(setting, text, what);
    }
    value->text = mem_strdup(text);
    return NULL;
}

char *value_parse(const struct config_setting *setting, const char *text,
                  struct config_value *value)
{
    int64_t *number = &value->number;

    *value = (struct config_value){0};
    switch (setting->type) {
    case CONFIG_BOOL:
        *number = strcmp(text, "true") == 0;
        return *number != 0 || strcmp(text, "false") == 0
                   ? NULL
                   : refuse_value(setting, text, "must be true or false");
    case CONFIG_INT:
        if (!parse_integer(text, number)) {
            return refuse_value(setting, text, "must be a whole number");
        }
        break;
    case CONFIG_SIZE:
        if (!config_parse_size(text, number)) {
            return refuse_value(setting, text, "must be a size such as 64, 64KiB or 1MiB");
        }
        break;
    case CONFIG_DURATION:
        if (!config_parse_duration(text, number)) {
            return refuse_value(setting, text, "must be a duration such as 500ms, 5s, 2m or 1h");
        }
        break;
    case CONFIG_ENUM:
        return parse_choice(setting->choices, text, number) ? NULL : refuse_choice(setting, text);
    case CONFIG_STRING:
        return parse_string(setting, text, value);
    }
    return check_bounds(setting, text, *number);
}

void value_release(struct config_value *value)
{
    free(value->text);
    value->text = NULL;
}

void value_store(const struct config_setting *setting, void *values, struct config_value *value)
{
    char *field = (char *)values + setting->offset;
    char **string = (char **)(void *)field;

    switch (setting->type) {
    case CONFIG_BOOL:
        *(bool *)field = value->number != 0;
        break;
    case CONFIG_INT:
    case CONFIG_SIZE:
    case CONFIG_DURATION:
        *(int64_t *)(void *)field = value->number;
        break;
    case CONFIG_ENUM:
        *(int *)(void *)field = (int)value->number;
        break;
    case CONFIG_STRING:
        free(*string);
        *string = value->text;
        value->text = NULL;
        break;
    }
}

static int64_t stored_number(const struct config_setting *setting, const void *values)
{
    const char *field = (const char *)values + setting->offset;

    switch (setting->type) {
    case CONFIG_BOOL:
        return *(const bool *)field;
    case CONFIG_ENUM:
        return *(const int *)(const void *)field;
    default:
        return *(const int64_t *)(const void *)field;
    }
}

static const char *stored_string(const struct config_setting *setting, const void *values)
{
    return *(char *const *)(const void *)((const char *)values + setting->offset);
}

bool value_is_stored(const struct config_setting *setting, const void *values,
                     const struct config_value *value)
{
    if (setting->type == CONFIG_STRING) {
        return strcmp(stored_string(setting, values), value->text) == 0;
    }
    return stored_number(setting, values) == value->number;
}

void value_write(const struct config_setting *setting, const void *values, struct writer *to)
{
    if (setting->type == CONFIG_STRING) {
        writer_string(to, stored_string(setting, values));
    } else {
        write_setting_number(setting, stored_number(setting, values), to);
    }
}

void value_write_shown(const struct config_setting *setting, const void *values, struct writer *to)
{
    if ((setting->flags & CONFIG_SECRET) != 0 && setting->type == CONFIG_STRING &&
        stored_string(setting, values)[0] != '\0') {
        writer_string(to, "***");
    } else {
        value_write(setting, values, to);
    }
}

const char *value_type_name(const struct config_setting *setting)
{
    switch (setting->type) {
    case CONFIG_BOOL:
        return "true|false";
    case CONFIG_INT:
        return "NUMBER";
    case CONFIG_SIZE:
        return "SIZE";
    case CONFIG_DURATION:
        return "DURATION";
    case CONFIG_ENUM:
        return setting->choices;
    case CONFIG_STRING:
        break;
    }
    return "TEXT";
}

const struct config_setting *config_find_setting(const struct config_module *module,
                                                 const char *key)
{
    for (const struct config_setting *setting = module->settings; setting->key; setting++) {
        if (strcmp(setting->key, key) == 0) {
            return setting;
        }
    }
    return NULL;
}

const struct config_rename *config_find_rename(const struct config_module *module,
                                               const char *former)
{
    const struct config_rename *rename = module->renames;

    for (; rename && rename->former; rename++) {
        if (strcmp(rename->former, former) == 0) {
            return rename;
        }
    }
    return NULL;
}

char *config_value_text(const struct config_setting *setting, const void *values)
{
    struct writer text = {0};

    value_write(setting, values, &text);
    writer_u8(&text, 0);
    return (char *)text.data;
}

char *config_value_set(const struct config_setting *setting, void *values, const char *text)
{
    struct config_value value;
    char *message = value_parse(setting, text, &value);

    if (!message) {
        value_store(setting, values, &value);
    }
    value_release(&value);
    return message;
}
