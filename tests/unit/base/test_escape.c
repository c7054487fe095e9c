/*
 * Texts for people: what could act on a terminal, forge a line or hide is escaped; all else stays.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/escape.h"

struct visible_case {
    const char *text, *shown;
};

static const struct visible_case visible_cases[] = {
    {"", ""},
    {"plain id-7", "plain id-7"},
    {"caf\xc3\xa9 \xe6\x97\xa5\xe6\x9c\xac \xf0\x9f\x98\x80",
     "caf\xc3\xa9 \xe6\x97\xa5\xe6\x9c\xac \xf0\x9f\x98\x80"},
    {"a\nb\rc\td", "a\\nb\\rc\\td"},
    {"\x1b[2J\x07\x7f", "\\x1b[2J\\x07\\x7f"},
    {"\xc2\x9b", "\\xc2\\x9b"},
    {"\xc2\xa0", "\xc2\xa0"},
    {"\xe2\x80\xae", "\\xe2\\x80\\xae"},
    {"\xe2\x81\xa6x\xe2\x81\xa9", "\\xe2\\x81\\xa6x\\xe2\\x81\\xa9"},
    {"\xd8\x9c", "\\xd8\\x9c"},
    {"a\xe2\x80\x8b"
     "b",
     "a\\xe2\\x80\\x8b"
     "b"},
    {"\xef\xbb\xbf", "\\xef\\xbb\\xbf"},
    {"\xe2\x80\xa8", "\\xe2\\x80\\xa8"},
    {"\xf3\xa0\x81\x81", "\\xf3\\xa0\\x81\\x81"},
    {"\xff\xfe", "\\xff\\xfe"},
    {"\xe2\x80", "\\xe2\\x80"},
};

static void test_what_is_shown_to_people(void **state)
{
    for (size_t i = 0; i < sizeof visible_cases / sizeof *visible_cases; i++) {
        struct writer shown = {0};
        escape_visible(&shown, bytes_from_string(visible_cases[i].text), true);
        if (!bytes_equal(writer_bytes_written(&shown), bytes_from_string(visible_cases[i].shown))) {
            fail_msg("case %zu: \"%.*s\"", i, (int)shown.len, (const char *)shown.data);
        }
        writer_free(&shown);
    }
}

static void test_backslashes_double_when_asked(void **state)
{
    struct writer shown = {0};
    escape_visible(&shown, BYTES_LITERAL("a\\b"), true);
    escape_visible(&shown, BYTES_LITERAL("a\\b"), false);
    assert_true(bytes_equal(writer_bytes_written(&shown), BYTES_LITERAL("a\\\\ba\\b")));
    writer_free(&shown);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_shown_to_people),
        cmocka_unit_test(test_backslashes_double_when_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
