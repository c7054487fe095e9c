/*
 * Rooms when something is lost: the link for messages, the link for commands, messages, the room,
 * all of Redis. Members receive that they may have missed something, and then the members.
 */
#include "room/room_fixture.h"

static int setup(void **state)
{
    *state = hotel_create();
    return 0;
}

static int teardown(void **state)
{
    hotel_destroy(*state);
    return 0;
}

static void test_a_lost_link_for_messages_is_notified(void **state)
{
    struct hotel *hotel = *state;
    struct world *world = hotel->world;
    struct guest ann, bob, cat;
    meet(hotel, &ann, &bob);
    guest_come(hotel, &cat, 1, "1:cat");
    guest_join(hotel, &cat, "lobby");
    WAIT_UNTIL(world, guest_received(&ann, "+1:cat;"));
    /* Ann's front-end alone is cut off, and misses that Bob leaves, and something said. */
    redis_subscriber_reset(world->fronts[0].map->subscriber, "a test");
    guest_leave(&bob);
    guest_say(&cat, "not received by ann");
    WAIT_UNTIL(world, ann.lost == 1);
    assert_true(guest_received(&ann, "!1:ann,1:cat;"));
    assert_int_equal(cat.lost, 0);
    guest_say(&cat, "hello");
    WAIT_UNTIL(world, guest_received(&ann, "hello;"));
    guest_go(&ann);
    guest_go(&bob);
    guest_go(&cat);
}

static void test_nothing_is_notified_when_nothing_was_missed(void **state)
{
    struct hotel *hotel = *state;
    struct world *world = hotel->world;
    struct guest ann, bob;
    meet(hotel, &ann, &bob);
    WORLD_REDIS(world, "CLIENT", "KILL", "TYPE", "pubsub");
    WAIT_UNTIL(world, !channel_is_subscribed(&lobby_of(&ann)->channel));
    WAIT_UNTIL(world, is_listed(&ann) && is_listed(&bob));
    talk(hotel, &ann, &bob);
    assert_int_equal(ann.lost + bob.lost, 0);
    guest_go(&ann);
    guest_go(&bob);
}

/* Links are killed again and again while all send: a member that misses something is notified, and
 * in the end all receive each other's messages. */
static void test_links_killed_during_a_game(void **state)
{
    struct hotel *hotel = *state;
    struct world *world = hotel->world;
    struct guest ann, bob;
    meet(hotel, &ann, &bob);
    for (unsigned i = 0; i < 60; i++) {
        char text[16];
        snprintf(text, sizeof text, "%u", i);
        guest_say(&ann, text);
        guest_say(&bob, text);
        if (i % 20 == 10) {
            WORLD_REDIS(world, "CLIENT", "KILL", "TYPE", "pubsub");
        }
        loop_iterate(world->loop, 2);
    }
    WAIT_UNTIL(world, ann.oks == 60 && bob.oks == 60);
    WAIT_UNTIL(world, channel_is_subscribed(&lobby_of(&ann)->channel) && is_listed(&ann));
    WAIT_UNTIL(world, channel_is_subscribed(&lobby_of(&bob)->channel) && is_listed(&bob));
    /* Either all was received, or a notice that something may be missing. */
    assert_true(ann.received_messages == 120 || ann.lost > 0);
    assert_true(bob.received_messages == 120 || bob.lost > 0);
    assert_true(ann.received_messages <= 120 && bob.received_messages <= 120);
    talk(hotel, &ann, &bob);
    size_t count;
    room_users(lobby_of(&ann), &count);
    assert_int_equal(count, 2);
    guest_go(&ann);
    guest_go(&bob);
}

static void publish(struct world *world, const struct guest *guest, uint64_t born, uint64_t seq,
                    const char *what)
{
    char *message = mem_format("1 %s %llu %llu %s", lobby_of(guest)->epoch,
                               (unsigned long long)born, (unsigned long long)seq, what);
    WORLD_REDIS(world, "PUBLISH", KEY("room:lobby"), message);
    free(message);
}

