/* Entries as JSON: every kind of field, also such as no front-end should have stored. */
#include "map/fixture.h"

#include "admin/admin_private.h"
#include "admin/search.h"
#include "view/view_private.h"

static int setup(void **state)
{
    *state = world_with_fronts(1);
    return 0;
}

static int teardown(void **state)
{
    world_destroy(*state);
    return 0;
}

/* A body of fields and values in turn, ended by NULL. */
static struct bytes body_of(struct writer *to, const char *const *fields)
{
    writer_reset(to);
    for (; *fields; fields += 2) {
        writer_format(to, "%zu %zu\n", strlen(fields[0]), strlen(fields[1]));
        writer_string(to, fields[0]);
        writer_string(to, fields[1]);
    }
    return writer_bytes_written(to);
}

struct written {
    const char *fields[16];
    size_t max_state;
    bool addresses;
    const char *json;
};

static const struct written cases[] = {
    {{"state", "hello", "protocol", "tracker", "node", "abc", "since", "17", "address",
      "1.2.3.4:5"},
     100,
     false,
     "{\"id\":\"e\",\"protocol\":\"tracker\",\"node\":\"abc\",\"since\":17,\"version\":\"7\","
     "\"shard\":0,"
     "\"state\":\"hello\"}"},
    {{"state", "", "address", "1.2.3.4:5"},
     100,
     true,
     "{\"id\":\"e\",\"address\":\"1.2.3.4:5\",\"version\":\"7\",\"shard\":0,\"state\":\"\"}"},
    {{"protocol", "turntable", "user", "1:2", "status", "busy"},
     100,
     false,
     "{\"id\":\"e\",\"protocol\":\"turntable\",\"user\":\"1:2\",\"status\":\"busy\",\"version\":"
     "\"7\","
     "\"shard\":0}"},
    {{"p:a", "1.50", "p:b\"c", "\"x\"", "protocol", "sync", "p:", "true"},
     100,
     false,
     "{\"id\":\"e\",\"protocol\":\"sync\",\"version\":\"7\",\"shard\":0,\"properties\":{\"a\":1.50,"
     "\"b\\\"c\":\"x\",\"\":true}}"},
    /* Containers. Values that are not valid JSON and names that are not UTF-8 are left out. */
    {{"p:a", "}", "p:b", "[1]", "p:c", "", "p:\xff", "1", "p:d", "null"},
     100,
     false,
     "{\"id\":\"e\",\"version\":\"7\",\"shard\":0,\"properties\":{\"b\":[1],\"d\":null}}"},
    {{"p:a", "}"}, 100, false, "{\"id\":\"e\",\"version\":\"7\",\"shard\":0}"},
    {{"user", "\xff", "since", "soon", "other", "field"},
     100,
     false,
     "{\"id\":\"e\",\"user64\":\"/w==\",\"since\":0,\"version\":\"7\",\"shard\":0}"},
    /* Cut at a character. */
    {{"state", "a\xe2\x82\xac\xe2\x82\xac"},
     3,
     false,
     "{\"id\":\"e\",\"version\":\"7\",\"shard\":0,\"state\":\"a\",\"state_bytes\":7}"},
    {{"state", "a\xe2\x82\xac\xe2\x82\xac"},
     4,
     false,
     "{\"id\":\"e\",\"version\":\"7\",\"shard\":0,\"state\":\"a\xe2\x82\xac\",\"state_bytes\":7}"},
    {{"state", "abc"}, 3, false, "{\"id\":\"e\",\"version\":\"7\",\"shard\":0,\"state\":\"abc\"}"},
    {{"state", "abc"},
     0,
     false,
     "{\"id\":\"e\",\"version\":\"7\",\"shard\":0,\"state\":\"\",\"state_bytes\":3}"},
    {{"state", "\xff\xfe"},
     1,
     false,
     "{\"id\":\"e\",\"version\":\"7\",\"shard\":0,\"state64\":\"/w==\",\"state_bytes\":2}"},
};

static void test_written(void **state)
{
    struct world *world = *state;
    struct observer observer;
    struct writer body = {0}, text = {0};
    observer_watch(world, &observer, &world->fronts[0]);
    WAIT_UNTIL(world, map_view_is_live(observer.view));
    struct view_part *part = &observer.view->parts[0];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct entry_format format = {
            .max_state = cases[i].max_state, .addresses = cases[i].addresses, .partitions = 1};
        struct event close = {EVENT_CLOSE, BYTES_LITERAL("e"), 0, {0}};
        struct event open = {EVENT_OPEN, BYTES_LITERAL("e"), 7, body_of(&body, cases[i].fields)};
        view_apply(part, &close, 1000 + 2 * i, 0);
        view_apply(part, &open, 1001 + 2 * i, 0);
        writer_reset(&text);
        struct json_writer json = json_writer_over(&text);
        entries_write(&json, map_view_find(observer.view, open.id), &format);
        writer_u8(&text, 0);
        assert_string_equal((const char *)text.data, cases[i].json);
    }
    writer_free(&text);
    writer_free(&body);
    map_unwatch(&observer.watcher);
}

