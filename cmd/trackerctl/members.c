#include "members.h"

#include <string.h>

#include "base/ids.h"

static void skip_space(struct cursor *at)
{
    while (at->at < at->end && strchr(" \t\r\n", *at->at) && *at->at)
        at->at++;
}

static bool take(struct cursor *at, char c)
{
    skip_space(at);
    if (at->at == at->end || *at->at != (uint8_t)c)
        return false;
    at->at++;
    return true;
}

/* UTF-8 of a code point below U+10000. */
static void write_character(struct writer *to, unsigned code)
{
    if (code < 0x80) {
        writer_u8(to, (uint8_t)code);
    } else if (code < 0x800) {
        writer_u8(to, (uint8_t)(0xc0 | code >> 6));
        writer_u8(to, (uint8_t)(0x80 | (code & 0x3f)));
    } else {
        writer_u8(to, (uint8_t)(0xe0 | code >> 12));
        writer_u8(to, (uint8_t)(0x80 | (code >> 6 & 0x3f)));
        writer_u8(to, (uint8_t)(0x80 | (code & 0x3f)));
    }
}

static bool read_escape(struct cursor *at, struct writer *to)
{
    static const char names[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
    uint8_t c = cursor_u8(at), code[2];
    const char *name = c ? strchr(names, c) : NULL;
    if (name) {
        writer_u8(to, (uint8_t)meant[name - names]);
        return true;
    }
    if (c != 'u' || !id_parse_hex(cursor_take(at, 4), code, 2))
        return false;
    write_character(to, (unsigned)code[0] << 8 | code[1]);
    return true;
}

/* After the opening quote; to may be NULL. */
static bool read_string(struct cursor *at, struct writer *to)
{
    struct writer ignored = {.limit = 1};
    if (!to)
        to = &ignored;
    bool fine = true;
    while (fine && at->at < at->end && *at->at != '"') {
        uint8_t c = cursor_u8(at);
        if (c == '\\')
            fine = read_escape(at, to);
        else
            writer_u8(to, c);
    }
    writer_free(&ignored);
    return fine && !at->failed && take(at, '"');
}

static bool skip_word(struct cursor *at)
{
    const uint8_t *start = at->at;
    while (at->at < at->end && *at->at && !strchr(",:{}[]\" \t\r\n", *at->at))
        at->at++;
    return at->at > start;
}

static bool skip_value(struct cursor *at)
{
    unsigned depth = 0;
    do {
        skip_space(at);
        if (take(at, '{') || take(at, '['))
            depth++;
        else if (depth > 0 && (take(at, '}') || take(at, ']')))
            depth--;
        else if (depth > 0 && (take(at, ',') || take(at, ':')))
            continue;
        else if (!(take(at, '"') ? read_string(at, NULL) : skip_word(at)))
            return false;
    } while (depth > 0);
    return true;
}

struct members members_over(struct bytes object)
{
    struct members members = {.at = cursor_over(object)};
    members.bad = !take(&members.at, '{');
    return members;
}

bool members_next(struct members *members, struct writer *name, struct bytes *value)
{
    struct cursor *at = &members->at;
    if (members->bad || take(at, '}'))
        return false;
    (void)take(at, ',');
    writer_reset(name);
    members->bad = true;
    if (!take(at, '"') || !read_string(at, name) || !take(at, ':'))
        return false;
    skip_space(at);
    const uint8_t *start = at->at;
    if (!skip_value(at))
        return false;
    *value = (struct bytes){start, (size_t)(at->at - start)};
    members->bad = false;
    return true;
}

bool members_decode(struct bytes value, struct writer *text)
{
    struct cursor at = cursor_over(value);
    writer_reset(text);
    if (take(&at, '"'))
        return read_string(&at, text);
    writer_bytes(text, value);
    return true;
}
