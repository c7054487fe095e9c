/* When a view reads its snapshot again: only if changes are certain to be missing, and not too
 * often. */
#include "map/fixture.h"

#include "metrics/metrics.h"
#include "view/view_private.h"

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

static void iterate_for(struct world *world, uint64_t ms)
{
    uint64_t end = loop_now_ms(world->loop) + ms;
    while (loop_now_ms(world->loop) < end) {
        loop_iterate(world->loop, 10);
    }
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
    iterate_for(world, 1100); /* the intervals are over */
    before = metrics_get(METRIC_SNAPSHOTS);
    publish(world, format);
    WAIT_UNTIL(world, metrics_get(METRIC_EVENT_MESSAGES) >= messages + 200);
    iterate_for(world, 300);
    return metrics_get(METRIC_SNAPSHOTS) - before;
}

static void expect_shown(struct stage *stage, const char *text)
{
    client_update(stage->world, &stage->client, stage->client.id, (uint64_t)atoi(text), text);
    WAIT_UNTIL(stage->world, observer_shows(&stage->observer, stage->client.id, text));
    assert_int_equal(stage->observer.closed, 0);
}

static void test_messages_of_an_unknown_epoch_cause_no_snapshot(void **state)
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
    assert_int_equal(publish_and_count_snapshots(stage, "1 malformed %d"), 0);
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
            spared = metrics_get(METRIC_SNAPSHOTS_SKIPPED);
    for (unsigned i = 1; i <= 3; i++) {
        redis_subscriber_reset(map->subscriber, "a test");
        redis_link_reset(map->link, "a test");
        assert_int_equal(stage->part->state, PART_LAPSED);
        WAIT_UNTIL(stage->world, stage->part->state == PART_LIVE);
        assert_int_equal(metrics_get(METRIC_SNAPSHOTS_SKIPPED) - spared, i);
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
    expect_shown(stage, "1"); /* its event did not arrive: the snapshot contains it */
    WAIT_UNTIL(stage->world, stage->part->state == PART_LIVE);
    assert_in_range(metrics_get(METRIC_SNAPSHOTS) - snapshots, 0, 1);
    expect_shown(stage, "2");
}

/* The message that announces a new epoch may be lost: the partition has seen the epoch. */
static void test_an_epoch_without_a_message_is_found(void **state)
{
    struct stage *stage = *state;
    struct world *world = stage->world;
    WORLD_REDIS(world, "HSET", KEY("head"), "epoch", "0123456789abcdef");
    WAIT_UNTIL(world, stage->part->epoch == UINT64_C(0x0123456789abcdef) &&
                          stage->part->state == PART_LIVE);
    expect_shown(stage, "1");
}

#define FRONTS 3
#define ROUNDS 4

/* Front-ends with the same reason to read, and how long each of their parts waits. */
struct crowd {
    struct world *world;
    struct observer observers[FRONTS];
    struct client client;
    uint64_t iterated_ms, stalled_ms; /* how long the test process was stopped */
    unsigned count;                   /* of the delays */
    uint64_t delays[FRONTS * ROUNDS];
};

static struct view_part *part_of(struct crowd *crowd, unsigned front)
{
    return &crowd->observers[front].view->parts[0];
}

static bool all_are_live(struct crowd *crowd)
{
    for (unsigned i = 0; i < FRONTS; i++) {
        if (part_of(crowd, i)->state != PART_LIVE) {
            return false;
        }
    }
    return true;
}

static void crowd_open(struct crowd *crowd)
{
    memset(crowd, 0, sizeof *crowd);
    crowd->world = world_with_fronts(FRONTS);
    for (unsigned i = 0; i < FRONTS; i++) {
        observer_watch(crowd->world, &crowd->observers[i], &crowd->world->fronts[i]);
    }
    client_connect(&crowd->client, &crowd->world->fronts[0]);
    client_open(crowd->world, &crowd->client, "a");
    WAIT_UNTIL(crowd->world, all_are_live(crowd));
    iterate_for(crowd->world, 1100); /* the intervals are over */
}

static void crowd_close(struct crowd *crowd)
{
    map_session_end(&crowd->client.session, true);
    for (unsigned i = 0; i < FRONTS; i++) {
        map_unwatch(&crowd->observers[i].watcher);
    }
    world_destroy(crowd->world);
}

