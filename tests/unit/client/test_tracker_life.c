/* The client's connection: how it comes about, ends, and comes back. */
#include "client/peer.h"

static const struct tracker_client_options returning = {
    .dialect = TRACKER_VERSIONED, .reconnect = true, .backoff_ms = 1, .backoff_max_ms = 4};

static void begin_opened(struct scene *scene)
{
    scene_begin(scene, TRACKER_VERSIONED);
    scene_connect(scene, returning);
    expect_said(scene, "connected\n");
    assert_true(tracker_client_open(scene->client, B("one")));
    expect_said(scene, "opened client1\n");
    expect_heard(scene, "open one\n");
}

static void test_adopts_its_entry_again(void **state)
{
    struct scene scene;
    begin_opened(&scene);
    assert_true(tracker_client_update(scene.client, B("client1"), 255, B("two")));
    expect_said(&scene, "update accepted\n");
    expect_heard(&scene, "update client1 v255 two\n");
    peer_drop(&scene.peer);
    expect_said(&scene, "disconnected: closed by the server\nconnected again\nadopted client1\n");
    /* One version on, and that is 0 in the byte. */
    expect_heard(&scene, "update client1 v0 two\n");
    assert_int_equal(tracker_client_version(scene.client), 256);
    assert_int_equal(scene.peer.accepted, 2);

    /* Closed, there is nothing to take up. */
    assert_true(tracker_client_close(scene.client, B("client1")));
    expect_said(&scene, "close accepted\n");
    expect_heard(&scene, "close client1\n");
    peer_drop(&scene.peer);
    expect_said(&scene, "disconnected: closed by the server\nconnected\n");
    assert_string_equal(text_of(&scene.peer.heard), "");
    scene_end(&scene);
}

static void test_opens_anew_what_is_anothers(void **state)
{
    struct scene scene;
    begin_opened(&scene);
    scene.peer.refuses = true;
    peer_drop(&scene.peer);
    WAIT_UNTIL(&scene, scene.peer.heard.len > 0);
    scene.peer.refuses = false;
    expect_heard(&scene, "update client1 v1 one\nopen one\n");
    expect_said(&scene, "disconnected: closed by the server\nconnected again\nopened client2\n");
    assert_true(bytes_equal(tracker_client_id(scene.client), B("client2")));
    assert_int_equal(tracker_client_version(scene.client), 0);
    scene_end(&scene);
}

/* The peer refuses what it has, after so long. */
static void refuse_after(struct scene *scene, unsigned ms)
{
    struct writer no = {0};
    loop_skip(scene->loop, ms);
    tracker_write_ack(&no, false);
    peer_send(&scene->peer, writer_bytes_written(&no));
    writer_free(&no);
}

static void test_an_open_that_the_map_did_not_answer_is_asked_for_again(void **state)
{
    struct scene scene;
    scene_begin(&scene, TRACKER_VERSIONED);
    scene_connect(&scene, returning);
    expect_said(&scene, "connected\n");
    scene.peer.silent = true;
    assert_true(tracker_client_open(scene.client, B("one")));
    for (int i = 0; i < 3; i++) {
        expect_heard(&scene, "open one\n");
        refuse_after(&scene, 2500); /* 2.5 s */
    }
    expect_heard(&scene, "open one\n");
    scene.peer.silent = false;
    /* What is refused at once is refused. */
    refuse_after(&scene, 0);
    expect_said(&scene, "open refused\n");
    assert_true(tracker_client_open(scene.client, B("two")));
    expect_said(&scene, "opened client1\n");
    scene_end(&scene);
}

/* Neither taken up nor opened while Redis is unreachable: then its own id is asked for first. */
static void test_an_entry_is_asked_for_until_it_is_taken_up(void **state)
{
    struct scene scene;
    begin_opened(&scene);
    scene.peer.silent = true;
    peer_drop(&scene.peer);
    expect_said(&scene, "disconnected: closed by the server\nconnected again\n");
    expect_heard(&scene, "update client1 v1 one\n");
    refuse_after(&scene, 3000);
    expect_heard(&scene, "update client1 v2 one\n");
    refuse_after(&scene, 0);
    expect_heard(&scene, "open one\n");
    refuse_after(&scene, 0);
    scene.peer.silent = false;
    expect_said(&scene, "adopted client1\n");
    expect_heard(&scene, "update client1 v3 one\n");
    assert_int_equal(tracker_client_version(scene.client), 3);
    scene_end(&scene);
}

