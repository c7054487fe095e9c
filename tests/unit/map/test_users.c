/*
 * The status of users, as apply derives it from their devices and publishes it: on a real Redis,
 * through drops, crashes, the offline delay, lost data, and with entries that are nobody's device
 * beside them.
 */
#include "map/channel_log_fixture.h"

static int setup_two(void **state)
{
    struct world *world = world_with_fronts(2);
    for (size_t i = 0; i < 2; i++) {
        world->fronts[i].map->running.offline_delay = 400;
    }
    *state = world;
    return 0;
}

static int teardown(void **state)
{
    world_destroy(*state);
    return 0;
}

static void open_device(struct world *world, struct client *client, struct front *front,
                        const char *user, enum map_status status)
{
    client_connect(client, front);
    assert_int_equal(
        client_open_fields(world, client,
                           &(struct map_open){.user = bytes_from_string(user), .status = status}),
        MAP_OK);
}

static void set_status(struct client *client, enum map_status status)
{
    assert_true(map_session_set_status(client->session, bytes_from_string(client->id), status));
}

static bool exists(struct world *world, const char *key)
{
    WORLD_REDIS(world, "EXISTS", key);
    return world->reply_integer == 1;
}

static bool has_deadline(struct world *world, const char *member)
{
    return *WORLD_REDIS(world, "ZSCORE", KEY("deadlines"), member) != 0;
}

/* A whole hold passes: longer than every deadline, and some sweeps. */
static void wait_ms(struct world *world, uint64_t ms)
{
    uint64_t end = clock_monotonic_us() + ms * 1000;
    WAIT_UNTIL(world, clock_monotonic_us() > end);
}

static void test_a_user_is_as_all_devices_say(void **state)
{
    struct world *world = *state;
    struct channel_log log;
    struct client one, two;
    channel_log_create(world, &log);
    channel_log_listen(world, &log, KEY("presence:7:ada"));
    open_device(world, &one, &world->fronts[0], "7:ada", MAP_ONLINE);
    channel_log_expect(world, &log, "presence:7:ada online;");
    assert_string_equal(WORLD_REDIS(world, "HGET", KEY("user:7:ada"), one.id), "online");
    assert_string_equal(WORLD_REDIS(world, "HGET", KEY("user:7:ada"), ".status"), "online");
    assert_int_equal(strtoull(WORLD_REDIS(world, "HGET", KEY("user:7:ada"), ".seq"), NULL, 10),
                     log.seq);
    assert_int_equal(strtoull(WORLD_REDIS(world, "HGET", KEY("head"), "seq"), NULL, 10), log.seq);
    open_device(world, &two, &world->fronts[1], "7:ada", MAP_BUSY);
    channel_log_expect(world, &log, "presence:7:ada busy;");
    set_status(&one, MAP_BUSY);
    WAIT_UNTIL(world, !strcmp(WORLD_REDIS(world, "HGET", KEY("user:7:ada"), one.id), "busy"));
    set_status(&two, MAP_ONLINE); /* the other one is busy now */
    WAIT_UNTIL(world, !strcmp(WORLD_REDIS(world, "HGET", KEY("user:7:ada"), two.id), "online"));
    assert_int_equal(log.len, 0);
    map_session_end(&one.session, false);
    channel_log_expect(world, &log, "presence:7:ada online;");
    WORLD_REDIS(world, "HLEN", KEY("user:7:ada"));
    assert_int_equal(world->reply_integer, 3);
    map_session_end(&two.session, false);
    channel_log_expect(world, &log, "presence:7:ada offline;");
    assert_false(exists(world, KEY("user:7:ada")));
    assert_false(has_deadline(world, "u:7:ada"));
    channel_log_destroy(&log);
}

