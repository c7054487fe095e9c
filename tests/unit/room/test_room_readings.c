/*
 * Readings of rooms whose marks do not come, and members that are taken out and join again: what
 * was missed is notified to those who may have missed it, and nobody waits for ever.
 */
#include "room/room_fixture.h"

#include "metrics/metrics.h"
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

/* Somebody else has taken the member out; it is here, and so comes back. What was said meanwhile
 * was not for it: it alone is notified of a loss. */
static void test_a_member_reported_as_gone_comes_back(void **state)
{
    struct hotel *hotel = *state;
    struct world *world = hotel->world;
    struct guest ann, bob, cat;
    meet(hotel, &ann, &bob);
    guest_come(hotel, &cat, 0, "1:cat");
    guest_join(hotel, &cat, "lobby");
    room_op_leave(ann.client.space, NULL, BYTES_LITERAL("lobby"), bytes_from_string(ann.client.id),
                  INT64_MAX, NULL, NULL);
    WAIT_UNTIL(world, guest_received(&bob, "+1:cat;-1:ann;+1:ann;") ||
                          guest_received_last(&bob, "+1:ann;"));
    WAIT_UNTIL(world, guest_received_last(&ann, "!1:ann,1:bob,1:cat;"));
    assert_int_equal(ann.lost, 1);
    assert_int_equal(bob.lost + cat.lost, 0);
    forget(&ann, &bob);
    talk(hotel, &ann, &bob);
    assert_int_equal(ann.lost, 1);
    guest_go(&ann);
    guest_go(&bob);
    guest_go(&cat);
}

/* It speaks before its front-end has seen that it is no member: it is put back, its message
 * delivered, and it is notified. */
static void test_an_evicted_member_that_publishes_is_notified_of_a_loss(void **state)
{
    struct hotel *hotel = *state;
    struct world *world = hotel->world;
    struct guest ann, bob;
    meet(hotel, &ann, &bob);
    room_op_leave(ann.client.space, NULL, BYTES_LITERAL("lobby"), bytes_from_string(ann.client.id),
                  INT64_MAX, NULL, NULL);
    guest_say(&bob, "not for ann");
    guest_say(&ann, "here");
    WAIT_UNTIL(world, ann.oks == 1 && bob.oks == 1);
    WAIT_UNTIL(world, guest_received_last(&bob, "here;") && guest_received_last(&ann, "here;"));
    assert_int_equal(ann.lost, 1);
    assert_int_equal(bob.lost, 0);
    guest_go(&ann);
    guest_go(&bob);
}

/* Begins a reading whose mark goes astray. */
static void read_without_a_mark(const struct guest *guest)
{
    room_read_start(lobby_of(guest));
    lobby_of(guest)->reads++;
}

static void test_a_reading_without_its_mark_is_begun_again(void **state)
{
    struct hotel *hotel = *state;
    struct world *world = hotel->world;
    struct guest ann, bob, cat;
    meet(hotel, &ann, &bob);
    world->fronts[0].map->running.room_read_timeout = 100;
    int64_t before = metrics_get(METRIC_ROOM_REREADS);
    read_without_a_mark(&ann);
    guest_say(&bob, "meanwhile");
    guest_come(hotel, &cat, 0, "1:cat");
    guest_ask(&cat, "lobby");
    WAIT_UNTIL(world, cat.answers == 1);
    assert_int_equal(cat.result, MAP_OK);
    WAIT_UNTIL(world, guest_received(&ann, "meanwhile;+1:cat;"));
    assert_int_equal(metrics_get(METRIC_ROOM_REREADS), before + 1);
    assert_int_equal(ann.lost + bob.lost + cat.lost, 0);
    forget(&ann, &bob);
    talk(hotel, &ann, &bob);
    guest_go(&ann);
    guest_go(&bob);
    guest_go(&cat);
}

