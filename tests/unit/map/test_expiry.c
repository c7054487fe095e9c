/*
 * Entries whose key has expired before their end was published: they are counted and reported once,
 * and a restore renews the TTL.
 */
#include "map/losses_fixture.h"

/* Redis came back with an older state, and with the TTL that was left at that time. */
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
    client.idle_ms = 2000;
    WORLD_REDIS(world, "PEXPIRE", client_key(id), "1");
    WAIT_UNTIL(world, client.ended);
    WAIT_UNTIL(world, observer.closed == 1);
    WAIT_UNTIL(world, has_entries(world, "0"));
    map_unwatch(&observer.watcher);
}

/* The key of an entry of a crashed front-end has expired, and the client opens it again: it is one
 * entry, not two. */
static void test_an_expired_entry_of_a_crashed_front_end_is_counted_once(void **state)
{
    struct world *world = *state;
    struct client client, again;
    client_connect(&client, &world->fronts[0]);
    client_open(world, &client, "a");
    char id[sizeof client.id];
    memcpy(id, client.id, sizeof id);
    front_idle_ms(&world->fronts[0]);
    WORLD_REDIS(world, "DEL", client_key(id));
    client_connect(&again, &world->fronts[1]);
    assert_int_equal(client_update(world, &again, id, 3, "b"), MAP_OK);
    WAIT_UNTIL(world, (WORLD_REDIS(world, "ZCARD", KEY("nodes")), world->reply_integer == 1));
    assert_true(has_entries(world, "1"));
    assert_string_equal(WORLD_REDIS(world, "HGET", client_key(id), "state"), "b");
    map_session_end(&again.session, true);
    map_session_end(&client.session, true);
}

/* The same of an orphan. */
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

/* The hash of an entry has expired, and its connection ends before the entry was restored, during
 * the recovery grace. The view shows it as before, and it has a deadline. */
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_restore_of_a_newer_state_renews_the_ttl),
        TEST(test_the_end_of_an_idle_client_is_published_though_its_ttl_was_first),
        TEST(test_an_expired_entry_of_a_crashed_front_end_is_counted_once),
        TEST(test_an_expired_orphan_is_counted_once),
        TEST(test_an_expired_entry_waits_for_its_client_during_the_recovery_grace),
        TEST(test_an_expired_entry_ends_after_the_recovery_grace),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
