/*
 * Watched names: reads and messages give one order of changes, through the loss of either link, new
 * epochs and their recovery grace.
 */
#include "map/fields_fixture.h"

#include "presence/presence.h"
#include "presence/presence_private.h"

static int setup_one(void **state)
{
    *state = world_with_fronts(1);
    return 0;
}

static int teardown(void **state)
{
    world_destroy(*state);
    return 0;
}

/* A watcher of some names, and the changes it was notified of. */
struct friends {
    struct presence_set *set;
    struct presence_watch watches[8];
    size_t count;
    struct writer changes; /* "name=status;", "name:=status;" when it became known */
    unsigned calls;
};

static void on_changed(void *arg, struct watched_name *presence, bool first)
{
    struct friends *friends = arg;
    friends->calls++;
    writer_bytes(&friends->changes, presence_name(presence));
    writer_format(&friends->changes, "%s=%s;", first ? ":" : "",
                  map_status_name(presence_status(presence)));
}

static const struct presence_callbacks callbacks = {.changed = on_changed};

static void friends_create(struct friends *friends, struct front *front)
{
    memset(friends, 0, sizeof *friends);
    friends->set = presence_set_create(map_space_find(front->map, ""), &callbacks, friends);
}

static void friends_destroy(struct friends *friends)
{
    for (size_t i = 0; i < friends->count; i++) {
        presence_unwatch(&friends->watches[i]);
    }
    presence_set_destroy(&friends->set);
    writer_free(&friends->changes);
}

static struct watched_name *watch(struct friends *friends, const char *name)
{
    struct presence_watch *one = &friends->watches[friends->count++];
    presence_watch(friends->set, bytes_from_string(name), one);
    return one->presence;
}

/* Whether exactly these changes came since the last call of this. */
static bool received(struct friends *friends, const char *text)
{
    if (!bytes_equal(writer_bytes_written(&friends->changes), bytes_from_string(text))) {
        return false;
    }
    writer_reset(&friends->changes);
    return true;
}

/* Sets a user's status, as the operations on entries do. */
static void become(struct world *world, const char *user, const char *status)
{
    static const char script[] =
        "local seq, gone = redis.call('HINCRBY', KEYS[1], 'seq', 1), ARGV[1] == 'offline' "
        "if gone then redis.call('DEL', KEYS[2]) "
        "else redis.call('HSET', KEYS[2], 'device', ARGV[1], '.status', ARGV[1]) end "
        "redis.call('PUBLISH', ARGV[2], '1 ' .. redis.call('HGET', KEYS[1], 'epoch') .. ' ' .. "
        "string.format('%d', seq) .. ' ' .. ARGV[1])";
    char key[128], channel[128];
    snprintf(key, sizeof key, KEY("user:%s"), user);
    snprintf(channel, sizeof channel, KEY("presence:%s"), user);
    struct bytes args[] = {BYTES_LITERAL("EVAL"),     bytes_from_string(script),
                           BYTES_LITERAL("2"),        BYTES_LITERAL(KEY("head")),
                           bytes_from_string(key),    bytes_from_string(status),
                           bytes_from_string(channel)};
    world->replied = false;
    redis_command(world->link, world_on_reply, world, 7, args);
    world_wait_reply(world);
    assert_string_equal(world->reply, "");
}

static bool is_subscribed(struct watched_name *presence)
{
    return channel_is_subscribed(&presence->channel);
}

static bool is_quiet(struct friends *friends)
{
    const struct presence_part *part = &friends->set->parts[0];
    return part->reading == 0 && list_is_empty(&part->due);
}

static void test_a_name_is_read_and_then_followed(void **state)
{
    struct world *world = *state;
    struct friends friends;
    friends_create(&friends, &world->fronts[0]);
    become(world, "1:1", "busy");
    struct watched_name *one = watch(&friends, "1:1"), *two = watch(&friends, "1:2");
    assert_false(presence_is_known(one));
    assert_int_equal(presence_status(one), MAP_OFFLINE);
    WAIT_UNTIL(world, friends.calls == 2);
    assert_true(received(&friends, "1:1:=busy;1:2:=offline;"));
    assert_int_equal(presence_status(one), MAP_BUSY);
    assert_true(presence_is_known(two));
    assert_int_equal(presence_set_count(friends.set), 2);
    become(world, "1:1", "online");
    WAIT_UNTIL(world, received(&friends, "1:1=online;"));
    become(world, "1:2", "online");
    WAIT_UNTIL(world, received(&friends, "1:2=online;"));
    become(world, "1:2", "busy");
    WAIT_UNTIL(world, received(&friends, "1:2=busy;"));
    become(world, "1:1", "offline");
    WAIT_UNTIL(world, received(&friends, "1:1=offline;"));
    become(world, "1:1", "offline"); /* no change */
    become(world, "1:2", "offline");
    WAIT_UNTIL(world, received(&friends, "1:2=offline;"));
    friends_destroy(&friends);
}

