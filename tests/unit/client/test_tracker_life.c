/* The client's connection: connecting, closing, reconnecting. */
#include "client/peer.h"

static const struct tracker_client_options reconnecting = {
    .dialect = TRACKER_VERSIONED, .reconnect = true, .backoff_ms = 1, .backoff_max_ms = 4};

static void begin_opened(struct fixture *fixture)
{
    fixture_begin(fixture, TRACKER_VERSIONED);
    fixture_connect(fixture, reconnecting);
    expect_events(fixture, "connected\n");
    assert_true(tracker_client_open(fixture->client, B("one")));
    expect_events(fixture, "opened client1\n");
    expect_received(fixture, "open one\n");
}

static void test_restores_its_entry_after_a_reconnect(void **state)
{
    struct fixture fixture;
    begin_opened(&fixture);
    assert_true(tracker_client_update(fixture.client, B("client1"), 255, B("two")));
    expect_events(&fixture, "update accepted\n");
    expect_received(&fixture, "update client1 v255 two\n");
    peer_drop(&fixture.peer);
    expect_events(&fixture,
                  "disconnected: closed by the server\nconnected again\nadopted client1\n");
    /* The next version, whose low byte is 0. */
    expect_received(&fixture, "update client1 v0 two\n");
    assert_int_equal(tracker_client_entry_version(fixture.client), 256);
    assert_int_equal(fixture.peer.accepted, 2);

    /* After a close there is nothing to restore. */
    assert_true(tracker_client_close(fixture.client, B("client1")));
    expect_events(&fixture, "close accepted\n");
    expect_received(&fixture, "close client1\n");
    peer_drop(&fixture.peer);
    expect_events(&fixture, "disconnected: closed by the server\nconnected\n");
    assert_string_equal(text_of(&fixture.peer.received), "");
    fixture_end(&fixture);
}

static void test_opens_another_entry_when_the_old_one_is_taken(void **state)
{
    struct fixture fixture;
    begin_opened(&fixture);
    fixture.peer.refuses = true;
    peer_drop(&fixture.peer);
    WAIT_UNTIL(&fixture, fixture.peer.received.len > 0);
    fixture.peer.refuses = false;
    expect_received(&fixture, "update client1 v1 one\nopen one\n");
    expect_events(&fixture,
                  "disconnected: closed by the server\nconnected again\nopened client2\n");
    assert_true(bytes_equal(tracker_client_entry_id(fixture.client), B("client2")));
    assert_int_equal(tracker_client_entry_version(fixture.client), 0);
    fixture_end(&fixture);
}

/* The peer refuses the pending request after `ms`. */
static void refuse_pending_after(struct fixture *fixture, unsigned ms)
{
    struct writer no = {0};
    loop_skip(fixture->loop, ms);
    tracker_write_ack(&no, false);
    peer_send(&fixture->peer, writer_bytes_written(&no));
    writer_free(&no);
}

static void test_a_late_refusal_of_an_open_is_retried(void **state)
{
    struct fixture fixture;
    fixture_begin(&fixture, TRACKER_VERSIONED);
    fixture_connect(&fixture, reconnecting);
    expect_events(&fixture, "connected\n");
    fixture.peer.silent = true;
    assert_true(tracker_client_open(fixture.client, B("one")));
    for (int i = 0; i < 3; i++) {
        expect_received(&fixture, "open one\n");
        refuse_pending_after(&fixture, 2500); /* 2.5 s */
    }
    expect_received(&fixture, "open one\n");
    fixture.peer.silent = false;
    /* An early refusal is final. */
    refuse_pending_after(&fixture, 0);
    expect_events(&fixture, "open refused\n");
    assert_true(tracker_client_open(fixture.client, B("two")));
    expect_events(&fixture, "opened client1\n");
    fixture_end(&fixture);
}

/* While Redis is unreachable it is neither restored nor opened; then the old id comes first. */
static void test_an_entry_is_requested_until_it_is_restored(void **state)
{
    struct fixture fixture;
    begin_opened(&fixture);
    fixture.peer.silent = true;
    peer_drop(&fixture.peer);
    expect_events(&fixture, "disconnected: closed by the server\nconnected again\n");
    expect_received(&fixture, "update client1 v1 one\n");
    refuse_pending_after(&fixture, 3000);
    expect_received(&fixture, "update client1 v2 one\n");
    refuse_pending_after(&fixture, 0);
    expect_received(&fixture, "open one\n");
    refuse_pending_after(&fixture, 0);
    fixture.peer.silent = false;
    expect_events(&fixture, "adopted client1\n");
    expect_received(&fixture, "update client1 v3 one\n");
    assert_int_equal(tracker_client_entry_version(fixture.client), 3);
    fixture_end(&fixture);
}