static void test_what_one_batch_does_is_published_once(void **state)
{
    struct world *world = *state;
    struct channel_log log;
    struct client clients[8];
    channel_log_create(world, &log);
    channel_log_listen(world, &log, KEY("presence:1:x"));
    for (size_t i = 0; i < 8; i++) {
        client_connect(&clients[i], &world->fronts[0]);
        client_ask_open(&clients[i], &(struct map_open){.user = BYTES_LITERAL("1:x"),
                                                        .status = i % 2 ? MAP_BUSY : MAP_ONLINE});
    }
    channel_log_expect(world, &log, "presence:1:x busy;");
    for (size_t i = 0; i < 8; i++) {
        WAIT_UNTIL(world, clients[i].answers == 1);
    }
    for (size_t i = 0; i < 8; i++) {
        set_status(&clients[i], MAP_ONLINE);
    }
    channel_log_expect(world, &log, "presence:1:x online;");
    for (size_t i = 0; i < 8; i++) {
        map_session_end(&clients[i].session, false);
    }
    channel_log_expect(world, &log, "presence:1:x offline;");
    assert_int_equal(log.count, 3);
    channel_log_destroy(&log);
}

static void test_a_user_who_returns_within_the_delay_was_never_gone(void **state)
{
    struct world *world = *state;
    struct channel_log log;
    struct client client, again;
    world->fronts[0].map->running.offline_delay = 20000;
    channel_log_create(world, &log);
    channel_log_listen(world, &log, KEY("presence:1:x"));
    open_device(world, &client, &world->fronts[0], "1:x", MAP_BUSY);
    channel_log_expect(world, &log, "presence:1:x busy;");
    map_session_end(&client.session, true); /* dropped: gone now, though its entry waits */
    WAIT_UNTIL(world, has_deadline(world, "u:1:x"));
    assert_string_equal(WORLD_REDIS(world, "HGET", KEY("user:1:x"), ".status"), "busy");
    WORLD_REDIS(world, "HLEN", KEY("user:1:x"));
    assert_int_equal(world->reply_integer, 2);
    open_device(world, &again, &world->fronts[1], "1:x", MAP_ONLINE);
    assert_false(has_deadline(world, "u:1:x"));
    channel_log_expect(world, &log, "presence:1:x online;"); /* no longer busy, never offline */
    map_session_end(&again.session, false);
    channel_log_expect(world, &log, "presence:1:x offline;");
    channel_log_destroy(&log);
}

/* The offline delay counts from the drop, not from the end of the entry's grace; and may be longer.
 */
static void test_the_offline_delay_is_its_own(void **state)
{
    struct world *world = *state;
    struct channel_log log;
    struct client client;
    channel_log_create(world, &log);
    channel_log_listen(world, &log, KEY("presence:1:x"));
    for (size_t i = 0; i < 2; i++) {
        world->fronts[i].map->running.client_grace = 20000;
    }
    open_device(world, &client, &world->fronts[0], "1:x", MAP_ONLINE);
    char id[sizeof client.id];
    memcpy(id, client.id, sizeof id);
    map_session_end(&client.session, true);
    channel_log_expect(world, &log, "presence:1:x online;presence:1:x offline;");
    assert_true(has_stored(world, id, "user"));
    for (size_t i = 0; i < 2; i++) {
        world->fronts[i].map->running.client_grace = 500;
        world->fronts[i].map->running.offline_delay = 60000;
    }
    open_device(world, &client, &world->fronts[0], "1:x", MAP_ONLINE);
    channel_log_expect(world, &log, "presence:1:x online;");
    uint64_t before = map_redis_time_ms(world->fronts[0].map);
    map_session_end(&client.session, false);
    WAIT_UNTIL(world, has_deadline(world, "u:1:x"));
    wait_ms(world, 700); /* some sweeps, which must not cut it to the grace */
    assert_true(strtoull(WORLD_REDIS(world, "ZSCORE", KEY("deadlines"), "u:1:x"), NULL, 10) >
                before + 50000);
    assert_int_equal(log.len, 0);
    channel_log_destroy(&log);
}

