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
    for (size_t i = 1; i < count; i++) {
        assert_true(bytes_compare(map_entry_id(sorted[i - 1]), map_entry_id(sorted[i])) < 0);
    }
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

/* While a snapshot is read, the event of a change may arrive before an older chunk. */
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
    while (map_entry_next_field(entry, &at, &field, &value)) {
        fields++;
    }
    assert_int_equal(fields, 3);
    /* Once it is complete, older chunks change nothing. */
    entry = apply(observer.view, EVENT_ENTRY, 998, 1, "3 1\np:c1");
    assert_null(map_entry_field(entry, "p:c").data);
    map_unwatch(&observer.watcher);
}

/* An entry is opened, or closed when it is there. */
static void toggle_entry(struct map_view *view, unsigned number, uint64_t revision)
{
    char text[16];
    int len = snprintf(text, sizeof text, "id%u", number);
    struct bytes id = {(const uint8_t *)text, (size_t)len};
    struct event event = {map_view_find(view, id) ? EVENT_CLOSE : EVENT_OPEN, id, 1,
                          BYTES_LITERAL("5 1\nstatex")};
    view_apply(&view->parts[0], &event, revision, view->parts[0].load_number);
}

static void expect_order(struct map_view *view)
{
    size_t count;
    struct map_entry *const *sorted = map_view_sorted(view, &count);
    assert_int_equal(count, map_view_count(view));
    for (size_t i = 0; i < count; i++) {
        assert_ptr_equal(map_view_find(view, map_entry_id(sorted[i])), sorted[i]);
        assert_true(i == 0 ||
                    bytes_compare(map_entry_id(sorted[i - 1]), map_entry_id(sorted[i])) < 0);
    }
}

static void test_the_order_follows_what_opens_and_closes(void **state)
{
    struct world *world = *state;
    struct observer observer;
    uint64_t revision = 1000;
    unsigned seed = 1;
    observer_watch(world, &observer, &world->fronts[1]);
    WAIT_UNTIL(world, map_view_is_live(observer.view));
    for (int i = 0; i < 10000; i++) {
        seed = seed * 1103515245 + 12345;
        toggle_entry(observer.view, seed / 65536 % 300, ++revision);
        /* At first it is not asked for, then often, then for long not. */
        if (i > 1000 && i < 4000 && i % 7 == 0) {
            expect_order(observer.view);
        }
    }
    expect_order(observer.view);
    map_unwatch(&observer.watcher);
}

/* What it costs to ask for the order now. */
static uint64_t steps_of_order(struct map_view *view)
{
    uint64_t before = view->sorted.steps;
    size_t count;
    (void)map_view_sorted(view, &count);
    assert_int_equal(count, map_view_count(view));
    return view->sorted.steps - before;
}

/* Costs of the order of n entries: of the first time, after one change, and of n changes in all. */
struct order_cost {
    uint64_t first, one, all;
};

/* The view is empty before and after. The numbers come in no order. */
static struct order_cost measure_order(struct world *world, struct map_view *view, unsigned n,
                                       uint64_t *revision)
{
    struct order_cost cost = {0};
    for (unsigned i = 0; i < n; i++) {
        toggle_entry(view, i * 7919 % n, ++*revision);
    }
    assert_int_equal(map_view_count(view), n);
    cost.first = steps_of_order(view);
    assert_int_equal(steps_of_order(view), 0); /* nothing has changed */
    toggle_entry(view, 0, ++*revision);
    cost.one = steps_of_order(view);
    toggle_entry(view, 0, ++*revision);
    cost.one += steps_of_order(view);
    for (unsigned i = 0; i < n; i++) {
        toggle_entry(view, i, ++*revision);
    }
    for (unsigned i = 0; i < n; i++) {
        toggle_entry(view, i * 7919 % n, ++*revision);
    }
    cost.all = steps_of_order(view);
    for (unsigned i = 0; i < n; i++) {
        toggle_entry(view, i, ++*revision);
    }
    assert_int_equal(map_view_count(view), 0);
    assert_true(steps_of_order(view) <= 3 * (uint64_t)n);
    loop_iterate(world->loop, 0);
    return cost;
}

/* Of twice as many: twice, and what a sort has more by its logarithm. */
static void expect_linear(uint64_t cost, uint64_t of_half)
{
    assert_true(cost > 0 && of_half > 0);
    assert_true(cost * 10 <= of_half * 23);
}

static void test_the_order_of_twice_as_many_costs_twice_as_much(void **state)
{
    struct world *world = *state;
    struct observer observer;
    struct order_cost costs[3];
    uint64_t revision = 1000;
    observer_watch(world, &observer, &world->fronts[1]);
    WAIT_UNTIL(world, map_view_is_live(observer.view));
    for (unsigned i = 0; i < 3; i++) {
        sorted_free(&observer.view->sorted);
        costs[i] = measure_order(world, observer.view, 5000U << i, &revision);
    }
    for (unsigned i = 0; i < 3; i++) {
        /* One change costs no sort: a pass or two. */
        assert_true(costs[i].one <= 5 * (uint64_t)(5000U << i));
        if (i > 0) {
            expect_linear(costs[i].first, costs[i - 1].first);
            expect_linear(costs[i].one, costs[i - 1].one);
            expect_linear(costs[i].all, costs[i - 1].all);
        }
    }
    map_unwatch(&observer.watcher);
}

