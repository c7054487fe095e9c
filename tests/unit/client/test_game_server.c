/* game_server: how a game server keeps itself listed. */
#include "client/game_server.h"

#include "client/lobby_peer.h"

struct scene {
    struct lobby_peer peer;
    struct game_server *server;
};

static void on_welcome(void *arg, struct bytes id, bool verify)
{
    writer_format(&((struct scene *)arg)->peer.said, "welcome-%.*s-%s ", (int)id.len,
                  (const char *)id.data, verify ? "udp" : "off");
}

static void on_refused(void *arg, enum lobby_code code, struct bytes reason)
{
    writer_format(&((struct scene *)arg)->peer.said, "refused-%s ", lobby_code_name(code));
}

static void on_disconnected(void *arg, const char *reason)
{
    writer_string(&((struct scene *)arg)->peer.said, "disconnected ");
}

static const struct game_server_events events = {
    .welcome = on_welcome, .refused = on_refused, .disconnected = on_disconnected};

static int begin(void **state)
{
    struct scene *scene = calloc(1, sizeof *scene);
    char *error = NULL;

    lobby_peer_begin(&scene->peer);
    const struct game_server_options options = {
        .link = {.target = scene->peer.target, .backoff_ms = 1, .silence_ms = 60000},
        .password = "secret",
        .name = "alice",
        .port = 4711,
        .infos_interval_ms = 50};
    scene->server = game_server_create(scene->peer.loop, &options, &events, scene, &error);
    assert_non_null(scene->server);
    game_server_start(scene->server);
    LOBBY_HEAR(&scene->peer,
               "{\"type\":\"login\",\"passwd\":\"secret\",\"name\":\"alice\",\"port\":4711}\n");
    *state = scene;
    return 0;
}

static int end(void **state)
{
    struct scene *scene = *state;

    if (scene->server)
        game_server_destroy(&scene->server);
    lobby_peer_end(&scene->peer);
    free(scene);
    return 0;
}

static void welcome(struct scene *scene)
{
    lobby_peer_say(&scene->peer,
                   "{\"type\":\"welcome\",\"id\":\"1.2.3.4:4711\",\"verify\":\"udp\"}");
    LOBBY_SAID(&scene->peer, "welcome-1.2.3.4:4711-udp ");
}

static bool set_players(struct game_server *server, const char *players)
{
    const struct lobby_property infos[] = {{B("players"), bytes_from_string(players)}};

    return game_server_set(server, infos, 1);
}

static void test_infos_are_said_after_the_login_and_again_after_a_loss(void **state)
{
    struct scene *scene = *state;

    assert_true(set_players(scene->server, "1"));
    assert_false(game_server_is_welcome(scene->server));
    welcome(scene);
    LOBBY_HEAR(&scene->peer, "{\"type\":\"infos\",\"players\":1}\n");
    lobby_peer_drop(&scene->peer);
    LOBBY_SAID(&scene->peer, "disconnected ");
    LOBBY_HEAR(&scene->peer, "login");
    welcome(scene);
    LOBBY_HEAR(&scene->peer, "{\"type\":\"infos\",\"players\":1}\n");
}

static void test_infos_that_follow_fast_are_joined(void **state)
{
    struct scene *scene = *state;
    char number[16];

    welcome(scene);
    for (int i = 1; i <= 100; i++) {
        (void)snprintf(number, sizeof number, "%d", i);
        assert_true(set_players(scene->server, number));
    }
    LOBBY_WAIT(&scene->peer, lobby_peer_holds(&scene->peer.heard, "\"players\":100}\n"));
    assert_false(lobby_peer_holds(&scene->peer.heard, "\"players\":50}"));
    /* The same again is not said. */
    writer_reset(&scene->peer.heard);
    assert_true(set_players(scene->server, "100"));
    assert_true(set_players(scene->server, "7"));
    LOBBY_WAIT(&scene->peer, lobby_peer_holds(&scene->peer.heard, "\"players\":7}\n"));
    assert_false(lobby_peer_holds(&scene->peer.heard, "100"));
}

static void test_what_cannot_be_said_changes_nothing(void **state)
{
    struct scene *scene = *state;
    const struct lobby_property reserved[] = {{B("id"), B("1")}}, list[] = {{B("a"), B("[]")}};
    char *text = calloc(1, 5000);

    assert_true(set_players(scene->server, "1"));
    assert_false(game_server_set(scene->server, reserved, 1));
    assert_false(game_server_set(scene->server, list, 1));
    memset(text, 'x', 4998);
    text[0] = text[4997] = '"';
    const struct lobby_property large[] = {{B("a"), bytes_from_string(text)}};
    assert_false(game_server_set(scene->server, large, 1));
    welcome(scene);
    LOBBY_HEAR(&scene->peer, "{\"type\":\"infos\",\"players\":1}\n");
    free(text);
}

static void test_pings_are_answered(void **state)
{
    struct scene *scene = *state;

    welcome(scene);
    lobby_peer_say(&scene->peer, "{\"type\":\"ping\",\"n\":7}");
    LOBBY_HEAR(&scene->peer, "{\"type\":\"pong\",\"n\":7}\n");
}

