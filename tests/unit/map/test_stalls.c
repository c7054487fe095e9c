/*
 * A front-end that stalled: what its clients and other front-ends did in the meantime stays in
 * force, and its index is compared with what it owns.
 */
#include "map/losses_fixture.h"

#include "map/sweep_private.h"
#include "schema/scripts.h"

/* For most of a lease no front-end could renew its own: one that has expired for that reason is
 * renewed. */
static void test_a_stall_shorter_than_a_lease_ends_none(void **state)
{
    struct world *world = *state;
    for (size_t i = 0; i < 2; i++) {
        front_idle_ms(&world->fronts[i]);
    }
    WORLD_REDIS(world, "EVAL",
                "local t = redis.call('TIME') local now = t[1] * 1000 + math.floor(t[2] / 1000) "
                "redis.call('HSET', KEYS[1], 'last', now - 50000, 'hold_until', '0', "
                "'link:aaaaaaaaaaaa', '1 0', 'epoch', '0123456789abcdef', 'shared', '1') "
                "redis.call('ZADD', KEYS[2], now - 10000, 'aaaaaaaaaaaa')",
                "2", KEY("head"), KEY("nodes"));
    WORLD_REDIS(world, "EVAL", script_sweep, "7", KEY("head"), KEY("nodes"), KEY("deadlines"),
                KEY("node:aaaaaaaaaaaa"), KEY("members:aaaaaaaaaaaa"), KEY("registered"),
                KEY("events"), "0123456789abcdef", "aaaaaaaaaaaa", "1", "60000", "600000", "1000",
                "10", "1000", "0", "1", "1", "60000", "1", "0.1.0");
    WORLD_REDIS(world, "EVAL",
                "local now = tonumber(redis.call('TIME')[1]) * 1000 "
                "local hold = tonumber(redis.call('HGET', KEYS[1], 'hold_until')) - now "
                "local lease = tonumber(redis.call('ZSCORE', KEYS[2], 'aaaaaaaaaaaa')) - now "
                "return hold > 30000 and hold <= 61000 and lease > 30000 and 1 or 0",
                "2", KEY("head"), KEY("nodes"));
    assert_int_equal(world->reply_integer, 1);
}

static struct partition *partition_of_front(struct world *world, size_t index)
{
    return &map_space_find(world->fronts[index].map, "")->partitions[0];
}

/* It does not sweep until the others take it for crashed; then it continues. */
static void stall(struct world *world, size_t index, const struct observer *observer, unsigned gone)
{
    struct partition *partition = partition_of_front(world, index);
    loop_timer_stop(partition->sweep.timer);
    WAIT_UNTIL(world, observer->closed == gone);
    partition->map->stalls++;
    sweep_run(partition);
}

/* It has swept twice, and nothing of it is under way. */
static void wait_quiet(struct world *world, size_t index)
{
    struct partition *partition = partition_of_front(world, index);
    for (unsigned sweeps = 0; sweeps < 2; sweeps++) {
        WAIT_UNTIL(world, partition->sweep.is_under_way);
        WAIT_UNTIL(world, !partition->sweep.is_under_way && partition->state == PARTITION_READY);
    }
    WAIT_UNTIL(world, partition->batch_count == 0 && list_is_empty(&partition->queue));
}

/* Their sockets were closed while it stalled, which it has not read yet. Others have reported them
 * gone, and they are not opened again. */
static void test_a_client_that_left_while_the_front_end_stalled_is_not_opened_again(void **state)
{
    struct world *world = *state;
    struct observer observer;
    struct client gone, left, there;
    observer_watch(world, &observer, &world->fronts[1]);
    client_connect(&gone, &world->fronts[0]);
    client_connect(&left, &world->fronts[0]);
    client_connect(&there, &world->fronts[0]);
    client_open(world, &gone, "gone");
    client_open(world, &left, "left");
    client_open(world, &there, "there");
    WAIT_UNTIL(world, observer_shows(&observer, there.id, "there"));
    gone.gone = true;
    stall(world, 0, &observer, 3);
    unsigned changed = observer.changed;
    struct partition *partition = partition_of_front(world, 0);
    /* The end of one is read while its entry is still to be compared. */
    WAIT_UNTIL(world, partition->state == PARTITION_DRAINING);
    owned_unconfirm(partition, owned_find(partition, bytes_from_string(left.id)));
    map_session_end(&left.session, true);
    WAIT_UNTIL(world, observer_shows(&observer, there.id, "there"));
    map_session_end(&gone.session, true);
    wait_quiet(world, 0);
    assert_int_equal(observer.changed, changed + 1);
    assert_true(has_entries(world, "1"));
    assert_false(there.ended);
    map_session_end(&there.session, true);
    map_unwatch(&observer.watcher);
}

/* An entry was adopted elsewhere while its front-end stalled: it belongs to that connection, and
 * this one is closed. Its other entries are left for its client. */
