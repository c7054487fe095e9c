/*
 * Rooms: members and messages, and that all members of two front-ends receive all of it in
 * one order.
 */
#include "room/room_fixture.h"

#include "room/room_op_private.h"

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

static void test_users_come_and_go(void **state)
{
    struct hotel *hotel = *state;
    struct world *world = hotel->world;
    struct guest ann, bob, ann_again;
    guest_come(hotel, &ann, 0, "1:ann");
    guest_come(hotel, &bob, 1, "1:bob");
    guest_come(hotel, &ann_again, 1, "1:ann");
    guest_join(hotel, &ann, "lobby");
    assert_true(guest_received(&ann, "*1:ann;"));
    guest_join(hotel, &bob, "lobby");
    assert_true(guest_received(&bob, "*1:ann,1:bob;"));
    WAIT_UNTIL(world, guest_received(&ann, "+1:bob;"));
    guest_join(hotel, &ann_again, "lobby"); /* another device is no other user */
    assert_true(guest_received(&ann_again, "*1:ann,1:bob;"));
    guest_leave(&ann);
    guest_leave(&bob);
    WAIT_UNTIL(world, guest_received(&ann_again, "-1:bob;"));
    assert_true(guest_received(&ann, ""));
    assert_non_null(room_find(ann_again.service->rooms, BYTES_LITERAL("lobby")));
    assert_null(room_find(ann.service->rooms, BYTES_LITERAL("lobby")));
    guest_leave(&ann_again);
    WAIT_UNTIL(world, (WORLD_REDIS(world, "EXISTS", KEY("room:lobby")), !world->reply_integer));
    guest_go(&ann);
    guest_go(&bob);
    guest_go(&ann_again);
}

static void test_what_is_said_reaches_all_members(void **state)
{
    struct hotel *hotel = *state;
    struct world *world = hotel->world;
    struct guest ann, bob, cat;
    guest_come(hotel, &ann, 0, "1:ann");
    guest_come(hotel, &bob, 1, "1:bob");
    guest_come(hotel, &cat, 1, "1:cat");
    guest_join(hotel, &ann, "a room\nof any name");
    guest_join(hotel, &bob, "a room\nof any name");
    guest_join(hotel, &cat, "another");
    writer_reset(&ann.received);
    writer_reset(&bob.received);
    writer_reset(&cat.received);
    guest_say(&ann, "say x 1\nleave");
    WAIT_UNTIL(world, guest_received(&ann, "say x 1\nleave;"));
    WAIT_UNTIL(world, guest_received(&bob, "say x 1\nleave;"));
    WAIT_UNTIL(world, ann.oks == 1);
    guest_say(&bob, "");
    WAIT_UNTIL(world, guest_received(&ann, ";") && guest_received(&bob, ";"));
    assert_true(guest_received(&cat, ""));
    guest_go(&ann);
    guest_go(&bob);
    guest_go(&cat);
}

/* How many messages all of them have sent, when all are answered, as good; else 0. */
static unsigned all_are_answered(const struct guest *guests, size_t count)
{
    unsigned says = 0;
    for (size_t i = 0; i < count; i++) {
        if (guests[i].oks < guests[i].asked) {
            return 0;
        }
        says += guests[i].oks;
    }
    return says;
}

/* The last words are each said once. */
static bool ends_alike(const struct guest *one, const struct guest *other)
{
    size_t len = strlen("last 0;");
    return other->said.len >= len && !memcmp(one->said.data + one->said.len - len,
                                             other->said.data + other->said.len - len, len);
}

/* A member that joins while others send receives all messages since it joined, in the same order.
 */
