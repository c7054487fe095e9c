/* fold: ASCII here, everything else by libutf8proc, one character at a time. */
#include "admin/fold.h"

#include <string.h>

#include <utf8proc.h>

/* A character folds to at most three characters of four bytes. */
#define FOLDED_MAX 4

static void write_folded_character(struct writer *to, utf8proc_int32_t character)
{
    utf8proc_uint8_t bytes[4];
    utf8proc_ssize_t len = utf8proc_encode_char(character, bytes);
    writer_bytes(to, (struct bytes){bytes, (size_t)len});
}

/* Folds one non-ASCII character, or copies one invalid byte; returns the bytes consumed. */
static size_t fold_character(struct writer *to, struct bytes text)
{
    utf8proc_int32_t character, folded[FOLDED_MAX];
    utf8proc_ssize_t len =
        utf8proc_iterate(text.data, (utf8proc_ssize_t)(text.len < 4 ? text.len : 4), &character);
    int boundary = 0;
    if (len <= 0) {
        writer_u8(to, text.data[0]);
        return 1;
    }
    utf8proc_ssize_t count =
        utf8proc_decompose_char(character, folded, FOLDED_MAX, UTF8PROC_CASEFOLD, &boundary);
    if (count < 0 || count > FOLDED_MAX) {
        writer_bytes(to, (struct bytes){text.data, (size_t)len});
    }
    for (utf8proc_ssize_t i = 0; i < count && count <= FOLDED_MAX; i++) {
        write_folded_character(to, folded[i]);
    }
    return (size_t)len;
}

void fold_write(struct writer *to, struct bytes text)
{
    uint8_t *folded = writer_reserve(to, text.len);
    size_t at = 0;
    for (; at < text.len && text.data[at] < 0x80; at++) {
        uint8_t c = text.data[at];
        folded[at] = c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c;
    }
    if (at == text.len) {
        return;
    }
    to->len -= text.len - at;
    while (at < text.len) {
        uint8_t c = text.data[at];
        if (c < 0x80) {
            writer_u8(to, c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
            at++;
        } else {
            at += fold_character(to, (struct bytes){text.data + at, text.len - at});
        }
    }
}

static bool contains_bytes(struct bytes text, struct bytes wanted)
{
    return wanted.len == 0 ||
           (text.len >= wanted.len && memmem(text.data, text.len, wanted.data, wanted.len));
}

bool fold_contains(struct writer *scratch, struct bytes text, struct bytes wanted)
{
    writer_reset(scratch);
    fold_write(scratch, text);
    return contains_bytes(writer_bytes_written(scratch), wanted);
}

/* The value of the four digits of \uXXXX at the beginning of a text; -1 when they are missing. */
static utf8proc_int32_t read_unit(struct bytes text)
{
    utf8proc_int32_t unit = 0;
    if (text.len < 6 || text.data[0] != '\\' || text.data[1] != 'u') {
        return -1;
    }
    for (size_t i = 2; i < 6; i++) {
        static const char digits[] = "0123456789abcdef";
        const char *digit = memchr(digits, text.data[i] | 0x20, 16);
        if (!digit) {
            return -1;
        }
        unit = unit * 16 + (utf8proc_int32_t)(digit - digits);
    }
    return unit;
}

/* Decodes an escape; returns the bytes consumed. Invalid escapes and lone surrogates are copied. */
static size_t write_unescaped(struct writer *to, struct bytes text)
{
    static const char names[] = "bfnrt", values[] = "\b\f\n\r\t";
    utf8proc_int32_t unit = read_unit(text), low = -1;
    const char *name = text.len > 1 ? memchr(names, text.data[1], sizeof names - 1) : NULL;
    if (unit >= 0xd800 && unit < 0xdc00) {
        low = read_unit((struct bytes){text.data + 6, text.len - 6});
    }
    if (low >= 0xdc00 && low < 0xe000) {
        write_folded_character(to, 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00));
        return 12;
    }
    if (unit >= 0 && (unit < 0xd800 || unit >= 0xe000)) {
        write_folded_character(to, unit);
        return 6;
    }
    if (unit >= 0 || text.len < 2) {
        writer_u8(to, text.data[0]);
        return 1;
    }
    writer_u8(to, name ? (uint8_t)values[name - names] : text.data[1]);
    return 2;
}

bool fold_contains_json(struct writer *scratch, struct bytes json, struct bytes wanted)
{
    const uint8_t *escape;
    size_t plain;
    if (json.len == 0 || !memchr(json.data, '\\', json.len)) {
        return fold_contains(scratch, json, wanted);
    }
    writer_reset(scratch);
    while (json.len > 0 && (escape = memchr(json.data, '\\', json.len))) {
        size_t before = (size_t)(escape - json.data), used;
        writer_bytes(scratch, (struct bytes){json.data, before});
        used = before + write_unescaped(scratch, (struct bytes){escape, json.len - before});
        json.data += used;
        json.len -= used;
    }
    writer_bytes(scratch, json);
    plain = scratch->len;
    /* The source must not be in the writer's own buffer, which may be reallocated. */
    (void)writer_reserve(scratch, 3 * plain);
    scratch->len = plain;
    fold_write(scratch, (struct bytes){scratch->data, plain});
    return contains_bytes((struct bytes){scratch->data + plain, scratch->len - plain}, wanted);
}
