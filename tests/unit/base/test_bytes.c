/* base/bytes: ranges, UTF-8, the cursor at every length of its input, the writer at its limits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"

static struct bytes b(const char *string)
{
    return bytes_from_string(string);
}

static void ranges_are_compared(void **state)
{
    static const struct {
        const char *a, *b;
        int order;
    } cases[] = {
        {"", "", 0},     {"", "a", -1},    {"a", "", 1},       {"a", "a", 0},
        {"a", "b", -1},  {"b", "a", 1},    {"ab", "abc", -1},  {"abc", "ab", 1},
        {"b", "abc", 1}, {"\xff", "a", 1}, {"abc", "abd", -1},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int order = bytes_compare(b(cases[i].a), b(cases[i].b));

        assert_int_equal((order > 0) - (order < 0), cases[i].order);
        assert_int_equal(bytes_equal(b(cases[i].a), b(cases[i].b)), cases[i].order == 0);
    }
    assert_true(bytes_equal((struct bytes){NULL, 0}, b("")));
    assert_int_equal(bytes_compare((struct bytes){NULL, 0}, b("")), 0);
    assert_true(bytes_equal(BYTES_LITERAL("a\0b"), (struct bytes){(const uint8_t *)"a\0b", 3}));
}

static void utf8_is_judged(void **state)
{
    static const struct {
        struct bytes text;
        bool good;
    } cases[] = {
        {BYTES_LITERAL(""), true},
        {BYTES_LITERAL("plain"), true},
        {BYTES_LITERAL("a\0b"), true},
        {BYTES_LITERAL("\x7f"), true},
        {BYTES_LITERAL("\xc2\x80"), true},
        {BYTES_LITERAL("\xdf\xbf"), true},
        {BYTES_LITERAL("\xe0\xa0\x80"), true},
        {BYTES_LITERAL("\xed\x9f\xbf"), true},
        {BYTES_LITERAL("\xee\x80\x80"), true},
        {BYTES_LITERAL("\xef\xbf\xbf"), true},
        {BYTES_LITERAL("\xf0\x90\x80\x80"), true},
        {BYTES_LITERAL("\xf4\x8f\xbf\xbf"), true},
        {BYTES_LITERAL("12345678\xc3\xa9 and eight more"), true},
        {BYTES_LITERAL("\x80"), false},
        {BYTES_LITERAL("\xbf"), false},
        {BYTES_LITERAL("\xc0\x80"), false},         /* overlong */
        {BYTES_LITERAL("\xc1\xbf"), false},         /* overlong */
        {BYTES_LITERAL("\xe0\x9f\xbf"), false},     /* overlong */
        {BYTES_LITERAL("\xf0\x8f\xbf\xbf"), false}, /* overlong */
        {BYTES_LITERAL("\xed\xa0\x80"), false},     /* surrogate */
        {BYTES_LITERAL("\xed\xbf\xbf"), false},     /* surrogate */
        {BYTES_LITERAL("\xf4\x90\x80\x80"), false}, /* above U+10FFFF */
        {BYTES_LITERAL("\xf5\x80\x80\x80"), false},
        {BYTES_LITERAL("\xff"), false},
        {BYTES_LITERAL("\xc3"), false},
        {BYTES_LITERAL("\xe2\x82"), false},
        {BYTES_LITERAL("\xf0\x9f\x98"), false},
        {BYTES_LITERAL("\xc3("), false},
        {BYTES_LITERAL("\xe2\x82("), false},
        {BYTES_LITERAL("\xe2(\xac"), false},
        {BYTES_LITERAL("\xf0\x9f(\x80"), false},
        {BYTES_LITERAL("12345678123456\xff"), false},
        {BYTES_LITERAL("1234567\xff"), false},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        /* A copy of just this length, so that the sanitizer sees every byte read too many. */
        uint8_t *copy = malloc(cases[i].text.len + 1);

        memcpy(copy + 1, cases[i].text.data, cases[i].text.len);
        assert_int_equal(bytes_is_utf8((struct bytes){copy + 1, cases[i].text.len}), cases[i].good);
        free(copy);
    }
    assert_true(bytes_is_utf8((struct bytes){NULL, 0}));
}

