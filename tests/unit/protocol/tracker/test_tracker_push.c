/* Which readers get which pushes: whole maps, changes, closes, and readers with a backlog. */
#include "protocol/tracker/fixture.h"

#define ENTRIES_MAX 4096

/* What a reader knows from its pushes, as a reader of the document would keep it. */
struct reader {
    struct peer peer;
    struct writer kept;
    char own[ID_CLIENT_LENGTH + 1];
    struct known {
        char id[16];
        char state[256];
        bool current; /* sent with the map's present version, or since */
    } known[ENTRIES_MAX];
    size_t count;
    bool has_map;
    uint8_t map_version;
    unsigned maps; /* that differed in their version */
    unsigned ones;
    unsigned own_ones;
    unsigned acks; /* answers 01 */
};

static struct known *find(struct reader *reader, struct bytes id, bool add)
{
    for (size_t i = 0; i < reader->count; i++) {
        if (bytes_equal(bytes_from_string(reader->known[i].id), id)) {
            return &reader->known[i];
        }
    }
    if (!add) {
        return NULL;
    }
    assert_true(reader->count < ENTRIES_MAX && id.len < sizeof reader->known[0].id);
    struct known *known = &reader->known[reader->count++];
    memset(known, 0, sizeof *known);
    memcpy(known->id, id.data, id.len);
    return known;
}

static void learn(struct reader *reader, struct bytes id, struct bytes state)
{
    struct known *known = find(reader, id, true);
    assert_true(state.len < sizeof known->state);
    if (state.len > 0) {
        memcpy(known->state, state.data, state.len);
    }
    known->state[state.len] = 0;
}

static void take_all(struct reader *reader, const struct tracker_push *push)
{
    struct bytes left = push->entries, id, state;
    uint8_t version;
    if (!reader->has_map || reader->map_version != push->version) {
        reader->count = 0;
        reader->maps++;
    }
    reader->has_map = true;
    reader->map_version = push->version;
    while (tracker_all_next(&left, &version, &id, &state)) {
        learn(reader, id, state);
    }
    assert_int_equal(left.len, 0);
}

static void take_one(struct reader *reader, const struct tracker_push *push)
{
    reader->ones++;
    reader->own_ones += bytes_equal(push->id, bytes_from_string(reader->own));
    learn(reader, push->id, push->state);
}

/* Takes an answer off the input: 01, or the id that an Open got. */
static bool take_answer(struct reader *reader)
{
    const struct writer *input = &reader->peer.input;
    if (input->len >= 1 && input->data[0] == 1) {
        reader->acks++;
        peer_drop_input(&reader->peer, 1);
        return true;
    }
    if (input->len < 1 + ID_CLIENT_LENGTH || input->data[0] != ID_CLIENT_LENGTH) {
        return false;
    }
    peer_read_id(&reader->peer, TRACKER_VERSIONED, reader->own);
    return true;
}

/* Takes what has come. Always true. */
static bool reader_read(struct reader *reader)
{
    struct tracker_push push;
    peer_read(&reader->peer);
    while (reader->peer.input.len > 0) {
        if (reader->peer.input.data[0] != TRACKER_MAGIC_DOCUMENT) {
            if (!take_answer(reader)) {
                break;
            }
        } else if (!peer_push(&reader->peer, &push, &reader->kept)) {
            break;
        } else if (push.type == TRACKER_ALL) {
            take_all(reader, &push);
        } else {
            take_one(reader, &push);
        }
    }
    return true;
}

static bool knows(struct reader *reader, const char *id, const char *state)
{
    const struct known *known = find(reader, bytes_from_string(id), false);
    return state ? known && strcmp(known->state, state) == 0 : !known;
}

#define WAIT_KNOWS(reader, id, state)                                                              \
    WAIT_UNTIL((reader)->peer.stage->world, reader_read(reader) && knows(reader, id, state))

/* A connection gets the buffers that its listener had when it was made; so one is made for the
 * listener to take the setting. */
static void use_small_buffers(struct stage *stage)
{
    struct peer peer;
    size_t before = tracker_service_count(stage->service);
    stage_set(stage, "net.send_buffer=4096");
    peer_connect(&peer, stage, 0);
    WAIT_UNTIL(stage->world, tracker_service_count(stage->service) > before);
    peer_free(&peer);
    WAIT_UNTIL(stage->world, tracker_service_count(stage->service) == before);
}

