/*
 * A follower gets the whole list, then changes as fast as it takes them: at once while it keeps up,
 * from a place in the list when it does not. The list is a string of letters, each change a letter.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "loop/loop.h"
#include "metrics/metrics.h"
#include "view/follower.h"

#define CHUNK 3

struct stage {
    struct loop *loop;
    struct follower_list list;
    char letters[64]; /* the list: grows only */
    bool is_readable;
    bool by_chunks; /* whole lists are sent so */
    size_t places;  /* taken and not freed */
    size_t asked;   /* how often whether a reader has a backlog */
};

struct reader {
    struct follower follower;
    struct stage *stage;
    bool has_backlog;
    bool loses_place;
    size_t chunks;
    char got[128];
};

static struct reader *reader_of(const struct follower *follower)
{
    return list_entry(follower, struct reader, follower);
}

static void reader_gets(struct reader *reader, const char *letters, size_t len)
{
    size_t had = strlen(reader->got);
    assert_true(had + len < sizeof reader->got);
    memcpy(reader->got + had, letters, len);
}

static bool stage_is_readable(void *arg)
{
    return ((struct stage *)arg)->is_readable;
}

static bool reader_has_backlog(const struct follower *follower)
{
    reader_of(follower)->stage->asked++;
    return reader_of(follower)->has_backlog;
}

static void reader_takes_place(struct reader *reader, size_t at)
{
    size_t *place = mem_zalloc(1, sizeof *place);
    *place = at;
    reader->follower.place = place;
    reader->stage->places++;
}

static enum follower_state send_letters(struct follower *follower)
{
    struct reader *reader = reader_of(follower);
    reader_gets(reader, "[", 1);
    if (reader->stage->by_chunks) {
        reader_takes_place(reader, 0);
        return FOLLOWER_CATCHING_UP;
    }
    reader_gets(reader, reader->stage->letters, strlen(reader->stage->letters));
    return FOLLOWER_CURRENT;
}

static enum follower_state send_letter_chunk(struct follower *follower)
{
    struct reader *reader = reader_of(follower);
    size_t *place = follower->place;
    const char *rest = reader->stage->letters + *place;
    size_t len = strlen(rest);
    if (reader->loses_place) {
        reader->loses_place = false;
        return FOLLOWER_BACKLOGGED;
    }
    reader->chunks++;
    reader_gets(reader, rest, len < CHUNK ? len : CHUNK);
    *place += len < CHUNK ? len : CHUNK;
    return len < CHUNK ? FOLLOWER_CURRENT : FOLLOWER_CATCHING_UP;
}

static void send_change(struct follower *follower, void *changes)
{
    reader_gets(reader_of(follower), changes, strlen(changes));
}

static void take_reader_place(struct follower *follower)
{
    struct reader *reader = reader_of(follower);
    reader_takes_place(reader, strlen(reader->stage->letters) - 1);
}

static void free_reader_place(struct follower *follower)
{
    reader_of(follower)->stage->places--;
    free(follower->place);
}

static const struct follower_callbacks callbacks = {
    .is_readable = stage_is_readable,
    .has_backlog = reader_has_backlog,
    .send_whole = send_letters,
    .send_chunk = send_letter_chunk,
    .send_changes = send_change,
    .take_place = take_reader_place,
    .free_place = free_reader_place,
};

static int stage_create(void **state)
{
    struct stage *stage = mem_zalloc(1, sizeof *stage);
    stage->loop = loop_create();
    stage->is_readable = true;
    strcpy(stage->letters, "abcdefgh");
    follower_list_init(&stage->list, stage->loop, &callbacks, stage);
    *state = stage;
    return 0;
}

static int stage_destroy(void **state)
{
    struct stage *stage = *state;
    assert_true(follower_list_is_empty(&stage->list));
    assert_int_equal(stage->places, 0);
    follower_list_free(&stage->list);
    loop_destroy(&stage->loop);
    free(stage);
    return 0;
}

static void iterate(struct stage *stage)
{
    loop_iterate(stage->loop, 0);
}

/* The next chunk, and no more than that in one iteration. */
static void await_chunk(struct reader *reader)
{
    const size_t before = reader->chunks;
    while (reader->chunks == before) {
        loop_iterate(reader->stage->loop, 100);
    }
    assert_int_equal(reader->chunks, before + 1);
}

static void await_current(struct reader *reader)
{
    while (reader->follower.state != FOLLOWER_CURRENT) {
        await_chunk(reader);
    }
}

static void publish_letter(struct stage *stage, char letter)
{
    char change[2] = {letter, 0};
    strcat(stage->letters, change);
    follower_list_publish(&stage->list, change);
}

static void reader_joins(struct reader *reader, struct stage *stage)
{
    *reader = (struct reader){.stage = stage};
    follower_init(&reader->follower);
    follower_wait(&stage->list, &reader->follower);
    follower_list_serve(&stage->list);
}

static void reader_drains(struct reader *reader)
{
    reader->has_backlog = false;
    follower_drained(&reader->stage->list, &reader->follower);
}

