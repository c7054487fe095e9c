/*
 * The view and its cursors: one list ordered by change, met once each in the newest state;
 * tombstones that stay bounded; reads that see their own writes; gaps that are noticed.
 */
#include "map/fixture.h"

#include "metrics/metrics.h"
#include "view/view_private.h"

static int setup(void **state)
{
    *state = world_with_fronts(2);
    return 0;
}

static int teardown(void **state)
{
    world_destroy(*state);
    return 0;
}

/* n entries named e0, e1, ... of one client, seen by the observer. */
static void open_entries(struct world *world, struct client *client, struct observer *observer,
                         unsigned n)
{
    world->fronts[0].map->running.client_max_ids = 100000;
    client_connect(client, &world->fronts[0]);
    for (unsigned i = 0; i < n; i++) {
        char id[16];
        snprintf(id, sizeof id, "e%u", i);
        client_send_update(client, id, MAP_VERSION_ABSOLUTE, 1, "one");
    }
    WAIT_UNTIL(world, map_view_count(observer->view) == n);
}

static unsigned walk(struct map_cursor *cursor)
{
    unsigned count = 0;
    while (map_cursor_next(cursor))
        count++;
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

struct reading {
    unsigned answers;
    bool known, stale;
};

static void on_read(void *arg, bool known, bool stale)
{
    struct reading *reading = arg;
    reading->answers++;
    reading->known = known;
    reading->stale = stale;
}

static void test_reads_see_what_was_acknowledged(void **state)
{
    struct world *world = *state;
    struct observer observer;
    struct client client;
    struct reading reading = {0};
    observer_watch(world, &observer, &world->fronts[0]);
    client_connect(&client, &world->fronts[0]);
    for (unsigned i = 1; i <= 50; i++) {
        char text[16];
        snprintf(text, sizeof text, "%u", i);
        assert_int_equal(client_update(world, &client, "me", i, text), MAP_OK);
        unsigned answers = reading.answers;
        map_read(observer.view, MAP_READ_HERE, on_read, &reading);
        WAIT_UNTIL(world, reading.answers > answers);
        assert_true(reading.known);
        assert_false(reading.stale);
        assert_true(observer_shows(&observer, "me", text));
    }
    map_session_end(&client.session, true);
    map_unwatch(&observer.watcher);
}

/* Of another front-end's clients, when Redis is asked first. */
static void test_reads_everywhere_see_what_others_acknowledged(void **state)
{
    struct world *world = *state;
    struct observer observer;
    struct client client;
    struct reading readings[3] = {0};
    observer_watch(world, &observer, &world->fronts[1]);
    client_connect(&client, &world->fronts[0]);
    for (unsigned i = 1; i <= 50; i++) {
        char text[16];
        snprintf(text, sizeof text, "%u", i);
        assert_int_equal(client_update(world, &client, "me", i, text), MAP_OK);
        for (unsigned j = 0; j < 3; j++)
            map_read(observer.view, MAP_READ_EVERYWHERE, on_read, &readings[j]);
        WAIT_UNTIL(world, readings[0].answers + readings[1].answers + readings[2].answers == 3 * i);
        assert_true(readings[2].known);
        assert_false(readings[2].stale);
        assert_true(observer_shows(&observer, "me", text));
    }
    assert_null(observer.view->ask);
    map_session_end(&client.session, true);
    map_unwatch(&observer.watcher);
}

/* Redis has forgotten all: what was acknowledged is put back before anybody reads on. */
static void test_reads_wait_for_what_is_put_back(void **state)
{
    struct world *world = *state;
    struct observer observer;
    struct client client;
    struct reading here = {0}, everywhere = {0};
    world->fronts[0].redis.deadline = 15000;
    observer_watch(world, &observer, &world->fronts[0]);
    client_connect(&client, &world->fronts[0]);
    assert_int_equal(client_update(world, &client, "me", 7, "new"), MAP_OK);
    WAIT_UNTIL(world, observer_shows(&observer, "me", "new"));
    struct partition *partition = &world->fronts[0].map->spaces[0].partitions[0];
    unsigned epochs = partition->epochs;
    WORLD_REDIS(world, "FLUSHALL");
    map_read(observer.view, MAP_READ_EVERYWHERE, on_read, &everywhere);
    WAIT_UNTIL(world, partition->epochs > epochs);
    assert_int_equal(everywhere.answers, 0);
    map_read(observer.view, MAP_READ_HERE, on_read, &here);
    WAIT_UNTIL(world, here.answers == 1 && everywhere.answers == 1);
    assert_false(partition->restoring);
    assert_false(here.stale);
    assert_false(everywhere.stale);
    assert_true(observer_shows(&observer, "me", "new"));
    assert_true(partition->revision > 0 && observer.view->parts[0].revision >= partition->revision);
    map_session_end(&client.session, true);
    map_unwatch(&observer.watcher);
}

/* Taken back before Redis is asked, and while it is; then the view itself goes. */
static void test_reads_that_are_taken_back(void **state)
{
    struct world *world = *state;
    struct observer observer;
    struct reading reading = {0}, kept = {0};
    observer_watch(world, &observer, &world->fronts[1]);
    WAIT_UNTIL(world, map_view_is_live(observer.view));
    struct map_read *early = map_read(observer.view, MAP_READ_EVERYWHERE, on_read, &reading);
    map_read_cancel(&early);
    assert_null(early);
    struct map_read *late = map_read(observer.view, MAP_READ_EVERYWHERE, on_read, &reading);
    map_read(observer.view, MAP_READ_EVERYWHERE, on_read, &kept);
    view_ask_send(observer.view);
    assert_non_null(observer.view->ask);
    map_read_cancel(&late);
    WAIT_UNTIL(world, kept.answers == 1);
    assert_false(kept.stale);
    map_read(observer.view, MAP_READ_EVERYWHERE, on_read, &reading);
    view_ask_send(observer.view);
    struct map_space *space = map_space_find(world->fronts[1].map, "");
    map_unwatch(&observer.watcher);
    view_destroy(&space->view);
    assert_null(space->view);
    observer_watch(world, &observer, &world->fronts[1]);
    WAIT_UNTIL(world, map_view_is_live(observer.view));
    map_read(observer.view, MAP_READ_EVERYWHERE, on_read, &kept);
    WAIT_UNTIL(world, kept.answers == 2);
    assert_int_equal(reading.answers, 0);
    map_unwatch(&observer.watcher);
}

/* The last chunk of the first snapshot has been read, and the watchers are notified at the end of
 * that iteration: a read that is looked at in between is not answered before them, as unknown. */
static void test_a_read_is_answered_after_the_watchers(void **state)
{
    struct world *world = *state;
    struct observer observer;
    struct reading reading = {0};
    observer_watch(world, &observer, &world->fronts[0]);
    WAIT_UNTIL(world, map_view_is_live(observer.view));
    observer.view->live = false;
    map_read(observer.view, MAP_READ_HERE, on_read, &reading);
    loop_timer_start(observer.view->read_timer, 0);
    WAIT_UNTIL(world, reading.answers == 1);
    assert_true(reading.known);
    map_unwatch(&observer.watcher);
}

/* The common case costs nothing: no mark, no command. */
static void test_a_read_of_what_is_there_notes_nothing(void **state)
{
    struct world *world = *state;
    struct observer observer;
    struct client client;
    struct reading reading = {0};
    observer_watch(world, &observer, &world->fronts[0]);
    client_connect(&client, &world->fronts[0]);
    client_update(world, &client, "me", 1, "one");
    WAIT_UNTIL(world, observer_shows(&observer, "me", "one"));
    struct map_read *read = map_read(observer.view, MAP_READ_HERE, on_read, &reading);
    assert_null(read->marks);
    assert_false(loop_timer_is_running(observer.view->read_timer));
    WAIT_UNTIL(world, reading.answers == 1);
    assert_false(loop_timer_is_running(observer.view->read_timer));
    assert_false(reading.stale);
    map_session_end(&client.session, true);
    map_unwatch(&observer.watcher);
}

/* The last event before a silence is lost: the next sweeps notice. */
static void test_a_silent_gap_is_noticed(void **state)
{
    struct world *world = *state;
    struct observer observer;
    struct client client;
    observer_watch(world, &observer, &world->fronts[1]);
    client_connect(&client, &world->fronts[0]);
    client_update(world, &client, "me", 1, "one");
    WAIT_UNTIL(world, observer_shows(&observer, "me", "one"));
    /* A change that nobody is told: the revision goes on, the event is missing. */
    WORLD_REDIS(world, "HSET", "tracker:{main/1/0}:client:me", "state", "untold");
    WORLD_REDIS(world, "HINCRBY", "tracker:{main/1/0}:head", "revision", "1");
    WAIT_UNTIL(world, observer_shows(&observer, "me", "untold"));
    map_session_end(&client.session, true);
    map_unwatch(&observer.watcher);
}

/* An event of a revision far ahead: everything between is read. */
/* Events come on one connection and the floor of the snapshot on another. So the event of what was
 * written after the floor may come before it. */
static void test_an_event_before_the_first_floor_is_not_missing(void **state)
{
    struct world *world = *state;
    struct front *front = &world->fronts[1];
    struct observer observer;
    struct client client;
    char message[200];
    client_connect(&client, &world->fronts[0]);
    client_update(world, &client, "busy", 1, "a");
    unsigned revision =
        (unsigned)atoi(WORLD_REDIS(world, "HGET", "tracker:{main/1/0}:head", "revision"));
    observer_start(&observer, front);
    struct view_part *part = &observer.view->parts[0];
    WAIT_UNTIL(world, part->state == PART_LOADING);
    assert_false(part->epoch_known);
    int64_t gaps = metrics_get(METRIC_GAPS);
    snprintf(message, sizeof message, "1 %s %u 1\nupdate 4 1 9\nbusy25 1\nstateb",
             part_known(part).epoch, revision + 1);
    part->channel.callbacks->message(part, bytes_from_string(message));
    WAIT_UNTIL(world, part->state == PART_LIVE);
    assert_int_equal(part->revision, revision + 1);
    WORLD_REDIS(world, "HINCRBY", "tracker:{main/1/0}:head", "revision", "1");
    client_update(world, &client, "busy", 3, "c");
    WAIT_UNTIL(world, observer_shows(&observer, "busy", "c"));
    assert_int_equal(metrics_get(METRIC_GAPS), gaps);
    map_session_end(&client.session, true);
    map_unwatch(&observer.watcher);
}

static void test_a_gap_is_filled_and_told_as_differences(void **state)
{
    struct world *world = *state;
    struct observer observer;
    struct client client;
    observer_watch(world, &observer, &world->fronts[1]);
    open_entries(world, &client, &observer, 20);
    unsigned changed = observer.changed;
    WORLD_REDIS(world, "HSET", "tracker:{main/1/0}:client:e3", "state", "untold");
    WORLD_REDIS(world, "HINCRBY", "tracker:{main/1/0}:head", "revision", "5");
    client_update(world, &client, "e4", 9, "told");
    WAIT_UNTIL(world, observer_shows(&observer, "e3", "untold"));
    WAIT_UNTIL(world, observer_shows(&observer, "e4", "told"));
    assert_int_equal(observer.changed, changed + 2);
    assert_int_equal(observer.closed, 0);
    map_session_end(&client.session, true);
    map_unwatch(&observer.watcher);
}

/* Redis was unreachable for longer than client.ttl: the hashes are gone, their listing is not. */
static void test_entries_whose_ttl_ended_are_kept(void **state)
{
    struct world *world = *state;
    struct observer observer;
    struct client client, orphaned, closed;
    observer_watch(world, &observer, &world->fronts[1]);
    struct client *const clients[] = {&client, &orphaned, &closed};
    const char *const ids[] = {"expired", "orphaned", "closed"};
    for (size_t i = 0; i < 3; i++) {
        client_connect(clients[i], &world->fronts[0]);
        client_update(world, clients[i], ids[i], 1, "one");
        WAIT_UNTIL(world, observer_shows(&observer, ids[i], "one"));
    }
    map_session_end(&orphaned.session, true);
    map_session_end(&closed.session, true);
    while (!*WORLD_REDIS(world, "ZSCORE", "tracker:{main/1/0}:deadlines", "c:orphaned") ||
           !*WORLD_REDIS(world, "ZSCORE", "tracker:{main/1/0}:deadlines", "c:closed"))
        loop_turn(world->loop, 5);
    WORLD_REDIS(world, "DEL", "tracker:{main/1/0}:client:expired");
    WORLD_REDIS(world, "DEL", "tracker:{main/1/0}:client:orphaned");
    /* This one is closed, and no event says so. It has no connection, or else
     * the audit of its front-end would open it again. */
    WORLD_REDIS(world, "DEL", "tracker:{main/1/0}:client:closed");
    WORLD_REDIS(world, "ZREM", "tracker:{main/1/0}:deadlines", "c:closed");
    char *index = mem_format("tracker:{main/1/0}:node:%s", world->fronts[0].map->node);
    WORLD_REDIS(world, "HDEL", index, "closed");
    free(index);
    int64_t snapshots = metrics_get(METRIC_SNAPSHOTS);
    WORLD_REDIS(world, "HINCRBY", "tracker:{main/1/0}:head", "revision", "1");
    WAIT_UNTIL(world, metrics_get(METRIC_SNAPSHOTS) > snapshots);
    assert_true(observer_shows(&observer, "expired", "one"));
    assert_null(observer_state(&observer, "closed"));
    assert_string_equal(observer.last_closed, "closed");
    /* The client writes on, and the orphan's time ends as if its hash were there. */
    client_update(world, &client, "expired", 2, "two");
    WAIT_UNTIL(world, observer_shows(&observer, "expired", "two"));
    WAIT_UNTIL(world, !observer_state(&observer, "orphaned"));
    assert_int_equal(observer.closed, 2);
    map_session_end(&client.session, true);
    map_unwatch(&observer.watcher);
}

/* Events come later than the answers to commands: of an opening, but not of the close that the
 * snapshot, which is newer, has too. */
static void test_a_late_event_of_what_is_closed_brings_nothing_back(void **state)
{
    struct world *world = *state;
    struct observer observer;
    struct client client;
    observer_watch(world, &observer, &world->fronts[1]);
    world->fronts[1].map->running.view.snapshot_interval = 0;
    open_entries(world, &client, &observer, 20);
    char *epoch = mem_format("%s", WORLD_REDIS(world, "HGET", "tracker:{main/1/0}:head", "epoch"));
    uint64_t revision =
        strtoull(WORLD_REDIS(world, "HGET", "tracker:{main/1/0}:head", "revision"), NULL, 10);
    WORLD_REDIS(world, "HINCRBY", "tracker:{main/1/0}:head", "revision", "9");
    char *opened = mem_format("1 %s %llu 1\nopen 4 1 12\nlate05 3\nstateone", epoch,
                              (unsigned long long)revision + 5);
    char *closed =
        mem_format("1 %s %llu 1\nclose 4 0 0\nlate", epoch, (unsigned long long)revision + 6);
    int64_t snapshots = metrics_get(METRIC_SNAPSHOTS);
    WORLD_REDIS(world, "PUBLISH", "tracker:{main/1/0}:events", opened);
    WAIT_UNTIL(world, metrics_get(METRIC_SNAPSHOTS) > snapshots);
    WORLD_REDIS(world, "PUBLISH", "tracker:{main/1/0}:events", closed);
    client_update(world, &client, "e4", 9, "told");
    WAIT_UNTIL(world, observer_shows(&observer, "e4", "told"));
    assert_null(observer_state(&observer, "late"));
    assert_int_equal(map_view_count(observer.view), 20);
    free(epoch);
    free(opened);
    free(closed);
    map_session_end(&client.session, true);
    map_unwatch(&observer.watcher);
}

static void test_nonsense_on_the_channel_harms_nothing(void **state)
{
    struct world *world = *state;
    struct observer observer;
    struct client client;
    observer_watch(world, &observer, &world->fronts[1]);
    open_entries(world, &client, &observer, 20);
    const char *nonsense[] = {"", "hello", "1 x 1 1\n", "1 0011223344556677 1 1\nopen 9 9 9\n"};
    for (size_t i = 0; i < sizeof nonsense / sizeof *nonsense; i++)
        WORLD_REDIS(world, "PUBLISH", "tracker:{main/1/0}:events", nonsense[i]);
    client_update(world, &client, "e4", 9, "told");
    WAIT_UNTIL(world, observer_shows(&observer, "e4", "told"));
    WAIT_UNTIL(world, observer.view->parts[0].state == PART_LIVE);
    assert_int_equal(map_view_count(observer.view), 20);
    assert_int_equal(observer.closed, 0);
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
    observer->silent += (unsigned)changes->silent_count;
    observer_changed(watcher, changes);
}

static unsigned turns;

static void count_turn(struct map_watcher *watcher, const struct map_changes *changes)
{
    turns++;
    assert_int_equal(changes->silent_count, 0);
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
    asks.observer.watcher.silent_too = true;
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
    loop_turn(world->loop, 0);
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
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_a_cursor_meets_each_entry_once),
        TEST(test_a_cursor_counts_closes_and_is_lost_after_too_many),
        TEST(test_sorted_entries_are_in_byte_order),
        TEST(test_reads_see_what_was_acknowledged),
        TEST(test_reads_everywhere_see_what_others_acknowledged),
        TEST(test_reads_wait_for_what_is_put_back),
        TEST(test_reads_that_are_taken_back),
        TEST(test_a_read_is_answered_after_the_watchers),
        TEST(test_a_read_of_what_is_there_notes_nothing),
        TEST(test_a_silent_gap_is_noticed),
        TEST(test_an_event_before_the_first_floor_is_not_missing),
        TEST(test_a_gap_is_filled_and_told_as_differences),
        TEST(test_an_update_before_its_snapshot),
        TEST(test_silent_changes_are_told_to_who_asks),
        TEST(test_entries_whose_ttl_ended_are_kept),
        TEST(test_a_late_event_of_what_is_closed_brings_nothing_back),
        TEST(test_nonsense_on_the_channel_harms_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
