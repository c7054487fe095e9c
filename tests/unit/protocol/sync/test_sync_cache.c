/* sync_cache and sync_missed: what is new, and what was missed, over a small map of texts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"
#include "protocol/sync/missed.h"

#define IDS 8

/* Entries are named by a letter, from a on; NULL: not there. */
struct map {
    const char *json[IDS];
    struct sync_cache cache;
};

static struct bytes name_of(int id)
{
    static const uint8_t letters[] = "abcdefgh";
    return (struct bytes){letters + id, 1};
}

static bool read_map(void *arg, struct bytes id, struct writer *to)
{
    const struct map *map = arg;
    const char *json = map->json[id.data[0] - 'a'];
    if (json) {
        writer_string(to, json);
    }
    return json != NULL;
}

static void map_set(struct map *map, int id, const char *json)
{
    map->json[id] = json;
    sync_cache_note(&map->cache, name_of(id), false);
}

static void map_close(struct map *map, int id)
{
    map->json[id] = NULL;
    sync_cache_close(&map->cache, name_of(id));
}

static void read_cache(struct map *map)
{
    sync_cache_read(&map->cache, read_map, map);
}

static void add_list(struct writer *to, const char *label, const struct bytes *ids, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        writer_string(to, label);
        writer_bytes(to, ids[i]);
        writer_u8(to, ' ');
    }
}

/* "+opened -closed *properties ~vanished", in the order of the lists. */
static void check_news(const struct sync_news *news, const char *expected)
{
    struct writer text = {0};
    add_list(&text, "+", news->opened, news->opened_count);
    add_list(&text, "-", news->closed, news->closed_count);
    add_list(&text, "*", news->properties, news->properties_count);
    add_list(&text, "~", news->vanished, news->vanished_count);
    writer_u8(&text, 0);
    assert_string_equal((const char *)text.data, expected);
    writer_free(&text);
}

/* A tick: checks what it sends, gives it to missed (may be NULL), and makes it old. */
static void tick(struct map *map, const char *expected, struct sync_missed *missed)
{
    struct sync_news news;
    read_cache(map);
    sync_cache_collect(&map->cache, &news);
    check_news(&news, expected);
    if (missed) {
        sync_missed_add(missed, &map->cache, &news, false);
    }
    sync_news_free(&news);
    sync_cache_settle(&map->cache);
}

static int create(void **state)
{
    struct map *map = mem_zalloc(1, sizeof *map);
    random_init();
    sync_cache_init(&map->cache);
    map->cache.collects_names = true;
    *state = map;
    return 0;
}

static int destroy(void **state)
{
    struct map *map = *state;
    sync_cache_clear(&map->cache);
    free(map);
    return 0;
}

static void test_what_a_tick_sends(void **state)
{
    struct map *map = *state;
    assert_false(sync_cache_has_news(&map->cache));
    map_set(map, 0, "{}");
    map_set(map, 1, "{\"x\":1}");
    assert_true(sync_cache_has_news(&map->cache));
    tick(map, "+a +b *b ", NULL);
    assert_false(sync_cache_has_news(&map->cache));
    map_set(map, 0, "{}");
    tick(map, "", NULL);
    map_set(map, 0, "{\"y\":1}");
    map_set(map, 0, "{\"y\":2}");
    map_close(map, 1);
    tick(map, "-b *a ", NULL);
    map_set(map, 2, "{}");
    map_close(map, 2);
    tick(map, "", NULL);
    assert_null(sync_cache_find(&map->cache, name_of(2)));
    /* Closed and opened again: only what differs is sent. */
    map_close(map, 0);
    map_set(map, 0, "{\"y\":2}");
    tick(map, "", NULL);
    map_close(map, 0);
    map_set(map, 0, "{\"y\":3}");
    tick(map, "*a ", NULL);
    map_close(map, 7);
    tick(map, "", NULL);
}

static void test_what_was_there_is_no_news(void **state)
{
    struct map *map = *state;
    map->json[0] = "{\"x\":1}";
    map->json[1] = "{}";
    sync_cache_note(&map->cache, name_of(0), true);
    sync_cache_note(&map->cache, name_of(1), true);
    sync_cache_announce(&map->cache, name_of(1));
    sync_cache_announce(&map->cache, name_of(2));
    tick(map, "+b ", NULL);
    map_set(map, 0, "{\"x\":2}");
    tick(map, "*a ", NULL);
    map_close(map, 0);
    tick(map, "-a ", NULL);
}

static void check_json(const struct map *map, int id, const char *expected)
{
    struct bytes json = sync_item_json(sync_cache_find(&map->cache, name_of(id)));
    assert_true(bytes_equal(json, bytes_from_string(expected)));
}