static void test_a_late_refusal_of_an_update_is_retried(void **state)
{
    struct fixture fixture;
    begin_opened(&fixture);
    fixture.peer.silent = true;
    assert_true(tracker_client_update(fixture.client, B("client1"), 1, B("two")));
    expect_received(&fixture, "update client1 v1 two\n");
    refuse_pending_after(&fixture, 3000);
    expect_received(&fixture, "update client1 v2 two\n");
    /* After a close it is not requested again. */
    assert_true(tracker_client_close(fixture.client, B("client1")));
    expect_received(&fixture, "close client1\n");
    refuse_pending_after(&fixture, 3000);
    fixture.peer.silent = false;
    refuse_pending_after(&fixture, 0);
    expect_events(&fixture, "update lost\nclose lost\n");
    assert_true(tracker_client_open(fixture.client, B("three")));
    expect_events(&fixture, "opened client2\n");
    expect_received(&fixture, "open three\n");
    fixture_end(&fixture);
}

static void test_reopens_without_ids(void **state)
{
    struct fixture fixture;
    struct tracker_client_options options = reconnecting;
    options.dialect = TRACKER_PLAIN;
    fixture_begin(&fixture, TRACKER_PLAIN);
    fixture_connect(&fixture, options);
    expect_events(&fixture, "connected\n");
    assert_true(tracker_client_update(fixture.client, B(""), 0, B("by update")));
    expect_received(&fixture, "update by update\n");
    peer_drop(&fixture.peer);
    expect_events(&fixture, "disconnected: closed by the server\nconnected again\nopened \n");
    expect_received(&fixture, "open by update\n");
    fixture_end(&fixture);
}

static void test_requests_are_lost_but_not_the_entry(void **state)
{
    struct fixture fixture;
    fixture_begin(&fixture, TRACKER_VERSIONED);
    fixture.peer.silent = true;
    fixture_connect(&fixture, reconnecting);
    expect_events(&fixture, "connected\n");
    assert_true(tracker_client_open(fixture.client, B("one")));
    assert_true(tracker_client_open(fixture.client, B("two")));
    assert_true(tracker_client_close(fixture.client, B("another")));
    expect_received(&fixture, "open one\nopen two\nclose another\n");
    fixture.peer.silent = false;
    peer_drop(&fixture.peer);
    expect_events(&fixture, "open lost\nclose lost\ndisconnected: closed by the server\n"
                            "connected again\nopened client1\n");
    expect_received(&fixture, "open two\n");
    fixture_end(&fixture);
}

static void test_without_reconnect_it_stays_disconnected(void **state)
{
    struct fixture fixture;
    fixture_begin(&fixture, TRACKER_VERSIONED);
    fixture.peer.silent = true;
    fixture_connect(&fixture, (struct tracker_client_options){.dialect = TRACKER_VERSIONED});
    expect_events(&fixture, "connected\n");
    assert_true(tracker_client_open(fixture.client, B("one")));
    expect_received(&fixture, "open one\n");
    peer_drop(&fixture.peer);
    expect_events(&fixture, "open lost\ndisconnected: closed by the server\n");
    for (int i = 0; i < 5; i++) {
        loop_iterate(fixture.loop, 1);
    }
    assert_int_equal(fixture.peer.accepted, 1);
    /* It connects when it is started again. */
    fixture.peer.silent = false;
    tracker_client_start(fixture.client);
    tracker_client_start(fixture.client);
    expect_events(&fixture, "connected again\nopened client1\n");
    assert_int_equal(fixture.peer.accepted, 2);
    fixture_end(&fixture);
}

