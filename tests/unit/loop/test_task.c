/* loop: deferred tasks, their phases and their order. */
#include "base/clock.h"
#include "loop/loop_case.h"

struct chain {
    struct loop_task task;
    char letter;
    struct chain *then;
    enum loop_phase phase;
};

static void run_chain(void *arg)
{
    struct chain *chain = arg;

    note(chain->letter);
    if (chain->then) {
        loop_defer(loop, chain->then->phase, &chain->then->task);
    }
}

static struct chain link_to(char letter, struct chain *then, enum loop_phase phase)
{
    return (struct chain){{.callback = run_chain}, letter, then, phase};
}

static void tasks_run_by_phase_in_order(void **state)
{
    struct chain tasks[8];

    for (int i = 0; i < 8; i++) {
        tasks[i] = link_to((char)('a' + i), NULL, LOOP_PHASE_VIEW);
        tasks[i].task.arg = &tasks[i];
    }
    for (int i = 0; i < 8; i++) {
        loop_defer(loop, (enum loop_phase)(3 - i % 4), &tasks[i].task);
    }
    loop_defer(loop, LOOP_PHASE_VIEW, &tasks[0].task); /* waits already: nothing changes */
    loop_iterate(loop, 3600000);                       /* does not wait */
    assert_string_equal(journal, "dhcgbfae");
    loop_iterate(loop, 0);
    assert_string_equal(journal, "dhcgbfae");
    for (int i = 0; i < 8; i++) {
        assert_false(tasks[i].task.queued);
    }
}

static void tasks_go_back_to_earlier_phases(void **state)
{
    struct chain view = link_to('v', NULL, LOOP_PHASE_VIEW);
    struct chain store = link_to('s', &view, LOOP_PHASE_STORE);
    struct chain output = link_to('o', &store, LOOP_PHASE_OUTPUT);
    struct chain second = link_to('p', NULL, LOOP_PHASE_OUTPUT);
    struct chain freeing = link_to('f', NULL, LOOP_PHASE_FREE);

    view.task.arg = &view;
    store.task.arg = &store;
    output.task.arg = &output;
    second.task.arg = &second;
    freeing.task.arg = &freeing;
    loop_defer(loop, LOOP_PHASE_FREE, &freeing.task);
    loop_defer(loop, LOOP_PHASE_OUTPUT, &output.task);
    loop_defer(loop, LOOP_PHASE_OUTPUT, &second.task);
    loop_iterate(loop, 0);
    assert_string_equal(journal, "osvpf");
}

static int rounds;

static void run_three_times(void *arg)
{
    note('a');
    if (++rounds < 3) {
        loop_defer(loop, LOOP_PHASE_VIEW, arg);
    }
}

static void a_task_may_defer_itself(void **state)
{
    struct loop_task task = {.callback = run_three_times, .arg = &task};

    rounds = 0;
    loop_defer(loop, LOOP_PHASE_VIEW, &task);
    loop_iterate(loop, 0);
    assert_string_equal(journal, "aaa"); /* all in this iteration */
}

static void tasks_are_taken_back(void **state)
{
    struct chain a = link_to('a', NULL, LOOP_PHASE_VIEW), b = link_to('b', NULL, LOOP_PHASE_VIEW),
                 c = link_to('c', NULL, LOOP_PHASE_VIEW);

    a.task.arg = &a;
    b.task.arg = &b;
    c.task.arg = &c;
    loop_cancel(loop, &a.task);
    loop_defer(loop, LOOP_PHASE_STORE, &a.task);
    loop_defer(loop, LOOP_PHASE_STORE, &b.task);
    loop_defer(loop, LOOP_PHASE_STORE, &c.task);
    loop_cancel(loop, &b.task);
    loop_cancel(loop, &b.task);
    loop_iterate(loop, 0);
    assert_string_equal(journal, "ac");
    loop_defer(loop, LOOP_PHASE_OUTPUT, &b.task);
    loop_iterate(loop, 0);
    assert_string_equal(journal, "acb");
}

