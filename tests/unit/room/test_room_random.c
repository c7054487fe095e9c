/*
 * Rooms under everything at once: guests of two front-ends come, talk and go while links are lost
 * and Redis is emptied. What two of them receive, they receive in the same order, nothing twice;
 * and in the end each list shows the members.
 */
#include "room/room_fixture.h"

enum { GUESTS = 10, STEPS = 600 };

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

static unsigned seed_state;

static unsigned below(unsigned bound)
{
    seed_state = seed_state * 1103515245 + 12345;
    return (seed_state >> 16) % bound;
}

/* The place of a message in what was said; SIZE_MAX when it was not received. */
static size_t place_of(const struct guest *guest, struct bytes text)
{
    struct cursor cursor = cursor_over(writer_bytes_written(&guest->said));
    size_t place = 0;
    while (cursor_left(&cursor) > 0) {
        if (bytes_equal(cursor_until(&cursor, ';'), text)) {
            return place;
        }
        place++;
    }
    return SIZE_MAX;
}

/* Both met in one room after another: what both received has one order, and each message is there
 * once. */
static void compare(const struct guest *one, const struct guest *other)
{
    struct cursor cursor = cursor_over(writer_bytes_written(&one->said));
    size_t place = 0, last = 0;
    bool any = false;
    while (cursor_left(&cursor) > 0) {
        struct bytes text = cursor_until(&cursor, ';');
        assert_int_equal(place_of(one, text), place++);
        size_t there = place_of(other, text);
        if (there == SIZE_MAX) {
            continue;
        }
        assert_true(!any || there > last);
        last = there;
        any = true;
    }
}

static void wait_for_answers(struct world *world, const struct guest *guests)
{
    for (size_t i = 0; i < GUESTS; i++) {
        WAIT_UNTIL(world, map_session_pending(guests[i].client.session) == 0);
    }
}

static void act(struct hotel *hotel, struct guest *guests, unsigned step)
{
    struct guest *guest = &guests[below(GUESTS)];
    unsigned what = below(100);
    char text[32];
    snprintf(text, sizeof text, "%u", step);
    if (!guest->member) {
        guest_ask(guest, "lobby");
    } else if (what < 10) {
        guest_leave(guest);
    } else if (guest->member->active) {
        guest_say(guest, text);
    }
    if (step % 100 == 40) {
        redis_subscriber_reset(hotel->world->fronts[below(2)].map->subscriber, "a test");
    }
    if (step % 100 == 70) {
        redis_link_reset(hotel->world->fronts[below(2)].map->link, "a test");
    }
    /* With nothing under way: what was said, and its answer lost, would be said again by who cannot
     * know that it had been. */
    if (step % 300 == 299) {
        wait_for_answers(hotel->world, guests);
        WORLD_REDIS(hotel->world, "FLUSHALL");
    }
    if (below(3) == 0) {
        loop_iterate(hotel->world->loop, 2);
    }
}

static bool shows_all(const struct guest *guests, const struct guest *shown_to)
{
    const struct room *room = shown_to->member->room;
    size_t users = 0, shown;
    for (size_t i = 0; i < GUESTS; i++) {
        if (room_has_user(room, bytes_from_string(guests[i].user)) != (guests[i].member != NULL)) {
            return false;
        }
        users += guests[i].member != NULL;
    }
    room_users(shown_to->member->room, &shown);
    return shown == users;
}

static bool all_is_right(struct guest *guests)
{
    for (size_t i = 0; i < GUESTS; i++) {
        if (guests[i].member && (!guests[i].member->active || !shows_all(guests, &guests[i]))) {
            return false;
        }
    }
    return true;
}

static void test_guests_receive_one_order_whatever_happens(void **state)
{
    static const char *const users[GUESTS] = {"1:a", "1:b", "1:c", "1:d", "1:e",
                                              "1:f", "1:g", "1:h", "1:i", "1:j"};
    struct hotel *hotel = *state;
    struct world *world = hotel->world;
    struct guest guests[GUESTS];
    seed_state = (unsigned)clock_wall_us();
    print_message("seed %u\n", seed_state);
    for (size_t i = 0; i < GUESTS; i++) {
        guest_come(hotel, &guests[i], i % 2, users[i]);
    }
    for (unsigned step = 0; step < STEPS; step++) {
        act(hotel, guests, step);
    }
    WAIT_UNTIL(world, map_is_ready(world->fronts[0].map, NULL) &&
                          map_is_ready(world->fronts[1].map, NULL));
    wait_for_answers(world, guests);
    for (size_t i = 0; i < GUESTS; i++) {
        if (!guests[i].member) {
            guest_ask(&guests[i], "lobby");
        }
    }
    WAIT_UNTIL(world, all_is_right(guests));
    guest_say(&guests[0], "the end");
    for (size_t i = 0; i < GUESTS; i++) {
        WAIT_UNTIL(world, guest_received_last(&guests[i], "the end;"));
    }
    for (size_t i = 0; i < GUESTS; i++) {
        for (size_t j = 0; j < GUESTS; j++) {
            compare(&guests[i], &guests[j]);
        }
    }
    WAIT_UNTIL(world, !strcmp(WORLD_REDIS(world, "HGET", KEY("room:lobby"), ".members"), "10"));
    for (size_t i = 0; i < GUESTS; i++) {
        guest_go(&guests[i]);
    }
    WAIT_UNTIL(world, (WORLD_REDIS(world, "EXISTS", KEY("room:lobby")), !world->reply_integer));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_guests_receive_one_order_whatever_happens, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