static void test_retries_until_the_server_listens(void **state)
{
    static const char refused[] = "disconnected: connect: Connection refused\n";
    struct fixture fixture;
    fixture_begin(&fixture, TRACKER_VERSIONED);
    peer_stop_listening(&fixture.peer);
    fixture_connect(&fixture, reconnecting);
    WAIT_UNTIL(&fixture, fixture.events_seen.len >= 5 * strlen(refused));
    assert_memory_equal(fixture.events_seen.data, refused, strlen(refused));
    peer_listen(&fixture.peer);
    peer_serve(&fixture.peer);
    WAIT_UNTIL(&fixture, strstr(text_of(&fixture.events_seen), "\nconnected\n"));
    fixture_end(&fixture);
}

static void test_names_and_addresses(void **state)
{
    struct fixture fixture;
    char name[64];
    fixture_begin(&fixture, TRACKER_PLAIN);
    (void)snprintf(name, sizeof name, "localhost%s", strchr(fixture.peer.target, ':'));
    /* The name may also have an IPv6 address, where nobody listens; attempts alternate. */
    fixture_connect(&fixture, (struct tracker_client_options){.target = name,
                                                              .dialect = TRACKER_PLAIN,
                                                              .reconnect = true,
                                                              .backoff_ms = 1,
                                                              .source = "127.0.0.7"});
    WAIT_UNTIL(&fixture,
               fixture.events_seen.len > 0 && strstr(text_of(&fixture.events_seen), "connected\n"));
    WAIT_UNTIL(&fixture, fixture.peer.fd >= 0);
    struct sockaddr_in from;
    socklen_t len = sizeof from;
    assert_int_equal(getpeername(fixture.peer.fd, (struct sockaddr *)&from, &len), 0);
    assert_int_equal(ntohl(from.sin_addr.s_addr), 0x7f000007);
    fixture_end(&fixture);
}

/* The name exceeds the limit, so no resolver is asked. */
static void test_an_overlong_name(void **state)
{
    char target[300];
    struct fixture fixture;
    memset(target, 'n', sizeof target);
    memcpy(target + sizeof target - 3, ":1", 3);
    fixture_begin(&fixture, TRACKER_PLAIN);
    fixture_connect(&fixture,
                    (struct tracker_client_options){.target = target, .dialect = TRACKER_PLAIN});
    WAIT_UNTIL(&fixture, fixture.events_seen.len > 0);
    assert_memory_equal(fixture.events_seen.data, "disconnected: ", 14);
    fixture_end(&fixture);
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
    struct fixture fixture;
    char target[sizeof address.sun_path + 8];
    assert_non_null(mkdtemp(folder));
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s/socket", folder);
    (void)snprintf(target, sizeof target, "unix:%s", address.sun_path);
    fixture_begin(&fixture, TRACKER_VERSIONED);
    listen_instead(&fixture.peer, (struct sockaddr *)&address, sizeof address);
    fixture_connect(
        &fixture, (struct tracker_client_options){.target = target, .dialect = TRACKER_VERSIONED});
    expect_events(&fixture, "connected\n");
    assert_true(tracker_client_open(fixture.client, B("one")));
    expect_events(&fixture, "opened client1\n");
    fixture_end(&fixture);
    assert_int_equal(unlink(address.sun_path), 0);
    assert_int_equal(rmdir(folder), 0);
}

static void test_ipv6(void **state)
{
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    socklen_t len = sizeof address;
    struct fixture fixture;
    char target[64];
    fixture_begin(&fixture, TRACKER_VERSIONED);
    listen_instead(&fixture.peer, (struct sockaddr *)&address, len);
    assert_int_equal(getsockname(fixture.peer.listener, (struct sockaddr *)&address, &len), 0);
    (void)snprintf(target, sizeof target, "[::1]:%u", ntohs(address.sin6_port));
    fixture_connect(
        &fixture, (struct tracker_client_options){.target = target, .dialect = TRACKER_VERSIONED});
    expect_events(&fixture, "connected\n");
    fixture_end(&fixture);
}

static void test_reply_timeout(void **state)
{
    struct fixture fixture;
    fixture_begin(&fixture, TRACKER_VERSIONED);
    fixture.peer.silent = true;
    fixture_connect(&fixture, (struct tracker_client_options){.dialect = TRACKER_VERSIONED,
                                                              .reply_timeout_ms = 20});
    expect_events(&fixture, "connected\n");
    assert_true(tracker_client_open(fixture.client, B("one")));
    expect_events(&fixture, "open lost\ndisconnected: no reply in time\n");
    fixture_end(&fixture);
}