static void reader_leaves(struct reader *reader)
{
    follower_stop(&reader->stage->list, &reader->follower);
    assert_int_equal(reader->follower.state, FOLLOWER_OFF);
}

static void test_a_small_list_is_sent_at_once_then_its_changes(void **state)
{
    struct stage *stage = *state;
    struct reader reader;
    reader_joins(&reader, stage);
    assert_string_equal(reader.got, ""); /* not before the changes of the iteration */
    assert_false(follower_list_has_current(&stage->list));
    iterate(stage);
    assert_string_equal(reader.got, "[abcdefgh");
    assert_true(follower_list_has_current(&stage->list));
    publish_letter(stage, 'i');
    assert_string_equal(reader.got, "[abcdefghi");
    reader_leaves(&reader);
    publish_letter(stage, 'j');
    assert_string_equal(reader.got, "[abcdefghi");
}

static void test_a_large_list_is_sent_a_chunk_an_iteration(void **state)
{
    struct stage *stage = *state;
    struct reader reader;
    stage->by_chunks = true;
    reader_joins(&reader, stage);
    iterate(stage);
    assert_string_equal(reader.got, "[abc");
    assert_int_equal(reader.follower.state, FOLLOWER_CATCHING_UP);
    follower_drained(&stage->list, &reader.follower); /* and the timer: still one chunk */
    await_chunk(&reader);
    assert_string_equal(reader.got, "[abcdef");
    publish_letter(stage, 'i');
    assert_string_equal(reader.got, "[abcdef"); /* it meets it at its place in the list */
    await_current(&reader);
    assert_string_equal(reader.got, "[abcdefghi");
    assert_int_equal(stage->places, 0);
    reader_leaves(&reader);
}

static void test_one_with_a_backlog_catches_up_when_it_has_drained(void **state)
{
    struct stage *stage = *state;
    struct reader slow, fast;
    int64_t before = metrics_get(METRIC_CONFLATIONS);
    reader_joins(&slow, stage);
    reader_joins(&fast, stage);
    iterate(stage);
    slow.has_backlog = true;
    for (char letter = 'i'; letter <= 'm'; letter++) {
        publish_letter(stage, letter);
        iterate(stage);
    }
    assert_int_equal(metrics_get(METRIC_CONFLATIONS), before + 1);
    assert_int_equal(slow.follower.state, FOLLOWER_CATCHING_UP);
    assert_string_equal(slow.got, "[abcdefgh");
    assert_string_equal(fast.got, "[abcdefghijklm");
    reader_drains(&slow);
    assert_string_equal(slow.got, "[abcdefgh");
    await_chunk(&slow);
    assert_string_equal(slow.got, "[abcdefghijk");
    await_current(&slow);
    assert_string_equal(slow.got, "[abcdefghijklm");
    reader_leaves(&slow);
    reader_leaves(&fast);
}

static void test_the_whole_list_waits_for_backlog_and_own_writes(void **state)
{
    struct stage *stage = *state;
    struct reader reader;
    reader_joins(&reader, stage);
    reader.has_backlog = true;
    iterate(stage);
    assert_string_equal(reader.got, "");
    reader.follower.read = (struct map_read *)(void *)stage; /* pending; it is not cancelled */
    reader_drains(&reader);
    iterate(stage);
    assert_string_equal(reader.got, "");
    follower_reached(&stage->list, &reader.follower);
    iterate(stage);
    assert_string_equal(reader.got, "[abcdefgh");
    reader_leaves(&reader);
}

static void test_a_lost_place_makes_the_whole_list_due(void **state)
{
    struct stage *stage = *state;
    struct reader reader;
    reader_joins(&reader, stage);
    iterate(stage);
    reader.has_backlog = true;
    publish_letter(stage, 'i');
    reader.loses_place = true;
    reader_drains(&reader);
    iterate(stage);
    assert_string_equal(reader.got, "[abcdefgh[abcdefghi");
    assert_int_equal(stage->places, 0);
    reader_leaves(&reader);
}

/* Nothing is sent of a list that cannot be read; afterwards all go on, from their places too. */
static void test_what_an_unreadable_list_interrupts_goes_on(void **state)
{
    struct stage *stage = *state;
    struct reader joining, midway;
    stage->by_chunks = true;
    reader_joins(&midway, stage);
    iterate(stage);
    assert_string_equal(midway.got, "[abc");
    stage->is_readable = false;
    reader_joins(&joining, stage);
    for (int i = 0; i < 3; i++) {
        iterate(stage);
    }
    assert_string_equal(midway.got, "[abc");
    assert_string_equal(joining.got, "");
    stage->is_readable = true;
    follower_list_resume(&stage->list);
    await_current(&midway);
    while (joining.follower.state != FOLLOWER_CURRENT) {
        loop_iterate(stage->loop, 100);
    }
    assert_string_equal(midway.got, "[abcdefgh");
    assert_string_equal(joining.got, "[abcdefgh");
    reader_leaves(&joining);
    reader_leaves(&midway);
}

