/* game_server: keeping a game server listed. */
#include "client/game_server.h"

#include "client/lobby_peer.h"

struct fixture {
    struct lobby_peer peer;
    struct game_server *server;
};

static void on_logged_in(void *arg, struct bytes id, bool verify)
{
    writer_format(&((struct fixture *)arg)->peer.events_seen, "welcome-%.*s-%s ", (int)id.len,
                  (const char *)id.data, verify ? "udp" : "off");
}

static void on_refused(void *arg, enum lobby_code code, struct bytes reason)
{
    writer_format(&((struct fixture *)arg)->peer.events_seen, "refused-%s ", lobby_code_name(code));
}

static void on_disconnected(void *arg, const char *reason)
{
    writer_string(&((struct fixture *)arg)->peer.events_seen, "disconnected ");
}

static const struct game_server_events events = {
    .logged_in = on_logged_in, .refused = on_refused, .disconnected = on_disconnected};

static int begin(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    char *error = NULL;

    lobby_peer_begin(&fixture->peer);
    const struct game_server_options options = {
        .link = {.target = fixture->peer.target, .backoff_ms = 1, .idle_timeout_ms = 60000},
        .password = "secret",
        .name = "alice",
        .port = 4711,
        .infos_interval_ms = 50};
    fixture->server = game_server_create(fixture->peer.loop, &options, &events, fixture, &error);
    assert_non_null(fixture->server);
    game_server_start(fixture->server);
    LOBBY_EXPECT_RECEIVED(
        &fixture->peer,
        "{\"type\":\"login\",\"passwd\":\"secret\",\"name\":\"alice\",\"port\":4711}\n");
    *state = fixture;
    return 0;
}

static int end(void **state)
{
    struct fixture *fixture = *state;

    if (fixture->server) {
        game_server_destroy(&fixture->server);
    }
    lobby_peer_end(&fixture->peer);
    free(fixture);
    return 0;
}

static void accept_login(struct fixture *fixture)
{
    lobby_peer_send_line(&fixture->peer,
                         "{\"type\":\"welcome\",\"id\":\"1.2.3.4:4711\",\"verify\":\"udp\"}");
    LOBBY_EXPECT_EVENTS(&fixture->peer, "welcome-1.2.3.4:4711-udp ");
}

static bool set_players(struct game_server *server, const char *players)
{
    const struct lobby_property infos[] = {{B("players"), bytes_from_string(players)}};

    return game_server_set_infos(server, infos, 1);
}

static void test_infos_are_sent_after_each_login(void **state)
{
    struct fixture *fixture = *state;

    assert_true(set_players(fixture->server, "1"));
    assert_false(game_server_is_logged_in(fixture->server));
    accept_login(fixture);
    LOBBY_EXPECT_RECEIVED(&fixture->peer, "{\"type\":\"infos\",\"players\":1}\n");
    lobby_peer_drop(&fixture->peer);
    LOBBY_EXPECT_EVENTS(&fixture->peer, "disconnected ");
    LOBBY_EXPECT_RECEIVED(&fixture->peer, "login");
    accept_login(fixture);
    LOBBY_EXPECT_RECEIVED(&fixture->peer, "{\"type\":\"infos\",\"players\":1}\n");
}

static void test_fast_changes_of_infos_are_merged(void **state)
{
    struct fixture *fixture = *state;
    char number[16];

    accept_login(fixture);
    for (int i = 1; i <= 100; i++) {
        (void)snprintf(number, sizeof number, "%d", i);
        assert_true(set_players(fixture->server, number));
    }
    LOBBY_WAIT(&fixture->peer, lobby_text_contains(&fixture->peer.received, "\"players\":100}\n"));
    assert_false(lobby_text_contains(&fixture->peer.received, "\"players\":50}"));
    /* Unchanged infos are not sent. */
    writer_reset(&fixture->peer.received);
    assert_true(set_players(fixture->server, "100"));
    assert_true(set_players(fixture->server, "7"));
    LOBBY_WAIT(&fixture->peer, lobby_text_contains(&fixture->peer.received, "\"players\":7}\n"));
    assert_false(lobby_text_contains(&fixture->peer.received, "100"));
}

