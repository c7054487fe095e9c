/* Folded case: Unicode's rules, bytes that are not UTF-8, JSON's escapes, and how long it may get.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "admin/fold.h"

static void expect_folded(struct bytes text, struct bytes folded)
{
    struct writer to = {0};
    writer_u8(&to, '>');
    fold_write(&to, text);
    if (to.len != folded.len + 1 || memcmp(to.data + 1, folded.data, folded.len) != 0) {
        fail_msg("\"%.*s\" became \"%.*s\"", (int)text.len, (const char *)text.data, (int)to.len,
                 (const char *)to.data);
    }
    writer_free(&to);
}

static void test_folded(void **state)
{
    static const struct {
        struct bytes text, folded;
    } cases[] = {
        {BYTES_LITERAL(""), BYTES_LITERAL("")},
        {BYTES_LITERAL("AZaz@[`{09"), BYTES_LITERAL("azaz@[`{09")},
        {BYTES_LITERAL("STRASSE"), BYTES_LITERAL("strasse")},
        {BYTES_LITERAL("Stra\xc3\x9f"
                       "E"),
         BYTES_LITERAL("strasse")},
        {BYTES_LITERAL("\xe1\xba\x9e"), BYTES_LITERAL("ss")}, /* U+1E9E */
        {BYTES_LITERAL("\xce\xa3\xcf\x83\xcf\x82"), BYTES_LITERAL("\xcf\x83\xcf\x83\xcf\x83")},
        {BYTES_LITERAL("\xe2\x84\xaa"), BYTES_LITERAL("k")},                    /* Kelvin */
        {BYTES_LITERAL("\xc4\xb0"), BYTES_LITERAL("i\xcc\x87")},                /* U+0130 */
        {BYTES_LITERAL("\xc4\xb1"), BYTES_LITERAL("\xc4\xb1")},                 /* U+0131 */
        {BYTES_LITERAL("\xef\xac\x83"), BYTES_LITERAL("ffi")},                  /* U+FB03 */
        {BYTES_LITERAL("\xf0\x90\x90\x80"), BYTES_LITERAL("\xf0\x90\x90\xa8")}, /* U+10400 */
        {BYTES_LITERAL("A\0B"), BYTES_LITERAL("a\0b")},
        /* Not UTF-8: bytes that stand for themselves. */
        {BYTES_LITERAL("\xff\xc3"), BYTES_LITERAL("\xff\xc3")},
        {BYTES_LITERAL("\xc3"
                       "A\x9c"),
         BYTES_LITERAL("\xc3"
                       "a\x9c")},
        {BYTES_LITERAL("\xed\xa0\x80X"), BYTES_LITERAL("\xed\xa0\x80x")},
        {BYTES_LITERAL("\xc0\x80"), BYTES_LITERAL("\xc0\x80")},
        {BYTES_LITERAL("\xe2\x84"), BYTES_LITERAL("\xe2\x84")},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        expect_folded(cases[i].text, cases[i].folded);
    }
}

static size_t encode(uint32_t c, uint8_t bytes[4])
{
    if (c < 0x80) {
        return bytes[0] = (uint8_t)c, 1;
    }
    if (c < 0x800) {
        return bytes[0] = 0xc0 | c >> 6, bytes[1] = 0x80 | (c & 63), 2;
    }
    if (c < 0x10000) {
        return bytes[0] = 0xe0 | c >> 12, bytes[1] = 0x80 | (c >> 6 & 63),
               bytes[2] = 0x80 | (c & 63), 3;
    }
    return bytes[0] = 0xf0 | c >> 18, bytes[1] = 0x80 | (c >> 12 & 63),
           bytes[2] = 0x80 | (c >> 6 & 63), bytes[3] = 0x80 | (c & 63), 4;
}

/* Every character: what is folded is not folded further, and at most three times as long. */
static void test_every_character(void **state)
{
    size_t changed = 0;
    for (uint32_t c = 0; c < 0x110000; c++) {
        uint8_t bytes[4];
        struct writer to = {0};
        if (c >= 0xd800 && c < 0xe000) {
            continue;
        }
        struct bytes text = {bytes, encode(c, bytes)};
        fold_write(&to, text);
        if (to.len == 0 || to.len > 3 * text.len) {
            fail_msg("U+%04X became %zu bytes", c, to.len);
        }
        changed += !bytes_equal(text, writer_bytes_written(&to));
        expect_folded(writer_bytes_written(&to), writer_bytes_written(&to));
        writer_free(&to);
    }
    assert_true(changed > 1400);
}

static void test_contains(void **state)
{
    static const struct {
        const char *text, *wanted;
        bool plain, json;
    } cases[] = {
        {"Some Text", "e t", true, true},
        {"Some Text", "x", true, true},
        {"Some Text", "some text ", false, false},
        {"", "", true, true},
        {"", "a", false, false},
        {"stra\xc3\x9f"
         "e",
         "sse", true, true},
        {"\"\\u00dc\"", "\xc3\xbc", false, true},
        {"\"\\u00DC\"", "u00dc", true, false},
        {"\"a\\\"b\\\\c\\/d\\ne\"", "a\"b\\c/d\ne", false, true},
        {"\"\\ud83d\\ude00!\"", "\xf0\x9f\x98\x80!", false, true},
        /* What should not be stored is no harm. */
        {"\"\\ud83d\"", "\\ud83d", true, true},
        {"\"\\ud83d\\u0041\"", "a", false, true},
        {"\\", "\\", true, true},
        {"\\u12", "12", true, true},
    };
    struct writer scratch = {0};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct bytes text = bytes_from_string(cases[i].text);
        struct bytes wanted = bytes_from_string(cases[i].wanted);
        if (fold_contains(&scratch, text, wanted) != cases[i].plain) {
            fail_msg("case %zu", i);
        }
        if (fold_contains_json(&scratch, text, wanted) != cases[i].json) {
            fail_msg("case %zu, as JSON", i);
        }
    }
    writer_free(&scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_folded),
        cmocka_unit_test(test_every_character),
        cmocka_unit_test(test_contains),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
