/* Frames for many receivers: all get each once, in one order, over several iterations. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "loop/fanout.h"

#define RECEIVERS 5000

struct receiver {
    struct list link;
    uint64_t last;
    unsigned got;
    bool in_order;
};

struct fixture {
    struct loop *loop;
    struct list list;
    struct fanout fanout;
    struct receiver receivers[RECEIVERS];
    size_t sent;
    size_t bytes; /* to all receivers */
};

static void send_frame(void *arg, struct list *link, const struct fanout_frame *frame)
{
    struct fixture *fixture = arg;
    struct receiver *receiver = list_entry(link, struct receiver, link);
    if (frame->number <= receiver->last) {
        return;
    }
    receiver->in_order &= frame->kind == receiver->got && frame->frame->data[0] == receiver->got;
    receiver->last = frame->number;
    receiver->got++;
    fixture->sent++;
    fixture->bytes += frame->frame->len;
}

static void join(struct fixture *fixture, size_t i)
{
    struct receiver *receiver = &fixture->receivers[i];
    *receiver = (struct receiver){.last = fixture->fanout.number, .in_order = true};
    list_init(&receiver->link);
    list_append(&fixture->list, &receiver->link);
}

static void leave(struct fixture *fixture, size_t i)
{
    fanout_leave(&fixture->fanout, &fixture->receivers[i].link);
    list_remove(&fixture->receivers[i].link);
}

static void add_frame(struct fixture *fixture, unsigned number, size_t len)
{
    struct frame *frame = frame_create_sized(len);
    memset(frame->data, 0, len);
    frame->data[0] = (uint8_t)number;
    fanout_add(&fixture->fanout, number, frame);
    frame_unref(&frame);
}

static int setup(void **state)
{
    struct fixture *fixture = mem_zalloc(1, sizeof *fixture);
    fixture->loop = loop_create();
    list_init(&fixture->list);
    fanout_init(&fixture->fanout, fixture->loop, &fixture->list, "test", send_frame, fixture);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    fanout_stop(&fixture->fanout);
    loop_destroy(&fixture->loop);
    free(fixture);
    return 0;
}

static void run(struct fixture *fixture)
{
    while (!list_is_empty(&fixture->fanout.frames)) {
        loop_iterate(fixture->loop, 0);
    }
}

static void test_few_get_it_at_once(void **state)
{
    struct fixture *fixture = *state;
    add_frame(fixture, 0, 1); /* to nobody */
    assert_true(list_is_empty(&fixture->fanout.frames));
    for (size_t i = 0; i < 100; i++) {
        join(fixture, i);
    }
    add_frame(fixture, 0, 1);
    assert_int_equal(fixture->sent, 100);
    assert_true(list_is_empty(&fixture->fanout.frames));
    assert_false(loop_job_is_running(&fixture->fanout.job));
}

static void test_many_get_all_in_one_order(void **state)
{
    struct fixture *fixture = *state;
    for (size_t i = 0; i < RECEIVERS; i++) {
        join(fixture, i);
    }
    for (unsigned i = 0; i < 3; i++) {
        add_frame(fixture, i, 1);
        assert_true(fixture->sent < RECEIVERS); /* no call sends to all */
    }
    run(fixture);
    assert_int_equal(fixture->sent, 3 * RECEIVERS);
    for (size_t i = 0; i < RECEIVERS; i++) {
        assert_true(fixture->receivers[i].got == 3 && fixture->receivers[i].in_order);
    }
    assert_int_equal(fixture->fanout.bytes, 0);
    assert_false(loop_job_is_running(&fixture->fanout.job));
}

/* Those that come get what is added later, those that leave nothing more. */
static void test_receivers_come_and_leave_meanwhile(void **state)
{
    struct fixture *fixture = *state;
    for (size_t i = 0; i < 2000; i++) {
        join(fixture, i);
    }
    add_frame(fixture, 0, 1);
    size_t sent = fixture->sent;
    for (size_t i = 0; i < 1000; i++) { /* where it is, before and behind it */
        leave(fixture, i);
    }
    join(fixture, 3000);
    fixture->receivers[3000].got = 1; /* its first is the second */
    add_frame(fixture, 1, 1);
    fanout_catch_up(&fixture->fanout, &fixture->receivers[1999].link);
    assert_int_equal(fixture->receivers[1999].got, 2);
    run(fixture);
    assert_int_equal(fixture->sent, sent + 1000 + 1001);
    for (size_t i = 1000; i < 2000; i++) {
        assert_true(fixture->receivers[i].got == 2 && fixture->receivers[i].in_order);
    }
    assert_true(fixture->receivers[3000].got == 2 && fixture->receivers[3000].in_order);
    for (size_t i = 1000; i < 2000; i++) {
        leave(fixture, i);
    }
    add_frame(fixture, 2, 1);
    leave(fixture, 3000);
    run(fixture);
}

/* However large the frames are, and however many are added in one event-loop iteration. */
static void test_what_an_addition_sends_is_bounded_by_bytes(void **state)
{
    struct fixture *fixture = *state;
    for (size_t i = 0; i < 200; i++) {
        join(fixture, i);
    }
    for (unsigned i = 0; i < 24; i++) {
        size_t before = fixture->bytes;
        add_frame(fixture, i, 1 << 20);
        assert_in_range(fixture->bytes - before, 0, 4 << 20);           /* not 200 MiB */
        assert_int_equal(fanout_wait_us(&fixture->fanout) > 0, i >= 7); /* with what keeps them */
    }
    run(fixture);
    assert_int_equal(fanout_wait_us(&fixture->fanout), 0);
    assert_int_equal(fixture->sent, 24 * 200);
    for (size_t i = 0; i < 200; i++) {
        assert_true(fixture->receivers[i].got == 24 && fixture->receivers[i].in_order);
    }
}

static void test_senders_wait_and_are_refused_and_nothing_is_lost(void **state)
{
    struct fixture *fixture = *state;
    for (size_t i = 0; i < 1000; i++) {
        join(fixture, i);
    }
    uint64_t wait_us = 0;
    for (unsigned i = 0; i < 40; i++) {
        size_t before = fixture->bytes;
        add_frame(fixture, i, 1 << 20);
        assert_int_equal(fanout_refuses(&fixture->fanout), i >= 31); /* with what keeps them */
        assert_in_range(fixture->bytes - before, 0, 5 << 20);
        assert_true(fanout_wait_us(&fixture->fanout) >= wait_us);
        wait_us = fanout_wait_us(&fixture->fanout);
    }
    assert_int_equal(wait_us, 5 * 200000);
    run(fixture);
    assert_int_equal(fanout_wait_us(&fixture->fanout), 0);
    assert_false(fanout_refuses(&fixture->fanout));
    for (size_t i = 0; i < 1000; i++) {
        assert_true(fixture->receivers[i].got == 40 && fixture->receivers[i].in_order);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_few_get_it_at_once),
        TEST(test_many_get_all_in_one_order),
        TEST(test_receivers_come_and_leave_meanwhile),
        TEST(test_what_an_addition_sends_is_bounded_by_bytes),
        TEST(test_senders_wait_and_are_refused_and_nothing_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
