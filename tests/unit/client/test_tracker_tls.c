/* The client over TLS. The openssl command creates the certificate of the test. */
#include <signal.h>

#include "client/peer.h"

static char folder[] = "/tmp/tracker-client-tls-XXXXXX";
static char certificate[64];
static char key[64];

static int make_certificate(void **state)
{
    char command[400];
    (void)signal(SIGPIPE, SIG_IGN);
    if (!mkdtemp(folder)) {
        return -1;
    }
    (void)snprintf(certificate, sizeof certificate, "%s/cert.pem", folder);
    (void)snprintf(key, sizeof key, "%s/key.pem", folder);
    (void)snprintf(command, sizeof command,
                   "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes "
                   "-days 2 -subj /CN=tracker.test -addext subjectAltName=DNS:tracker.test "
                   "-keyout %s -out %s 2>/dev/null",
                   key, certificate);
    return system(command);
}

static int remove_certificate(void **state)
{
    return unlink(certificate) || unlink(key) || rmdir(folder);
}

static struct tls_context *client_context(void)
{
    char *error = NULL;
    struct tls_context *context = tls_client_context_create(certificate, NULL, NULL, true, &error);
    if (!context) {
        fail_msg("%s", error);
    }
    return context;
}

static void begin(struct fixture *fixture, enum tracker_dialect dialect)
{
    char *error = NULL;
    fixture_begin(fixture, dialect);
    fixture->peer.tls = tls_server_context_create(certificate, key, NULL, &error);
    if (!fixture->peer.tls) {
        fail_msg("%s", error);
    }
}

static void test_requests_and_pushes(void **state)
{
    struct fixture fixture;
    struct tls_context *context = client_context();
    begin(&fixture, TRACKER_VERSIONED);
    fixture_connect(&fixture, (struct tracker_client_options){.dialect = TRACKER_VERSIONED,
                                                              .tls = context,
                                                              .server_name = "tracker.test",
                                                              .acknowledge_pushes = true});
    tls_context_unref(&context);
    expect_events(&fixture, "connected\n");
    assert_true(tracker_client_open(fixture.client, B("one")));
    expect_events(&fixture, "opened client1\n");
    peer_send(&fixture.peer, B("\x2a\x01\x02\x05\x02\x01i\x01s"));
    expect_events(&fixture, "updated v2 i s\n");
    WAIT_UNTIL(&fixture, fixture.peer.acks == 1);
    peer_drop(&fixture.peer);
    WAIT_UNTIL(&fixture, fixture.events_seen.len > 0);
    assert_memory_equal(text_of(&fixture.events_seen), "disconnected: ", 14);
    fixture_end(&fixture);
}

/* More than a TLS record, and more than one read, in both directions. */
static void test_large_messages(void **state)
{
    static uint8_t memory[60000];
    struct fixture fixture;
    struct tls_context *context = client_context();
    struct writer to = {0};
    const size_t received = 10 * (sizeof "update " + sizeof memory);
    begin(&fixture, TRACKER_2014);
    fixture_connect(&fixture, (struct tracker_client_options){.dialect = TRACKER_2014,
                                                              .tls = context,
                                                              .server_name = "tracker.test"});
    tls_context_unref(&context);
    expect_events(&fixture, "connected\n");
    memset(memory, 's', sizeof memory);
    const struct bytes much = {memory, sizeof memory};
    for (int i = 0; i < 10; i++) {
        assert_true(tracker_client_update(fixture.client, B(""), 0, much));
    }
    WAIT_UNTIL(&fixture, fixture.peer.received.len == received);
    fixture.peer.silent = true;
    assert_true(tracker_client_get(fixture.client));
    WAIT_UNTIL(&fixture, fixture.peer.received.len == received + sizeof "get");
    tracker_write_map_reply(&to, TRACKER_2014, much);
    peer_send(&fixture.peer, writer_bytes_written(&to));
    WAIT_UNTIL(&fixture, fixture.events_seen.len == sizeof "text " + sizeof memory);
    writer_free(&to);
    fixture_end(&fixture);
}

static void test_a_certificate_for_another_name(void **state)
{
    struct fixture fixture;
    struct tls_context *context = client_context();
    begin(&fixture, TRACKER_VERSIONED);
    fixture_connect(&fixture, (struct tracker_client_options){.dialect = TRACKER_VERSIONED,
                                                              .tls = context,
                                                              .server_name = "another.test"});
    tls_context_unref(&context);
    WAIT_UNTIL(&fixture, fixture.events_seen.len > 0);
    assert_memory_equal(text_of(&fixture.events_seen), "disconnected: TLS: ", 19);
    fixture_end(&fixture);
}

static void test_tls_handshake_timeout(void **state)
{
    struct fixture fixture;
    struct tls_context *context = client_context();
    begin(&fixture, TRACKER_VERSIONED);
    fixture.peer.silent = fixture.peer.reads_nothing = true;
    fixture_connect(&fixture, (struct tracker_client_options){.dialect = TRACKER_VERSIONED,
                                                              .tls = context,
                                                              .connect_timeout_ms = 20});
    tls_context_unref(&context);
    expect_events(&fixture, "disconnected: connect: timed out\n");
    fixture_end(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests_and_pushes),
        cmocka_unit_test(test_large_messages),
        cmocka_unit_test(test_a_certificate_for_another_name),
        cmocka_unit_test(test_tls_handshake_timeout),
    };
    return cmocka_run_group_tests(tests, make_certificate, remove_certificate);
}
