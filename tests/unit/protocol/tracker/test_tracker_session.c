/* What each dialect's requests are answered with, in which order, and what ends a session. */
#include "budget/budget.h"
#include "protocol/tracker/fixture.h"

#define EXPECT_BYTES(peer, ...)                                                                    \
    peer_expect(peer, (struct bytes){(const uint8_t[]){__VA_ARGS__},                               \
                                     sizeof((const uint8_t[]){__VA_ARGS__})})

static void test_versioned(void **state)
{
    struct peer peer;
    char id[ID_CLIENT_LENGTH + 1];
    struct stage *stage = *state;
    stage_set(stage, "tracker.push=off");
    peer_connect(&peer, stage, 0);
    peer_open(&peer, TRACKER_VERSIONED, "zero");
    peer_read_id(&peer, TRACKER_VERSIONED, id);
    peer_update(&peer, TRACKER_VERSIONED, id, 5, "five");
    peer_update(&peer, TRACKER_VERSIONED, id, 4, "stale");
    peer_update(&peer, TRACKER_VERSIONED, "brought", 1, "by the client");
    peer_close(&peer, TRACKER_VERSIONED, id);
    peer_close(&peer, TRACKER_VERSIONED, "nobody's");
    EXPECT_BYTES(&peer, 1, 0, 1, 1, 1);
    peer_free(&peer);
}

static void test_plain(void **state)
{
    struct peer peer;
    struct stage *stage = *state;
    peer_connect(&peer, stage, 0);
    peer_get(&peer, TRACKER_PLAIN);
    EXPECT_BYTES(&peer, 2, '{', '}');
    peer_close(&peer, TRACKER_PLAIN, "");
    EXPECT_BYTES(&peer, 1);
    peer_free(&peer);
}

/* 2A 01 waits for a byte that decides the dialect: 2A is no type of the versioned one. */
static void test_plain_close_first(void **state)
{
    struct peer peer;
    peer_connect(&peer, *state, 0);
    peer_close(&peer, TRACKER_PLAIN, "");
    peer_get(&peer, TRACKER_PLAIN);
    EXPECT_BYTES(&peer, 1, 2, '{', '}');
    /* What has been a Close is none again at the end of the stream. */
    assert_int_equal(shutdown(peer.fd, SHUT_WR), 0);
    peer_expect_end(&peer);
    peer_free(&peer);
}

static void test_plain_close_and_the_end(void **state)
{
    struct peer peer;
    peer_connect(&peer, *state, 0);
    peer_close(&peer, TRACKER_PLAIN, "");
    assert_int_equal(shutdown(peer.fd, SHUT_WR), 0);
    EXPECT_BYTES(&peer, 1);
    peer_expect_end(&peer);
    peer_free(&peer);
}

static void test_no_close_at_the_end_of_half_a_message(void **state)
{
    struct peer peer;
    peer_connect(&peer, *state, 0);
    peer_close(&peer, TRACKER_PLAIN, "");
    peer_send(&peer, BYTES_LITERAL("\1\10"));
    assert_int_equal(shutdown(peer.fd, SHUT_WR), 0);
    peer_expect_end(&peer);
    peer_free(&peer);
}

/* Closes first, and a state and a map that one-byte lengths cannot hold. */
static void test_wide(void **state)
{
    char text[301] = "";
    struct peer peer;
    struct stage *stage = *state;
    memset(text, 'x', sizeof text - 1);
    stage_set(stage, "tracker.form=wide");
    peer_connect(&peer, stage, 0);
    peer_close(&peer, TRACKER_WIDE, "");
    EXPECT_BYTES(&peer, 1);
    peer_open(&peer, TRACKER_WIDE, "one");
    peer_update(&peer, TRACKER_WIDE, "", 0, text);
    peer_get(&peer, TRACKER_WIDE);
    EXPECT_BYTES(&peer, 1, 0, 0, 0, 0, 0, 0, 1, 44 + 3 + ID_CLIENT_LENGTH, '{');
    peer_wait(&peer, ID_CLIENT_LENGTH);
    peer_drop_input(&peer, ID_CLIENT_LENGTH);
    EXPECT_BYTES(&peer, '=');
    peer_expect(&peer, bytes_from_string(text));
    EXPECT_BYTES(&peer, '}');
    peer_open(&peer, TRACKER_WIDE, "again");
    peer_close(&peer, TRACKER_WIDE, "");
    peer_get(&peer, TRACKER_WIDE);
    EXPECT_BYTES(&peer, 1, 1, 0, 0, 0, 0, 0, 0, 0, 2, '{', '}');
    peer_free(&peer);
}

