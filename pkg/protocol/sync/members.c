/* sync_members: see the header. */
#include "protocol/sync/members.h"

/* The length of the string that the text begins with, quotes included; all of it when it has no
 * end. */
static size_t string_length(struct bytes text)
{
    for (size_t i = 1; i < text.len; i++) {
        if (text.data[i] == '\\') {
            i++;
        } else if (text.data[i] == '"') {
            return i + 1;
        }
    }
    return text.len;
}

/* The length of the value that the text begins with: to the comma or bracket that is in none of its
 * own brackets, nor in a string. */
static size_t json_value_length(struct bytes text)
{
    size_t depth = 0, i = 0;
    while (i < text.len) {
        const uint8_t byte = text.data[i];
        if (byte == '"') {
            i += string_length((struct bytes){text.data + i, text.len - i});
            continue;
        }
        if (depth == 0 && (byte == ',' || byte == '}' || byte == ']')) {
            break;
        }
        if (byte == '{' || byte == '[') {
            depth++;
        } else if (byte == '}' || byte == ']') {
            depth--;
        }
        i++;
    }
    return i;
}

static struct bytes take_member_bytes(struct bytes *rest, size_t len)
{
    struct bytes taken = {rest->data, len};
    rest->data += len;
    rest->len -= len;
    return taken;
}

bool sync_member_next(struct bytes *rest, struct bytes *name, struct bytes *value)
{
    /* A brace or a comma precedes each member. */
    if (rest->len < 2 || rest->data[1] != '"') {
        return false;
    }
    take_member_bytes(rest, 1);
    *name = take_member_bytes(rest, string_length(*rest));
    if (rest->len > 0) {
        take_member_bytes(rest, 1); /* the colon */
    }
    *value = take_member_bytes(rest, json_value_length(*rest));
    return true;
}

struct bytes sync_member_find(struct bytes object, struct bytes name)
{
    struct bytes rest = object, each, value;
    while (sync_member_next(&rest, &each, &value)) {
        if (bytes_equal(each, name)) {
            return value;
        }
    }
    return (struct bytes){NULL, 0};
}

bool sync_names_next(struct bytes *names, struct bytes *name)
{
    if (names->len == 0) {
        return false;
    }
    *name = take_member_bytes(names, string_length(*names));
    return true;
}

bool sync_names_have(struct bytes names, struct bytes name)
{
    struct bytes each;
    while (sync_names_next(&names, &each)) {
        if (bytes_equal(each, name)) {
            return true;
        }
    }
    return false;
}

static void add_member_name(struct writer *names, struct bytes name)
{
    if (!sync_names_have(writer_bytes_written(names), name)) {
        writer_bytes(names, name);
    }
}

void sync_names_add(struct writer *names, struct bytes more)
{
    struct bytes name;
    while (sync_names_next(&more, &name)) {
        add_member_name(names, name);
    }
}

/* Adds the names of the object whose values differ there. Both are in order, so that the wanted one
 * is mostly the next. */
static void add_unlike(struct writer *names, struct bytes object, struct bytes other)
{
    struct bytes rest = object, next = other, name, value, next_name, next_value;
    while (sync_member_next(&rest, &name, &value)) {
        bool is_next =
            sync_member_next(&next, &next_name, &next_value) && bytes_equal(next_name, name);
        struct bytes there = is_next ? next_value : sync_member_find(other, name);
        if (!there.data || !bytes_equal(there, value)) {
            add_member_name(names, name);
        }
    }
}

void sync_names_add_changes(struct writer *names, struct bytes before, struct bytes after)
{
    add_unlike(names, after, before);
    add_unlike(names, before, after);
}

void sync_members_write(struct writer *to, struct bytes object, struct bytes names)
{
    struct bytes name;
    uint8_t before = '{';
    while (sync_names_next(&names, &name)) {
        struct bytes value = sync_member_find(object, name);
        writer_u8(to, before);
        writer_bytes(to, name);
        writer_u8(to, ':');
        writer_bytes(to, value.data ? value : BYTES_LITERAL("null"));
        before = ',';
    }
    if (before == '{') {
        writer_u8(to, '{');
    }
    writer_u8(to, '}');
}
