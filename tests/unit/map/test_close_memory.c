/*
 * How long, and how many, ends of entries are remembered: until then a Redis that comes back older
 * is sent them again, and after it is not. The clock jumps; nothing depends on how long it takes.
 */
#include "map/fixture.h"

#include "map/tombstone_private.h"

#define MINUTE 60000

static void setup_with(void **state, const char *spaces)
{
    struct world *world = world_create();
    struct front *front = &world->fronts[world->count++];
    front_prepare(world, front);
    front_set(front, "client.ttl=24h"); /* no key ends before its time is over */
    front_set(front, "map.lease=1m");
    front_set(front, "map.recovery_grace=10m");
    front_set(front, "redis.deadline=60s");
    front_set(front, "client.grace=5m");
    front_set(front, spaces);
    front_start(world, front);
    *state = world;
}

static int setup(void **state)
{
    setup_with(state, "map.partitions=1");
    return 0;
}

static int setup_partitions(void **state)
{
    setup_with(state, "map.partitions=4");
    return 0;
}

static int teardown(void **state)
{
    world_destroy(*state);
    return 0;
}

static struct map_space *space_of(struct world *world)
{
    return map_space_find(world->fronts[0].map, "");
}

static char *key_of_entry(struct world *world, const char *id)
{
    struct partition *partition = partition_of(space_of(world), bytes_from_string(id));
    return mem_format("%sclient:%s", partition->prefix, id);
}

/* Opened, and closed by its client. */
static void make_end(struct world *world, const char *id)
{
    struct client client;
    client_connect(&client, &world->fronts[0]);
    assert_int_equal(client_update(world, &client, id, 1, "state"), MAP_OK);
    assert_int_equal(client_close(world, &client, id), MAP_OK);
    map_session_end(&client.session, true);
}

static bool is_in_redis(struct world *world, const char *id)
{
    char *key = key_of_entry(world, id);
    WORLD_REDIS(world, "EXISTS", key);
    free(key);
    return world->reply_integer == 1;
}

/* As older data has it: an entry of a front-end that has died since. */
static void put_back(struct world *world, const char *id)
{
    struct partition *partition = partition_of(space_of(world), bytes_from_string(id));
    char *key = key_of_entry(world, id),
         *index = mem_format("%snode:abcdefabcdef", partition->prefix);
    WORLD_REDIS(world, "EVAL",
                "redis.call('HSET', KEYS[1], 'state', 'state', 'version', '1', 'protocol', 'test', "
                "'node', 'abcdefabcdef', 'session', string.rep('a', 32), 'address', "
                "'192.0.2.1:1000', 'since', '1700000000000') "
                "redis.call('HSET', KEYS[2], ARGV[1], '')",
                "2", key, index, id);
    free(key);
    free(index);
}

/* The same of an entry whose TTL has ended since: it is only counted, and no hash says which it
 * was. */
static void put_back_counted(struct world *world, const char *where, const char *id)
{
    struct partition *partition = partition_of(space_of(world), bytes_from_string(id));
    char *key = mem_format("%s%s", partition->prefix, where);
    WORLD_REDIS(world, "HINCRBY", partition->key_head, "entries", "1");
    if (strncmp(where, "node:", 5) == 0) {
        WORLD_REDIS(world, "HSET", key, id, "");
        WORLD_REDIS(world, "ZADD", partition->key_nodes, "NX", "1", where + 5);
    } else {
        WORLD_REDIS(world, "ZADD", key, "9999999999999", id);
    }
    free(key);
}

/* Redis is another one: all partitions begin a new epoch, and what is to be said again is said. */
static void begin_epochs(struct world *world)
{
    struct map_space *space = space_of(world);
    unsigned epochs[8];
    for (uint32_t i = 0; i < space->count; i++) {
        epochs[i] = space->partitions[i].epochs;
        WORLD_REDIS(world, "HSET", space->partitions[i].key_head, "run", "another");
    }
    redis_link_reset(world->fronts[0].map->link, "a test");
    for (uint32_t i = 0; i < space->count; i++) {
        struct partition *partition = &space->partitions[i];
        WAIT_UNTIL(world, partition->epochs > epochs[i] && partition->state == PARTITION_READY);
        WAIT_UNTIL(world, list_is_empty(&partition->tombstones.due) &&
                              list_is_empty(&partition->tombstones.soon) &&
                              list_is_empty(&partition->tombstones.later) &&
                              partition->batch_count == 0);
    }
}

static void run_tick(struct world *world)
{
    uint64_t ticked = world->fronts[0].map->ticked_ms;
    WAIT_UNTIL(world, world->fronts[0].map->ticked_ms != ticked);
}

static void test_an_end_is_sent_again_within_the_time(void **state)
{
    struct world *world = *state;
    front_set(&world->fronts[0], "map.close_memory=30m");
    make_end(world, "ended");
    loop_skip(world->loop, 15 * MINUTE); /* the other half is for this machine's stops */
    run_tick(world);
    put_back(world, "ended");
    begin_epochs(world);
    assert_false(is_in_redis(world, "ended"));
}

