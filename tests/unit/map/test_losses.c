/*
 * What the map does about what was lost: batches under way with their link, hashes that only their
 * TTL ended, events that nobody listened to.
 */
#include "map/fixture.h"

#include "map/sweep_private.h"
#include "metrics/metrics.h"
#include "schema/scripts.h"
#include "view/view_private.h"

#define KEY(kind) "tracker:{main/1/0}:" kind

static int setup_two(void **state)
{
    *state = world_with_fronts(2);
    return 0;
}

static int teardown(void **state)
{
    world_destroy(*state);
    return 0;
}

static const char *client_key(const char *id)
{
    static char key[300];
    snprintf(key, sizeof key, KEY("client:%s"), id);
    return key;
}

static bool has_entries(struct world *world, const char *count)
{
    return !strcmp(WORLD_REDIS(world, "HGET", KEY("head"), "entries"), count);
}

/* Two batches under way when the link goes must not change places. */
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
    loop_turn(world->loop, 0);
    loop_turn(world->loop, 0);
    client_send_update(&client, id, MAP_VERSION_ABSOLUTE, 5, "again");
    loop_turn(world->loop, 0);
    loop_turn(world->loop, 0);
    redis_link_reset(front->map->link, "a test");
    kill(redis_embedded_pid(world->server), SIGCONT);
    WAIT_UNTIL(world, client.answers == answers + 2);
    assert_int_equal(client.result, MAP_OK);
    WAIT_UNTIL(world, map_is_ready(front->map, NULL));
    assert_string_equal(WORLD_REDIS(world, "HGET", client_key(id), "state"), "again");
    assert_true(map_session_owns(client.session, bytes_from_string(id)));
    map_session_end(&client.session, true);
}

/* Executed, but its reply was lost with the link; asked again, it is accepted. What it said must be
 * what an emptied Redis is filled with. */
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
    loop_turn(world->loop, 0);
    loop_turn(world->loop, 0);
    redis_link_reset(front->map->link, "a test");
    kill(redis_embedded_pid(world->server), SIGCONT);
    WAIT_UNTIL(world, client.answers > answers);
    assert_int_equal(client.result, MAP_OK);
    WORLD_REDIS(world, "FLUSHALL");
    WAIT_UNTIL(world, has_entries(world, "1"));
    assert_string_equal(WORLD_REDIS(world, "HGET", client_key(client.id), "state"), "new");
    map_session_end(&client.session, true);
}

/* Redis came back with an older state, and with what was left of the TTL then. */
static void test_a_restore_of_a_newer_state_renews_the_ttl(void **state)
{
    struct world *world = *state;
    struct front *front = &world->fronts[0];
    struct client client;
    client_connect(&client, front);
    client_open(world, &client, "old");
    assert_int_equal(client_update(world, &client, client.id, 5, "new"), MAP_OK);
    WORLD_REDIS(world, "HSET", client_key(client.id), "state", "old", "version", "0");
    WORLD_REDIS(world, "PEXPIRE", client_key(client.id), "5000");
    WORLD_REDIS(world, "HINCRBY", KEY("head"), "revision", "1");
    redis_link_reset(front->map->link, "a test");
    WAIT_UNTIL(world, !strcmp(WORLD_REDIS(world, "HGET", client_key(client.id), "state"), "new"));
    WORLD_REDIS(world, "PTTL", client_key(client.id));
    assert_true(world->reply_integer > 20000);
    map_session_end(&client.session, true);
}

static void test_the_end_of_an_idle_client_is_published_though_its_ttl_was_first(void **state)
{
    struct world *world = *state;
    struct observer observer;
    struct client client;
    world->fronts[0].map->running.client_ttl = 2000;
    observer_watch(world, &observer, &world->fronts[1]);
    client_connect(&client, &world->fronts[0]);
    client_open(world, &client, "a");
    WAIT_UNTIL(world, observer_shows(&observer, client.id, "a"));
    char id[sizeof client.id];
    memcpy(id, client.id, sizeof id);
    client.silence = 2000;
    WORLD_REDIS(world, "PEXPIRE", client_key(id), "1");
    WAIT_UNTIL(world, client.ended);
    WAIT_UNTIL(world, observer.closed == 1);
    WAIT_UNTIL(world, has_entries(world, "0"));
    map_unwatch(&observer.watcher);
}

