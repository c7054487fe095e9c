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
