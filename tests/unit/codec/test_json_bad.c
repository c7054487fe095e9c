/*
 * Texts that the JSON layer refuses: each with the kind of fault, the byte where it is, and a line
 * that can be sent to the peer. cases/json_bad.txt is the corpus.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "codec/json_case.h"

static void assert_tellable(const struct json_error *error)
{
    const size_t len = strlen(error->text);

    assert_non_null(error->reason);
    assert_true(len > 0 && len < sizeof error->text);
    assert_true(bytes_is_utf8(S(error->text)));
    for (size_t i = 0; i < len; i++) {
        assert_true((unsigned char)error->text[i] >= 0x20);
    }
    assert_true(len > strlen(error->reason));
    assert_string_equal(error->text + len - strlen(error->reason), error->reason);
}

static void check_bad(const char *fault, const char *where, struct bytes text)
{
    struct json_error error = {0};
    struct json_document *document = json_document_parse(text, &ordinary, &error);

    if (document || strcmp(json_fault_name(error.fault), fault) != 0 ||
        error.where != strtoul(where, NULL, 10)) {
        fail_msg("%.*s: %s at %zu (%s), not %s at %s", (int)text.len, (const char *)text.data,
                 json_fault_name(error.fault), error.where, error.text, fault, where);
    }
    assert_true(error.where <= text.len);
    assert_tellable(&error);
    assert_false(json_scalar_is_valid(text));
}

static void test_corpus(void **state)
{
    assert_true(each_case("json_bad.txt", check_bad) >= 500);
}

static void test_empty(void **state)
{
    struct json_error error = {0};

    assert_null(json_document_parse((struct bytes){0}, &ordinary, &error));
    assert_int_equal(error.fault, JSON_FAULT_EMPTY);
    assert_tellable(&error);
}

/* The whole is good; whatever is shorter is not, as its bracket is missing. */
static void test_every_beginning(void **state)
{
    static const char *const texts[] = {
        "{\"command\":\"joingame\",\"data\":{\"channel\":\"CStrike\",\"invite\":[\"1:2\"]}}",
        "[ true , false,null ,-1.5e+3, \"\\u00e9\\ud83d\\ude00\\n\", {}, [] ,0]",
        "{\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\":{\"a\":[[[{\"b\":[]}]]]}}",
    };

    for (size_t i = 0; i < COUNT(texts); i++) {
        const size_t whole = strlen(texts[i]);

        for (size_t len = 0; len <= whole; len++) {
            const struct bytes text = exact_copy((struct bytes){S(texts[i]).data, len});
            struct json_error error = {0};
            struct json_document *document = json_document_parse(text, &ordinary, &error);

            assert_int_equal(document != NULL, len == whole);
            if (!document) {
                assert_true(error.where <= len);
                assert_tellable(&error);
            }
            json_document_free(&document);
            free((void *)text.data);
        }
    }
}

struct limit {
    const char *name;
    struct json_limits limits;
    const char *good, *bad; /* at the limit, and just above */
    enum json_fault fault;
    size_t where;
};

#define NUMBER_63 "123456789012345678901234567890123456789012345678901234567890123"

static const struct limit limits[] = {
    {"bytes", {4, 9, 9, 9, 9, false}, "[12]", "[123]", JSON_FAULT_BYTES, 0},
    {"bytes, spaces too", {4, 9, 9, 9, 9, false}, " [] ", " []  ", JSON_FAULT_BYTES, 0},
    {"depth 0", {99, 0, 9, 9, 9, false}, "1", "[]", JSON_FAULT_DEPTH, 0},
    {"depth 1", {99, 1, 9, 9, 9, false}, "[1,2]", "[1,{}]", JSON_FAULT_DEPTH, 3},
    {"depth 2", {99, 2, 9, 9, 9, false}, "[[],[],{}]", "{\"a\":[{}]}", JSON_FAULT_DEPTH, 6},
    {"keys",
     {99, 9, 2, 9, 9, false},
     "{\"a\":{},\"b\":{\"c\":0,\"d\":0}}",
     "{\"a\":1,\"b\":2,\"c\":3}",
     JSON_FAULT_KEYS,
     13},
    {"no keys", {99, 9, 0, 9, 9, false}, "[{}]", "[{\"a\":1}]", JSON_FAULT_KEYS, 2},
    {"keys are no elements",
     {99, 9, 2, 9, 9, false},
     "[1,2,3]",
     "{\"a\":1,\"b\":2, \"c\":3}",
     JSON_FAULT_KEYS,
     14},
    {"values", {99, 9, 9, 3, 9, false}, "[1,2]", "[1,2,3]", JSON_FAULT_VALUES, 5},
    {"values, nested",
     {99, 9, 9, 3, 9, false},
     "[{\"a\":1}]",
     "[{\"a\":[]},0]",
     JSON_FAULT_VALUES,
     10},
    {"number", {99, 9, 9, 9, 3, false}, "[123,-12,1.5,1e5]", "[123,1234]", JSON_FAULT_RANGE, 5},
    {"number, by nature",
     {999, 9, 9, 9, 999, false},
     NUMBER_63,
     NUMBER_63 "4",
     JSON_FAULT_RANGE,
     0},
};

