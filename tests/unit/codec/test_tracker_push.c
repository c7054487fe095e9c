/*
 * The Tracker codec's pushes, written by the server and read by a client.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "codec/tracker_case.h"

static const struct bytes example_all = B("\x2a\x01\x03\x3a\x03"
                                          "\x01\x07someId1\x09theState1"
                                          "\x02\x07someId2\x09theState2"
                                          "\x03\x07someId3\x09theState3");

static void test_push_writers(void **state)
{
    const struct bytes ids[] = {B("someId1"), B("someId2"), B("someId3")};
    const struct bytes states[] = {B("theState1"), B("theState2"), B("theState3")};
    struct writer to = {0};
    tracker_write_update_one(&to, 2, ids[0], states[0]);
    assert_int_equal(to.len, TRACKER_PUSH_HEADER + tracker_entry_size(ids[0], states[0]));
    assert_written(&to, B("\x2a\x01\x02\x13\x02\x07someId1\x09theState1"));

    writer_string(&to, "before");
    const struct tracker_all all = tracker_all_begin(&to, 3);
    for (uint8_t i = 0; i < 3; i++) {
        assert_true(tracker_all_has_room(&to, &all, ids[i], states[i]));
        tracker_all_entry(&to, i + 1, ids[i], states[i]);
    }
    tracker_all_end(&to, &all);
    assert_bytes("before", (struct bytes){to.data, 6}, B("before"));
    assert_bytes("Update all", (struct bytes){to.data + 6, to.len - 6}, example_all);
    writer_reset(&to);

    const struct tracker_all none = tracker_all_begin(&to, 255);
    tracker_all_end(&to, &none);
    assert_written(&to, B("\x2a\x01\x03\x01\xff"));
    writer_free(&to);
}

static void test_push_sizes(void **state)
{
    static const uint8_t memory[300];
    const struct bytes id = {memory, 7};
    struct writer to = {0};
    assert_true(tracker_fits(id, (struct bytes){memory, 244}));
    assert_false(tracker_fits(id, (struct bytes){memory, 245}));
    assert_true(tracker_fits((struct bytes){memory, 251}, B("")));
    assert_false(tracker_fits((struct bytes){memory, 252}, B("")));
    assert_false(tracker_fits(B(""), B("state")));

    /* What fits is read back, and it fills a packet alone. */
    const struct bytes largest = {memory, 244};
    struct tracker_push push;
    tracker_write_update_one(&to, 1, id, largest);
    assert_int_equal(tracker_read_push(writer_bytes_written(&to), &push).outcome, TRACKER_MESSAGE);
    writer_reset(&to);
    const struct tracker_all all = tracker_all_begin(&to, 1);
    assert_true(tracker_all_has_room(&to, &all, id, largest));
    tracker_all_entry(&to, 1, id, largest);
    assert_false(tracker_all_has_room(&to, &all, B("i"), B("")));
    tracker_all_end(&to, &all);
    assert_int_equal(to.data[3], 255);
    assert_int_equal(tracker_read_push(writer_bytes_written(&to), &push).outcome, TRACKER_MESSAGE);
    assert_int_equal(push.entries.len, 254);
    writer_free(&to);
}

static void check_push_prefixes(struct bytes input, size_t shown, enum tracker_outcome outcome,
                                enum tracker_error error)
{
    for (size_t len = 0; len <= input.len; len++) {
        struct tracker_push push = {.version = 77};
        void *memory = mem_dup(input.data, len);
        const struct tracker_result result = tracker_read_push((struct bytes){memory, len}, &push);
        assert_int_equal(result.outcome, len < shown ? TRACKER_MORE : outcome);
        assert_int_equal(result.error, len < shown ? TRACKER_ERROR_NONE : error);
        assert_int_equal(result.consumed, result.outcome == TRACKER_MESSAGE ? shown : 0);
        if (result.outcome != TRACKER_MESSAGE) {
            assert_int_equal(push.version, 77);
        }
        free(memory);
    }
}

static void test_push_update_one(void **state)
{
    const struct bytes input = B("\x2a\x01\x02\x13\x02\x07someId1\x09theState1\x2a\x01\x02");
    struct tracker_push push;
    check_push_prefixes(input, 23, TRACKER_MESSAGE, TRACKER_ERROR_NONE);
    assert_int_equal(tracker_read_push(input, &push).consumed, 23);
    assert_int_equal(push.type, TRACKER_UPDATE);
    assert_int_equal(push.version, 2);
    assert_bytes("id", push.id, B("someId1"));
    assert_bytes("state", push.state, B("theState1"));
}

static void test_push_update_all(void **state)
{
    struct tracker_push push;
    struct bytes id;
    struct bytes entry_state;
    uint8_t version;
    check_push_prefixes(example_all, example_all.len, TRACKER_MESSAGE, TRACKER_ERROR_NONE);
    assert_int_equal(tracker_read_push(example_all, &push).consumed, 62);
    assert_int_equal(push.type, TRACKER_ALL);
    assert_int_equal(push.version, 3);
    for (uint8_t i = 1; i <= 3; i++) {
        assert_true(tracker_all_next(&push.entries, &version, &id, &entry_state));
        assert_int_equal(version, i);
        assert_int_equal(id.len, 7);
        assert_int_equal(id.data[6], '0' + i);
        assert_int_equal(entry_state.data[8], '0' + i);
    }
    assert_false(tracker_all_next(&push.entries, &version, &id, &entry_state));
    assert_int_equal(push.entries.len, 0);
    check_push_prefixes(B("\x2a\x01\x03\x01\x07"), 5, TRACKER_MESSAGE, TRACKER_ERROR_NONE);
}

static void test_bad_pushes(void **state)
{
    const struct {
        enum tracker_error error;
        struct bytes input; /* the last byte is the first that shows the error */
    } rows[] = {
        {TRACKER_ERROR_MAGIC, B("\x42")},
        {TRACKER_ERROR_MAGIC, B("\x01")},
        {TRACKER_ERROR_VERSION, B("\x2a\x02")},
        {TRACKER_ERROR_TYPE, B("\x2a\x01\x00")},
        {TRACKER_ERROR_TYPE, B("\x2a\x01\x01")},
        {TRACKER_ERROR_TYPE, B("\x2a\x01\x04")},
        {TRACKER_ERROR_LENGTH, B("\x2a\x01\x02\x03")},
        {TRACKER_ERROR_LENGTH, B("\x2a\x01\x02\x05\x01\x01i\x02")},
        {TRACKER_ERROR_LENGTH, B("\x2a\x01\x03\x00")},
        {TRACKER_ERROR_LENGTH, B("\x2a\x01\x03\x02\x01\x01")},          /* an entry cut short */
        {TRACKER_ERROR_LENGTH, B("\x2a\x01\x03\x05\x01\x01\x01i\x01")}, /* no state */
        {TRACKER_ERROR_LENGTH, B("\x2a\x01\x03\x04\x01\x01\x00\x00")},  /* an empty id */
        {TRACKER_ERROR_LENGTH, B("\x2a\x01\x03\x06\x01\x01\x01i\x00\x01")},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        check_push_prefixes(rows[i].input, rows[i].input.len, TRACKER_FAILED, rows[i].error);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_push_writers),    cmocka_unit_test(test_push_sizes),
        cmocka_unit_test(test_push_update_one), cmocka_unit_test(test_push_update_all),
        cmocka_unit_test(test_bad_pushes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
