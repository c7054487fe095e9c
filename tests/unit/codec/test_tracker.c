/*
 * The Tracker codec reading what clients send: the documents' example packets and every message
 * of every dialect, whole, cut at every byte, and with another message behind it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "codec/tracker_case.h"

struct good {
    const char *name;
    struct tracker_options options;
    enum tracker_dialect before, after;
    struct bytes input;
    struct tracker_message expected;
};

static const struct good good[] = {
    /* The versioned document's example packets, "42" being decimal. */
    {"versioned: Open, the document's length 11",
     ORDINARY,
     TRACKER_UNKNOWN,
     TRACKER_VERSIONED,
     B("\x2a\x01\x00\x0b\x09theState1"),
     {TRACKER_OPEN, .state = B("theState1")}},
    {"versioned: Open, length 10",
     ORDINARY,
     TRACKER_UNKNOWN,
     TRACKER_VERSIONED,
     B("\x2a\x01\x00\x0a\x09theState1"),
     {TRACKER_OPEN, .state = B("theState1")}},
    {"versioned: Close",
     ORDINARY,
     TRACKER_UNKNOWN,
     TRACKER_VERSIONED,
     B("\x2a\x01\x01\x08\x07someId1"),
     {TRACKER_CLOSE, .id = B("someId1")}},
    {"versioned: Update one",
     ORDINARY,
     TRACKER_UNKNOWN,
     TRACKER_VERSIONED,
     B("\x2a\x01\x02\x13\x02\x07someId1\x09theState1"),
     {TRACKER_UPDATE, B("someId1"), B("theState1"), true, 2}},

    {"versioned: again, settled",
     ORDINARY,
     TRACKER_VERSIONED,
     TRACKER_VERSIONED,
     B("\x2a\x01\x00\x0a\x09theState1"),
     {TRACKER_OPEN, .state = B("theState1")}},
    {"versioned: after answers to pushes",
     ORDINARY,
     TRACKER_VERSIONED,
     TRACKER_VERSIONED,
     B("\x01\x01\x01\x2a\x01\x01\x08\x07someId1"),
     {TRACKER_CLOSE, .id = B("someId1")}},
    {"versioned: empty state",
     ORDINARY,
     TRACKER_UNKNOWN,
     TRACKER_VERSIONED,
     B("\x2a\x01\x00\x01\x00"),
     {TRACKER_OPEN, .state = B("")}},
    {"versioned: empty state, length one too many",
     ORDINARY,
     TRACKER_UNKNOWN,
     TRACKER_VERSIONED,
     B("\x2a\x01\x00\x02\x00"),
     {TRACKER_OPEN, .state = B("")}},
    {"versioned: update to nothing, version 255",
     ORDINARY,
     TRACKER_UNKNOWN,
     TRACKER_VERSIONED,
     B("\x2a\x01\x02\x04\xff\x01i\x00"),
     {TRACKER_UPDATE, B("i"), B(""), true, 255}},
    {"versioned: any bytes",
     ORDINARY,
     TRACKER_UNKNOWN,
     TRACKER_VERSIONED,
     B("\x2a\x01\x02\x08\x00\x02\x00\xff\x03\x2a\x01\x00"),
     {TRACKER_UPDATE, B("\x00\xff"), B("\x2a\x01\x00"), true, 0}},
    {"versioned: at the limits",
     SMALL,
     TRACKER_UNKNOWN,
     TRACKER_VERSIONED,
     B("\x2a\x01\x02\x13\x02\x07someId1\x09theState1"),
     {TRACKER_UPDATE, B("someId1"), B("theState1"), true, 2}},

    /* The plain document's example packets, in its decimal numbers. */
    {"plain: Open",
     ORDINARY,
     TRACKER_UNKNOWN,
     TRACKER_PLAIN,
     B("\52\0\3\141\142\143"),
     {TRACKER_OPEN, .state = B("abc")}},
    {"plain: Close", ORDINARY, TRACKER_PLAIN, TRACKER_PLAIN, B("\52\1"), {.type = TRACKER_CLOSE}},
    {"plain: Update",
     ORDINARY,
     TRACKER_UNKNOWN,
     TRACKER_PLAIN,
     B("\52\2\4\3\141\142\143"),
     {TRACKER_UPDATE, .state = B("abc")}},
    {"plain: Get", ORDINARY, TRACKER_UNKNOWN, TRACKER_PLAIN, B("\52\3"), {.type = TRACKER_ALL}},

    {"plain: empty state",
     ORDINARY,
     TRACKER_UNKNOWN,
     TRACKER_PLAIN,
     B("\x2a\x00\x00"),
     {TRACKER_OPEN, .state = B("")}},
    {"plain: Update without outer length",
     ORDINARY,
     TRACKER_UNKNOWN,
     TRACKER_PLAIN,
     B("\x2a\x02\x03xyz"),
     {TRACKER_UPDATE, .state = B("xyz")}},
    {"plain: Update to nothing",
     ORDINARY,
     TRACKER_UNKNOWN,
     TRACKER_PLAIN,
     B("\x2a\x02\x00"),
     {TRACKER_UPDATE, .state = B("")}},
    {"plain: Update to nothing with outer length",
     ORDINARY,
     TRACKER_UNKNOWN,
     TRACKER_PLAIN,
     B("\x2a\x02\x01\x00"),
     {TRACKER_UPDATE, .state = B("")}},
    {"plain: one byte that is no inner length",
     ORDINARY,
     TRACKER_UNKNOWN,
     TRACKER_PLAIN,
     B("\x2a\x02\x01z"),
     {TRACKER_UPDATE, .state = B("z")}},
    {"plain: a state that looks framed, form plain",
     FORM(TRACKER_FORM_PLAIN),
     TRACKER_UNKNOWN,
     TRACKER_PLAIN,
     B("\x2a\x02\x03\x02gh"),
     {TRACKER_UPDATE, .state = B("\x02gh")}},
    {"plain: a state that looks framed, form auto",
     FORM(TRACKER_FORM_AUTO),
     TRACKER_UNKNOWN,
     TRACKER_PLAIN,
     B("\x2a\x02\x03\x02gh"),
     {TRACKER_UPDATE, .state = B("gh")}},
    {"plain: form outer",
     FORM(TRACKER_FORM_OUTER),
     TRACKER_UNKNOWN,
     TRACKER_PLAIN,
     B("\x2a\x02\x03\x02gh"),
     {TRACKER_UPDATE, .state = B("gh")}},

    /* The same with eight-byte lengths, as the plain document's text has them. */
    {"wide: Open",
     WIDE(TRACKER_FORM_AUTO),
     TRACKER_UNKNOWN,
     TRACKER_WIDE,
     B("\52\0" ZEROES("\3") "\141\142\143"),
     {TRACKER_OPEN, .state = B("abc")}},
    {"wide: Close, the first message too",
     WIDE(TRACKER_FORM_AUTO),
     TRACKER_UNKNOWN,
     TRACKER_WIDE,
     B("\52\1"),
     {.type = TRACKER_CLOSE}},
    {"wide: Update",
     WIDE(TRACKER_FORM_AUTO),
     TRACKER_UNKNOWN,
     TRACKER_WIDE,
     B("\52\2" ZEROES("\13") ZEROES("\3") "\141\142\143"),
     {TRACKER_UPDATE, .state = B("abc")}},
    {"wide: Get",
     WIDE(TRACKER_FORM_AUTO),
     TRACKER_UNKNOWN,
     TRACKER_WIDE,
     B("\52\3"),
     {.type = TRACKER_ALL}},
    {"wide: again, settled",
     WIDE(TRACKER_FORM_AUTO),
     TRACKER_WIDE,
     TRACKER_WIDE,
     B("\x2a\x00" ZEROES("\x03") "abc"),
     {TRACKER_OPEN, .state = B("abc")}},
    {"wide: empty state",
     WIDE(TRACKER_FORM_AUTO),
     TRACKER_UNKNOWN,
     TRACKER_WIDE,
     B("\x2a\x00" ZEROES("\x00")),
     {TRACKER_OPEN, .state = B("")}},
    {"wide: Update to nothing",
     WIDE(TRACKER_FORM_AUTO),
     TRACKER_UNKNOWN,
     TRACKER_WIDE,
     B("\x2a\x02" ZEROES("\x00")),
     {TRACKER_UPDATE, .state = B("")}},
    {"wide: Update to nothing with outer length",
     WIDE(TRACKER_FORM_AUTO),
     TRACKER_UNKNOWN,
     TRACKER_WIDE,
     B("\x2a\x02" ZEROES("\x08") ZEROES("\x00")),
     {TRACKER_UPDATE, .state = B("")}},
    {"wide: Update without outer length",
     WIDE(TRACKER_FORM_AUTO),
     TRACKER_UNKNOWN,
     TRACKER_WIDE,
     B("\x2a\x02" ZEROES("\x03") "xyz"),
     {TRACKER_UPDATE, .state = B("xyz")}},
    {"wide: Update of eight bytes without outer length",
     WIDE(TRACKER_FORM_AUTO),
     TRACKER_UNKNOWN,
     TRACKER_WIDE,
     B("\x2a\x02" ZEROES("\x08") "stateful"),
     {TRACKER_UPDATE, .state = B("stateful")}},
    {"wide: content that would be a negative length",
     WIDE(TRACKER_FORM_AUTO),
     TRACKER_UNKNOWN,
     TRACKER_WIDE,
     B("\x2a\x02" ZEROES("\x09") "\xff\xff\xff\xff\xff\xff\xff\xff!"),
     {TRACKER_UPDATE, .state = B("\xff\xff\xff\xff\xff\xff\xff\xff!")}},
    {"wide: a state that looks framed, form plain",
     WIDE(TRACKER_FORM_PLAIN),
     TRACKER_UNKNOWN,
     TRACKER_WIDE,
     B("\x2a\x02" ZEROES("\x0a") ZEROES("\x02") "gh"),
     {TRACKER_UPDATE, .state = B(ZEROES("\x02") "gh")}},
    {"wide: form outer",
     WIDE(TRACKER_FORM_OUTER),
     TRACKER_UNKNOWN,
     TRACKER_WIDE,
     B("\x2a\x02" ZEROES("\x0a") ZEROES("\x02") "gh"),
     {TRACKER_UPDATE, .state = B("gh")}},
    {"wide: another magic number is another dialect",
     WIDE(TRACKER_FORM_AUTO),
     TRACKER_UNKNOWN,
     TRACKER_2013,
     B("\x42\x01\x00" ZEROES("\x03") "abc"),
     {TRACKER_OPEN, .state = B("abc")}},

    {"2013: Open",
     ORDINARY,
     TRACKER_UNKNOWN,
     TRACKER_2013,
     B("\x42\x01\x00" ZEROES("\x03") "abc"),
     {TRACKER_OPEN, .state = B("abc")}},
    {"2013: Close",
     ORDINARY,
     TRACKER_UNKNOWN,
     TRACKER_2013,
     B("\x42\x01\x01" ZEROES("\x07") "someId1"),
     {TRACKER_CLOSE, .id = B("someId1")}},
    {"2013: Update",
     ORDINARY,
     TRACKER_2013,
     TRACKER_2013,
     B("\x42\x01\x02" ZEROES("\x28") "\0\0\0\0\0\0\1\2" ZEROES("\x07") "someId1" ZEROES(
         "\x09") "theState1"),
     {TRACKER_UPDATE, B("someId1"), B("theState1"), true, 258}},
    {"2013: the highest version",
     ORDINARY,
     TRACKER_UNKNOWN,
     TRACKER_2013,
     B("\x42\x01\x02" ZEROES("\x19") "\x7f\xff\xff\xff\xff\xff\xff\xff" ZEROES("\x01") "i" ZEROES(
         "\x00")),
     {TRACKER_UPDATE, B("i"), B(""), true, INT64_MAX}},
    {"2013: Get",
     ORDINARY,
     TRACKER_UNKNOWN,
     TRACKER_2013,
     B("\x42\x01\x03"),
     {.type = TRACKER_ALL}},

    {"2014: Open",
     FOR_2014,
     TRACKER_UNKNOWN,
     TRACKER_2014,
     B("\x42\x01\x00" ZEROES("\x03") "abc"),
     {TRACKER_OPEN, .state = B("abc")}},
    {"2014: Close",
     FOR_2014,
     TRACKER_UNKNOWN,
     TRACKER_2014,
     B("\x42\x01\x01"),
     {.type = TRACKER_CLOSE}},
    {"2014: Update",
     FOR_2014,
     TRACKER_UNKNOWN,
     TRACKER_2014,
     B("\x42\x01\x02" ZEROES("\x03") "abc"),
     {TRACKER_UPDATE, .state = B("abc")}},
    {"2014: Get", FOR_2014, TRACKER_2014, TRACKER_2014, B("\x42\x01\x03"), {.type = TRACKER_ALL}},
};