/* A new link begins it at once. */
static void test_a_reading_without_its_mark_is_begun_again_on_a_new_link(void **state)
{
    struct hotel *hotel = *state;
    struct world *world = hotel->world;
    struct guest ann, bob;
    meet(hotel, &ann, &bob);
    world->fronts[0].map->running.room_read_timeout = 60000;
    read_without_a_mark(&ann);
    WAIT_UNTIL(world, lobby_of(&ann)->list.len > 0);
    redis_link_reset(world->fronts[0].map->link, "a test");
    WAIT_UNTIL(world, is_listed(&ann));
    talk(hotel, &ann, &bob);
    assert_int_equal(ann.lost + bob.lost, 0);
    guest_go(&ann);
    guest_go(&bob);
}

/* Nothing of the room arrives although the link is there: members are notified after a while,
 * joining is answered by its deadline, and all of it comes right with the channel. */
static void test_a_room_whose_channel_is_silent(void **state)
{
    struct hotel *hotel = *state;
    struct world *world = hotel->world;
    struct redis_subscriber *subscriber = world->fronts[0].map->subscriber;
    struct guest ann, bob, cat;
    meet(hotel, &ann, &bob);
    world->fronts[0].map->running.room_read_timeout = 100;
    guest_come(hotel, &cat, 0, "1:cat");
    world->fronts[0].redis.deadline = 300;
    redis_unsubscribe(subscriber, BYTES_LITERAL(KEY("room:lobby")));
    loop_iterate(world->loop, 0);
    guest_say(&bob, "not received");
    room_read_start(lobby_of(&ann));
    guest_ask(&cat, "lobby");
    WAIT_UNTIL(world, cat.answers == 1);
    assert_int_equal(cat.result, MAP_DEADLINE);
    WAIT_UNTIL(world, ann.lost == 1);
    assert_true(lobby_of(&ann)->unmarked >= 3);
    redis_subscribe(subscriber, BYTES_LITERAL(KEY("room:lobby")));
    WAIT_UNTIL(world, is_listed(&ann));
    assert_int_equal(ann.lost, 2); /* now it is certain */
    world->fronts[0].redis.deadline = 20000;
    forget(&ann, &bob);
    talk(hotel, &ann, &bob);
    assert_int_equal(ann.lost, 2);
    guest_go(&ann);
    guest_go(&bob);
    guest_go(&cat);
}

/* Redis accepts a joining whose message is lost: the list of the room shows the member. */
static void test_a_joining_without_its_message_is_found_in_the_list(void **state)
{
    struct hotel *hotel = *state;
    struct world *world = hotel->world;
    struct redis_subscriber *subscriber = world->fronts[0].map->subscriber;
    struct guest ann, bob, cat;
    meet(hotel, &ann, &bob);
    guest_come(hotel, &cat, 0, "1:cat");
    redis_unsubscribe(subscriber, BYTES_LITERAL(KEY("room:lobby")));
    loop_iterate(world->loop, 0);
    guest_ask(&cat, "lobby");
    const struct member *member = list_entry(cat.member, struct member, public);
    WAIT_UNTIL(world, member->confirmed);
    assert_true(is_listed(&ann));
    ASSERT_TRUE_AT(world, loop_pending_due_ms(&member->check), !is_listed(&ann));
    redis_subscribe(subscriber, BYTES_LITERAL(KEY("room:lobby")));
    WAIT_UNTIL(world, cat.answers == 1);
    assert_int_equal(cat.result, MAP_OK);
    assert_int_equal(cat.entered, 1);
    guest_go(&ann);
    guest_go(&bob);
    guest_go(&cat);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_a_member_reported_as_gone_comes_back),
        TEST(test_an_evicted_member_that_publishes_is_notified_of_a_loss),
        TEST(test_a_reading_without_its_mark_is_begun_again),
        TEST(test_a_reading_without_its_mark_is_begun_again_on_a_new_link),
        TEST(test_a_room_whose_channel_is_silent),
        TEST(test_a_joining_without_its_message_is_found_in_the_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