/* What a crashed front-end listed and the TTL ended is opened anew: it is one entry, not two. */
static void test_an_expired_entry_of_a_crashed_front_end_is_counted_once(void **state)
{
    struct world *world = *state;
    struct client client, again;
    client_connect(&client, &world->fronts[0]);
    client_open(world, &client, "a");
    char id[sizeof client.id];
    memcpy(id, client.id, sizeof id);
    front_silence(&world->fronts[0]);
    WORLD_REDIS(world, "DEL", client_key(id));
    client_connect(&again, &world->fronts[1]);
    assert_int_equal(client_update(world, &again, id, 3, "b"), MAP_OK);
    WAIT_UNTIL(world, (WORLD_REDIS(world, "ZCARD", KEY("nodes")), world->reply_integer == 1));
    assert_true(has_entries(world, "1"));
    assert_string_equal(WORLD_REDIS(world, "HGET", client_key(id), "state"), "b");
    map_session_end(&again.session, true);
    map_session_end(&client.session, true);
}

/* The same of one that waited for its client. */
static void test_an_expired_orphan_is_counted_once(void **state)
{
    struct world *world = *state;
    struct client client, again;
    char member[300];
    client_connect(&client, &world->fronts[0]);
    client_open(world, &client, "a");
    char id[sizeof client.id];
    memcpy(id, client.id, sizeof id);
    snprintf(member, sizeof member, "c:%s", id);
    world_lengthen_grace(world);
    map_session_end(&client.session, true);
    WAIT_UNTIL(world, *WORLD_REDIS(world, "ZSCORE", KEY("deadlines"), member) != 0);
    WORLD_REDIS(world, "DEL", client_key(id));
    client_connect(&again, &world->fronts[1]);
    assert_int_equal(client_update(world, &again, id, 3, "b"), MAP_OK);
    assert_true(has_entries(world, "1"));
    assert_string_equal(WORLD_REDIS(world, "ZSCORE", KEY("deadlines"), member), "");
    map_session_end(&again.session, true);
}

/* An entry whose hash a TTL has ended, and whose connection ends before it was opened again, while
 * nobody is taken for dead. It is shown as before, and has a deadline. */
static void end_expired(struct world *world, struct observer *observer, char *id, size_t size)
{
    struct client client;
    char member[300];
    observer_watch(world, observer, &world->fronts[1]);
    client_connect(&client, &world->fronts[0]);
    client_open(world, &client, "a");
    snprintf(id, size, "%s", client.id);
    snprintf(member, sizeof member, "c:%s", id);
    WAIT_UNTIL(world, observer_shows(observer, id, "a"));
    WORLD_REDIS(world, "HSET", KEY("head"), "hold_until", "9999999999999");
    WORLD_REDIS(world, "DEL", client_key(id));
    map_session_end(&client.session, true);
    WAIT_UNTIL(world, *WORLD_REDIS(world, "ZSCORE", KEY("deadlines"), member) != 0);
    assert_true(observer_shows(observer, id, "a"));
    assert_int_equal(observer->closed, 0);
    assert_true(has_entries(world, "1"));
}

static void test_an_expired_entry_waits_for_its_client_during_the_recovery_grace(void **state)
{
    struct world *world = *state;
    struct observer observer;
    struct client again;
    char id[sizeof again.id], member[300];
    end_expired(world, &observer, id, sizeof id);
    client_connect(&again, &world->fronts[1]);
    assert_int_equal(client_update(world, &again, id, 3, "b"), MAP_OK);
    WAIT_UNTIL(world, observer_shows(&observer, id, "b"));
    assert_int_equal(observer.closed, 0);
    assert_true(has_entries(world, "1"));
    snprintf(member, sizeof member, "c:%s", id);
    assert_string_equal(WORLD_REDIS(world, "ZSCORE", KEY("deadlines"), member), "");
    map_unwatch(&observer.watcher);
    map_session_end(&again.session, true);
}

static void test_an_expired_entry_ends_after_the_recovery_grace(void **state)
{
    struct world *world = *state;
    struct observer observer;
    char id[300];
    end_expired(world, &observer, id, sizeof id);
    WORLD_REDIS(world, "HSET", KEY("head"), "hold_until", "0");
    WAIT_UNTIL(world, observer.closed == 1);
    WAIT_UNTIL(world, has_entries(world, "0"));
    assert_null(observer_state(&observer, id));
    map_unwatch(&observer.watcher);
}

/* The event of the new epoch came while the view's connection was down. */
/* Its id was opened again elsewhere since, which the view shows: an older Redis is not to end that.
 */
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
    loop_turn(world->loop, 5); /* so that it is opened at another millisecond */
    client_connect(&second, &world->fronts[1]);
    client_update(world, &second, "again", 1, "second");
    WAIT_UNTIL(world, observer_shows(&observer, "again", "second"));
    /* As if Redis had the data of before the close. */
    WORLD_REDIS(world, "HSET", client_key("again"), "since", since);
    free(since);
    unsigned epochs = front->map->spaces[0].partitions[0].epochs;
    WORLD_REDIS(world, "HSET", "tracker:{main/1/0}:head", "run", "another");
    redis_link_reset(front->map->link, "a test");
    WAIT_UNTIL(world, front->map->spaces[0].partitions[0].epochs > epochs);
    assert_int_equal(client_update(world, &second, "again", 2, "still there"), MAP_OK);
    WAIT_UNTIL(world, observer_shows(&observer, "again", "still there"));
    struct partition *partition = &front->map->spaces[0].partitions[0];
    WAIT_UNTIL(world, list_is_empty(&partition->tombstones.later) &&
                          list_is_empty(&partition->tombstones.due) && partition->batch_count == 0);
    client_update(world, &second, "again", 3, "for good");
    WAIT_UNTIL(world, observer_shows(&observer, "again", "for good"));
    assert_int_equal(observer.closed, 1);
    map_session_end(&first.session, false);
    map_session_end(&second.session, false);
    map_unwatch(&observer.watcher);
}

