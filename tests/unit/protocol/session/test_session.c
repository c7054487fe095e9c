/*
 * session: what protocols share.
 *
 *   - draining ends the oldest sessions first, no more than asked for, and never one twice
 *   - a session that is to end later ends once, in the store phase, and is not drained meanwhile
 *   - one that ends and leaves before that phase is not ended again
 *   - the error budget counts from the first error of a window, and begins anew after it
 */
#include "protocol/session/session.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

struct talk {
    struct list link;
    char letter;
};

static struct loop *loop;
static struct protocol_service service;
static struct talk talks[3];
static char journal[16]; /* who was drained (a, b, c) and ended (A, B, C), in this order */

static void note(char letter)
{
    size_t len = strlen(journal);
    assert_true(len + 1 < sizeof journal);
    journal[len] = letter;
    journal[len + 1] = 0;
}

static void drain(struct list *link, enum conn_close_reason why)
{
    assert_int_equal(why, CONN_CLOSE_DRAIN);
    assert_true(list_is_empty(link));
    note(list_entry(link, struct talk, link)->letter);
}

static void end(struct list *link)
{
    assert_true(list_is_empty(link));
    note((char)(list_entry(link, struct talk, link)->letter - 'a' + 'A'));
}

static const struct protocol_callbacks callbacks = {.drain = drain, .end = end};

static int set_up(void **state)
{
    journal[0] = 0;
    loop = loop_create();
    protocol_service_init(&service, NULL, loop, &callbacks);
    for (size_t i = 0; i < 3; i++) {
        talks[i].letter = (char)('a' + i);
        protocol_service_join(&service, &talks[i].link);
    }
    return 0;
}

static int tear_down(void **state)
{
    for (size_t i = 0; i < 3; i++) {
        protocol_service_leave(&service, &talks[i].link);
    }
    protocol_service_free(&service);
    loop_destroy(&loop);
    return 0;
}

static void stop(void *arg)
{
    loop_stop(arg);
}

static void run_iteration(void)
{
    struct loop_timer *timer = loop_timer_create(loop, stop, loop);
    loop_timer_start(timer, 0);
    loop_run(loop);
    loop_timer_destroy(&timer);
}

static void test_the_oldest_are_drained_first(void **state)
{
    assert_int_equal(protocol_service_drain(&service, 2, CONN_CLOSE_DRAIN), 2);
    assert_string_equal(journal, "ab");
    assert_int_equal(service.count, 3);
    assert_int_equal(protocol_service_drain(&service, 2, CONN_CLOSE_DRAIN), 1);
    assert_int_equal(protocol_service_drain(&service, 2, CONN_CLOSE_DRAIN), 0);
    assert_string_equal(journal, "abc");
}

static void test_those_that_end_later_are_not_drained(void **state)
{
    protocol_service_end_later(&service, &talks[0].link);
    protocol_service_end_later(&service, &talks[2].link);
    assert_string_equal(journal, "");
    assert_int_equal(protocol_service_drain(&service, 9, CONN_CLOSE_DRAIN), 1);
    assert_string_equal(journal, "b");
    run_iteration();
    assert_string_equal(journal, "bAC");
    run_iteration();
    assert_string_equal(journal, "bAC");
}

static void test_one_that_has_left_is_not_ended(void **state)
{
    protocol_service_end_later(&service, &talks[1].link);
    protocol_service_leave(&service, &talks[1].link);
    assert_int_equal(service.count, 2);
    run_iteration();
    assert_string_equal(journal, "");
    protocol_service_join(&service, &talks[1].link);
}

static void test_the_error_budget(void **state)
{
    struct error_budget budget = {0};
    const uint64_t wrap = UINT64_C(1) << 32;
    assert_int_equal(error_budget_spend(&budget, wrap - 10, 100), 1);
    assert_int_equal(error_budget_spend(&budget, wrap + 50, 100), 2);
    assert_int_equal(error_budget_spend(&budget, wrap + 89, 100), 3);
    assert_int_equal(error_budget_spend(&budget, wrap + 90, 100), 1);
    assert_int_equal(error_budget_spend(&budget, wrap + 189, 100), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_the_oldest_are_drained_first, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_those_that_end_later_are_not_drained, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_one_that_has_left_is_not_ended, set_up, tear_down),
        cmocka_unit_test(test_the_error_budget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
