/*
 * JSON texts that are good: what their values are, where they stand, typed access with errors that
 * name the place.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "codec/json_case.h"

struct good {
    const char *text;
    const char *again; /* written again part by part; NULL: the same */
};

static const struct good good[] = {
    {"{}", NULL},
    {"[]", NULL},
    {"null", NULL},
    {"true", NULL},
    {"false", NULL},
    {"0", NULL},
    {"-0", NULL},
    {"\"\"", NULL},
    {"\"a\"", NULL},
    {" \n\r\t{ } \n\r\t", "{}"},
    {"[ 1 ,\n2\t,\r3 ]", "[1,2,3]"},
    {"{ \"a\" : 1 , \"b\" : [ ] }", "{\"a\":1,\"b\":[]}"},
    {"[[],[[]],{},{\"a\":{}}]", NULL},
    {"[true,false,null,0,\"\"]", NULL},
    {"[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]", NULL},
    {"[0,-1,10,1.5,-0.0,0.001,1e5,1E5,1e+5,1e-5,0e0,1.25E+10]", NULL},
    {"[9007199254740993,-9007199254740993,18446744073709551616,123456789012345678901234567890]",
     NULL},
    {"[1.7976931348623157e308,5e-324,1e-999,-1.7976931348623157e308]", NULL},
    {"[3.141592653589793238462643383279,0.1000000000000000055511151231257827]", NULL},
    {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\\"\\\\/\\b\\f\\n\\r\\t\""},
    {"\"\\u0041\\u00e9\\u20AC\\uD83D\\ude00\"", "\"A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\""},
    {"\"\\u0001\\u001F\\u007f\"", "\"\\u0001\\u001f\x7f\""},
    {"\"\\ud7ff\\ue000\\ufffd\\uffff\"", "\"\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbd\xef\xbf\xbf\""},
    {"\"\\ud800\\udc00\\udbff\\udfff\"", "\"\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\""},
    {"\"\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\"", NULL},
    {"\"\xe2\x80\xa8\xe2\x80\xa9\"", NULL},
    {"\"'/\"", NULL},
    {"{\"\":\"\"}", NULL},
    {"{\"a\":1,\"A\":2,\"aa\":3,\"\xc3\xa1\":4}", NULL},
    {"{\"\\u0061\":1}", "{\"a\":1}"},
    {"{\"a\":{\"a\":{\"a\":1}},\"b\":[{\"a\":1},{\"a\":1}]}", NULL},
    {"{\"constructor\":1,\"__proto__\":2}", NULL},
    {"\"\\\\u0000\"", NULL},
    {"[\"\\\\\",\"\\\\\\\\\",\"\\\\\\\"\"]", NULL},
};

static void test_good(void **state)
{
    for (size_t i = 0; i < COUNT(good); i++) {
        const struct bytes text = exact_copy(S(good[i].text));
        struct json_document *document = must_parse(text);
        struct writer to = {0};
        struct json_writer json = json_writer_over(&to);

        compose_again(&json, json_document_root(document));
        assert_composed(&to, good[i].again ? good[i].again : good[i].text);
        writer_free(&to);
        json_document_free(&document);
        assert_null(document);
        json_document_free(&document);
        free((void *)text.data);
    }
}

static const struct json_value *at(const struct json_value *value, size_t index)
{
    value = json_value_first(value);
    while (index-- > 0) {
        value = json_value_next(value);
    }
    return value;
}

/* What the values were written with, to the byte. */
static void test_source(void **state)
{
    const struct bytes text = B(" { \"a\\u0062\" : [ 1.50 , \"\\u0041\" ,{ } ] ,\"n\": -0e1 } ");
    struct json_document *document = must_parse(text);
    const struct json_value *root = json_document_root(document);
    const struct json_value *array = json_value_member(root, "ab");
    const struct json_value *number = json_value_member(root, "n");

    assert_text("root", json_value_raw(root),
                "{ \"a\\u0062\" : [ 1.50 , \"\\u0041\" ,{ } ] ,\"n\": -0e1 }");
    assert_int_equal(json_value_offset(root), 1);
    assert_text("array", json_value_raw(array), "[ 1.50 , \"\\u0041\" ,{ } ]");
    assert_text("key", json_value_raw_key(array), "\"a\\u0062\"");
    assert_text("decoded key", json_value_key(array), "ab");
    assert_text("1.50", json_value_raw(at(array, 0)), "1.50");
    assert_text("string", json_value_raw(at(array, 1)), "\"\\u0041\"");
    assert_text("object", json_value_raw(at(array, 2)), "{ }");
    assert_text("number", json_value_raw(number), "-0e1");
    assert_int_equal(json_value_offset(number), text.len - strlen("-0e1 } "));
    assert_int_equal(json_value_key(at(array, 0)).len, 0);
    assert_int_equal(json_value_raw_key(root).len, 0);
    assert_true(json_value_raw(number).data > text.data);
    json_document_free(&document);
}