static void test_the_number(void **state)
{
    struct scene *scene = *state;

    welcome(scene);
    assert_false(game_server_datagram(scene->server, B("join")));
    assert_false(game_server_datagram(scene->server, B("\xff\xff\xff\xffgetinfo 1234\n")));
    assert_true(game_server_datagram(scene->server, B("\xff\xff\xff\xfftracker verify 4711\n")));
    LOBBY_HEAR(&scene->peer, "{\"type\":\"verify\",\"number\":4711}\n");
}

static void test_a_number_that_comes_before_the_welcome(void **state)
{
    struct scene *scene = *state;

    assert_true(game_server_datagram(scene->server, B("\xff\xff\xff\xfftracker verify 4711\n")));
    welcome(scene);
    LOBBY_HEAR(&scene->peer, "{\"type\":\"verify\",\"number\":4711}\n");
    /* It was that connection's. */
    lobby_peer_drop(&scene->peer);
    LOBBY_HEAR(&scene->peer, "login");
    LOBBY_SAID(&scene->peer, "disconnected ");
    welcome(scene);
    lobby_peer_say(&scene->peer, "{\"type\":\"ping\",\"n\":1}");
    LOBBY_WAIT(&scene->peer, lobby_peer_holds(&scene->peer.heard, "pong"));
    assert_false(lobby_peer_holds(&scene->peer.heard, "verify"));
}

static void test_a_refusal_that_lasts_is_not_asked_for_at_once_again(void **state)
{
    struct scene *scene = *state;

    lobby_peer_say(&scene->peer,
                   "{\"type\":\"error\",\"code\":\"bad_password\",\"message\":\"wrong\"}");
    LOBBY_SAID(&scene->peer, "refused-bad_password ");
    lobby_peer_drop(&scene->peer);
    LOBBY_SAID(&scene->peer, "disconnected ");
    for (int i = 0; i < 20; i++)
        loop_turn(scene->peer.loop, 10);
    assert_int_equal(scene->peer.accepted, 1);
    loop_skip(scene->peer.loop, 31000);
    LOBBY_WAIT(&scene->peer, scene->peer.accepted == 2);
}

/* The map is not reached: the tracker takes its welcome back. */
static void be_unavailable(struct scene *scene)
{
    lobby_peer_say(&scene->peer,
                   "{\"type\":\"error\",\"code\":\"unavailable\",\"message\":\"wait\"}");
    LOBBY_SAID(&scene->peer, "refused-unavailable ");
    lobby_peer_drop(&scene->peer);
    LOBBY_SAID(&scene->peer, "disconnected ");
}

static void test_while_the_map_is_not_reached_it_comes_back_ever_less_often(void **state)
{
    struct scene *scene = *state;
    unsigned accepted = 1, late = 0;

    assert_true(set_players(scene->server, "1"));
    for (int i = 0; i < 20; i++) {
        welcome(scene);
        LOBBY_HEAR(&scene->peer, "{\"type\":\"infos\",\"players\":1}\n");
        be_unavailable(scene);
        /* By now any time up to 16 s, of which 100 ms are little. */
        for (int j = 0; i >= 14 && j < 10; j++)
            loop_turn(scene->peer.loop, 10);
        late += i >= 14 && scene->peer.accepted == accepted;
        loop_skip(scene->peer.loop, 31000);
        LOBBY_HEAR(&scene->peer, "login");
        assert_int_equal(scene->peer.accepted, ++accepted);
    }
    assert_true(late > 0);
    welcome(scene);
    LOBBY_HEAR(&scene->peer, "{\"type\":\"infos\",\"players\":1}\n");
}

static void test_a_silent_tracker_is_left(void **state)
{
    struct scene *scene = *state;

    welcome(scene);
    loop_skip(scene->peer.loop, 61000);
    LOBBY_SAID(&scene->peer, "disconnected ");
    LOBBY_WAIT(&scene->peer, scene->peer.accepted == 2);
}

static void test_stopped_it_stays_away(void **state)
{
    struct scene *scene = *state;

    welcome(scene);
    game_server_stop(scene->server);
    LOBBY_WAIT(&scene->peer, scene->peer.fd < 0);
    loop_skip(scene->peer.loop, 100000);
    for (int i = 0; i < 10; i++)
        loop_turn(scene->peer.loop, 10);
    assert_int_equal(scene->peer.accepted, 1);
    assert_int_equal(scene->peer.said.len, 0);
    game_server_start(scene->server);
    LOBBY_HEAR(&scene->peer, "login");
}

static void test_options_that_are_wrong(void **state)
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
        TEST(test_infos_are_said_after_the_login_and_again_after_a_loss),
        TEST(test_infos_that_follow_fast_are_joined),
        TEST(test_what_cannot_be_said_changes_nothing),
        TEST(test_pings_are_answered),
        TEST(test_the_number),
        TEST(test_a_number_that_comes_before_the_welcome),
        TEST(test_a_refusal_that_lasts_is_not_asked_for_at_once_again),
        TEST(test_while_the_map_is_not_reached_it_comes_back_ever_less_often),
        TEST(test_a_silent_tracker_is_left),
        TEST(test_stopped_it_stays_away),
        cmocka_unit_test(test_options_that_are_wrong),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