static void check_good_whole(const struct good *row, struct bytes input)
{
    struct tracker_message message = {0};
    enum tracker_dialect dialect = row->before;
    void *memory;
    const struct tracker_result result =
        read_first(&row->options, input, input.len, &dialect, &message, &memory);
    if (result.outcome != TRACKER_MESSAGE || result.consumed != row->input.len ||
        dialect != row->after) {
        fail_msg("%s: outcome %d (%s), dialect %d, %zu of %zu bytes", row->name, result.outcome,
                 result.reason ? result.reason : "", dialect, result.consumed, row->input.len);
    }
    assert_int_equal(result.error, TRACKER_ERROR_NONE);
    assert_int_equal(message.type, row->expected.type);
    assert_int_equal(message.has_version, row->expected.has_version);
    assert_int_equal(message.version, row->expected.version);
    assert_bytes(row->name, message.id, row->expected.id);
    assert_bytes(row->name, message.state, row->expected.state);
    assert_int_equal(!message.id.data, !row->expected.id.data);
    free(memory);
}

static size_t count_acks(struct bytes input)
{
    size_t acks = 0;
    while (acks < input.len && input.data[acks] == 1) {
        acks++;
    }
    return acks;
}

static void test_good_whole_and_split(void **state)
{
    for (size_t i = 0; i < COUNT(good); i++) {
        const struct good *row = &good[i];
        struct writer twice = {0};
        check_good_whole(row, row->input);
        writer_bytes(&twice, row->input);
        writer_bytes(&twice, row->input);
        check_good_whole(row, writer_bytes_written(&twice));
        writer_free(&twice);

        for (size_t len = 0; len < row->input.len; len++) {
            const size_t acks = count_acks(row->input);
            struct tracker_message message = {.type = 77};
            enum tracker_dialect dialect = row->before;
            void *memory;
            const struct tracker_result result =
                read_first(&row->options, row->input, len, &dialect, &message, &memory);
            if (result.outcome != TRACKER_MORE || dialect != row->before || message.type != 77) {
                fail_msg("%s: outcome %d at byte %zu", row->name, result.outcome, len);
            }
            assert_int_equal(result.consumed, len < acks ? len : acks);
            free(memory);
        }
    }
}