static void test_invalid_infos_change_nothing(void **state)
{
    struct fixture *fixture = *state;
    const struct lobby_property reserved[] = {{B("id"), B("1")}}, list[] = {{B("a"), B("[]")}};
    char *text = calloc(1, 5000);

    assert_true(set_players(fixture->server, "1"));
    assert_false(game_server_set_infos(fixture->server, reserved, 1));
    assert_false(game_server_set_infos(fixture->server, list, 1));
    memset(text, 'x', 4998);
    text[0] = text[4997] = '"';
    const struct lobby_property large[] = {{B("a"), bytes_from_string(text)}};
    assert_false(game_server_set_infos(fixture->server, large, 1));
    accept_login(fixture);
    LOBBY_EXPECT_RECEIVED(&fixture->peer, "{\"type\":\"infos\",\"players\":1}\n");
    free(text);
}

static void test_pings_are_answered(void **state)
{
    struct fixture *fixture = *state;

    accept_login(fixture);
    lobby_peer_send_line(&fixture->peer, "{\"type\":\"ping\",\"n\":7}");
    LOBBY_EXPECT_RECEIVED(&fixture->peer, "{\"type\":\"pong\",\"n\":7}\n");
}

static void test_the_verification_number(void **state)
{
    struct fixture *fixture = *state;

    accept_login(fixture);
    assert_false(game_server_handle_datagram(fixture->server, B("join")));
    assert_false(game_server_handle_datagram(fixture->server, B("\xff\xff\xff\xffgetinfo 1234\n")));
    assert_true(
        game_server_handle_datagram(fixture->server, B("\xff\xff\xff\xfftracker verify 4711\n")));
    LOBBY_EXPECT_RECEIVED(&fixture->peer, "{\"type\":\"verify\",\"number\":4711}\n");
}

static void test_a_verification_number_before_the_welcome(void **state)
{
    struct fixture *fixture = *state;

    assert_true(
        game_server_handle_datagram(fixture->server, B("\xff\xff\xff\xfftracker verify 4711\n")));
    accept_login(fixture);
    LOBBY_EXPECT_RECEIVED(&fixture->peer, "{\"type\":\"verify\",\"number\":4711}\n");
    /* The number belongs to that connection only. */
    lobby_peer_drop(&fixture->peer);
    LOBBY_EXPECT_RECEIVED(&fixture->peer, "login");
    LOBBY_EXPECT_EVENTS(&fixture->peer, "disconnected ");
    accept_login(fixture);
    lobby_peer_send_line(&fixture->peer, "{\"type\":\"ping\",\"n\":1}");
    LOBBY_WAIT(&fixture->peer, lobby_text_contains(&fixture->peer.received, "pong"));
    assert_false(lobby_text_contains(&fixture->peer.received, "verify"));
}

static void test_a_permanent_refusal_delays_the_retry(void **state)
{
    struct fixture *fixture = *state;

    lobby_peer_send_line(&fixture->peer,
                         "{\"type\":\"error\",\"code\":\"bad_password\",\"message\":\"wrong\"}");
    LOBBY_EXPECT_EVENTS(&fixture->peer, "refused-bad_password ");
    lobby_peer_drop(&fixture->peer);
    LOBBY_EXPECT_EVENTS(&fixture->peer, "disconnected ");
    for (int i = 0; i < 20; i++) {
        loop_iterate(fixture->peer.loop, 10);
    }
    assert_int_equal(fixture->peer.accepted, 1);
    loop_skip(fixture->peer.loop, 31000);
    LOBBY_WAIT(&fixture->peer, fixture->peer.accepted == 2);
}

