/*
 * Entries made of fields, on a real Redis: what is set and deleted arrives and is published, nobody
 * else may write them, who knows the secret comes back to them, and nothing of them is lost.
 */
#include "map/fields_fixture.h"

#include "map/op_private.h"

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

static void test_fields_are_set_deleted_and_published(void **state)
{
    struct world *world = *state;
    struct observer observer;
    struct client client;
    struct map_field fields[] = {field_of("p:a", "1"), field_of("p:b", ""), field_of("state", "x")};
    observer_watch(world, &observer, &world->fronts[1]);
    client_connect(&client, &world->fronts[0]);
    assert_int_equal(
        client_open_fields(world, &client, &(struct map_open){.fields = fields, .field_count = 3}),
        MAP_OK);
    const char *id = client.id;
    assert_int_equal(strlen(id), 7);
    WAIT_UNTIL(world, shows_field(&observer, id, "p:a", "1"));
    assert_true(shows_field(&observer, id, "p:b", ""));
    assert_true(shows_field(&observer, id, "protocol", "test"));
    assert_false(has_stored(world, id, "state"));
    struct map_field changes[] = {field_of("p:a", NULL), field_of("p:c", "3"),
                                  field_of("p:x", NULL)};
    assert_true(map_session_set(client.session, bytes_from_string(id), changes, 3));
    assert_true(has_field_of(&client, id, "p:a", NULL)); /* at once */
    assert_true(has_field_of(&client, id, "p:c", "3"));
    WAIT_UNTIL(world, shows_field(&observer, id, "p:a", NULL));
    assert_true(shows_field(&observer, id, "p:c", "3"));
    assert_true(shows_field(&observer, id, "p:b", ""));
    assert_false(has_stored(world, id, "p:a"));
    assert_true(is_stored(world, id, "p:c", "3"));
    assert_true(is_stored(world, id, "version", "1"));
    /* No change: nothing is sent. */
    assert_true(map_session_set(client.session, bytes_from_string(id), changes, 3));
    assert_int_equal(map_session_pending(client.session), 0);
    assert_int_equal(client.space->map->pending, 0);
    assert_false(client_set(&client, id, "version", "9"));
    assert_false(client_set(&client, "nobody", "p:a", "9"));
    map_session_end(&client.session, false);
    WAIT_UNTIL(world, observer.closed == 1);
    map_unwatch(&observer.watcher);
}

static void test_changes_that_wait_are_joined(void **state)
{
    struct world *world = *state;
    struct observer observer;
    struct client client;
    char text[32];
    observer_watch(world, &observer, &world->fronts[1]);
    client_connect(&client, &world->fronts[0]);
    client_open_fields(world, &client, &(struct map_open){0});
    for (int i = 0; i < 500; i++) {
        snprintf(text, sizeof text, "%d", i);
        assert_true(client_set(&client, client.id, i % 2 ? "p:odd" : "p:even", text));
        assert_true(client_set(&client, client.id, "p:gone", i % 2 ? NULL : "x"));
    }
    assert_int_equal(client.space->map->pending, 1);
    WAIT_UNTIL(world, shows_field(&observer, client.id, "p:odd", "499"));
    assert_true(shows_field(&observer, client.id, "p:even", "498"));
    assert_true(shows_field(&observer, client.id, "p:gone", NULL));
    assert_true(is_stored(world, client.id, "version", "1000"));
    assert_true(is_stored(world, client.id, "p:even", "498"));
    /* As many fields as Lua could not take at once. */
    for (int i = 0; i < 6000; i++) {
        snprintf(text, sizeof text, "p:%d", i);
        assert_true(client_set(&client, client.id, text, "v"));
    }
    WAIT_UNTIL(world, shows_field(&observer, client.id, "p:5999", "v"));
    assert_true(has_stored(world, client.id, "p:0"));
    for (int i = 0; i < 6000; i++) {
        snprintf(text, sizeof text, "p:%d", i);
        assert_true(client_set(&client, client.id, text, NULL));
    }
    WAIT_UNTIL(world, shows_field(&observer, client.id, "p:5999", NULL));
    assert_false(has_stored(world, client.id, "p:0"));
    map_session_end(&client.session, false);
    map_unwatch(&observer.watcher);
}

/* However many fields come and go: what waits is no longer than the entry itself, but for a fixed
 * size, and so is the work for each change. */
