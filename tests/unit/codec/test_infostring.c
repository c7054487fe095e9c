/* Infostrings: pairs as dpmaster finds them, and names as text. */
#include "codec/json_case.h"

#include "codec/infostring.h"
#include "codec/lobby_text.h"

#define A64  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define A255 A64 A64 A64 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define A256 A64 A64 A64 A64

struct look_up {
    const char *text, *key, *value; /* NULL: none */
};

static const struct look_up look_ups[] = {
    {"\\a\\1\\b\\2", "a", "1"},
    {"\\a\\1\\b\\2", "b", "2"},
    {"\\a\\1\\b\\2", "c", NULL},
    {"\\a\\1\\b\\2", "A", NULL}, /* case counts */
    {"\\a\\1\\b\\2", "1", NULL}, /* a value is no key */
    {"\\a\\1\\a\\2", "a", "1"},  /* the first counts */
    {"\\A\\1\\a\\2", "a", "2"},
    {"a\\1\\b\\2", "b", NULL}, /* must begin with a backslash */
    {" \\a\\1", "a", NULL},
    {"", "a", NULL},
    {"\\", "a", NULL},
    {"\\a", "a", NULL}, /* no value */
    {"\\a\\", "a", ""}, /* an empty one */
    {"\\a\\\\b\\2", "a", ""},
    {"\\a\\\\b\\2", "b", "2"},
    {"\\a\\1\\b", "b", NULL},
    {"\\a\\1\\", "a", "1"},
    {"\\\\1\\b\\2", "b", "2"}, /* an empty key is passed over */
    {"\\\\1", "", NULL},
    {"\\ab\\1\\a\\2", "a", "2"},
    {"\\a b\\x y", "a b", "x y"},
    {"\\a\\1\n\\b\\2", "a", "1\n"}, /* a line feed is a byte as any */
    {"\\a\\\xe9^1\x80", "a", "\xe9^1\x80"},
    {"\\" A255 "\\1\\b\\2", A255, "1"},
    {"\\" A256 "\\1\\b\\2", A256, NULL}, /* too long a key goes with its value */
    {"\\" A256 "\\1\\b\\2", "b", "2"},
    {"\\" A256 "\\b\\b\\2", "b", "2"},
    {"\\" A256, "b", NULL},
    {"\\a\\" A255, "a", A255},
    {"\\a\\" A256, "a", NULL}, /* too long a value */
    {"\\a\\" A256 "\\b\\2", "b", "2"},
    {"\\a\\" A256 "\\a\\2", "a", NULL}, /* hides what stands behind */
};

static void test_find(void **state)
{
    for (size_t i = 0; i < COUNT(look_ups); i++) {
        const struct look_up *l = &look_ups[i];
        const struct bytes text = exact_copy(S(l->text));
        struct bytes value = {0};

        if (infostring_find(text, l->key, &value) != (l->value != NULL)) {
            fail_msg("%s: %s", l->text, l->key);
        }
        if (l->value) {
            assert_text(l->text, value, l->value);
        }
        free((void *)text.data);
    }
}

static void test_find_any_case(void **state)
{
    const struct bytes text = B("\\HostName\\x\\hostname\\y\\MAPNAME\\q3dm1");
    struct bytes value;

    assert_true(infostring_find_any_case(text, "hostname", &value));
    assert_text("any case", value, "x");
    assert_true(infostring_find_any_case(text, "mapname", &value));
    assert_text("any case", value, "q3dm1");
    assert_true(infostring_find(text, "hostname", &value));
    assert_text("exact", value, "y");
    assert_false(infostring_find_any_case(text, "host", &value));
    assert_false(infostring_find(text, "mapname", &value));
}

/* Pairs as "key=value;". */
static void join(struct writer *to, const struct infostring_pair *pair)
{
    writer_bytes(to, pair->key);
    writer_u8(to, '=');
    writer_bytes(to, pair->value);
    writer_u8(to, ';');
}

static void expect_pairs(const char *text, size_t max, const char *all, const char *unique)
{
    const struct bytes copy = exact_copy(S(text));
    struct bytes rest = copy;
    struct infostring_pair pair, pairs[8];
    struct writer to = {0};

    while (infostring_next(&rest, &pair)) {
        join(&to, &pair);
    }
    assert_false(infostring_next(&rest, &pair));
    assert_composed(&to, all);
    assert_true(max <= COUNT(pairs));
    for (size_t i = 0, count = infostring_pairs(copy, pairs, max); i < count; i++) {
        join(&to, &pairs[i]);
    }
    assert_composed(&to, unique);
    writer_free(&to);
    free((void *)copy.data);
}