static void test_a_state_that_the_map_did_not_take_is_sent_again(void **state)
{
    struct scene scene;
    begin_opened(&scene);
    scene.peer.silent = true;
    assert_true(tracker_client_update(scene.client, B("client1"), 1, B("two")));
    expect_heard(&scene, "update client1 v1 two\n");
    refuse_after(&scene, 3000);
    expect_heard(&scene, "update client1 v2 two\n");
    /* Closed meanwhile, it is asked for no more. */
    assert_true(tracker_client_close(scene.client, B("client1")));
    expect_heard(&scene, "close client1\n");
    refuse_after(&scene, 3000);
    scene.peer.silent = false;
    refuse_after(&scene, 0);
    expect_said(&scene, "update lost\nclose lost\n");
    assert_true(tracker_client_open(scene.client, B("three")));
    expect_said(&scene, "opened client2\n");
    expect_heard(&scene, "open three\n");
    scene_end(&scene);
}

static void test_opens_again_without_ids(void **state)
{
    struct scene scene;
    struct tracker_client_options options = returning;
    options.dialect = TRACKER_PLAIN;
    scene_begin(&scene, TRACKER_PLAIN);
    scene_connect(&scene, options);
    expect_said(&scene, "connected\n");
    assert_true(tracker_client_update(scene.client, B(""), 0, B("by update")));
    expect_heard(&scene, "update by update\n");
    peer_drop(&scene.peer);
    expect_said(&scene, "disconnected: closed by the server\nconnected again\nopened \n");
    expect_heard(&scene, "open by update\n");
    scene_end(&scene);
}

static void test_requests_are_lost_and_the_entry_is_not(void **state)
{
    struct scene scene;
    scene_begin(&scene, TRACKER_VERSIONED);
    scene.peer.silent = true;
    scene_connect(&scene, returning);
    expect_said(&scene, "connected\n");
    assert_true(tracker_client_open(scene.client, B("one")));
    assert_true(tracker_client_open(scene.client, B("two")));
    assert_true(tracker_client_close(scene.client, B("another")));
    expect_heard(&scene, "open one\nopen two\nclose another\n");
    scene.peer.silent = false;
    peer_drop(&scene.peer);
    expect_said(&scene, "open lost\nclose lost\ndisconnected: closed by the server\n"
                        "connected again\nopened client1\n");
    expect_heard(&scene, "open two\n");
    scene_end(&scene);
}

static void test_without_reconnect_it_stays_away(void **state)
{
    struct scene scene;
    scene_begin(&scene, TRACKER_VERSIONED);
    scene.peer.silent = true;
    scene_connect(&scene, (struct tracker_client_options){.dialect = TRACKER_VERSIONED});
    expect_said(&scene, "connected\n");
    assert_true(tracker_client_open(scene.client, B("one")));
    expect_heard(&scene, "open one\n");
    peer_drop(&scene.peer);
    expect_said(&scene, "open lost\ndisconnected: closed by the server\n");
    for (int i = 0; i < 5; i++)
        loop_turn(scene.loop, 1);
    assert_int_equal(scene.peer.accepted, 1);
    /* Until it is started again. */
    scene.peer.silent = false;
    tracker_client_start(scene.client);
    tracker_client_start(scene.client);
    expect_said(&scene, "connected again\nopened client1\n");
    assert_int_equal(scene.peer.accepted, 2);
    scene_end(&scene);
}

static void test_waits_for_a_server(void **state)
{
    static const char refused[] = "disconnected: connect: Connection refused\n";
    struct scene scene;
    scene_begin(&scene, TRACKER_VERSIONED);
    peer_stop_listening(&scene.peer);
    scene_connect(&scene, returning);
    WAIT_UNTIL(&scene, scene.said.len >= 5 * strlen(refused));
    assert_memory_equal(scene.said.data, refused, strlen(refused));
    peer_listen(&scene.peer);
    peer_serve(&scene.peer);
    WAIT_UNTIL(&scene, strstr(text_of(&scene.said), "\nconnected\n"));
    scene_end(&scene);
}

