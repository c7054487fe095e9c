/* loop: a loop inside a program that waits with poll. */
#include <poll.h>

#include "loop/loop_case.h"

/* Whether the loop's descriptor becomes readable within that time. */
static bool wants_an_iteration(int timeout_ms)
{
    struct pollfd waits = {.fd = loop_fd(loop), .events = POLLIN};

    return poll(&waits, 1, timeout_ms) == 1;
}

static void take_turns(size_t letters)
{
    while (strlen(journal) < letters) {
        assert_true(wants_an_iteration(10000));
        loop_iterate(loop, 0);
    }
}

static void note_and_drain(void *arg, unsigned events)
{
    note(events == LOOP_READ ? 'r' : 'w');
    if (events == LOOP_READ) {
        drain(ends[0]);
    }
}

static void descriptors_make_it_readable(void **state)
{
    assert_true(loop_fd(loop) >= 0);
    struct loop_io *io = loop_io_create(loop, ends[0], note_and_drain, NULL);

    put("x");
    assert_false(wants_an_iteration(0));
    loop_io_set(io, LOOP_READ);
    take_turns(1);
    assert_string_equal(journal, "r");
    assert_false(wants_an_iteration(0));
    loop_io_set(io, LOOP_READ | LOOP_WRITE);
    take_turns(2);
    assert_string_equal(journal, "rw");
    loop_io_set(io, LOOP_READ);
    assert_false(wants_an_iteration(0));
    put("x");
    take_turns(3);
    put("x");
    loop_io_destroy(&io);
    assert_false(wants_an_iteration(0));
}

static void timers_make_it_readable(void **state)
{
    char letters[] = "ab";
    assert_true(loop_fd(loop) >= 0);
    struct loop_timer *late = timer_of(&letters[1]), *soon = timer_of(&letters[0]);

    loop_timer_start(late, 30);
    loop_timer_start(soon, 5); /* earlier than what it would have woken for */
    assert_false(wants_an_iteration(0));
    take_turns(2);
    assert_string_equal(journal, "ab");
    loop_iterate(loop, 0);
    assert_false(wants_an_iteration(0));
    loop_timer_destroy(&late);
    loop_timer_destroy(&soon);
}

static void deferred_tasks_make_it_readable(void **state)
{
    char letter = 't';
    struct loop_task task = {.callback = note_letter, .arg = &letter};

    assert_true(loop_fd(loop) >= 0);
    assert_false(wants_an_iteration(0));
    loop_defer(loop, LOOP_PHASE_OUTPUT, &task);
    assert_true(wants_an_iteration(10000));
    take_turns(1);
    assert_string_equal(journal, "t");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_loop(descriptors_make_it_readable),
        with_loop(timers_make_it_readable),
        with_loop(deferred_tasks_make_it_readable),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