static struct reader *reader_create(struct stage *stage, int receive_buffer)
{
    struct reader *reader = mem_zalloc(1, sizeof *reader);
    peer_connect(&reader->peer, stage, receive_buffer);
    peer_open(&reader->peer, TRACKER_VERSIONED, "reader");
    WAIT_UNTIL(stage->world, reader_read(reader) && reader->own[0]);
    return reader;
}

static void reader_free(struct reader *reader)
{
    peer_free(&reader->peer);
    writer_free(&reader->kept);
    free(reader);
}

/* A client of the map, without a connection: many entries, quickly. */
static void fill(struct stage *stage, struct client *client, unsigned count, const char *state)
{
    char id[16], long_state[128];
    unsigned answers = client->answers;
    for (unsigned i = 0; i < count; i++) {
        snprintf(id, sizeof id, "entry%u", i);
        snprintf(long_state, sizeof long_state, "%s %u %.60s", state, i,
                 "with some more bytes, so that the map is larger than a share");
        client_send_update(client, id, MAP_VERSION_NEXT, 0, long_state);
    }
    WAIT_UNTIL(stage->world, client->answers == answers + count);
}

static void test_the_whole_map_then_changes(void **state)
{
    struct stage *stage = *state;
    struct client client;
    client_connect(&client, stage->front);
    client_open(stage->world, &client, "before");
    struct reader *reader = reader_create(stage, 0);
    WAIT_KNOWS(reader, client.id, "before");
    WAIT_KNOWS(reader, reader->own, "reader");
    assert_int_equal(reader->maps, 1);
    assert_int_equal(reader->ones, 0);
    char id[256];
    snprintf(id, sizeof id, "%s", client.id);
    client_update(stage->world, &client, id, 1, "after");
    WAIT_KNOWS(reader, id, "after");
    assert_int_equal(reader->maps, 1);
    assert_int_equal(reader->ones, 1);
    map_session_end(&client.session, false);
    WAIT_KNOWS(reader, id, NULL);
    assert_int_equal(reader->maps, 2);
    reader_free(reader);
}

static void test_own_changes_are_not_sent_back(void **state)
{
    struct stage *stage = *state;
    struct reader *first = reader_create(stage, 0), *second = reader_create(stage, 0);
    WAIT_KNOWS(first, second->own, "reader");
    WAIT_KNOWS(second, first->own, "reader");
    struct writer to = {0};
    for (unsigned i = 1; i <= 50; i++) {
        tracker_write_update(&to, TRACKER_VERSIONED, bytes_from_string(first->own), i,
                             BYTES_LITERAL("mine"));
    }
    peer_send_all(&first->peer, &to);
    WAIT_KNOWS(second, first->own, "mine");
    WAIT_UNTIL(stage->world, reader_read(first) && first->acks == 50);
    assert_int_equal(first->own_ones, 0);
    reader_free(first);
    reader_free(second);
}

static void test_a_large_map_comes_in_chunks(void **state)
{
    enum { COUNT = 3000 };
    struct stage *stage = *state;
    struct client client;
    char id[16];
    front_set(stage->front, "client.max_ids=10000");
    stage_set(stage, "tracker.chunk=4KiB");
    client_connect(&client, stage->front);
    fill(stage, &client, COUNT, "first");
    struct reader *reader = reader_create(stage, 0);
    WAIT_UNTIL(stage->world, reader_read(reader) && reader->count >= COUNT + 1);
    assert_int_equal(reader->maps, 1);
    assert_int_equal(reader->count, COUNT + 1);
    /* Changes in the middle of another whole map are in it, or behind it. */
    peer_close(&reader->peer, TRACKER_VERSIONED, reader->own);
    peer_open(&reader->peer, TRACKER_VERSIONED, "again");
    fill(stage, &client, COUNT, "second");
    for (unsigned i = 0; i < COUNT; i++) {
        snprintf(id, sizeof id, "entry%u", i);
        WAIT_UNTIL(stage->world,
                   reader_read(reader) && find(reader, bytes_from_string(id), false) &&
                       strncmp(find(reader, bytes_from_string(id), false)->state, "second", 6) ==
                           0);
    }
    map_session_end(&client.session, false);
    reader_free(reader);
}