static void test_a_view_finds_a_new_epoch_in_the_snapshot(void **state)
{
    struct world *world = *state;
    struct observer observer;
    struct client client;
    observer_watch(world, &observer, &world->fronts[1]);
    client_connect(&client, &world->fronts[0]);
    client_open(world, &client, "a");
    WAIT_UNTIL(world, observer_shows(&observer, client.id, "a"));
    /* As after a restart with the data, sent to nobody; and nothing changes after it. */
    WORLD_REDIS(world, "HSET", KEY("head"), "epoch", "0123456789abcdef");
    redis_subscriber_reset(world->fronts[1].map->subscriber, "a test");
    const struct view_part *part = &observer.view->parts[0];
    WAIT_UNTIL(world, part->epoch == UINT64_C(0x0123456789abcdef) && part->state == PART_LIVE);
    assert_int_equal(observer.closed, 0);
    map_session_end(&client.session, true);
    map_unwatch(&observer.watcher);
}

/* Nothing has changed: nothing is compared, and what follows is judged as ever. */
static void test_a_short_loss_restores_nothing(void **state)
{
    struct world *world = *state;
    struct map *map = world->fronts[0].map;
    struct client client;
    client_connect(&client, &world->fronts[0]);
    client_open(world, &client, "a");
    int64_t restored = metrics_get(METRIC_RESTORED), spared = metrics_get(METRIC_RESTORES_SPARED);
    redis_link_reset(map->link, "a test");
    WAIT_UNTIL(world, metrics_get(METRIC_RESTORES_SPARED) == spared + 1);
    assert_int_equal(client_update(world, &client, client.id, 1, "b"), MAP_OK);
    assert_int_equal(metrics_get(METRIC_RESTORED), restored);
    assert_string_equal(WORLD_REDIS(world, "HGET", client_key(client.id), "state"), "b");
    /* Somebody has changed something meanwhile: it is compared. */
    redis_link_reset(map->link, "a test");
    WORLD_REDIS(world, "HINCRBY", KEY("head"), "revision", "1");
    WORLD_REDIS(world, "DEL", client_key(client.id));
    WAIT_UNTIL(world, !strcmp(WORLD_REDIS(world, "HGET", client_key(client.id), "state"), "b"));
    assert_int_equal(metrics_get(METRIC_RESTORES_SPARED), spared + 1);
    map_session_end(&client.session, true);
}

/* For most of a lease nobody could renew one: whose lease has ended by that renews it. */
static void test_a_stall_shorter_than_a_lease_ends_none(void **state)
{
    struct world *world = *state;
    for (size_t i = 0; i < 2; i++)
        front_silence(&world->fronts[i]);
    WORLD_REDIS(world, "EVAL",
                "local t = redis.call('TIME') local now = t[1] * 1000 + math.floor(t[2] / 1000) "
                "redis.call('HSET', KEYS[1], 'last', now - 50000, 'hold_until', '0', "
                "'link:aaaaaaaaaaaa', '1 0', 'epoch', '0123456789abcdef', 'shared', '1') "
                "redis.call('ZADD', KEYS[2], now - 10000, 'aaaaaaaaaaaa')",
                "2", KEY("head"), KEY("nodes"));
    WORLD_REDIS(world, "EVAL", script_sweep, "6", KEY("head"), KEY("nodes"), KEY("deadlines"),
                KEY("node:aaaaaaaaaaaa"), KEY("members:aaaaaaaaaaaa"), KEY("registered"),
                "0123456789abcdef", "aaaaaaaaaaaa", "1", "60000", "600000", "1000", "10", "1000",
                "0", "1", "1", "60000");
    WORLD_REDIS(world, "EVAL",
                "local now = tonumber(redis.call('TIME')[1]) * 1000 "
                "local hold = tonumber(redis.call('HGET', KEYS[1], 'hold_until')) - now "
                "local lease = tonumber(redis.call('ZSCORE', KEYS[2], 'aaaaaaaaaaaa')) - now "
                "return hold > 30000 and hold <= 61000 and lease > 30000 and 1 or 0",
                "2", KEY("head"), KEY("nodes"));
    assert_int_equal(world->reply_integer, 1);
}

