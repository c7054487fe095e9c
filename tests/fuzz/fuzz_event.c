/*
 * Fuzzes event messages, which another front-end, or anybody with access to Redis, may send.
 *
 * Invariants: everything that is read lies within the input, and adds up to no more than its
 * length.
 */
#include <stdlib.h>

#include "schema/event.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t walk_body(struct bytes body)
{
    struct bytes field, value;
    size_t total = 0;
    while (event_field(&body, &field, &value)) {
        if (!value.data && value.len > 0) {
            abort();
        }
        total += field.len + value.len;
    }
    return total;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct event_message message;
    struct event event;
    bool bad;
    size_t total = 0;
    if (!event_message_read((struct bytes){data, size}, &message)) {
        return 0;
    }
    while (event_next(&message, &event, &bad)) {
        total += event.id.len + event.body.len;
        if (walk_body(event.body) > event.body.len || total > size) {
            abort();
        }
        event_field_find(event.body, "state");
    }
    return 0;
}
