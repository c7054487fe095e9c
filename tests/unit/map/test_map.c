/*
 * The map as a whole, on a real Redis: what one front-end writes the other receives, who may write
 * what, and what happens when sessions, front-ends and Redis go away.
 */
#include "map/fixture.h"

#include <unistd.h>

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

static void test_open_is_published_to_the_other(void **state)
{
    struct world *world = *state;
    struct observer observer;
    struct client client;
    observer_watch(world, &observer, &world->fronts[1]);
    client_connect(&client, &world->fronts[0]);
    assert_int_equal(client_open(world, &client, "hello"), MAP_OK);
    assert_int_equal(strlen(client.id), 7);
    WAIT_UNTIL(world, observer_shows(&observer, client.id, "hello"));
    assert_int_equal(client_update(world, &client, client.id, 5, "world"), MAP_OK);
    WAIT_UNTIL(world, observer_shows(&observer, client.id, "world"));
    struct map_entry *entry = map_view_find(observer.view, bytes_from_string(client.id));
    assert_int_equal(map_entry_version(entry), 5);
    assert_true(bytes_equal(map_entry_field(entry, "protocol"), BYTES_LITERAL("test")));
    assert_int_equal(client_close(world, &client, client.id), MAP_OK);
    WAIT_UNTIL(world, observer.closed == 1);
    assert_string_equal(observer.last_closed, client.id);
    assert_int_equal(map_view_count(observer.view), 0);
    map_session_end(&client.session, true);
    map_unwatch(&observer.watcher);
}

static void test_stale_and_same_versions(void **state)
{
    struct world *world = *state;
    struct client client;
    char id[256];
    client_connect(&client, &world->fronts[0]);
    client_open(world, &client, "a");
    strcpy(id, client.id);
    assert_int_equal(client_update(world, &client, id, 7, "b"), MAP_OK);
    assert_int_equal(client_update(world, &client, id, 6, "c"), MAP_STALE);
    assert_int_equal(client_update(world, &client, id, 7, "c"), MAP_STALE);
    /* A retry of what is stored is accepted again. */
    assert_int_equal(client_update(world, &client, id, 7, "b"), MAP_OK);
    assert_int_equal(client_update(world, &client, id, INT64_MAX, "d"), MAP_OK);
    assert_int_equal(client_update(world, &client, id, 9, "e"), MAP_STALE);
    map_session_end(&client.session, true);
}

/* The record of an entry has its state in itself, and moves when that grows or shrinks. */
static void test_states_of_any_length_are_kept(void **state)
{
    struct world *world = *state;
    struct client client;
    static char text[5000];
    static const size_t lengths[] = {0, 1, 16, 17, 400, 4999, 3, 0, 300, 299};
    char key[300];
    client_connect(&client, &world->fronts[0]);
    client_open(world, &client, "");
    client_update(world, &client, "other", 1, "neighbour");
    client_open(world, &client, "last");
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        memset(text, 'a' + (int)i, lengths[i]);
        text[lengths[i]] = 0;
        assert_int_equal(client_update(world, &client, "grows", i + 1, text), MAP_OK);
        WORLD_REDIS(world, "FLUSHALL"); /* what is kept is put back */
        snprintf(key, sizeof key, "tracker:{main/1/0}:client:grows");
        WAIT_UNTIL(world, (WORLD_REDIS(world, "EXISTS", key), world->reply_integer == 1));
        WORLD_REDIS(world, "HSTRLEN", key, "state");
        assert_int_equal(world->reply_integer, lengths[i]);
        if (lengths[i] > 0 && lengths[i] < sizeof world->reply) {
            assert_string_equal(WORLD_REDIS(world, "HGET", key, "state"), text);
        }
    }
    WAIT_UNTIL(world,
               !strcmp(WORLD_REDIS(world, "HGET", "tracker:{main/1/0}:client:other", "state"),
                       "neighbour"));
    map_session_end(&client.session, true);
}

static void test_low_byte_versions_wrap(void **state)
{
    struct world *world = *state;
    struct client client;
    client_connect(&client, &world->fronts[0]);
    client_open(world, &client, "a");
    char id[256];
    strcpy(id, client.id);
    for (unsigned i = 1; i <= 600; i++) {
        unsigned answers = client.answers;
        client_send_update(&client, id, MAP_VERSION_LOW_BYTE, i & 0xff, "x");
        WAIT_UNTIL(world, client.answers > answers);
        assert_int_equal(client.result, MAP_OK);
    }
    assert_int_equal(client.version, 600);
    unsigned answers = client.answers;
    client_send_update(&client, id, MAP_VERSION_LOW_BYTE, (600 - 1) & 0xff, "y");
    WAIT_UNTIL(world, client.answers > answers);
    assert_int_equal(client.result, MAP_STALE);
    map_session_end(&client.session, true);
}

