/* Replies of each dialect: whole, cut at every byte, and followed by other bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "client/reply_private.h"

#define B(s)      BYTES_LITERAL(s)
#define ZEROES(n) "\0\0\0\0\0\0\0" n
#define NOTHING   ((struct bytes){0})
#define MAX_TEXT  20

struct row {
    enum tracker_dialect dialect;
    enum tracker_client_request request;
    struct bytes input;
    bool accepted;
    struct bytes bytes;
};

static const struct row good[] = {
    {TRACKER_VERSIONED, TRACKER_CLIENT_OPEN, B("\x07someId1"), true, B("someId1")},
    {TRACKER_VERSIONED, TRACKER_CLIENT_OPEN, B("\x00"), false, NOTHING},
    {TRACKER_VERSIONED, TRACKER_CLIENT_UPDATE, B("\x01"), true, NOTHING},
    {TRACKER_VERSIONED, TRACKER_CLIENT_UPDATE, B("\x00"), false, NOTHING},
    {TRACKER_VERSIONED, TRACKER_CLIENT_CLOSE, B("\x01"), true, NOTHING},
    {TRACKER_PLAIN, TRACKER_CLIENT_OPEN, B("\x01"), true, NOTHING},
    {TRACKER_PLAIN, TRACKER_CLIENT_CLOSE, B("\x01"), true, NOTHING},
    {TRACKER_PLAIN, TRACKER_CLIENT_GET, B("\17{e=f, c=d, a=b}"), true, B("{e=f, c=d, a=b}")},
    {TRACKER_PLAIN, TRACKER_CLIENT_GET, B("\x00"), false, NOTHING},
    {TRACKER_WIDE, TRACKER_CLIENT_OPEN, B("\x01"), true, NOTHING},
    {TRACKER_WIDE, TRACKER_CLIENT_CLOSE, B("\x01"), true, NOTHING},
    {TRACKER_WIDE, TRACKER_CLIENT_GET, B(ZEROES("\x05") "{a=b}"), true, B("{a=b}")},
    {TRACKER_WIDE, TRACKER_CLIENT_GET, B(ZEROES("\x00")), false, NOTHING},
    {TRACKER_2013, TRACKER_CLIENT_OPEN, B("someId1"), true, B("someId1")},
    {TRACKER_2013, TRACKER_CLIENT_OPEN, B("\x00"), false, NOTHING},
    {TRACKER_2013, TRACKER_CLIENT_UPDATE, B("\x01"), true, NOTHING},
    {TRACKER_2013, TRACKER_CLIENT_CLOSE, B("\x00"), false, NOTHING},
    {TRACKER_2013, TRACKER_CLIENT_GET, B("\x01"), true, NOTHING},
    {TRACKER_2014, TRACKER_CLIENT_OPEN, B("\x01"), true, NOTHING},
    {TRACKER_2014, TRACKER_CLIENT_CLOSE, B("\x01"), true, NOTHING},
    {TRACKER_2014, TRACKER_CLIENT_GET, B(ZEROES("\x05") "{a=b}"), true, B("{a=b}")},
};

static void test_good(void **state)
{
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        const struct row *row = &good[i];
        struct writer longer = {0};
        assert_true(reply_expected(row->dialect, row->request));
        writer_bytes(&longer, row->input);
        writer_string(&longer, "and more");
        for (size_t len = 0; len <= longer.len; len++) {
            struct reply reply;
            void *exact = mem_dup(longer.data, len);
            const struct tracker_result result = reply_read(
                (struct bytes){exact, len}, row->dialect, row->request, MAX_TEXT, &reply);
            const bool whole = len >= row->input.len;
            assert_int_equal(result.outcome, whole ? TRACKER_MESSAGE : TRACKER_MORE);
            if (whole) {
                assert_int_equal(result.consumed, row->input.len);
                assert_int_equal(reply.accepted, row->accepted);
                assert_true(bytes_equal(reply.bytes, row->bytes));
                assert_int_equal(!reply.bytes.data, !row->bytes.data);
            }
            free(exact);
        }
        writer_free(&longer);
    }
}

static void test_bad(void **state)
{
    const struct {
        enum tracker_dialect dialect;
        enum tracker_client_request request;
        struct bytes input;
        enum tracker_error error;
    } rows[] = {
        {TRACKER_VERSIONED, TRACKER_CLIENT_UPDATE, B("\x02"), TRACKER_ERROR_TYPE},
        {TRACKER_PLAIN, TRACKER_CLIENT_OPEN, B("\xff"), TRACKER_ERROR_TYPE},
        {TRACKER_2014, TRACKER_CLIENT_GET, B(ZEROES("\x15")), TRACKER_ERROR_LIMIT},
        {TRACKER_2014, TRACKER_CLIENT_GET, B("\x7f\0\0\0\0\0\0\0"), TRACKER_ERROR_LIMIT},
        {TRACKER_2014, TRACKER_CLIENT_GET, B("\xff\xff\xff\xff\xff\xff\xff\xff"),
         TRACKER_ERROR_LENGTH},
        {TRACKER_PLAIN, TRACKER_CLIENT_UPDATE, B("\x01"), TRACKER_ERROR_TYPE},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        for (size_t len = 0; len <= rows[i].input.len; len++) {
            struct reply reply;
            const struct tracker_result result =
                reply_read((struct bytes){rows[i].input.data, len}, rows[i].dialect,
                           rows[i].request, MAX_TEXT, &reply);
            const bool complete = len == rows[i].input.len;
            assert_int_equal(result.outcome, complete ? TRACKER_FAILED : TRACKER_MORE);
            assert_int_equal(result.error, complete ? rows[i].error : TRACKER_ERROR_NONE);
        }
    }
}

static void test_requests_without_a_reply(void **state)
{
    assert_false(reply_expected(TRACKER_PLAIN, TRACKER_CLIENT_UPDATE));
    assert_false(reply_expected(TRACKER_WIDE, TRACKER_CLIENT_UPDATE));
    assert_false(reply_expected(TRACKER_2014, TRACKER_CLIENT_UPDATE));
    assert_false(reply_expected(TRACKER_VERSIONED, TRACKER_CLIENT_GET));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_requests_without_a_reply),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