/* Of 20,000 entries none is visited, and each has the revision of an older epoch no more. */
static void test_a_new_epoch_visits_no_entry(void **state)
{
    struct world *world = *state;
    struct observer observer;
    const unsigned n = 20000;
    observer_watch(world, &observer, &world->fronts[1]);
    WAIT_UNTIL(world, map_view_is_live(observer.view));
    struct map_view *view = observer.view;
    struct view_part *part = &view->parts[0];
    uint64_t epoch = part->epoch;
    for (unsigned i = 0; i < n; i++) {
        toggle_entry(view, i, 1000 + i);
    }
    struct map_entry *first = map_view_find(view, BYTES_LITERAL("id0"));
    struct map_entry *last = map_view_find(view, BYTES_LITERAL("id19999"));
    assert_non_null(first);
    assert_non_null(last);
    assert_int_equal(map_entry_revision(last), 1000 + n - 1);
    part_enter_epoch(part, epoch + 1);
    for (struct map_entry *entry = view->entries; entry; entry = entry->hh.next) {
        assert_true(entry->revision >= 1000); /* as it was: only its meaning is another */
        assert_int_equal(map_entry_revision(entry), 0);
    }
    /* Revisions begin anew: a lower one is later than all of the older epoch. */
    apply(view, EVENT_OPEN, 1, 1, "5 3\nstatenew");
    toggle_entry(view, 0, 2);
    assert_null(map_view_find(view, BYTES_LITERAL("id0")));
    struct event event = {EVENT_UPDATE, BYTES_LITERAL("id19999"), 2, BYTES_LITERAL("5 1\nstatey")};
    view_apply(part, &event, 3, part->load_number);
    assert_int_equal(map_entry_revision(last), 3);
    /* Within the epoch, what is older changes nothing. */
    event.body = BYTES_LITERAL("5 1\nstatez");
    view_apply(part, &event, 2, part->load_number);
    assert_true(bytes_equal(map_entry_state(last), BYTES_LITERAL("y")));
    /* A further epoch, even the first one again, has its own revisions. */
    part_enter_epoch(part, epoch);
    assert_int_equal(map_entry_revision(last), 0);
    map_unwatch(&observer.watcher);
}

struct owner_observer {
    struct observer observer;
    unsigned owner_changes;
};

static void owner_observer_changed(struct map_watcher *watcher, const struct map_changes *changes)
{
    struct owner_observer *observer = (struct owner_observer *)watcher;
    observer->owner_changes += (unsigned)changes->owner_changed_count;
    observer_changed(watcher, changes);
}

static unsigned calls;

static void count_call(struct map_watcher *watcher, const struct map_changes *changes)
{
    calls++;
    assert_int_equal(changes->owner_changed_count, 0);
    observer_changed(watcher, changes);
}

/* Changes of the owner's fields only: for watchers that want them, not for cursors. */
static void test_owner_changes_reach_the_watchers_that_want_them(void **state)
{
    struct world *world = *state;
    struct owner_observer wants;
    struct observer other;
    struct map_cursor cursor = {0};
    observer_watch(world, &wants.observer, &world->fronts[1]);
    wants.owner_changes = 0;
    wants.observer.watcher.wants_owner_changes = true;
    wants.observer.watcher.changed = owner_observer_changed;
    observer_watch(world, &other, &world->fronts[1]);
    other.watcher.changed = count_call;
    struct map_view *view = other.view;
    WAIT_UNTIL(world, map_view_is_live(view));
    apply(view, EVENT_ENTRY, 1000, 1, "4 3\nnodeold5 1\nstatex");
    WAIT_UNTIL(world, other.changed == 1);
    map_cursor_begin(&cursor, view, MAP_CURSOR_NEWEST);
    calls = 0;

    apply(view, EVENT_ADOPT, 1001, 1, "4 3\nnodenew5 1\nstatex");
    WAIT_UNTIL(world, wants.owner_changes == 1);
    assert_true(bytes_equal(map_entry_field(map_view_find(view, BYTES_LITERAL("early")), "node"),
                            BYTES_LITERAL("new")));
    apply(view, EVENT_ADOPT, 1002, 1, "4 3\nnodenew5 1\nstatex");
    loop_iterate(world->loop, 0);
    assert_int_equal(wants.owner_changes, 1); /* nothing has changed */
    assert_int_equal(calls, 0);
    assert_null(map_cursor_next(&cursor));

    /* A change of the owner and then of the contents in one iteration is one change. */
    apply(view, EVENT_ADOPT, 1003, 1, "4 2\nnodeit5 1\nstatex");
    apply(view, EVENT_UPDATE, 1004, 2, "5 1\nstatey");
    WAIT_UNTIL(world, other.changed == 2);
    assert_int_equal(wants.owner_changes, 1);
    assert_int_equal(wants.observer.changed, 2);
    assert_non_null(map_cursor_next(&cursor));

    /* A change of the owner and then a close in one iteration. */
    apply(view, EVENT_ADOPT, 1005, 2, "4 4\nnodelast5 1\nstatey");
    apply(view, EVENT_CLOSE, 1006, 2, "");
    WAIT_UNTIL(world, other.closed == 1);
    assert_int_equal(wants.owner_changes, 1);
    assert_int_equal(wants.observer.closed, 1);
    map_cursor_end(&cursor);
    map_unwatch(&wants.observer.watcher);
    map_unwatch(&other.watcher);
}