/* The tracker accepts the login, but then cannot reach Redis. */
static void report_unavailable(struct fixture *fixture)
{
    lobby_peer_send_line(&fixture->peer,
                         "{\"type\":\"error\",\"code\":\"unavailable\",\"message\":\"wait\"}");
    LOBBY_EXPECT_EVENTS(&fixture->peer, "refused-unavailable ");
    lobby_peer_drop(&fixture->peer);
    LOBBY_EXPECT_EVENTS(&fixture->peer, "disconnected ");
}

static void test_the_backoff_grows_while_redis_is_unreachable(void **state)
{
    struct fixture *fixture = *state;
    unsigned accepted = 1, late = 0;

    assert_true(set_players(fixture->server, "1"));
    for (int i = 0; i < 20; i++) {
        accept_login(fixture);
        LOBBY_EXPECT_RECEIVED(&fixture->peer, "{\"type\":\"infos\",\"players\":1}\n");
        report_unavailable(fixture);
        /* By now the pause is up to 16 s, so most are longer than 100 ms. */
        for (int j = 0; i >= 14 && j < 10; j++) {
            loop_iterate(fixture->peer.loop, 10);
        }
        late += i >= 14 && fixture->peer.accepted == accepted;
        loop_skip(fixture->peer.loop, 31000);
        LOBBY_EXPECT_RECEIVED(&fixture->peer, "login");
        assert_int_equal(fixture->peer.accepted, ++accepted);
    }
    assert_true(late > 0);
    accept_login(fixture);
    LOBBY_EXPECT_RECEIVED(&fixture->peer, "{\"type\":\"infos\",\"players\":1}\n");
}

static void test_an_idle_connection_is_closed(void **state)
{
    struct fixture *fixture = *state;

    accept_login(fixture);
    loop_skip(fixture->peer.loop, 61000);
    LOBBY_EXPECT_EVENTS(&fixture->peer, "disconnected ");
    LOBBY_WAIT(&fixture->peer, fixture->peer.accepted == 2);
}

static void test_a_stopped_server_does_not_reconnect(void **state)
{
    struct fixture *fixture = *state;

    accept_login(fixture);
    game_server_stop(fixture->server);
    LOBBY_WAIT(&fixture->peer, fixture->peer.fd < 0);
    loop_skip(fixture->peer.loop, 100000);
    for (int i = 0; i < 10; i++) {
        loop_iterate(fixture->peer.loop, 10);
    }
    assert_int_equal(fixture->peer.accepted, 1);
    assert_int_equal(fixture->peer.events_seen.len, 0);
    game_server_start(fixture->server);
    LOBBY_EXPECT_RECEIVED(&fixture->peer, "login");
}

static void test_invalid_options(void **state)
{
    static const struct {
        const char *target, *password;
        uint16_t port;
    } cases[] = {
        {"nowhere", "x", 1}, {NULL, "x", 1}, {"127.0.0.1:1", "x", 0}, {"127.0.0.1:1", "\xff", 1}};
    struct loop *loop = loop_create();

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct game_server_options options = {.link = {.target = cases[i].target},
                                                    .password = cases[i].password,
                                                    .port = cases[i].port};
        char *error = NULL;

        assert_null(game_server_create(loop, &options, &events, NULL, &error));
        assert_non_null(error);
        free(error);
    }
    loop_destroy(&loop);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_infos_are_sent_after_each_login),
        TEST(test_fast_changes_of_infos_are_merged),
        TEST(test_invalid_infos_change_nothing),
        TEST(test_pings_are_answered),
        TEST(test_the_verification_number),
        TEST(test_a_verification_number_before_the_welcome),
        TEST(test_a_permanent_refusal_delays_the_retry),
        TEST(test_the_backoff_grows_while_redis_is_unreachable),
        TEST(test_an_idle_connection_is_closed),
        TEST(test_a_stopped_server_does_not_reconnect),
        cmocka_unit_test(test_invalid_options),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