/* A client's whole connection, as a buffer that fills and is read until it wants more. */
struct stream {
    struct tracker_options options;
    enum tracker_dialect dialect;
    struct writer buffer;
    struct writer received; /* one line for each message */
};

static void stream_feed(struct stream *stream, struct bytes chunk)
{
    struct tracker_message message;
    struct tracker_result result;
    writer_bytes(&stream->buffer, chunk);
    do {
        result = tracker_read(writer_bytes_written(&stream->buffer), &stream->options,
                              &stream->dialect, &message);
        assert_int_not_equal(result.outcome, TRACKER_FAILED);
        if (result.outcome == TRACKER_MESSAGE) {
            writer_format(&stream->received, "%d %.*s v%d %.*s\n", message.type,
                          (int)message.id.len, message.id.len ? (const char *)message.id.data : "",
                          (int)message.version, (int)message.state.len,
                          message.state.len ? (const char *)message.state.data : "");
        }
        stream->buffer.len -= result.consumed;
        if (stream->buffer.len > 0) {
            memmove(stream->buffer.data, stream->buffer.data + result.consumed, stream->buffer.len);
        }
    } while (result.outcome == TRACKER_MESSAGE);
}

static void check_stream_as(struct tracker_options options, struct bytes input,
                            const char *expected)
{
    /* Cut into two parts at every byte (at 0: whole), and at last byte by byte. */
    for (size_t cut = 0; cut <= input.len; cut++) {
        struct stream stream = {.options = options};
        for (size_t at = 0; cut == input.len && at < cut; at++) {
            stream_feed(&stream, (struct bytes){input.data + at, 1});
        }
        if (cut < input.len) {
            stream_feed(&stream, (struct bytes){input.data, cut});
            stream_feed(&stream, (struct bytes){input.data + cut, input.len - cut});
        }
        writer_u8(&stream.received, 0);
        assert_string_equal((const char *)stream.received.data, expected);
        assert_int_equal(stream.buffer.len, 0);
        writer_free(&stream.buffer);
        writer_free(&stream.received);
    }
}

