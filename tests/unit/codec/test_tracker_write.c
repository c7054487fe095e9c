/*
 * The Tracker codec writing: requests, replies and the map text.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "codec/tracker_case.h"

static void assert_refused(struct writer *writer)
{
    assert_true(writer->failed);
    writer_reset(writer);
}

static void test_requests(void **state)
{
    struct writer to = {0};
    tracker_write_open(&to, TRACKER_VERSIONED, B("theState1"));
    assert_written(&to, B("\x2a\x01\x00\x0a\x09theState1"));
    tracker_write_close(&to, TRACKER_VERSIONED, B("someId1"));
    assert_written(&to, B("\x2a\x01\x01\x08\x07someId1"));
    tracker_write_update(&to, TRACKER_VERSIONED, B("someId1"), 258, B("theState1"));
    assert_written(&to, B("\x2a\x01\x02\x13\x02\x07someId1\x09theState1"));

    tracker_write_open(&to, TRACKER_PLAIN, B("abc"));
    assert_written(&to, B("\52\0\3\141\142\143"));
    tracker_write_close(&to, TRACKER_PLAIN, B("ignored"));
    assert_written(&to, B("\52\1"));
    tracker_write_update(&to, TRACKER_PLAIN, B("ignored"), 9, B("abc"));
    assert_written(&to, B("\52\2\4\3\141\142\143"));
    tracker_write_get(&to, TRACKER_PLAIN);
    assert_written(&to, B("\52\3"));

    tracker_write_open(&to, TRACKER_WIDE, B("abc"));
    assert_written(&to, B("\x2a\x00" ZEROES("\x03") "abc"));
    tracker_write_close(&to, TRACKER_WIDE, B("ignored"));
    assert_written(&to, B("\x2a\x01"));
    tracker_write_update(&to, TRACKER_WIDE, B("ignored"), 9, B("abc"));
    assert_written(&to, B("\x2a\x02" ZEROES("\x0b") ZEROES("\x03") "abc"));
    tracker_write_get(&to, TRACKER_WIDE);
    assert_written(&to, B("\x2a\x03"));

    tracker_write_open(&to, TRACKER_2013, B("abc"));
    assert_written(&to, B("\x42\x01\x00" ZEROES("\x03") "abc"));
    tracker_write_close(&to, TRACKER_2013, B("someId1"));
    assert_written(&to, B("\x42\x01\x01" ZEROES("\x07") "someId1"));
    tracker_write_update(&to, TRACKER_2013, B("someId1"), 258, B("theState1"));
    assert_written(&to, B("\x42\x01\x02" ZEROES("\x28") "\0\0\0\0\0\0\1\2" ZEROES(
                            "\x07") "someId1" ZEROES("\x09") "theState1"));
    tracker_write_get(&to, TRACKER_2013);
    assert_written(&to, B("\x42\x01\x03"));

    tracker_write_open(&to, TRACKER_2014, B("abc"));
    assert_written(&to, B("\x42\x01\x00" ZEROES("\x03") "abc"));
    tracker_write_close(&to, TRACKER_2014, B("ignored"));
    assert_written(&to, B("\x42\x01\x01"));
    tracker_write_update(&to, TRACKER_2014, B("ignored"), 9, B("abc"));
    assert_written(&to, B("\x42\x01\x02" ZEROES("\x03") "abc"));
    tracker_write_get(&to, TRACKER_2014);
    assert_written(&to, B("\x42\x01\x03"));
    writer_free(&to);
}

static void test_requests_that_cannot_be_framed(void **state)
{
    static const uint8_t memory[300];
    const struct bytes id = B("someId1");
    struct writer to = {0};
    const struct {
        enum tracker_dialect dialect;
        size_t open, update; /* the longest states */
    } longest[] = {{TRACKER_VERSIONED, 254, 252 - 7}, {TRACKER_PLAIN, 255, 254}};
    for (size_t i = 0; i < COUNT(longest); i++) {
        tracker_write_open(&to, longest[i].dialect, (struct bytes){memory, longest[i].open});
        assert_false(to.failed);
        writer_reset(&to);
        tracker_write_open(&to, longest[i].dialect, (struct bytes){memory, longest[i].open + 1});
        assert_refused(&to);
        tracker_write_update(&to, longest[i].dialect, id, 1,
                             (struct bytes){memory, longest[i].update});
        assert_false(to.failed);
        writer_reset(&to);
        tracker_write_update(&to, longest[i].dialect, id, 1,
                             (struct bytes){memory, longest[i].update + 1});
        assert_refused(&to);
    }
    tracker_write_close(&to, TRACKER_VERSIONED, (struct bytes){memory, 255});
    assert_refused(&to);
    tracker_write_get(&to, TRACKER_VERSIONED);
    assert_refused(&to);
    writer_free(&to);
}

