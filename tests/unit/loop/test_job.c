/* loop: jobs take their steps in turn, within their share of an iteration. */
#include "base/clock.h"
#include "loop/job.h"
#include "loop/loop_case.h"

/* Notes its letter at each step, as often as it has steps. */
struct piecework {
    struct loop_job job;
    char letter;
    int steps;
    uint64_t spin_us;         /* how long a step takes */
    struct piecework *starts; /* by its first step */
    struct piecework *stops;  /* by its first step */
    struct loop_task *defers; /* by each step */
    enum loop_phase phase;
    bool frees; /* itself, in its last step */
};

static bool step_piecework(void *arg)
{
    struct piecework *work = arg;
    uint64_t until_us = clock_monotonic_us() + work->spin_us;

    note(work->letter);
    while (clock_monotonic_us() < until_us) {
        continue;
    }
    if (work->starts) {
        loop_job_start(loop, &work->starts->job);
        work->starts = NULL;
    }
    if (work->stops) {
        loop_job_stop(loop, &work->stops->job);
        work->stops = NULL;
    }
    if (work->defers) {
        loop_defer(loop, work->phase, work->defers);
    }
    if (--work->steps == 0 && work->frees) {
        loop_job_stop(loop, &work->job);
        free(work);
        return true; /* what a job returns that was stopped does not matter */
    }
    return work->steps > 0;
}

static struct piecework *start_piecework(struct piecework *work, char letter, int steps)
{
    *work = (struct piecework){.job = {.step = step_piecework, .arg = work, .label = "piecework"},
                               .letter = letter,
                               .steps = steps};
    loop_job_start(loop, &work->job);
    return work;
}

/* Each step takes longer than the share of all, so that one is taken in each iteration. */
static struct piecework *start_long(struct piecework *work, char letter, int steps)
{
    start_piecework(work, letter, steps)->spin_us = LOOP_JOBS_US;
    return work;
}

static void a_step_a_time_until_the_share_is_used(void **state)
{
    struct piecework a;

    start_long(&a, 'a', 3);
    assert_true(loop_job_is_running(&a.job));
    loop_iterate(loop, 3600000); /* does not wait */
    assert_string_equal(journal, "a");
    loop_iterate(loop, 3600000);
    loop_iterate(loop, 3600000);
    assert_string_equal(journal, "aaa");
    assert_false(loop_job_is_running(&a.job));
    loop_iterate(loop, 0);
    assert_string_equal(journal, "aaa");
    start_piecework(&a, 'b', 100); /* short ones share an iteration */
    a.spin_us = LOOP_JOBS_US / 4;
    loop_iterate(loop, 0);
    assert_in_range(strlen(journal), 4, 3 + 4);
    loop_job_stop(loop, &a.job);
}

static void jobs_step_in_turn(void **state)
{
    struct piecework a, b, c;

    start_long(&a, 'a', 3);
    start_long(&b, 'b', 1);
    start_long(&c, 'c', 2);
    loop_job_start(loop, &a.job); /* runs already: keeps its place */
    turn_until(6);
    assert_string_equal(journal, "abcaca");
    assert_false(loop_job_is_running(&b.job));
}

static void a_step_may_start_and_stop_others(void **state)
{
    struct piecework a, b, c;

    start_long(&a, 'a', 2);
    start_long(&b, 'b', 5);
    start_long(&c, 'c', 1);
    loop_job_stop(loop, &c.job);
    loop_job_stop(loop, &c.job);
    a.stops = &b;
    a.starts = &c;
    turn_until(3);
    assert_string_equal(journal, "aac");
    assert_false(loop_job_is_running(&b.job));
    loop_iterate(loop, 0);
    assert_string_equal(journal, "aac");
}

static void a_step_may_stop_or_free_its_own_job(void **state)
{
    struct piecework a, *b = malloc(sizeof *b);

    start_long(&a, 'a', 5);
    a.stops = &a;
    assert_non_null(b);
    start_long(b, 'b', 2)->frees = true;
    turn_until(3);
    assert_string_equal(journal, "abb");
    loop_iterate(loop, 0);
    assert_string_equal(journal, "abb");
}

static void a_stopped_job_may_start_itself_again(void **state)
{
    struct piecework a;

    start_long(&a, 'a', 3);
    a.stops = a.starts = &a; /* is running, so starting does nothing; then it is stopped */
    loop_iterate(loop, 0);
    assert_false(loop_job_is_running(&a.job));
    loop_job_start(loop, &a.job);
    turn_until(3);
    assert_string_equal(journal, "aaa");
}

static void steps_come_behind_the_view_and_before_the_rest(void **state)
{
    char letters[] = "vso";
    struct loop_task tasks[3];
    struct piecework a;
    static const enum loop_phase phases[] = {LOOP_PHASE_VIEW, LOOP_PHASE_STORE, LOOP_PHASE_OUTPUT};

    start_long(&a, 'j', 2);
    for (int i = 2; i >= 0; i--) {
        tasks[i] = (struct loop_task){.callback = note_letter, .arg = &letters[i]};
        loop_defer(loop, phases[i], &tasks[i]);
    }
    loop_iterate(loop, 0);
    assert_string_equal(journal, "vjso");
    a.defers = &tasks[0]; /* what a step changes is seen by the watchers before it is sent */
    loop_defer(loop, LOOP_PHASE_STORE, &tasks[1]);
    loop_iterate(loop, 0);
    assert_string_equal(journal, "vjsojvs");
}

static void note_read(void *arg, unsigned events)
{
    note('r');
    drain(ends[0]);
}

static void descriptors_and_timers_are_served_between_steps(void **state)
{
    struct loop_io *io = loop_io_create(loop, ends[0], note_read, NULL);
    char letter = 't';
    struct loop_timer *timer = timer_of(&letter);
    struct piecework a;

    start_long(&a, 'j', 1000);
    loop_io_set(io, LOOP_READ);
    loop_iterate(loop, 0);
    put("x");
    loop_iterate(loop, 0);
    loop_timer_start(timer, 3600000);
    loop_skip(loop, 3600000);
    loop_iterate(loop, 0);
    assert_string_equal(journal, "jrjtj");
    loop_job_stop(loop, &a.job);
    loop_io_destroy(&io);
    loop_timer_destroy(&timer);
}

static void the_documented_times(void **state)
{
    assert_int_equal(LOOP_JOB_STEP_US, 100);
    assert_int_equal(LOOP_JOBS_US, 1000); /* 1 ms */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_loop(a_step_a_time_until_the_share_is_used),
        with_loop(jobs_step_in_turn),
        with_loop(a_step_may_start_and_stop_others),
        with_loop(a_step_may_stop_or_free_its_own_job),
        with_loop(a_stopped_job_may_start_itself_again),
        with_loop(steps_come_behind_the_view_and_before_the_rest),
        with_loop(descriptors_and_timers_are_served_between_steps),
        with_loop(the_documented_times),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