static void check_names(const struct map *map, int id, const char *expected)
{
    const struct sync_item *item = sync_cache_find(&map->cache, name_of(id));
    assert_true(bytes_equal(writer_bytes_written(&item->names), bytes_from_string(expected)));
}

/* Reading between ticks, for a new member, loses nothing of what the tick has to send. */
static void test_a_newcomer_between_ticks(void **state)
{
    struct map *map = *state;
    map_set(map, 0, "{\"x\":1,\"y\":1}");
    tick(map, "+a *a ", NULL);
    map_set(map, 0, "{\"x\":2,\"y\":1}");
    map_set(map, 1, "{\"z\":1}");
    read_cache(map);
    sync_cache_show(&map->cache);
    check_json(map, 0, "{\"x\":2,\"y\":1}");
    map_set(map, 0, "{\"x\":1}");
    read_cache(map);
    check_names(map, 0, "\"x\"\"y\"");
    map_close(map, 1);
    map_set(map, 2, "{}");
    map_close(map, 2);
    tick(map, "*a ~b ", NULL);
    check_names(map, 0, "");
    assert_null(sync_cache_find(&map->cache, name_of(1)));
}

static void test_all_entries(void **state)
{
    struct map *map = *state;
    struct sync_entry *entries;
    size_t count;
    map_set(map, 2, "{\"c\":1}");
    map_set(map, 0, "{}");
    map_set(map, 1, "{}");
    tick(map, "+c +a +b *c ", NULL);
    map_close(map, 0);
    entries = sync_cache_entries(&map->cache, &count);
    assert_int_equal(count, 2);
    assert_true(bytes_equal(entries[0].token, name_of(2)));
    assert_true(bytes_equal(entries[0].properties, bytes_from_string("{\"c\":1}")));
    assert_true(bytes_equal(entries[1].token, name_of(1)));
    free(entries);
}

static void test_an_entry_that_the_map_lacks_is_sent_and_closed(void **state)
{
    struct map *map = *state;
    sync_cache_assume(&map->cache, name_of(0));
    sync_cache_assume(&map->cache, name_of(1));
    sync_cache_assume(&map->cache, name_of(2));
    sync_cache_show(&map->cache);
    /* A client to which it was shown is notified of its close before the others knew it. */
    sync_cache_close(&map->cache, name_of(2));
    tick(map, "+a +b ~c ", NULL);
    tick(map, "", NULL);
    map_set(map, 0, "{\"a\":1}");
    sync_cache_close(&map->cache, name_of(1));
    tick(map, "-b *a ", NULL);
    map_close(map, 0);
    tick(map, "-a ", NULL);
}

/* Checks what was missed: the news, and "id=values;" of each. */
static void check_missed(struct map *map, struct sync_missed **missed, const char *news,
                         const char *values)
{
    struct sync_joined joined;
    struct writer text = {0};
    sync_missed_join(*missed, &map->cache, &joined);
    check_news(&joined.news, news);
    for (size_t i = 0; joined.values && i < joined.news.properties_count; i++) {
        assert_true(bytes_equal(joined.values[i].token, joined.news.properties[i]));
        writer_bytes(&text, joined.values[i].token);
        writer_u8(&text, '=');
        writer_bytes(&text, joined.values[i].properties);
        writer_u8(&text, ';');
    }
    writer_u8(&text, 0);
    assert_string_equal((const char *)text.data, values);
    writer_free(&text);
    sync_joined_free(&joined);
    sync_missed_destroy(missed);
    assert_null(*missed);
}

static void test_missed(void **state)
{
    struct map *map = *state;
    struct sync_missed *missed;
    for (int id = 0; id < 4; id++) {
        map_set(map, id, "{\"x\":1,\"y\":1}");
    }
    tick(map, "+a +b +c +d *a *b *c *d ", NULL);
    missed = sync_missed_create(true);
    map_set(map, 0, "{\"x\":2,\"y\":1}");
    map_close(map, 1);
    map_set(map, 4, "{\"e\":1}");
    map_set(map, 5, "{}");
    tick(map, "+e +f -b *a *e ", missed);
    map_set(map, 0, "{\"x\":2,\"z\":1}"); /* other names, joined */
    map_set(map, 1, "{\"x\":1}");         /* back, without y */
    map_close(map, 2);
    map_close(map, 5); /* came and went */
    map_set(map, 6, "{}");
    tick(map, "+b +g -c -f *a *b ", missed);
    map_close(map, 2);
    tick(map, "", missed);
    check_missed(map, &missed, "+e +b +g -b -c *e *a *b ",
                 "e={\"e\":1};a={\"x\":2,\"z\":1,\"y\":null};b={\"x\":1};");
}