/* Everything in one write: what follows an Open means the entry that it makes. */
static void test_plain_in_one_write(void **state)
{
    static const char expected[] = "=b}";
    struct writer to = {0};
    struct peer peer;
    struct stage *stage = *state;
    peer_connect(&peer, stage, 0);
    tracker_write_open(&to, TRACKER_PLAIN, BYTES_LITERAL("a"));
    tracker_write_update(&to, TRACKER_PLAIN, BYTES_LITERAL(""), 0, BYTES_LITERAL("b"));
    tracker_write_get(&to, TRACKER_PLAIN);
    tracker_write_close(&to, TRACKER_PLAIN, BYTES_LITERAL(""));
    tracker_write_get(&to, TRACKER_PLAIN);
    tracker_write_update(&to, TRACKER_PLAIN, BYTES_LITERAL(""), 0, BYTES_LITERAL("c"));
    tracker_write_open(&to, TRACKER_PLAIN, BYTES_LITERAL("d"));
    tracker_write_get(&to, TRACKER_PLAIN);
    peer_send_all(&peer, &to);
    EXPECT_BYTES(&peer, 1, 2 + 7 + 2, '{');
    peer_wait(&peer, ID_CLIENT_LENGTH);
    peer_drop_input(&peer, ID_CLIENT_LENGTH);
    peer_expect(&peer, bytes_from_string(expected));
    EXPECT_BYTES(&peer, 1, 2, '{', '}', 1, 2 + 7 + 2, '{');
    peer_wait(&peer, ID_CLIENT_LENGTH + 3);
    peer_drop_input(&peer, ID_CLIENT_LENGTH);
    peer_expect(&peer, BYTES_LITERAL("=d}"));
    /* An Open of a connection that has an entry writes that one. */
    assert_int_equal(metrics_get(METRIC_OWNED), 1);
    peer_free(&peer);
}

static void test_2013(void **state)
{
    struct peer owner, peer;
    char id[ID_CLIENT_LENGTH + 1];
    struct stage *stage = *state;
    peer_connect(&owner, stage, 0);
    peer_open(&owner, TRACKER_2013, "owned");
    peer_read_id(&owner, TRACKER_2013, id);
    peer_update(&owner, TRACKER_2013, id, 9, "nine");
    peer_update(&owner, TRACKER_2013, id, 3, "stale, answered so nevertheless");
    peer_get(&owner, TRACKER_2013);
    EXPECT_BYTES(&owner, 1, 1, 1);
    peer_connect(&peer, stage, 0);
    peer_update(&peer, TRACKER_2013, id, 10, "foreign");
    peer_close(&peer, TRACKER_2013, id);
    peer_close(&peer, TRACKER_2013, "nobody's");
    EXPECT_BYTES(&peer, 0, 0, 1);
    peer_free(&peer);
    peer_free(&owner);
}

static void test_2014(void **state)
{
    struct peer peer;
    struct stage *stage = *state;
    stage_set(stage, "tracker.original=2014");
    peer_connect(&peer, stage, 0);
    peer_open(&peer, TRACKER_2014, "one");
    peer_update(&peer, TRACKER_2014, "", 0, "two");
    peer_get(&peer, TRACKER_2014);
    EXPECT_BYTES(&peer, 1, 0, 0, 0, 0, 0, 0, 0, 13, '{');
    peer_wait(&peer, ID_CLIENT_LENGTH + 5);
    peer_drop_input(&peer, ID_CLIENT_LENGTH);
    peer_expect(&peer, BYTES_LITERAL("=two}"));
    peer_close(&peer, TRACKER_2014, "");
    peer_get(&peer, TRACKER_2014);
    EXPECT_BYTES(&peer, 1, 0, 0, 0, 0, 0, 0, 0, 2, '{', '}');
    peer_free(&peer);
}

/* An Open that the map refuses: what each dialect can say of it. */
static void test_open_refused(void **state)
{
    struct peer peer;
    struct stage *stage = *state;
    char id[ID_CLIENT_LENGTH + 1];
    stage_set(stage, "tracker.push=off");
    front_set(stage->front, "client.max_ids=1");
    peer_connect(&peer, stage, 0);
    peer_open(&peer, TRACKER_VERSIONED, "a");
    peer_open(&peer, TRACKER_VERSIONED, "b");
    peer_read_id(&peer, TRACKER_VERSIONED, id);
    EXPECT_BYTES(&peer, 0);
    peer_free(&peer);
    peer_connect(&peer, stage, 0);
    peer_open(&peer, TRACKER_2013, "a");
    peer_open(&peer, TRACKER_2013, "b");
    peer_read_id(&peer, TRACKER_2013, id);
    peer_expect_end(&peer);
    peer_free(&peer);
    front_set(stage->front, "map.max_entries=1");
    peer_connect(&peer, stage, 0);
    peer_open(&peer, TRACKER_PLAIN, "a");
    EXPECT_BYTES(&peer, 0);
    peer_free(&peer);
}