static const uint8_t record[] = {0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a, 0x0b,
                                 0x0c, 0x0d, 0x0e, 0x0f, 'a',  'b',  '1',  '2',  ' ',  'x',  ';'};

/* Reads one of everything. */
static void read_record(struct cursor *cursor)
{
    uint64_t u8 = cursor_u8(cursor), u16 = cursor_u16(cursor), u32 = cursor_u32(cursor),
             u64 = cursor_u64(cursor);
    struct bytes taken = cursor_take(cursor, 2);
    uint64_t decimal = cursor_decimal(cursor, ' ');
    struct bytes until = cursor_until(cursor, ';');

    if (cursor->failed) {
        return;
    }
    assert_int_equal(u8, 0x01);
    assert_int_equal(u16, 0x0203);
    assert_int_equal(u32, 0x04050607);
    assert_int_equal(u64, 0x08090a0b0c0d0e0f);
    assert_true(bytes_equal(taken, b("ab")));
    assert_int_equal(decimal, 12);
    assert_true(bytes_equal(until, b("x")));
}

static void cursor_reads_whole_and_fails_when_cut(void **state)
{
    for (size_t len = 0; len <= sizeof record; len++) {
        uint8_t *copy = malloc(len + 1);
        struct cursor cursor;

        memcpy(copy, record, len);
        cursor = cursor_over((struct bytes){copy, len});
        read_record(&cursor);
        assert_int_equal(cursor.failed, len < sizeof record);
        assert_int_equal(cursor_left(&cursor), 0);
        free(copy);
    }
}

static void cursor_does_nothing_after_a_failure(void **state)
{
    struct cursor cursor = cursor_over(b("12;3"));

    assert_int_equal(cursor_take(&cursor, 5).len, 0);
    assert_true(cursor.failed);
    assert_int_equal(cursor_left(&cursor), 0);
    assert_int_equal(cursor_u8(&cursor), 0);
    assert_int_equal(cursor_u16(&cursor), 0);
    assert_int_equal(cursor_u32(&cursor), 0);
    assert_int_equal(cursor_u64(&cursor), 0);
    assert_int_equal(cursor_decimal(&cursor, ';'), 0);
    assert_int_equal(cursor_until(&cursor, ';').len, 0);
    assert_int_equal(cursor_take(&cursor, 0).len, 0);
    assert_true(cursor.failed);
}

static void cursor_over_nothing(void **state)
{
    struct cursor cursor = cursor_over((struct bytes){NULL, 0});

    assert_int_equal(cursor_left(&cursor), 0);
    assert_int_equal(cursor_take(&cursor, 0).len, 0);
    assert_false(cursor.failed);
    assert_int_equal(cursor_u8(&cursor), 0);
    assert_true(cursor.failed);
}

static void cursor_take_refuses_a_huge_length(void **state)
{
    struct cursor cursor = cursor_over(b("abc"));

    (void)cursor_u8(&cursor);
    assert_int_equal(cursor_take(&cursor, SIZE_MAX).len, 0);
    assert_true(cursor.failed);
}

static void decimals(void **state)
{
    static const struct {
        const char *text;
        bool good;
        uint64_t value;
        size_t left;
    } cases[] = {
        {"0:", true, 0, 0},
        {"7:rest", true, 7, 4},
        {"007:", true, 7, 0},
        {"9999999999999999999:", true, 9999999999999999999u, 0}, /* 19 digits */
        {"10000000000000000000:", false, 0, 0},                  /* 20 */
        {"", false, 0, 0},
        {":", false, 0, 0},
        {"12", false, 0, 0},
        {"12;", false, 0, 0},
        {"-1:", false, 0, 0},
        {"+1:", false, 0, 0},
        {" 1:", false, 0, 0},
        {"1a:", false, 0, 0},
        {"0x1:", false, 0, 0},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct cursor cursor = cursor_over(b(cases[i].text));

        assert_int_equal(cursor_decimal(&cursor, ':'), cases[i].value);
        assert_int_equal(cursor.failed, !cases[i].good);
        assert_int_equal(cursor_left(&cursor), cases[i].left);
    }
}