static void test_replies(void **state)
{
    const struct bytes id = B("someId1");
    struct writer to = {0};
    tracker_write_ack(&to, true);
    tracker_write_ack(&to, false);
    assert_written(&to, B("\x01\x00"));
    tracker_write_id(&to, TRACKER_VERSIONED, id);
    assert_written(&to, B("\x07someId1"));
    tracker_write_id(&to, TRACKER_2013, id);
    assert_written(&to, B("someId1"));
    tracker_write_id(&to, TRACKER_PLAIN, id);
    tracker_write_id(&to, TRACKER_WIDE, id);
    tracker_write_id(&to, TRACKER_2014, id);
    assert_written(&to, B("\x01\x01\x01"));
    writer_free(&to);
}

static int compare_pieces(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The entries of "{a=b, c=d}" in byte order, one a line. */
static char *sorted_entries(struct bytes text)
{
    char *pieces[8];
    size_t count = 0;
    char *copy = mem_dup(text.data, text.len);
    char *sorted = mem_strdup("");
    assert_true(text.len >= 2 && copy[0] == '{' && copy[text.len - 1] == '}');
    for (char *piece = strtok(copy, "{, }"); piece; piece = strtok(NULL, "{, }")) {
        pieces[count++] = piece;
    }
    qsort(pieces, count, sizeof *pieces, compare_pieces);
    for (size_t i = 0; i < count; i++) {
        char *longer = mem_format("%s%s\n", sorted, pieces[i]);
        free(sorted);
        sorted = longer;
    }
    free(copy);
    return sorted;
}

static void test_map_text(void **state)
{
    const struct bytes pairs[][2] = {{B("a"), B("b")}, {B("c"), B("d")}, {B("e"), B("f")}};
    /* The plain document's reply. Its bytes spell another order than its text. */
    static const uint8_t document[] = {15, 123, 101, 61, 102, 44, 32, 99,
                                       61, 100, 44,  32, 97,  61, 98, 125};
    struct writer text = {0};
    struct writer to = {0};
    tracker_write_map_text(&text, pairs, 3);
    assert_bytes("text", writer_bytes_written(&text), B("{a=b, c=d, e=f}"));
    tracker_write_map_reply(&to, TRACKER_PLAIN, writer_bytes_written(&text));
    assert_int_equal(to.len, sizeof document);
    assert_int_equal(to.data[0], document[0]);
    char *ours = sorted_entries((struct bytes){to.data + 1, to.len - 1});
    char *theirs = sorted_entries((struct bytes){document + 1, sizeof document - 1});
    assert_string_equal(ours, theirs);
    assert_string_equal(ours, "a=b\nc=d\ne=f\n");
    free(ours);
    free(theirs);
    assert_written(&to, B("\x0f{a=b, c=d, e=f}"));
    tracker_write_map_reply(&to, TRACKER_2014, writer_bytes_written(&text));
    assert_written(&to, B(ZEROES("\x0f") "{a=b, c=d, e=f}"));
    tracker_write_map_reply(&to, TRACKER_WIDE, writer_bytes_written(&text));
    assert_written(&to, B(ZEROES("\x0f") "{a=b, c=d, e=f}"));
    tracker_write_map_reply(&to, TRACKER_2013, writer_bytes_written(&text));
    assert_written(&to, B("\x01"));
    tracker_write_map_text(&to, NULL, 0);
    assert_written(&to, B("{}"));
    writer_free(&text);
    writer_free(&to);
}

static void test_map_text_too_long_for_a_byte(void **state)
{
    static const uint8_t memory[256];
    struct writer to = {0};
    tracker_write_map_reply(&to, TRACKER_PLAIN, (struct bytes){memory, 255});
    assert_int_equal(to.len, 256);
    assert_int_equal(to.data[0], 255);
    writer_reset(&to);
    tracker_write_map_reply(&to, TRACKER_PLAIN, (struct bytes){memory, 256});
    assert_written(&to, B("\x00"));
    tracker_write_map_reply(&to, TRACKER_2014, (struct bytes){memory, 256});
    assert_int_equal(to.len, 264);
    assert_int_equal(to.data[6], 1);
    writer_free(&to);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests),
        cmocka_unit_test(test_requests_that_cannot_be_framed),
        cmocka_unit_test(test_replies),
        cmocka_unit_test(test_map_text),
        cmocka_unit_test(test_map_text_too_long_for_a_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