static void test_without_a_delay_a_leaving_user_is_gone_at_once(void **state)
{
    struct world *world = *state;
    struct channel_log log;
    struct client client;
    world->fronts[0].map->running.offline_delay = 0;
    channel_log_create(world, &log);
    channel_log_listen(world, &log, KEY("presence:1:x"));
    open_device(world, &client, &world->fronts[0], "1:x", MAP_ONLINE);
    map_session_end(&client.session, true);
    channel_log_expect(world, &log, "presence:1:x online;presence:1:x offline;");
    assert_false(exists(world, KEY("user:1:x")));
    assert_false(has_deadline(world, "u:1:x"));
    channel_log_destroy(&log);
}

static void test_users_of_a_dead_front_end_go_offline_once(void **state)
{
    struct world *world = *state;
    struct channel_log log;
    struct client clients[4];
    static const char *const users[] = {"1:a", "1:a", "1:b", "1:c"};
    channel_log_create(world, &log);
    channel_log_listen(world, &log, KEY("presence:1:a"));
    channel_log_listen(world, &log, KEY("presence:1:b"));
    channel_log_listen(world, &log, KEY("presence:1:c"));
    for (size_t i = 0; i < 4; i++) {
        open_device(world, &clients[i], &world->fronts[i == 3], users[i], MAP_ONLINE);
    }
    channel_log_expect(world, &log, "presence:1:a online;presence:1:b online;presence:1:c online;");
    front_idle_ms(&world->fronts[0]);
    WAIT_UNTIL(world, log.count == 5);
    WAIT_UNTIL(world, (WORLD_REDIS(world, "ZCARD", KEY("nodes")), world->reply_integer == 1));
    assert_int_equal(log.count, 5);
    assert_non_null(strstr(log.text, "presence:1:a offline;"));
    assert_non_null(strstr(log.text, "presence:1:b offline;"));
    assert_false(exists(world, KEY("user:1:a")));
    assert_true(exists(world, KEY("user:1:c")));
    for (size_t i = 0; i < 4; i++) {
        map_session_end(&clients[i].session, false);
    }
    channel_log_destroy(&log);
}

/* An entry that is nobody's device is present by itself, waiting for its client or not. */
static void test_entries_are_present_while_they_exist(void **state)
{
    struct world *world = *state;
    struct channel_log log;
    struct client client, again;
    channel_log_create(world, &log);
    channel_log_listen(world, &log, KEY("presence:sensor"));
    channel_log_listen(world, &log, KEY("presence:token"));
    client_connect(&client, &world->fronts[0]);
    client_update(world, &client, "sensor", 1, "a");
    client_update(world, &client, "sensor", 2, "b");
    channel_log_expect(world, &log, "presence:sensor online;");
    client_open_fields(world, &client, &(struct map_open){.id = BYTES_LITERAL("token")});
    channel_log_expect(world, &log, "presence:token online;");
    world_lengthen_grace(world);
    map_session_end(&client.session, true);
    client_connect(&again, &world->fronts[1]);
    assert_int_equal(client_update(world, &again, "sensor", 3, "c"), MAP_OK); /* adopted */
    WORLD_REDIS(world, "ZADD", KEY("deadlines"), "XX", "1", "c:token");       /* its grace ends */
    channel_log_expect(world, &log, "presence:token offline;");
    assert_int_equal(client_close(world, &again, "sensor"), MAP_OK);
    channel_log_expect(world, &log, "presence:sensor offline;");
    /* Opened and closed in one batch: nothing has changed. */
    client_send_update(&again, "sensor", MAP_VERSION_ABSOLUTE, 9, "d");
    map_session_close_entry(again.session, BYTES_LITERAL("sensor"), MAP_ADOPT_ANY, client_done,
                            &again);
    unsigned answers = again.answers;
    WAIT_UNTIL(world, again.answers == answers + 2);
    wait_ms(world, 100);
    assert_int_equal(log.len, 0);
    map_session_end(&again.session, false);
    channel_log_destroy(&log);
}

