/*
 * Reads that wait: they include every write that was acknowledged before them, here or everywhere,
 * are answered once, and cost nothing when the view has all.
 */
#include "view/view_fixture.h"

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

/* Those of another front-end's clients, too, as Redis's revisions are read first. */
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
        for (unsigned j = 0; j < 3; j++) {
            map_read(observer.view, MAP_READ_EVERYWHERE, on_read, &readings[j]);
        }
        WAIT_UNTIL(world, readings[0].answers + readings[1].answers + readings[2].answers == 3 * i);
        assert_true(readings[2].known);
        assert_false(readings[2].stale);
        assert_true(observer_shows(&observer, "me", text));
    }
    assert_null(observer.view->query);
    map_session_end(&client.session, true);
    map_unwatch(&observer.watcher);
}

/* Redis has lost its data: reads wait until acknowledged writes are restored. */
static void test_reads_wait_for_the_restore(void **state)
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
    assert_false(!recovery_is_done(partition));
    assert_false(here.stale);
    assert_false(everywhere.stale);
    assert_true(observer_shows(&observer, "me", "new"));
    assert_true(partition->revision > 0 && observer.view->parts[0].revision >= partition->revision);
    map_session_end(&client.session, true);
    map_unwatch(&observer.watcher);
}

/* Cancelled before the query is sent, and while it is under way; then the view is destroyed. */
static void test_cancelled_reads(void **state)
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
    view_query_send(observer.view);
    assert_non_null(observer.view->query);
    map_read_cancel(&late);
    WAIT_UNTIL(world, kept.answers == 1);
    assert_false(kept.stale);
    map_read(observer.view, MAP_READ_EVERYWHERE, on_read, &reading);
    view_query_send(observer.view);
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

/* Redis does not answer: a read is answered at its deadline, with what the view has. */
static void test_a_read_ends_at_its_deadline(void **state)
{
    struct world *world = *state;
    struct observer observer;
    struct reading reading = {0};
    observer_watch(world, &observer, &world->fronts[0]);
    WAIT_UNTIL(world, map_view_is_live(observer.view));
    world->fronts[0].redis.deadline = 3000;
    kill(redis_embedded_pid(world->server), SIGSTOP);
    loop_iterate(world->loop, 0);
    map_read(observer.view, MAP_READ_EVERYWHERE, on_read, &reading);
    ASSERT_TRUE_AT(world, loop_now_ms(world->loop) + 3000, reading.answers == 1);
    assert_true(reading.known);
    assert_true(reading.stale);
    kill(redis_embedded_pid(world->server), SIGCONT);
    map_unwatch(&observer.watcher);
}

/* The last chunk of the first snapshot has been read, and the watchers are notified at the end of
 * that iteration: a read that is checked in between is answered after them, not as unknown. */
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
static void test_a_read_of_current_contents_costs_nothing(void **state)
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_reads_see_what_was_acknowledged),
        TEST(test_reads_everywhere_see_what_others_acknowledged),
        TEST(test_reads_wait_for_the_restore),
        TEST(test_cancelled_reads),
        TEST(test_a_read_ends_at_its_deadline),
        TEST(test_a_read_is_answered_after_the_watchers),
        TEST(test_a_read_of_current_contents_costs_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
