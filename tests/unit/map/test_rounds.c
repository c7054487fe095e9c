/*
 * Rounds: all entries of a front-end are compared with Redis again, as in a new epoch, and no
 * event-loop iteration visits all of them.
 */
#include "map/fixture.h"

#include "map/owned_private.h"

static int setup(void **state)
{
    struct world *world = world_create();
    struct front *front = &world->fronts[world->count++];
    front_prepare(world, front);
    front_set(front, "map.partitions=1");
    front_set(front, "client.ttl=24h");
    front_set(front, "map.lease=1m");
    front_set(front, "map.recovery_grace=10m");
    front_start(world, front);
    *state = world;
    return 0;
}

static int teardown(void **state)
{
    world_destroy(*state);
    return 0;
}

/* As if Redis had confirmed each. */
static void own_many(struct partition *partition, struct client *client, unsigned count)
{
    char id[32];
    for (unsigned i = 0; i < count; i++) {
        snprintf(id, sizeof id, "many%u-%u", count, i);
        struct owned *owned = owned_create(client->session, partition, bytes_from_string(id), 8);
        owned = owned_set_state(partition, owned, 1, BYTES_LITERAL("state"));
        owned_confirm(partition, owned);
    }
}

static void begin_epoch(struct world *world, struct partition *partition)
{
    unsigned epochs = partition->epochs;
    WORLD_REDIS(world, "HSET", partition->key_head, "run", "another");
    redis_link_reset(world->fronts[0].map->link, "a test");
    WAIT_UNTIL(world, partition->epochs > epochs);
}

/* What an iteration can send; and one more that is looked at for what comes next. */
static uint64_t most_in_an_iteration(const struct partition *partition)
{
    return (uint64_t)partition->map->settings->batch_operations *
               (uint64_t)partition->map->redis->inflight +
           1;
}

static void expect_visits(struct world *world, struct partition *partition, unsigned count)
{
    uint64_t first = partition->owned_visits;
    const uint64_t most = most_in_an_iteration(partition);
    assert_true(count > most);
    begin_epoch(world, partition);
    assert_true(partition->owned_visits - first <= most); /* the hello has visited none */
    assert_false(owned_is_settled(partition));
    struct patience patience = patience_begin();
    while (!owned_is_settled(partition)) {
        uint64_t before = partition->owned_visits;
        loop_iterate(world->loop, 5);
        assert_true(partition->owned_visits - before <= most);
        assert_false(patience_is_over(&patience));
    }
    assert_int_equal(partition->owned_visits - first, count);
    WORLD_REDIS(world, "HLEN", partition->key_mine);
    assert_int_equal(world->reply_integer, count);
}

static void test_a_new_epoch_visits_each_entry_when_it_is_restored(void **state)
{
    struct world *world = *state;
    struct partition *partition = map_space_find(world->fronts[0].map, "")->partitions;
    for (unsigned count = 5000; count <= 20000; count *= 2) {
        struct client client;
        client_connect(&client, &world->fronts[0]);
        own_many(partition, &client, count);
        expect_visits(world, partition, count);
        map_session_end(&client.session, false);
        WAIT_UNTIL(world, list_is_empty(&partition->queue) && partition->batch_count == 0);
    }
}

/* Changes that wait in the queue are part of the restores. */
static void test_a_change_that_waits_goes_with_its_restore(void **state)
{
    struct world *world = *state;
    struct partition *partition = map_space_find(world->fronts[0].map, "")->partitions;
    struct client client;
    char value[16];
    client_connect(&client, &world->fronts[0]);
    for (unsigned i = 0; i < 100; i++) {
        char id[32];
        struct writer body = {0};
        snprintf(id, sizeof id, "waits%u", i);
        fields_set(&body, BYTES_LITERAL("name"), BYTES_LITERAL("before"));
        struct owned *owned = owned_create(client.session, partition, bytes_from_string(id), 0);
        owned_take_fields(owned, writer_bytes_written(&body));
        owned->version = owned->wanted = 1;
        owned_confirm(partition, owned);
        snprintf(value, sizeof value, "after%u", i);
        struct map_field change = {BYTES_LITERAL("name"), bytes_from_string(value)};
        owned_change_fields(partition, owned, &change, 1);
        assert_non_null(owned->fields->set);
        writer_free(&body);
    }
    owned_unconfirm_all(partition);
    assert_false(list_is_empty(&partition->queue));
    WAIT_UNTIL(world, owned_is_settled(partition));
    assert_true(list_is_empty(&partition->queue));
    char *key = mem_format("%sclient:waits7", partition->prefix);
    WORLD_REDIS(world, "HGET", key, "version");
    assert_string_equal(world->reply, "2");
    free(key);
    map_session_end(&client.session, false);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_a_new_epoch_visits_each_entry_when_it_is_restored),
        TEST(test_a_change_that_waits_goes_with_its_restore),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
