/* sync_members: the parts of an object of properties, and what is unlike in two. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "protocol/sync/members.h"

#define B(text) bytes_from_string(text)

static void check(struct writer *text, const char *expected)
{
    writer_u8(text, 0);
    assert_false(text->failed);
    assert_string_equal((const char *)text->data, expected);
    writer_free(text);
}

static void test_members(void **state)
{
    static const struct {
        const char *object;
        const char *members; /* name=value; */
    } cases[] = {
        {"{}", ""},
        {"{\"a\":1}", "\"a\"=1;"},
        {"{\"\":\"\"}", "\"\"=\"\";"},
        {"{\"a\":true,\"b\":-1.5e+3,\"c\":\"x\"}", "\"a\"=true;\"b\"=-1.5e+3;\"c\"=\"x\";"},
        {"{\"a\\\"b\":\"},{\\\\\",\"c,\":\"\\\",\\\"\"}",
         "\"a\\\"b\"=\"},{\\\\\";\"c,\"=\"\\\",\\\"\";"},
        {"{\"a\":[1,{\"b\":[]}],\"c\":{\"d\":1,\"e\":{}},\"f\":[],\"g\":2}",
         "\"a\"=[1,{\"b\":[]}];\"c\"={\"d\":1,\"e\":{}};\"f\"=[];\"g\"=2;"},
        {"{\"a\":[\"]\",\"}\\\"]\",\",\"],\"b\":{\"}\":\"{\"}}",
         "\"a\"=[\"]\",\"}\\\"]\",\",\"];\"b\"={\"}\":\"{\"};"},
        {"", ""},
        {"{", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct bytes rest = B(cases[i].object), name, value;
        struct writer text = {0};
        while (sync_member_next(&rest, &name, &value)) {
            writer_bytes(&text, name);
            writer_u8(&text, '=');
            writer_bytes(&text, value);
            writer_u8(&text, ';');
            assert_true(bytes_equal(sync_member_find(B(cases[i].object), name), value));
        }
        check(&text, cases[i].members);
    }
    assert_null(sync_member_find(B("{\"a\":1}"), B("\"b\"")).data);
    assert_null(sync_member_find(B("{\"a\":1}"), B("a")).data);
    assert_null(sync_member_find(B("{}"), B("\"a\"")).data);
}

/* Whatever comes, it ends, and stays within its bounds. */
static void test_what_is_no_object(void **state)
{
    static const char *const texts[] = {
        "{\"",        "{\"a",        "{\"a\"",          "{\"a\":",
        "{\"a\":\"",  "{\"a\":\"\\", "[1,2]",           "\"\"\"\"",
        ",\"a\":1",   "{\"a\":1,",   "{\"a\":1,\"b\":", "{\"a\":[",
        "{\"a\":[\"", "{\"a\":[}",   "{\"a\":]",        "{\"a\":{\"b\":[1}}"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct bytes text = B(texts[i]), rest = text, name, value;
        while (sync_member_next(&rest, &name, &value)) {
            assert_true(name.data >= text.data && name.data + name.len <= text.data + text.len);
            assert_true(value.data >= text.data && value.data + value.len <= text.data + text.len);
        }
    }
}

static void test_changes(void **state)
{
    static const struct {
        const char *before, *after;
        const char *names;
    } cases[] = {
        {"{}", "{}", ""},
        {"{\"a\":1}", "{\"a\":1}", ""},
        {"{}", "{\"a\":1,\"b\":2}", "\"a\"\"b\""},
        {"{\"a\":1,\"b\":2}", "{}", "\"a\"\"b\""},
        {"{\"a\":1,\"b\":2,\"c\":3}", "{\"a\":1,\"b\":20,\"c\":3}", "\"b\""},
        {"{\"a\":1,\"c\":3}", "{\"a\":1,\"b\":2,\"c\":3}", "\"b\""},
        {"{\"a\":1,\"b\":2,\"c\":3}", "{\"b\":2,\"c\":3}", "\"a\""},
        {"{\"a\":1,\"b\":2}", "{\"b\":2,\"a\":1}", ""},
        {"{\"a\":1}", "{\"a\":\"1\"}", "\"a\""},
        {"{\"a\":[1,2],\"b\":{\"c\":1}}", "{\"a\":[1,2],\"b\":{\"c\":2}}", "\"b\""},
        {"{\"a\":{\"b\":1,\"c\":2},\"c\":3}", "{\"a\":{\"b\":1},\"c\":3}", "\"a\""},
        {"{\"a\":1,\"b\":2}", "{\"b\":3,\"c\":4}", "\"b\"\"c\"\"a\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct writer names = {0};
        sync_names_add_changes(&names, B(cases[i].before), B(cases[i].after));
        check(&names, cases[i].names);
    }
}

static void test_names(void **state)
{
    struct writer names = {0};
    struct bytes rest, name;
    size_t count = 0;
    sync_names_add(&names, B("\"a\"\"b\\\"\""));
    sync_names_add(&names, B("\"b\\\"\"\"c\"\"a\"\"\""));
    assert_true(sync_names_have(writer_bytes_written(&names), B("\"c\"")));
    assert_true(sync_names_have(writer_bytes_written(&names), B("\"\"")));
    assert_false(sync_names_have(writer_bytes_written(&names), B("\"b\"")));
    rest = writer_bytes_written(&names);
    while (sync_names_next(&rest, &name)) {
        count++;
    }
    assert_int_equal(count, 4);
    check(&names, "\"a\"\"b\\\"\"\"c\"\"\"");
}

static void test_values_of_names(void **state)
{
    static const struct {
        const char *object, *names, *expected;
    } cases[] = {
        {"{\"a\":1,\"b\":\"x\"}", "", "{}"},
        {"{\"a\":1,\"b\":\"x\"}", "\"b\"", "{\"b\":\"x\"}"},
        {"{\"a\":1,\"b\":\"x\"}", "\"b\"\"c\"\"a\"", "{\"b\":\"x\",\"c\":null,\"a\":1}"},
        {"{}", "\"a\"", "{\"a\":null}"},
        {"{\"a\":[1,2],\"b\":{\"c\":{}}}", "\"b\"\"c\"", "{\"b\":{\"c\":{}},\"c\":null}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct writer text = {0};
        sync_members_write(&text, B(cases[i].object), B(cases[i].names));
        check(&text, cases[i].expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_members),         cmocka_unit_test(test_what_is_no_object),
        cmocka_unit_test(test_changes),         cmocka_unit_test(test_names),
        cmocka_unit_test(test_values_of_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