static void until_takes_the_first_terminator(void **state)
{
    struct cursor cursor = cursor_over(b("ab,,c"));

    assert_true(bytes_equal(cursor_until(&cursor, ','), b("ab")));
    assert_true(bytes_equal(cursor_until(&cursor, ','), b("")));
    assert_false(cursor.failed);
    assert_int_equal(cursor_until(&cursor, ',').len, 0);
    assert_true(cursor.failed);
}

static void writer_writes_what_the_cursor_reads(void **state)
{
    struct writer writer = {0};
    struct cursor cursor;

    writer_u8(&writer, 0x01);
    writer_u16(&writer, 0x0203);
    writer_u32(&writer, 0x04050607);
    writer_u64(&writer, 0x08090a0b0c0d0e0f);
    writer_bytes(&writer, b("ab"));
    writer_bytes(&writer, (struct bytes){NULL, 0});
    writer_format(&writer, "%d ", 12);
    writer_string(&writer, "x;");
    assert_false(writer.failed);
    assert_true(bytes_equal(writer_bytes_written(&writer), (struct bytes){record, sizeof record}));
    cursor = cursor_over(writer_bytes_written(&writer));
    read_record(&cursor);
    assert_false(cursor.failed);
    writer_free(&writer);
}

static void writer_grows_and_keeps_what_it_has(void **state)
{
    struct writer writer = {0};
    struct bytes written;

    for (unsigned i = 0; i < 100000; i++) {
        writer_u8(&writer, (uint8_t)(i * 7));
    }
    written = writer_bytes_written(&writer);
    assert_int_equal(written.len, 100000);
    for (unsigned i = 0; i < 100000; i++) {
        assert_int_equal(written.data[i], (uint8_t)(i * 7));
    }
    writer_free(&writer);
}

static void writer_formats_long_texts(void **state)
{
    for (int len = 100; len < 300; len++) {
        struct writer writer = {.limit = (size_t)len + 1};

        writer_format(&writer, "%*d|", len, 5);
        assert_false(writer.failed);
        assert_int_equal(writer.len, len + 1);
        assert_int_equal(writer.data[len], '|');
        assert_int_equal(writer.data[len - 1], '5');
        writer_format(&writer, "%s", "");
        assert_false(writer.failed);
        writer_format(&writer, "%s", "x");
        assert_true(writer.failed);
        writer_free(&writer);
    }
}

static void writer_limit_is_exact_and_failure_lasts(void **state)
{
    struct writer writer = {.limit = 4};

    writer_u32(&writer, 0x61626364);
    assert_false(writer.failed);
    writer_bytes(&writer, (struct bytes){NULL, 0});
    assert_false(writer.failed);
    writer_u8(&writer, 'e');
    assert_true(writer.failed);
    writer_bytes(&writer, (struct bytes){NULL, 0});
    assert_null(writer_reserve(&writer, 0));
    assert_true(bytes_equal(writer_bytes_written(&writer), b("abcd")));

    writer_reset(&writer);
    assert_false(writer.failed);
    assert_int_equal(writer_bytes_written(&writer).len, 0);
    writer_u16(&writer, 1);
    writer_bytes(&writer, b("abc")); /* does not fit: nothing of it is written */
    assert_true(writer.failed);
    assert_int_equal(writer.len, 2);
    writer_u8(&writer, 1); /* would fit, but comes after */
    assert_int_equal(writer.len, 2);
    writer_free(&writer);
}

