/* A link's life: commands in order, one write an event-loop iteration, time-outs, losses, callbacks
 * exactly once. */
#include "redis/redis_fixture.h"

#include <limits.h>

#include "redis/link_private.h"

static struct server server;

static int start(void **state)
{
    fixture_init(state);
    server_start(&server, NULL);
    server_grant(&server, "~* +strlen +append +incr +get +eval +llen +set");
    return 0;
}

static int stop(void **state)
{
    server_stop(&server);
    return 0;
}

static void test_up(void **state)
{
    struct world world;
    struct seen seen = {0};
    char *info;

    world_create_for(&world, &server);
    world_link(&world);
    assert_false(redis_link_is_up(world.link));
    redis_command_strings(world.link, seen_record, &seen, "PING", NULL);
    assert_int_equal(seen.called, 1); /* refused before it returned */
    assert_int_equal(seen.status, REDIS_DOWN);

    WAIT_FOR(world.loop, world.ups == 1);
    assert_int_equal(strlen(world.run_id), 40);
    info = server_ask(&server, "INFO server");
    assert_non_null(strstr(info, world.run_id));
    free(info);
    info = server_ask(&server, "CLIENT LIST");
    assert_non_null(strstr(info, "name=tracker-commands "));
    free(info);
    assert_int_equal(metrics_get(METRIC_REDIS_UP), 1);

    redis_command_strings(world.link, seen_record, &seen, "SET", "a", "b c\r\n", NULL);
    WAIT_FOR(world.loop, seen.called == 2);
    assert_int_equal(seen.status, REDIS_OK);
    assert_int_equal(seen.type, REDIS_STATUS);
    server_expect(&server, "b c\r\n", "GET a");
    redis_command_strings(world.link, seen_record, &seen, "INCR", "a", NULL);
    WAIT_FOR(world.loop, seen.called == 3);
    assert_int_equal(seen.status, REDIS_REFUSED);
    assert_int_equal(seen.refusal, REDIS_REFUSAL_OTHER);
    redis_command_strings(world.link, NULL, NULL, "SET", "a", "quiet", NULL);
    redis_command_strings(world.link, seen_record, &seen, "GET", "a", NULL);
    WAIT_FOR(world.loop, seen.called == 4);
    assert_string_equal(seen.text, "quiet");
    world_destroy(&world);
    assert_int_equal(metrics_get(METRIC_REDIS_UP), 0);
    assert_int_equal(metrics_get(METRIC_REDIS_QUEUED), 0);
}

/* Binary arguments of many lengths come back as they were. */
static void test_binary(void **state)
{
    static const size_t lengths[] = {0, 1, 9, 10, 99, 100, 16383, 16384, 65536, 3000000};
    struct world world;

    world_create_for(&world, &server);
    world_link_up(&world);
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        struct seen seen = {0};
        uint8_t *data = mem_alloc(lengths[i] + 1);
        struct bytes args[] = {BYTES_LITERAL("SET"), BYTES_LITERAL("binary"), {data, lengths[i]}};
        struct bytes script[] = {BYTES_LITERAL("EVAL"),
                                 BYTES_LITERAL("return redis.call('GET', KEYS[1]) == ARGV[1]"),
                                 BYTES_LITERAL("1"),
                                 BYTES_LITERAL("binary"),
                                 {data, lengths[i]}};

        random_bytes(data, lengths[i] + 1);
        redis_command(world.link, seen_record, &seen, 3, args);
        memset(data, 0, 0);
        redis_command(world.link, seen_record, &seen, 5, script);
        WAIT_FOR(world.loop, seen.called == 2);
        assert_int_equal(seen.integer, 1);
        free(data);
    }
    world_destroy(&world);
}

struct sequence {
    unsigned next;
    unsigned count;
};

static void check_sequence(void *arg, enum redis_status status, const struct redis_reply *reply)
{
    struct sequence *sequence = arg;

    assert_int_equal(status, REDIS_OK);
    assert_int_equal(reply->count, 2);
    assert_int_equal(atoi((const char *)reply->elements[0]->text.data), sequence->next);
    assert_true(reply->elements[1]->text.len == sequence->next % 97);
    sequence->next++;
}

/* 10,000 commands of one iteration: answered in order, sent by few system calls. */
static void test_pipeline(void **state)
{
    struct sequence sequence = {.count = 10000};
    struct world world;
    char pad[128];

    world_create_for(&world, &server);
    world_link_up(&world);
    memset(pad, 'x', sizeof pad);
    for (unsigned i = 0; i < sequence.count; i++) {
        char number[16];
        struct bytes args[] = {BYTES_LITERAL("EVAL"),
                               BYTES_LITERAL("return {ARGV[1], ARGV[2]}"),
                               BYTES_LITERAL("0"),
                               {(const uint8_t *)number, 0},
                               {(uint8_t *)pad, i % 97}};

        args[3].len = (size_t)snprintf(number, sizeof number, "%u", i);
        redis_command(world.link, check_sequence, &sequence, 5, args);
    }
    assert_true(metrics_get(METRIC_REDIS_QUEUED) > 0);
    WAIT_FOR(world.loop, sequence.next == sequence.count);
    assert_int_equal(metrics_get(METRIC_REDIS_QUEUED), 0);
    world_destroy(&world);
}