/* Every callback may stop or destroy the client, and no callback follows. */
static void test_stop_and_destroy_in_each_callback(void **state)
{
    const struct {
        const char *callback, *events_seen;
    } rows[] = {
        {"connected", "connected\n"},
        {"opened", "connected\nopened client1\n"},
        {"replied", "connected\nopened client1\nupdate accepted\n"},
        {"map_received", "connected\nopened client1\nupdate accepted\nmap v1: i/1=\n"},
        {"updated", "connected\nopened client1\nupdate accepted\nmap v1: i/1=\nupdated v2 i s\n"},
        {"disconnected", "connected\nopened client1\nupdate accepted\nmap v1: i/1=\n"
                         "updated v2 i s\ndisconnected: an unknown type\n"},
    };
    const struct bytes pushes = B("\x2a\x01\x03\x05\x01\x01\x01i\x00"
                                  "\x2a\x01\x02\x05\x02\x01i\x01s"
                                  "\x2a\x01\x07");
    for (size_t i = 0; i < 2 * sizeof rows / sizeof *rows; i++) {
        struct fixture fixture;
        const char *callback = rows[i / 2].callback;
        fixture_begin(&fixture, TRACKER_VERSIONED);
        *(i % 2 ? &fixture.stop_in : &fixture.destroy_in) = callback;
        fixture_connect(&fixture, reconnecting);
        WAIT_UNTIL(&fixture, fixture.events_seen.len > 0);
        if (strcmp(callback, "connected") != 0) {
            assert_true(tracker_client_open(fixture.client, B("one")));
            WAIT_UNTIL(&fixture, strstr(text_of(&fixture.events_seen), "opened"));
        }
        if (i / 2 >= 2) {
            assert_true(tracker_client_update(fixture.client, B("client1"), 1, B("s")));
            WAIT_UNTIL(&fixture, strstr(text_of(&fixture.events_seen), "update accepted"));
        }
        if (i / 2 >= 3) {
            peer_send(&fixture.peer, pushes);
        }
        /* The server sees the close. */
        WAIT_UNTIL(&fixture, fixture.peer.accepted == 1 && fixture.peer.fd < 0);
        assert_string_equal(text_of(&fixture.events_seen), rows[i / 2].events_seen);
        assert_int_equal(!fixture.client, i % 2 == 0);
        fixture_end(&fixture);
    }
}

/* The callbacks of lost requests may stop or destroy the client, too. */
static void test_stop_and_destroy_while_requests_are_lost(void **state)
{
    for (int stops = 0; stops < 2; stops++) {
        struct fixture fixture;
        begin_opened(&fixture);
        *(stops ? &fixture.stop_in : &fixture.destroy_in) = "replied";
        fixture.peer.silent = true;
        assert_true(tracker_client_update(fixture.client, B("client1"), 1, B("s")));
        assert_true(tracker_client_update(fixture.client, B("client1"), 2, B("s")));
        expect_received(&fixture, "update client1 v1 s\nupdate client1 v2 s\n");
        peer_drop(&fixture.peer);
        expect_events(&fixture, stops ? "update lost\ndisconnected: closed by the server\n"
                                      : "update lost\n");
        for (int i = 0; i < 5; i++) {
            loop_iterate(fixture.loop, 1);
        }
        assert_int_equal(fixture.peer.accepted, 1);
        fixture_end(&fixture);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_restores_its_entry_after_a_reconnect),
        cmocka_unit_test(test_opens_another_entry_when_the_old_one_is_taken),
        cmocka_unit_test(test_a_late_refusal_of_an_open_is_retried),
        cmocka_unit_test(test_an_entry_is_requested_until_it_is_restored),
        cmocka_unit_test(test_a_late_refusal_of_an_update_is_retried),
        cmocka_unit_test(test_reopens_without_ids),
        cmocka_unit_test(test_requests_are_lost_but_not_the_entry),
        cmocka_unit_test(test_without_reconnect_it_stays_disconnected),
        cmocka_unit_test(test_retries_until_the_server_listens),
        cmocka_unit_test(test_names_and_addresses),
        cmocka_unit_test(test_an_overlong_name),
        cmocka_unit_test(test_unix_socket),
        cmocka_unit_test(test_ipv6),
        cmocka_unit_test(test_reply_timeout),
        cmocka_unit_test(test_stop_and_destroy_in_each_callback),
        cmocka_unit_test(test_stop_and_destroy_while_requests_are_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
