/* server_list: what a player's list makes of what the tracker says. */
#include "client/server_list.h"

#include "client/lobby_peer.h"

struct scene {
    struct lobby_peer peer;
    struct server_list *list;
    bool stops, destroys; /* in the next change */
};

static void on_changed(void *arg, enum server_list_change change, const struct lobby_server *server)
{
    static const char signs[] = "+*-";
    struct scene *scene = arg;

    writer_format(&scene->peer.said, "%c%.*s ", signs[change], (int)server->id.len,
                  (const char *)server->id.data);
    if (scene->stops)
        server_list_stop(scene->list);
    if (scene->destroys)
        server_list_destroy(&scene->list);
    scene->stops = scene->destroys = false;
}

static void on_whole(void *arg)
{
    struct scene *scene = arg;

    writer_format(&scene->peer.said, "whole%zu ", server_list_count(scene->list));
}

static void on_refused(void *arg, enum lobby_code code, struct bytes reason)
{
    writer_format(&((struct scene *)arg)->peer.said, "refused-%s ", lobby_code_name(code));
}

static void on_disconnected(void *arg, const char *reason)
{
    writer_string(&((struct scene *)arg)->peer.said, "disconnected ");
}

static const struct server_list_events events = {.changed = on_changed,
                                                 .whole = on_whole,
                                                 .refused = on_refused,
                                                 .disconnected = on_disconnected};

static int begin(void **state)
{
    struct scene *scene = calloc(1, sizeof *scene);
    char *error = NULL;

    lobby_peer_begin(&scene->peer);
    const struct lobby_options options = {.target = scene->peer.target, .backoff_ms = 1};
    scene->list = server_list_create(scene->peer.loop, &options, &events, scene, &error);
    assert_non_null(scene->list);
    server_list_start(scene->list);
    LOBBY_HEAR(&scene->peer, "{\"type\":\"login\"}\n");
    *state = scene;
    return 0;
}

static int end(void **state)
{
    struct scene *scene = *state;

    if (scene->list)
        server_list_destroy(&scene->list);
    lobby_peer_end(&scene->peer);
    free(scene);
    return 0;
}

static void test_a_list_in_parts_and_changes(void **state)
{
    struct scene *scene = *state;
    struct lobby_peer *peer = &scene->peer;

    lobby_peer_say(peer, "{\"type\":\"servers\",\"servers\":[{\"id\":\"a:1\"}],\"more\":true}");
    LOBBY_SAID(peer, "+a:1 ");
    assert_false(server_list_is_whole(scene->list));
    lobby_peer_say(peer, "{\"type\":\"servers\",\"servers\":[{\"id\":\"b:1\",\"players\":3}]}");
    LOBBY_SAID(peer, "+b:1 whole2 ");
    assert_true(server_list_is_whole(scene->list));
    lobby_peer_say(peer, "{\"type\":\"up\",\"server\":{\"id\":\"c:1\"}}");
    lobby_peer_say(peer, "{\"type\":\"changed\",\"server\":{\"id\":\"b:1\",\"players\":4}}");
    lobby_peer_say(peer, "{\"type\":\"changed\",\"server\":{\"id\":\"b:1\",\"players\":4}}");
    lobby_peer_say(peer, "{\"type\":\"down\",\"server\":{\"id\":\"a:1\"}}");
    lobby_peer_say(peer, "{\"type\":\"down\",\"server\":{\"id\":\"a:1\"}}");
    LOBBY_SAID(peer, "+c:1 *b:1 -a:1 ");
    assert_int_equal(server_list_find(scene->list, B("b:1"))->infos.players, 4);
    assert_null(server_list_find(scene->list, B("a:1")));
}

/* As it does to who has missed too much. */
static void test_a_list_that_comes_again_replaces_the_one_before(void **state)
{
    struct lobby_peer *peer = &((struct scene *)*state)->peer;

    lobby_peer_say(peer, "{\"type\":\"servers\",\"servers\":[{\"id\":\"a:1\"},{\"id\":\"b:1\"}]}");
    LOBBY_SAID(peer, "+a:1 +b:1 whole2 ");
    lobby_peer_say(peer, "{\"type\":\"servers\",\"servers\":[{\"id\":\"c:1\"}],\"more\":true}");
    LOBBY_SAID(peer, "+c:1 ");
    lobby_peer_say(peer, "{\"type\":\"servers\",\"servers\":[{\"id\":\"b:1\",\"players\":1}]}");
    LOBBY_SAID(peer, "*b:1 -a:1 whole2 ");
}

