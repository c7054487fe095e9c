/*
 * The Tracker codec reading what is wrong. Each input is fed at every length, so that an error
 * comes with the first byte that shows it and not one later.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "codec/tracker_case.h"

struct bad {
    const char *name;
    struct tracker_options options;
    enum tracker_dialect before;
    enum tracker_error error;
    struct bytes input; /* the last byte is the first that shows the error */
};

static const struct bad bad[] = {
    {"no magic", ORDINARY, TRACKER_UNKNOWN, TRACKER_ERROR_MAGIC, B("G")},
    {"no acknowledgement before a push", ORDINARY, TRACKER_UNKNOWN, TRACKER_ERROR_MAGIC, B("\x01")},
    {"versioned: original magic", ORDINARY, TRACKER_VERSIONED, TRACKER_ERROR_MAGIC, B("\x42")},
    {"versioned: a refusal is no answer", ORDINARY, TRACKER_VERSIONED, TRACKER_ERROR_MAGIC,
     B("\x01\x00")},
    {"plain: original magic", ORDINARY, TRACKER_PLAIN, TRACKER_ERROR_MAGIC, B("\x42")},
    {"plain: acknowledgement", ORDINARY, TRACKER_PLAIN, TRACKER_ERROR_MAGIC, B("\x01")},
    {"wide: original magic", WIDE(TRACKER_FORM_AUTO), TRACKER_WIDE, TRACKER_ERROR_MAGIC, B("\x42")},
    {"wide: type 4", WIDE(TRACKER_FORM_AUTO), TRACKER_UNKNOWN, TRACKER_ERROR_TYPE, B("\x2a\x04")},
    {"wide: Open, -1", WIDE(TRACKER_FORM_AUTO), TRACKER_UNKNOWN, TRACKER_ERROR_LENGTH,
     B("\x2a\x00\xff\xff\xff\xff\xff\xff\xff\xff")},
    {"wide: Open over the limit", WIDE(TRACKER_FORM_AUTO), TRACKER_UNKNOWN, TRACKER_ERROR_LIMIT,
     B("\x2a\x00\0\0\0\0\0\0\1\0")},
    {"wide: Update, -1", WIDE(TRACKER_FORM_AUTO), TRACKER_UNKNOWN, TRACKER_ERROR_LENGTH,
     B("\x2a\x02\xff\xff\xff\xff\xff\xff\xff\xff")},
    {"wide: Update over the limit in either form", WIDE(TRACKER_FORM_AUTO), TRACKER_UNKNOWN,
     TRACKER_ERROR_LIMIT, B("\x2a\x02\0\0\0\0\0\0\1\x08")},
    {"wide: Update over the limit without outer length", WIDE(TRACKER_FORM_AUTO), TRACKER_UNKNOWN,
     TRACKER_ERROR_LIMIT, B("\x2a\x02\0\0\0\0\0\0\1\0stateful")},
    {"wide: outer Update, length 7", WIDE(TRACKER_FORM_OUTER), TRACKER_UNKNOWN,
     TRACKER_ERROR_LENGTH, B("\x2a\x02" ZEROES("\x07"))},
    {"wide: outer Update, another inner length", WIDE(TRACKER_FORM_OUTER), TRACKER_UNKNOWN,
     TRACKER_ERROR_LENGTH, B("\x2a\x02" ZEROES("\x0b") ZEROES("\x02"))},
    {"2013: document magic", ORDINARY, TRACKER_2013, TRACKER_ERROR_MAGIC, B("\x2a")},
    {"2014: document magic", FOR_2014, TRACKER_2014, TRACKER_ERROR_MAGIC, B("\x2a")},

    {"document: no version, no type", ORDINARY, TRACKER_UNKNOWN, TRACKER_ERROR_VERSION,
     B("\x2a\x04")},
    {"versioned: version 0", ORDINARY, TRACKER_VERSIONED, TRACKER_ERROR_VERSION, B("\x2a\x00")},
    {"versioned: version 2", ORDINARY, TRACKER_VERSIONED, TRACKER_ERROR_VERSION, B("\x2a\x02")},
    {"original: version 0", ORDINARY, TRACKER_UNKNOWN, TRACKER_ERROR_VERSION, B("\x42\x00")},
    {"2013: version 2", ORDINARY, TRACKER_2013, TRACKER_ERROR_VERSION, B("\x42\x02")},

    {"versioned: type 3", ORDINARY, TRACKER_UNKNOWN, TRACKER_ERROR_TYPE, B("\x2a\x01\x03")},
    {"versioned: type 4", ORDINARY, TRACKER_VERSIONED, TRACKER_ERROR_TYPE, B("\x2a\x01\x04")},
    {"versioned: a magic number as type", ORDINARY, TRACKER_VERSIONED, TRACKER_ERROR_TYPE,
     B("\x2a\x01\x2a")},
    {"versioned: another magic number as type", ORDINARY, TRACKER_UNKNOWN, TRACKER_ERROR_TYPE,
     B("\x2a\x01\x42")},
    {"plain: type 4", ORDINARY, TRACKER_PLAIN, TRACKER_ERROR_TYPE, B("\x2a\x04")},
    {"2013: type 4", ORDINARY, TRACKER_UNKNOWN, TRACKER_ERROR_TYPE, B("\x42\x01\x04")},
    {"2014: type 255", FOR_2014, TRACKER_2014, TRACKER_ERROR_TYPE, B("\x42\x01\xff")},

    {"versioned: Open, length 0", ORDINARY, TRACKER_UNKNOWN, TRACKER_ERROR_LENGTH,
     B("\x2a\x01\x00\x00")},
    {"versioned: Open, inner too long", ORDINARY, TRACKER_UNKNOWN, TRACKER_ERROR_LENGTH,
     B("\x2a\x01\x00\x09\x09")},
    {"versioned: Open, inner too short", ORDINARY, TRACKER_UNKNOWN, TRACKER_ERROR_LENGTH,
     B("\x2a\x01\x00\x0c\x09")},
    {"versioned: Close, length 0", ORDINARY, TRACKER_UNKNOWN, TRACKER_ERROR_LENGTH,
     B("\x2a\x01\x01\x00")},
    {"versioned: Close, an empty id", ORDINARY, TRACKER_UNKNOWN, TRACKER_ERROR_LENGTH,
     B("\x2a\x01\x01\x01")},
    {"versioned: Close, inner too long", ORDINARY, TRACKER_UNKNOWN, TRACKER_ERROR_LENGTH,
     B("\x2a\x01\x01\x08\x08")},
    {"versioned: Close, inner too short", ORDINARY, TRACKER_UNKNOWN, TRACKER_ERROR_LENGTH,
     B("\x2a\x01\x01\x09\x07")},
    {"versioned: Update, length 0", ORDINARY, TRACKER_UNKNOWN, TRACKER_ERROR_LENGTH,
     B("\x2a\x01\x02\x00")},
    {"versioned: Update, too short", ORDINARY, TRACKER_UNKNOWN, TRACKER_ERROR_LENGTH,
     B("\x2a\x01\x02\x03")},
    {"versioned: Update, an empty id", ORDINARY, TRACKER_UNKNOWN, TRACKER_ERROR_LENGTH,
     B("\x2a\x01\x02\x04\x01\x00")},
    {"versioned: Update, id past the end", ORDINARY, TRACKER_UNKNOWN, TRACKER_ERROR_LENGTH,
     B("\x2a\x01\x02\x05\x01\x03")},
    {"versioned: Update, state too long", ORDINARY, TRACKER_UNKNOWN, TRACKER_ERROR_LENGTH,
     B("\x2a\x01\x02\x05\x01\x01i\x02")},
    {"versioned: Update, something after the state", ORDINARY, TRACKER_UNKNOWN,
     TRACKER_ERROR_LENGTH, B("\x2a\x01\x02\x14\x02\x07someId1\x09")},
    {"plain: outer Update, length 0", FORM(TRACKER_FORM_OUTER), TRACKER_UNKNOWN,
     TRACKER_ERROR_LENGTH, B("\x2a\x02\x00")},
    {"plain: outer Update, another inner length", FORM(TRACKER_FORM_OUTER), TRACKER_UNKNOWN,
     TRACKER_ERROR_LENGTH, B("\x2a\x02\x03\x03")},
    {"2013: Open, -1", ORDINARY, TRACKER_UNKNOWN, TRACKER_ERROR_LENGTH,
     B("\x42\x01\x00\xff\xff\xff\xff\xff\xff\xff\xff")},
    {"2013: Close, INT64_MIN", ORDINARY, TRACKER_UNKNOWN, TRACKER_ERROR_LENGTH,
     B("\x42\x01\x01\x80\0\0\0\0\0\0\0")},
    {"2013: Close, an empty id", ORDINARY, TRACKER_UNKNOWN, TRACKER_ERROR_LENGTH,
     B("\x42\x01\x01" ZEROES("\0"))},
    {"2013: Update, negative payload", ORDINARY, TRACKER_UNKNOWN, TRACKER_ERROR_LENGTH,
     B("\x42\x01\x02\xff\xff\xff\xff\xff\xff\xff\xe8")},
    {"2013: Update, payload too short", ORDINARY, TRACKER_UNKNOWN, TRACKER_ERROR_LENGTH,
     B("\x42\x01\x02" ZEROES("\x18"))},
    {"2013: Update, negative version", ORDINARY, TRACKER_UNKNOWN, TRACKER_ERROR_LENGTH,
     B("\x42\x01\x02" ZEROES("\x28") "\xff\0\0\0\0\0\0\0")},
    {"2013: Update, negative id length", ORDINARY, TRACKER_UNKNOWN, TRACKER_ERROR_LENGTH,
     B("\x42\x01\x02" ZEROES("\x28") ZEROES("\x02") "\x80\0\0\0\0\0\0\x07")},
    {"2013: Update, an empty id", ORDINARY, TRACKER_UNKNOWN, TRACKER_ERROR_LENGTH,
     B("\x42\x01\x02" ZEROES("\x28") ZEROES("\x02") ZEROES("\0"))},
    {"2013: Update, a huge id", ORDINARY, TRACKER_UNKNOWN, TRACKER_ERROR_LENGTH,
     B("\x42\x01\x02" ZEROES("\x28") ZEROES("\x02") "\x7f\xff\xff\xff\xff\xff\xff\xff")},
    {"2013: Update, negative state length", ORDINARY, TRACKER_UNKNOWN, TRACKER_ERROR_LENGTH,
     B("\x42\x01\x02" ZEROES("\x19") ZEROES("\x02")
           ZEROES("\x01") "i"
                          "\xff\xff\xff\xff\xff\xff\xff\xff")},
    {"2013: Update, another state length", ORDINARY, TRACKER_UNKNOWN, TRACKER_ERROR_LENGTH,
     B("\x42\x01\x02" ZEROES("\x1a") ZEROES("\x02") ZEROES("\x01") "i" ZEROES("\x02"))},
    {"2014: Update, negative", FOR_2014, TRACKER_UNKNOWN, TRACKER_ERROR_LENGTH,
     B("\x42\x01\x02\x80\0\0\0\0\0\0\x01")},

    {"versioned: Open, outer over the limit", SMALL, TRACKER_UNKNOWN, TRACKER_ERROR_LIMIT,
     B("\x2a\x01\x00\x0c")},
    {"versioned: Open, inner over the limit", SMALL, TRACKER_UNKNOWN, TRACKER_ERROR_LIMIT,
     B("\x2a\x01\x00\x0b\x0a")},
    {"versioned: Close, id over the limit", SMALL, TRACKER_UNKNOWN, TRACKER_ERROR_LIMIT,
     B("\x2a\x01\x01\x09")},
    {"versioned: Update over both limits", SMALL, TRACKER_UNKNOWN, TRACKER_ERROR_LIMIT,
     B("\x2a\x01\x02\x14")},
    {"versioned: Update, id over the limit", SMALL, TRACKER_UNKNOWN, TRACKER_ERROR_LIMIT,
     B("\x2a\x01\x02\x13\x01\x08")},
    {"versioned: Update, state over the limit", SMALL, TRACKER_UNKNOWN, TRACKER_ERROR_LIMIT,
     B("\x2a\x01\x02\x13\x01\x06")},
    {"plain: Open over the limit", SMALL, TRACKER_UNKNOWN, TRACKER_ERROR_LIMIT, B("\x2a\x00\x0a")},
    {"plain: Update over the limit in either form", SMALL, TRACKER_UNKNOWN, TRACKER_ERROR_LIMIT,
     B("\x2a\x02\x0b")},
    {"plain: Update over the limit in one form", SMALL, TRACKER_UNKNOWN, TRACKER_ERROR_LIMIT,
     B("\x2a\x02\x0ay")},
    {"2013: Open over the limit", SMALL, TRACKER_UNKNOWN, TRACKER_ERROR_LIMIT,
     B("\x42\x01\x00" ZEROES("\x0a"))},
    {"2013: Open, huge", ORDINARY, TRACKER_UNKNOWN, TRACKER_ERROR_LIMIT,
     B("\x42\x01\x00\x7f\xff\xff\xff\xff\xff\xff\xff")},
    {"2013: Open, one over 64 KiB", ORDINARY, TRACKER_UNKNOWN, TRACKER_ERROR_LIMIT,
     B("\x42\x01\x00\0\0\0\0\0\x01\0\x01")},
    {"2013: Close, huge", ORDINARY, TRACKER_UNKNOWN, TRACKER_ERROR_LIMIT,
     B("\x42\x01\x01\x7f\xff\xff\xff\xff\xff\xff\xff")},
    {"2013: Update, huge", ORDINARY, TRACKER_UNKNOWN, TRACKER_ERROR_LIMIT,
     B("\x42\x01\x02\x7f\xff\xff\xff\xff\xff\xff\xff")},
    {"2013: Update, id over the limit", SMALL, TRACKER_UNKNOWN, TRACKER_ERROR_LIMIT,
     B("\x42\x01\x02" ZEROES("\x28") ZEROES("\x02") ZEROES("\x08"))},
    {"2013: Update, state over the limit", SMALL, TRACKER_UNKNOWN, TRACKER_ERROR_LIMIT,
     B("\x42\x01\x02" ZEROES("\x28") ZEROES("\x02") ZEROES("\x06"))},
    {"2014: Update, huge", FOR_2014, TRACKER_UNKNOWN, TRACKER_ERROR_LIMIT,
     B("\x42\x01\x02\x01\0\0\0\0\0\0\0")},
};

static void test_bad_at_the_first_byte_that_shows_it(void **state)
{
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct writer longer = {0};
        writer_bytes(&longer, bad[i].input);
        writer_string(&longer, "and something after it");
        for (size_t len = 0; len <= longer.len; len++) {
            struct tracker_message message = {.type = 77};
            enum tracker_dialect dialect = bad[i].before;
            void *memory;
            const struct tracker_result result = read_first(
                &bad[i].options, writer_bytes_written(&longer), len, &dialect, &message, &memory);
            const bool shown = len >= bad[i].input.len;
            if (result.outcome != (shown ? TRACKER_FAILED : TRACKER_MORE) ||
                result.error != (shown ? bad[i].error : TRACKER_ERROR_NONE) ||
                (result.reason != NULL) != shown) {
                fail_msg("%s: outcome %d, error %d at byte %zu", bad[i].name, result.outcome,
                         result.error, len);
            }
            assert_int_equal(dialect, bad[i].before);
            assert_int_equal(message.type, 77);
            if (shown) {
                assert_int_equal(result.consumed, 0);
            }
            free(memory);
        }
        writer_free(&longer);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad_at_the_first_byte_that_shows_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