static size_t write_updates(struct writer *to, const char *id, unsigned count)
{
    for (unsigned i = 1; i <= count; i++) {
        tracker_write_update(to, TRACKER_VERSIONED, bytes_from_string(id), i,
                             BYTES_LITERAL("state"));
    }
    return count;
}

/* Many more requests at once than may be outstanding: all are answered, in order. */
static void test_pipeline(void **state)
{
    struct writer to = {0};
    struct peer peer;
    struct stage *stage = *state;
    size_t count = 0;
    stage_set(stage, "tracker.push=off");
    stage_set(stage, "tracker.pipeline=3");
    peer_connect(&peer, stage, 0);
    for (int i = 0; i < 100; i++) {
        tracker_write_update(&to, TRACKER_VERSIONED, BYTES_LITERAL("id"), (uint64_t)(i + 1),
                             BYTES_LITERAL("newer"));
        tracker_write_update(&to, TRACKER_VERSIONED, BYTES_LITERAL("id"), (uint64_t)i,
                             BYTES_LITERAL("older"));
        count += 2;
    }
    peer_send_all(&peer, &to);
    peer_wait(&peer, count);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(peer.input.data[i], i % 2 == 0);
    }
    assert_int_equal(peer.input.len, count);
    peer_free(&peer);
}

/* Over the rate nothing is refused and nothing is lost: it takes longer. */
static void test_rate(void **state)
{
    struct writer to = {0};
    struct peer peer;
    struct stage *stage = *state;
    int64_t before = metrics_get(METRIC_WRITES_RATE);
    stage_set(stage, "tracker.push=off");
    stage_set(stage, "tracker.rate=200");
    stage_set(stage, "tracker.burst=5");
    peer_connect(&peer, stage, 0);
    size_t count = write_updates(&to, "id", 50);
    uint64_t began = clock_monotonic_us();
    peer_send_all(&peer, &to);
    peer_wait(&peer, count);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(peer.input.data[i], 1);
    }
    /* 45 tokens at 200 a second. */
    assert_true(clock_monotonic_us() - began >= 220000);
    assert_true(metrics_get(METRIC_WRITES_RATE) > before);
    peer_free(&peer);
}

/* Of Updates without a reply the newest wins: old states do not pile up before it. All count. */
static void test_superseded_updates(void **state)
{
    static const enum tracker_dialect dialects[] = {TRACKER_PLAIN, TRACKER_2014};
    struct stage *stage = *state;
    stage_set(stage, "tracker.original=2014");
    stage_set(stage, "tracker.rate=1");
    stage_set(stage, "tracker.burst=3");
    for (size_t i = 0; i < 2; i++) {
        struct writer to = {0};
        struct peer peer;
        char text[16], key[64];
        int64_t before = metrics_get(METRIC_WRITES_SUPERSEDED);
        peer_connect(&peer, stage, 0);
        tracker_write_open(&to, dialects[i], BYTES_LITERAL("0"));
        for (int n = 1; n <= 1000; n++) {
            (void)snprintf(text, sizeof text, "%d", n);
            tracker_write_update(&to, dialects[i], BYTES_LITERAL(""), 0, bytes_from_string(text));
        }
        tracker_write_get(&to, dialects[i]);
        peer_send_all(&peer, &to);
        EXPECT_BYTES(&peer, 1);
        if (dialects[i] == TRACKER_2014) {
            EXPECT_BYTES(&peer, 0, 0, 0, 0, 0, 0, 0);
        }
        EXPECT_BYTES(&peer, 2 + ID_CLIENT_LENGTH + 5, '{');
        peer_wait(&peer, ID_CLIENT_LENGTH);
        (void)snprintf(key, sizeof key, "tracker:{main/1/0}:client:%.7s", peer.input.data);
        peer_drop_input(&peer, ID_CLIENT_LENGTH);
        peer_expect(&peer, BYTES_LITERAL("=1000}"));
        assert_string_equal(WORLD_REDIS(stage->world, "HGET", key, "version"), "1000");
        assert_true(metrics_get(METRIC_WRITES_SUPERSEDED) - before >= 900);
        peer_close(&peer, dialects[i], "");
        EXPECT_BYTES(&peer, 1);
        peer_free(&peer);
    }
}

