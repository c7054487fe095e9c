/*
 * loop: pending answers: completed once, in order, at their deadline and never earlier, and never
 * from within the call that began or settled them. The clock is the loop's, moved by loop_skip.
 */
#include "loop/loop_case.h"
#include "loop/pending.h"

#define HOUR_MS ((uint64_t)3600000)

struct answer {
    struct loop_pending pending;
    char letter;
    void (*then)(struct answer *answer); /* called when it completes; NULL: nothing is */
};

static struct loop_pending_set *set;
static struct answer answers[4]; /* 'a' to 'd' */
static struct answer *const a = &answers[0], *const b = &answers[1], *const c = &answers[2],
                            *const d = &answers[3];

/* Notes the letter and the result: "a!" at the deadline, "a3" for 3. */
static void on_complete(void *arg, struct loop_pending *pending, int result)
{
    struct answer *answer = list_entry(pending, struct answer, pending);

    assert_ptr_equal(arg, &set);
    assert_false(loop_pending_is_waiting(pending));
    note(answer->letter);
    note(result == LOOP_PENDING_EXPIRED ? '!' : (char)('0' + result));
    if (answer->then) {
        answer->then(answer);
    }
}

static int set_up_pending(void **state)
{
    int failed = set_up(state);

    set = loop_pending_set_create(loop, LOOP_PHASE_VIEW, on_complete, &set);
    for (int i = 0; i < 4; i++) {
        loop_pending_init(&answers[i].pending);
        answers[i].letter = (char)('a' + i);
        answers[i].then = NULL;
    }
    return failed;
}

static int tear_down_pending(void **state)
{
    loop_pending_set_destroy(&set);
    assert_null(set);
    loop_pending_set_destroy(&set);
    return tear_down(state);
}

static void begin(struct answer *answer, uint64_t delay_ms)
{
    loop_pending_begin(set, &answer->pending, delay_ms, 10);
}

static void pass_time(uint64_t ms)
{
    loop_skip(loop, ms);
    loop_iterate(loop, 0); /* picks up the timer */
    loop_iterate(loop, 0);
}

static void test_a_settled_answer_completes_once_and_later(void **state)
{
    begin(a, HOUR_MS);
    begin(b, HOUR_MS);
    assert_true(loop_pending_is_waiting(&a->pending));
    loop_pending_settle(&b->pending, 2);
    loop_pending_settle(&a->pending, 1);
    loop_pending_settle(&b->pending, 3); /* the first result counts */
    assert_false(loop_pending_is_waiting(&a->pending));
    assert_string_equal(journal, "");
    loop_iterate(loop, 0);
    assert_string_equal(journal, "b2a1");
    loop_pending_settle(&a->pending, 4);
    pass_time(2 * HOUR_MS);
    assert_string_equal(journal, "b2a1");
}

static void test_deadlines_are_exact_and_in_their_order(void **state)
{
    begin(a, 3 * HOUR_MS);
    begin(b, HOUR_MS);
    begin(c, 2 * HOUR_MS);
    begin(d, HOUR_MS);
    assert_ptr_equal(loop_pending_set_first(set), &b->pending);
    pass_time(HOUR_MS - 60000);
    assert_string_equal(journal, "");
    pass_time(60001);
    assert_string_equal(journal, "b!d!");
    pass_time(HOUR_MS - 60000);
    assert_string_equal(journal, "b!d!");
    pass_time(60001);
    assert_string_equal(journal, "b!d!c!");
    pass_time(HOUR_MS);
    assert_string_equal(journal, "b!d!c!a!");
    assert_null(loop_pending_set_first(set));
}

/* The timer still runs for an answer that came in time, and must not miss a later deadline. */
static void test_an_answer_in_time_does_not_move_the_deadline_of_another(void **state)
{
    begin(a, HOUR_MS);
    begin(b, HOUR_MS + 600000);
    loop_pending_settle(&a->pending, 0);
    pass_time(HOUR_MS + 1);
    assert_string_equal(journal, "a0");
    begin(c, 60000); /* sooner than the timer's next */
    pass_time(60001);
    assert_string_equal(journal, "a0c!");
    pass_time(540001);
    assert_string_equal(journal, "a0c!b!");
}

static void test_none_expires_early(void **state)
{
    for (uint64_t delay_ms = 0; delay_ms < 8; delay_ms++) {
        uint64_t start_ms = loop_now_ms(loop);

        journal[0] = '\0';
        begin(a, delay_ms);
        turn_until(2);
        assert_string_equal(journal, "a!");
        assert_true(loop_now_ms(loop) - start_ms >= delay_ms);
    }
}