static void check_stream(struct bytes input, enum tracker_dialect original, const char *expected)
{
    struct tracker_options options = ORDINARY;
    options.original = original;
    check_stream_as(options, input, expected);
}

static void test_many_in_one_read(void **state)
{
    check_stream(B("\x2a\x01\x00\x0b\x09theState1"
                   "\x01\x01"
                   "\x2a\x01\x02\x13\x02\x07someId1\x09theState1"
                   "\x2a\x01\x02\x13\x03\x07someId1\x09theState2"
                   "\x01"
                   "\x2a\x01\x01\x08\x07someId1"
                   "\x01"),
                 TRACKER_2013,
                 "0  v0 theState1\n2 someId1 v2 theState1\n2 someId1 v3 theState2\n"
                 "1 someId1 v0 \n");
    check_stream(B("\x2a\x00\x03"
                   "abc\x2a\x02\x04\x03"
                   "def\x2a\x03\x2a\x02\x03ghi\x2a\x01\x2a\x01\x2a\x00\x01j"),
                 TRACKER_2013,
                 "0  v0 abc\n2  v0 def\n3  v0 \n2  v0 ghi\n1  v0 \n1  v0 \n0  v0 j\n");
    check_stream(B("\x42\x01\x00" ZEROES("\x03") "abc\x42\x01\x03\x42\x01\x02" ZEROES("\x1a")
                       ZEROES("\x07")
                           ZEROES("\x01") "i" ZEROES("\x01") "s\x42\x01\x01" ZEROES("\x01") "i"),
                 TRACKER_2013, "0  v0 abc\n3  v0 \n2 i v7 s\n1 i v0 \n");
    check_stream(B("\x42\x01\x00" ZEROES("\x03") "abc\x42\x01\x03\x42\x01\x02" ZEROES(
                     "\x01") "d\x42\x01\x01\x42\x01\x03"),
                 TRACKER_2014, "0  v0 abc\n3  v0 \n2  v0 d\n1  v0 \n3  v0 \n");
    check_stream_as((struct tracker_options)WIDE(TRACKER_FORM_AUTO),
                    B("\x2a\x01\x2a\x00" ZEROES("\x03") "abc\x2a\x02" ZEROES("\x0b")
                          ZEROES("\x03") "def\x2a\x03\x2a\x02" ZEROES(
                              "\x09") "a longer!\x2a\x01\x2a\x01\x2a\x00" ZEROES("\x01") "j"),
                    "1  v0 \n0  v0 abc\n2  v0 def\n3  v0 \n2  v0 a longer!\n1  v0 \n1  v0 \n"
                    "0  v0 j\n");
}

