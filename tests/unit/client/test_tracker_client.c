/* The client against a server in the same process: requests, replies and pushes. */
#include "client/peer.h"

static void test_versioned(void **state)
{
    struct fixture fixture;
    fixture_begin(&fixture, TRACKER_VERSIONED);
    fixture_connect(&fixture, (struct tracker_client_options){.dialect = TRACKER_VERSIONED});
    assert_false(tracker_client_is_connected(fixture.client));
    assert_false(tracker_client_open(fixture.client, B("early")));
    expect_events(&fixture, "connected\n");
    assert_true(tracker_client_is_connected(fixture.client));

    assert_true(tracker_client_open(fixture.client, B("one")));
    expect_events(&fixture, "opened client1\n");
    assert_true(bytes_equal(tracker_client_entry_id(fixture.client), B("client1")));
    assert_true(tracker_client_update(fixture.client, B("client1"), 1, B("two")));
    assert_int_equal(tracker_client_entry_version(fixture.client), 1);
    assert_true(tracker_client_update(fixture.client, B("other"), 9, B("three")));
    assert_int_equal(tracker_client_entry_version(fixture.client), 1);
    expect_events(&fixture, "update accepted\nupdate accepted\n");
    fixture.peer.refuses = true;
    assert_true(tracker_client_update(fixture.client, B("client1"), 1, B("stale")));
    expect_events(&fixture, "update refused\n");
    fixture.peer.refuses = false;
    assert_false(tracker_client_get(fixture.client));
    assert_true(tracker_client_close(fixture.client, B("client1")));
    expect_events(&fixture, "close accepted\n");
    assert_int_equal(tracker_client_entry_id(fixture.client).len, 0);
    expect_received(&fixture, "open one\nupdate client1 v1 two\nupdate other v9 three\n"
                              "update client1 v1 stale\nclose client1\n");
    fixture_end(&fixture);
}

