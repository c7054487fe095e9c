/*
 * A view follows Redis: gaps are noticed and filled, late and malformed events do no harm.
 */
#include "view/view_fixture.h"

/* The last event before an idle time is lost: the next sweeps notice it. */
static void test_a_gap_without_a_later_event_is_noticed(void **state)
{
    struct world *world = *state;
    struct observer observer;
    struct client client;
    observer_watch(world, &observer, &world->fronts[1]);
    client_connect(&client, &world->fronts[0]);
    client_update(world, &client, "me", 1, "one");
    WAIT_UNTIL(world, observer_shows(&observer, "me", "one"));
    /* A change without an event: only the revision increases. */
    WORLD_REDIS(world, "HSET", "tracker:{main/1/0}:client:me", "state", "unpublished");
    WORLD_REDIS(world, "HINCRBY", "tracker:{main/1/0}:head", "revision", "1");
    WAIT_UNTIL(world, observer_shows(&observer, "me", "unpublished"));
    map_session_end(&client.session, true);
    map_unwatch(&observer.watcher);
}

/* Events arrive on one connection, the floor of the snapshot on another. So the event of a write
 * after the floor may arrive before it. */
static void test_an_event_before_the_first_floor_is_not_missing(void **state)
{
    struct world *world = *state;
    struct front *front = &world->fronts[1];
    struct observer observer;
    struct client client;
    char message[200];
    client_connect(&client, &world->fronts[0]);
    client_update(world, &client, "busy", 1, "a");
    unsigned revision =
        (unsigned)atoi(WORLD_REDIS(world, "HGET", "tracker:{main/1/0}:head", "revision"));
    observer_start(&observer, front);
    struct view_part *part = &observer.view->parts[0];
    WAIT_UNTIL(world, part->state == PART_LOADING);
    assert_int_equal(part->epoch_state, PART_EPOCH_UNKNOWN);
    int64_t gaps = metrics_get(METRIC_GAPS);
    snprintf(message, sizeof message, "1 %s %u 1\nupdate 4 1 9\nbusy25 1\nstateb",
             part_known(part).epoch, revision + 1);
    part->channel.callbacks->message(part, bytes_from_string(message));
    WAIT_UNTIL(world, part->state == PART_LIVE);
    assert_int_equal(part->revision, revision + 1);
    WORLD_REDIS(world, "HINCRBY", "tracker:{main/1/0}:head", "revision", "1");
    client_update(world, &client, "busy", 3, "c");
    WAIT_UNTIL(world, observer_shows(&observer, "busy", "c"));
    assert_int_equal(metrics_get(METRIC_GAPS), gaps);
    map_session_end(&client.session, true);
    map_unwatch(&observer.watcher);
}

/* An event with a later revision: the changes in between are read. */
static void test_a_gap_is_filled_and_watchers_receive_differences(void **state)
{
    struct world *world = *state;
    struct observer observer;
    struct client client;
    observer_watch(world, &observer, &world->fronts[1]);
    open_entries(world, &client, &observer, 20);
    unsigned changed = observer.changed;
    WORLD_REDIS(world, "HSET", "tracker:{main/1/0}:client:e3", "state", "unpublished");
    WORLD_REDIS(world, "HINCRBY", "tracker:{main/1/0}:head", "revision", "5");
    client_update(world, &client, "e4", 9, "published");
    WAIT_UNTIL(world, observer_shows(&observer, "e3", "unpublished"));
    WAIT_UNTIL(world, observer_shows(&observer, "e4", "published"));
    assert_int_equal(observer.changed, changed + 2);
    assert_int_equal(observer.closed, 0);
    map_session_end(&client.session, true);
    map_unwatch(&observer.watcher);
}

/* Redis was unreachable for longer than client.ttl: the hashes have expired, but are still listed.
 */
