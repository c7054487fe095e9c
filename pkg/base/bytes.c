/* bytes: see the header for the contract; the writer doubles its memory as it grows. */
#include "base/bytes.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/utf8_private.h"

#define WRITER_FIRST_CAPACITY 64
#define DECIMAL_MAX_DIGITS    19

struct bytes bytes_from_string(const char *string)
{
    return (struct bytes){(const uint8_t *)string, strlen(string)};
}

bool bytes_equal(struct bytes a, struct bytes b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

int bytes_compare(struct bytes a, struct bytes b)
{
    size_t common = a.len < b.len ? a.len : b.len;
    int order = common == 0 ? 0 : memcmp(a.data, b.data, common);

    if (order != 0) {
        return order;
    }
    return (a.len > b.len) - (a.len < b.len);
}

size_t utf8_character_length(struct bytes text)
{
    const uint8_t *at = text.data;
    uint8_t low = 0x80, high = 0xbf;
    size_t len;

    if (text.len == 0) {
        return 0;
    }
    if (at[0] < 0x80) {
        return 1;
    }
    if (at[0] < 0xc2 || at[0] > 0xf4) {
        return 0;
    }
    len = at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : 4;
    if (text.len < len) {
        return 0;
    }
    /* The range of the second byte excludes overlong forms, surrogates and values above U+10FFFF.
     */
    if (at[0] == 0xe0) {
        low = 0xa0;
    } else if (at[0] == 0xed) {
        high = 0x9f;
    } else if (at[0] == 0xf0) {
        low = 0x90;
    } else if (at[0] == 0xf4) {
        high = 0x8f;
    }
    if (at[1] < low || at[1] > high) {
        return 0;
    }
    for (size_t i = 2; i < len; i++) {
        if ((at[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    return len;
}

/* How many of the first bytes are ASCII, in steps of eight. */
static size_t skip_ascii_words(struct bytes bytes, size_t at)
{
    while (bytes.len - at >= sizeof(uint64_t)) {
        uint64_t word;

        memcpy(&word, bytes.data + at, sizeof word);
        if ((word & UINT64_C(0x8080808080808080)) != 0) {
            break;
        }
        at += sizeof word;
    }
    return at;
}

bool bytes_is_utf8(struct bytes bytes)
{
    size_t at = 0;

    while (at < bytes.len) {
        size_t len;

        at = skip_ascii_words(bytes, at);
        if (at == bytes.len) {
            break;
        }
        len = utf8_character_length((struct bytes){bytes.data + at, bytes.len - at});
        if (len == 0) {
            return false;
        }
        at += len;
    }
    return true;
}

struct bytes bytes_next_word(struct bytes *text)
{
    const uint8_t *space = text->len ? memchr(text->data, ' ', text->len) : NULL;
    size_t len = space ? (size_t)(space - text->data) : text->len;
    struct bytes word = {text->data, len};
    size_t skip = len < text->len ? len + 1 : len;
    text->data += skip;
    text->len -= skip;
    return word;
}

uint64_t bytes_decimal(struct bytes text)
{
    uint64_t number = 0;
    for (size_t i = 0; i < text.len && i < 19; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            break;
        }
        number = number * 10 + (uint64_t)(text.data[i] - '0');
    }
    return number;
}

size_t bytes_write_decimal(uint8_t *to, uint64_t number)
{
    uint8_t digits[BYTES_DECIMAL_MAX];
    size_t first = sizeof digits;
    do {
        digits[--first] = (uint8_t)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    memcpy(to, digits + first, sizeof digits - first);
    return sizeof digits - first;
}

struct cursor cursor_over(struct bytes bytes)
{
    struct cursor cursor = {.at = bytes.data};

    /* NULL + 0 is not defined in C. */
    cursor.end = bytes.len == 0 ? bytes.data : bytes.data + bytes.len;
    return cursor;
}

size_t cursor_left(const struct cursor *cursor)
{
    return cursor->failed ? 0 : (size_t)(cursor->end - cursor->at);
}

struct bytes cursor_take(struct cursor *cursor, size_t len)
{
    struct bytes taken = {0};

    if (len > cursor_left(cursor)) {
        cursor->failed = true;
    }
    if (cursor->failed || len == 0) {
        return taken;
    }
    taken.data = cursor->at;
    taken.len = len;
    cursor->at += len;
    return taken;
}

static uint64_t take_integer(struct cursor *cursor, size_t size)
{
    struct bytes bytes = cursor_take(cursor, size);
    uint64_t value = 0;

    for (size_t i = 0; i < bytes.len; i++) {
        value = value << 8 | bytes.data[i];
    }
    return value;
}

uint8_t cursor_u8(struct cursor *cursor)
{
    return (uint8_t)take_integer(cursor, 1);
}

uint16_t cursor_u16(struct cursor *cursor)
{
    return (uint16_t)take_integer(cursor, 2);
}

uint32_t cursor_u32(struct cursor *cursor)
{
    return (uint32_t)take_integer(cursor, 4);
}

uint64_t cursor_u64(struct cursor *cursor)
{
    return take_integer(cursor, 8);
}

struct bytes cursor_until(struct cursor *cursor, uint8_t terminator)
{
    size_t left = cursor_left(cursor);
    const uint8_t *end = left == 0 ? NULL : memchr(cursor->at, terminator, left);
    struct bytes bytes = {0};

    if (!end) {
        cursor->failed = true;
        return bytes;
    }
    bytes.data = cursor->at;
    bytes.len = (size_t)(end - cursor->at);
    cursor->at = end + 1;
    return bytes;
}

uint64_t cursor_decimal(struct cursor *cursor, uint8_t terminator)
{
    size_t left = cursor_left(cursor), digits = 0;
    uint64_t value = 0;

    while (digits < left && digits < DECIMAL_MAX_DIGITS && cursor->at[digits] >= '0' &&
           cursor->at[digits] <= '9') {
        value = value * 10 + (cursor->at[digits++] - '0');
    }
    if (digits == 0 || digits == left || cursor->at[digits] != terminator) {
        cursor->failed = true;
        return 0;
    }
    cursor->at += digits + 1;
    return value;
}

/* Makes room for len more bytes, or records the failure. */
static bool writer_make_room(struct writer *writer, size_t len)
{
    size_t limit = writer->limit == 0 ? SIZE_MAX / 2 : writer->limit;
    size_t capacity = writer->capacity == 0 ? WRITER_FIRST_CAPACITY : writer->capacity;

    if (writer->failed || writer->len > limit || len > limit - writer->len) {
        writer->failed = true;
        return false;
    }
    if (writer->data && len <= writer->capacity - writer->len) {
        return true;
    }
    while (capacity < writer->len + len) {
        capacity *= 2;
    }
    writer->data = mem_realloc(writer->data, capacity);
    writer->capacity = capacity;
    return true;
}

uint8_t *writer_reserve(struct writer *writer, size_t len)
{
    uint8_t *at;

    if (!writer_make_room(writer, len)) {
        return NULL;
    }
    at = writer->data + writer->len;
    writer->len += len;
    return at;
}

static void write_integer(struct writer *writer, uint64_t value, size_t size)
{
    uint8_t *at = writer_reserve(writer, size);

    if (!at) {
        return;
    }
    for (size_t i = size; i-- > 0; value >>= 8) {
        at[i] = (uint8_t)value;
    }
}

void writer_u8(struct writer *writer, uint8_t value)
{
    write_integer(writer, value, 1);
}

void writer_u16(struct writer *writer, uint16_t value)
{
    write_integer(writer, value, 2);
}

void writer_u32(struct writer *writer, uint32_t value)
{
    write_integer(writer, value, 4);
}

void writer_u64(struct writer *writer, uint64_t value)
{
    write_integer(writer, value, 8);
}

void writer_bytes(struct writer *writer, struct bytes bytes)
{
    uint8_t *at = writer_reserve(writer, bytes.len);

    if (at && bytes.len > 0) {
        memcpy(at, bytes.data, bytes.len);
    }
}

void writer_string(struct writer *writer, const char *string)
{
    writer_bytes(writer, bytes_from_string(string));
}

/* Formats into a buffer first: vsnprintf writes a NUL, which could exceed the limit. */
void writer_format(struct writer *writer, const char *format, ...)
{
    char small[128];
    va_list arguments;
    uint8_t *at;
    char *text;
    int len;

    if (writer->failed) {
        return;
    }
    va_start(arguments, format);
    len = vsnprintf(small, sizeof small, format, arguments);
    va_end(arguments);
    if (len < 0) {
        writer->failed = true;
        return;
    }
    at = writer_reserve(writer, (size_t)len);
    if (!at) {
        return;
    }
    if ((size_t)len < sizeof small) {
        memcpy(at, small, (size_t)len);
        return;
    }
    text = mem_alloc((size_t)len + 1);
    va_start(arguments, format);
    (void)vsnprintf(text, (size_t)len + 1, format, arguments);
    va_end(arguments);
    memcpy(at, text, (size_t)len);
    free(text);
}

struct bytes writer_bytes_written(const struct writer *writer)
{
    return (struct bytes){writer->data, writer->len};
}

void writer_reset(struct writer *writer)
{
    writer->len = 0;
    writer->failed = false;
}

void writer_free(struct writer *writer)
{
    free(writer->data);
    writer->data = NULL;
    writer->len = writer->capacity = 0;
    writer->failed = false;
}