static uint64_t iterate_once(struct crowd *crowd)
{
    uint64_t now = loop_now_ms(crowd->world->loop);
    loop_iterate(crowd->world->loop, 1);
    crowd->iterated_ms = loop_now_ms(crowd->world->loop);
    if (crowd->iterated_ms - now > 10) {
        crowd->stalled_ms += crowd->iterated_ms - now;
    }
    return crowd->iterated_ms;
}

/* Until all are live in that epoch (0: in theirs). Those with nothing to read are not counted. */
static void note_delays(struct crowd *crowd, const uint64_t *last_ms, uint64_t epoch)
{
    struct patience patience = patience_begin();
    uint64_t began[FRONTS] = {0};
    unsigned left = FRONTS;
    bool done[FRONTS] = {false};
    while (left > 0) {
        uint64_t now = iterate_once(crowd);
        if (patience_is_over(&patience)) {
            fail_msg("%u have not read", left);
        }
        for (unsigned i = 0; i < FRONTS; i++) {
            const struct view_part *part = part_of(crowd, i);
            if (!began[i] && loop_timer_is_running(part->retry_timer)) {
                began[i] = now;
            }
            if (done[i] || part->state != PART_LIVE || (epoch && part->epoch != epoch)) {
                continue;
            }
            done[i] = true;
            left--;
            if (part->loaded_ms > last_ms[i]) {
                crowd->delays[crowd->count++] =
                    began[i] && part->loaded_ms > began[i] ? part->loaded_ms - began[i] : 0;
            }
        }
    }
}

/* Delays exceed the bounds only while the test process was stopped, and by one iteration. */
static void check_delays(const struct crowd *crowd, uint64_t least_ms, uint64_t most_ms)
{
    uint64_t least = UINT64_MAX, most = 0;
    for (unsigned i = 0; i < crowd->count; i++) {
        least = crowd->delays[i] < least ? crowd->delays[i] : least;
        most = crowd->delays[i] > most ? crowd->delays[i] : most;
    }
    assert_true(crowd->count >= 6);
    assert_true(most - least >= most_ms / 10);
    assert_true(least + 20 + crowd->stalled_ms >= least_ms);
    assert_true(most <= most_ms + 20 + crowd->stalled_ms);
}

static void test_snapshots_of_a_new_epoch_are_spread_over_a_quarter_of_the_grace(void **state)
{
    struct crowd crowd;
    crowd_open(&crowd);
    for (unsigned round = 0; round < ROUNDS; round++) {
        uint64_t last_ms[FRONTS], epoch = UINT64_C(0x0123456789abcde0) + round;
        char text[17];
        for (unsigned i = 0; i < FRONTS; i++) {
            last_ms[i] = part_of(&crowd, i)->loaded_ms;
        }
        snprintf(text, sizeof text, "%016llx", (unsigned long long)epoch);
        WORLD_REDIS(crowd.world, "HSET", KEY("head"), "epoch", text);
        for (unsigned i = 0; i < FRONTS; i++) {
            part_request_check(part_of(&crowd, i));
        }
        note_delays(&crowd, last_ms, epoch);
        iterate_for(crowd.world, 1100);
    }
    check_delays(&crowd, 1000 / 8, 1000 / 4);
    crowd_close(&crowd);
}

static void test_snapshots_of_a_new_subscription_are_spread_over_the_interval(void **state)
{
    struct crowd crowd;
    crowd_open(&crowd);
    for (unsigned round = 1; round <= ROUNDS; round++) {
        uint64_t last_ms[FRONTS];
        for (unsigned i = 0; i < FRONTS; i++) {
            last_ms[i] = part_of(&crowd, i)->loaded_ms;
            redis_subscriber_reset(crowd.world->fronts[i].map->subscriber, "a test");
        }
        client_update(crowd.world, &crowd.client, crowd.client.id, round, "changed");
        note_delays(&crowd, last_ms, 0);
        iterate_for(crowd.world, 1100);
    }
    check_delays(&crowd, 0, 1000);
    crowd_close(&crowd);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_messages_of_an_unknown_epoch_cause_no_snapshot),
        TEST(test_malformed_messages_cause_no_snapshot),
        TEST(test_gaps_are_read_again_once_in_an_interval),
        TEST(test_a_lost_subscription_without_a_change_reads_nothing),
        TEST(test_a_lost_subscription_with_a_change_reads_once),
        TEST(test_an_epoch_without_a_message_is_found),
        cmocka_unit_test(test_snapshots_of_a_new_epoch_are_spread_over_a_quarter_of_the_grace),
        cmocka_unit_test(test_snapshots_of_a_new_subscription_are_spread_over_the_interval),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
