/* The client over TLS. The certificate is made for the test, by the openssl command. */
#include <signal.h>

#include "client/peer.h"

static char folder[] = "/tmp/tracker-client-tls-XXXXXX";
static char certificate[64];
static char key[64];

static int make_certificate(void **state)
{
    char command[400];
    (void)signal(SIGPIPE, SIG_IGN);
    if (!mkdtemp(folder))
        return -1;
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
    if (!context)
        fail_msg("%s", error);
    return context;
}

static void begin(struct scene *scene, enum tracker_dialect dialect)
{
    char *error = NULL;
    scene_begin(scene, dialect);
    scene->peer.tls = tls_server_context_create(certificate, key, NULL, &error);
    if (!scene->peer.tls)
        fail_msg("%s", error);
}

static void test_requests_and_pushes(void **state)
{
    struct scene scene;
    struct tls_context *context = client_context();
    begin(&scene, TRACKER_VERSIONED);
    scene_connect(&scene, (struct tracker_client_options){.dialect = TRACKER_VERSIONED,
                                                          .tls = context,
                                                          .server_name = "tracker.test",
                                                          .answer_pushes = true});
    tls_context_unref(&context);
    expect_said(&scene, "connected\n");
    assert_true(tracker_client_open(scene.client, B("one")));
    expect_said(&scene, "opened client1\n");
    peer_send(&scene.peer, B("\x2a\x01\x02\x05\x02\x01i\x01s"));
    expect_said(&scene, "updated v2 i s\n");
    WAIT_UNTIL(&scene, scene.peer.acks == 1);
    peer_drop(&scene.peer);
    WAIT_UNTIL(&scene, scene.said.len > 0);
    assert_memory_equal(text_of(&scene.said), "disconnected: ", 14);
    scene_end(&scene);
}

/* More than a record of TLS, and more than is read at once, in both directions. */
static void test_much(void **state)
{
    static uint8_t memory[60000];
    struct scene scene;
    struct tls_context *context = client_context();
    struct writer to = {0};
    const size_t heard = 10 * (sizeof "update " + sizeof memory);
    begin(&scene, TRACKER_2014);
    scene_connect(&scene, (struct tracker_client_options){.dialect = TRACKER_2014,
                                                          .tls = context,
                                                          .server_name = "tracker.test"});
    tls_context_unref(&context);
    expect_said(&scene, "connected\n");
    memset(memory, 's', sizeof memory);
    const struct bytes much = {memory, sizeof memory};
    for (int i = 0; i < 10; i++)
        assert_true(tracker_client_update(scene.client, B(""), 0, much));
    WAIT_UNTIL(&scene, scene.peer.heard.len == heard);
    scene.peer.silent = true;
    assert_true(tracker_client_get(scene.client));
    WAIT_UNTIL(&scene, scene.peer.heard.len == heard + sizeof "get");
    tracker_write_map_reply(&to, TRACKER_2014, much);
    peer_send(&scene.peer, writer_bytes_written(&to));
    WAIT_UNTIL(&scene, scene.said.len == sizeof "text " + sizeof memory);
    writer_free(&to);
    scene_end(&scene);
}

static void test_another_name(void **state)
{
    struct scene scene;
    struct tls_context *context = client_context();
    begin(&scene, TRACKER_VERSIONED);
    scene_connect(&scene, (struct tracker_client_options){.dialect = TRACKER_VERSIONED,
                                                          .tls = context,
                                                          .server_name = "another.test"});
    tls_context_unref(&context);
    WAIT_UNTIL(&scene, scene.said.len > 0);
    assert_memory_equal(text_of(&scene.said), "disconnected: TLS: ", 19);
    scene_end(&scene);
}

static void test_a_server_that_does_not_shake_hands(void **state)
{
    struct scene scene;
    struct tls_context *context = client_context();
    begin(&scene, TRACKER_VERSIONED);
    scene.peer.silent = scene.peer.deaf = true;
    scene_connect(&scene, (struct tracker_client_options){.dialect = TRACKER_VERSIONED,
                                                          .tls = context,
                                                          .connect_timeout_ms = 20});
    tls_context_unref(&context);
    expect_said(&scene, "disconnected: connect: timed out\n");
    scene_end(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests_and_pushes),
        cmocka_unit_test(test_much),
        cmocka_unit_test(test_another_name),
        cmocka_unit_test(test_a_server_that_does_not_shake_hands),
    };
    return cmocka_run_group_tests(tests, make_certificate, remove_certificate);
}
