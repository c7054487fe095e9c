/* The bytes of an iteration's pushes, and the ranges of them that a reader gets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "metrics/metrics.h"
#include "protocol/tracker/tracker_private.h"

#define PACKETS_MAX 16

/* Owners are only compared. */
static char owner_memory[4];
static const struct map_session *owner(int number)
{
    return number < 0 ? NULL : (const struct map_session *)(const void *)&owner_memory[number];
}

/* An iteration, described: the owner of each packet, -1 for another front-end's. */
struct iteration_case {
    const char *name;
    int owners[PACKETS_MAX];
    size_t count;
};

static void encode(struct tracker_iteration *iteration, const struct iteration_case *c)
{
    struct writer scratch = {0};
    memset(iteration, 0, sizeof *iteration);
    for (size_t i = 0; i < c->count; i++) {
        char id[32], state[32];
        snprintf(id, sizeof id, "id%zu", i);
        snprintf(state, sizeof state, "%.*s", (int)(i * 2), "states of several lengths, all");
        iteration_add(iteration, &scratch, owner(c->owners[i]), (uint8_t)i, bytes_from_string(id),
                      bytes_from_string(state));
    }
    iteration_sort(iteration);
    iteration->frame = frame_create(writer_bytes_written(&scratch));
    writer_free(&scratch);
}

struct received {
    const struct tracker_iteration *iteration;
    struct writer bytes;
    size_t calls;
};

static void receive(void *arg, size_t offset, size_t len)
{
    struct received *received = arg;
    assert_true(len > 0);
    assert_true(offset + len <= received->iteration->frame->len);
    writer_bytes(&received->bytes, (struct bytes){received->iteration->frame->data + offset, len});
    received->calls++;
}

/* What the reader is to get, packet by packet: those of others, in their order. */
static void check_reader(const struct iteration_case *c, const struct tracker_iteration *iteration,
                         int reader)
{
    struct received received = {.iteration = iteration};
    size_t packets = iteration_ranges(iteration, owner(reader), receive, &received), at = 0,
           expected = 0;
    for (size_t i = 0; i < c->count; i++) {
        struct tracker_push push;
        if (c->owners[i] == reader && reader >= 0) {
            continue;
        }
        struct bytes left = {received.bytes.data + at, received.bytes.len - at};
        struct tracker_result result = tracker_read_push(left, &push);
        assert_int_equal(result.outcome, TRACKER_MESSAGE);
        assert_int_equal(push.type, TRACKER_UPDATE);
        assert_int_equal(push.version, i);
        at += result.consumed;
        expected++;
    }
    assert_int_equal(at, received.bytes.len);
    assert_int_equal(packets, expected);
    writer_free(&received.bytes);
}

static const struct iteration_case iterations[] = {
    {"one of another front-end", {-1}, 1},
    {"one own", {0}, 1},
    {"own first", {0, 1, 2}, 3},
    {"own in the middle", {1, 0, 2}, 3},
    {"own last", {1, 2, 0}, 3},
    {"all own", {0, 0, 0, 0}, 4},
    {"alternating", {0, 1, 0, 1, 0, 1}, 6},
    {"side by side", {1, 0, 0, 0, 1, 1, 0, 2, 2}, 9},
    {"with others' between", {-1, 0, -1, -1, 0, 0, -1, 1}, 8},
    {"owners against the order of their addresses", {3, 2, 1, 0, 3, 2, 1, 0}, 8},
};

static void test_ranges(void **state)
{
    for (size_t i = 0; i < sizeof iterations / sizeof *iterations; i++) {
        struct tracker_iteration iteration;
        encode(&iteration, &iterations[i]);
        for (int reader = -1; reader < 4; reader++) {
            check_reader(&iterations[i], &iteration, reader);
        }
        iteration_free(&iteration);
    }
}

static void test_a_reader_without_packets_gets_all_in_one(void **state)
{
    const struct iteration_case c = {"", {0, 1, 0, -1, 1}, 5};
    struct tracker_iteration iteration;
    struct received received = {.iteration = &iteration};
    encode(&iteration, &c);
    assert_int_equal(iteration_ranges(&iteration, owner(3), receive, &received), 5);
    assert_int_equal(received.calls, 1);
    assert_int_equal(received.bytes.len, iteration.frame->len);
    writer_free(&received.bytes);
    iteration_free(&iteration);
}

static void test_what_does_not_fit_is_left_out_and_counted(void **state)
{
    static const struct {
        size_t id, state;
        bool fits;
    } sizes[] = {{7, 0, true},    {7, 244, true},   {7, 245, false}, {251, 0, true},
                 {252, 0, false}, {1, 250, true},   {1, 251, false}, {255, 0, false},
                 {7, 300, false}, {7, 65536, false}};
    uint8_t *memory = calloc(1, 65536);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct tracker_iteration iteration = {.frame = NULL};
        struct writer scratch = {0};
        int64_t before = metrics_get(METRIC_TRACKER_UNFIT);
        iteration_add(&iteration, &scratch, owner(0), 1, (struct bytes){memory, sizes[i].id},
                      (struct bytes){memory, sizes[i].state});
        assert_int_equal(iteration.packets, sizes[i].fits);
        assert_int_equal(iteration.owned_count, sizes[i].fits);
        assert_int_equal(scratch.len > 0, sizes[i].fits);
        assert_int_equal(metrics_get(METRIC_TRACKER_UNFIT) - before, !sizes[i].fits);
        writer_free(&scratch);
        iteration_free(&iteration);
    }
    free(memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_a_reader_without_packets_gets_all_in_one),
        cmocka_unit_test(test_what_does_not_fit_is_left_out_and_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