static void test_pairs(void **state)
{
    expect_pairs("", 8, "", "");
    expect_pairs("x", 8, "", "");
    expect_pairs("\\", 8, "", "");
    expect_pairs("\\a", 8, "", "");
    expect_pairs("\\a\\1", 8, "a=1;", "a=1;");
    expect_pairs("\\a\\1\\b\\2\\c", 8, "a=1;b=2;", "a=1;b=2;");
    expect_pairs("\\a\\\\b\\", 8, "a=;b=;", "a=;b=;");
    expect_pairs("\\a\\1\\b\\2\\a\\3\\c\\4", 8, "a=1;b=2;a=3;c=4;", "a=1;b=2;c=4;");
    expect_pairs("\\a\\1\\b\\2\\a\\3\\c\\4", 2, "a=1;b=2;a=3;c=4;", "a=1;b=2;");
    expect_pairs("\\\\0\\b\\2", 8, "b=2;", "b=2;");
    expect_pairs("\\a\\" A256 "\\a\\1\\b\\2", 8, "a=1;b=2;", "b=2;");
    expect_pairs("\\" A256 "\\1\\b\\2", 8, "b=2;", "b=2;");
}

/* The pairs end at a NUL; a part of a text has what is whole in it. */
static void test_ends(void **state)
{
    const struct bytes text = B("\\abc\\123\0\\d\\4");
    struct bytes value;

    assert_true(infostring_find(text, "abc", &value));
    assert_text("value", value, "123");
    assert_false(infostring_find(text, "d", &value));
    assert_int_equal(infostring_cut(text).len, 8);
    for (size_t len = 0; len < 8; len++) {
        const struct bytes part = exact_copy((struct bytes){text.data, len});

        assert_int_equal(infostring_find(part, "abc", &value), len >= 5);
        if (len >= 5) {
            assert_int_equal(value.len, len - 5);
        }
        free((void *)part.data);
    }
    assert_int_equal(infostring_first_line(B("\\a\\b\nrest")).len, 4);
    assert_int_equal(infostring_first_line(B("\\a\\b\0\n")).len, 4);
    assert_int_equal(infostring_first_line(B("")).len, 0);
    assert_int_equal(infostring_first_line((struct bytes){0}).len, 0);
}

static void test_write(void **state)
{
    static const struct {
        struct bytes key, value;
        bool good;
    } pairs[] = {
        {B("a"), B("1"), true},    {B("a"), B(""), true},       {B(""), B("1"), false},
        {B("a\\"), B("1"), false}, {B("a"), B("1\\2"), false},  {B("a\0"), B("1"), false},
        {B("a"), B("\0"), false},  {B(A255), B(A255), true},    {B(A256), B("1"), false},
        {B("a"), B(A256), false},  {B("a\n"), B("\x80"), true},
    };

    for (size_t i = 0; i < COUNT(pairs); i++) {
        struct writer to = {0};
        struct infostring_pair pair;
        struct bytes rest;

        infostring_write(&to, pairs[i].key, pairs[i].value);
        assert_int_equal(!to.failed, pairs[i].good);
        rest = writer_bytes_written(&to);
        if (pairs[i].good) {
            assert_true(infostring_next(&rest, &pair));
            assert_true(bytes_equal(pair.key, pairs[i].key));
            assert_true(bytes_equal(pair.value, pairs[i].value));
        }
        writer_free(&to);
    }
}

static void test_text(void **state)
{
    static const struct {
        struct bytes from;
        const char *text, *plain;
    } texts[] = {
        {B(""), "", ""},
        {B("My server"), "My server", "My server"},
        {B("caf\xc3\xa9"), "caf\xc3\xa9", "caf\xc3\xa9"},
        {B("caf\xe9"), "caf\xc3\xa9", "caf\xc3\xa9"}, /* ISO 8859-1 */
        {B("\xff\xfe"), "\xc3\xbf\xc3\xbe", "\xc3\xbf\xc3\xbe"},
        {B("a\0b\x1b[2Jc\x7f"), "a b [2Jc ", "a b [2Jc "},
        {B("\x80\x9f\xa0"), "  \xc2\xa0", "  \xc2\xa0"},
        {B("a\xc2\x9b"
           "b"),
         "a b", "a b"}, /* U+009B */
        {B("^1red^7 ^x^xf0Awhite"), "^1red^7 ^x^xf0Awhite", "red white"},
        {B("^^1"), "^^1", "^1"},
        {B("a^"), "a^", "a^"},
        {B("^ ^!^_"), "^ ^!^_", "^ ^!^_"},
        {B("^xf0"), "^xf0", "f0"}, /* too short for three */
        {B("^\xc3\xa9"), "^\xc3\xa9", "^\xc3\xa9"},
        {B("^1"), "^1", ""},
        {B("^a^Zb"), "^a^Zb", "b"},
    };

    for (size_t i = 0; i < COUNT(texts); i++) {
        const struct bytes copy = exact_copy(texts[i].from);
        struct writer to = {0};

        lobby_text_write(&to, copy);
        assert_true(json_is_text(writer_bytes_written(&to)));
        assert_composed(&to, texts[i].text);
        lobby_text_write_plain(&to, copy);
        assert_composed(&to, texts[i].plain);
        writer_free(&to);
        free((void *)copy.data);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_find),  cmocka_unit_test(test_find_any_case),
        cmocka_unit_test(test_pairs), cmocka_unit_test(test_ends),
        cmocka_unit_test(test_write), cmocka_unit_test(test_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