/* What is held is written before the session ends, without waiting for the rate. */
static void test_the_newest_update_of_a_leaving_client(void **state)
{
    struct writer to = {0};
    struct peer peer, reader;
    struct stage *stage = *state;
    stage_set(stage, "tracker.rate=1");
    stage_set(stage, "tracker.burst=1");
    peer_connect(&peer, stage, 0);
    tracker_write_open(&to, TRACKER_PLAIN, BYTES_LITERAL("first"));
    tracker_write_update(&to, TRACKER_PLAIN, BYTES_LITERAL(""), 0, BYTES_LITERAL("old"));
    tracker_write_update(&to, TRACKER_PLAIN, BYTES_LITERAL(""), 0, BYTES_LITERAL("newest"));
    peer_send_all(&peer, &to);
    assert_int_equal(shutdown(peer.fd, SHUT_WR), 0);
    EXPECT_BYTES(&peer, 1);
    peer_expect_end(&peer);
    peer_connect(&reader, stage, 0);
    peer_get(&reader, TRACKER_PLAIN);
    EXPECT_BYTES(&reader, 2 + ID_CLIENT_LENGTH + 7, '{');
    peer_wait(&reader, ID_CLIENT_LENGTH);
    peer_drop_input(&reader, ID_CLIENT_LENGTH);
    peer_expect(&reader, BYTES_LITERAL("=newest}"));
    peer_free(&reader);
    peer_free(&peer);
}

static void test_uuids(void **state)
{
    struct peer peer;
    struct stage *stage = *state;
    stage_set(stage, "tracker.id_form=uuid");
    stage_set(stage, "tracker.push=off");
    peer_connect(&peer, stage, 0);
    peer_open(&peer, TRACKER_VERSIONED, "a");
    EXPECT_BYTES(&peer, ID_UUID_LENGTH);
    peer_wait(&peer, ID_UUID_LENGTH);
    assert_int_equal(peer.input.data[8], '-');
    assert_int_equal(peer.input.data[14], '4');
    peer_free(&peer);
    peer_connect(&peer, stage, 0);
    peer_open(&peer, TRACKER_PLAIN, "b");
    peer_update(&peer, TRACKER_PLAIN, "", 0, "c");
    peer_get(&peer, TRACKER_PLAIN);
    EXPECT_BYTES(&peer, 1, 2 + 2 * (ID_UUID_LENGTH + 2) + 2, '{');
    peer_free(&peer);
    /* It reads seven bytes, and no more. */
    peer_connect(&peer, stage, 0);
    char id[ID_CLIENT_LENGTH + 1];
    peer_open(&peer, TRACKER_2013, "d");
    peer_read_id(&peer, TRACKER_2013, id);
    peer_update(&peer, TRACKER_2013, id, 1, "e");
    EXPECT_BYTES(&peer, 1);
    peer_free(&peer);
}

static void test_rate_of_an_address(void **state)
{
    struct peer peers[3];
    struct stage *stage = *state;
    uint64_t began = clock_monotonic_us();
    stage_set(stage, "tracker.push=off");
    /* Two units each: a message, and an operation. */
    static const struct budget_settings budget = {.address_rate = 400, .address_burst = 20};
    net_set_budget(stage->net, &budget);
    for (int i = 0; i < 3; i++) {
        struct writer to = {0};
        char id[4] = {'i', 'd', (char)('0' + i), 0};
        peer_connect(&peers[i], stage, 0);
        write_updates(&to, id, 20);
        peer_send_all(&peers[i], &to);
    }
    for (int i = 0; i < 3; i++) {
        peer_wait(&peers[i], 20);
    }
    assert_true(clock_monotonic_us() - began >= 245000);
    for (int i = 0; i < 3; i++) {
        peer_free(&peers[i]);
    }
}

/* What came before the malformed message is done and answered; nothing after it is. */
static void test_malformed_behind_good_ones(void **state)
{
    struct writer to = {0};
    struct peer peer;
    struct stage *stage = *state;
    stage_set(stage, "tracker.push=off");
    peer_connect(&peer, stage, 0);
    write_updates(&to, "id", 2);
    writer_bytes(&to, BYTES_LITERAL("\x2a\x01\x09"));
    tracker_write_update(&to, TRACKER_VERSIONED, BYTES_LITERAL("id"), 3, BYTES_LITERAL("late"));
    peer_send_all(&peer, &to);
    EXPECT_BYTES(&peer, 1, 1);
    peer_expect_end(&peer);
    assert_string_equal(WORLD_REDIS(stage->world, "HGET", "tracker:{main/1/0}:client:id", "state"),
                        "state");
    peer_free(&peer);
}