static void open_device(struct world *world, struct client *client, const char *user)
{
    client_connect(client, &world->fronts[0]);
    assert_int_equal(
        client_open_fields(world, client, &(struct map_open){.user = bytes_from_string(user)}),
        MAP_OK);
}

static void set_status(struct client *client, enum map_status status)
{
    assert_true(map_session_set_status(client->session, bytes_from_string(client->id), status));
}

/* Users by their devices, and entries that are no device of a user; a name may be both. */
static void test_devices_and_entries_are_present(void **state)
{
    struct world *world = *state;
    struct friends friends;
    struct client one, two, entry;
    friends_create(&friends, &world->fronts[0]);
    watch(&friends, "1:1");
    WAIT_UNTIL(world, received(&friends, "1:1:=offline;"));
    open_device(world, &one, "1:1");
    WAIT_UNTIL(world, received(&friends, "1:1=online;"));
    watch(&friends, one.id);
    WAIT_UNTIL(world, friends.calls == 3);
    assert_int_equal(presence_status(friends.watches[1].presence), MAP_OFFLINE);
    writer_reset(&friends.changes);
    open_device(world, &two, "1:1");
    set_status(&two, MAP_BUSY);
    WAIT_UNTIL(world, received(&friends, "1:1=busy;"));
    map_session_end(&two.session, false);
    WAIT_UNTIL(world, received(&friends, "1:1=online;"));
    client_connect(&entry, &world->fronts[0]);
    /* The name is the user's while the user is present. */
    assert_int_equal(client_update(world, &entry, "1:1", 1, "an entry of that name"), MAP_TAKEN);
    map_session_end(&one.session, false);
    WAIT_UNTIL(world, (WORLD_REDIS(world, "EXISTS", KEY("user:1:1")), !world->reply_integer));
    WAIT_UNTIL(world, received(&friends, "1:1=offline;"));
    assert_int_equal(client_update(world, &entry, "1:1", 1, "an entry of that name"), MAP_OK);
    WAIT_UNTIL(world, received(&friends, "1:1=online;"));
    struct watched_name *both = friends.watches[0].presence;
    presence_read_again(both);
    WAIT_UNTIL(world, is_quiet(&friends));
    assert_int_equal(presence_status(both), MAP_ONLINE);
    assert_int_equal(client_close(world, &entry, "1:1"), MAP_OK);
    WAIT_UNTIL(world, received(&friends, "1:1=offline;"));
    map_session_end(&entry.session, false);
    friends_destroy(&friends);
}

static void publish(struct world *world, const char *user, const char *epoch, unsigned seq,
                    const char *status)
{
    char channel[128], message[128];
    snprintf(channel, sizeof channel, KEY("presence:%s"), user);
    snprintf(message, sizeof message, "1 %s %u %s", epoch, seq, status);
    WORLD_REDIS(world, "PUBLISH", channel, message);
}

static void test_old_messages_change_nothing(void **state)
{
    struct world *world = *state;
    struct friends friends;
    char epoch[EPOCH_LENGTH + 1];
    friends_create(&friends, &world->fronts[0]);
    memcpy(epoch, world->fronts[0].map->spaces[0].partitions[0].epoch, sizeof epoch);
    WORLD_REDIS(world, "HSET", KEY("head"), "seq", "100");
    WORLD_REDIS(world, "HSET", KEY("user:1:1"), ".status", "online");
    struct watched_name *one = watch(&friends, "1:1");
    WAIT_UNTIL(world, received(&friends, "1:1:=online;"));
    publish(world, "1:1", epoch, 100, "busy"); /* the read was at 100 */
    publish(world, "1:1", epoch, 7, "busy");
    publish(world, "1:1", epoch, 0, "busy");
    publish(world, "1:1", epoch, 103, "busy");
    WAIT_UNTIL(world, received(&friends, "1:1=busy;"));
    assert_int_equal(friends.calls, 2);
    publish(world, "1:1", epoch, 102, "online");
    publish(world, "1:1", "too short", 200, "online");
    /* Of another epoch, so that it is read; Redis says what it is, at a seq that is old by now. */
    publish(world, "1:1", "0123456789abcdef", 900, "offline");
    publish(world, "1:1", epoch, 104, "offline");
    WAIT_UNTIL(world, received(&friends, "1:1=offline;"));
    WORLD_REDIS(world, "HSET", KEY("head"), "seq", "105");
    publish(world, "1:1", "0123456789abcdef", 901, "offline");
    WAIT_UNTIL(world, received(&friends, "1:1=online;"));
    assert_int_equal(presence_status(one), MAP_ONLINE);
    friends_destroy(&friends);
}

