/* lobby_text: see lobby_text.h. */
#include "codec/lobby_text.h"

#include <ctype.h>

/* The code points of ISO 8859-1 are those of Unicode. */
static void write_latin(struct writer *to, uint8_t byte)
{
    if (byte < 0x20 || (byte >= 0x7f && byte < 0xa0)) {
        writer_u8(to, ' ');
    } else if (byte < 0x80) {
        writer_u8(to, byte);
    } else {
        writer_u8(to, (uint8_t)(0xc0 | byte >> 6));
        writer_u8(to, (uint8_t)(0x80 | (byte & 0x3f)));
    }
}

/* One character of the text, or a part of one; returns its length in bytes. */
static size_t write_text_character(struct writer *to, struct bytes text, size_t at, bool utf8)
{
    const uint8_t byte = text.data[at];

    if (!utf8 || byte < 0x80) {
        write_latin(to, byte);
        return 1;
    }
    if (byte == 0xc2 && text.data[at + 1] < 0xa0) { /* U+0080 to U+009F */
        writer_u8(to, ' ');
        return 2;
    }
    writer_u8(to, byte);
    return 1;
}

void lobby_text_write(struct writer *to, struct bytes text)
{
    const bool utf8 = bytes_is_utf8(text);

    for (size_t at = 0; at < text.len;) {
        at += write_text_character(to, text, at, utf8);
    }
}

static bool is_hex(struct bytes text, size_t from, size_t to)
{
    for (size_t at = from; at < to; at++) {
        if (at >= text.len || !isxdigit(text.data[at])) {
            return false;
        }
    }
    return true;
}

/* The length of the colour code that begins here; 0 when there is none. ASCII only, so that no
 * UTF-8 character is cut. */
static size_t colour_length(struct bytes text, size_t at)
{
    uint8_t next;

    if (text.data[at] != '^' || at + 1 >= text.len) {
        return 0;
    }
    next = text.data[at + 1];
    if (next == 'x' && is_hex(text, at + 2, at + 5)) {
        return 5;
    }
    return next < 0x80 && isalnum(next) ? 2 : 0;
}

void lobby_text_write_plain(struct writer *to, struct bytes text)
{
    const bool utf8 = bytes_is_utf8(text);

    for (size_t at = 0; at < text.len;) {
        const size_t colour = colour_length(text, at);

        if (colour > 0) {
            at += colour;
            continue;
        }
        if (text.data[at] == '^' && at + 1 < text.len && text.data[at + 1] == '^') {
            at++;
        }
        at += write_text_character(to, text, at, utf8);
    }
}

/* Of UTF-8: U+0080 to U+00FF have two bytes, the first C2 or C3. */
static bool is_latin(struct bytes text)
{
    if (!bytes_is_utf8(text)) {
        return false;
    }
    for (size_t at = 0; at < text.len; at++) {
        if (text.data[at] > 0xc3) {
            return false;
        }
    }
    return true;
}

void lobby_text_write_latin(struct writer *to, struct bytes text)
{
    if (!is_latin(text)) {
        writer_bytes(to, text);
        return;
    }
    for (size_t at = 0; at < text.len; at++) {
        const uint8_t byte = text.data[at];

        if (byte < 0x80) {
            writer_u8(to, byte);
        } else {
            writer_u8(to, (uint8_t)((byte & 0x03) << 6 | (text.data[++at] & 0x3f)));
        }
    }
}
