#include "schema/fields.h"

#include <string.h>

#include "schema/event.h"

bool map_field_is_free(struct bytes name)
{
    static const char *const kept[] = {"state",      "version", "protocol",   "node",   "session",
                                       "address",    "since",   "user",       "status", "resume",
                                       "registered", "probe",   "certificate"};
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
        if (bytes_equal(name, bytes_from_string(kept[i]))) {
            return false;
        }
    }
    return true;
}

void fields_write(struct writer *body, struct bytes name, struct bytes value)
{
    if (!value.data) {
        writer_format(body, "%zu -\n", name.len);
        writer_bytes(body, name);
        return;
    }
    writer_format(body, "%zu %zu\n", name.len, value.len);
    writer_bytes(body, name);
    writer_bytes(body, value);
}

bool fields_find(struct bytes body, struct bytes name, struct bytes *value)
{
    struct bytes field;
    while (event_field(&body, &field, value)) {
        if (bytes_equal(field, name)) {
            return true;
        }
    }
    return false;
}

static size_t count_present_or_deleted(struct bytes body, bool deleted)
{
    struct bytes field, value;
    size_t count = 0;
    while (event_field(&body, &field, &value)) {
        count += !value.data == deleted;
    }
    return count;
}

size_t fields_count(struct bytes body)
{
    return 2 * count_present_or_deleted(body, false);
}

size_t fields_count_deleted(struct bytes body)
{
    return count_present_or_deleted(body, true);
}

void fields_remove(struct writer *body, struct bytes name)
{
    struct bytes rest = writer_bytes_written(body), field, value;
    size_t start = 0;
    while (event_field(&rest, &field, &value)) {
        size_t end = body->len - rest.len;
        if (bytes_equal(field, name)) {
            memmove(body->data + start, body->data + end, rest.len);
            body->len = start + rest.len;
            return;
        }
        start = end;
    }
}

void fields_set(struct writer *body, struct bytes name, struct bytes value)
{
    fields_remove(body, name);
    fields_write(body, name, value);
}

static unsigned change_of(struct bytes field)
{
    bool is_of_owner = bytes_equal(field, BYTES_LITERAL("node")) ||
                       bytes_equal(field, BYTES_LITERAL("address")) ||
                       bytes_equal(field, BYTES_LITERAL("since"));
    return is_of_owner ? FIELDS_OWNER : FIELDS_CONTENTS;
}

static unsigned find_change(struct bytes known, struct bytes field, struct bytes value)
{
    struct bytes before;
    bool exists = fields_find(known, field, &before) && before.data;
    bool differs = value.data ? !exists || !bytes_equal(before, value) : exists;
    return differs ? change_of(field) : FIELDS_UNCHANGED;
}

/* Keeps, or deletes, the known fields that the body does not contain. */
static void merge_known(struct bytes known, struct bytes body, bool is_whole,
                        struct fields_merged *merged)
{
    struct bytes field, value, newer;
    while (event_field(&known, &field, &value)) {
        if (fields_find(body, field, &newer)) {
            continue;
        }
        if (is_whole) {
            merged->changes |= change_of(field);
        } else {
            fields_write(&merged->fields, field, value);
        }
    }
}

void fields_merge(struct bytes known, struct bytes body, bool is_whole, bool keeps_deletions,
                  struct fields_merged *merged)
{
    struct bytes rest = body, field, value;
    *merged = (struct fields_merged){.is_replaced = is_whole};
    while (event_field(&rest, &field, &value)) {
        if (bytes_equal(field, BYTES_LITERAL("state"))) {
            merged->has_state = true;
            merged->state = value;
            continue;
        }
        merged->is_replaced = true;
        merged->changes |= find_change(known, field, value);
        if (value.data || keeps_deletions) {
            fields_write(&merged->fields, field, value);
        }
    }
    if (merged->is_replaced) {
        merge_known(known, body, is_whole, merged);
    }
}
