/* The event messages: read whole, field by field, and refused when malformed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "schema/event.h"

#define EPOCH "00112233445566ff"

static void test_a_message_with_two_events(void **state)
{
    const char *body = "5 5\nstatehello8 4\nprotocoltest";
    char message_text[256];
    int len =
        snprintf(message_text, sizeof message_text,
                 "1 " EPOCH " 41 2\nopen 7 1 %zu\nabcdefg0%sclose 3 0 0\nx\ny", strlen(body), body);
    struct event_message message;
    struct event event;
    bool bad;
    assert_true(event_message_read((struct bytes){(uint8_t *)message_text, (size_t)len}, &message));
    assert_int_equal(message.epoch, 0x00112233445566ff);
    assert_int_equal(message.revision, 41);
    assert_int_equal(message.count, 2);
    assert_true(event_next(&message, &event, &bad));
    assert_int_equal(event.op, EVENT_OPEN);
    assert_true(bytes_equal(event.id, BYTES_LITERAL("abcdefg")));
    assert_int_equal(event.version, 0);
    assert_true(bytes_equal(event_field_find(event.body, "state"), BYTES_LITERAL("hello")));
    assert_true(bytes_equal(event_field_find(event.body, "protocol"), BYTES_LITERAL("test")));
    assert_null(event_field_find(event.body, "node").data);
    assert_true(event_next(&message, &event, &bad));
    assert_int_equal(event.op, EVENT_CLOSE);
    assert_true(bytes_equal(event.id, BYTES_LITERAL("x\ny")));
    assert_false(event_next(&message, &event, &bad));
    assert_false(bad);
}

static void test_malformed_headers_are_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "1",
        "2 " EPOCH " 1 1\n",
        "1 short 1 1\n",
        "1 " EPOCH " 1 1",
        "1 " EPOCH " x 1\n",
        "1 00112233445566FF 1 1\n",
        "1 " EPOCH " 99999999999999999999 1\n",
    };
    struct event_message message;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_false(event_message_read(bytes_from_string(bad[i]), &message));
    }
}

static void test_malformed_events_are_refused(void **state)
{
    static const char *const bad[] = {
        "open",           "open 3",         "open 3 0 0",   "open 3 0 0\nab",
        "open 3 0 9\nab", "open -1 0 0\nx", "open a 0 0\n", "open 18446744073709551615 1 1\nx",
    };
    struct event_message message;
    struct event event;
    bool malformed;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[128];
        snprintf(text, sizeof text, "1 " EPOCH " 1 1\n%s", bad[i]);
        assert_true(event_message_read(bytes_from_string(text), &message));
        assert_false(event_next(&message, &event, &malformed));
        assert_true(malformed);
    }
}

static void test_unknown_operations_are_passed_over(void **state)
{
    struct event_message message;
    struct event event;
    bool bad;
    assert_true(event_message_read(BYTES_LITERAL("1 " EPOCH " 1 1\nfuture 1 0 2\naxy"), &message));
    assert_true(event_next(&message, &event, &bad));
    assert_int_equal(event.op, EVENT_OTHER);
    assert_string_equal(event_op_name(EVENT_OTHER), "other");
}

static void test_deleted_fields_differ_from_empty_ones(void **state)
{
    struct bytes body = BYTES_LITERAL("3 -\np:a3 0\np:b3 1\np:c-"), field, value;
    assert_true(event_field(&body, &field, &value));
    assert_true(bytes_equal(field, BYTES_LITERAL("p:a")));
    assert_null(value.data);
    assert_true(event_field(&body, &field, &value));
    assert_true(bytes_equal(field, BYTES_LITERAL("p:b")));
    assert_non_null(value.data);
    assert_int_equal(value.len, 0);
    assert_true(event_field(&body, &field, &value));
    assert_true(bytes_equal(value, BYTES_LITERAL("-")));
    assert_false(event_field(&body, &field, &value));
    static const char *const bad[] = {
        "3 -", "3 -\n", "3 -\np:", "3 -1\np:a", "3 --\np:a", "- 1\nx"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        body = bytes_from_string(bad[i]);
        assert_false(event_field(&body, &field, &value));
    }
}

static void test_bodies_cut_short_end(void **state)
{
    struct bytes body = BYTES_LITERAL("5 5\nstatehel"), field, value;
    assert_false(event_field(&body, &field, &value));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_message_with_two_events),
        cmocka_unit_test(test_malformed_headers_are_refused),
        cmocka_unit_test(test_malformed_events_are_refused),
        cmocka_unit_test(test_unknown_operations_are_passed_over),
        cmocka_unit_test(test_deleted_fields_differ_from_empty_ones),
        cmocka_unit_test(test_bodies_cut_short_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