/* The server reads one connection in pieces of 16 KiB: many small commands of one iteration that
 * arrive together are read by one read, as its statistics show. */
static void test_one_write_an_iteration(void **state)
{
    struct world world;
    struct seen seen = {0};
    long long before, after;
    char *text;

    world_create_for(&world, &server);
    world_link_up(&world);
    text = server_ask(&server, "INFO stats");
    before = atoll(strstr(text, "total_reads_processed:") + 22);
    free(text);
    for (unsigned i = 0; i < 100; i++) {
        redis_command_strings(world.link, seen_record, &seen, "PING", NULL);
    }
    WAIT_FOR(world.loop, seen.called == 100);
    text = server_ask(&server, "INFO stats");
    after = atoll(strstr(text, "total_reads_processed:") + 22);
    free(text);
    assert_in_range(after - before, 2, 4); /* ours and the connections that ask */
    world_destroy(&world);
}

static void reply_counted(void *arg, enum redis_status status, const struct redis_reply *reply)
{
    unsigned *counts = arg;

    counts[status]++;
}

static void test_killed_in_flight(void **state)
{
    struct server own;
    struct world world;
    unsigned counts[4] = {0};

    server_start(&own, NULL);
    server_grant(&own, "~* +strlen +append +incr +get +eval +llen +set");
    world_create_for(&world, &own);
    world_link_up(&world);
    redis_command_strings(world.link, reply_counted, counts, "PING", NULL);
    WAIT_FOR(world.loop, counts[REDIS_OK] == 1);
    assert_int_equal(kill(own.pid, SIGSTOP), 0);
    for (unsigned i = 0; i < 1000; i++) {
        redis_command_strings(world.link, reply_counted, counts, "PING", NULL);
    }
    loop_iterate(world.loop, 0);
    assert_int_equal(counts[REDIS_OK], 1);
    assert_int_equal(kill(own.pid, SIGKILL), 0);
    WAIT_FOR(world.loop, world.downs == 1);
    assert_int_equal(counts[REDIS_LOST], 1000);
    redis_command_strings(world.link, reply_counted, counts, "PING", NULL);
    assert_int_equal(counts[REDIS_DOWN], 1);

    assert_int_equal(waitpid(own.pid, NULL, 0), own.pid);
    server_launch(&own, NULL);
    WAIT_FOR(world.loop, world.ups == 2);
    redis_command_strings(world.link, reply_counted, counts, "PING", NULL);
    WAIT_FOR(world.loop, counts[REDIS_OK] == 2);
    assert_int_equal(counts[REDIS_LOST], 1000);
    assert_int_equal(world.downs, 1);
    world_destroy(&world);
    server_stop(&own);
}

/* A stalled server: the command times out, and what was sent is not waited for. */
static void test_timeout(void **state)
{
    struct server own;
    struct world world;
    unsigned counts[4] = {0};
    int64_t timeouts = metrics_get(METRIC_REDIS_TIMEOUTS);
    uint64_t began;

    server_start(&own, NULL);
    server_grant(&own, "~* +strlen +append +incr +get +eval +llen +set");
    world_create_for(&world, &own);
    world_set(&world, "redis.timeout=200ms");
    world_link_up(&world);
    assert_int_equal(kill(own.pid, SIGSTOP), 0);
    began = clock_monotonic_us();
    for (unsigned i = 0; i < 10; i++) {
        redis_command_strings(world.link, reply_counted, counts, "PING", NULL);
    }
    WAIT_FOR(world.loop, world.downs == 1);
    assert_true(clock_monotonic_us() - began >= 200000);
    assert_int_equal(counts[REDIS_LOST], 10);
    assert_int_equal(metrics_get(METRIC_REDIS_TIMEOUTS) - timeouts, 1);
    assert_int_equal(kill(own.pid, SIGCONT), 0);
    WAIT_FOR(world.loop, world.ups == 2);
    redis_command_strings(world.link, reply_counted, counts, "PING", NULL);
    WAIT_FOR(world.loop, counts[REDIS_OK] == 1);
    world_destroy(&world);
    server_stop(&own);
}

/* The stall was ours: the replies have arrived, so nothing is lost. */
static void test_frozen_self(void **state)
{
    struct world world;
    unsigned counts[4] = {0};
    uint64_t until;

    world_create_for(&world, &server);
    world_set(&world, "redis.timeout=100ms");
    world_link_up(&world);
    for (unsigned i = 0; i < 10; i++) {
        redis_command_strings(world.link, reply_counted, counts, "PING", NULL);
    }
    loop_iterate(world.loop, 0);
    /* The server has served us when it serves a connection that came later. */
    server_expect(&server, "PONG", "PING");
    until = clock_monotonic_us() + 300000;
    while (clock_monotonic_us() < until) {
        (void)poll(NULL, 0, 10);
    }
    WAIT_FOR(world.loop, counts[REDIS_OK] + counts[REDIS_LOST] == 10);
    assert_int_equal(counts[REDIS_OK], 10);
    assert_int_equal(world.downs, 0);
    world_destroy(&world);
}

