/*
 * room_op and apply_rooms: what operations on rooms do in Redis, and what is published of them:
 * asked for one by one, without the rooms that front-ends keep of their members.
 */
#include "map/fixture.h"

#include "room/room_op_private.h"

/* What arrived on the room's channel, a line each. */
struct ear {
    struct redis_subscriber *subscriber;
    char published[65536];
    unsigned count;
    bool ready;
};

static struct ear ear;

static void on_subscribed(void *arg, struct bytes channel)
{
    ear.ready = true;
}

static void on_message(void *arg, struct bytes channel, struct bytes message)
{
    struct bytes rest = message;
    size_t len = strlen(ear.published);
    assert_int_equal(bytes_decimal(bytes_next_word(&rest)), 1);
    assert_int_equal(bytes_next_word(&rest).len, EPOCH_LENGTH);
    snprintf(ear.published + len, sizeof ear.published - len, "%.*s|", (int)rest.len,
             (const char *)rest.data);
    ear.count++;
}

static const struct redis_subscriber_callbacks ear_callbacks = {.subscribed = on_subscribed,
                                                                .message = on_message};

static void listen_to(struct world *world, const char *channel)
{
    memset(&ear, 0, sizeof ear);
    ear.subscriber = redis_subscriber_create(world->loop, "ear", &world->link_target,
                                             &world->link_settings, &ear_callbacks, NULL);
    redis_subscribe(ear.subscriber, bytes_from_string(channel));
    WAIT_UNTIL(world, ear.ready);
}

static void expect_published(struct world *world, unsigned count, const char *published)
{
    WAIT_UNTIL(world, ear.count >= count);
    assert_string_equal(ear.published, published);
}

static struct world *create_world(const char *sweep, const char *lease)
{
    struct world *world = world_create();
    for (size_t i = 0; i < 2; i++) {
        struct front *front = &world->fronts[world->count++];
        front_prepare(world, front);
        front_set(front, sweep);
        front_set(front, lease);
        front_set(front, "map.recovery_grace=0s");
        front_set(front, "room.max_members=3");
        front_start(world, front);
    }
    return world;
}

/* So slow sweeps that none comes: members without a room here would be taken out. */
static int setup(void **state)
{
    *state = create_world("map.sweep=20s", "map.lease=60s");
    listen_to(*state, "tracker:{main/1/0}:room:arena");
    return 0;
}

static int setup_fast(void **state)
{
    *state = create_world("map.sweep=200ms", "map.lease=900ms");
    listen_to(*state, "tracker:{main/1/0}:room:arena");
    return 0;
}

static int teardown(void **state)
{
    redis_subscriber_destroy(&ear.subscriber);
    world_destroy(*state);
    return 0;
}

#define ROOM     BYTES_LITERAL("arena")
#define ROOM_KEY "tracker:{main/1/0}:room:arena"

static enum map_result join(struct world *world, struct client *client, const char *id,
                            const char *user)
{
    unsigned answers = client->answers;
    room_op_join(client->session, ROOM, bytes_from_string(id), bytes_from_string(user), 0, false,
                 client_done, client);
    WAIT_UNTIL(world, client->answers > answers);
    return client->result;
}

static enum map_result leave(struct world *world, struct client *client, const char *id)
{
    unsigned answers = client->answers;
    room_op_leave(client->space, client->session, ROOM, bytes_from_string(id), INT64_MAX,
                  client_done, client);
    WAIT_UNTIL(world, client->answers > answers);
    return client->result;
}

static enum map_result say(struct world *world, struct client *client, const char *id,
                           uint64_t number, const char *message)
{
    unsigned answers = client->answers;
    room_op_publish(client->session, ROOM, bytes_from_string(id), number,
                    bytes_from_string(message), client_done, client);
    WAIT_UNTIL(world, client->answers > answers);
    return client->result;
}

