/* Bodies of fields, names that are not free for a protocol's fields, and the names of statuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "schema/fields.h"
#include "schema/status.h"

static void test_bodies_are_put_together(void **state)
{
    struct writer body = {0};
    struct bytes value;
    fields_set(&body, BYTES_LITERAL("p:a"), BYTES_LITERAL("1"));
    fields_set(&body, BYTES_LITERAL("p:b"), BYTES_LITERAL(""));
    fields_set(&body, BYTES_LITERAL("p:c"), (struct bytes){0});
    assert_true(
        bytes_equal(writer_bytes_written(&body), BYTES_LITERAL("3 1\np:a13 0\np:b3 -\np:c")));
    assert_int_equal(fields_count(writer_bytes_written(&body)), 4);
    assert_int_equal(fields_count_deleted(writer_bytes_written(&body)), 1);
    fields_set(&body, BYTES_LITERAL("p:a"), BYTES_LITERAL("22"));
    assert_true(
        bytes_equal(writer_bytes_written(&body), BYTES_LITERAL("3 0\np:b3 -\np:c3 2\np:a22")));
    assert_true(fields_find(writer_bytes_written(&body), BYTES_LITERAL("p:b"), &value));
    assert_non_null(value.data);
    assert_true(fields_find(writer_bytes_written(&body), BYTES_LITERAL("p:c"), &value));
    assert_null(value.data);
    assert_false(fields_find(writer_bytes_written(&body), BYTES_LITERAL("p:"), &value));
    fields_remove(&body, BYTES_LITERAL("p:c"));
    fields_remove(&body, BYTES_LITERAL("p:c"));
    fields_remove(&body, BYTES_LITERAL("p:a"));
    fields_remove(&body, BYTES_LITERAL("p:b"));
    assert_int_equal(body.len, 0);
    writer_free(&body);
}

static void test_an_update_is_merged_into_the_known_fields(void **state)
{
    struct bytes known = BYTES_LITERAL("3 1\np:a13 1\np:b24 1\nnodex");
    struct fields_merged merged;

    fields_merge(known, BYTES_LITERAL("5 1\nstates3 1\np:a13 2\np:b22"), false, false, &merged);
    assert_true(merged.is_replaced && merged.has_state);
    assert_true(bytes_equal(merged.state, BYTES_LITERAL("s")));
    assert_int_equal(merged.changes, FIELDS_CONTENTS);
    assert_true(bytes_equal(writer_bytes_written(&merged.fields),
                            BYTES_LITERAL("3 1\np:a13 2\np:b224 1\nnodex")));
    writer_free(&merged.fields);

    fields_merge(known, BYTES_LITERAL("5 1\nstates"), false, false, &merged);
    assert_true(!merged.is_replaced && merged.has_state);
    assert_int_equal(merged.changes, FIELDS_UNCHANGED);
    assert_int_equal(merged.fields.len, 0);

    fields_merge(known, BYTES_LITERAL("4 1\nnodey"), false, false, &merged);
    assert_int_equal(merged.changes, FIELDS_OWNER);
    writer_free(&merged.fields);
}

static void test_deletions_are_merged(void **state)
{
    struct bytes known = BYTES_LITERAL("3 1\np:a13 1\np:b2"),
                 body = BYTES_LITERAL("3 -\np:a3 -\np:c");
    struct fields_merged merged;

    fields_merge(known, body, false, false, &merged);
    assert_int_equal(merged.changes, FIELDS_CONTENTS);
    assert_true(bytes_equal(writer_bytes_written(&merged.fields), BYTES_LITERAL("3 1\np:b2")));
    writer_free(&merged.fields);

    fields_merge(known, body, false, true, &merged);
    assert_true(bytes_equal(writer_bytes_written(&merged.fields),
                            BYTES_LITERAL("3 -\np:a3 -\np:c3 1\np:b2")));
    writer_free(&merged.fields);
}

static void test_a_whole_body_replaces_the_known_fields(void **state)
{
    struct bytes known = BYTES_LITERAL("3 1\np:a15 1\nsince7");
    struct fields_merged merged;

    fields_merge(known, BYTES_LITERAL("3 1\np:a1"), true, false, &merged);
    assert_int_equal(merged.changes, FIELDS_OWNER);
    assert_true(merged.is_replaced && !merged.has_state);
    assert_true(bytes_equal(writer_bytes_written(&merged.fields), BYTES_LITERAL("3 1\np:a1")));
    writer_free(&merged.fields);

    fields_merge(known, (struct bytes){0}, true, false, &merged);
    assert_int_equal(merged.changes, FIELDS_OWNER | FIELDS_CONTENTS);
    assert_true(merged.is_replaced);
    assert_int_equal(merged.fields.len, 0);
}

static void test_names_of_the_map_are_not_free(void **state)
{
    static const char *const kept[] = {"state",   "version", "protocol", "node",   "session",
                                       "address", "since",   "user",     "status", "resume"};
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
        assert_false(map_field_is_free(bytes_from_string(kept[i])));
    }
    assert_true(map_field_is_free(BYTES_LITERAL("p:state")));
    assert_true(map_field_is_free(BYTES_LITERAL("states")));
}

static void test_names_of_statuses(void **state)
{
    enum map_status status;
    for (int i = MAP_OFFLINE; i <= MAP_BUSY; i++) {
        assert_true(
            map_status_read(bytes_from_string(map_status_name((enum map_status)i)), &status));
        assert_int_equal(status, i);
    }
    assert_false(map_status_read(BYTES_LITERAL("away"), &status));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bodies_are_put_together),
        cmocka_unit_test(test_an_update_is_merged_into_the_known_fields),
        cmocka_unit_test(test_deletions_are_merged),
        cmocka_unit_test(test_a_whole_body_replaces_the_known_fields),
        cmocka_unit_test(test_names_of_the_map_are_not_free),
        cmocka_unit_test(test_names_of_statuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
