/* When a view reads its snapshot again: what is certain to be missing, and not too often. */
#include "map/fixture.h"

#include "map/view_private.h"
#include "metrics/metrics.h"

#define KEY(kind) "tracker:{main/1/0}:" kind

struct stage {
    struct world *world;
    struct observer observer;
    struct client client;
    struct view_part *part;
};

static int setup(void **state)
{
    struct stage *stage = mem_zalloc(1, sizeof *stage);
    stage->world = world_with_fronts(2);
    observer_watch(stage->world, &stage->observer, &stage->world->fronts[1]);
    client_connect(&stage->client, &stage->world->fronts[0]);
    client_open(stage->world, &stage->client, "a");
    WAIT_UNTIL(stage->world, observer_shows(&stage->observer, stage->client.id, "a"));
    stage->part = &stage->observer.view->parts[0];
    WAIT_UNTIL(stage->world, stage->part->state == PART_LIVE);
    *state = stage;
    return 0;
}

static int teardown(void **state)
{
    struct stage *stage = *state;
    map_session_end(&stage->client.session, true);
    map_unwatch(&stage->observer.watcher);
    world_destroy(stage->world);
    free(stage);
    return 0;
}

static void turn_for(struct world *world, uint64_t ms)
{
    uint64_t end = loop_now_ms(world->loop) + ms;
    while (loop_now_ms(world->loop) < end)
        loop_turn(world->loop, 10);
}

/* Publishes 200 messages at once, made from the format by their number. */
static void publish(struct world *world, const char *format)
{
    char script[256];
    snprintf(script, sizeof script,
             "for i = 1, 200 do redis.call('PUBLISH', KEYS[1], string.format('%s', i)) end",
             format);
    WORLD_REDIS(world, "EVAL", script, "1", KEY("events"));
}

static int64_t publish_and_count_snapshots(struct stage *stage, const char *format)
{
    struct world *world = stage->world;
    int64_t before, messages = metrics_get(METRIC_EVENT_MESSAGES);
    turn_for(world, 1100); /* no interval runs any more */
    before = metrics_get(METRIC_SNAPSHOTS);
    publish(world, format);
    WAIT_UNTIL(world, metrics_get(METRIC_EVENT_MESSAGES) >= messages + 200);
    turn_for(world, 300);
    return metrics_get(METRIC_SNAPSHOTS) - before;
}

static void expect_shown(struct stage *stage, const char *text)
{
    client_update(stage->world, &stage->client, stage->client.id, (uint64_t)atoi(text), text);
    WAIT_UNTIL(stage->world, observer_shows(&stage->observer, stage->client.id, text));
    assert_int_equal(stage->observer.closed, 0);
}

static void test_messages_of_no_epoch_cause_no_snapshot(void **state)
{
    struct stage *stage = *state;
    int64_t ignored = metrics_get(METRIC_EVENTS_OTHER_EPOCH);
    uint64_t epoch = stage->part->epoch;
    assert_int_equal(publish_and_count_snapshots(stage, "1 %016x 5 0\\n"), 0);
    assert_int_equal(metrics_get(METRIC_EVENTS_OTHER_EPOCH) - ignored, 200);
    assert_int_equal(stage->part->epoch, epoch);
    assert_int_equal(stage->part->state, PART_LIVE);
    expect_shown(stage, "1");
}

static void test_malformed_messages_cause_no_snapshot(void **state)
{
    struct stage *stage = *state;
    int64_t ignored = metrics_get(METRIC_EVENTS_MALFORMED);
    assert_int_equal(publish_and_count_snapshots(stage, "1 nonsense %d"), 0);
    assert_int_equal(metrics_get(METRIC_EVENTS_MALFORMED) - ignored, 200);
    expect_shown(stage, "1");
}

/* Of the right epoch: each is a gap. */
static void test_gaps_are_read_again_once_in_an_interval(void **state)
{
    struct stage *stage = *state;
    char format[64];
    int64_t deferred = metrics_get(METRIC_SNAPSHOTS_DEFERRED);
    snprintf(format, sizeof format, "1 %016llx %%d000 1\\n",
             (unsigned long long)stage->part->epoch);
    assert_in_range(publish_and_count_snapshots(stage, format), 0, 1);
    assert_true(metrics_get(METRIC_SNAPSHOTS_DEFERRED) > deferred);
    WAIT_UNTIL(stage->world, stage->part->state == PART_LIVE);
    expect_shown(stage, "1");
}

static void test_a_lost_subscription_without_a_change_reads_nothing(void **state)
{
    struct stage *stage = *state;
    struct map *map = stage->world->fronts[1].map;
    int64_t snapshots = metrics_get(METRIC_SNAPSHOTS),
            spared = metrics_get(METRIC_SNAPSHOTS_SPARED);
    for (unsigned i = 1; i <= 3; i++) {
        redis_subscriber_reset(map->subscriber, "a test");
        redis_link_reset(map->link, "a test");
        assert_int_equal(stage->part->state, PART_COLD);
        WAIT_UNTIL(stage->world, stage->part->state == PART_LIVE);
        assert_int_equal(metrics_get(METRIC_SNAPSHOTS_SPARED) - spared, i);
    }
    assert_int_equal(metrics_get(METRIC_SNAPSHOTS), snapshots);
    expect_shown(stage, "1");
}

static void test_a_lost_subscription_with_a_change_reads_once(void **state)
{
    struct stage *stage = *state;
    struct map *map = stage->world->fronts[1].map;
    int64_t snapshots = metrics_get(METRIC_SNAPSHOTS);
    redis_subscriber_reset(map->subscriber, "a test");
    expect_shown(stage, "1"); /* what is told to nobody here is in the snapshot */
    WAIT_UNTIL(stage->world, stage->part->state == PART_LIVE);
    assert_in_range(metrics_get(METRIC_SNAPSHOTS) - snapshots, 0, 1);
    expect_shown(stage, "2");
}

/* A message that the new epoch's beginning was told with may be lost: the partition knows of it. */
static void test_an_epoch_that_was_not_told_is_found(void **state)
{
    struct stage *stage = *state;
    struct world *world = stage->world;
    WORLD_REDIS(world, "HSET", KEY("head"), "epoch", "0123456789abcdef");
    WAIT_UNTIL(world, stage->part->epoch == UINT64_C(0x0123456789abcdef) &&
                          stage->part->state == PART_LIVE);
    expect_shown(stage, "1");
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_messages_of_no_epoch_cause_no_snapshot),
        TEST(test_malformed_messages_cause_no_snapshot),
        TEST(test_gaps_are_read_again_once_in_an_interval),
        TEST(test_a_lost_subscription_without_a_change_reads_nothing),
        TEST(test_a_lost_subscription_with_a_change_reads_once),
        TEST(test_an_epoch_that_was_not_told_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