static void test_walk(void **state)
{
    struct json_document *document = must_parse(B("{\"a\":[[1],[],{}],\"A\":null,\"b\":true}"));
    const struct json_value *root = json_document_root(document);
    const struct json_value *a = json_value_member(root, "a");

    assert_int_equal(json_value_count(root), 3);
    assert_ptr_equal(json_value_first(root), a);
    assert_int_equal(json_value_type(json_value_member(root, "A")), JSON_TYPE_NULL);
    assert_int_equal(json_value_type(json_value_member(root, "b")), JSON_TYPE_BOOLEAN);
    assert_null(json_value_member(root, "B"));
    assert_null(json_value_member(root, ""));
    assert_null(json_value_member(a, "a"));
    assert_null(json_value_find(root, B("a\0b")));
    assert_null(json_value_next(root));
    assert_null(json_value_next(json_value_member(root, "b")));
    assert_int_equal(json_value_count(a), 3);
    assert_int_equal(json_value_count(at(a, 0)), 1);
    assert_int_equal(json_value_count(at(a, 1)), 0);
    assert_null(json_value_first(at(a, 1)));
    assert_null(json_value_first(at(at(a, 0), 0)));
    assert_int_equal(json_value_type(at(a, 2)), JSON_TYPE_OBJECT);
    json_document_free(&document);
}

static void test_typed(void **state)
{
    struct json_document *document =
        must_parse(B("{\"t\":\"\\u00e9\",\"y\":true,\"n\":false,\"f\":-1.5,\"i\":-12,\"z\":-0}"));
    const struct json_value *root = json_document_root(document);
    struct json_error error = {0};
    struct bytes text = {0};
    bool boolean = false;
    double number = 0;
    int64_t integer = 0;

    assert_true(json_value_text(json_value_member(root, "t"), &text, &error));
    assert_text("text", text, "\xc3\xa9");
    assert_int_equal(text.data[text.len], 0);
    assert_true(json_value_boolean(json_value_member(root, "y"), &boolean, &error));
    assert_true(boolean);
    assert_true(json_value_boolean(json_value_member(root, "n"), &boolean, &error));
    assert_false(boolean);
    assert_true(json_value_number(json_value_member(root, "f"), &number, &error));
    assert_true(number == -1.5);
    assert_true(json_value_number(json_value_member(root, "i"), &number, &error));
    assert_true(number == -12);
    assert_true(json_value_integer(json_value_member(root, "i"), &integer, &error));
    assert_int_equal(integer, -12);
    assert_true(json_value_integer(json_value_member(root, "z"), &integer, &error));
    assert_int_equal(integer, 0);
    /* Absent: no value, no error. */
    assert_false(json_value_text(json_value_member(root, "x"), &text, &error));
    assert_null(json_value_optional(root, "x", JSON_TYPE_STRING, &error));
    assert_int_equal(error.fault, JSON_FAULT_NONE);
    json_document_free(&document);
}

struct integer {
    const char *text;
    bool good;
    int64_t integer;
};

static const struct integer integers[] = {
    {"0", true, 0},
    {"9007199254740993", true, 9007199254740993},
    {"-9007199254740993", true, -9007199254740993},
    {"9223372036854775807", true, INT64_MAX},
    {"-9223372036854775808", true, INT64_MIN},
    {"9223372036854775808", false, 0},
    {"-9223372036854775809", false, 0},
    {"100000000000000000000000000000", false, 0},
    {"1.0", true, 1},
    {"-3.000", true, -3},
    {"1e3", true, 1000},
    {"1E+3", true, 1000},
    {"12.50e1", true, 125},
    {"120e-1", true, 12},
    {"0.3e1", true, 3},
    {"0E0", true, 0},
    {"-0.0e5", true, 0},
    {"0e99", true, 0},
    {"0.00000000000000000000000000000000000000001e41", true, 1},
    {"9223372036854775807.0", true, INT64_MAX},
    {"9.223372036854775807e18", true, INT64_MAX},
    {"-9.223372036854775808e18", true, INT64_MIN},
    {"9.223372036854775808e18", false, 0},
    {"92233720368547758070e-1", true, INT64_MAX},
    {"1.5", false, 0},
    {"1e-1", false, 0},
    {"125e-1", false, 0},
    {"1e-300", false, 0},
    {"1e19", false, 0},
    {"1e300", false, 0},
    {"\"1\"", false, 0},
};