static void test_names_and_addresses(void **state)
{
    struct scene scene;
    char name[64];
    scene_begin(&scene, TRACKER_PLAIN);
    (void)snprintf(name, sizeof name, "localhost%s", strchr(scene.peer.target, ':'));
    /* A name may have an address of IPv6 too, where nobody listens; attempts take turns. */
    scene_connect(&scene, (struct tracker_client_options){.target = name,
                                                          .dialect = TRACKER_PLAIN,
                                                          .reconnect = true,
                                                          .backoff_ms = 1,
                                                          .source = "127.0.0.7"});
    WAIT_UNTIL(&scene, scene.said.len > 0 && strstr(text_of(&scene.said), "connected\n"));
    WAIT_UNTIL(&scene, scene.peer.fd >= 0);
    struct sockaddr_in from;
    socklen_t len = sizeof from;
    assert_int_equal(getpeername(scene.peer.fd, (struct sockaddr *)&from, &len), 0);
    assert_int_equal(ntohl(from.sin_addr.s_addr), 0x7f000007);
    scene_end(&scene);
}

/* Too long to be asked for, so no resolver is. */
static void test_a_name_that_is_none(void **state)
{
    char target[300];
    struct scene scene;
    memset(target, 'n', sizeof target);
    memcpy(target + sizeof target - 3, ":1", 3);
    scene_begin(&scene, TRACKER_PLAIN);
    scene_connect(&scene,
                  (struct tracker_client_options){.target = target, .dialect = TRACKER_PLAIN});
    WAIT_UNTIL(&scene, scene.said.len > 0);
    assert_memory_equal(scene.said.data, "disconnected: ", 14);
    scene_end(&scene);
}

/* Listens on another kind of socket instead. */
static void listen_instead(struct peer *peer, const struct sockaddr *address, socklen_t len)
{
    peer_stop_listening(peer);
    peer->listener = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(peer->listener >= 0);
    assert_int_equal(bind(peer->listener, address, len), 0);
    peer_serve(peer);
}

static void test_unix_socket(void **state)
{
    char folder[] = "/tmp/tracker-client-XXXXXX";
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct scene scene;
    char target[sizeof address.sun_path + 8];
    assert_non_null(mkdtemp(folder));
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s/socket", folder);
    (void)snprintf(target, sizeof target, "unix:%s", address.sun_path);
    scene_begin(&scene, TRACKER_VERSIONED);
    listen_instead(&scene.peer, (struct sockaddr *)&address, sizeof address);
    scene_connect(&scene,
                  (struct tracker_client_options){.target = target, .dialect = TRACKER_VERSIONED});
    expect_said(&scene, "connected\n");
    assert_true(tracker_client_open(scene.client, B("one")));
    expect_said(&scene, "opened client1\n");
    scene_end(&scene);
    assert_int_equal(unlink(address.sun_path), 0);
    assert_int_equal(rmdir(folder), 0);
}

static void test_ipv6(void **state)
{
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    socklen_t len = sizeof address;
    struct scene scene;
    char target[64];
    scene_begin(&scene, TRACKER_VERSIONED);
    listen_instead(&scene.peer, (struct sockaddr *)&address, len);
    assert_int_equal(getsockname(scene.peer.listener, (struct sockaddr *)&address, &len), 0);
    (void)snprintf(target, sizeof target, "[::1]:%u", ntohs(address.sin6_port));
    scene_connect(&scene,
                  (struct tracker_client_options){.target = target, .dialect = TRACKER_VERSIONED});
    expect_said(&scene, "connected\n");
    scene_end(&scene);
}

static void test_no_answer_in_time(void **state)
{
    struct scene scene;
    scene_begin(&scene, TRACKER_VERSIONED);
    scene.peer.silent = true;
    scene_connect(&scene, (struct tracker_client_options){.dialect = TRACKER_VERSIONED,
                                                          .reply_timeout_ms = 20});
    expect_said(&scene, "connected\n");
    assert_true(tracker_client_open(scene.client, B("one")));
    expect_said(&scene, "open lost\ndisconnected: no answer in time\n");
    scene_end(&scene);
}