static void test_a_gap_is_notified(void **state)
{
    struct hotel *hotel = *state;
    struct world *world = hotel->world;
    struct guest ann, bob;
    meet(hotel, &ann, &bob);
    uint64_t born = lobby_of(&ann)->born;
    /* Two messages of which the first is never seen here. */
    WORLD_REDIS(world, "HINCRBY", KEY("room:lobby"), ".seq", "2");
    publish(world, &ann, born, (uint64_t)world->reply_integer, "say x\nsecond");
    WAIT_UNTIL(world, guest_received(&ann, "!1:ann,1:bob;second;"));
    WAIT_UNTIL(world, guest_received(&bob, "!1:ann,1:bob;second;"));
    talk(hotel, &ann, &bob);
    assert_int_equal(ann.lost + bob.lost, 2);
    guest_go(&ann);
    guest_go(&bob);
}

static void test_strange_messages_harm_nothing(void **state)
{
    static const char *const messages[] = {"",
                                           "1",
                                           "2 x",
                                           "1 0123456789abcdef 1 1 say x",
                                           "1 0123456789abcdef 1 1 join x 1",
                                           "1 0123456789abcdef 1 1 dance x 1 y",
                                           "1 0123456789abcdef 99999999999999999999 1 say x\n"};
    struct hotel *hotel = *state;
    struct world *world = hotel->world;
    struct guest ann, bob;
    meet(hotel, &ann, &bob);
    log_configure(LOG_ERROR + 1, LOG_FORMAT_LOGFMT);
    for (size_t i = 0; i < sizeof messages / sizeof *messages; i++) {
        WORLD_REDIS(world, "PUBLISH", KEY("room:lobby"), messages[i]);
    }
    uint64_t born = lobby_of(&ann)->born, seq = lobby_of(&ann)->seq;
    publish(world, &ann, born, seq, "say x\nold");
    publish(world, &ann, born > 1 ? born - 1 : 1, seq + 9, "say x\nof another birth");
    publish(world, &ann, born + 1, 1, "join x 1 1:cat");
    talk(hotel, &ann, &bob);
    assert_false(room_has_user(lobby_of(&ann), BYTES_LITERAL("1:cat")));
    assert_true(ann.lost + bob.lost == 0); /* what was read is what was known */
    guest_go(&ann);
    guest_go(&bob);
}

static void test_redis_comes_back_empty(void **state)
{
    struct hotel *hotel = *state;
    struct world *world = hotel->world;
    struct guest ann, bob;
    meet(hotel, &ann, &bob);
    WORLD_REDIS(world, "FLUSHALL");
    WAIT_UNTIL(world, ann.lost > 0 && bob.lost > 0);
    WAIT_UNTIL(world, room_has_user(lobby_of(&ann), BYTES_LITERAL("1:bob")));
    WAIT_UNTIL(world, room_has_user(lobby_of(&bob), BYTES_LITERAL("1:ann")));
    talk(hotel, &ann, &bob);
    WORLD_REDIS(world, "HGET", KEY("room:lobby"), ".members");
    assert_string_equal(world->reply, "2");
    guest_go(&ann);
    guest_go(&bob);
}

/* The room alone is gone: its sender is put back, and its message delivered. */
static void test_a_lost_room_is_made_anew_by_who_speaks(void **state)
{
    struct hotel *hotel = *state;
    struct world *world = hotel->world;
    struct guest ann, bob;
    meet(hotel, &ann, &bob);
    WORLD_REDIS(world, "DEL", KEY("room:lobby"));
    guest_say(&ann, "anybody?");
    WAIT_UNTIL(world, ann.says == 1);
    assert_int_equal(ann.say_result, MAP_OK);
    WAIT_UNTIL(world, guest_received_last(&ann, "anybody?;") || ann.lost > 0);
    /* Bob's front-end has learned of the other birth, and misses Bob in the list. */
    WAIT_UNTIL(world, bob.lost > 0);
    WAIT_UNTIL(world, room_has_user(lobby_of(&ann), BYTES_LITERAL("1:bob")));
    WAIT_UNTIL(world, room_has_user(lobby_of(&bob), BYTES_LITERAL("1:bob")));
    forget(&ann, &bob);
    talk(hotel, &ann, &bob);
    guest_go(&ann);
    guest_go(&bob);
}