static void test_limits(void **state)
{
    for (size_t i = 0; i < COUNT(limits); i++) {
        const struct limit *limit = &limits[i];
        struct json_error error = {0};
        struct json_document *document =
            json_document_parse(S(limit->good), &limit->limits, &error);

        if (!document) {
            fail_msg("%s: %s", limit->name, error.text);
        }
        json_document_free(&document);
        assert_null(json_document_parse(S(limit->bad), &limit->limits, &error));
        if (error.fault != limit->fault || error.where != limit->where) {
            fail_msg("%s: %s", limit->name, error.text);
        }
        assert_tellable(&error);
    }
}

static void test_depth_has_an_end(void **state)
{
    const struct json_limits deep = {
        .bytes = 4 * JSON_DEPTH_MAX, .depth = 2 * JSON_DEPTH_MAX, .values = 2 * JSON_DEPTH_MAX};
    struct json_error error = {0};
    struct json_document *document;
    uint8_t text[2 * (JSON_DEPTH_MAX + 1)];

    memset(text, '[', JSON_DEPTH_MAX);
    memset(text + JSON_DEPTH_MAX, ']', JSON_DEPTH_MAX);
    document = json_document_parse((struct bytes){text, 2 * (size_t)JSON_DEPTH_MAX}, &deep, &error);
    assert_non_null(document);
    json_document_free(&document);
    memset(text, '[', JSON_DEPTH_MAX + 1);
    memset(text + JSON_DEPTH_MAX + 1, ']', JSON_DEPTH_MAX + 1);
    assert_null(json_document_parse((struct bytes){text, sizeof text}, &deep, &error));
    assert_int_equal(error.fault, JSON_FAULT_DEPTH);
    assert_int_equal(error.where, JSON_DEPTH_MAX);
}

/* An error that is there already stays, and nothing succeeds beside it. */
static void test_first_error_stays(void **state)
{
    struct json_error error = {0};
    struct json_document *document = must_parse(B("{\"a\":1}"));
    const struct json_value *root = json_document_root(document);
    double number;

    assert_null(json_document_parse(B("[1,]"), &ordinary, &error));
    assert_null(json_document_parse(B("{}"), &ordinary, &error));
    assert_null(json_value_require(root, "a", JSON_TYPE_NUMBER, &error));
    assert_null(json_value_require(root, "b", JSON_TYPE_NUMBER, &error));
    assert_false(json_value_number(json_value_member(root, "a"), &number, &error));
    assert_false(json_value_fail(root, JSON_FAULT_RULE, "another", &error));
    assert_false(json_error_set(&error, JSON_FAULT_RULE, "", "another"));
    assert_int_equal(error.fault, JSON_FAULT_SYNTAX);
    assert_int_equal(error.where, 3);
    assert_string_equal(error.text, "byte 3: a comma with nothing after it");
    json_document_free(&document);
}

static void test_faults_have_names(void **state)
{
    for (int a = JSON_FAULT_NONE; a <= JSON_FAULT_LIMIT; a++) {
        assert_non_null(json_fault_name(a));
        for (int b = JSON_FAULT_NONE; b < a; b++) {
            assert_string_not_equal(json_fault_name(a), json_fault_name(b));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_corpus),
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_every_beginning),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_depth_has_an_end),
        cmocka_unit_test(test_first_error_stays),
        cmocka_unit_test(test_faults_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
