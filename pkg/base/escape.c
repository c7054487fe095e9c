/* escape: one pass over the text, runs that need nothing are copied whole. */
#include "base/escape.h"

#include "base/utf8_private.h"

static bool is_control(struct bytes character)
{
    if (character.len == 1)
        return character.data[0] < 0x20 || character.data[0] == 0x7f;
    /* U+0080 to U+009F steer terminals too. */
    return character.len == 2 && character.data[0] == 0xc2 && character.data[1] < 0xa0;
}

static void write_hex(struct writer *to, struct bytes bytes)
{
    for (size_t i = 0; i < bytes.len; i++)
        writer_format(to, "\\x%02x", bytes.data[i]);
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

void escape_json(struct writer *to, struct bytes text)
{
    writer_u8(to, '"');
    for (size_t at = 0; at < text.len;) {
        struct bytes rest = {text.data + at, text.len - at};
        size_t len = utf8_character_length(rest);
        struct bytes character = {rest.data, len == 0 ? 1 : len};
        uint8_t first = character.data[0];

        if (len == 0)
            writer_format(to, "\\\\x%02x", first);
        else if (first == '"' || first == '\\')
            writer_format(to, "\\%c", first);
        else if (!is_control(character))
            writer_bytes(to, character);
        else if (!write_named_control(to, first))
            writer_format(to, "\\u%04x", character.data[len - 1]);
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

        if (character.data[0] == ' ' || character.data[0] == '"' || is_control(character))
            return true;
        at += character.len;
    }
    return text.len == 0;
}

void escape_logfmt(struct writer *to, struct bytes text)
{
    bool quoted = needs_quotes(text);

    if (quoted)
        writer_u8(to, '"');
    for (size_t at = 0; at < text.len;) {
        struct bytes rest = {text.data + at, text.len - at};
        size_t len = utf8_character_length(rest);
        struct bytes character = {rest.data, len == 0 ? 1 : len};
        uint8_t first = character.data[0];

        if (len == 0)
            write_hex(to, character);
        else if (quoted && (first == '"' || first == '\\'))
            writer_format(to, "\\%c", first);
        else if (!is_control(character))
            writer_bytes(to, character);
        else if (!write_named_control(to, first))
            write_hex(to, character);
        at += character.len;
    }
    if (quoted)
        writer_u8(to, '"');
}
