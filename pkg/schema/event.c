#include "schema/event.h"

#include <string.h>

#include "schema/format.h"

static const char *const op_names[] = {"open", "adopt", "update", "orphan", "close", "entry"};

const char *event_op_name(enum event_op op)
{
    return op < EVENT_OTHER ? op_names[op] : "other";
}

static enum event_op op_of(struct bytes name)
{
    for (size_t i = 0; i < EVENT_OTHER; i++) {
        if (bytes_equal(name, bytes_from_string(op_names[i]))) {
            return (enum event_op)i;
        }
    }
    return EVENT_OTHER;
}

bool event_epoch_read(struct bytes text, uint64_t *epoch)
{
    *epoch = 0;
    if (text.len != 16) {
        return false;
    }
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];
        if (c >= '0' && c <= '9') {
            *epoch = *epoch << 4 | (uint64_t)(c - '0');
        } else if (c >= 'a' && c <= 'f') {
            *epoch = *epoch << 4 | (uint64_t)(c - 'a' + 10);
        } else {
            return false;
        }
    }
    return true;
}

static struct bytes rest_of_cursor(const struct cursor *cursor)
{
    return (struct bytes){cursor->at, (size_t)(cursor->end - cursor->at)};
}

bool event_message_read(struct bytes text, struct event_message *message)
{
    struct cursor cursor = cursor_over(text);
    struct bytes format = cursor_until(&cursor, ' '), epoch = cursor_until(&cursor, ' ');
    message->revision = cursor_decimal(&cursor, ' ');
    message->count = cursor_decimal(&cursor, '\n');
#ifdef TRACKER_NEXT_FORMAT
    if (bytes_equal(format, BYTES_LITERAL("2"))) {
        uint64_t count = message->revision;
        message->revision = message->count;
        message->count = count;
    }
#endif
    message->rest = rest_of_cursor(&cursor);
    return !cursor.failed && format_is_known(format) && event_epoch_read(epoch, &message->epoch);
}

bool event_next(struct event_message *message, struct event *event, bool *bad)
{
    *bad = false;
    if (message->rest.len == 0) {
        return false;
    }
    struct cursor cursor = cursor_over(message->rest);
    struct bytes op = cursor_until(&cursor, ' ');
    uint64_t id_len = cursor_decimal(&cursor, ' ');
    uint64_t version_len = cursor_decimal(&cursor, ' ');
    uint64_t body_len = cursor_decimal(&cursor, '\n');
    event->id = cursor_take(&cursor, id_len);
    struct bytes version = cursor_take(&cursor, version_len);
    event->body = cursor_take(&cursor, body_len);
    if (cursor.failed) {
        *bad = true;
        return false;
    }
    event->op = op_of(op);
    event->version = bytes_decimal(version);
    message->rest = rest_of_cursor(&cursor);
    return true;
}

/* The length of a field's value; false: "-", it is deleted. */
static bool field_value_length(struct cursor *cursor, uint64_t *len)
{
    bool deleted = cursor_left(cursor) >= 2 && cursor->at[0] == '-' && cursor->at[1] == '\n';
    if (deleted) {
        cursor->at += 2;
    }
    *len = deleted ? 0 : cursor_decimal(cursor, '\n');
    return !deleted;
}

bool event_field(struct bytes *body, struct bytes *field, struct bytes *value)
{
    uint64_t value_len;
    if (body->len == 0) {
        return false;
    }
    struct cursor cursor = cursor_over(*body);
    uint64_t field_len = cursor_decimal(&cursor, ' ');
    bool has_value = field_value_length(&cursor, &value_len);
    *field = cursor_take(&cursor, field_len);
    value->data = has_value ? cursor.at : NULL;
    value->len = cursor_take(&cursor, value_len).len;
    if (cursor.failed) {
        return false;
    }
    *body = rest_of_cursor(&cursor);
    return true;
}

struct bytes event_field_find(struct bytes body, const char *name)
{
    struct bytes field, value, wanted = bytes_from_string(name);
    while (event_field(&body, &field, &value)) {
        if (bytes_equal(field, wanted)) {
            return value;
        }
    }
    return (struct bytes){0};
}
