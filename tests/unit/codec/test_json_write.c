/*
 * Composing JSON: commas, escapes, and that invalid UTF-8 fails the writer.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "codec/json_case.h"

static void test_structure(void **state)
{
    const struct bytes list[] = {B("x"), B("y")};
    struct writer to = {0};
    struct json_writer json = json_writer_over(&to);

    json_write_object_begin(&json);
    json_write_name(&json, "none");
    json_write_null(&json);
    json_write_name(&json, "array");
    json_write_array_begin(&json);
    json_write_boolean(&json, true);
    json_write_boolean(&json, false);
    json_write_array_begin(&json);
    json_write_array_end(&json);
    json_write_object_begin(&json);
    json_write_object_end(&json);
    json_write_raw(&json, B("[ 1 ]"));
    json_write_integer(&json, INT64_MIN);
    json_write_array_end(&json);
    json_write_member(&json, "text", B("t"));
    json_write_list(&json, "list", list, 2);
    json_write_list(&json, "empty", NULL, 0);
    json_write_object_end(&json);
    assert_composed(&to, "{\"none\":null,\"array\":[true,false,[],{},[ 1 ],-9223372036854775808],"
                         "\"text\":\"t\",\"list\":[\"x\",\"y\"],\"empty\":[]}");
    writer_free(&to);
}

struct string {
    struct bytes text;
    const char *written;
};

static const struct string strings[] = {
    {B(""), "\"\""},
    {B("plain"), "\"plain\""},
    {B("\""), "\"\\\"\""},
    {B("\\"), "\"\\\\\""},
    {B("/"), "\"/\""},
    {B("\b\f\n\r\t"), "\"\\b\\f\\n\\r\\t\""},
    {B("\x01\x0b\x1f\x7f"), "\"\\u0001\\u000b\\u001f\x7f\""},
    {B("a\"b\\c\nd"), "\"a\\\"b\\\\c\\nd\""},
    {B("\xc3\xa9\xe2\x80\xa8\xf0\x9f\x98\x80"), "\"\xc3\xa9\xe2\x80\xa8\xf0\x9f\x98\x80\""},
};

static void test_strings(void **state)
{
    struct writer to = {0};

    for (size_t i = 0; i < COUNT(strings); i++) {
        struct json_writer json = json_writer_over(&to);

        json_write_text(&json, strings[i].text);
        assert_composed(&to, strings[i].written);
        json = json_writer_over(&to);
        json_write_key(&json, strings[i].text);
        to.len -= to.len > 0; /* the colon */
        assert_composed(&to, strings[i].written);
    }
    writer_free(&to);
}

/* Every character that needs care comes back as it was. */
static void test_strings_come_back(void **state)
{
    for (unsigned byte = 1; byte < 0x80; byte++) {
        const uint8_t character[] = {'a', (uint8_t)byte, 'z'};
        struct writer to = {0};
        struct json_writer json = json_writer_over(&to);
        struct json_document *document;
        struct json_error error = {0};
        struct bytes text;

        json_write_text(&json, (struct bytes){character, sizeof character});
        document = must_parse(writer_bytes_written(&to));
        assert_true(json_value_text(json_document_root(document), &text, &error));
        assert_true(bytes_equal(text, (struct bytes){character, sizeof character}));
        json_document_free(&document);
        writer_free(&to);
    }
}

/* Invalid UTF-8 fails the writer; the reader would refuse it too. */
static void test_invalid_utf8(void **state)
{
    static const struct bytes texts[] = {
        B("\x80"),     B("a\xff"), B("\xc3"), B("\xed\xa0\x80"),
        B("\xc0\x80"), B("a\0b"),  B("\0"),   B("12345678\xe2\x82"),
    };

    assert_true(json_is_text((struct bytes){0}));
    for (size_t i = 0; i < COUNT(texts); i++) {
        struct writer to = {0};
        struct json_writer json = json_writer_over(&to);

        assert_false(json_is_text(texts[i]));
        json_write_text(&json, texts[i]);
        assert_true(to.failed);
        writer_reset(&to);
        json_write_key(&json, texts[i]);
        assert_true(to.failed);
        writer_free(&to);
    }
    for (size_t i = 0; i < COUNT(strings); i++) {
        assert_true(json_is_text(strings[i].text));
    }
}

/* Members copied as they came. */
static void test_source(void **state)
{
    struct json_document *document =
        must_parse(B("{\"a\\u0062\" : [ 9007199254740993 ] , \"c\":\"\\/\"}"));
    struct writer to = {0};
    struct json_writer json = json_writer_over(&to);

    json_write_object_begin(&json);
    for (const struct json_value *member = json_value_first(json_document_root(document)); member;
         member = json_value_next(member)) {
        json_write_source(&json, member);
    }
    json_write_member(&json, "d", B("e"));
    json_write_object_end(&json);
    assert_composed(&to, "{\"a\\u0062\":[ 9007199254740993 ],\"c\":\"\\/\",\"d\":\"e\"}");
    json_document_free(&document);
    writer_free(&to);
}

static void test_limit(void **state)
{
    struct writer to = {.limit = 6};
    struct json_writer json = json_writer_over(&to);

    json_write_text(&json, B("1234"));
    assert_false(to.failed);
    json_write_text(&json, B("5"));
    assert_true(to.failed);
    assert_int_equal(to.len, 6);
    writer_free(&to);
}

struct scalar {
    struct bytes text;
    bool valid;
};

static const struct scalar scalars[] = {
    {B("\"\""), true},
    {B("\"a\\u00e9\xc3\xa9\""), true},
    {B("0"), true},
    {B("-12.5e3"), true},
    {B("true"), true},
    {B("false"), true},
    {B("null"), true},
    {B("9007199254740993"), true},
    {B("[]"), false},
    {B("{}"), false},
    {B(" 1"), false},
    {B("1 "), false},
    {B("1,\"a\":2"), false},
    {B("\"a\",\"b\":\"c\""), false},
    {B("\"a\"}"), false},
    {B("\"\xff\""), false},
    {B("\"\\ud800\""), false},
    {B("nul"), false},
    {B("nulls"), false},
    {B("012"), false},
    {B("-"), false},
    {B("1e400"), false},
    {B("\"\\u0000\""), false},
    {B("\"a"), false},
};

static void test_scalars(void **state)
{
    assert_false(json_scalar_is_valid((struct bytes){0}));
    for (size_t i = 0; i < COUNT(scalars); i++) {
        const struct bytes text = exact_copy(scalars[i].text);

        if (json_scalar_is_valid(text) != scalars[i].valid) {
            fail_msg("%.*s", (int)text.len, (const char *)text.data);
        }
        free((void *)text.data);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_structure),
        cmocka_unit_test(test_strings),
        cmocka_unit_test(test_strings_come_back),
        cmocka_unit_test(test_invalid_utf8),
        cmocka_unit_test(test_source),
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_scalars),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
