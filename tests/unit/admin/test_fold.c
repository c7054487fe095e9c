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

static bool contains(struct bytes text, struct bytes wanted, bool is_json)
{
    struct fold_search search;
    size_t at = 0;
    bool found = false;
    fold_search_begin(&search, wanted);
    do {
        size_t before = at;
        found = fold_search_piece(&search, text, is_json, &at);
        assert_true(found || at > before || text.len == 0);
        assert_true(at - before <= FOLD_PIECE + 12);
    } while (!found && at < text.len);
    fold_search_end(&search);
    return found;
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
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct bytes text = bytes_from_string(cases[i].text);
        struct bytes wanted = bytes_from_string(cases[i].wanted);
        if (contains(text, wanted, false) != cases[i].plain) {
            fail_msg("case %zu", i);
        }
        if (contains(text, wanted, true) != cases[i].json) {
            fail_msg("case %zu, as JSON", i);
        }
    }
}

/* Wherever in a text of several pieces, and also across their ends. */
static void test_pieces(void **state)
{
    static const char wanted[] = "a\xc3\x9f\xe2\x82\xac"
                                 "aa\xe2\x82\xac"; /* 15 bytes, folded 15 */
    const size_t len = sizeof wanted - 1;
    struct writer text = {0};
    for (size_t before = FOLD_PIECE - 40; before < FOLD_PIECE + 5; before++) {
        for (int is_json = 0; is_json < 2; is_json++) {
            writer_reset(&text);
            for (size_t i = 0; i < before; i++) {
                writer_u8(&text, 'A');
            }
            writer_string(&text, is_json ? "\\u00e4" : "\xc3\xa4");
            writer_bytes(&text, (struct bytes){(const uint8_t *)wanted, len - 1});
            assert_false(contains(writer_bytes_written(&text), bytes_from_string(wanted), is_json));
            writer_u8(&text, (uint8_t)wanted[len - 1]);
            assert_true(contains(writer_bytes_written(&text), bytes_from_string(wanted), is_json));
        }
    }
    writer_free(&text);
}

/* The number of steps that a search takes depends on the lengths alone. */
static void test_repetitive_texts(void **state)
{
    static uint8_t text[4 << 20];
    static uint8_t wanted[128];
    memset(text, 'a', sizeof text);
    memset(wanted, 'a', sizeof wanted);
    wanted[sizeof wanted - 1] = 'b';
    assert_false(
        contains((struct bytes){text, sizeof text}, (struct bytes){wanted, sizeof wanted}, false));
    text[sizeof text - 1] = 'B';
    assert_true(
        contains((struct bytes){text, sizeof text}, (struct bytes){wanted, sizeof wanted}, false));
    /* Each shift that a wrong border would miss. */
    assert_true(contains(BYTES_LITERAL("abacabadabacabab"), BYTES_LITERAL("abacabab"), false));
    assert_true(contains(BYTES_LITERAL("aabaabaaabaabaac"), BYTES_LITERAL("aabaabaac"), false));
    assert_false(contains(BYTES_LITERAL("aabaabaaabaabaab"), BYTES_LITERAL("aabaabaac"), false));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_folded),           cmocka_unit_test(test_every_character),
        cmocka_unit_test(test_contains),         cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_repetitive_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
