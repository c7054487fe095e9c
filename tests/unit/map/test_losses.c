/*
 * What is lost with a link or an epoch: batches and replies under way, and events published in the
 * meantime. What does not change is not restored.
 */
#include "map/losses_fixture.h"

#include "metrics/metrics.h"
#include "schema/scripts.h"
#include "view/view_private.h"

/* Two batches that are under way when the link is lost are sent again in their order. */
static void test_batches_of_a_lost_link_keep_their_order(void **state)
{
    struct world *world = *state;
    struct front *front = &world->fronts[0];
    struct client client;
    client_connect(&client, front);
    client_open(world, &client, "first");
    char id[sizeof client.id];
    memcpy(id, client.id, sizeof id);
    unsigned answers = client.answers;
    kill(redis_embedded_pid(world->server), SIGSTOP);
    map_session_close_entry(client.session, bytes_from_string(id), MAP_ADOPT_ANY, client_done,
                            &client);
    loop_iterate(world->loop, 0);
    loop_iterate(world->loop, 0);
    client_send_update(&client, id, MAP_VERSION_ABSOLUTE, 5, "again");
    loop_iterate(world->loop, 0);
    loop_iterate(world->loop, 0);
    redis_link_reset(front->map->link, "a test");
    kill(redis_embedded_pid(world->server), SIGCONT);
    WAIT_UNTIL(world, client.answers == answers + 2);
    assert_int_equal(client.result, MAP_OK);
    WAIT_UNTIL(world, map_is_ready(front->map, NULL));
    assert_string_equal(WORLD_REDIS(world, "HGET", client_key(id), "state"), "again");
    assert_true(map_session_owns(client.session, bytes_from_string(id)));
    map_session_end(&client.session, true);
}

/* It was executed, but its reply was lost with the link. Sent again it is accepted, and its state
 * is the one that an emptied Redis is given. */
static void test_an_update_whose_reply_was_lost_is_restored(void **state)
{
    struct world *world = *state;
    struct front *front = &world->fronts[0];
    struct client client;
    client_connect(&client, front);
    client_open(world, &client, "old");
    unsigned answers = client.answers;
    kill(redis_embedded_pid(world->server), SIGSTOP);
    client_send_update(&client, client.id, MAP_VERSION_ABSOLUTE, 1, "new");
    loop_iterate(world->loop, 0);
    loop_iterate(world->loop, 0);
    redis_link_reset(front->map->link, "a test");
    kill(redis_embedded_pid(world->server), SIGCONT);
    WAIT_UNTIL(world, client.answers > answers);
    assert_int_equal(client.result, MAP_OK);
    WORLD_REDIS(world, "FLUSHALL");
    WAIT_UNTIL(world, has_entries(world, "1"));
    assert_string_equal(WORLD_REDIS(world, "HGET", client_key(client.id), "state"), "new");
    map_session_end(&client.session, true);
}

/* The view shows that another client has opened the id again: an older Redis must not end that. */
static void test_an_end_of_an_earlier_opening_is_not_repeated(void **state)
{
    struct world *world = *state;
    struct observer observer;
    struct client first, second;
    struct front *front = &world->fronts[0];
    observer_watch(world, &observer, front);
    client_connect(&first, front);
    client_update(world, &first, "again", 1, "first");
    char *since = mem_strdup(WORLD_REDIS(world, "HGET", client_key("again"), "since"));
    assert_int_equal(client_close(world, &first, "again"), MAP_OK);
    WAIT_UNTIL(world, observer.closed == 1);
    loop_iterate(world->loop, 5); /* so that it is opened in another millisecond */
    client_connect(&second, &world->fronts[1]);
    client_update(world, &second, "again", 1, "second");
    WAIT_UNTIL(world, observer_shows(&observer, "again", "second"));
    /* As if Redis had the data from before the close. */
    WORLD_REDIS(world, "HSET", client_key("again"), "since", since);
    free(since);
    unsigned epochs = front->map->spaces[0].partitions[0].epochs;
    WORLD_REDIS(world, "HSET", "tracker:{main/1/0}:head", "run", "another");
    redis_link_reset(front->map->link, "a test");
    WAIT_UNTIL(world, front->map->spaces[0].partitions[0].epochs > epochs);
    assert_int_equal(client_update(world, &second, "again", 2, "still there"), MAP_OK);
    WAIT_UNTIL(world, observer_shows(&observer, "again", "still there"));
    struct partition *partition = &front->map->spaces[0].partitions[0];
    WAIT_UNTIL(world, list_is_empty(&partition->tombstones.soon) &&
                          list_is_empty(&partition->tombstones.later) &&
                          list_is_empty(&partition->tombstones.due) && partition->batch_count == 0);
    client_update(world, &second, "again", 3, "for good");
    WAIT_UNTIL(world, observer_shows(&observer, "again", "for good"));
    assert_int_equal(observer.closed, 1);
    map_session_end(&first.session, false);
    map_session_end(&second.session, false);
    map_unwatch(&observer.watcher);
}