static void test_many_in_one_iteration_are_answered_in_order(void **state)
{
    struct world *world = *state;
    struct client client;
    client_connect(&client, &world->fronts[0]);
    for (unsigned i = 1; i <= 1000; i++) {
        client_send_update(&client, "sensor", MAP_VERSION_NEXT, 0, "x");
    }
    WAIT_UNTIL(world, client.answers == 1000);
    assert_int_equal(client.version, 1000);
    map_session_end(&client.session, true);
}

static void test_foreign_updates_are_refused(void **state)
{
    struct world *world = *state;
    struct client owner, here, there;
    client_connect(&owner, &world->fronts[0]);
    client_connect(&here, &world->fronts[0]);
    client_connect(&there, &world->fronts[1]);
    client_open(world, &owner, "mine");
    assert_int_equal(client_update(world, &here, owner.id, 9, "stolen"), MAP_OWNED);
    assert_int_equal(client_update(world, &there, owner.id, 9, "stolen"), MAP_OWNED);
    assert_int_equal(client_close(world, &there, owner.id), MAP_OWNED);
    assert_int_equal(client_close(world, &there, "nobody"), MAP_MISSING);
    assert_int_equal(client_update(world, &owner, owner.id, 1, "still mine"), MAP_OK);
    map_session_end(&owner.session, true);
    map_session_end(&here.session, true);
    map_session_end(&there.session, true);
}

static void test_a_dropped_client_returns_elsewhere(void **state)
{
    struct world *world = *state;
    struct observer observer;
    struct client client, again;
    char id[256];
    observer_watch(world, &observer, &world->fronts[0]);
    client_connect(&client, &world->fronts[0]);
    client_open(world, &client, "a");
    strcpy(id, client.id);
    int64_t grace = world->fronts[1].map->running.client_grace;
    world_lengthen_grace(world);
    map_session_end(&client.session, true);
    client_connect(&again, &world->fronts[1]);
    assert_int_equal(client_update(world, &again, id, 1, "b"), MAP_OK);
    WAIT_UNTIL(world, observer_shows(&observer, id, "b"));
    assert_int_equal(observer.closed, 0);
    world->fronts[1].map->running.client_grace = grace;
    map_session_end(&again.session, true);
    WAIT_UNTIL(world, observer.closed == 1); /* grace */
    assert_int_equal(map_view_count(observer.view), 0);
    WORLD_REDIS(world, "EXISTS", "tracker:{main/1/0}:deadlines");
    assert_int_equal(world->reply_integer, 0);
    map_unwatch(&observer.watcher);
}

static void test_a_dead_front_end_is_reaped_once(void **state)
{
    struct world *world = *state;
    struct observer observer;
    struct client clients[700];
    observer_watch(world, &observer, &world->fronts[1]);
    for (size_t i = 0; i < 700; i++) {
        client_connect(&clients[i], &world->fronts[0]);
        map_session_open(clients[i].session, BYTES_LITERAL("x"), client_done, &clients[i]);
    }
    WAIT_UNTIL(world, map_view_count(observer.view) == 700);
    /* Its links go away at once, as when the process is killed; then its sessions, unheard. */
    struct front *dead = &world->fronts[0];
    WORLD_REDIS(world, "CONFIG", "SET", "maxclients", "10000");
    for (size_t i = 0; i < 700; i++) {
        clients[i].idle_ms = 0;
    }
    front_idle_ms(dead);
    WAIT_UNTIL(world, observer.closed == 700);
    assert_int_equal(map_view_count(observer.view), 0);
    WORLD_REDIS(world, "HGET", "tracker:{main/1/0}:head", "entries");
    assert_string_equal(world->reply, "0");
    WAIT_UNTIL(world, (WORLD_REDIS(world, "ZCARD", "tracker:{main/1/0}:nodes"),
                       world->reply_integer == 1));
    for (size_t i = 0; i < 700; i++) {
        map_session_end(&clients[i].session, true);
    }
    map_unwatch(&observer.watcher);
}

static void test_a_flushed_redis_is_filled_again(void **state)
{
    struct world *world = *state;
    struct observer observer;
    struct client client, other;
    observer_watch(world, &observer, &world->fronts[1]);
    client_connect(&client, &world->fronts[0]);
    client_connect(&other, &world->fronts[1]);
    client_open(world, &client, "a");
    client_open(world, &other, "b");
    client_update(world, &client, client.id, 41, "a41");
    WAIT_UNTIL(world, observer_shows(&observer, client.id, "a41"));
    unsigned changed = observer.changed;
    WORLD_REDIS(world, "FLUSHALL");
    char key[300];
    snprintf(key, sizeof key, "tracker:{main/1/0}:client:%s", client.id);
    WAIT_UNTIL(world, !strcmp(WORLD_REDIS(world, "HGET", key, "state"), "a41"));
    WAIT_UNTIL(world,
               !strcmp(WORLD_REDIS(world, "HGET", "tracker:{main/1/0}:head", "entries"), "2"));
    assert_string_equal(WORLD_REDIS(world, "HGET", key, "version"), "41");
    /* Past the recovery grace: nothing was published. */
    WAIT_UNTIL(world, map_is_ready(world->fronts[0].map, NULL));
    uint64_t end = clock_monotonic_us() + 2500000;
    WAIT_UNTIL(world, clock_monotonic_us() > end);
    assert_int_equal(observer.closed, 0);
    assert_int_equal(observer.changed, changed);
    assert_int_equal(client_update(world, &client, client.id, 42, "a42"), MAP_OK);
    WAIT_UNTIL(world, observer_shows(&observer, client.id, "a42"));
    map_session_end(&client.session, true);
    map_session_end(&other.session, true);
    map_unwatch(&observer.watcher);
}