static void test_other_dialects(void **state)
{
    const struct {
        enum tracker_dialect dialect;
        const char *events_seen, *received;
    } rows[] = {
        {TRACKER_PLAIN, "opened \ntext {a=b, c=d}\nclose accepted\n",
         "open one\nupdate two\nget\nclose\n"},
        {TRACKER_WIDE, "opened \ntext {a=b, c=d}\nclose accepted\n",
         "open one\nupdate two\nget\nclose\n"},
        {TRACKER_2013, "opened client1\nupdate accepted\nget accepted\nclose accepted\n",
         "open one\nupdate client1 v300 two\nget\nclose client1\n"},
        {TRACKER_2014, "opened \ntext {a=b, c=d}\nclose accepted\n",
         "open one\nupdate two\nget\nclose\n"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct fixture fixture;
        fixture_begin(&fixture, rows[i].dialect);
        fixture_connect(&fixture, (struct tracker_client_options){.dialect = rows[i].dialect});
        expect_events(&fixture, "connected\n");
        /* All in one write; the replies arrive together, too. */
        assert_true(tracker_client_open(fixture.client, B("one")));
        assert_true(tracker_client_update(fixture.client, B("client1"), 300, B("two")));
        assert_true(tracker_client_get(fixture.client));
        assert_true(tracker_client_close(fixture.client, B("client1")));
        expect_events(&fixture, rows[i].events_seen);
        expect_received(&fixture, rows[i].received);
        fixture_end(&fixture);
    }
}

static void test_refused_open(void **state)
{
    const enum tracker_dialect dialects[] = {TRACKER_VERSIONED, TRACKER_PLAIN, TRACKER_WIDE,
                                             TRACKER_2013, TRACKER_2014};
    for (size_t i = 0; i < sizeof dialects / sizeof *dialects; i++) {
        struct fixture fixture;
        fixture_begin(&fixture, dialects[i]);
        fixture.peer.refuses = true;
        fixture_connect(&fixture, (struct tracker_client_options){.dialect = dialects[i]});
        expect_events(&fixture, "connected\n");
        assert_true(tracker_client_open(fixture.client, B("one")));
        expect_events(&fixture, "open refused\n");
        fixture_end(&fixture);
    }
}

/* Begins a connection of VERSIONED that has opened its entry. */
static void begin_opened(struct fixture *fixture, struct tracker_client_options options)
{
    options.dialect = TRACKER_VERSIONED;
    fixture_begin(fixture, TRACKER_VERSIONED);
    fixture_connect(fixture, options);
    expect_events(fixture, "connected\n");
    assert_true(tracker_client_open(fixture->client, B("one")));
    expect_events(fixture, "opened client1\n");
    expect_received(fixture, "open one\n");
}

static void test_pushes_cut_at_every_byte(void **state)
{
    const struct bytes pushes = B("\x2a\x01\x02\x07\x05\x02xy\x02zw"
                                  "\x01"
                                  "\x2a\x01\x03\x05\x03\x01\x01i\x00"
                                  "\x2a\x01\x03\x06\x03\x02\x01j\x01s");
    struct fixture fixture;
    begin_opened(&fixture, (struct tracker_client_options){.acknowledge_pushes = true});
    for (size_t cut = 0; cut <= pushes.len; cut++) {
        const struct bytes next = B("\x2a\x01\x03\x01\x04");
        fixture.peer.acks = 0;
        /* The reply arrives between the pushes. */
        assert_true(tracker_client_update(fixture.client, B("client1"), 1, B("s")));
        fixture.peer.silent = true;
        expect_received(&fixture, "update client1 v1 s\n");
        peer_send(&fixture.peer, (struct bytes){pushes.data, cut});
        for (int i = 0; i < 3; i++) {
            loop_iterate(fixture.loop, 0);
        }
        peer_send(&fixture.peer, (struct bytes){pushes.data + cut, pushes.len - cut});
        WAIT_UNTIL(&fixture,
                   fixture.events_seen.len > 0 && strstr(text_of(&fixture.events_seen), "j/2=s\n"));
        assert_non_null(
            strstr(text_of(&fixture.events_seen), "updated v5 xy zw\nupdate accepted\n"));
        assert_non_null(strstr(text_of(&fixture.events_seen), "map v3: i/1= j/2=s\n"));
        writer_reset(&fixture.events_seen);
        /* The next map has another version. */
        peer_send(&fixture.peer, next);
        expect_events(&fixture, "map v4:\n");
        fixture.peer.silent = false;
        WAIT_UNTIL(&fixture, fixture.peer.acks == 4);
    }
    fixture_end(&fixture);
}

static void test_a_map_of_many_packets(void **state)
{
    struct writer to = {0};
    struct writer expected = {0};
    struct fixture fixture;
    begin_opened(&fixture, (struct tracker_client_options){.acknowledge_pushes = false});
    writer_string(&expected, "map v9:");
    struct tracker_all all = tracker_all_begin(&to, 9);
    for (unsigned i = 0; i < 2000; i++) {
        char text[16];
        (void)snprintf(text, sizeof text, "id%u", i);
        const struct bytes id = bytes_from_string(text);
        if (!tracker_all_has_room(&to, &all, id, B("state"))) {
            tracker_all_end(&to, &all);
            all = tracker_all_begin(&to, 9);
        }
        tracker_all_entry(&to, (uint8_t)i, id, B("state"));
        writer_format(&expected, " id%u/%u=state", i, i % 256);
    }
    tracker_all_end(&to, &all);
    writer_u8(&expected, '\n');
    peer_send(&fixture.peer, writer_bytes_written(&to));
    /* The last event has the whole map. */
    WAIT_UNTIL(&fixture, fixture.events_seen.len > 0 &&
                             strstr(text_of(&fixture.events_seen), text_of(&expected)));
    assert_int_equal(fixture.peer.acks, 0);
    writer_free(&to);
    writer_free(&expected);
    fixture_end(&fixture);
}

static void test_malformed_replies(void **state)
{
    const struct {
        bool asks;
        struct bytes sends;
        const char *events_seen;
    } rows[] = {
        {false, B("\x01"), "disconnected: a reply without a request\n"},
        {true, B("\x02"), "update lost\ndisconnected: a reply that is neither 01 nor 00\n"},
        {false, B("\x2a\x02"), "disconnected: an unknown version\n"},
        {false, B("\x2a\x01\x00"), "disconnected: a type that only clients send\n"},
        {true, B("\x2a\x01\x02\x05\x01\x01i\x02"),
         "update lost\ndisconnected: lengths of an Update that do not add up\n"},
        {false, B("\x2a\x01\x03\x04\x01\x01\x00\x00"),
         "disconnected: entries with inconsistent lengths\n"},
        {false, B("\x2a\x01\x03\x0a\x01\x01\x01i\x05state"),
         "disconnected: the map exceeds max_map\n"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct fixture fixture;
        begin_opened(&fixture, (struct tracker_client_options){.max_map = 8});
        fixture.peer.silent = true;
        if (rows[i].asks) {
            assert_true(tracker_client_update(fixture.client, B("client1"), 1, B("s")));
            expect_received(&fixture, "update client1 v1 s\n");
        }
        peer_send(&fixture.peer, rows[i].sends);
        expect_events(&fixture, rows[i].events_seen);
        assert_false(tracker_client_is_connected(fixture.client));
        assert_false(tracker_client_update(fixture.client, B("client1"), 2, B("s")));
        fixture_end(&fixture);
    }
}

static void test_requests_over_a_limit_are_refused(void **state)
{
    static const uint8_t memory[300];
    struct fixture fixture;
    begin_opened(&fixture, (struct tracker_client_options){.max_pending = 2, .max_output = 100});
    /* The bytes of a request that cannot be framed are removed. */
    assert_true(tracker_client_update(fixture.client, B("client1"), 1, B("s")));
    assert_false(tracker_client_open(fixture.client, (struct bytes){memory, 255}));
    assert_false(tracker_client_update(fixture.client, B(""), 2, B("s")));
    assert_false(tracker_client_close(fixture.client, B("")));
    assert_false(
        tracker_client_update(fixture.client, B("client1"), 2, (struct bytes){memory, 90}));
    assert_true(tracker_client_update(fixture.client, B("client1"), 2, B("t")));
    assert_false(tracker_client_update(fixture.client, B("client1"), 3, B("u")));
    assert_int_equal(tracker_client_entry_version(fixture.client), 2);
    expect_events(&fixture, "update accepted\nupdate accepted\n");
    expect_received(&fixture, "update client1 v1 s\nupdate client1 v2 t\n");
    fixture_end(&fixture);
}

static void test_a_slow_server_receives_everything(void **state)
{
    static uint8_t memory[65536];
    struct fixture fixture;
    const struct tracker_client_options options = {.dialect = TRACKER_2014,
                                                   .max_output = 64 * 1024 * 1024};
    fixture_begin(&fixture, TRACKER_2014);
    fixture.peer.reads_nothing = true;
    fixture_connect(&fixture, options);
    expect_events(&fixture, "connected\n");
    memset(memory, 's', sizeof memory);
    for (int i = 0; i < 200; i++) {
        assert_true(
            tracker_client_update(fixture.client, B(""), 0, (struct bytes){memory, sizeof memory}));
        loop_iterate(fixture.loop, 0);
    }
    assert_true(tracker_client_get(fixture.client));
    WAIT_UNTIL(&fixture, fixture.peer.fd >= 0);
    loop_io_set(fixture.peer.io, LOOP_READ);
    expect_events(&fixture, "text {a=b, c=d}\n");
    assert_int_equal(fixture.peer.received.len, 200 * (sizeof "update " + sizeof memory) + 4);
    fixture_end(&fixture);
}

static void test_bad_options(void **state)
{
    const struct tracker_client_options rows[] = {
        {.target = "127.0.0.1:1"},
        {.target = NULL, .dialect = TRACKER_PLAIN},
        {.target = "", .dialect = TRACKER_PLAIN},
        {.target = "host", .dialect = TRACKER_PLAIN},
        {.target = "host:", .dialect = TRACKER_PLAIN},
        {.target = ":80", .dialect = TRACKER_PLAIN},
        {.target = "host:0", .dialect = TRACKER_PLAIN},
        {.target = "host:65536", .dialect = TRACKER_PLAIN},
        {.target = "host:http", .dialect = TRACKER_PLAIN},
        {.target = "::1:80", .dialect = TRACKER_PLAIN},
        {.target = "[]:80", .dialect = TRACKER_PLAIN},
        {.target = "unix:", .dialect = TRACKER_PLAIN},
        {.target = "127.0.0.1:1", .dialect = TRACKER_PLAIN, .source = "localhost"},
    };
    struct loop *loop = loop_create();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *error;
        assert_null(tracker_client_create(loop, &rows[i], &fixture_events, NULL, &error));
        assert_non_null(error);
        free(error);
    }
    loop_destroy(&loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_versioned),
        cmocka_unit_test(test_other_dialects),
        cmocka_unit_test(test_refused_open),
        cmocka_unit_test(test_pushes_cut_at_every_byte),
        cmocka_unit_test(test_a_map_of_many_packets),
        cmocka_unit_test(test_malformed_replies),
        cmocka_unit_test(test_requests_over_a_limit_are_refused),
        cmocka_unit_test(test_a_slow_server_receives_everything),
        cmocka_unit_test(test_bad_options),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