/* A stalled reader costs a place in the list, and then gets each entry once. */
static void test_a_slow_reader_gets_the_newest(void **state)
{
    enum { COUNT = 200, ROUNDS = 100 };
    struct stage *stage = *state;
    struct client client;
    char text[16], id[16];
    int64_t before = metrics_get(METRIC_CONFLATIONS);
    front_set(stage->front, "client.max_ids=10000");
    use_small_buffers(stage);
    client_connect(&client, stage->front);
    fill(stage, &client, COUNT, "round");
    struct reader *reader = reader_create(stage, 4096);
    WAIT_UNTIL(stage->world, reader_read(reader) && reader->count == COUNT + 1);
    for (unsigned round = 0; round < ROUNDS; round++) {
        snprintf(text, sizeof text, "r%u", round);
        fill(stage, &client, COUNT, text);
    }
    assert_int_equal(metrics_get(METRIC_CONFLATIONS) - before, 1);
    /* Bounded by what one iteration brought before it had a backlog, not by the rounds. */
    assert_true(metrics_get(METRIC_OUTPUT_QUEUED) < 256 * 1024);
    unsigned ones = reader->ones;
    for (unsigned i = 0; i < COUNT; i++) {
        snprintf(id, sizeof id, "entry%u", i);
        snprintf(text, sizeof text, "r%u %u ", ROUNDS - 1, i);
        WAIT_UNTIL(stage->world,
                   reader_read(reader) && strncmp(find(reader, bytes_from_string(id), true)->state,
                                                  text, strlen(text)) == 0);
    }
    assert_true(reader->ones - ones < ROUNDS / 2 * COUNT);
    assert_int_equal(reader->maps, 1);
    /* And is current again. */
    client_update(stage->world, &client, "entry0", 1000000, "last");
    WAIT_KNOWS(reader, "entry0", "last");
    map_session_end(&client.session, false);
    reader_free(reader);
}

/* Closes while a reader is stalled: the whole map, once it reads. */
static void test_a_slow_reader_gets_the_whole_map_after_closes(void **state)
{
    enum { COUNT = 300 };
    struct stage *stage = *state;
    struct client client, other;
    front_set(stage->front, "client.max_ids=10000");
    use_small_buffers(stage);
    stage_set(stage, "tracker.push_all_interval=0s");
    client_connect(&client, stage->front);
    client_connect(&other, stage->front);
    client_open(stage->world, &other, "to be closed");
    fill(stage, &client, COUNT, "zero");
    struct reader *reader = reader_create(stage, 4096);
    WAIT_UNTIL(stage->world, reader_read(reader) && reader->count == COUNT + 2);
    for (unsigned round = 0; round < 20; round++) {
        fill(stage, &client, COUNT, "more");
    }
    map_session_end(&other.session, false);
    fill(stage, &client, COUNT, "last");
    WAIT_KNOWS(reader, other.id, NULL);
    assert_int_equal(reader->maps, 2);
    WAIT_UNTIL(stage->world, reader_read(reader) && reader->count == COUNT + 1);
    map_session_end(&client.session, false);
    reader_free(reader);
}

/* Many closes, one after the other: not a whole map for each. */
static void test_closes_are_sent_at_intervals(void **state)
{
    enum { COUNT = 40 };
    struct stage *stage = *state;
    struct client clients[COUNT];
    stage_set(stage, "tracker.push_all_interval=300ms");
    for (int i = 0; i < COUNT; i++) {
        client_connect(&clients[i], stage->front);
        client_open(stage->world, &clients[i], "short-lived");
    }
    struct reader *reader = reader_create(stage, 0);
    WAIT_UNTIL(stage->world, reader_read(reader) && reader->count == COUNT + 1);
    uint64_t began = clock_monotonic_us();
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(client_close(stage->world, &clients[i], clients[i].id), MAP_OK);
        map_session_end(&clients[i].session, false);
        reader_read(reader);
    }
    WAIT_UNTIL(stage->world, reader_read(reader) && reader->count == 1);
    uint64_t intervals = (clock_monotonic_us() - began) / 300000;
    assert_true(reader->maps <= 3 + intervals);
    assert_int_equal(reader->ones, 0);
    reader_free(reader);
}

