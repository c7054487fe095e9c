/* A process's part of a total. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/share.h"

static void test_the_parts_make_up_the_total(void **state)
{
    assert_int_equal(share_of(7), 7);
    share_set_processes(2);
    assert_int_equal(share_of(0), 0);
    assert_int_equal(share_of(1), 1);
    assert_int_equal(share_of(7), 4);
    assert_int_equal(share_of(8), 4);
    share_set_processes(256);
    assert_int_equal(share_of(255), 1);
    assert_int_equal(share_of(257), 2);
    assert_true(share_of(UINT64_MAX) == UINT64_C(1) << 56);
    share_set_processes(1);
    assert_true(share_of(UINT64_MAX) == UINT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_parts_make_up_the_total),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