static void test_a_flushed_script_cache_loses_nothing(void **state)
{
    struct world *world = *state;
    struct client client;
    client_connect(&client, &world->fronts[0]);
    client_open(world, &client, "a");
    WORLD_REDIS(world, "SCRIPT", "FLUSH");
    for (unsigned i = 1; i <= 2000; i++) {
        client_send_update(&client, client.id, MAP_VERSION_ABSOLUTE, i, "x");
    }
    unsigned answers = client.answers;
    WAIT_UNTIL(world, client.answers == answers + 2000);
    assert_int_equal(client.result, MAP_OK);
    assert_int_equal(client.version, 2000);
    WORLD_REDIS(world, "SCRIPT", "FLUSH");
    assert_int_equal(client_close(world, &client, client.id), MAP_OK);
    map_session_end(&client.session, true);
}

static void test_killed_links_lose_nothing(void **state)
{
    struct world *world = *state;
    struct observer observer;
    struct client client;
    observer_watch(world, &observer, &world->fronts[1]);
    client_connect(&client, &world->fronts[0]);
    client_open(world, &client, "a");
    for (unsigned i = 1; i <= 20; i++) {
        client_send_update(&client, client.id, MAP_VERSION_ABSOLUTE, i, "x");
        WORLD_REDIS(world, "CLIENT", "KILL", "TYPE", i % 2 ? "normal" : "pubsub", "SKIPME", "yes");
    }
    client_update(world, &client, client.id, 1000, "last");
    assert_int_equal(client.result, MAP_OK);
    WAIT_UNTIL(world, observer_shows(&observer, client.id, "last"));
    assert_int_equal(observer.closed, 0);
    map_session_end(&client.session, true);
    map_unwatch(&observer.watcher);
}

static void test_a_silent_client_is_closed(void **state)
{
    struct world *world = *state;
    struct observer observer;
    struct client client;
    world->fronts[0].map->running.client_ttl = 2000;
    observer_watch(world, &observer, &world->fronts[1]);
    client_connect(&client, &world->fronts[0]);
    client_open(world, &client, "a");
    client.idle_ms = 2000;
    WAIT_UNTIL(world, client.ended);
    WAIT_UNTIL(world, observer.closed == 1);
    map_unwatch(&observer.watcher);
}

static void test_a_removed_key_comes_back(void **state)
{
    struct world *world = *state;
    struct client client;
    char key[300];
    world->fronts[0].map->running.client_ttl = 2000;
    client_connect(&client, &world->fronts[0]);
    client_open(world, &client, "a");
    snprintf(key, sizeof key, "tracker:{main/1/0}:client:%s", client.id);
    WORLD_REDIS(world, "DEL", key);
    WAIT_UNTIL(world, !strcmp(WORLD_REDIS(world, "HGET", key, "state"), "a"));
    WAIT_UNTIL(world,
               !strcmp(WORLD_REDIS(world, "HGET", "tracker:{main/1/0}:head", "entries"), "1"));
    map_session_end(&client.session, true);
}

static void test_partition_counts_must_agree(void **state)
{
    struct world *world = *state;
    struct front *front = &world->fronts[world->count++];
    front_prepare(world, front);
    front_set(front, "map.partitions=4");
    front_start(world, front);
    assert_false(front->serving);
    assert_non_null(strstr(front->fatal, "map.partitions is 4 here and 1 in Redis"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_two, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_open_is_published_to_the_other),
        TEST(test_stale_and_same_versions),
        TEST(test_states_of_any_length_are_kept),
        TEST(test_low_byte_versions_wrap),
        TEST(test_many_in_one_iteration_are_answered_in_order),
        TEST(test_foreign_updates_are_refused),
        TEST(test_a_dropped_client_returns_elsewhere),
        TEST(test_a_dead_front_end_is_reaped_once),
        TEST(test_a_flushed_redis_is_filled_again),
        TEST(test_a_flushed_script_cache_loses_nothing),
        TEST(test_killed_links_lose_nothing),
        TEST(test_a_silent_client_is_closed),
        TEST(test_a_removed_key_comes_back),
        TEST(test_partition_counts_must_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
