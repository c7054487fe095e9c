/*
 * bytes: borrowed byte ranges, a reading cursor, and a growing writer.
 *
 * The cursor and the writer never fail half-way: they remember the first failure, do nothing
 * after it, and are checked once at the end (cursor_failed, writer_failed).
 * All multi-byte integers are big-endian.
 */
#ifndef BASE_BYTES_H
#define BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A borrowed range; data may be NULL only when len is 0. */
struct bytes {
    const uint8_t *data;
    size_t len;
};

/* The bytes of a C string, without its NUL. The literal form is a constant expression. */
#define BYTES_LITERAL(s) ((struct bytes){(const uint8_t *)("" s), sizeof(s) - 1})
struct bytes bytes_from_string(const char *string);
bool bytes_equal(struct bytes a, struct bytes b);
/* memcmp order, a shorter prefix first: <0, 0, >0. */
int bytes_compare(struct bytes a, struct bytes b);
bool bytes_is_utf8(struct bytes bytes);
/* Takes the next word of a text whose words are separated by single spaces; empty at the end. */
struct bytes bytes_next_word(struct bytes *text);
/* The number that the text begins with: at most 19 decimal digits; 0 when there is none. */
uint64_t bytes_decimal(struct bytes text);
/* Writes the number, without a NUL: at most BYTES_DECIMAL_MAX digits. Returns how many. A tenth of
 * what snprintf takes. */
#define BYTES_DECIMAL_MAX 20
size_t bytes_write_decimal(uint8_t *to, uint64_t number);

/* Reads from a borrowed range. What it returns borrows from the same range. */
struct cursor {
    const uint8_t *at;
    const uint8_t *end;
    bool failed;
};

struct cursor cursor_over(struct bytes bytes);
size_t cursor_left(const struct cursor *cursor);
uint8_t cursor_u8(struct cursor *cursor);
uint16_t cursor_u16(struct cursor *cursor);
uint32_t cursor_u32(struct cursor *cursor);
uint64_t cursor_u64(struct cursor *cursor);
/* The next len bytes; an empty range and failure when fewer are left. */
struct bytes cursor_take(struct cursor *cursor, size_t len);
/* Decimal digits up to the terminator, which is consumed; at most 19 digits. */
uint64_t cursor_decimal(struct cursor *cursor, uint8_t terminator);
/* The bytes up to the terminator, which is consumed and not returned. */
struct bytes cursor_until(struct cursor *cursor, uint8_t terminator);

/*
 * Appends to its own buffer. A zero-initialised writer is empty and unlimited; with a limit
 * (bytes), a write that exceeds it fails. writer_free may be called on any writer, more than once.
 */
struct writer {
    uint8_t *data;
    size_t len;
    size_t capacity;
    size_t limit; /* 0: none */
    bool failed;
};

void writer_u8(struct writer *writer, uint8_t value);
void writer_u16(struct writer *writer, uint16_t value);
void writer_u32(struct writer *writer, uint32_t value);
void writer_u64(struct writer *writer, uint64_t value);
void writer_bytes(struct writer *writer, struct bytes bytes);
void writer_string(struct writer *writer, const char *string);
void writer_format(struct writer *writer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Room for len bytes at the end, counted as written, for the caller to fill; NULL on failure. */
uint8_t *writer_reserve(struct writer *writer, size_t len);
/* What has been written, valid until the next write. */
struct bytes writer_bytes_written(const struct writer *writer);
/* Forgets the contents and the failure, keeps the memory. */
void writer_reset(struct writer *writer);
void writer_free(struct writer *writer);

#endif
