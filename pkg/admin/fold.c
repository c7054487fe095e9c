/* fold: ASCII here, everything else by libutf8proc, one character at a time. */
#include "admin/fold.h"

#include <stdlib.h>
#include <string.h>

#include <utf8proc.h>

#include "base/mem.h"

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

/* Appends a piece of the source text of a JSON value, with its escapes decoded. Returns its end. */
static size_t write_unescaped_piece(struct writer *to, struct bytes json, size_t at, size_t end)
{
    while (at < end) {
        const uint8_t *escape = memchr(json.data + at, '\\', end - at);
        size_t plain = (escape ? (size_t)(escape - json.data) : end) - at;
        writer_bytes(to, (struct bytes){json.data + at, plain});
        at += plain;
        if (escape) {
            at += write_unescaped(to, (struct bytes){json.data + at, json.len - at});
        }
    }
    return at;
}

/* The end of the piece that begins at that place: between characters. */
static size_t piece_end(struct bytes text, size_t at)
{
    size_t end = at + FOLD_PIECE;
    if (end >= text.len) {
        return text.len;
    }
    for (size_t back = 0; back < 4; back++) {
        if ((text.data[end - back] & 0xc0) != 0x80) {
            return end - back;
        }
    }
    return end;
}

/* The length of the longest beginning of wanted that ends before each place (Knuth, Morris and
 * Pratt): where to go on when the next byte differs. */
static void find_borders(struct fold_search *search)
{
    const uint8_t *wanted = search->wanted.data;
    size_t len = search->wanted.len, matched = 0;
    search->borders = mem_zalloc(len + 1, sizeof *search->borders);
    for (size_t i = 1; i < len; i++) {
        while (matched > 0 && wanted[i] != wanted[matched]) {
            matched = search->borders[matched];
        }
        matched += wanted[i] == wanted[matched];
        search->borders[i + 1] = (uint32_t)matched;
    }
}

void fold_search_begin(struct fold_search *search, struct bytes text)
{
    *search = (struct fold_search){0};
    fold_write(&search->wanted, text);
    find_borders(search);
}

void fold_search_end(struct fold_search *search)
{
    writer_free(&search->wanted);
    writer_free(&search->plain);
    writer_free(&search->folded);
    free(search->borders);
    search->borders = NULL;
}

void fold_search_restart(struct fold_search *search)
{
    search->matched = 0;
}

static bool match_folded(struct fold_search *search, struct bytes text)
{
    const uint8_t *wanted = search->wanted.data;
    size_t matched = search->matched;
    for (size_t i = 0; i < text.len && matched < search->wanted.len; i++) {
        if (matched == 0) {
            const uint8_t *first = memchr(text.data + i, wanted[0], text.len - i);
            if (!first) {
                break;
            }
            i = (size_t)(first - text.data);
        }
        while (matched > 0 && text.data[i] != wanted[matched]) {
            matched = search->borders[matched];
        }
        matched += text.data[i] == wanted[matched];
    }
    search->matched = matched;
    return matched == search->wanted.len;
}

bool fold_search_piece(struct fold_search *search, struct bytes text, bool is_json, size_t *at)
{
    size_t begin = *at < text.len ? *at : text.len;
    size_t end = piece_end(text, begin);
    struct bytes piece = {text.data + begin, end - begin};
    if (search->wanted.len == 0) {
        *at = end;
        return true;
    }
    if (is_json) {
        writer_reset(&search->plain);
        end = write_unescaped_piece(&search->plain, text, begin, end);
        piece = writer_bytes_written(&search->plain);
    }
    writer_reset(&search->folded);
    fold_write(&search->folded, piece);
    *at = end;
    return match_folded(search, writer_bytes_written(&search->folded));
}
