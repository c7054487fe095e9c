/* escape: one pass over the text; runs that need no escape are copied whole. */
#include "base/escape.h"

#include "base/utf8_private.h"

static bool is_control_character(struct bytes character)
{
    if (character.len == 1) {
        return character.data[0] < 0x20 || character.data[0] == 0x7f;
    }
    /* U+0080 to U+009F control terminals too. */
    return character.len == 2 && character.data[0] == 0xc2 && character.data[1] < 0xa0;
}

/* Characters that have no glyph, or change how others are displayed: Default_Ignorable_Code_Point
 * and Bidi_Control of Unicode 15, and the line and paragraph separators. */
static bool is_invisible(uint32_t character)
{
    static const struct {
        uint32_t first, last;
    } ranges[] = {
        {0xad, 0xad},       {0x34f, 0x34f},   {0x61c, 0x61c},     {0x115f, 0x1160},
        {0x17b4, 0x17b5},   {0x180b, 0x180f}, {0x200b, 0x200f},   {0x2028, 0x202e},
        {0x2060, 0x206f},   {0x3164, 0x3164}, {0xfe00, 0xfe0f},   {0xfeff, 0xfeff},
        {0xffa0, 0xffa0},   {0xfff0, 0xfffb}, {0x1bca0, 0x1bca3}, {0x1d173, 0x1d17a},
        {0xe0000, 0xe0fff},
    };

    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
        if (character >= ranges[i].first && character <= ranges[i].last) {
            return true;
        }
    }
    return false;
}

static uint32_t code_point(struct bytes character)
{
    static const uint8_t masks[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    uint32_t code = character.data[0] & masks[character.len];

    for (size_t i = 1; i < character.len; i++) {
        code = code << 6 | (character.data[i] & 0x3f);
    }
    return code;
}

/* Must be escaped before it is displayed. */
static bool is_unsafe(struct bytes character)
{
    return is_control_character(character) ||
           (character.len > 1 && is_invisible(code_point(character)));
}

static void write_hex(struct writer *to, struct bytes bytes)
{
    for (size_t i = 0; i < bytes.len; i++) {
        writer_format(to, "\\x%02x", bytes.data[i]);
    }
}

/* \n, \r and \t have names in both forms. */
static bool write_named_control(struct writer *to, uint8_t byte)
{
    switch (byte) {
    case '\n':
        writer_string(to, "\\n");
        return true;
    case '\r':
        writer_string(to, "\\r");
        return true;
    case '\t':
        writer_string(to, "\\t");
        return true;
    default:
        return false;
    }
}

/* The number of following characters that need no escape in any form: most of most texts. */
static size_t plain_run(struct bytes text)
{
    size_t len = 0;

    while (len < text.len && text.data[len] >= 0x20 && text.data[len] < 0x7f &&
           text.data[len] != '"' && text.data[len] != '\\') {
        len++;
    }
    return len;
}

/* Appends such a run; false when there is none. */
static bool write_plain_run(struct writer *to, struct bytes text, size_t *at)
{
    size_t len = plain_run((struct bytes){text.data + *at, text.len - *at});

    if (len > 0) {
        writer_bytes(to, (struct bytes){text.data + *at, len});
    }
    *at += len;
    return len > 0;
}

void escape_json(struct writer *to, struct bytes text)
{
    writer_u8(to, '"');
    for (size_t at = 0; at < text.len;) {
        if (write_plain_run(to, text, &at)) {
            continue;
        }
        struct bytes rest = {text.data + at, text.len - at};
        size_t len = utf8_character_length(rest);
        struct bytes character = {rest.data, len == 0 ? 1 : len};
        uint8_t first = character.data[0];

        if (len == 0) {
            writer_format(to, "\\\\x%02x", first);
        } else if (first == '"' || first == '\\') {
            writer_format(to, "\\%c", first);
        } else if (!is_control_character(character)) {
            writer_bytes(to, character);
        } else if (!write_named_control(to, first)) {
            writer_format(to, "\\u%04x", character.data[len - 1]);
        }
        at += character.len;
    }
    writer_u8(to, '"');
}

static bool needs_quotes(struct bytes text)
{
    for (size_t at = 0; at < text.len;) {
        struct bytes rest = {text.data + at, text.len - at};
        size_t len = utf8_character_length(rest);
        struct bytes character = {rest.data, len == 0 ? 1 : len};

        if (character.data[0] == ' ' || character.data[0] == '"' || is_unsafe(character)) {
            return true;
        }
        at += character.len;
    }
    return text.len == 0;
}

void escape_logfmt(struct writer *to, struct bytes text)
{
    bool quoted = needs_quotes(text);

    if (quoted) {
        writer_u8(to, '"');
    }
    for (size_t at = 0; at < text.len;) {
        if (write_plain_run(to, text, &at)) {
            continue;
        }
        struct bytes rest = {text.data + at, text.len - at};
        size_t len = utf8_character_length(rest);
        struct bytes character = {rest.data, len == 0 ? 1 : len};
        uint8_t first = character.data[0];

        if (len == 0) {
            write_hex(to, character);
        } else if (quoted && (first == '"' || first == '\\')) {
            writer_format(to, "\\%c", first);
        } else if (!is_unsafe(character)) {
            writer_bytes(to, character);
        } else if (!write_named_control(to, first)) {
            write_hex(to, character);
        }
        at += character.len;
    }
    if (quoted) {
        writer_u8(to, '"');
    }
}

void escape_visible(struct writer *to, struct bytes text, bool backslashes)
{
    for (size_t at = 0; at < text.len;) {
        if (write_plain_run(to, text, &at)) {
            continue;
        }
        struct bytes rest = {text.data + at, text.len - at};
        size_t len = utf8_character_length(rest);
        struct bytes character = {rest.data, len == 0 ? 1 : len};

        if (len == 1 && character.data[0] == '\\' && backslashes) {
            writer_string(to, "\\\\");
        } else if (len > 0 && !is_unsafe(character)) {
            writer_bytes(to, character);
        } else if (len != 1 || !write_named_control(to, character.data[0])) {
            write_hex(to, character);
        }
        at += character.len;
    }
}