static void test_members_come_speak_and_go(void **state)
{
    struct world *world = *state;
    struct client one, two;
    client_connect(&one, &world->fronts[0]);
    client_connect(&two, &world->fronts[1]);
    assert_int_equal(join(world, &one, "a", "1:x"), MAP_OK);
    assert_int_equal(one.version, 1);
    assert_int_equal(join(world, &two, "b", "1:x"), MAP_OK);
    assert_int_equal(join(world, &two, "c", "1:y"), MAP_OK);
    assert_int_equal(say(world, &two, "b", 1, "hello\nthere"), MAP_OK);
    assert_string_equal(WORLD_REDIS(world, "HGET", ROOM_KEY, ".members"), "3");
    assert_string_equal(WORLD_REDIS(world, "HGET", ROOM_KEY, "u:1:x"), "2");
    assert_int_equal(leave(world, &one, "a"), MAP_OK);
    assert_int_equal(leave(world, &two, "b"), MAP_OK);
    assert_int_equal(leave(world, &two, "c"), MAP_OK);
    expect_published(world, 7,
                     "1 1 join a 1 1:x|1 2 join b 2 1:x|1 3 join c 1 1:y|1 4 say b\nhello\nthere|"
                     "1 5 leave a 1 1:x|1 6 leave b 0 1:x|1 7 leave c 0 1:y|");
    WORLD_REDIS(world, "EXISTS", ROOM_KEY);
    assert_int_equal(world->reply_integer, 0);
    char *index = mem_format("tracker:{main/1/0}:members:%s", map_node_id(world->fronts[1].map));
    WORLD_REDIS(world, "EXISTS", index);
    assert_int_equal(world->reply_integer, 0);
    free(index);
    map_session_end(&one.session, false);
    map_session_end(&two.session, false);
}

static void test_a_room_that_begins_again_is_another(void **state)
{
    struct world *world = *state;
    struct client one;
    client_connect(&one, &world->fronts[0]);
    assert_int_equal(join(world, &one, "a", "1:x"), MAP_OK);
    assert_int_equal(leave(world, &one, "a"), MAP_OK);
    assert_int_equal(join(world, &one, "a", "1:x"), MAP_OK);
    expect_published(world, 3, "1 1 join a 1 1:x|1 2 leave a 0 1:x|2 1 join a 1 1:x|");
    map_session_end(&one.session, false);
}

static void test_what_comes_twice_is_published_once(void **state)
{
    struct world *world = *state;
    struct client one;
    client_connect(&one, &world->fronts[0]);
    assert_int_equal(join(world, &one, "a", "1:x"), MAP_OK);
    assert_int_equal(say(world, &one, "a", 5, "five"), MAP_OK);
    assert_int_equal(join(world, &one, "a", "1:x"), MAP_OK);
    assert_int_equal(say(world, &one, "a", 5, "five"), MAP_OK);
    assert_int_equal(say(world, &one, "a", 4, "four"), MAP_OK);
    assert_int_equal(say(world, &one, "a", 10, "ten"), MAP_OK);
    expect_published(world, 3, "1 1 join a 1 1:x|1 2 say a\nfive|1 3 say a\nten|");
    map_session_end(&one.session, false);
}

static void ask_leave(struct client *client, uint64_t number)
{
    room_op_leave(client->space, client->session, ROOM, BYTES_LITERAL("a"), number, client_done,
                  client);
}

/* A leaving whose answer was lost is sent again, and may come behind a joining that it preceded. */
static void test_a_leaving_does_not_undo_a_later_joining(void **state)
{
    struct world *world = *state;
    struct client one;
    client_connect(&one, &world->fronts[0]);
    assert_int_equal(join(world, &one, "a", "1:x"), MAP_OK);
    ask_leave(&one, 2);
    room_op_join(one.session, ROOM, BYTES_LITERAL("a"), BYTES_LITERAL("1:x"), 3, false, client_done,
                 &one);
    ask_leave(&one, 2);
    WAIT_UNTIL(world, one.answers == 4);
    assert_int_equal(one.result, MAP_MISSING);
    assert_int_equal(say(world, &one, "a", 3, "old"), MAP_OK);
    assert_int_equal(say(world, &one, "a", 4, "new"), MAP_OK);
    ask_leave(&one, 5);
    WAIT_UNTIL(world, one.answers == 7);
    assert_int_equal(one.result, MAP_OK);
    expect_published(world, 5,
                     "1 1 join a 1 1:x|1 2 leave a 0 1:x|2 1 join a 1 1:x|2 2 say a\nnew|"
                     "2 3 leave a 0 1:x|");
    map_session_end(&one.session, false);
}