static void test_all_receive_one_order(void **state)
{
    enum { GUESTS = 8, SAYS = 40 };
    struct hotel *hotel = *state;
    struct world *world = hotel->world;
    struct guest guests[GUESTS];
    for (size_t i = 0; i < GUESTS; i++) {
        static const char *const users[] = {"1:a", "1:b", "1:c", "1:d"};
        guest_come(hotel, &guests[i], i % 2, users[i % 4]);
    }
    guest_join(hotel, &guests[0], "lobby");
    guest_join(hotel, &guests[1], "lobby");
    for (unsigned round = 0; round < SAYS; round++) {
        if (round > 0 && round % 5 == 0 && round / 5 + 1 < GUESTS) {
            guest_ask(&guests[round / 5 + 1], "lobby");
        }
        for (size_t i = 0; i < GUESTS; i++) {
            char text[32];
            snprintf(text, sizeof text, "%zu.%u", i, round);
            if (guests[i].entered) {
                guest_say(&guests[i], text);
            }
        }
        loop_iterate(world->loop, 1);
    }
    for (size_t i = 0; i < GUESTS; i++) {
        WAIT_UNTIL(world, guests[i].entered);
    }
    for (size_t i = 0; i < GUESTS; i++) {
        char text[32];
        snprintf(text, sizeof text, "last %zu", i);
        guest_say(&guests[i], text);
    }
    WAIT_UNTIL(world, all_are_answered(guests, GUESTS));
    WAIT_UNTIL(world, guests[0].received_messages == all_are_answered(guests, GUESTS));
    for (size_t i = 1; i < GUESTS; i++) {
        WAIT_UNTIL(world, ends_alike(&guests[0], &guests[i]));
        struct bytes all = writer_bytes_written(&guests[0].said),
                     some = writer_bytes_written(&guests[i].said);
        assert_true(some.len > 0 && some.len <= all.len);
        assert_memory_equal(all.data + all.len - some.len, some.data, some.len);
        assert_int_equal(guests[i].lost, 0);
    }
    for (size_t i = 0; i < GUESTS; i++) {
        guest_go(&guests[i]);
    }
}

static void test_who_is_no_member_cannot_speak(void **state)
{
    struct hotel *hotel = *state;
    struct world *world = hotel->world;
    struct guest ann;
    guest_come(hotel, &ann, 0, "1:ann");
    guest_ask(&ann, "lobby");
    guest_say(&ann, "too early");
    assert_int_equal(ann.says, 0);
    WAIT_UNTIL(world, ann.says == 1);
    assert_int_equal(ann.say_result, MAP_MISSING);
    WAIT_UNTIL(world, ann.entered);
    assert_int_equal(ann.said.len, 0);
    guest_go(&ann);
}

/* Its answers come, and find nobody. */
static void test_a_former_member_receives_nothing(void **state)
{
    struct hotel *hotel = *state;
    struct world *world = hotel->world;
    struct guest ann, bob, cat;
    guest_come(hotel, &ann, 0, "1:ann");
    guest_come(hotel, &bob, 0, "1:bob");
    guest_come(hotel, &cat, 0, "1:cat");
    guest_join(hotel, &ann, "lobby");
    guest_say(&ann, "1");
    guest_leave(&ann);
    guest_ask(&ann, "other");
    guest_leave(&ann);
    guest_ask(&bob, "lobby"); /* and its session ends too */
    guest_go(&bob);
    guest_join(hotel, &cat, "lobby");
    WAIT_UNTIL(world, (WORLD_REDIS(world, "HGET", KEY("room:lobby"), ".members"),
                       !strcmp(world->reply, "1")));
    assert_int_equal(ann.answers, 0);
    assert_int_equal(ann.says, 0);
    WAIT_UNTIL(world, guest_received_last(&cat, "1:cat;"));
    guest_go(&ann);
    guest_go(&cat);
}