static void test_changes_during_a_lost_events_link_are_found(void **state)
{
    struct world *world = *state;
    struct friends friends;
    friends_create(&friends, &world->fronts[0]);
    become(world, "1:1", "online");
    struct watched_name *one = watch(&friends, "1:1");
    watch(&friends, "1:2");
    WAIT_UNTIL(world, friends.calls == 2);
    assert_true(received(&friends, "1:1:=online;1:2:=offline;"));
    WAIT_UNTIL(world, is_subscribed(one) && is_quiet(&friends));
    WORLD_REDIS(world, "CLIENT", "KILL", "TYPE", "pubsub");
    become(world, "1:1", "offline");
    become(world, "1:2", "busy");
    WAIT_UNTIL(world, friends.calls == 4);
    assert_int_equal(presence_status(one), MAP_OFFLINE);
    friends_destroy(&friends);
}

static void test_rereads_find_changes_without_a_message(void **state)
{
    struct world *world = *state;
    struct friends friends;
    world->fronts[0].map->running.presence_reread = 1000;
    friends_create(&friends, &world->fronts[0]);
    struct watched_name *one = watch(&friends, "1:1");
    WAIT_UNTIL(world, received(&friends, "1:1:=offline;"));
    WAIT_UNTIL(world, is_subscribed(one) && is_quiet(&friends));
    WORLD_REDIS(world, "HSET", KEY("user:1:1"), ".status", "busy"); /* no message */
    WAIT_UNTIL(world, received(&friends, "1:1=busy;"));
    friends_destroy(&friends);
}

/* Names watched while the command link is down are read once it is up, and so are all others. */
static void test_changes_during_a_lost_command_link_are_found(void **state)
{
    struct world *world = *state;
    struct friends friends;
    friends_create(&friends, &world->fronts[0]);
    become(world, "1:1", "online");
    struct watched_name *one = watch(&friends, "1:1");
    WAIT_UNTIL(world, received(&friends, "1:1:=online;"));
    WAIT_UNTIL(world, is_subscribed(one) && is_quiet(&friends));
    redis_link_reset(world->fronts[0].map->link, "a test");
    loop_iterate(world->loop, 0);
    watch(&friends, "1:2");
    become(world, "1:1", "offline");
    WAIT_UNTIL(world, friends.calls == 3);
    assert_int_equal(presence_status(one), MAP_OFFLINE);
    friends_destroy(&friends);
}

static void test_nobody_goes_offline_in_a_new_epoch_before_the_recovery_grace(void **state)
{
    struct world *world = *state;
    struct front *front = &world->fronts[0];
    struct friends friends;
    front->map->running.recovery_grace = 20000;
    friends_create(&friends, front);
    become(world, "1:1", "online");
    become(world, "1:2", "busy");
    become(world, "1:3", "online");
    struct watched_name *one = watch(&friends, "1:1");
    watch(&friends, "1:2");
    watch(&friends, "1:3");
    WAIT_UNTIL(world, friends.calls == 3);
    WAIT_UNTIL(world, is_subscribed(one) && is_quiet(&friends));
    writer_reset(&friends.changes);
    unsigned epochs = front->map->spaces[0].partitions[0].epochs;
    WORLD_REDIS(world, "FLUSHALL");
    WAIT_UNTIL(world, front->map->spaces[0].partitions[0].epochs > epochs);
    become(world, "1:2", "online"); /* put back, as another front-end would */
    WAIT_UNTIL(world, received(&friends, "1:2=online;"));
    become(world, "1:3", "online");
    become(world, "1:3", "busy");
    WAIT_UNTIL(world, received(&friends, "1:3=busy;"));
    WAIT_UNTIL(world, is_quiet(&friends));
    assert_int_equal(presence_status(one), MAP_ONLINE);
    assert_true(received(&friends, ""));
    WORLD_REDIS(world, "HSET", KEY("head"), "hold_until", "1");
    WAIT_UNTIL(world, received(&friends, "1:1=offline;"));
    friends_destroy(&friends);
}

