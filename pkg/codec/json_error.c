/*
 * The errors of the JSON layer: what was wrong, and where, as a line that can be sent to the peer.
 */
#include "codec/json_private.h"

#include <stdio.h>
#include <string.h>

#define KEY_SHOWN  40 /* bytes of a key in a path; longer ones are truncated */
#define PATH_SHOWN 160

#define CUT        "..."

/* A text that grows in a fixed buffer. A part that does not fit is omitted together with all that
 * follows, so that no character is cut; there is always room for a mark of that. */
struct path_line {
    char text[PATH_SHOWN];
    size_t len;
    bool full;
};

static void append_to_line(struct path_line *line, const char *text, size_t len)
{
    if (line->full || len > sizeof line->text - sizeof CUT - line->len) {
        line->full = true;
        return;
    }
    memcpy(line->text + line->len, text, len);
    line->len += len;
    line->text[line->len] = '\0';
}

static bool is_plain_key(struct bytes key)
{
    for (size_t i = 0; i < key.len; i++) {
        const uint8_t byte = key.data[i];

        if ((byte < '0' || byte > '9') && (byte < 'a' || byte > 'z') &&
            (byte < 'A' || byte > 'Z') && byte != '_' && byte != '-') {
            return false;
        }
    }
    return key.len > 0 && key.len <= KEY_SHOWN;
}

/* "[2]", or a key that needs quotes: its source bytes, so without control characters. */
static void add_bracketed(struct path_line *line, const struct json_value *value)
{
    struct bytes key = json_value_raw_key(value);
    char text[KEY_SHOWN + sizeof "[...\"]"];
    size_t shown = key.len;

    if (shown > KEY_SHOWN) {
        shown = KEY_SHOWN - 1;
        while ((key.data[shown] & 0xc0) == 0x80) { /* not within a character */
            shown--;
        }
    }
    (void)snprintf(text, sizeof text, "[%.*s%s]", (int)shown, (const char *)key.data,
                   shown < key.len ? "...\"" : "");
    append_to_line(line, text, strlen(text));
}

static void add_index(struct path_line *line, const struct json_value *value)
{
    const struct json_value *values = value->document->values;
    const struct json_value *other = json_value_first(&values[value->parent]);
    char text[32];
    size_t index = 0;

    for (; other != value; other = json_value_next(other)) {
        index++;
    }
    (void)snprintf(text, sizeof text, "[%zu]", index);
    append_to_line(line, text, strlen(text));
}

/* The recursion is as deep as the value: JSON_DEPTH_MAX at most. */
static void add_path(struct path_line *line, const struct json_value *value)
{
    const struct bytes key = json_value_key(value);

    if (value->parent == JSON_NO_VALUE) {
        return;
    }
    add_path(line, &value->document->values[value->parent]);
    if (value->key_len == 0) {
        add_index(line, value);
    } else if (is_plain_key(key)) {
        append_to_line(line, ".", line->len > 0 ? 1 : 0);
        append_to_line(line, (const char *)key.data, key.len);
    } else {
        add_bracketed(line, value);
    }
}

static bool record_fault(struct json_error *error, enum json_fault fault, const char *path,
                         const char *reason, size_t where)
{
    error->fault = fault;
    error->reason = reason;
    error->where = where;
    (void)snprintf(error->text, sizeof error->text, "%s: %s", path, reason);
    return false;
}

bool json_error_set_byte(struct json_error *error, enum json_fault fault, const char *reason,
                         size_t where)
{
    char path[32];

    if (error->fault != JSON_FAULT_NONE) {
        return false;
    }
    (void)snprintf(path, sizeof path, "byte %zu", where);
    return record_fault(error, fault, path, reason, where);
}

bool json_error_set(struct json_error *error, enum json_fault fault, const char *path,
                    const char *reason)
{
    if (error->fault != JSON_FAULT_NONE) {
        return false;
    }
    return record_fault(error, fault, path[0] == '\0' ? "message" : path, reason, 0);
}

/* A value, or a member that it should have. */
static bool fail_at(const struct json_value *value, const char *member, enum json_fault fault,
                    const char *reason, size_t where, struct json_error *error)
{
    struct path_line line = {.len = 0};

    if (error->fault != JSON_FAULT_NONE) {
        return false;
    }
    add_path(&line, value);
    if (member) {
        append_to_line(&line, ".", line.len > 0 ? 1 : 0);
        append_to_line(&line, member, strlen(member));
    }
    if (line.full) {
        memcpy(line.text + line.len, CUT, sizeof CUT);
    }
    return record_fault(error, fault, line.len == 0 && !line.full ? "message" : line.text, reason,
                        where);
}

bool json_value_fail(const struct json_value *value, enum json_fault fault, const char *reason,
                     struct json_error *error)
{
    if (!value) {
        return false;
    }
    return fail_at(value, NULL, fault, reason,
                   fault == JSON_FAULT_DUPLICATE ? value->key_at : value->at, error);
}

bool json_error_set_missing(const struct json_value *object, const char *key,
                            struct json_error *error)
{
    return fail_at(object, key, JSON_FAULT_MISSING, "is missing", object->at, error);
}

const char *json_fault_name(enum json_fault fault)
{
    static const char *const names[] = {
        [JSON_FAULT_NONE] = "none",
        [JSON_FAULT_EMPTY] = "empty",
        [JSON_FAULT_BYTES] = "bytes",
        [JSON_FAULT_UTF8] = "utf8",
        [JSON_FAULT_BOM] = "bom",
        [JSON_FAULT_NUL] = "nul",
        [JSON_FAULT_CONTROL] = "control",
        [JSON_FAULT_SYNTAX] = "syntax",
        [JSON_FAULT_TRAILING] = "trailing",
        [JSON_FAULT_NUMBER] = "number",
        [JSON_FAULT_RANGE] = "range",
        [JSON_FAULT_ESCAPE] = "escape",
        [JSON_FAULT_SURROGATE] = "surrogate",
        [JSON_FAULT_DEPTH] = "depth",
        [JSON_FAULT_KEYS] = "keys",
        [JSON_FAULT_VALUES] = "values",
        [JSON_FAULT_DUPLICATE] = "duplicate",
        [JSON_FAULT_TYPE] = "type",
        [JSON_FAULT_MISSING] = "missing",
        [JSON_FAULT_RULE] = "rule",
        [JSON_FAULT_LIMIT] = "limit",
    };

    return names[fault];
}

bool json_fault_is_limit(enum json_fault fault)
{
    return fault == JSON_FAULT_BYTES || fault == JSON_FAULT_DEPTH || fault == JSON_FAULT_KEYS ||
           fault == JSON_FAULT_VALUES || fault == JSON_FAULT_LIMIT;
}