/* Left and joined again at once: it receives nothing from before, and everything from then on. */
static void test_a_guest_returns_at_once(void **state)
{
    struct hotel *hotel = *state;
    struct world *world = hotel->world;
    struct guest ann, bob;
    guest_come(hotel, &ann, 0, "1:ann");
    guest_come(hotel, &bob, 1, "1:bob");
    guest_join(hotel, &ann, "lobby");
    guest_join(hotel, &bob, "lobby");
    for (unsigned i = 0; i < 3; i++) {
        guest_say(&bob, "before");
        WAIT_UNTIL(world, bob.oks == i + 1);
        guest_leave(&ann);
        guest_join(hotel, &ann, "lobby");
        guest_say(&ann, "hello");
        WAIT_UNTIL(world, guest_received_last(&bob, "hello;"));
        WAIT_UNTIL(world, guest_received_last(&ann, "*1:ann,1:bob;hello;"));
    }
    assert_int_equal(ann.lost + bob.lost, 0);
    guest_go(&ann);
    guest_go(&bob);
}

static void on_joined_before(void *arg, enum map_result result, uint64_t version)
{
    *(bool *)arg = result == MAP_OK;
}

/* Its join was published before anybody here listened: it is not published again. */
static void test_who_is_a_member_already_enters(void **state)
{
    struct hotel *hotel = *state;
    struct world *world = hotel->world;
    struct guest ann, bob;
    bool joined = false;
    guest_come(hotel, &ann, 0, "1:ann");
    guest_come(hotel, &bob, 0, "1:bob");
    guest_join(hotel, &bob, "lobby");
    room_op_join(ann.client.session, BYTES_LITERAL("lobby"), bytes_from_string(ann.client.id),
                 BYTES_LITERAL("1:ann"), 1, false, on_joined_before, &joined);
    WAIT_UNTIL(world, joined && guest_received_last(&bob, "+1:ann;"));
    guest_join(hotel, &ann, "lobby");
    assert_true(guest_received(&ann, "*1:ann,1:bob;"));
    guest_say(&ann, "hello");
    WAIT_UNTIL(world, guest_received(&ann, "hello;") && guest_received_last(&bob, "+1:ann;hello;"));
    guest_go(&ann);
    guest_go(&bob);
}

/* Asking who is in a room that nobody here is in. */

struct asking {
    unsigned answers;
    bool known;
    char users[256];
};

static void on_users(void *arg, bool known, const struct bytes *users, size_t count)
{
    struct asking *asking = arg;
    asking->answers++;
    asking->known = known;
    asking->users[0] = 0;
    for (size_t i = 0; i < count; i++) {
        snprintf(asking->users + strlen(asking->users),
                 sizeof asking->users - strlen(asking->users), "%.*s;", (int)users[i].len,
                 (const char *)users[i].data);
    }
}

static void test_any_room_can_be_read(void **state)
{
    struct hotel *hotel = *state;
    struct world *world = hotel->world;
    struct guest ann, bob;
    struct asking asking = {0}, never = {0};
    guest_come(hotel, &ann, 0, "1:b");
    guest_come(hotel, &bob, 0, "1:a");
    guest_join(hotel, &ann, "lobby");
    guest_join(hotel, &bob, "lobby");
    struct room_set *rooms = hotel->services[1].rooms;
    room_read_users(rooms, BYTES_LITERAL("lobby"), on_users, &asking);
    struct room_users_read *taken_back =
        room_read_users(rooms, BYTES_LITERAL("lobby"), on_users, &never);
    room_read_cancel(&taken_back);
    assert_null(taken_back);
    WAIT_UNTIL(world, asking.answers == 1);
    assert_true(asking.known);
    assert_string_equal(asking.users, "1:a;1:b;");
    room_read_users(rooms, BYTES_LITERAL("nowhere"), on_users, &asking);
    WAIT_UNTIL(world, asking.answers == 2);
    assert_true(asking.known);
    assert_string_equal(asking.users, "");
    assert_int_equal(never.answers, 0);
    guest_go(&ann);
    guest_go(&bob);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_users_come_and_go),
        TEST(test_what_is_said_reaches_all_members),
        TEST(test_all_receive_one_order),
        TEST(test_who_is_no_member_cannot_speak),
        TEST(test_a_former_member_receives_nothing),
        TEST(test_a_guest_returns_at_once),
        TEST(test_who_is_a_member_already_enters),
        TEST(test_any_room_can_be_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