static void test_integers(void **state)
{
    for (size_t i = 0; i < COUNT(integers); i++) {
        struct json_document *document = must_parse(S(integers[i].text));
        struct json_error error = {0};
        int64_t integer = 0;

        assert_int_equal(json_value_integer(json_document_root(document), &integer, &error),
                         integers[i].good);
        assert_int_equal(error.fault, integers[i].good ? JSON_FAULT_NONE : JSON_FAULT_TYPE);
        if (integers[i].good) {
            assert_int_equal(integer, integers[i].integer);
        }
        json_document_free(&document);
    }
}

/* The place, from the top, by keys and indices: followed down, then asked for a boolean. */
struct place {
    const char *text;
    const char *keys[8]; /* "0" to "9": an index, where the value is an array */
    const char *expected;
};

static const struct place places[] = {
    {"1", {NULL}, "message: true or false is expected"},
    {"{\"a\":1}", {"a"}, "a: true or false is expected"},
    {"[1,2]", {"1"}, "[1]: true or false is expected"},
    {"{\"data\":{\"actions\":[0,1,{\"from\":1}]}}",
     {"data", "actions", "2", "from"},
     "data.actions[2].from: true or false is expected"},
    {"[[[0,[1]]]]", {"0", "0", "1", "0"}, "[0][0][1][0]: true or false is expected"},
    {"{\"\":1}", {""}, "[\"\"]: true or false is expected"},
    {"{\"a b\":{\"c.d\":1}}", {"a b", "c.d"}, "[\"a b\"][\"c.d\"]: true or false is expected"},
    {"{\"a\\n\":{\"b_-9\":1}}", {"a\n", "b_-9"}, "[\"a\\n\"].b_-9: true or false is expected"},
    {"{\"1234567890123456789012345678901234567890\":1}",
     {"1234567890123456789012345678901234567890"},
     "1234567890123456789012345678901234567890: true or false is expected"},
    {"{\"12345678901234567890123456789012345678901\":1}",
     {"12345678901234567890123456789012345678901"},
     "[\"12345678901234567890123456789012345678...\"]: true or false is expected"},
    {"{\"123456789012345678901234567890123456\xf0\x9f\x98\x80 and on\":1}",
     {"123456789012345678901234567890123456\xf0\x9f\x98\x80 and on"},
     "[\"123456789012345678901234567890123456...\"]: true or false is expected"},
    {"{\"abcdefghijklmnopqrstuvwxyz0123456789\":{\"abcdefghijklmnopqrstuvwxyz0123456789\":{"
     "\"abcdefghijklmnopqrstuvwxyz0123456789\":{\"abcdefghijklmnopqrstuvwxyz0123456789\":{"
     "\"abcdefghijklmnopqrstuvwxyz0123456789\":1}}}}}",
     {"abcdefghijklmnopqrstuvwxyz0123456789", "abcdefghijklmnopqrstuvwxyz0123456789",
      "abcdefghijklmnopqrstuvwxyz0123456789", "abcdefghijklmnopqrstuvwxyz0123456789",
      "abcdefghijklmnopqrstuvwxyz0123456789"},
     "abcdefghijklmnopqrstuvwxyz0123456789.abcdefghijklmnopqrstuvwxyz0123456789."
     "abcdefghijklmnopqrstuvwxyz0123456789.abcdefghijklmnopqrstuvwxyz0123456789....: "
     "true or false is expected"},
};

static void test_places(void **state)
{
    for (size_t i = 0; i < COUNT(places); i++) {
        struct json_document *document = must_parse(S(places[i].text));
        const struct json_value *value = json_document_root(document);
        struct json_error error = {0};
        bool boolean;

        for (size_t k = 0; k < COUNT(places[i].keys) && places[i].keys[k]; k++) {
            value = json_value_type(value) == JSON_TYPE_ARRAY
                        ? at(value, strtoul(places[i].keys[k], NULL, 10))
                        : json_value_member(value, places[i].keys[k]);
        }
        assert_non_null(value);
        assert_false(json_value_boolean(value, &boolean, &error));
        assert_string_equal(error.text, places[i].expected);
        assert_int_equal(error.where, json_value_offset(value));
        json_document_free(&document);
    }
}