/* Output that the kernel does not take at once is sent later, in order. */
static void test_large_output(void **state)
{
    struct world world;
    struct seen seen = {0};
    size_t len = 8 << 20;
    uint8_t *data = mem_alloc(len);
    struct bytes args[] = {BYTES_LITERAL("APPEND"), BYTES_LITERAL("large"), {data, len}};

    memset(data, 'x', len);
    server_expect(&server, "0", "DEL large");
    world_create_for(&world, &server);
    world_link_up(&world);
    for (unsigned i = 0; i < 4; i++) {
        redis_command(world.link, seen_record, &seen, 3, args);
        redis_command_strings(world.link, seen_record, &seen, "APPEND", "large", "y", NULL);
    }
    loop_iterate(world.loop, 0);
    assert_true(metrics_get(METRIC_REDIS_QUEUED) > 0);
    redis_command_strings(world.link, seen_record, &seen, "STRLEN", "large", NULL);
    WAIT_FOR(world.loop, seen.called == 9);
    assert_int_equal(seen.integer, 4 * (int64_t)len + 4);
    assert_int_equal(metrics_get(METRIC_REDIS_QUEUED), 0);
    server_expect(&server, "1", "DEL large");
    free(data);
    world_destroy(&world);
}

static void test_reset(void **state)
{
    struct world world;
    unsigned counts[4] = {0};

    world_create_for(&world, &server);
    world_link_up(&world);
    redis_command_strings(world.link, reply_counted, counts, "PING", NULL);
    redis_link_reset(world.link, "a test");
    assert_int_equal(counts[REDIS_LOST], 1);
    assert_int_equal(world.downs, 1);
    redis_link_reset(world.link, "again"); /* there is none: harmless */
    assert_int_equal(world.downs, 1);
    WAIT_FOR(world.loop, world.ups == 2);
    world_destroy(&world);
}

/* Full jitter: anything from 0 to a bound that doubles up to redis.backoff_max, and all of it. */
static void test_backoff(void **state)
{
    static const uint64_t bounds[] = {50, 100, 200, 400, 700, 700, 700};
    static const uint64_t away[] = {0, 150, 600, 1600, 60000};
    static const uint64_t away_bounds[] = {50, 50, 150, 400, 700};
    struct world world;

    world_create(&world, "unix:/nonexistent/socket");
    world_set(&world, "redis.backoff=50ms");
    world_set(&world, "redis.backoff_max=700ms");
    world_link(&world);
    for (unsigned i = 0; i < sizeof bounds / sizeof *bounds; i++) {
        uint64_t least = UINT64_MAX, most = 0;

        world.link->attempts = i;
        for (unsigned n = 0; n < 2000; n++) {
            uint64_t delay = redis_link_backoff(world.link);

            least = delay < least ? delay : least;
            most = delay > most ? delay : most;
        }
        assert_true(least < bounds[i] / 4);
        assert_in_range(most, bounds[i] * 3 / 4, bounds[i]);
    }
    world.link->attempts = UINT_MAX;
    assert_true(redis_link_backoff(world.link) <= 700);
    /* After a loss at most a quarter of the time since, however many attempts there were. */
    for (unsigned i = 0; i < sizeof away / sizeof *away; i++) {
        uint64_t most = 0;

        for (unsigned n = 0; n < 2000; n++) {
            world.link->down_since_ms = loop_now_ms(world.loop) - away[i];
            uint64_t delay = redis_link_backoff(world.link);

            most = delay > most ? delay : most;
        }
        assert_in_range(most, away_bounds[i] * 3 / 4, away_bounds[i]);
    }
    world_destroy(&world);
}

/* Destroyed in every state, with the loop turned not at all, once, and until it is up. */
static void test_destroy_early(void **state)
{
    static const char *const urls[] = {"redis://127.0.0.1:1", "redis://localhost:1",
                                       "unix:/nonexistent/socket", "redis://no..such.host"};

    for (size_t i = 0; i < 4; i++) {
        for (unsigned turns = 0; turns < 5; turns++) {
            struct world world;

            world_create(&world, urls[i]);
            world_link(&world);
            for (unsigned n = 0; n < turns; n++) {
                loop_iterate(world.loop, 5);
            }
            world_destroy(&world);
            assert_int_equal(world.ups + world.downs, 0);
        }
    }
    redis_link_destroy(&(struct redis_link *){NULL});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_up),
        cmocka_unit_test(test_binary),
        cmocka_unit_test(test_pipeline),
        cmocka_unit_test(test_one_write_an_iteration),
        cmocka_unit_test(test_killed_in_flight),
        cmocka_unit_test(test_timeout),
        cmocka_unit_test(test_frozen_self),
        cmocka_unit_test(test_large_output),
        cmocka_unit_test(test_reset),
        cmocka_unit_test(test_backoff),
        cmocka_unit_test(test_destroy_early),
    };

    return cmocka_run_group_tests(tests, start, stop);
}
