/*
 * What the tests of the Tracker codec share. Input is copied to memory of its exact size: a
 * sanitizer sees each byte read too many.
 */
#ifndef TESTS_CODEC_TRACKER_CASE_H
#define TESTS_CODEC_TRACKER_CASE_H

#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "codec/tracker.h"

#define B(s)     BYTES_LITERAL(s)
#define COUNT(a) (sizeof(a) / sizeof *(a))
#define ORDINARY                                                                                   \
    {                                                                                              \
        .limits = {.max_state = 65536, .max_id = 255}, .original = TRACKER_2013                    \
    }
#define FOR_2014                                                                                   \
    {                                                                                              \
        .limits = {.max_state = 65536, .max_id = 255}, .original = TRACKER_2014                    \
    }
#define SMALL                                                                                      \
    {                                                                                              \
        .limits = {.max_state = 9, .max_id = 7}, .original = TRACKER_2013                          \
    }
#define FORM(f)                                                                                    \
    {                                                                                              \
        .limits = {.max_state = 255, .max_id = 255}, .update_form = (f)                            \
    }
#define WIDE(f)                                                                                    \
    {                                                                                              \
        .limits = {.max_state = 255, .max_id = 255}, .original = TRACKER_2013, .wide = true,       \
        .update_form = (f)                                                                         \
    }
#define ZEROES(n) "\0\0\0\0\0\0\0" n

static inline void assert_bytes(const char *name, struct bytes actual, struct bytes expected)
{
    if (!bytes_equal(actual, expected)) {
        fail_msg("%s: %zu bytes, not the %zu expected", name, actual.len, expected.len);
    }
}

/* tracker_read of the first len bytes of input, in memory that the caller frees: *memory. */
static inline struct tracker_result read_first(const struct tracker_options *options,
                                               struct bytes input, size_t len,
                                               enum tracker_dialect *dialect,
                                               struct tracker_message *message, void **memory)
{
    *memory = mem_alloc(len + 1);
    uint8_t *exact = (uint8_t *)*memory + 1;
    for (size_t i = 0; i < len; i++) {
        exact[i] = input.data[i];
    }
    return tracker_read((struct bytes){exact, len}, options, dialect, message);
}

/* Compares and empties. */
static inline void assert_written(struct writer *writer, struct bytes expected)
{
    assert_false(writer->failed);
    assert_bytes("written", writer_bytes_written(writer), expected);
    writer_reset(writer);
}

#endif