static void test_a_name_is_a_users_or_an_entrys(void **state)
{
    struct world *world = *state;
    const struct map_open both = {.user = BYTES_LITERAL("both")};
    struct channel_log log;
    struct client entry, device;
    channel_log_create(world, &log);
    channel_log_listen(world, &log, KEY("presence:both"));
    client_connect(&entry, &world->fronts[0]);
    client_update(world, &entry, "both", 1, "a");
    channel_log_expect(world, &log, "presence:both online;");
    client_connect(&device, &world->fronts[1]);
    assert_int_equal(client_open_fields(world, &device, &both), MAP_TAKEN);
    WORLD_REDIS(world, "HINCRBY", KEY("head"), "entries", "0");
    assert_int_equal(world->reply_integer, 1);
    assert_int_equal(client_close(world, &entry, "both"), MAP_OK);
    channel_log_expect(world, &log, "presence:both offline;");

    assert_int_equal(client_open_fields(world, &device, &both), MAP_OK);
    channel_log_expect(world, &log, "presence:both online;");
    assert_int_equal(client_update(world, &entry, "both", 1, "a"), MAP_TAKEN);
    assert_int_equal(client_open_fields(world, &entry, &(struct map_open){.id = both.user}),
                     MAP_TAKEN);
    map_session_end(&device.session, false);
    WAIT_UNTIL(world, !exists(world, KEY("user:both")));
    channel_log_expect(world, &log, "presence:both offline;");
    client_update(world, &entry, "both", 1, "a");
    channel_log_expect(world, &log, "presence:both online;");
    map_session_end(&entry.session, false);
    channel_log_destroy(&log);
}

/* Both are asked for in one batch, in either order. */
static void test_the_first_of_a_batch_gets_the_name(void **state)
{
    struct world *world = *state;
    struct client entry, device;
    const struct map_open both = {.user = BYTES_LITERAL("both")};
    client_connect(&entry, &world->fronts[0]);
    client_connect(&device, &world->fronts[0]);
    client_send_update(&entry, "both", MAP_VERSION_ABSOLUTE, 1, "a");
    client_ask_open(&device, &both);
    WAIT_UNTIL(world, entry.answers && device.answers);
    assert_int_equal(entry.result, MAP_OK);
    assert_int_equal(device.result, MAP_TAKEN);
    assert_int_equal(client_close(world, &entry, "both"), MAP_OK);
    entry.answers = device.answers = 0;
    client_ask_open(&device, &both);
    client_send_update(&entry, "both", MAP_VERSION_ABSOLUTE, 1, "a");
    WAIT_UNTIL(world, entry.answers && device.answers);
    assert_int_equal(device.result, MAP_OK);
    assert_int_equal(entry.result, MAP_TAKEN);
    map_session_end(&entry.session, false);
    map_session_end(&device.session, false);
}

static void test_alone_refuses_a_second_device(void **state)
{
    struct world *world = *state;
    struct client one, two, three;
    struct map_open open = {.user = BYTES_LITERAL("1:x"), .alone = true};
    client_connect(&one, &world->fronts[0]);
    client_connect(&two, &world->fronts[1]);
    client_connect(&three, &world->fronts[0]);
    /* Two in one batch: the first. */
    client_ask_open(&one, &open);
    client_ask_open(&three, &open);
    WAIT_UNTIL(world, one.answers && three.answers);
    assert_int_equal(one.result, MAP_OK);
    assert_int_equal(three.result, MAP_OWNED);
    assert_int_equal(client_open_fields(world, &two, &open), MAP_OWNED);
    WORLD_REDIS(world, "HLEN", KEY("user:1:x"));
    assert_int_equal(world->reply_integer, 3);
    /* A dropped device does not count any more; nor one that leaves in the same batch. */
    map_session_end(&one.session, true);
    assert_int_equal(client_open_fields(world, &three, &open), MAP_OK);
    map_session_end(&three.session, true);
    client_connect(&one, &world->fronts[0]);
    assert_int_equal(client_open_fields(world, &one, &open), MAP_OK);
    assert_int_equal(client_open_fields(world, &two, &open), MAP_OWNED);
    map_session_end(&one.session, false);
    map_session_end(&two.session, false);
}