/* Redis restarts with older data, in which users are listed who are known to be offline. */
static void test_nobody_offline_comes_online_by_old_data_of_a_new_epoch(void **state)
{
    struct world *world = *state;
    struct front *front = &world->fronts[0];
    struct friends friends;
    struct client client;
    front->map->running.recovery_grace = 20000;
    friends_create(&friends, front);
    struct watched_name *gone = watch(&friends, "1:1");
    watch(&friends, "1:2");
    WAIT_UNTIL(world, friends.calls == 2);
    WAIT_UNTIL(world, is_subscribed(gone) && is_quiet(&friends));
    writer_reset(&friends.changes);
    unsigned epochs = front->map->spaces[0].partitions[0].epochs;
    WORLD_REDIS(world, "HSET", KEY("user:1:1"), "old0001", "online", ".status", "online");
    WORLD_REDIS(world, "HSET", KEY("user:1:2"), "old0002", "online", ".status", "online");
    WORLD_REDIS(world, "HSET", KEY("head"), "run", "another");
    redis_link_reset(front->map->link, "a test");
    WAIT_UNTIL(world, front->map->spaces[0].partitions[0].epochs > epochs);
    WAIT_UNTIL(world, is_quiet(&friends));
    assert_true(received(&friends, ""));
    /* One of them logs in: that is no old data. */
    open_device(world, &client, "1:2");
    WAIT_UNTIL(world, received(&friends, "1:2=online;"));
    assert_int_equal(presence_status(gone), MAP_OFFLINE);
    /* What Redis still has after the recovery grace counts. */
    WORLD_REDIS(world, "HSET", KEY("head"), "hold_until", "1");
    WAIT_UNTIL(world, received(&friends, "1:1=online;"));
    map_session_end(&client.session, false);
    friends_destroy(&friends);
}

/* More names than one read takes; and unwatched ones are forgotten, also while they are read. */
static void test_many_names_are_read_in_portions(void **state)
{
    struct world *world = *state;
    struct friends friends;
    enum { MANY = 1700 };
    struct presence_watch *many = mem_zalloc(MANY, sizeof *many);
    friends_create(&friends, &world->fronts[0]);
    become(world, "3:1650", "busy");
    for (unsigned i = 0; i < MANY; i++) {
        char name[16];
        snprintf(name, sizeof name, "3:%u", i);
        presence_watch(friends.set, bytes_from_string(name), &many[i]);
    }
    WAIT_UNTIL(world, friends.calls == MANY);
    assert_int_equal(presence_status(many[1650].presence), MAP_BUSY);
    assert_int_equal(presence_status(many[1].presence), MAP_OFFLINE);
    presence_feature.link_up(presences_of(world->fronts[0].map)); /* all again */
    WAIT_UNTIL(world, friends.set->parts[0].reading > 0);
    for (unsigned i = 0; i < MANY; i++) {
        presence_unwatch(&many[i]);
    }
    loop_iterate(world->loop, 0);
    assert_int_equal(presence_set_count(friends.set), 0);
    WAIT_UNTIL(world, is_quiet(&friends));
    free(many);
    friends_destroy(&friends);
}

/* A name that is unwatched and watched again within one event-loop iteration is kept. */
static void test_a_name_watched_again_is_still_known(void **state)
{
    struct world *world = *state;
    struct friends friends;
    friends_create(&friends, &world->fronts[0]);
    become(world, "1:1", "online");
    struct watched_name *one = watch(&friends, "1:1");
    WAIT_UNTIL(world, received(&friends, "1:1:=online;"));
    presence_unwatch(&friends.watches[0]);
    friends.count = 0;
    struct watched_name *again = watch(&friends, "1:1");
    assert_ptr_equal(one, again);
    assert_true(presence_is_known(again));
    WAIT_UNTIL(world, is_subscribed(again) && is_quiet(&friends));
    become(world, "1:1", "busy");
    WAIT_UNTIL(world, received(&friends, "1:1=busy;"));
    presence_unwatch(&friends.watches[0]);
    friends.count = 0;
    loop_iterate(world->loop, 0);
    assert_int_equal(presence_set_count(friends.set), 0);
    become(world, "1:1", "offline");
    watch(&friends, "1:1");
    WAIT_UNTIL(world, received(&friends, "1:1:=offline;"));
    friends_destroy(&friends);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_one, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_a_name_is_read_and_then_followed),
        TEST(test_devices_and_entries_are_present),
        TEST(test_old_messages_change_nothing),
        TEST(test_changes_during_a_lost_events_link_are_found),
        TEST(test_rereads_find_changes_without_a_message),
        TEST(test_changes_during_a_lost_command_link_are_found),
        TEST(test_nobody_goes_offline_in_a_new_epoch_before_the_recovery_grace),
        TEST(test_nobody_offline_comes_online_by_old_data_of_a_new_epoch),
        TEST(test_many_names_are_read_in_portions),
        TEST(test_a_name_watched_again_is_still_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