static void defer_from_io(void *arg, unsigned events)
{
    struct chain *chain = arg;

    note('i');
    drain(ends[0]);
    loop_defer(loop, chain->phase, &chain->task);
}

static void tasks_come_after_all_callbacks_of_the_iteration(void **state)
{
    struct chain task = link_to('t', NULL, LOOP_PHASE_OUTPUT);
    char letter = 'a';
    struct loop_timer *timer = timer_of(&letter);
    struct loop_io *io = loop_io_create(loop, ends[0], defer_from_io, &task);

    task.task.arg = &task;
    loop_io_set(io, LOOP_READ);
    loop_timer_start(timer, 0);
    put("x");
    while (clock_monotonic_us() <= loop_now_us(loop) + 1000) {
        continue; /* so that the timer is due in the same iteration */
    }
    loop_iterate(loop, 10000);
    assert_string_equal(journal, "iat");
    loop_io_destroy(&io);
    loop_timer_destroy(&timer);
}

static struct loop_task *leftover;

static void leave_the_rest(void *arg)
{
    note('a');
    assert_false(loop_share_is_used(loop));
    if (++rounds < 3) {
        loop_defer_next(loop, LOOP_PHASE_OUTPUT, arg);
        loop_defer(loop, LOOP_PHASE_VIEW, arg); /* waits already */
        loop_defer(loop, LOOP_PHASE_OUTPUT, leftover);
    }
}

static void a_task_may_leave_the_rest_to_the_next_iteration(void **state)
{
    struct loop_task task = {.callback = leave_the_rest, .arg = &task};
    char letter = 'b';
    struct loop_task other = {.callback = note_letter, .arg = &letter};

    rounds = 0;
    leftover = &other;
    loop_defer(loop, LOOP_PHASE_OUTPUT, &task);
    loop_iterate(loop, 0);
    assert_string_equal(journal, "ab");
    loop_iterate(loop, 3600000); /* does not wait */
    loop_iterate(loop, 3600000);
    loop_iterate(loop, 0);
    assert_string_equal(journal, "ababa");
    loop_defer_next(loop, LOOP_PHASE_OUTPUT, &other);
    loop_cancel(loop, &other);
    loop_iterate(loop, 0);
    assert_string_equal(journal, "ababa");
}

static void use_the_share(void *arg)
{
    uint64_t until_us = clock_monotonic_us() + 1000; /* 1 ms, which is documented */

    assert_false(loop_share_is_used(loop));
    while (clock_monotonic_us() <= until_us) {
        continue;
    }
    assert_true(loop_share_is_used(loop));
    note('u');
}

static void each_task_has_a_share_of_its_own(void **state)
{
    struct loop_task first = {.callback = use_the_share}, second = {.callback = use_the_share};

    loop_defer(loop, LOOP_PHASE_STORE, &first);
    loop_defer(loop, LOOP_PHASE_STORE, &second);
    loop_iterate(loop, 0);
    assert_string_equal(journal, "uu");
}

static void destroying_runs_what_waits(void **state)
{
    struct loop *other = loop_create();
    char letter = 'a';
    struct loop_task task = {.callback = note_letter, .arg = &letter};

    loop_defer(other, LOOP_PHASE_FREE, &task);
    loop_destroy(&other);
    assert_null(other);
    assert_string_equal(journal, "a");
    loop_destroy(&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_loop(tasks_run_by_phase_in_order),
        with_loop(tasks_go_back_to_earlier_phases),
        with_loop(a_task_may_defer_itself),
        with_loop(tasks_are_taken_back),
        with_loop(tasks_come_after_all_callbacks_of_the_iteration),
        with_loop(a_task_may_leave_the_rest_to_the_next_iteration),
        with_loop(each_task_has_a_share_of_its_own),
        with_loop(destroying_runs_what_waits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