static void test_changes_that_wait_stay_short(void **state)
{
    struct world *world = *state;
    struct observer observer;
    struct client client;
    char text[32];
    observer_watch(world, &observer, &world->fronts[1]);
    client_connect(&client, &world->fronts[0]);
    client_open_fields(world, &client, &(struct map_open){0});
    struct partition *partition = partition_of(client.space, bytes_from_string(client.id));
    for (int count = 1000; count <= 4000; count *= 2) {
        size_t longest = 0;
        for (int i = 0; i < count; i++) {
            snprintf(text, sizeof text, "p:%d.%d", count, i);
            assert_true(client_set(&client, client.id, text, "x"));
            assert_true(client_set(&client, client.id, text, NULL));
            const struct owned *owned = owned_find(partition, bytes_from_string(client.id));
            size_t len = owned->fields->set ? owned->fields->set->state_len : 0;
            longest = len > longest ? len : longest;
        }
        assert_in_range(longest, 1, 8192);
        assert_true(client_set(&client, client.id, "p:last", text));
        WAIT_UNTIL(world, shows_field(&observer, client.id, "p:last", text));
        assert_false(has_stored(world, client.id, text));
    }
    map_session_end(&client.session, false);
    map_unwatch(&observer.watcher);
}

static void test_an_id_of_the_callers_is_kept_or_refused(void **state)
{
    struct world *world = *state;
    struct client client, other;
    struct map_open open = {.id = BYTES_LITERAL("0123456789abcdef0123456789abcdef")};
    client_connect(&client, &world->fronts[0]);
    client_connect(&other, &world->fronts[1]);
    assert_int_equal(client_open_fields(world, &client, &open), MAP_OK);
    assert_string_equal(client.id, "0123456789abcdef0123456789abcdef");
    assert_int_equal(client_open_fields(world, &other, &open), MAP_OWNED);
    assert_int_equal(map_session_count(other.session), 0);
    map_session_end(&client.session, false);
    WAIT_UNTIL(world, !*stored(world, "0123456789abcdef0123456789abcdef", "node"));
    assert_int_equal(client_open_fields(world, &other, &open), MAP_OK);
    map_session_end(&other.session, false);
}

/* Its id is public; whoever says it is not therefore its client. */
static void test_nobody_else_may_write_or_adopt(void **state)
{
    struct world *world = *state;
    struct client client, other;
    struct map_open open = {.id = BYTES_LITERAL("public"), .resume = BYTES_LITERAL("secret")};
    client_connect(&client, &world->fronts[0]);
    client_connect(&other, &world->fronts[1]);
    client_open_fields(world, &client, &open);
    assert_int_equal(client_update(world, &other, "public", 9, "stolen"), MAP_OWNED);
    assert_int_equal(client_close(world, &other, "public"), MAP_OWNED);
    world_lengthen_grace(world);
    map_session_end(&client.session, true);
    WAIT_UNTIL(world,
               has_stored(world, "public", "node") && is_stored(world, "public", "node", ""));
    assert_int_equal(client_update(world, &other, "public", 9, "stolen"), MAP_OWNED);
    assert_int_equal(client_close(world, &other, "public"), MAP_OWNED);
    assert_int_equal(client_open_fields(world, &other, &open), MAP_OWNED);
    assert_int_equal(client_resume(world, &other, "public", "guess"), MAP_MISSING);
    assert_int_equal(client_resume(world, &other, "public", ""), MAP_MISSING);
    assert_int_equal(client_resume(world, &other, "", "secret"), MAP_MISSING);
    assert_int_equal(client_resume(world, &other, "nobody", "secret"), MAP_MISSING);
    assert_false(has_stored(world, "public", "state"));
    assert_int_equal(client_resume(world, &other, "public", "secret"), MAP_OK);
    /* Of one that cannot be resumed, an empty secret is none either. */
    client_connect(&client, &world->fronts[0]);
    client_open_fields(world, &client, &(struct map_open){.id = BYTES_LITERAL("plain")});
    map_session_end(&client.session, true);
    WAIT_UNTIL(world, has_stored(world, "plain", "node") && is_stored(world, "plain", "node", ""));
    assert_int_equal(client_resume(world, &other, "plain", "secret"), MAP_MISSING);
    assert_int_equal(client_update(world, &other, "plain", 9, "stolen"), MAP_OWNED);
    map_session_end(&other.session, false);
}