static void test_missed_of_the_whole_map(void **state)
{
    struct map *map = *state;
    struct sync_missed *missed = sync_missed_create(false);
    map->cache.collects_names = false;
    map_set(map, 0, "{\"x\":1}");
    map_set(map, 1, "{}");
    tick(map, "+a +b *a ", missed);
    map_set(map, 1, "{\"y\":1}");
    tick(map, "*b ", missed);
    check_missed(map, &missed, "+a +b *a *b ", "");
    missed = sync_missed_create(false);
    map_set(map, 0, "{\"x\":2}");
    tick(map, "*a ", missed);
    check_missed(map, &missed, "*a ", "");
}

static void test_nothing_missed_in_the_end(void **state)
{
    struct map *map = *state;
    struct sync_missed *missed = sync_missed_create(true);
    map_set(map, 0, "{}");
    tick(map, "+a ", missed);
    map_set(map, 0, "{\"x\":1}");
    tick(map, "*a ", missed);
    map_close(map, 0);
    tick(map, "-a ", missed);
    check_missed(map, &missed, "", "");
}

/* What somebody was shown between ticks, and has gone before the tick. */
static void test_missed_what_vanished(void **state)
{
    struct map *map = *state;
    struct sync_missed *missed = sync_missed_create(true);
    struct sync_news news;
    map_set(map, 0, "{\"x\":1}");
    read_cache(map);
    sync_cache_show(&map->cache);
    map_close(map, 0);
    sync_cache_collect(&map->cache, &news);
    check_news(&news, "~a ");
    sync_missed_add(missed, &map->cache, &news, true);
    sync_news_free(&news);
    sync_cache_settle(&map->cache);
    check_missed(map, &missed, "-a ", "");
}

/* A newcomer that does not read was sent what the others get only now; then it closes. */
static void test_missed_what_was_shown(void **state)
{
    struct map *map = *state;
    struct sync_missed *missed = sync_missed_create(true);
    struct sync_news news;
    map_set(map, 0, "{\"x\":1}");
    map_set(map, 1, "{\"x\":1}");
    read_cache(map);
    sync_cache_show(&map->cache);
    map_set(map, 1, "{\"y\":1}");
    read_cache(map);
    sync_cache_collect(&map->cache, &news);
    check_news(&news, "+a +b *a *b ");
    sync_missed_add(missed, &map->cache, &news, true);
    sync_news_free(&news);
    sync_cache_settle(&map->cache);
    map_close(map, 0);
    tick(map, "-a ", missed);
    check_missed(map, &missed, "-a *b ", "b={\"x\":null,\"y\":1};");
}

/* The map does not have it when it is to be sent: it is sent when it can be read, all of it. */
static void test_what_cannot_be_read_is_sent_later(void **state)
{
    struct map *map = *state;
    sync_cache_note(&map->cache, name_of(0), false);
    sync_cache_note(&map->cache, name_of(1), true);
    tick(map, "", NULL);
    assert_true(sync_cache_has_news(&map->cache));
    assert_null(sync_cache_find(&map->cache, name_of(0)));
    map_set(map, 0, "{\"x\":1,\"y\":1}");
    map_set(map, 1, "{}");
    read_cache(map);
    check_names(map, 0, "\"x\"\"y\"");
    tick(map, "+a +b *a ", NULL);
    map_set(map, 0, "{\"x\":1,\"y\":2}");
    read_cache(map);
    check_names(map, 0, "\"y\"");
    tick(map, "*a ", NULL);
    assert_false(sync_cache_has_news(&map->cache));
    /* One that is known is compared with what was sent. */
    map_set(map, 0, NULL);
    tick(map, "", NULL);
    check_json(map, 0, "{\"x\":1,\"y\":2}");
    map_set(map, 0, "{\"y\":2}");
    read_cache(map);
    check_names(map, 0, "\"x\"");
    tick(map, "*a ", NULL);
}

static void test_what_was_never_read_closes_silently(void **state)
{
    struct map *map = *state;
    sync_cache_note(&map->cache, name_of(0), false);
    sync_cache_note(&map->cache, name_of(1), true);
    tick(map, "", NULL);
    map_close(map, 0);
    map_close(map, 1);
    tick(map, "", NULL);
    assert_false(sync_cache_has_news(&map->cache));
}