/* The front-end that reconnects first after Redis stalled must not take the others for crashed. */
static void test_hello_begins_the_recovery_grace_when_nobody_has_swept(void **state)
{
    struct world *world = *state;
    for (size_t i = 0; i < 2; i++)
        front_silence(&world->fronts[i]);
    WORLD_REDIS(world, "HSET", KEY("head"), "hold_until", "0", "last", "1000");
    char run[sizeof world->reply];
    strcpy(run, WORLD_REDIS(world, "HGET", KEY("head"), "run"));
    WORLD_REDIS(world, "EVAL", script_hello, "3", KEY("head"), KEY("nodes"), KEY("events"), run,
                "0123456789abcdef", "1", "aaaaaaaaaaaa", "900", "60000", "1", "1", "0.1.0", "1",
                "1", "9");
    assert_true(strlen(WORLD_REDIS(world, "HGET", KEY("head"), "hold_until")) == 13);
    /* Not again by the next one. */
    WORLD_REDIS(world, "HSET", KEY("head"), "hold_until", "0");
    WORLD_REDIS(world, "EVAL", script_hello, "3", KEY("head"), KEY("nodes"), KEY("events"), run,
                "0123456789abcdef", "1", "aaaaaaaaaaaa", "900", "60000", "1", "1", "0.1.0", "1",
                "1", "9");
    assert_string_equal(WORLD_REDIS(world, "HGET", KEY("head"), "hold_until"), "0");
}

static struct partition *partition_of_front(struct world *world, size_t index)
{
    return &map_space_find(world->fronts[index].map, "")->partitions[0];
}

/* The others take it for dead: it does not sweep, and then goes on. */
static void stall(struct world *world, size_t index, const struct observer *observer, unsigned gone)
{
    struct partition *partition = partition_of_front(world, index);
    loop_timer_stop(partition->sweep.timer);
    WAIT_UNTIL(world, observer->closed == gone);
    partition->map->stalls++;
    sweep_run(partition);
}

/* Nothing of it is under way, and it has swept twice since. */
static void wait_quiet(struct world *world, size_t index)
{
    struct partition *partition = partition_of_front(world, index);
    for (unsigned sweeps = 0; sweeps < 2; sweeps++) {
        WAIT_UNTIL(world, partition->sweep.is_under_way);
        WAIT_UNTIL(world, !partition->sweep.is_under_way && partition->state == PARTITION_READY);
    }
    WAIT_UNTIL(world, partition->batch_count == 0 && list_is_empty(&partition->queue));
}

/* Their sockets have ended while it stalled, which has not been read yet: others have said that
 * they are gone, and that is what they stay. */
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
    /* The end of one is read when its entry is to be compared, and just has not been. */
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

/* Adopted elsewhere while its front-end stalled: that connection has it, and this one ends. What
 * else this one has stays its client's. */
static void test_who_lost_an_id_to_a_live_connection_is_closed(void **state)
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

/* Left again by who had adopted it: the connection that is there has it again, as it was last. */
static void test_what_another_one_had_and_left_is_opened_again(void **state)
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

/* As after Redis came back older: an index lists what has no hash, is another one's, or waits. */
static void test_what_an_index_should_not_have_is_taken_out(void **state)
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
    /* Without its hash: whose live connection has it opens it again, and no end was published.
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
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_two, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_batches_of_a_lost_link_keep_their_order),
        TEST(test_an_update_whose_reply_was_lost_is_restored),
        TEST(test_a_restore_of_a_newer_state_renews_the_ttl),
        TEST(test_the_end_of_an_idle_client_is_published_though_its_ttl_was_first),
        TEST(test_an_expired_entry_of_a_crashed_front_end_is_counted_once),
        TEST(test_an_expired_orphan_is_counted_once),
        TEST(test_an_expired_entry_waits_for_its_client_during_the_recovery_grace),
        TEST(test_an_expired_entry_ends_after_the_recovery_grace),
        TEST(test_an_end_of_an_earlier_opening_is_not_repeated),
        TEST(test_a_view_finds_a_new_epoch_in_the_snapshot),
        TEST(test_hello_begins_the_recovery_grace_when_nobody_has_swept),
        TEST(test_a_short_loss_restores_nothing),
        TEST(test_a_stall_shorter_than_a_lease_ends_none),
        TEST(test_a_client_that_left_while_the_front_end_stalled_is_not_opened_again),
        TEST(test_who_lost_an_id_to_a_live_connection_is_closed),
        TEST(test_what_another_one_had_and_left_is_opened_again),
        TEST(test_what_an_index_should_not_have_is_taken_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
