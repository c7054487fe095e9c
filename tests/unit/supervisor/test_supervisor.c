/* How long a worker that fails is not started again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "supervisor/supervisor.h"

static void test_pauses_double_up_to_half_a_minute(void **state)
{
    static const uint64_t pauses[] = {0, 0, 250, 500, 1000, 2000, 4000, 8000, 16000, 30000, 30000};

    for (unsigned i = 0; i < sizeof pauses / sizeof *pauses; i++) {
        assert_int_equal(supervisor_restart_pause(i), pauses[i]);
    }
    assert_int_equal(supervisor_restart_pause(1000000), 30000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pauses_double_up_to_half_a_minute),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