static void test_the_link_for_commands_is_lost(void **state)
{
    struct hotel *hotel = *state;
    struct world *world = hotel->world;
    struct guest ann, bob;
    meet(hotel, &ann, &bob);
    redis_link_reset(world->fronts[0].map->link, "a test");
    redis_link_reset(world->fronts[1].map->link, "a test");
    loop_iterate(world->loop, 0);
    WAIT_UNTIL(world, map_is_ready(world->fronts[0].map, NULL));
    WAIT_UNTIL(world, map_is_ready(world->fronts[1].map, NULL));
    talk(hotel, &ann, &bob);
    assert_int_equal(ann.lost + bob.lost, 0);
    WORLD_REDIS(world, "HGET", KEY("room:lobby"), ".members");
    assert_string_equal(world->reply, "2");
    guest_go(&ann);
    guest_go(&bob);
}

/* Messages come while the list cannot be read; more of them than are kept. */
static void test_more_is_said_than_is_kept(void **state)
{
    struct hotel *hotel = *state;
    struct world *world = hotel->world;
    struct guest ann, bob;
    meet(hotel, &ann, &bob);
    world->fronts[0].map->running.room_max_buffered = 400;
    world->fronts[0].redis.backoff = world->fronts[0].redis.backoff_max = 400;
    redis_link_reset(world->fronts[0].map->link, "a test");
    redis_subscriber_reset(world->fronts[0].map->subscriber, "a test");
    guest_say(&bob, "missed");
    WAIT_UNTIL(world, bob.oks == 1);
    WAIT_UNTIL(world, channel_is_subscribed(&lobby_of(&ann)->channel));
    for (unsigned i = 0; i < 50; i++) {
        guest_say(&bob, "a rather long text, fifty times");
    }
    WAIT_UNTIL(world, bob.oks == 51);
    WAIT_UNTIL(world, ann.lost > 0 && is_listed(&ann));
    forget(&ann, &bob);
    talk(hotel, &ann, &bob);
    guest_go(&ann);
    guest_go(&bob);
}

static void test_without_redis_the_deadline_answers(void **state)
{
    struct hotel *hotel = *state;
    struct world *world = hotel->world;
    struct guest ann, bob;
    meet(hotel, &ann, &bob);
    struct guest cat, dan;
    guest_come(hotel, &cat, 0, "1:cat");
    guest_come(hotel, &dan, 0, "1:dan");
    world->fronts[0].redis.deadline = 200;
    kill(redis_embedded_pid(world->server), SIGSTOP);
    guest_ask(&cat, "lobby");
    guest_ask(&dan, "a room that nobody is in");
    guest_say(&ann, "hello?");
    WAIT_UNTIL(world, cat.answers == 1 && dan.answers == 1 && ann.says == 1);
    assert_int_equal(cat.result, MAP_DEADLINE);
    assert_int_equal(dan.result, MAP_DEADLINE);
    assert_int_equal(ann.say_result, MAP_DEADLINE);
    kill(redis_embedded_pid(world->server), SIGCONT);
    world->fronts[0].redis.deadline = 20000;
    WAIT_UNTIL(world, map_is_ready(world->fronts[0].map, NULL));
    /* Whatever Redis still got of it, they are not in the room in the end. */
    WAIT_UNTIL(world, (WORLD_REDIS(world, "HGET", KEY("room:lobby"), ".members"),
                       !strcmp(world->reply, "2")));
    ann.oks++;
    talk(hotel, &ann, &bob);
    assert_false(room_has_user(lobby_of(&bob), BYTES_LITERAL("1:cat")));
    guest_go(&cat);
    guest_go(&dan);
    guest_go(&ann);
    guest_go(&bob);
}

static void on_users(void *arg, bool known, const struct bytes *users, size_t count)
{
    *(int *)arg = known ? (int)count : -2;
}