/* Who died with its front-end is no other device, as soon as the lease has ended. */
static void test_alone_does_not_wait_for_the_reaping_of_crashed_front_ends(void **state)
{
    struct world *world = *state;
    struct client one, two;
    struct map_open open = {.user = BYTES_LITERAL("1:x"), .alone = true};
    client_connect(&one, &world->fronts[0]);
    client_connect(&two, &world->fronts[1]);
    assert_int_equal(client_open_fields(world, &one, &open), MAP_OK);
    front_idle_ms(&world->fronts[0]);
    WAIT_UNTIL(world, client_open_fields(world, &two, &open) == MAP_OK);
    map_session_end(&one.session, false);
    map_session_end(&two.session, false);
}

/* The index knows whose it was. */
static void test_a_device_that_only_its_ttl_ended_is_taken_out(void **state)
{
    struct world *world = *state;
    struct channel_log log;
    struct client closed, dropped, dead;
    channel_log_create(world, &log);
    channel_log_listen(world, &log, KEY("presence:1:x"));
    open_device(world, &closed, &world->fronts[1], "1:x", MAP_ONLINE);
    open_device(world, &dropped, &world->fronts[1], "1:x", MAP_ONLINE);
    open_device(world, &dead, &world->fronts[0], "1:x", MAP_BUSY);
    channel_log_expect(world, &log, "presence:1:x online;presence:1:x busy;");
    front_idle_ms(&world->fronts[0]);
    WORLD_REDIS(world, "DEL", entry_key(dead.id));
    channel_log_expect(world, &log, "presence:1:x online;");
    WORLD_REDIS(world, "DEL", entry_key(closed.id));
    WORLD_REDIS(world, "DEL", entry_key(dropped.id));
    map_session_end(&closed.session, false);
    map_session_end(&dropped.session, true);
    channel_log_expect(world, &log, "presence:1:x offline;");
    assert_false(exists(world, KEY("user:1:x")));
    WAIT_UNTIL(world, !strcmp(WORLD_REDIS(world, "HGET", KEY("head"), "entries"), "0"));
    map_session_end(&dead.session, false);
    channel_log_destroy(&log);
}

/* An id of a device that only its TTL ended is opened by somebody else, as nobody's device. */
static void test_an_id_that_was_a_device_is_no_device_any_more(void **state)
{
    struct world *world = *state;
    struct channel_log log;
    struct client device, other;
    channel_log_create(world, &log);
    channel_log_listen(world, &log, KEY("presence:1:x"));
    open_device(world, &device, &world->fronts[0], "1:x", MAP_ONLINE);
    client_connect(&other, &world->fronts[0]);
    WORLD_REDIS(world, "DEL", entry_key(device.id));
    assert_int_equal(client_update(world, &other, device.id, 1, "s"), MAP_OK);
    channel_log_expect(world, &log, "presence:1:x online;presence:1:x offline;");
    assert_string_equal(WORLD_REDIS(world, "HGET", KEY("head"), "entries"), "1");
    map_session_end(&device.session, false);
    map_session_end(&other.session, false);
    channel_log_destroy(&log);
}

static void test_everything_comes_back_to_an_empty_redis(void **state)
{
    struct world *world = *state;
    struct channel_log log;
    struct client one, two, entry;
    channel_log_create(world, &log);
    open_device(world, &one, &world->fronts[0], "1:x", MAP_ONLINE);
    open_device(world, &two, &world->fronts[1], "1:x", MAP_BUSY);
    client_connect(&entry, &world->fronts[1]);
    client_update(world, &entry, "sensor", 1, "a");
    channel_log_listen(world, &log, KEY("presence:1:x"));
    channel_log_listen(world, &log, KEY("presence:sensor"));
    set_status(&one, MAP_BUSY);
    WORLD_REDIS(world, "FLUSHALL");
    set_status(&two, MAP_ONLINE); /* while nobody knows yet */
    WAIT_UNTIL(world, !strcmp(WORLD_REDIS(world, "HGET", KEY("user:1:x"), one.id), "busy"));
    WAIT_UNTIL(world, !strcmp(WORLD_REDIS(world, "HGET", KEY("user:1:x"), two.id), "online"));
    assert_string_equal(WORLD_REDIS(world, "HGET", KEY("user:1:x"), ".status"), "busy");
    WAIT_UNTIL(world, strstr(log.text, "presence:sensor online;"));
    assert_null(strstr(log.text, "offline"));
    log.seq = 0; /* another epoch */
    log.disordered = false;
    map_session_end(&one.session, false);
    map_session_end(&two.session, false);
    map_session_end(&entry.session, false);
    WAIT_UNTIL(world, strstr(log.text, "presence:1:x offline;"));
    channel_log_destroy(&log);
}