static void test_settled_ones_complete_before_those_that_expire(void **state)
{
    begin(a, 1);
    begin(b, HOUR_MS);
    loop_pending_settle(&b->pending, 7);
    loop_skip(loop, 2);
    turn_until(4);
    assert_string_equal(journal, "b7a!");
}

static void test_deadlines_are_kept_while_others_are_settled_all_the_time(void **state)
{
    begin(a, 1);
    loop_skip(loop, 2);
    for (size_t i = 0; i < 5; i++) {
        begin(b, HOUR_MS);
        loop_pending_settle(&b->pending, 7);
        loop_iterate(loop, 0);
    }
    assert_non_null(strstr(journal, "a!"));
}

static void test_a_cancelled_one_never_completes(void **state)
{
    begin(a, HOUR_MS);
    begin(b, HOUR_MS);
    begin(c, HOUR_MS);
    loop_pending_cancel(&a->pending);
    loop_pending_cancel(&a->pending);
    loop_pending_settle(&b->pending, 1);
    loop_pending_cancel(&b->pending); /* settled, not completed yet */
    assert_false(loop_pending_is_waiting(&b->pending));
    pass_time(2 * HOUR_MS);
    assert_string_equal(journal, "c!");
    loop_pending_cancel(&c->pending);
}

static void test_count_and_size_are_of_those_that_wait(void **state)
{
    begin(a, HOUR_MS);
    begin(b, HOUR_MS);
    loop_pending_begin(set, &c->pending, HOUR_MS, 5);
    assert_int_equal(loop_pending_set_count(set), 3);
    assert_int_equal(loop_pending_set_size(set), 25);
    loop_pending_settle(&a->pending, 0);
    assert_int_equal(loop_pending_set_count(set), 2);
    assert_int_equal(loop_pending_set_size(set), 15);
    loop_pending_cancel(&a->pending);
    loop_pending_cancel(&b->pending);
    assert_int_equal(loop_pending_set_count(set), 1);
    assert_int_equal(loop_pending_set_size(set), 5);
    pass_time(HOUR_MS + 1);
    assert_int_equal(loop_pending_set_count(set), 0);
    assert_int_equal(loop_pending_set_size(set), 0);
}

static void begin_again(struct answer *answer)
{
    begin(answer, 0);
}

static void settle_and_cancel_others(struct answer *answer)
{
    loop_pending_settle(&b->pending, 5);
    loop_pending_cancel(&c->pending);
}

static void test_a_completion_may_begin_settle_and_cancel(void **state)
{
    a->then = settle_and_cancel_others;
    begin(a, 1);
    begin(b, 1);
    begin(c, 1);
    begin(d, 1);
    pass_time(2);
    assert_string_equal(journal, "a!d!b5");
}

/* One that begins again with no delay waits for a later iteration. */
static void test_a_completion_may_begin_the_same_again(void **state)
{
    a->then = begin_again;
    begin(a, 0);
    turn_until(6);
    assert_true(loop_pending_is_waiting(&a->pending));
    a->then = NULL;
    turn_until(strlen(journal) + 2);
    assert_false(loop_pending_is_waiting(&a->pending));
}

static void test_a_destroyed_set_completes_nothing(void **state)
{
    begin(a, 1);
    begin(b, HOUR_MS);
    loop_pending_settle(&b->pending, 1);
    loop_pending_set_destroy(&set);
    assert_false(loop_pending_is_waiting(&a->pending));
    loop_pending_cancel(&b->pending);
    loop_skip(loop, 10);
    loop_iterate(loop, 1);
    assert_string_equal(journal, "");
}

#define with_pending(test) cmocka_unit_test_setup_teardown(test, set_up_pending, tear_down_pending)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_pending(test_a_settled_answer_completes_once_and_later),
        with_pending(test_deadlines_are_exact_and_in_their_order),
        with_pending(test_an_answer_in_time_does_not_move_the_deadline_of_another),
        with_pending(test_none_expires_early),
        with_pending(test_settled_ones_complete_before_those_that_expire),
        with_pending(test_deadlines_are_kept_while_others_are_settled_all_the_time),
        with_pending(test_a_cancelled_one_never_completes),
        with_pending(test_count_and_size_are_of_those_that_wait),
        with_pending(test_a_completion_may_begin_settle_and_cancel),
        with_pending(test_a_completion_may_begin_the_same_again),
        with_pending(test_a_destroyed_set_completes_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