/* Two maps that follow one another never have the same version byte. */
static void test_versions_of_maps(void **state)
{
    struct stage *stage = *state;
    struct reader *patient = reader_create(stage, 0);
    WAIT_KNOWS(patient, patient->own, "reader");
    uint8_t first = patient->map_version;
    struct client client;
    client_connect(&client, stage->front);
    stage_set(stage, "tracker.push_all_interval=1h");
    /* Others are sent 255 maps meanwhile. */
    struct reader *busy = reader_create(stage, 0);
    WAIT_KNOWS(busy, busy->own, "reader");
    for (unsigned i = 1; (uint8_t)(stage->port->subscribers->maps + 1) != first; i++) {
        uint8_t last = busy->map_version;
        char text[16];
        snprintf(text, sizeof text, "n%u", i);
        peer_close(&busy->peer, TRACKER_VERSIONED, busy->own);
        peer_open(&busy->peer, TRACKER_VERSIONED, text);
        WAIT_UNTIL(stage->world, reader_read(busy) && knows(busy, busy->own, text));
        assert_int_not_equal(busy->map_version, last);
    }
    stage_set(stage, "tracker.push_all_interval=0s");
    client_open(stage->world, &client, "one more");
    WAIT_KNOWS(patient, client.id, "one more");
    char id[256];
    snprintf(id, sizeof id, "%s", client.id);
    map_session_end(&client.session, false);
    WAIT_KNOWS(patient, id, NULL);
    assert_int_not_equal(patient->map_version, first);
    reader_free(patient);
    reader_free(busy);
}

static void test_a_space_that_is_too_large_is_not_sent(void **state)
{
    struct stage *stage = *state;
    struct client client;
    front_set(stage->front, "view.max_entries=10");
    front_set(stage->front, "client.max_ids=100");
    stage_set(stage, "tracker.push_all_interval=0s");
    struct reader *reader = reader_create(stage, 0);
    WAIT_KNOWS(reader, reader->own, "reader");
    client_connect(&client, stage->front);
    fill(stage, &client, 50, "many");
    WAIT_UNTIL(stage->world, stage->port->subscribers->refused);
    /* A Get is refused too, writes are accepted. */
    struct peer plain;
    peer_connect(&plain, stage, 0);
    peer_get(&plain, TRACKER_PLAIN);
    peer_expect_byte(&plain, 0);
    peer_free(&plain);
    reader_read(reader);
    peer_update(&reader->peer, TRACKER_VERSIONED, reader->own, 1, "accepted");
    WAIT_UNTIL(stage->world, reader_read(reader) && reader->acks == 1);
    /* When it is small again, all get the whole map. */
    map_session_end(&client.session, false);
    WAIT_UNTIL(stage->world, reader_read(reader) && reader->count == 1 && reader->maps > 1);
    WAIT_KNOWS(reader, reader->own, "accepted");
    reader_free(reader);
}

static void test_pushes_are_off_where_they_are(void **state)
{
    struct stage *stage = *state;
    stage_set(stage, "tracker.push=off");
    struct reader *reader = reader_create(stage, 0);
    assert_null(stage->port->subscribers->watcher.view);
    stage_set(stage, "tracker.push=auto");
    struct peer peer;
    char id[ID_CLIENT_LENGTH + 1];
    peer_connect(&peer, stage, 0);
    peer_open(&peer, TRACKER_2013, "original");
    peer_read_id(&peer, TRACKER_2013, id);
    assert_null(stage->port->subscribers->watcher.view);
    /* The first accepted Update begins them too, and the last reader's end ends the view's use. */
    struct reader *updater = mem_zalloc(1, sizeof *updater);
    peer_connect(&updater->peer, stage, 0);
    peer_update(&updater->peer, TRACKER_VERSIONED, "brought", 1, "x");
    WAIT_KNOWS(updater, id, "original");
    reader_free(updater);
    WAIT_UNTIL(stage->world, !stage->port->subscribers->watcher.view);
    reader_read(reader);
    assert_int_equal(reader->maps + reader->ones, 0);
    peer_free(&peer);
    reader_free(reader);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, stage_create, stage_destroy)
    const struct CMUnitTest tests[] = {
        TEST(test_the_whole_map_then_changes),
        TEST(test_own_changes_are_not_sent_back),
        TEST(test_a_large_map_comes_in_chunks),
        TEST(test_a_slow_reader_gets_the_newest),
        TEST(test_a_slow_reader_gets_the_whole_map_after_closes),
        TEST(test_closes_are_sent_at_intervals),
        TEST(test_versions_of_maps),
        TEST(test_a_space_that_is_too_large_is_not_sent),
        TEST(test_pushes_are_off_where_they_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