/* It was shown before its TTL ended, and would be until somebody else finds out. */
static void test_an_end_is_sent_again_though_a_ttl_has_ended(void **state)
{
    struct world *world = *state;
    struct partition *partition = space_of(world)->partitions;
    char *here = mem_format("node:%s", world->fronts[0].map->node);
    const char *ids[] = {"here", "dead", "orphan", "registered"};
    for (size_t i = 0; i < 4; i++) {
        make_end(world, ids[i]);
    }
    put_back_counted(world, here, "here");
    put_back_counted(world, "node:abcdefabcdef", "dead");
    put_back_counted(world, "registered", "registered");
    WORLD_REDIS(world, "ZADD", partition->key_deadlines, "9999999999999", "c:orphan");
    WORLD_REDIS(world, "HINCRBY", partition->key_head, "entries", "1");
    uint64_t revision = partition->revision;
    begin_epochs(world);
    assert_string_equal(WORLD_REDIS(world, "HGET", partition->key_head, "entries"), "0");
    assert_int_equal(partition->revision - revision, 4); /* the end of each was published */
    const char *keys[] = {partition->key_mine, partition->key_deadlines, partition->key_registered};
    for (size_t i = 0; i < 3; i++) {
        WORLD_REDIS(world, "EXISTS", keys[i]);
        assert_int_equal(world->reply_integer, 0);
    }
    free(here);
}

/* That front-end opens it again, or gives it up: then it ends at once, not after its grace. */
static void test_an_end_waits_for_a_living_front_end(void **state)
{
    struct world *world = *state;
    struct partition *partition = space_of(world)->partitions;
    make_end(world, "listed");
    WORLD_REDIS(world, "ZADD", partition->key_nodes, "9999999999999", "bcdefabcdefa");
    put_back_counted(world, "node:abcdefabcdef", "listed"); /* and by one that is dead */
    put_back_counted(world, "node:bcdefabcdefa", "listed");
    WORLD_REDIS(world, "HSET", partition->key_head, "run", "another");
    unsigned epochs = partition->epochs;
    redis_link_reset(world->fronts[0].map->link, "a test");
    WAIT_UNTIL(world, partition->epochs > epochs && partition->state == PARTITION_READY);
    WAIT_UNTIL(world, !list_is_empty(&partition->tombstones.later));
    assert_string_equal(WORLD_REDIS(world, "HGET", partition->key_head, "entries"), "2");
    WORLD_REDIS(world, "HDEL", "tracker:{main/1/0}:node:bcdefabcdefa", "listed");
    WORLD_REDIS(world, "ZADD", partition->key_deadlines, "9999999999999", "c:listed");
    WAIT_UNTIL(world, list_is_empty(&partition->tombstones.later) &&
                          list_is_empty(&partition->tombstones.due) && partition->batch_count == 0);
    assert_string_equal(WORLD_REDIS(world, "HGET", partition->key_head, "entries"), "1");
    WORLD_REDIS(world, "EXISTS", partition->key_deadlines);
    assert_int_equal(world->reply_integer, 0);
}

static void test_an_end_is_forgotten_after_the_time(void **state)
{
    struct world *world = *state;
    front_set(&world->fronts[0], "map.close_memory=30m");
    make_end(world, "earlier");
    loop_skip(world->loop, 20 * MINUTE);
    run_tick(world);
    WAIT_UNTIL(world, map_is_ready(world->fronts[0].map, NULL));
    make_end(world, "later");
    loop_skip(world->loop, 10 * MINUTE + 1);
    run_tick(world);
    assert_int_equal(world->fronts[0].map->tombstone_count, 1);
    put_back(world, "earlier");
    put_back(world, "later");
    begin_epochs(world);
    assert_true(is_in_redis(world, "earlier"));
    assert_false(is_in_redis(world, "later"));
}

static void remember_nothing(struct world *world, const char *setting)
{
    front_set(&world->fronts[0], setting);
    make_end(world, "ended");
    assert_int_equal(world->fronts[0].map->tombstone_count, 0);
    put_back(world, "ended");
    begin_epochs(world);
    assert_true(is_in_redis(world, "ended"));
}

static void test_without_a_time_nothing_is_remembered(void **state)
{
    remember_nothing(*state, "map.close_memory=0");
}

static void test_with_a_maximum_of_none_nothing_is_remembered(void **state)
{
    remember_nothing(*state, "map.close_memory_max=0");
}