static void test_matched(void **state)
{
    static const char *const fields[] = {
        "state",   "Some State", "protocol", "sync",     "p:mood",        "\"Good\"",
        "address", "1.2.3.4:5",  "session",  "0123abcd", "p:r\xc3\x9chm", "[\"a\\u00dc\\n\\\"\"]",
        NULL};
    static const struct {
        const char *text;
        bool matches;
    } tried[] = {{"some", true},
                 {"STATE", true},
                 {"e state", true},
                 {"sYNc", true},
                 {"mood", true},
                 {"good\"", true},
                 {"", true},
                 {"p:mood", false},
                 {"bad", false},
                 {"1.2.3.4", false},
                 {"0123", false},
                 {"some state ", false},
                 {"client", true},
                 {"client-x", false},
                 /* As Unicode folds it: rÜhm, Kelvin's K; and what escapes stand for. */
                 {"R\xc3\xbcHM", true},
                 {"A\xc3\xbc\n\"", true},
                 {"\\u00dc", false},
                 {"a-\xc4\x89lient", false}};
    struct entry_search search;
    struct world *world = *state;
    struct observer observer;
    struct writer body = {0};
    struct event open = {EVENT_OPEN, BYTES_LITERAL("A-Client"), 1, body_of(&body, fields)};
    observer_watch(world, &observer, &world->fronts[0]);
    WAIT_UNTIL(world, map_view_is_live(observer.view));
    view_apply(&observer.view->parts[0], &open, 1000, 0);
    const struct map_entry *entry = map_view_find(observer.view, open.id);
    for (size_t i = 0; i < sizeof tried / sizeof *tried; i++) {
        search_begin(&search, bytes_from_string(tried[i].text), false);
        if (search_step(&search, entry) != (tried[i].matches ? SEARCH_FOUND : SEARCH_NOT_FOUND)) {
            fail_msg("%s", tried[i].text);
        }
        assert_true(tried[i].matches || search.searched > 30);
        search_end(&search);
    }
    search_begin(&search, BYTES_LITERAL("1.2.3.4"), true);
    assert_int_equal(search_step(&search, entry), SEARCH_FOUND);
    search_end(&search);
    writer_free(&body);
    map_unwatch(&observer.watcher);
}

static const struct map_entry *apply_large(struct observer *observer, uint64_t revision,
                                           const char *end)
{
    static char state[10 * FOLD_PIECE];
    const char *const fields[] = {"state", state, "p:name", "\"value\"", NULL};
    struct writer body = {0};
    memset(state, 'x', sizeof state - 1);
    memcpy(state + sizeof state - 1 - strlen(end), end, strlen(end));
    struct event event = {revision == 1000 ? EVENT_OPEN : EVENT_UPDATE, BYTES_LITERAL("large"),
                          revision, body_of(&body, fields)};
    view_apply(&observer->view->parts[0], &event, revision, 0);
    writer_free(&body);
    return map_view_find(observer->view, event.id);
}

/* A step reads a piece; an entry that changes is searched again, and at last at once. */
static void test_searched_in_pieces(void **state)
{
    struct entry_search search;
    struct world *world = *state;
    struct observer observer;
    unsigned steps = 1;
    observer_watch(world, &observer, &world->fronts[0]);
    WAIT_UNTIL(world, map_view_is_live(observer.view));
    const struct map_entry *entry = apply_large(&observer, 1000, "Needle");
    search_begin(&search, BYTES_LITERAL("needle"), false);
    while (search_step(&search, entry) == SEARCH_MORE) {
        assert_true(search.searched <= ++steps * FOLD_PIECE);
    }
    assert_int_equal(steps, 10);
    size_t before = search.searched;
    for (uint64_t i = 1; i <= 3; i++) {
        assert_int_equal(search_step(&search, entry), SEARCH_MORE);
        entry = apply_large(&observer, 1000 + i, "other");
    }
    assert_int_equal(search_step(&search, entry), SEARCH_NOT_FOUND);
    assert_true(search.searched > before + 12 * FOLD_PIECE);
    /* The next entry's pieces are read one by one again. */
    assert_int_equal(search_step(&search, entry), SEARCH_MORE);
    search_end(&search);
    map_unwatch(&observer.watcher);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_written, setup, teardown),
        cmocka_unit_test_setup_teardown(test_matched, setup, teardown),
        cmocka_unit_test_setup_teardown(test_searched_in_pieces, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