/* A drain answers what is under way, reads no more, and leaves the entries. */
static void test_drain(void **state)
{
    struct peer first, second;
    char id[ID_CLIENT_LENGTH + 1], key[64];
    struct stage *stage = *state;
    stage_set(stage, "tracker.push=off");
    peer_connect(&first, stage, 0);
    peer_open(&first, TRACKER_VERSIONED, "first");
    peer_read_id(&first, TRACKER_VERSIONED, id);
    peer_connect(&second, stage, 0);
    peer_open(&second, TRACKER_VERSIONED, "second");
    char second_id[ID_CLIENT_LENGTH + 1];
    peer_read_id(&second, TRACKER_VERSIONED, second_id);
    assert_int_equal(tracker_service_count(stage->service), 2);
    peer_update(&first, TRACKER_VERSIONED, id, 1, "under way");
    WAIT_UNTIL(stage->world, stage->front->map->pending > 0);
    assert_int_equal(tracker_service_drain(stage->service, 1, CONN_CLOSE_DRAIN), 1);
    EXPECT_BYTES(&first, 1);
    peer_expect_end(&first);
    WAIT_UNTIL(stage->world, tracker_service_count(stage->service) == 1);
    snprintf(key, sizeof key, "tracker:{main/1/0}:client:%s", id);
    assert_string_equal(WORLD_REDIS(stage->world, "HGET", key, "state"), "under way");
    peer_update(&second, TRACKER_VERSIONED, second_id, 1, "served");
    EXPECT_BYTES(&second, 1);
    assert_int_equal(tracker_service_drain(stage->service, 10, CONN_CLOSE_DRAIN), 1);
    assert_int_equal(tracker_service_count(stage->service), 0);
    peer_expect_end(&second);
    peer_free(&first);
    peer_free(&second);
}

/* With Redis unreachable a write is answered after the deadline, and later requests with it. */
static void test_answers_without_redis(void **state)
{
    struct peer peer;
    struct stage *stage = *state;
    char id[ID_CLIENT_LENGTH + 1];
    stage_set(stage, "tracker.push=off");
    front_set(stage->front, "redis.deadline=200ms");
    peer_connect(&peer, stage, 0);
    peer_open(&peer, TRACKER_2013, "state");
    peer_read_id(&peer, TRACKER_2013, id);
    redis_embedded_stop(&stage->world->server);
    peer_update(&peer, TRACKER_2013, id, 1, "state");
    peer_get(&peer, TRACKER_2013);
    EXPECT_BYTES(&peer, 0, 1);
    peer_free(&peer);
}

static void test_a_client_that_leaves_in_the_middle(void **state)
{
    struct stage *stage = *state;
    for (int i = 0; i < 20; i++) {
        struct writer to = {0};
        struct peer peer;
        peer_connect(&peer, stage, 0);
        tracker_write_open(&to, TRACKER_PLAIN, BYTES_LITERAL("a"));
        tracker_write_get(&to, TRACKER_PLAIN);
        tracker_write_update(&to, TRACKER_PLAIN, BYTES_LITERAL(""), 0, BYTES_LITERAL("b"));
        peer_send_all(&peer, &to);
        for (int turn = 0; turn < i / 4; turn++) {
            loop_iterate(stage->world->loop, 1);
        }
        peer_free(&peer);
    }
    WAIT_UNTIL(stage->world, tracker_service_count(stage->service) == 0);
    assert_int_equal(stage->port->subscribers->reads, 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, stage_create, stage_destroy)
    const struct CMUnitTest tests[] = {
        TEST(test_versioned),
        TEST(test_plain),
        TEST(test_plain_close_first),
        TEST(test_plain_close_and_the_end),
        TEST(test_no_close_at_the_end_of_half_a_message),
        TEST(test_wide),
        TEST(test_plain_in_one_write),
        TEST(test_2013),
        TEST(test_2014),
        TEST(test_open_refused),
        TEST(test_pipeline),
        TEST(test_rate),
        TEST(test_superseded_updates),
        TEST(test_the_newest_update_of_a_leaving_client),
        TEST(test_uuids),
        TEST(test_rate_of_an_address),
        TEST(test_malformed_behind_good_ones),
        TEST(test_drain),
        TEST(test_answers_without_redis),
        TEST(test_a_client_that_leaves_in_the_middle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