/* One bound for all partitions: whichever they are of, the oldest are forgotten first. */
static void test_the_oldest_beyond_the_maximum_are_forgotten(void **state)
{
    struct world *world = *state;
    struct map_space *space = space_of(world);
    char id[16];
    size_t used = 0;
    assert_int_equal(space->count, 4);
    front_set(&world->fronts[0], "map.close_memory_max=5");
    for (unsigned i = 0; i < 12; i++) {
        snprintf(id, sizeof id, "id%u", i);
        make_end(world, id);
    }
    assert_int_equal(world->fronts[0].map->tombstone_count, 5);
    for (uint32_t i = 0; i < space->count; i++) {
        used += space->partitions[i].tombstones.table != NULL;
    }
    assert_true(used > 1); /* the ids are of several */
    /* One whose id is used again is no end any more, and makes room. */
    struct client client;
    client_connect(&client, &world->fronts[0]);
    assert_int_equal(client_update(world, &client, "id9", 5, "again"), MAP_OK);
    assert_int_equal(world->fronts[0].map->tombstone_count, 4);
    make_end(world, "id12");
    for (unsigned i = 0; i < 13; i++) {
        snprintf(id, sizeof id, "id%u", i);
        if (i != 9) {
            put_back(world, id);
        }
    }
    begin_epochs(world);
    for (unsigned i = 0; i < 13; i++) {
        snprintf(id, sizeof id, "id%u", i);
        assert_int_equal(is_in_redis(world, id), i < 7 || i == 9);
    }
    /* Less from now on. */
    front_set(&world->fronts[0], "map.close_memory_max=2");
    make_end(world, "id13");
    assert_int_equal(world->fronts[0].map->tombstone_count, 2);
    map_session_end(&client.session, true);
}

static void remember_many(struct partition *partition, unsigned count)
{
    char id[32];
    for (unsigned i = 0; i < count; i++) {
        snprintf(id, sizeof id, "many%u", i);
        tombstone_remember(partition, bytes_from_string(id), 1, 1, BYTES_LITERAL("fence"));
    }
}

/* Visits of ends from now until none is due; each iteration has its bound, and the client has to
 * wait. */
static uint64_t count_visits(struct world *world, struct partition *partition,
                             const struct client *client)
{
    unsigned answers = client->answers;
    struct tombstones *tombstones = &partition->tombstones;
    struct patience patience = patience_begin();
    uint64_t visits = 0;
    while (tombstones_are_due(partition) || partition->batch_count > 0) {
        tombstones->visits = 0;
        loop_iterate(world->loop, 5);
        visits += tombstones->visits;
        assert_true(tombstones->visits <= TOMBSTONE_VISITS);
        assert_true(client->answers == answers || !tombstones_are_due(partition));
        assert_false(patience_is_over(&patience));
    }
    return visits;
}

/* In a new epoch: no iteration visits all of them, twice as many cost twice as many visits, and
 * nothing else is sent before the last of them. */
static void test_many_ends_are_repeated_over_many_iterations(void **state)
{
    struct world *world = *state;
    struct partition *partition = space_of(world)->partitions;
    struct client client;
    client_connect(&client, &world->fronts[0]);
    for (unsigned count = 5000, version = 1; count <= 20000; count *= 2, version++) {
        remember_many(partition, count);
        WORLD_REDIS(world, "HSET", partition->key_head, "run", "another");
        unsigned epochs = partition->epochs;
        uint64_t revision = partition->revision;
        redis_link_reset(world->fronts[0].map->link, "a test");
        client_send_update(&client, "entry", MAP_VERSION_ABSOLUTE, version, "state");
        WAIT_UNTIL(world, partition->epochs > epochs);
        assert_true(tombstones_are_due(partition));
        uint64_t visits = partition->tombstones.visits + count_visits(world, partition, &client);
        assert_int_equal(visits, count);
        WAIT_UNTIL(world, client.answers == version);
        assert_int_equal(client.result, MAP_OK);
        assert_true(partition->revision != revision);
    }
    map_session_end(&client.session, true);
}

/* Their time is over at once, but they are not forgotten at once. */
static void test_many_ends_are_forgotten_over_many_iterations(void **state)
{
    struct world *world = *state;
    struct map *map = world->fronts[0].map;
    front_set(&world->fronts[0], "map.close_memory=30m");
    remember_many(space_of(world)->partitions, 20000);
    loop_skip(world->loop, 30 * MINUTE + 1);
    size_t before = map->tombstone_count;
    struct patience patience = patience_begin();
    while (map->tombstone_count > 0) {
        before = map->tombstone_count;
        loop_iterate(world->loop, 20);
        assert_true(before - map->tombstone_count <= TOMBSTONE_VISITS);
        assert_false(patience_is_over(&patience));
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_an_end_is_sent_again_within_the_time),
        TEST(test_an_end_is_sent_again_though_a_ttl_has_ended),
        TEST(test_an_end_waits_for_a_living_front_end),
        TEST(test_an_end_is_forgotten_after_the_time),
        TEST(test_without_a_time_nothing_is_remembered),
        TEST(test_with_a_maximum_of_none_nothing_is_remembered),
        TEST(test_many_ends_are_repeated_over_many_iterations),
        TEST(test_many_ends_are_forgotten_over_many_iterations),
        cmocka_unit_test_setup_teardown(test_the_oldest_beyond_the_maximum_are_forgotten,
                                        setup_partitions, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