#define CROWD   1000
#define AT_ONCE 64 /* entries at most that are dropped, or kept, at a time */

/* A view of CROWD entries, of which the next load will contain none. */
static struct view_part *crowded_part(struct world *world, struct observer *observer,
                                      struct client *client)
{
    observer_watch(world, observer, &world->fronts[1]);
    open_entries(world, client, observer, CROWD);
    observer->view->parts[0].load_number++;
    return &observer->view->parts[0];
}

static void test_missing_entries_are_dropped_some_at_a_time(void **state)
{
    struct world *world = *state;
    struct observer observer;
    struct client client;
    struct view_part *part = crowded_part(world, &observer, &client);
    size_t before = CROWD, rounds = 1;
    part_mark_seen(part, map_view_find(observer.view, BYTES_LITERAL("e7")), part->load_number);
    for (; part_drop_missing(part, false); rounds++) {
        assert_int_equal(map_view_count(observer.view), before - AT_ONCE);
        before -= AT_ONCE;
    }
    assert_int_equal(rounds, (CROWD - 1 + AT_ONCE - 1) / AT_ONCE);
    assert_int_equal(map_view_count(observer.view), 1);
    assert_non_null(map_view_find(observer.view, BYTES_LITERAL("e7")));
    assert_int_equal(part->epoch_state, PART_EPOCH_STABLE);
    map_session_end(&client.session, true);
    map_unwatch(&observer.watcher);
}

static bool is_unconfirmed(const struct observer *observer, const char *id)
{
    return view_find_unconfirmed(observer->view, bytes_from_string(id));
}

/* In a new epoch they are kept until the recovery grace is over, and then dropped by a job. One
 * that is restored meanwhile, or while the job runs, stays. */
static void test_unconfirmed_entries_are_dropped_some_at_a_time(void **state)
{
    struct world *world = *state;
    struct observer observer;
    struct client client;
    struct view_part *part = crowded_part(world, &observer, &client);
    unsigned closed = observer.closed;
    part->epoch_state = PART_EPOCH_FRESH;
    while (part_drop_missing(part, true)) {
    }
    assert_int_equal(part->epoch_state, PART_EPOCH_UNCONFIRMED);
    assert_int_equal(map_view_count(observer.view), CROWD);
    assert_true(is_unconfirmed(&observer, "e3") && is_unconfirmed(&observer, "e999"));
    part_mark_seen(part, map_view_find(observer.view, BYTES_LITERAL("e3")), part->load_number);
    assert_false(is_unconfirmed(&observer, "e3"));

    part_end_recovery(part, part->revision);
    assert_int_equal(map_view_count(observer.view), CROWD - AT_ONCE);
    assert_true(loop_job_is_running(&part->drop));
    assert_true(is_unconfirmed(&observer, "e999"));
    part_mark_seen(part, map_view_find(observer.view, BYTES_LITERAL("e999")), part->load_number);
    part_drop_unconfirmed(part); /* as with every event: the job is not repeated */
    assert_int_equal(map_view_count(observer.view), CROWD - AT_ONCE);
    WAIT_UNTIL(world, !loop_job_is_running(&part->drop));
    assert_int_equal(part->epoch_state, PART_EPOCH_STABLE);
    assert_int_equal(map_view_count(observer.view), 2);
    WAIT_UNTIL(world, observer.closed == closed + CROWD - 2);
    map_session_end(&client.session, true);
    map_unwatch(&observer.watcher);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_sorted_entries_are_in_byte_order),
        TEST(test_the_order_follows_what_opens_and_closes),
        TEST(test_the_order_of_twice_as_many_costs_twice_as_much),
        TEST(test_a_new_epoch_visits_no_entry),
        TEST(test_an_update_before_its_snapshot),
        TEST(test_missing_entries_are_dropped_some_at_a_time),
        TEST(test_unconfirmed_entries_are_dropped_some_at_a_time),
        TEST(test_owner_changes_reach_the_watchers_that_want_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
