/*
 * A space of several partitions, and several spaces: entries lie where their ids say, the view
 * unites them, front-ends' ends concern all of them, and spaces do not see one another.
 */
#include "map/fixture.h"

#define PARTITIONS 4

static int setup(void **state)
{
    struct world *world = world_create();
    for (size_t i = 0; i < 2; i++) {
        struct front *front = &world->fronts[world->count++];
        front_prepare(world, front);
        front_set(front, "map.partitions=4");
        front_set(front, "map.spaces=main games");
        front_set(front, "map.lease=900ms");
        front_set(front, "map.sweep=200ms");
        front_set(front, "map.recovery_grace=1s");
        front_set(front, "client.grace=600ms");
        front_set(front, "client.max_ids=1000");
        front_start(world, front);
    }
    *state = world;
    return 0;
}

static int teardown(void **state)
{
    world_destroy(*state);
    return 0;
}

static void update_many(struct world *world, struct client *client, unsigned count,
                        uint64_t version)
{
    unsigned answers = client->answers;
    for (unsigned i = 0; i < count; i++) {
        char id[16];
        snprintf(id, sizeof id, "e%u", i);
        client_send_update(client, id, MAP_VERSION_ABSOLUTE, version, "x");
    }
    WAIT_UNTIL(world, client->answers == answers + count);
}

static void test_entries_lie_where_their_ids_say(void **state)
{
    struct world *world = *state;
    struct client client;
    client_connect(&client, &world->fronts[0]);
    update_many(world, &client, 40, 1);
    for (unsigned i = 0; i < 40; i++) {
        char id[16], key[64];
        snprintf(id, sizeof id, "e%u", i);
        snprintf(key, sizeof key, "tracker:{main/4/%u}:client:%s",
                 shard_of(bytes_from_string(id), PARTITIONS), id);
        assert_string_equal(WORLD_REDIS(world, "HGET", key, "state"), "x");
    }
    map_session_end(&client.session, true);
}

static void test_the_view_unites_them(void **state)
{
    struct world *world = *state;
    struct observer observer;
    struct client client;
    observer_watch(world, &observer, &world->fronts[1]);
    client_connect(&client, &world->fronts[0]);
    update_many(world, &client, 200, 1);
    WAIT_UNTIL(world, map_view_count(observer.view) == 200);
    update_many(world, &client, 200, 2);
    WAIT_UNTIL(world, observer.changed >= 400);
    map_session_end(&client.session, true);
    WAIT_UNTIL(world, observer.closed == 200);
    assert_int_equal(map_view_count(observer.view), 0);
    map_unwatch(&observer.watcher);
}

static void test_a_dead_front_end_is_reaped_everywhere(void **state)
{
    struct world *world = *state;
    struct observer observer;
    struct client client;
    observer_watch(world, &observer, &world->fronts[1]);
    client_connect(&client, &world->fronts[0]);
    update_many(world, &client, 200, 1);
    WAIT_UNTIL(world, map_view_count(observer.view) == 200);
    front_idle_ms(&world->fronts[0]);
    WAIT_UNTIL(world, observer.closed == 200);
    map_session_end(&client.session, true);
    map_unwatch(&observer.watcher);
}

static void on_read(void *arg, bool known, bool stale)
{
    *(int *)arg = known && !stale ? 1 : -1;
}

static void test_reads_wait_for_every_partition(void **state)
{
    struct world *world = *state;
    struct observer observer;
    struct client client;
    observer_watch(world, &observer, &world->fronts[0]);
    client_connect(&client, &world->fronts[0]);
    for (uint64_t version = 1; version <= 20; version++) {
        int answer = 0;
        update_many(world, &client, 20, version);
        map_read(observer.view, MAP_READ_HERE, on_read, &answer);
        WAIT_UNTIL(world, answer != 0);
        assert_int_equal(answer, 1);
        for (unsigned i = 0; i < 20; i++) {
            char id[16];
            snprintf(id, sizeof id, "e%u", i);
            struct map_entry *entry = map_view_find(observer.view, bytes_from_string(id));
            assert_non_null(entry);
            assert_int_equal(map_entry_version(entry), version);
        }
    }
    map_session_end(&client.session, true);
    map_unwatch(&observer.watcher);
}

static void test_spaces_do_not_see_one_another(void **state)
{
    struct world *world = *state;
    struct observer observer;
    struct client here, there;
    observer_watch(world, &observer, &world->fronts[0]);
    client_connect(&here, &world->fronts[0]);
    memset(&there, 0, sizeof there);
    there.space = map_space_find(world->fronts[1].map, "games");
    there.session = map_session_create(there.space, "test", "192.0.2.1:1", &client_sink, &there);
    assert_int_equal(client_update(world, &there, "same", 1, "game"), MAP_OK);
    assert_int_equal(client_update(world, &here, "same", 1, "main"), MAP_OK);
    WAIT_UNTIL(world, observer_shows(&observer, "same", "main"));
    assert_int_equal(map_view_count(observer.view), 1);
    assert_null(map_space_find(world->fronts[0].map, "nowhere"));
    map_session_end(&here.session, true);
    map_session_end(&there.session, true);
    map_unwatch(&observer.watcher);
}

static void test_an_emptied_redis_is_filled_again(void **state)
{
    struct world *world = *state;
    struct observer observer;
    struct client client;
    observer_watch(world, &observer, &world->fronts[1]);
    client_connect(&client, &world->fronts[0]);
    update_many(world, &client, 100, 1);
    WAIT_UNTIL(world, map_view_count(observer.view) == 100);
    unsigned changed = observer.changed;
    WORLD_REDIS(world, "FLUSHALL");
    for (unsigned i = 0; i < PARTITIONS; i++) {
        char key[64];
        unsigned expected = 0;
        for (unsigned j = 0; j < 100; j++) {
            char id[16];
            snprintf(id, sizeof id, "e%u", j);
            expected += shard_of(bytes_from_string(id), PARTITIONS) == i;
        }
        snprintf(key, sizeof key, "tracker:{main/4/%u}:head", i);
        char count[16];
        snprintf(count, sizeof count, "%u", expected);
        WAIT_UNTIL(world, !strcmp(WORLD_REDIS(world, "HGET", key, "entries"), count));
    }
    assert_string_equal(WORLD_REDIS(world, "HGET", "tracker:spaces", "main"), "4");
    assert_int_equal(observer.closed, 0);
    assert_int_equal(observer.changed, changed);
    map_session_end(&client.session, true);
    map_unwatch(&observer.watcher);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_entries_lie_where_their_ids_say),
        TEST(test_the_view_unites_them),
        TEST(test_a_dead_front_end_is_reaped_everywhere),
        TEST(test_reads_wait_for_every_partition),
        TEST(test_spaces_do_not_see_one_another),
        TEST(test_an_emptied_redis_is_filled_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