/* Who was sent the map while an entry was gone is sent it when it is there again. */
static void test_gone_when_a_newcomer_came(void **state)
{
    struct map *map = *state;
    struct sync_missed *missed = sync_missed_create(true);
    map_set(map, 0, "{\"x\":1,\"y\":1}");
    tick(map, "+a *a ", NULL);
    map_close(map, 0);
    read_cache(map);
    sync_cache_show(&map->cache);
    map_set(map, 0, "{\"x\":1,\"z\":1}");
    read_cache(map);
    check_names(map, 0, "\"z\"\"y\"\"x\"");
    tick(map, "+a *a ", missed);
    map_set(map, 0, "{\"x\":1,\"z\":1}");
    tick(map, "", missed);
    check_missed(map, &missed, "+a -a *a ", "a={\"x\":1,\"z\":1};");
    map_close(map, 0);
    tick(map, "-a ", NULL);
}

/* More names than are remembered: all of it is sent again. */
static void test_missed_too_many_names(void **state)
{
    struct map *map = *state;
    struct sync_missed *missed;
    char json[128];
    map_set(map, 0, "{\"first\":1}");
    tick(map, "+a *a ", NULL);
    missed = sync_missed_create(true);
    for (int i = 0; i < 300; i++) {
        snprintf(json, sizeof json, "{\"a name that is rather long, with its number %d\":1}", i);
        map_set(map, 0, json);
        tick(map, "*a ", missed);
        assert_true(missed->entries->names.len <= 8192 + 128);
    }
    map_set(map, 0, "{\"last\":1}");
    tick(map, "*a ", missed);
    check_missed(map, &missed, "+a -a *a ", "a={\"last\":1};");
}

#define MANY      100
#define NAME_SIZE 4000

/* One property, whose name is long and whose value changes. */
static bool read_long_name(void *arg, struct bytes id, struct writer *to)
{
    const int *value = arg;
    writer_string(to, "{\"");
    memset(writer_reserve(to, NAME_SIZE), 'n', NAME_SIZE);
    writer_format(to, "\":%d}", *value);
    return true;
}

static void note_many(struct sync_cache *cache, int value)
{
    for (int i = 0; i < MANY; i++) {
        char id[16];
        snprintf(id, sizeof id, "%d", i);
        sync_cache_note(cache, bytes_from_string(id), value == 0);
    }
    sync_cache_read(cache, read_long_name, &value);
}

/* The names of all its entries together are bounded; those beyond are sent whole. */
static void names_missed_by_one_client_are_bounded(void **state)
{
    struct sync_missed *missed = sync_missed_create(true);
    struct sync_missed_entry *entry;
    struct sync_cache cache;
    struct sync_news news;
    size_t size = 0, whole = 0;
    sync_cache_init(&cache);
    cache.collects_names = true;
    note_many(&cache, 0);
    sync_cache_settle(&cache);
    for (int value = 1; value <= 3; value++) {
        note_many(&cache, value);
        sync_cache_collect(&cache, &news);
        sync_missed_add(missed, &cache, &news, false);
        sync_news_free(&news);
        sync_cache_settle(&cache);
    }
    for (entry = missed->entries; entry; entry = entry->hh.next) {
        size += entry->names.len;
        whole += entry->is_new;
    }
    assert_in_range(size, NAME_SIZE, 65536);
    assert_in_range(whole, MANY - 65536 / NAME_SIZE, MANY - 1);
    sync_missed_destroy(&missed);
    sync_cache_clear(&cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_what_a_tick_sends, create, destroy),
        cmocka_unit_test_setup_teardown(test_what_was_there_is_no_news, create, destroy),
        cmocka_unit_test_setup_teardown(test_a_newcomer_between_ticks, create, destroy),
        cmocka_unit_test_setup_teardown(test_all_entries, create, destroy),
        cmocka_unit_test_setup_teardown(test_an_entry_that_the_map_lacks_is_sent_and_closed, create,
                                        destroy),
        cmocka_unit_test_setup_teardown(test_missed, create, destroy),
        cmocka_unit_test_setup_teardown(test_missed_of_the_whole_map, create, destroy),
        cmocka_unit_test_setup_teardown(test_nothing_missed_in_the_end, create, destroy),
        cmocka_unit_test_setup_teardown(test_missed_what_vanished, create, destroy),
        cmocka_unit_test_setup_teardown(test_missed_what_was_shown, create, destroy),
        cmocka_unit_test_setup_teardown(test_what_cannot_be_read_is_sent_later, create, destroy),
        cmocka_unit_test_setup_teardown(test_what_was_never_read_closes_silently, create, destroy),
        cmocka_unit_test_setup_teardown(test_gone_when_a_newcomer_came, create, destroy),
        cmocka_unit_test_setup_teardown(test_missed_too_many_names, create, destroy),
        cmocka_unit_test(names_missed_by_one_client_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
