/*
 * What events and snapshots do to the contents: their order, partial entries, silent changes, and
 * the sorted list.
 */
#include "view/view_fixture.h"

static void test_sorted_entries_are_in_byte_order(void **state)
{
    struct world *world = *state;
    struct observer observer;
    struct client client;
    size_t count;
    observer_watch(world, &observer, &world->fronts[1]);
    open_entries(world, &client, &observer, 50);
    struct map_entry *const *sorted = map_view_sorted(observer.view, &count);
    assert_int_equal(count, 50);
    for (size_t i = 1; i < count; i++)
        assert_true(bytes_compare(map_entry_id(sorted[i - 1]), map_entry_id(sorted[i])) < 0);
    map_session_end(&client.session, true);
    map_unwatch(&observer.watcher);
}

static struct map_entry *apply(struct map_view *view, enum event_op op, uint64_t revision,
                               uint64_t version, const char *body)
{
    struct event event = {op, BYTES_LITERAL("early"), version, bytes_from_string(body)};
    view_apply(&view->parts[0], &event, revision, view->parts[0].load_number);
    return map_view_find(view, event.id);
}

/* While a snapshot is read, the event of a change may come before the chunk that is older. */
static void test_an_update_before_its_snapshot(void **state)
{
    struct world *world = *state;
    struct observer observer;
    struct bytes field, value;
    size_t at = 0, fields = 0;
    observer_watch(world, &observer, &world->fronts[1]);
    WAIT_UNTIL(world, map_view_is_live(observer.view));
    struct map_entry *entry = apply(observer.view, EVENT_UPDATE, 1000, 2, "3 1\np:a25 3\nstatenew");
    assert_null(map_entry_field(entry, "protocol").data);
    entry = apply(observer.view, EVENT_ENTRY, 999, 1,
                  "5 3\nstateold3 1\np:a13 1\np:b18 4\nprotocolsync");
    assert_true(bytes_equal(map_entry_state(entry), BYTES_LITERAL("new")));
    assert_true(bytes_equal(map_entry_field(entry, "p:a"), BYTES_LITERAL("2")));
    assert_true(bytes_equal(map_entry_field(entry, "p:b"), BYTES_LITERAL("1")));
    assert_true(bytes_equal(map_entry_field(entry, "protocol"), BYTES_LITERAL("sync")));
    assert_int_equal(map_entry_version(entry), 2);
    while (map_entry_next_field(entry, &at, &field, &value))
        fields++;
    assert_int_equal(fields, 3);
    /* Once it is whole, what is older brings nothing back. */
    entry = apply(observer.view, EVENT_ENTRY, 998, 1, "3 1\np:c1");
    assert_null(map_entry_field(entry, "p:c").data);
    map_unwatch(&observer.watcher);
}

struct silent_observer {
    struct observer observer;
    unsigned silent;
};

static void silent_changed(struct map_watcher *watcher, const struct map_changes *changes)
{
    struct silent_observer *observer = (struct silent_observer *)watcher;
    observer->silent += (unsigned)changes->owner_changed_count;
    observer_changed(watcher, changes);
}

static unsigned turns;

static void count_turn(struct map_watcher *watcher, const struct map_changes *changes)
{
    turns++;
    assert_int_equal(changes->owner_changed_count, 0);
    observer_changed(watcher, changes);
}

/* Who owns an entry and where: told to those who ask, and to no cursor. */
static void test_silent_changes_are_told_to_who_asks(void **state)
{
    struct world *world = *state;
    struct silent_observer asks;
    struct observer other;
    struct map_cursor cursor = {0};
    observer_watch(world, &asks.observer, &world->fronts[1]);
    asks.silent = 0;
    asks.observer.watcher.wants_owner_changes = true;
    asks.observer.watcher.changed = silent_changed;
    observer_watch(world, &other, &world->fronts[1]);
    other.watcher.changed = count_turn;
    struct map_view *view = other.view;
    WAIT_UNTIL(world, map_view_is_live(view));
    apply(view, EVENT_ENTRY, 1000, 1, "4 3\nnodeold5 1\nstatex");
    WAIT_UNTIL(world, other.changed == 1);
    map_cursor_begin(&cursor, view, MAP_CURSOR_NEWEST);
    turns = 0;

    apply(view, EVENT_ADOPT, 1001, 1, "4 3\nnodenew5 1\nstatex");
    WAIT_UNTIL(world, asks.silent == 1);
    assert_true(bytes_equal(map_entry_field(map_view_find(view, BYTES_LITERAL("early")), "node"),
                            BYTES_LITERAL("new")));
    apply(view, EVENT_ADOPT, 1002, 1, "4 3\nnodenew5 1\nstatex");
    loop_iterate(world->loop, 0);
    assert_int_equal(asks.silent, 1); /* nothing has changed */
    assert_int_equal(turns, 0);
    assert_null(map_cursor_next(&cursor));

    /* Silent and then another change in one turn: told once, as a change. */
    apply(view, EVENT_ADOPT, 1003, 1, "4 2\nnodeit5 1\nstatex");
    apply(view, EVENT_UPDATE, 1004, 2, "5 1\nstatey");
    WAIT_UNTIL(world, other.changed == 2);
    assert_int_equal(asks.silent, 1);
    assert_int_equal(asks.observer.changed, 2);
    assert_non_null(map_cursor_next(&cursor));

    /* Silent and then closed in one turn. */
    apply(view, EVENT_ADOPT, 1005, 2, "4 4\nnodelast5 1\nstatey");
    apply(view, EVENT_CLOSE, 1006, 2, "");
    WAIT_UNTIL(world, other.closed == 1);
    assert_int_equal(asks.silent, 1);
    assert_int_equal(asks.observer.closed, 1);
    map_cursor_end(&cursor);
    map_unwatch(&asks.observer.watcher);
    map_unwatch(&other.watcher);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_sorted_entries_are_in_byte_order),
        TEST(test_an_update_before_its_snapshot),
        TEST(test_silent_changes_are_told_to_who_asks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