/* The event of the new epoch was published while the view had no connection. */
static void test_a_view_finds_a_new_epoch_in_the_snapshot(void **state)
{
    struct world *world = *state;
    struct observer observer;
    struct client client;
    observer_watch(world, &observer, &world->fronts[1]);
    client_connect(&client, &world->fronts[0]);
    client_open(world, &client, "a");
    WAIT_UNTIL(world, observer_shows(&observer, client.id, "a"));
    /* As after a restart with the data: no event reaches a subscriber, and nothing changes after
     * it. */
    WORLD_REDIS(world, "HSET", KEY("head"), "epoch", "0123456789abcdef");
    redis_subscriber_reset(world->fronts[1].map->subscriber, "a test");
    const struct view_part *part = &observer.view->parts[0];
    WAIT_UNTIL(world, part->epoch == UINT64_C(0x0123456789abcdef) && part->state == PART_LIVE);
    assert_int_equal(observer.closed, 0);
    map_session_end(&client.session, true);
    map_unwatch(&observer.watcher);
}

/* Within map.lease, and while nothing has changed, nothing is compared; later operations are judged
 * as always. */
static void test_a_short_loss_restores_nothing(void **state)
{
    struct world *world = *state;
    struct map *map = world->fronts[0].map;
    struct client client;
    client_connect(&client, &world->fronts[0]);
    client_open(world, &client, "a");
    int64_t restored = metrics_get(METRIC_RESTORED), spared = metrics_get(METRIC_RESTORES_SKIPPED);
    redis_link_reset(map->link, "a test");
    WAIT_UNTIL(world, metrics_get(METRIC_RESTORES_SKIPPED) == spared + 1);
    assert_int_equal(client_update(world, &client, client.id, 1, "b"), MAP_OK);
    assert_int_equal(metrics_get(METRIC_RESTORED), restored);
    assert_string_equal(WORLD_REDIS(world, "HGET", client_key(client.id), "state"), "b");
    /* Something has changed in the meantime: all is compared. */
    redis_link_reset(map->link, "a test");
    WORLD_REDIS(world, "HINCRBY", KEY("head"), "revision", "1");
    WORLD_REDIS(world, "DEL", client_key(client.id));
    WAIT_UNTIL(world, !strcmp(WORLD_REDIS(world, "HGET", client_key(client.id), "state"), "b"));
    assert_int_equal(metrics_get(METRIC_RESTORES_SKIPPED), spared + 1);
    map_session_end(&client.session, true);
}

/* The front-end that reconnects first after Redis stalled must not take the others for crashed. */
static void test_hello_begins_the_recovery_grace_when_nobody_has_swept(void **state)
{
    struct world *world = *state;
    for (size_t i = 0; i < 2; i++) {
        front_idle_ms(&world->fronts[i]);
    }
    WORLD_REDIS(world, "HSET", KEY("head"), "hold_until", "0", "last", "1000");
    char run[sizeof world->reply];
    strcpy(run, WORLD_REDIS(world, "HGET", KEY("head"), "run"));
    WORLD_REDIS(world, "EVAL", script_hello, "3", KEY("head"), KEY("nodes"), KEY("events"), run,
                "0123456789abcdef", "1", "aaaaaaaaaaaa", "900", "60000", "1", "1", "0.1.0", "1",
                "9");
    assert_true(strlen(WORLD_REDIS(world, "HGET", KEY("head"), "hold_until")) == 13);
    /* The next hello does not begin it again. */
    WORLD_REDIS(world, "HSET", KEY("head"), "hold_until", "0");
    WORLD_REDIS(world, "EVAL", script_hello, "3", KEY("head"), KEY("nodes"), KEY("events"), run,
                "0123456789abcdef", "1", "aaaaaaaaaaaa", "900", "60000", "1", "1", "0.1.0", "1",
                "9");
    assert_string_equal(WORLD_REDIS(world, "HGET", KEY("head"), "hold_until"), "0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_batches_of_a_lost_link_keep_their_order),
        TEST(test_an_update_whose_reply_was_lost_is_restored),
        TEST(test_an_end_of_an_earlier_opening_is_not_repeated),
        TEST(test_a_view_finds_a_new_epoch_in_the_snapshot),
        TEST(test_hello_begins_the_recovery_grace_when_nobody_has_swept),
        TEST(test_a_short_loss_restores_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