static void test_only_members_speak_and_leave(void **state)
{
    struct world *world = *state;
    struct client one, two;
    client_connect(&one, &world->fronts[0]);
    client_connect(&two, &world->fronts[1]);
    assert_int_equal(say(world, &one, "a", 1, "x"), MAP_MISSING);
    assert_int_equal(leave(world, &one, "a"), MAP_MISSING);
    assert_int_equal(join(world, &one, "a", "1:x"), MAP_OK);
    /* Another front-end's. */
    assert_int_equal(say(world, &two, "a", 1, "x"), MAP_MISSING);
    assert_int_equal(leave(world, &two, "a"), MAP_MISSING);
    assert_int_equal(say(world, &one, "b", 1, "x"), MAP_MISSING);
    assert_int_equal(say(world, &one, "a", 1, "mine"), MAP_OK);
    expect_published(world, 2, "1 1 join a 1 1:x|1 2 say a\nmine|");
    map_session_end(&one.session, false);
    map_session_end(&two.session, false);
}

static void test_a_full_room_takes_no_more(void **state)
{
    struct world *world = *state;
    struct client one;
    client_connect(&one, &world->fronts[0]);
    assert_int_equal(join(world, &one, "a", "1:x"), MAP_OK);
    assert_int_equal(join(world, &one, "b", "1:x"), MAP_OK);
    assert_int_equal(join(world, &one, "c", "1:x"), MAP_OK);
    assert_int_equal(join(world, &one, "d", "1:x"), MAP_LIMIT);
    assert_int_equal(join(world, &one, "c", "1:x"), MAP_OK);
    assert_string_equal(WORLD_REDIS(world, "HGET", ROOM_KEY, ".members"), "3");
    map_session_end(&one.session, false);
}

static void test_a_key_of_another_type_is_refused(void **state)
{
    struct world *world = *state;
    struct client one;
    client_connect(&one, &world->fronts[0]);
    WORLD_REDIS(world, "SET", ROOM_KEY, "x");
    assert_int_equal(join(world, &one, "a", "1:x"), MAP_REFUSED);
    assert_int_equal(say(world, &one, "a", 1, "x"), MAP_REFUSED);
    map_session_end(&one.session, false);
}

static void test_a_lost_script_cache_changes_nothing(void **state)
{
    struct world *world = *state;
    struct client one;
    client_connect(&one, &world->fronts[0]);
    assert_int_equal(join(world, &one, "a", "1:x"), MAP_OK);
    WORLD_REDIS(world, "SCRIPT", "FLUSH");
    unsigned answers = one.answers;
    for (uint64_t i = 1; i <= 20; i++) {
        room_op_publish(one.session, ROOM, BYTES_LITERAL("a"), i, BYTES_LITERAL("x"), client_done,
                        &one);
        loop_iterate(world->loop, 0);
    }
    WAIT_UNTIL(world, one.answers == answers + 20);
    WAIT_UNTIL(world, ear.count >= 21);
    assert_string_equal(WORLD_REDIS(world, "HGET", ROOM_KEY, ".seq"), "21");
    map_session_end(&one.session, false);
}

static void test_a_dead_front_ends_members_leave(void **state)
{
    struct world *world = *state;
    struct client one;
    client_connect(&one, &world->fronts[0]);
    assert_int_equal(join(world, &one, "a", "1:x"), MAP_OK);
    assert_int_equal(join(world, &one, "b", "1:y"), MAP_OK);
    front_idle_ms(&world->fronts[0]);
    WAIT_UNTIL(world, ear.count >= 4);
    assert_non_null(strstr(ear.published, "leave a 0 1:x|"));
    assert_non_null(strstr(ear.published, "leave b 0 1:y|"));
    const char *nodes = "tracker:{main/1/0}:nodes";
    WAIT_UNTIL(world, (WORLD_REDIS(world, "ZCARD", nodes), world->reply_integer == 1));
    map_session_end(&one.session, false);
}

static void test_what_nobody_here_has_is_taken_out(void **state)
{
    struct world *world = *state;
    struct client one;
    client_connect(&one, &world->fronts[0]);
    assert_int_equal(join(world, &one, "a", "1:x"), MAP_OK);
    WAIT_UNTIL(world, ear.count >= 2);
    expect_published(world, 2, "1 1 join a 1 1:x|1 2 leave a 0 1:x|");
    map_session_end(&one.session, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_members_come_speak_and_go, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_room_that_begins_again_is_another, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_comes_twice_is_published_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_leaving_does_not_undo_a_later_joining, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_only_members_speak_and_leave, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_full_room_takes_no_more, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_key_of_another_type_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_lost_script_cache_changes_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_dead_front_ends_members_leave, setup_fast, teardown),
        cmocka_unit_test_setup_teardown(test_what_nobody_here_has_is_taken_out, setup_fast,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