/* Stopping and destroying are allowed in every callback, and nothing is said after. */
static void test_ends_in_each_callback(void **state)
{
    const struct {
        const char *callback, *said;
    } rows[] = {
        {"connected", "connected\n"},
        {"opened", "connected\nopened client1\n"},
        {"replied", "connected\nopened client1\nupdate accepted\n"},
        {"mapped", "connected\nopened client1\nupdate accepted\nmap v1: i/1=\n"},
        {"updated", "connected\nopened client1\nupdate accepted\nmap v1: i/1=\nupdated v2 i s\n"},
        {"disconnected", "connected\nopened client1\nupdate accepted\nmap v1: i/1=\n"
                         "updated v2 i s\ndisconnected: an unknown type\n"},
    };
    const struct bytes pushes = B("\x2a\x01\x03\x05\x01\x01\x01i\x00"
                                  "\x2a\x01\x02\x05\x02\x01i\x01s"
                                  "\x2a\x01\x07");
    for (size_t i = 0; i < 2 * sizeof rows / sizeof *rows; i++) {
        struct scene scene;
        const char *callback = rows[i / 2].callback;
        scene_begin(&scene, TRACKER_VERSIONED);
        *(i % 2 ? &scene.stop_in : &scene.destroy_in) = callback;
        scene_connect(&scene, returning);
        WAIT_UNTIL(&scene, scene.said.len > 0);
        if (strcmp(callback, "connected") != 0) {
            assert_true(tracker_client_open(scene.client, B("one")));
            WAIT_UNTIL(&scene, strstr(text_of(&scene.said), "opened"));
        }
        if (i / 2 >= 2) {
            assert_true(tracker_client_update(scene.client, B("client1"), 1, B("s")));
            WAIT_UNTIL(&scene, strstr(text_of(&scene.said), "update accepted"));
        }
        if (i / 2 >= 3)
            peer_send(&scene.peer, pushes);
        /* The server sees the end. */
        WAIT_UNTIL(&scene, scene.peer.accepted == 1 && scene.peer.fd < 0);
        assert_string_equal(text_of(&scene.said), rows[i / 2].said);
        assert_int_equal(scene.client == NULL, i % 2 == 0);
        scene_end(&scene);
    }
}

/* What is told when requests are lost may end the client as well. */
static void test_ends_when_requests_are_lost(void **state)
{
    for (int stops = 0; stops < 2; stops++) {
        struct scene scene;
        begin_opened(&scene);
        *(stops ? &scene.stop_in : &scene.destroy_in) = "replied";
        scene.peer.silent = true;
        assert_true(tracker_client_update(scene.client, B("client1"), 1, B("s")));
        assert_true(tracker_client_update(scene.client, B("client1"), 2, B("s")));
        expect_heard(&scene, "update client1 v1 s\nupdate client1 v2 s\n");
        peer_drop(&scene.peer);
        expect_said(&scene,
                    stops ? "update lost\ndisconnected: closed by the server\n" : "update lost\n");
        for (int i = 0; i < 5; i++)
            loop_turn(scene.loop, 1);
        assert_int_equal(scene.peer.accepted, 1);
        scene_end(&scene);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_adopts_its_entry_again),
        cmocka_unit_test(test_opens_anew_what_is_anothers),
        cmocka_unit_test(test_an_open_that_the_map_did_not_answer_is_asked_for_again),
        cmocka_unit_test(test_an_entry_is_asked_for_until_it_is_taken_up),
        cmocka_unit_test(test_a_state_that_the_map_did_not_take_is_sent_again),
        cmocka_unit_test(test_opens_again_without_ids),
        cmocka_unit_test(test_requests_are_lost_and_the_entry_is_not),
        cmocka_unit_test(test_without_reconnect_it_stays_away),
        cmocka_unit_test(test_waits_for_a_server),
        cmocka_unit_test(test_names_and_addresses),
        cmocka_unit_test(test_a_name_that_is_none),
        cmocka_unit_test(test_unix_socket),
        cmocka_unit_test(test_ipv6),
        cmocka_unit_test(test_no_answer_in_time),
        cmocka_unit_test(test_ends_in_each_callback),
        cmocka_unit_test(test_ends_when_requests_are_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
