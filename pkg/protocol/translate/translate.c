/* translate: see the header. */
#include "protocol/translate/translate.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "codec/entry.h"
#include "codec/sync.h"

#define FEW 32 /* properties that need no allocation */

static bool is_protocol(struct bytes protocol, const char *name)
{
    return bytes_equal(protocol, bytes_from_string(name));
}

static bool is_entry_property(struct bytes field, struct bytes value)
{
    return field.len >= 2 && memcmp(field.data, "p:", 2) == 0 &&
           json_text_is_value(value, SYNC_VALUE_DEPTH);
}

static int compare_property_names(const void *a, const void *b)
{
    const struct sync_property *left = a, *right = b;
    return bytes_compare(left->name, right->name);
}

static size_t count_entry_fields(const struct map_entry *entry)
{
    size_t count = 0, at = 0;
    struct bytes field, value;
    while (map_entry_next_field(entry, &at, &field, &value)) {
        count++;
    }
    return count;
}

static size_t take_entry_properties(const struct map_entry *entry, struct sync_property *properties)
{
    size_t count = 0, at = 0;
    struct bytes field, value;
    while (map_entry_next_field(entry, &at, &field, &value)) {
        const struct bytes name = {field.data + 2, field.len - 2};
        if (is_entry_property(field, value) && json_is_text(name)) {
            properties[count++] = (struct sync_property){name, value};
        }
    }
    /* The fields' order is that of their last changes, which clients must not see. */
    qsort(properties, count, sizeof *properties, compare_property_names);
    return count;
}

static void write_all_properties(const struct map_entry *entry, struct writer *to)
{
    struct sync_property few[FEW], *many = NULL;
    size_t count = count_entry_fields(entry);
    if (count > FEW) {
        many = mem_zalloc(count, sizeof *many);
    }
    count = take_entry_properties(entry, many ? many : few);
    sync_write_properties(to, many ? many : few, count);
    free(many);
}

static struct bytes text_field(const struct map_entry *entry, const char *name)
{
    struct bytes value = map_entry_field(entry, name);
    return json_is_text(value) ? value : (struct bytes){(const uint8_t *)"", 0};
}

static void write_shown_user(const struct map_entry *entry, struct writer *to)
{
    entry_write_user(to, text_field(entry, "user"), text_field(entry, "status"));
}

struct bytes translate_state(const struct map_entry *entry, struct writer *scratch)
{
    const struct bytes protocol = map_entry_field(entry, "protocol");

    writer_reset(scratch);
    if (is_protocol(protocol, "sync")) {
        write_all_properties(entry, scratch);
    } else if (is_protocol(protocol, "turntable")) {
        write_shown_user(entry, scratch);
    } else {
        return map_entry_state(entry);
    }
    return writer_bytes_written(scratch);
}

void translate_properties(const struct map_entry *entry, struct writer *to)
{
    const struct bytes protocol = map_entry_field(entry, "protocol");

    if (is_protocol(protocol, "sync")) {
        write_all_properties(entry, to);
    } else if (is_protocol(protocol, "turntable")) {
        write_shown_user(entry, to);
    } else {
        entry_write_state(to, map_entry_state(entry));
    }
}
