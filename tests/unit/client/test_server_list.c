/* server_list: a player's list, from the tracker's messages. */
#include "client/server_list.h"

#include "client/lobby_peer.h"

struct fixture {
    struct lobby_peer peer;
    struct server_list *list;
    bool stops, destroys; /* in the next change */
};

static void on_changed(void *arg, enum server_list_change change, const struct lobby_server *server)
{
    static const char signs[] = "+*-";
    struct fixture *fixture = arg;

    writer_format(&fixture->peer.events_seen, "%c%.*s ", signs[change], (int)server->id.len,
                  (const char *)server->id.data);
    if (fixture->stops) {
        server_list_stop(fixture->list);
    }
    if (fixture->destroys) {
        server_list_destroy(&fixture->list);
    }
    fixture->stops = fixture->destroys = false;
}

static void on_list_completed(void *arg)
{
    struct fixture *fixture = arg;

    writer_format(&fixture->peer.events_seen, "whole%zu ", server_list_count(fixture->list));
}

static void on_refused(void *arg, enum lobby_code code, struct bytes reason)
{
    writer_format(&((struct fixture *)arg)->peer.events_seen, "refused-%s ", lobby_code_name(code));
}

static void on_disconnected(void *arg, const char *reason)
{
    writer_string(&((struct fixture *)arg)->peer.events_seen, "disconnected ");
}

static const struct server_list_events events = {.changed = on_changed,
                                                 .completed = on_list_completed,
                                                 .refused = on_refused,
                                                 .disconnected = on_disconnected};

static int begin(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    char *error = NULL;

    lobby_peer_begin(&fixture->peer);
    const struct lobby_options options = {.target = fixture->peer.target, .backoff_ms = 1};
    fixture->list = server_list_create(fixture->peer.loop, &options, &events, fixture, &error);
    assert_non_null(fixture->list);
    server_list_start(fixture->list);
    LOBBY_EXPECT_RECEIVED(&fixture->peer, "{\"type\":\"login\"}\n");
    *state = fixture;
    return 0;
}

static int end(void **state)
{
    struct fixture *fixture = *state;

    if (fixture->list) {
        server_list_destroy(&fixture->list);
    }
    lobby_peer_end(&fixture->peer);
    free(fixture);
    return 0;
}

static void test_a_list_in_parts_and_changes(void **state)
{
    struct fixture *fixture = *state;
    struct lobby_peer *peer = &fixture->peer;

    lobby_peer_send_line(peer,
                         "{\"type\":\"servers\",\"servers\":[{\"id\":\"a:1\"}],\"more\":true}");
    LOBBY_EXPECT_EVENTS(peer, "+a:1 ");
    assert_false(server_list_is_complete(fixture->list));
    lobby_peer_send_line(peer,
                         "{\"type\":\"servers\",\"servers\":[{\"id\":\"b:1\",\"players\":3}]}");
    LOBBY_EXPECT_EVENTS(peer, "+b:1 whole2 ");
    assert_true(server_list_is_complete(fixture->list));
    lobby_peer_send_line(peer, "{\"type\":\"up\",\"server\":{\"id\":\"c:1\"}}");
    lobby_peer_send_line(peer, "{\"type\":\"changed\",\"server\":{\"id\":\"b:1\",\"players\":4}}");
    lobby_peer_send_line(peer, "{\"type\":\"changed\",\"server\":{\"id\":\"b:1\",\"players\":4}}");
    lobby_peer_send_line(peer, "{\"type\":\"down\",\"server\":{\"id\":\"a:1\"}}");
    lobby_peer_send_line(peer, "{\"type\":\"down\",\"server\":{\"id\":\"a:1\"}}");
    LOBBY_EXPECT_EVENTS(peer, "+c:1 *b:1 -a:1 ");
    assert_int_equal(server_list_find(fixture->list, B("b:1"))->infos.players, 4);
    assert_null(server_list_find(fixture->list, B("a:1")));
}

/* The tracker sends another list to a client with a backlog. */
static void test_another_list_replaces_the_previous_one(void **state)
{
    struct lobby_peer *peer = &((struct fixture *)*state)->peer;

    lobby_peer_send_line(peer,
                         "{\"type\":\"servers\",\"servers\":[{\"id\":\"a:1\"},{\"id\":\"b:1\"}]}");
    LOBBY_EXPECT_EVENTS(peer, "+a:1 +b:1 whole2 ");
    lobby_peer_send_line(peer,
                         "{\"type\":\"servers\",\"servers\":[{\"id\":\"c:1\"}],\"more\":true}");
    LOBBY_EXPECT_EVENTS(peer, "+c:1 ");
    lobby_peer_send_line(peer,
                         "{\"type\":\"servers\",\"servers\":[{\"id\":\"b:1\",\"players\":1}]}");
    LOBBY_EXPECT_EVENTS(peer, "*b:1 -a:1 whole2 ");
}