static void test_a_returning_client_has_all_fields(void **state)
{
    struct world *world = *state;
    struct observer observer;
    struct client client, again;
    char id[sizeof client.id];
    struct map_field fields[] = {field_of("p:a", "1"), field_of("p:b", "two\nlines"),
                                 field_of("p:c", "")};
    observer_watch(world, &observer, &world->fronts[0]);
    client_connect(&client, &world->fronts[0]);
    client_open_fields(world, &client,
                       &(struct map_open){.user = BYTES_LITERAL("7:ada"),
                                          .status = MAP_BUSY,
                                          .resume = BYTES_LITERAL("secret"),
                                          .fields = fields,
                                          .field_count = 3});
    memcpy(id, client.id, sizeof id);
    client_set(&client, id, "p:d", "4");
    world_lengthen_grace(world);
    map_session_end(&client.session, true); /* what was just set goes first */
    client_connect(&again, &world->fronts[1]);
    WAIT_UNTIL(world, is_stored(world, id, "node", ""));
    assert_int_equal(client_resume(world, &again, id, "secret"), MAP_OK);
    assert_true(has_field_of(&again, id, "p:a", "1"));
    assert_true(has_field_of(&again, id, "p:b", "two\nlines"));
    assert_true(has_field_of(&again, id, "p:c", ""));
    assert_true(has_field_of(&again, id, "p:d", "4"));
    assert_true(has_field_of(&again, id, "user", "7:ada"));
    assert_true(has_field_of(&again, id, "status", "busy"));
    assert_true(has_field_of(&again, id, "node", NULL));
    assert_true(client_set(&again, id, "p:a", "10"));
    WAIT_UNTIL(world, shows_field(&observer, id, "p:a", "10"));
    assert_true(shows_field(&observer, id, "p:d", "4"));
    assert_true(shows_field(&observer, id, "resume", NULL));
    assert_true(shows_field(&observer, id, "session", NULL));
    assert_true(is_stored(world, id, "node", world->fronts[1].map->node));
    assert_true(is_stored(world, id, "version", "3"));
    assert_int_equal(observer.closed, 0);
    map_session_end(&again.session, false);
    WAIT_UNTIL(world, observer.closed == 1);
    map_unwatch(&observer.watcher);
}

/* On the same front-end, and on another one: the old connection is closed. */
static void test_a_returning_client_drops_the_old_connection(void **state)
{
    struct world *world = *state;
    for (size_t i = 0; i < 2; i++) {
        struct client client, again;
        char id[sizeof client.id];
        client_connect(&client, &world->fronts[0]);
        client_connect(&again, &world->fronts[i]);
        client_open_fields(world, &client, &(struct map_open){.resume = BYTES_LITERAL("secret")});
        memcpy(id, client.id, sizeof id);
        client_set(&client, id, "p:a", "1");
        assert_int_equal(client_resume(world, &again, id, "wrong"), MAP_MISSING);
        assert_false(client.ended);
        assert_int_equal(client_resume(world, &again, id, "secret"), MAP_OK);
        assert_true(client.ended);
        assert_true(has_field_of(&again, id, "p:a", "1"));
        map_session_end(&again.session, false);
    }
}

/* Its front-end has died: it waits for the lease, then has it. A living one that was stopped itself
 * takes nobody for dead for a while, and so refuses it. */
static void test_a_returning_client_waits_for_the_lease_of_a_crashed_front_end(void **state)
{
    struct world *world = *state;
    struct client client, again;
    char id[sizeof client.id];
    client_connect(&client, &world->fronts[0]);
    client_connect(&again, &world->fronts[1]);
    client_open_fields(world, &client, &(struct map_open){.resume = BYTES_LITERAL("secret")});
    memcpy(id, client.id, sizeof id);
    client_set(&client, id, "p:a", "1");
    WAIT_UNTIL(world, is_stored(world, id, "p:a", "1"));
    front_idle_ms(&world->fronts[0]);
    enum map_result result;
    world->fronts[1].map->running.client_grace = 60000; /* where that one finds it dead first */
    do {
        patience_longest_us = 0;
        result = client_resume(world, &again, id, "secret");
    } while (result == MAP_OWNED && patience_longest_us > 200000);
    assert_int_equal(result, MAP_OK);
    assert_true(has_field_of(&again, id, "p:a", "1"));
    map_session_end(&again.session, false);
    map_session_end(&client.session, false);
}