static void writer_reserve_gives_room_at_the_end(void **state)
{
    struct writer writer = {0};
    uint8_t *room;

    writer_string(&writer, "ab");
    room = writer_reserve(&writer, 3);
    assert_non_null(room);
    memcpy(room, "cde", 3);
    writer_string(&writer, "f");
    assert_true(bytes_equal(writer_bytes_written(&writer), b("abcdef")));
    writer_free(&writer);

    room = writer_reserve(&writer, 0);
    assert_non_null(room);
    assert_null(writer_reserve(&writer, SIZE_MAX));
    assert_true(writer.failed);
    writer_free(&writer);
}

static void writer_free_may_be_repeated(void **state)
{
    struct writer writer = {0};

    writer_free(&writer);
    writer_string(&writer, "x");
    writer_free(&writer);
    writer_free(&writer);
    assert_null(writer.data);
    writer_string(&writer, "again");
    assert_true(bytes_equal(writer_bytes_written(&writer), b("again")));
    writer_free(&writer);
}

static void words_are_taken_one_by_one(void **state)
{
    struct bytes text = BYTES_LITERAL("one  three 4");
    assert_true(bytes_equal(bytes_next_word(&text), BYTES_LITERAL("one")));
    assert_true(bytes_equal(bytes_next_word(&text), BYTES_LITERAL("")));
    assert_true(bytes_equal(bytes_next_word(&text), BYTES_LITERAL("three")));
    assert_true(bytes_equal(text, BYTES_LITERAL("4")));
    assert_true(bytes_equal(bytes_next_word(&text), BYTES_LITERAL("4")));
    assert_int_equal(bytes_next_word(&text).len, 0);
    assert_int_equal(text.len, 0);
}

static void a_number_is_written_in_digits(void **state)
{
    static const struct {
        uint64_t number;
        const char *text;
    } written[] = {{0, "0"},
                   {9, "9"},
                   {10, "10"},
                   {1234567890, "1234567890"},
                   {UINT64_MAX, "18446744073709551615"}};
    for (size_t i = 0; i < sizeof written / sizeof *written; i++) {
        uint8_t text[BYTES_DECIMAL_MAX];
        size_t len = bytes_write_decimal(text, written[i].number);
        assert_true(bytes_equal((struct bytes){text, len}, bytes_from_string(written[i].text)));
    }
}

static void leading_digits_are_a_number(void **state)
{
    assert_int_equal(bytes_decimal(BYTES_LITERAL("")), 0);
    assert_int_equal(bytes_decimal(BYTES_LITERAL("x1")), 0);
    assert_int_equal(bytes_decimal(BYTES_LITERAL("12 x")), 12);
    assert_int_equal(bytes_decimal(BYTES_LITERAL("9223372036854775807")), INT64_MAX);
    /* Digits beyond what a version can have are not read. */
    assert_int_equal(bytes_decimal(BYTES_LITERAL("12345678901234567890")), 1234567890123456789);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranges_are_compared),
        cmocka_unit_test(utf8_is_judged),
        cmocka_unit_test(words_are_taken_one_by_one),
        cmocka_unit_test(leading_digits_are_a_number),
        cmocka_unit_test(a_number_is_written_in_digits),
        cmocka_unit_test(cursor_reads_whole_and_fails_when_cut),
        cmocka_unit_test(cursor_does_nothing_after_a_failure),
        cmocka_unit_test(cursor_over_nothing),
        cmocka_unit_test(cursor_take_refuses_a_huge_length),
        cmocka_unit_test(decimals),
        cmocka_unit_test(until_takes_the_first_terminator),
        cmocka_unit_test(writer_writes_what_the_cursor_reads),
        cmocka_unit_test(writer_grows_and_keeps_what_it_has),
        cmocka_unit_test(writer_formats_long_texts),
        cmocka_unit_test(writer_limit_is_exact_and_failure_lasts),
        cmocka_unit_test(writer_reserve_gives_room_at_the_end),
        cmocka_unit_test(writer_free_may_be_repeated),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