/* An older Redis knows devices that have gone, and not those that came. */
static void test_an_older_redis_is_put_right(void **state)
{
    struct world *world = *state;
    struct client client;
    open_device(world, &client, &world->fronts[0], "1:x", MAP_ONLINE);
    const char *node = world->fronts[0].map->node;
    WORLD_REDIS(world, "HSET", KEY("client:goneone"), "user", "1:y", "status", "busy");
    WORLD_REDIS(world, "HSET", KEY("client:goneone"), "node", node, "version", "3");
    WORLD_REDIS(world, "HSET", KEY("client:goneone"), "session", "f", "since", "1");
    WORLD_REDIS(world, "HSET", KEY("user:1:y"), "goneone", "busy", ".status", "busy");
    char key[128];
    snprintf(key, sizeof key, KEY("node:%s"), node);
    WORLD_REDIS(world, "HSET", key, "goneone", "1:y");
    WORLD_REDIS(world, "HDEL", KEY("user:1:x"), client.id);
    WORLD_REDIS(world, "HDEL", key, client.id);
    WORLD_REDIS(world, "HSET", KEY("head"), "epoch", "0123456789abcdef");
    WAIT_UNTIL(world, !exists(world, KEY("user:1:y")));
    assert_string_equal(WORLD_REDIS(world, "HGET", KEY("user:1:x"), client.id), "online");
    map_session_end(&client.session, false);
}

static void test_devices_share_the_partition_of_their_user(void **state)
{
    struct world *world = *state;
    struct front *front = &world->fronts[world->count++];
    struct client clients[40];
    front_prepare(world, front);
    front_set(front, "map.partitions=4");
    front_set(front, "map.spaces=wide");
    front_start(world, front);
    for (unsigned i = 0; i < 40; i++) {
        char user[16], key[64];
        snprintf(user, sizeof user, "1:%u", i);
        open_device(world, &clients[i], front, user, MAP_ONLINE);
        uint32_t partition = shard_of(bytes_from_string(user), 4);
        assert_int_equal(shard_of(bytes_from_string(clients[i].id), 4), partition);
        snprintf(key, sizeof key, "tracker:{wide/4/%u}:user:%s", partition, user);
        assert_string_equal(WORLD_REDIS(world, "HGET", key, clients[i].id), "online");
    }
    for (unsigned i = 0; i < 40; i++) {
        map_session_end(&clients[i].session, false);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_two, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_a_user_is_as_all_devices_say),
        TEST(test_what_one_batch_does_is_published_once),
        TEST(test_a_user_who_returns_within_the_delay_was_never_gone),
        TEST(test_the_offline_delay_is_its_own),
        TEST(test_without_a_delay_a_leaving_user_is_gone_at_once),
        TEST(test_users_of_a_dead_front_end_go_offline_once),
        TEST(test_entries_are_present_while_they_exist),
        TEST(test_a_name_is_a_users_or_an_entrys),
        TEST(test_the_first_of_a_batch_gets_the_name),
        TEST(test_alone_refuses_a_second_device),
        TEST(test_alone_does_not_wait_for_the_reaping_of_crashed_front_ends),
        TEST(test_a_device_that_only_its_ttl_ended_is_taken_out),
        TEST(test_an_id_that_was_a_device_is_no_device_any_more),
        TEST(test_everything_comes_back_to_an_empty_redis),
        TEST(test_an_older_redis_is_put_right),
        TEST(test_devices_share_the_partition_of_their_user),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