static void test_a_restore_removes_what_is_not_ours(void **state)
{
    struct world *world = *state;
    struct observer observer;
    struct client client;
    observer_watch(world, &observer, &world->fronts[1]);
    client_connect(&client, &world->fronts[0]);
    struct map_field fields[] = {field_of("p:a", "1"), field_of("p:b", "2")};
    client_open_fields(world, &client, &(struct map_open){.fields = fields, .field_count = 2});
    const char *id = client.id;
    client_set(&client, id, "p:b", NULL);
    client_set(&client, id, "p:c", "3");
    WAIT_UNTIL(world, shows_field(&observer, id, "p:c", "3"));
    char since[sizeof world->reply];
    strcpy(since, stored(world, id, "since"));
    /* As an older Redis would have it. */
    WORLD_REDIS(world, "HSET", entry_key(id), "version", "0", "p:b", "2");
    WORLD_REDIS(world, "HSET", entry_key(id), "p:old", "x");
    WORLD_REDIS(world, "HDEL", entry_key(id), "p:c");
    WORLD_REDIS(world, "HDEL", KEY("head"), "epoch");
    WAIT_UNTIL(world, is_stored(world, id, "p:c", "3"));
    assert_false(has_stored(world, id, "p:b"));
    assert_false(has_stored(world, id, "p:old"));
    assert_true(is_stored(world, id, "version", "2"));
    assert_true(is_stored(world, id, "since", since));
    assert_true(is_stored(world, id, "protocol", "test"));
    WAIT_UNTIL(world, shows_field(&observer, id, "p:c", "3"));
    assert_true(shows_field(&observer, id, "p:old", NULL));
    assert_int_equal(observer.closed, 0);
    map_session_end(&client.session, false);
    map_unwatch(&observer.watcher);
}

static void test_what_is_set_while_redis_is_unreachable_or_empty_arrives(void **state)
{
    struct world *world = *state;
    struct observer observer;
    struct client client;
    char text[32];
    observer_watch(world, &observer, &world->fronts[1]);
    client_connect(&client, &world->fronts[0]);
    client_open_fields(world, &client, &(struct map_open){0});
    for (int i = 0; i < 50; i++) {
        snprintf(text, sizeof text, "%d", i);
        if (i % 5 == 0) {
            redis_link_reset(world->fronts[0].map->link, "a test");
        }
        if (i == 17 || i == 31) {
            WORLD_REDIS(world, "FLUSHALL");
        }
        if (i % 7 == 0) {
            WORLD_REDIS(world, "SCRIPT", "FLUSH");
        }
        assert_true(client_set(&client, client.id, "p:n", text));
        assert_true(client_set(&client, client.id, text, i % 2 ? NULL : "even"));
        assert_true(client.space->map->pending < 10); /* nothing piles up */
        loop_iterate(world->loop, 1);
    }
    WAIT_UNTIL(world, is_stored(world, client.id, "p:n", "49"));
    WAIT_UNTIL(world, shows_field(&observer, client.id, "p:n", "49"));
    for (int i = 0; i < 50; i++) {
        snprintf(text, sizeof text, "%d", i);
        assert_true(has_stored(world, client.id, text) == (i % 2 == 0));
        assert_true(shows_field(&observer, client.id, text, i % 2 ? NULL : "even"));
    }
    assert_int_equal(client.space->map->pending, 0);
    assert_false(client.ended);
    map_session_end(&client.session, false);
    map_unwatch(&observer.watcher);
}

/* The connection is back, the entry had been taken for abandoned: with all its fields. */
static void test_an_owner_takes_its_orphan_back(void **state)
{
    struct world *world = *state;
    struct client client;
    client_connect(&client, &world->fronts[0]);
    struct map_field fields[] = {field_of("p:a", "1")};
    client_open_fields(world, &client, &(struct map_open){.fields = fields, .field_count = 1});
    WORLD_REDIS(world, "HDEL", KEY("node:"), client.id);
    WORLD_REDIS(world, "HSET", entry_key(client.id), "node", "");
    WORLD_REDIS(world, "ZADD", KEY("deadlines"), "99999999999999", "c:-");
    assert_true(client_set(&client, client.id, "p:a", "2"));
    WAIT_UNTIL(world, is_stored(world, client.id, "node", world->fronts[0].map->node));
    assert_true(is_stored(world, client.id, "p:a", "2"));
    WORLD_REDIS(world, "ZREM", KEY("deadlines"), "c:-");
    map_session_end(&client.session, false);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_two, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_fields_are_set_deleted_and_published),
        TEST(test_changes_that_wait_are_joined),
        TEST(test_changes_that_wait_stay_short),
        TEST(test_an_id_of_the_callers_is_kept_or_refused),
        TEST(test_nobody_else_may_write_or_adopt),
        TEST(test_a_returning_client_has_all_fields),
        TEST(test_a_returning_client_drops_the_old_connection),
        TEST(test_a_returning_client_waits_for_the_lease_of_a_crashed_front_end),
        TEST(test_a_restore_removes_what_is_not_ours),
        TEST(test_what_is_set_while_redis_is_unreachable_or_empty_arrives),
        TEST(test_an_owner_takes_its_orphan_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
