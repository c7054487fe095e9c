#include "entries.h"

#include <string.h>

#include "output.h"
#include "schema/event.h"

static bool is_number(struct bytes text)
{
    if (text.len == 0 || text.len > 19 || (text.len > 1 && text.data[0] == '0')) {
        return false;
    }
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            return false;
        }
    }
    return true;
}

static void write_json_number(struct writer *to, const char *name, struct bytes text)
{
    json_raw(to, name, is_number(text) ? text : BYTES_LITERAL("null"));
}

static bool is_property_field(struct bytes field)
{
    return field.len > 2 && memcmp(field.data, "p:", 2) == 0;
}

static bool field_is_named(struct bytes field, const char *name)
{
    return bytes_equal(field, bytes_from_string(name));
}

/* A field that a change deletes is null. */
static void write_json_field(struct writer *to, struct bytes name, struct bytes value)
{
    if (value.data) {
        json_bytes_named(to, name, value);
    } else {
        json_raw_named(to, name, BYTES_LITERAL("null"));
    }
}

/* Fields whose names are UTF-8: the properties, or the others. */
static void write_entry_fields(struct writer *to, struct bytes body, bool want_properties)
{
    struct bytes field, value;
    while (event_field(&body, &field, &value)) {
        if (is_property_field(field) != want_properties || !bytes_is_utf8(field) ||
            field_is_named(field, "session")) {
            continue;
        }
        if (want_properties) {
            write_json_field(to, (struct bytes){field.data + 2, field.len - 2}, value);
        } else if (field_is_named(field, "version")) {
            write_json_number(to, "version", value);
        } else if (field_is_named(field, "since")) {
            write_json_number(to, "since", value);
        } else {
            write_json_field(to, field, value);
        }
    }
}

static bool has_properties(struct bytes body)
{
    struct bytes field, value;
    while (event_field(&body, &field, &value)) {
        if (is_property_field(field)) {
            return true;
        }
    }
    return false;
}

void entries_write_json(struct writer *to, struct bytes body)
{
    write_entry_fields(to, body, false);
    if (has_properties(body)) {
        json_open(to, "properties", '{');
        write_entry_fields(to, body, true);
        json_close(to, '}');
    }
}