static void test_expectations(void **state)
{
    static const char *const texts[] = {
        [JSON_TYPE_NULL] = "a: null is expected",
        [JSON_TYPE_BOOLEAN] = "a: true or false is expected",
        [JSON_TYPE_NUMBER] = "a: a number is expected",
        [JSON_TYPE_STRING] = "a: a string is expected",
        [JSON_TYPE_ARRAY] = "a: an array is expected",
        [JSON_TYPE_OBJECT] = "a: an object is expected",
    };
    static const char *const documents[] = {"{\"a\":null}",  "{\"a\":true}", "{\"a\":1}",
                                            "{\"a\":\"b\"}", "{\"a\":[]}",   "{\"a\":{}}"};

    for (size_t i = 0; i < COUNT(documents); i++) {
        struct json_document *document = must_parse(S(documents[i]));
        const struct json_value *root = json_document_root(document);

        for (size_t type = 0; type < COUNT(texts); type++) {
            struct json_error error = {0}, again = {0};

            assert_int_equal(json_value_require(root, "a", type, &error) != NULL, type == i);
            assert_int_equal(json_value_optional(root, "a", type, &again) != NULL, type == i);
            assert_string_equal(error.text, type == i ? "" : texts[type]);
            assert_string_equal(again.text, error.text);
        }
        json_document_free(&document);
    }
}

static void test_missing(void **state)
{
    struct json_document *document = must_parse(B("{\"data\":{\"a\":[{}]},\"n\":1}"));
    const struct json_value *root = json_document_root(document);
    struct json_error error = {0};
    const struct json_value *data = json_value_require(root, "data", JSON_TYPE_OBJECT, &error);
    const struct json_value *array = json_value_require(data, "a", JSON_TYPE_ARRAY, &error);

    assert_null(json_value_require(at(array, 0), "from", JSON_TYPE_STRING, &error));
    assert_string_equal(error.text, "data.a[0].from: is missing");
    assert_int_equal(error.fault, JSON_FAULT_MISSING);
    error = (struct json_error){0};
    assert_null(json_value_require(root, "x", JSON_TYPE_STRING, &error));
    assert_string_equal(error.text, "x: is missing");
    error = (struct json_error){0};
    assert_null(json_value_require(json_value_member(root, "n"), "x", JSON_TYPE_STRING, &error));
    assert_string_equal(error.text, "n: an object is expected");
    error = (struct json_error){0};
    assert_null(json_value_require(NULL, "x", JSON_TYPE_STRING, &error));
    assert_int_equal(error.fault, JSON_FAULT_NONE);
    json_document_free(&document);
}

static void test_rules(void **state)
{
    struct json_document *document = must_parse(B("{\"data\":\"1:a\"}"));
    const struct json_value *data = json_value_member(json_document_root(document), "data");
    struct json_error error = {0};

    assert_false(json_value_fail(data, JSON_FAULT_RULE, "no id", &error));
    assert_int_equal(error.fault, JSON_FAULT_RULE);
    assert_string_equal(error.reason, "no id");
    assert_string_equal(error.text, "data: no id");
    assert_int_equal(error.where, 8);
    error = (struct json_error){0};
    assert_false(json_error_set(&error, JSON_FAULT_LIMIT, "properties", "too many"));
    assert_string_equal(error.text, "properties: too many");
    error = (struct json_error){0};
    assert_false(json_error_set(&error, JSON_FAULT_LIMIT, "", "too many"));
    assert_string_equal(error.text, "message: too many");
    json_document_free(&document);
}

/* More keys than are compared pair by pair, and a look-up of each. */
static void test_many_keys(void **state)
{
    struct writer to = {0};
    struct json_writer json = json_writer_over(&to);
    struct json_document *document;
    char key[16];

    json_write_object_begin(&json);
    for (int i = 0; i < 200; i++) {
        (void)snprintf(key, sizeof key, "%d", i);
        json_write_key(&json, S(key));
        json_write_integer(&json, i);
    }
    json_write_object_end(&json);
    document = must_parse(writer_bytes_written(&to));
    for (int i = 0; i < 200; i++) {
        struct json_error error = {0};
        int64_t integer = -1;

        (void)snprintf(key, sizeof key, "%d", i);
        assert_true(json_value_integer(json_value_member(json_document_root(document), key),
                                       &integer, &error));
        assert_int_equal(integer, i);
    }
    json_document_free(&document);
    writer_free(&to);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),     cmocka_unit_test(test_source),
        cmocka_unit_test(test_walk),     cmocka_unit_test(test_typed),
        cmocka_unit_test(test_integers), cmocka_unit_test(test_places),
        cmocka_unit_test(test_missing),  cmocka_unit_test(test_expectations),
        cmocka_unit_test(test_rules),    cmocka_unit_test(test_many_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
