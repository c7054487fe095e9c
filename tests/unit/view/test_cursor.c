/*
 * Cursors: one list ordered by change, each entry met once, in its newest state; tombstones stay
 * bounded.
 */
#include "view/view_fixture.h"

static unsigned walk(struct map_cursor *cursor)
{
    unsigned count = 0;
    while (map_cursor_next(cursor)) {
        count++;
    }
    return count;
}

static void test_a_cursor_meets_each_entry_once(void **state)
{
    struct world *world = *state;
    struct observer observer;
    struct client client;
    struct map_cursor cursor = {0};
    observer_watch(world, &observer, &world->fronts[1]);
    open_entries(world, &client, &observer, 100);
    map_cursor_begin(&cursor, observer.view, MAP_CURSOR_OLDEST);
    assert_int_equal(walk(&cursor), 100);
    assert_int_equal(walk(&cursor), 0);
    /* While it waits, two entries change many times: they are met once each, newest. */
    for (unsigned i = 2; i <= 50; i++) {
        client_send_update(&client, "e7", MAP_VERSION_ABSOLUTE, i, "seven");
        client_send_update(&client, "e9", MAP_VERSION_ABSOLUTE, i, "nine");
    }
    client_update(world, &client, "e9", 51, "last");
    WAIT_UNTIL(world, observer_shows(&observer, "e9", "last"));
    struct map_entry *first = map_cursor_next(&cursor), *second = map_cursor_next(&cursor);
    assert_true(bytes_equal(map_entry_id(first), BYTES_LITERAL("e7")));
    assert_int_equal(map_entry_version(first), 50);
    assert_true(bytes_equal(map_entry_id(second), BYTES_LITERAL("e9")));
    assert_true(bytes_equal(map_entry_state(second), BYTES_LITERAL("last")));
    assert_null(map_cursor_next(&cursor));
    map_cursor_end(&cursor);
    map_session_end(&client.session, true);
    map_unwatch(&observer.watcher);
}

static void test_a_cursor_counts_closes_and_is_lost_after_too_many(void **state)
{
    struct world *world = *state;
    struct observer observer;
    struct client client;
    struct map_cursor cursor = {0}, other = {0};
    observer_watch(world, &observer, &world->fronts[1]);
    open_entries(world, &client, &observer, 1200);
    map_cursor_begin(&cursor, observer.view, MAP_CURSOR_NEWEST);
    map_cursor_begin(&other, observer.view, MAP_CURSOR_OLDEST);
    assert_int_equal(walk(&other), 1200);
    client_close(world, &client, "e0");
    WAIT_UNTIL(world, observer.closed == 1);
    assert_null(map_cursor_next(&cursor));
    assert_int_equal(cursor.closed, 1);
    assert_false(cursor.lost);
    for (unsigned i = 1; i < 1200; i++) {
        char id[16];
        snprintf(id, sizeof id, "e%u", i);
        map_session_close_entry(client.session, bytes_from_string(id), MAP_ADOPT_OFF, client_done,
                                &client);
    }
    WAIT_UNTIL(world, map_view_count(observer.view) == 0);
    assert_true(other.lost);
    assert_null(map_cursor_next(&other));
    assert_true(observer.view->tombstone_count <= 1200);
    map_cursor_end(&cursor);
    map_cursor_end(&other);
    assert_int_equal(observer.view->tombstone_count, 0);
    map_session_end(&client.session, true);
    map_unwatch(&observer.watcher);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_cursor_meets_each_entry_once),
        TEST(test_a_cursor_counts_closes_and_is_lost_after_too_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