static void test_a_room_cannot_be_read_without_redis(void **state)
{
    struct hotel *hotel = *state;
    struct world *world = hotel->world;
    int got = -1, later = -1, never = -1;
    struct room_set *rooms = hotel->services[0].rooms;
    world->fronts[0].redis.deadline = 200;
    kill(redis_embedded_pid(world->server), SIGSTOP);
    room_read_users(rooms, BYTES_LITERAL("lobby"), on_users, &got);
    struct room_users_read *taken_back =
        room_read_users(rooms, BYTES_LITERAL("lobby"), on_users, &never);
    loop_iterate(world->loop, 0);
    room_read_cancel(&taken_back);
    WAIT_UNTIL(world, got != -1);
    assert_int_equal(got, -2);
    /* Asked for while there is no link, and read when there is one. */
    world->fronts[0].redis.deadline = 20000;
    redis_link_reset(world->fronts[0].map->link, "a test");
    loop_iterate(world->loop, 0);
    room_read_users(rooms, BYTES_LITERAL("lobby"), on_users, &later);
    kill(redis_embedded_pid(world->server), SIGCONT);
    WAIT_UNTIL(world, later != -1);
    assert_int_equal(later, 0);
    assert_int_equal(never, -1);
}

/* The join waits for the channel, the reading for its reply: neither comes. */
static void test_joins_and_readings_end_at_their_deadline(void **state)
{
    struct hotel *hotel = *state;
    struct world *world = hotel->world;
    struct guest ann;
    int got = -1;
    guest_come(hotel, &ann, 0, "1:ann");
    world->fronts[0].redis.deadline = 3000;
    kill(redis_embedded_pid(world->server), SIGSTOP);
    loop_iterate(world->loop, 0);
    guest_ask(&ann, "lobby");
    uint64_t due = loop_now_ms(world->loop) + 3000;
    loop_skip(world->loop, 500);
    loop_iterate(world->loop, 0);
    room_read_users(hotel->services[0].rooms, BYTES_LITERAL("lobby"), on_users, &got);
    uint64_t read_due = loop_now_ms(world->loop) + 3000;
    ASSERT_TRUE_AT(world, due, ann.answers == 1);
    assert_int_equal(ann.result, MAP_DEADLINE);
    ASSERT_TRUE_AT(world, read_due, got != -1);
    assert_int_equal(got, -2);
    assert_int_equal(ann.answers, 1);
    kill(redis_embedded_pid(world->server), SIGCONT);
    world->fronts[0].redis.deadline = 20000;
    WAIT_UNTIL(world, map_is_ready(world->fronts[0].map, NULL));
    guest_go(&ann);
}

/* Sets of rooms go while answers are on their way. */
static void test_nothing_is_left_behind(void **state)
{
    struct hotel *hotel = *state;
    struct world *world = hotel->world;
    struct guest ann, bob;
    int never = -1;
    meet(hotel, &ann, &bob);
    guest_say(&ann, "x");
    guest_say(&bob, "x");
    room_read_users(hotel->services[0].rooms, BYTES_LITERAL("lobby"), on_users, &never);
    loop_iterate(world->loop, 0);
    guest_go(&ann);
    guest_leave(&bob);
    room_set_destroy(&hotel->services[0].rooms);
    room_set_destroy(&hotel->services[1].rooms);
    WAIT_UNTIL(world, (WORLD_REDIS(world, "EXISTS", KEY("room:lobby")), !world->reply_integer));
    assert_int_equal(never, -1);
    assert_int_equal(ann.says + bob.says, 0);
    map_session_end(&bob.client.session, false);
    writer_free(&bob.received);
    writer_free(&bob.said);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_a_lost_link_for_messages_is_notified),
        TEST(test_nothing_is_notified_when_nothing_was_missed),
        TEST(test_links_killed_during_a_game),
        TEST(test_a_gap_is_notified),
        TEST(test_strange_messages_harm_nothing),
        TEST(test_redis_comes_back_empty),
        TEST(test_a_lost_room_is_made_anew_by_who_speaks),
        TEST(test_the_link_for_commands_is_lost),
        TEST(test_more_is_said_than_is_kept),
        TEST(test_without_redis_the_deadline_answers),
        TEST(test_a_room_cannot_be_read_without_redis),
        TEST(test_joins_and_readings_end_at_their_deadline),
        TEST(test_nothing_is_left_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