static void test_suspended_all_are_owed_the_whole_list(void **state)
{
    struct stage *stage = *state;
    struct reader current, midway;
    reader_joins(&current, stage);
    iterate(stage);
    stage->by_chunks = true;
    reader_joins(&midway, stage);
    iterate(stage);
    assert_int_equal(midway.follower.state, FOLLOWER_CATCHING_UP);
    follower_list_suspend(&stage->list);
    assert_int_equal(stage->places, 0);
    assert_int_equal(current.follower.state, FOLLOWER_BACKLOGGED);
    assert_int_equal(midway.follower.state, FOLLOWER_BACKLOGGED);
    publish_letter(stage, 'i');
    stage->by_chunks = false;
    follower_list_serve(&stage->list);
    iterate(stage);
    assert_string_equal(current.got, "[abcdefgh[abcdefghi");
    assert_string_equal(midway.got, "[abc[abcdefghi");
    reader_leaves(&current);
    reader_leaves(&midway);
}

static void test_a_restart_gives_up_the_place(void **state)
{
    struct stage *stage = *state;
    struct reader reader;
    stage->by_chunks = true;
    reader_joins(&reader, stage);
    iterate(stage);
    follower_restart(&stage->list, &reader.follower);
    assert_string_equal(reader.got, "[abc[abc");
    assert_int_equal(stage->places, 1);
    reader_leaves(&reader);
}

/* Of many readers that wait, each drains in an iteration of its own. Returns how many were looked
 * at. */
static size_t look_while_they_drain(struct stage *stage, size_t count, bool by_chunks)
{
    struct reader *readers = mem_zalloc(count, sizeof *readers);
    size_t asked;
    stage->by_chunks = by_chunks;
    for (size_t i = 0; i < count; i++) {
        reader_joins(&readers[i], stage);
        readers[i].has_backlog = !by_chunks;
    }
    iterate(stage);
    for (size_t i = 0; by_chunks && i < count; i++) {
        assert_int_equal(readers[i].follower.state, FOLLOWER_CATCHING_UP);
        readers[i].has_backlog = true;
    }
    for (int i = 0; i < 5; i++) {
        loop_iterate(stage->loop, 1);
    }
    asked = stage->asked;
    for (size_t i = 0; i < count; i++) {
        reader_drains(&readers[i]);
        iterate(stage);
        readers[i].has_backlog = true;
        iterate(stage);
        iterate(stage);
    }
    asked = stage->asked - asked;
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(readers[i].follower.state,
                         by_chunks ? FOLLOWER_CATCHING_UP : FOLLOWER_CURRENT);
        reader_leaves(&readers[i]);
    }
    free(readers);
    return asked;
}

static void test_who_drains_is_found_among_many(void **state)
{
    struct stage *stage = *state;
    memset(stage->letters, 'x', 60); /* many chunks */
    stage->letters[60] = '\0';
    for (int by_chunks = 0; by_chunks < 2; by_chunks++) {
        for (size_t count = 100; count <= 400; count *= 2) {
            /* Each is looked at when it has drained, and after the chunk that it was sent. */
            size_t asked = look_while_they_drain(stage, count, by_chunks);
            assert_in_range(asked, count, 4 * count);
        }
    }
}

static void test_a_read_that_is_done_serves_its_reader(void **state)
{
    struct stage *stage = *state;
    struct reader first = {.stage = stage}, second = {.stage = stage};
    follower_init(&first.follower);
    follower_init(&second.follower);
    follower_wait(&stage->list, &first.follower);
    first.follower.read = (struct map_read *)&first; /* something that is not NULL */
    follower_wait(&stage->list, &second.follower);
    second.follower.read = (struct map_read *)&second;
    follower_list_serve(&stage->list);
    iterate(stage);
    assert_string_equal(first.got, "");
    follower_reached(&stage->list, &second.follower);
    iterate(stage);
    assert_string_equal(first.got, "");
    assert_string_equal(second.got, "[abcdefgh");
    follower_reached(&stage->list, &first.follower);
    iterate(stage);
    assert_string_equal(first.got, "[abcdefgh");
    reader_leaves(&first);
    reader_leaves(&second);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, stage_create, stage_destroy)
    const struct CMUnitTest tests[] = {
        TEST(test_a_small_list_is_sent_at_once_then_its_changes),
        TEST(test_a_large_list_is_sent_a_chunk_an_iteration),
        TEST(test_one_with_a_backlog_catches_up_when_it_has_drained),
        TEST(test_the_whole_list_waits_for_backlog_and_own_writes),
        TEST(test_a_lost_place_makes_the_whole_list_due),
        TEST(test_what_an_unreadable_list_interrupts_goes_on),
        TEST(test_suspended_all_are_owed_the_whole_list),
        TEST(test_a_restart_gives_up_the_place),
        TEST(test_who_drains_is_found_among_many),
        TEST(test_a_read_that_is_done_serves_its_reader),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