/* 2A 01 2A: no type of the versioned dialect, so that the first two bytes were a Close. */
static void test_plain_close_as_the_first_message(void **state)
{
    check_stream(B("\x2a\x01\x2a\x01\x2a\x03"), TRACKER_2013, "1  v0 \n1  v0 \n3  v0 \n");
    check_stream(B("\x2a\x01\x2a\x00\x03"
                   "abc\x2a\x01\x2a\x03"),
                 TRACKER_2013, "1  v0 \n0  v0 abc\n1  v0 \n3  v0 \n");
    check_stream(B("\x2a\x01\x2a\x02\x04\x03xyz"), TRACKER_2013, "1  v0 \n2  v0 xyz\n");
}

static void test_plain_close_before_the_end(void **state)
{
    assert_true(tracker_is_close_at_end(B("\x2a\x01"), TRACKER_UNKNOWN));
    assert_false(tracker_is_close_at_end(B(""), TRACKER_UNKNOWN));
    assert_false(tracker_is_close_at_end(B("\x2a"), TRACKER_UNKNOWN));
    assert_false(tracker_is_close_at_end(B("\x2a\x01\x01"), TRACKER_UNKNOWN));
    assert_false(tracker_is_close_at_end(B("\x42\x01"), TRACKER_UNKNOWN));
    assert_false(tracker_is_close_at_end(B("\x2a\x01"), TRACKER_VERSIONED));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_whole_and_split),
        cmocka_unit_test(test_many_in_one_read),
        cmocka_unit_test(test_plain_close_as_the_first_message),
        cmocka_unit_test(test_plain_close_before_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