static void test_after_a_reconnect_only_differences_are_reported(void **state)
{
    struct lobby_peer *peer = &((struct fixture *)*state)->peer;

    lobby_peer_send_line(peer,
                         "{\"type\":\"servers\",\"servers\":[{\"id\":\"a:1\"},{\"id\":\"b:1\"}]}");
    LOBBY_EXPECT_EVENTS(peer, "+a:1 +b:1 whole2 ");
    lobby_peer_drop(peer);
    LOBBY_EXPECT_EVENTS(peer, "disconnected ");
    LOBBY_EXPECT_RECEIVED(peer, "login");
    lobby_peer_send_line(peer,
                         "{\"type\":\"servers\",\"servers\":[{\"id\":\"a:1\"}],\"more\":true}");
    lobby_peer_drop(peer);
    LOBBY_EXPECT_EVENTS(peer, "disconnected ");
    LOBBY_EXPECT_RECEIVED(peer, "login");
    lobby_peer_send_line(peer,
                         "{\"type\":\"servers\",\"servers\":[{\"id\":\"a:1\"},{\"id\":\"c:1\"}]}");
    LOBBY_EXPECT_EVENTS(peer, "+c:1 -b:1 whole2 ");
}

static void test_an_unavailable_list_is_requested_again(void **state)
{
    struct lobby_peer *peer = &((struct fixture *)*state)->peer;

    for (int i = 0; i < 3; i++) {
        lobby_peer_send_line(peer,
                             "{\"type\":\"error\",\"code\":\"unavailable\",\"message\":\"wait\"}");
        LOBBY_EXPECT_EVENTS(peer, "refused-unavailable ");
        lobby_peer_drop(peer);
        LOBBY_EXPECT_EVENTS(peer, "disconnected ");
        LOBBY_EXPECT_RECEIVED(peer, "login");
    }
    lobby_peer_send_line(peer, "{\"type\":\"servers\",\"servers\":[{\"id\":\"a:1\"}]}");
    LOBBY_EXPECT_EVENTS(peer, "+a:1 whole1 ");
}

static void test_errors_and_malformed_messages(void **state)
{
    struct lobby_peer *peer = &((struct fixture *)*state)->peer;

    lobby_peer_send_line(peer,
                         "{\"type\":\"error\",\"code\":\"draining\",\"message\":\"come back\"}");
    LOBBY_EXPECT_EVENTS(peer, "refused-draining ");
    lobby_peer_send_line(peer, "nonsense");
    LOBBY_EXPECT_EVENTS(peer, "disconnected ");
    LOBBY_WAIT(peer, peer->accepted == 2);
}

static void test_stopped_in_a_callback(void **state)
{
    struct fixture *fixture = *state;
    struct lobby_peer *peer = &fixture->peer;

    fixture->stops = true;
    lobby_peer_send_line(peer,
                         "{\"type\":\"servers\",\"servers\":[{\"id\":\"a:1\"},{\"id\":\"b:1\"}]}");
    LOBBY_EXPECT_EVENTS(peer, "+a:1 ");
    LOBBY_WAIT(peer, peer->fd < 0);
    server_list_start(fixture->list);
    LOBBY_EXPECT_RECEIVED(peer, "login");
    lobby_peer_send_line(peer, "{\"type\":\"servers\",\"servers\":[{\"id\":\"b:1\"}]}");
    LOBBY_EXPECT_EVENTS(peer, "+b:1 -a:1 whole1 ");
}

static void test_destroyed_in_a_callback(void **state)
{
    struct fixture *fixture = *state;

    fixture->destroys = true;
    lobby_peer_send_line(&fixture->peer,
                         "{\"type\":\"servers\",\"servers\":[{\"id\":\"a:1\"},{\"id\":\"b:1\"}]}");
    LOBBY_EXPECT_EVENTS(&fixture->peer, "+a:1 ");
    LOBBY_WAIT(&fixture->peer, fixture->peer.fd < 0);
    assert_null(fixture->list);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_list_in_parts_and_changes),
        TEST(test_another_list_replaces_the_previous_one),
        TEST(test_after_a_reconnect_only_differences_are_reported),
        TEST(test_an_unavailable_list_is_requested_again),
        TEST(test_errors_and_malformed_messages),
        TEST(test_stopped_in_a_callback),
        TEST(test_destroyed_in_a_callback),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