static void test_entries_whose_ttl_ended_are_kept(void **state)
{
    struct world *world = *state;
    struct observer observer;
    struct client client, orphaned, closed;
    observer_watch(world, &observer, &world->fronts[1]);
    struct client *const clients[] = {&client, &orphaned, &closed};
    const char *const ids[] = {"expired", "orphaned", "closed"};
    for (size_t i = 0; i < 3; i++) {
        client_connect(clients[i], &world->fronts[0]);
        client_update(world, clients[i], ids[i], 1, "one");
        WAIT_UNTIL(world, observer_shows(&observer, ids[i], "one"));
    }
    map_session_end(&orphaned.session, true);
    map_session_end(&closed.session, true);
    while (!*WORLD_REDIS(world, "ZSCORE", "tracker:{main/1/0}:deadlines", "c:orphaned") ||
           !*WORLD_REDIS(world, "ZSCORE", "tracker:{main/1/0}:deadlines", "c:closed")) {
        loop_iterate(world->loop, 5);
    }
    WORLD_REDIS(world, "DEL", "tracker:{main/1/0}:client:expired");
    WORLD_REDIS(world, "DEL", "tracker:{main/1/0}:client:orphaned");
    /* This one is closed without an event. It has no connection, else the audit of its front-end
     * would open it again. */
    WORLD_REDIS(world, "DEL", "tracker:{main/1/0}:client:closed");
    WORLD_REDIS(world, "ZREM", "tracker:{main/1/0}:deadlines", "c:closed");
    char *index = mem_format("tracker:{main/1/0}:node:%s", world->fronts[0].map->node);
    WORLD_REDIS(world, "HDEL", index, "closed");
    free(index);
    int64_t snapshots = metrics_get(METRIC_SNAPSHOTS);
    WORLD_REDIS(world, "HINCRBY", "tracker:{main/1/0}:head", "revision", "1");
    WAIT_UNTIL(world, metrics_get(METRIC_SNAPSHOTS) > snapshots);
    assert_true(observer_shows(&observer, "expired", "one"));
    assert_null(observer_state(&observer, "closed"));
    assert_string_equal(observer.last_closed, "closed");
    /* The client continues to write, and the orphan expires as if its hash existed. */
    client_update(world, &client, "expired", 2, "two");
    WAIT_UNTIL(world, observer_shows(&observer, "expired", "two"));
    WAIT_UNTIL(world, !observer_state(&observer, "orphaned"));
    assert_int_equal(observer.closed, 2);
    map_session_end(&client.session, true);
    map_unwatch(&observer.watcher);
}

/* Events arrive later than replies: that of an open after a snapshot that already includes the
 * close. */
static void test_a_late_open_event_does_not_restore_a_closed_entry(void **state)
{
    struct world *world = *state;
    struct observer observer;
    struct client client;
    observer_watch(world, &observer, &world->fronts[1]);
    world->fronts[1].map->running.view.snapshot_interval = 0;
    open_entries(world, &client, &observer, 20);
    char *epoch = mem_format("%s", WORLD_REDIS(world, "HGET", "tracker:{main/1/0}:head", "epoch"));
    uint64_t revision =
        strtoull(WORLD_REDIS(world, "HGET", "tracker:{main/1/0}:head", "revision"), NULL, 10);
    WORLD_REDIS(world, "HINCRBY", "tracker:{main/1/0}:head", "revision", "9");
    char *opened = mem_format("1 %s %llu 1\nopen 4 1 12\nlate05 3\nstateone", epoch,
                              (unsigned long long)revision + 5);
    char *closed =
        mem_format("1 %s %llu 1\nclose 4 0 0\nlate", epoch, (unsigned long long)revision + 6);
    int64_t snapshots = metrics_get(METRIC_SNAPSHOTS);
    WORLD_REDIS(world, "PUBLISH", "tracker:{main/1/0}:events", opened);
    WAIT_UNTIL(world, metrics_get(METRIC_SNAPSHOTS) > snapshots);
    WORLD_REDIS(world, "PUBLISH", "tracker:{main/1/0}:events", closed);
    client_update(world, &client, "e4", 9, "published");
    WAIT_UNTIL(world, observer_shows(&observer, "e4", "published"));
    assert_null(observer_state(&observer, "late"));
    assert_int_equal(map_view_count(observer.view), 20);
    free(epoch);
    free(opened);
    free(closed);
    map_session_end(&client.session, true);
    map_unwatch(&observer.watcher);
}

static void test_malformed_messages_on_the_channel_are_ignored(void **state)
{
    struct world *world = *state;
    struct observer observer;
    struct client client;
    observer_watch(world, &observer, &world->fronts[1]);
    open_entries(world, &client, &observer, 20);
    const char *malformed[] = {"", "hello", "1 x 1 1\n", "1 0011223344556677 1 1\nopen 9 9 9\n"};
    for (size_t i = 0; i < sizeof malformed / sizeof *malformed; i++) {
        WORLD_REDIS(world, "PUBLISH", "tracker:{main/1/0}:events", malformed[i]);
    }
    client_update(world, &client, "e4", 9, "published");
    WAIT_UNTIL(world, observer_shows(&observer, "e4", "published"));
    WAIT_UNTIL(world, observer.view->parts[0].state == PART_LIVE);
    assert_int_equal(map_view_count(observer.view), 20);
    assert_int_equal(observer.closed, 0);
    map_session_end(&client.session, true);
    map_unwatch(&observer.watcher);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_gap_without_a_later_event_is_noticed),
        TEST(test_an_event_before_the_first_floor_is_not_missing),
        TEST(test_a_gap_is_filled_and_watchers_receive_differences),
        TEST(test_entries_whose_ttl_ended_are_kept),
        TEST(test_a_late_open_event_does_not_restore_a_closed_entry),
        TEST(test_malformed_messages_on_the_channel_are_ignored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