static void test_after_a_loss_only_differences_are_told(void **state)
{
    struct lobby_peer *peer = &((struct scene *)*state)->peer;

    lobby_peer_say(peer, "{\"type\":\"servers\",\"servers\":[{\"id\":\"a:1\"},{\"id\":\"b:1\"}]}");
    LOBBY_SAID(peer, "+a:1 +b:1 whole2 ");
    lobby_peer_drop(peer);
    LOBBY_SAID(peer, "disconnected ");
    LOBBY_HEAR(peer, "login");
    lobby_peer_say(peer, "{\"type\":\"servers\",\"servers\":[{\"id\":\"a:1\"}],\"more\":true}");
    lobby_peer_drop(peer);
    LOBBY_SAID(peer, "disconnected ");
    LOBBY_HEAR(peer, "login");
    lobby_peer_say(peer, "{\"type\":\"servers\",\"servers\":[{\"id\":\"a:1\"},{\"id\":\"c:1\"}]}");
    LOBBY_SAID(peer, "+c:1 -b:1 whole2 ");
}

static void test_a_list_that_is_unavailable_is_waited_for(void **state)
{
    struct lobby_peer *peer = &((struct scene *)*state)->peer;

    for (int i = 0; i < 3; i++) {
        lobby_peer_say(peer, "{\"type\":\"error\",\"code\":\"unavailable\",\"message\":\"wait\"}");
        LOBBY_SAID(peer, "refused-unavailable ");
        lobby_peer_drop(peer);
        LOBBY_SAID(peer, "disconnected ");
        LOBBY_HEAR(peer, "login");
    }
    lobby_peer_say(peer, "{\"type\":\"servers\",\"servers\":[{\"id\":\"a:1\"}]}");
    LOBBY_SAID(peer, "+a:1 whole1 ");
}

static void test_errors_and_nonsense(void **state)
{
    struct lobby_peer *peer = &((struct scene *)*state)->peer;

    lobby_peer_say(peer, "{\"type\":\"error\",\"code\":\"draining\",\"message\":\"come back\"}");
    LOBBY_SAID(peer, "refused-draining ");
    lobby_peer_say(peer, "nonsense");
    LOBBY_SAID(peer, "disconnected ");
    LOBBY_WAIT(peer, peer->accepted == 2);
}

static void test_stopped_in_a_callback(void **state)
{
    struct scene *scene = *state;
    struct lobby_peer *peer = &scene->peer;

    scene->stops = true;
    lobby_peer_say(peer, "{\"type\":\"servers\",\"servers\":[{\"id\":\"a:1\"},{\"id\":\"b:1\"}]}");
    LOBBY_SAID(peer, "+a:1 ");
    LOBBY_WAIT(peer, peer->fd < 0);
    server_list_start(scene->list);
    LOBBY_HEAR(peer, "login");
    lobby_peer_say(peer, "{\"type\":\"servers\",\"servers\":[{\"id\":\"b:1\"}]}");
    LOBBY_SAID(peer, "+b:1 -a:1 whole1 ");
}

static void test_destroyed_in_a_callback(void **state)
{
    struct scene *scene = *state;

    scene->destroys = true;
    lobby_peer_say(&scene->peer,
                   "{\"type\":\"servers\",\"servers\":[{\"id\":\"a:1\"},{\"id\":\"b:1\"}]}");
    LOBBY_SAID(&scene->peer, "+a:1 ");
    LOBBY_WAIT(&scene->peer, scene->peer.fd < 0);
    assert_null(scene->list);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_list_in_parts_and_changes),
        TEST(test_a_list_that_comes_again_replaces_the_one_before),
        TEST(test_after_a_loss_only_differences_are_told),
        TEST(test_a_list_that_is_unavailable_is_waited_for),
        TEST(test_errors_and_nonsense),
        TEST(test_stopped_in_a_callback),
        TEST(test_destroyed_in_a_callback),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