static void test_a_client_that_lost_its_id_to_a_live_connection_is_closed(void **state)
{
    struct world *world = *state;
    struct observer observer;
    struct client client, other;
    char first[sizeof client.id], second[sizeof client.id];
    observer_watch(world, &observer, &world->fronts[1]);
    client_connect(&client, &world->fronts[0]);
    client_open(world, &client, "a");
    memcpy(first, client.id, sizeof first);
    client_open(world, &client, "b");
    memcpy(second, client.id, sizeof second);
    WAIT_UNTIL(world, observer_shows(&observer, second, "b"));
    stall(world, 0, &observer, 2);
    client_connect(&other, &world->fronts[1]);
    assert_int_equal(client_update(world, &other, first, 5, "taken"), MAP_OK);
    WAIT_UNTIL(world, client.ended);
    assert_int_equal(client.why, MAP_END_TAKEN);
    wait_quiet(world, 0);
    assert_string_equal(WORLD_REDIS(world, "HGET", client_key(first), "state"), "taken");
    assert_false(other.ended);
    assert_int_equal(client_update(world, &other, first, 6, "still"), MAP_OK);
    map_session_end(&other.session, true);
    map_unwatch(&observer.watcher);
}

/* An entry was adopted elsewhere and left again: the connection that remains takes it back, with
 * its newest state. */
static void test_an_entry_that_was_adopted_and_left_elsewhere_is_taken_back(void **state)
{
    struct world *world = *state;
    struct observer observer;
    struct client client, other;
    observer_watch(world, &observer, &world->fronts[1]);
    client_connect(&client, &world->fronts[0]);
    client_open(world, &client, "a");
    WAIT_UNTIL(world, observer_shows(&observer, client.id, "a"));
    struct partition *partition = partition_of_front(world, 0);
    loop_timer_stop(partition->sweep.timer);
    WAIT_UNTIL(world, observer.closed == 1);
    client_connect(&other, &world->fronts[1]);
    assert_int_equal(client_update(world, &other, client.id, 5, "newest"), MAP_OK);
    world_lengthen_grace(world);
    map_session_end(&other.session, true);
    WAIT_UNTIL(world, !*WORLD_REDIS(world, "HGET", client_key(client.id), "node"));
    sweep_run(partition);
    WAIT_UNTIL(world, *WORLD_REDIS(world, "HGET", client_key(client.id), "node"));
    assert_string_equal(WORLD_REDIS(world, "HGET", client_key(client.id), "state"), "newest");
    assert_false(client.ended);
    assert_int_equal(client_update(world, &client, client.id, 6, "mine"), MAP_OK);
    map_session_end(&client.session, true);
    map_unwatch(&observer.watcher);
}

/* As when Redis has come back older: the index lists an entry without a hash, one of another
 * front-end, and an orphan. */
static void test_the_audit_removes_what_an_index_must_not_list(void **state)
{
    struct world *world = *state;
    struct observer observer;
    struct client client;
    char mine[64], member[300];
    observer_watch(world, &observer, &world->fronts[1]);
    client_connect(&client, &world->fronts[0]);
    client_open(world, &client, "a");
    WAIT_UNTIL(world, observer_shows(&observer, client.id, "a"));
    snprintf(mine, sizeof mine, KEY("node:%s"), map_node_id(world->fronts[1].map));
    snprintf(member, sizeof member, "c:%s", client.id);
    WORLD_REDIS(world, "HSET", mine, client.id, "", "nobody", "");
    WORLD_REDIS(world, "HINCRBY", KEY("head"), "entries", "2");
    WAIT_UNTIL(world, (WORLD_REDIS(world, "HLEN", mine), world->reply_integer == 0));
    WAIT_UNTIL(world, has_entries(world, "1"));
    /* The hash is missing: the live connection's front-end restores it, and no end was published.
     */
    WORLD_REDIS(world, "HSET", mine, client.id, "");
    WORLD_REDIS(world, "HINCRBY", KEY("head"), "entries", "1");
    WORLD_REDIS(world, "DEL", client_key(client.id));
    WAIT_UNTIL(world, (WORLD_REDIS(world, "HLEN", mine), world->reply_integer == 0));
    WAIT_UNTIL(world, has_entries(world, "1"));
    assert_int_equal(client_update(world, &client, client.id, 1, "b"), MAP_OK);
    assert_true(has_entries(world, "1"));
    assert_int_equal(observer.closed, 0);
    map_session_end(&client.session, true);
    map_unwatch(&observer.watcher);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_stall_shorter_than_a_lease_ends_none),
        TEST(test_a_client_that_left_while_the_front_end_stalled_is_not_opened_again),
        TEST(test_a_client_that_lost_its_id_to_a_live_connection_is_closed),
        TEST(test_an_entry_that_was_adopted_and_left_elsewhere_is_taken_back),
        TEST(test_the_audit_removes_what_an_index_must_not_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
