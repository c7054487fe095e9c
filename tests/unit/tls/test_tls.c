/* TLS streams over socketpairs: our server and our client, good and bad certificates. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/random.h"
#include "tls/tls.h"

#include "certificates.h"

static struct certificates files;

static int set_up(void **state)
{
    random_init();
    (void)signal(SIGPIPE, SIG_IGN);
    certificates_create(&files);
    return 0;
}

static int tear_down(void **state)
{
    certificates_remove(&files);
    return 0;
}

/* A server and a client, connected. */
struct pair {
    int fds[2];
    struct tls_context *contexts[2];
    struct tls_stream *server, *client;
};

static struct tls_context *must(struct tls_context *context, char *error)
{
    if (!context) {
        fail_msg("%s", error ? error : "no context, and no reason");
    }
    assert_null(error);
    return context;
}

static void open_pair(struct pair *pair, struct tls_context *server, struct tls_context *client,
                      const char *name)
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair->fds), 0);
    pair->contexts[0] = server;
    pair->contexts[1] = client;
    pair->server = tls_stream_create(server, pair->fds[0], NULL);
    pair->client = tls_stream_create(client, pair->fds[1], name);
}

static void close_pair(struct pair *pair)
{
    tls_stream_destroy(&pair->server);
    tls_stream_destroy(&pair->client);
    tls_context_unref(&pair->contexts[0]);
    tls_context_unref(&pair->contexts[1]);
    close(pair->fds[0]);
    close(pair->fds[1]);
}

static void open_plain_pair(struct pair *pair)
{
    char *error = NULL;
    struct tls_context *server =
        must(tls_server_context_create(files.server, files.server_key, NULL, &error), error);
    struct tls_context *client =
        must(tls_client_context_create(files.ca, NULL, NULL, true, &error), error);
    open_pair(pair, server, client, "localhost");
}

/* Both sides in turn, until each is done or has failed: 0 or the errno of each. */
static void shake_hands(struct pair *pair, int *server, int *client)
{
    *server = *client = EAGAIN;
    for (int i = 0; i < 50 && (*server == EAGAIN || *client == EAGAIN); i++) {
        if (*client == EAGAIN) {
            *client = tls_stream_handshake(pair->client) == 0 ? 0 : errno;
        }
        if (*server == EAGAIN) {
            *server = tls_stream_handshake(pair->server) == 0 ? 0 : errno;
        }
    }
}

static void expect_handshake(struct pair *pair)
{
    int server, client;
    shake_hands(pair, &server, &client);
    if (server != 0 || client != 0) {
        fail_msg("server: %s, client: %s", tls_stream_error(pair->server),
                 tls_stream_error(pair->client));
    }
}

static void test_bytes_both_ways(void **state)
{
    struct pair pair;
    char got[64];
    open_plain_pair(&pair);
    assert_int_equal(tls_stream_handshake(pair.server), -1);
    assert_int_equal(errno, EAGAIN);
    assert_false(tls_stream_wants_write(pair.server));
    expect_handshake(&pair);
    assert_int_equal(tls_stream_read(pair.server, got, sizeof got), -1);
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(tls_stream_write(pair.client, "hello", 5), 5);
    assert_int_equal(tls_stream_write(pair.server, "good day", 8), 8);
    assert_int_equal(tls_stream_read(pair.server, got, sizeof got), 5);
    assert_memory_equal(got, "hello", 5);
    assert_int_equal(tls_stream_read(pair.client, got, sizeof got), 8);
    assert_memory_equal(got, "good day", 8);
    assert_string_equal(tls_stream_error(pair.client), "no error");
    close_pair(&pair);
}

static void test_pending_bytes(void **state)
{
    struct pair pair;
    char got[64];
    open_plain_pair(&pair);
    expect_handshake(&pair);
    assert_int_equal(tls_stream_write(pair.client, "hello", 5), 5);
    assert_false(tls_stream_has_pending(pair.server));
    assert_int_equal(tls_stream_read(pair.server, got, 2), 2);
    assert_true(tls_stream_has_pending(pair.server));
    assert_int_equal(tls_stream_read(pair.server, got, sizeof got), 3);
    assert_false(tls_stream_has_pending(pair.server));
    close_pair(&pair);
}

static void test_end_of_stream(void **state)
{
    struct pair pair;
    char got[64];
    open_plain_pair(&pair);
    expect_handshake(&pair);
    assert_int_equal(tls_stream_write(pair.client, "bye", 3), 3);
    tls_stream_shutdown(pair.client);
    assert_int_equal(tls_stream_read(pair.server, got, sizeof got), 3);
    assert_int_equal(tls_stream_read(pair.server, got, sizeof got), 0);
    assert_int_equal(tls_stream_read(pair.server, got, sizeof got), 0);
    close_pair(&pair);
    /* One that only closes is as good. */
    open_plain_pair(&pair);
    expect_handshake(&pair);
    shutdown(pair.fds[1], SHUT_WR);
    assert_int_equal(tls_stream_read(pair.server, got, sizeof got), 0);
    close_pair(&pair);
}

/* More than the socket takes, in pieces, from memory that moves. */
static void test_full_socket(void **state)
{
    enum { SIZE = 3000000 };
    uint8_t *bytes = malloc(SIZE), *got = malloc(SIZE);
    size_t sent = 0, received = 0;
    bool was_full = false;
    struct pair pair;
    for (size_t i = 0; i < SIZE; i++) {
        bytes[i] = (uint8_t)(i * 31 + i / 255);
    }
    open_plain_pair(&pair);
    expect_handshake(&pair);
    while (received < SIZE) {
        ssize_t n;
        while (sent < SIZE) {
            size_t len = SIZE - sent < 20000 ? SIZE - sent : 20000;
            uint8_t *moved = malloc(len);
            memcpy(moved, bytes + sent, len);
            n = tls_stream_write(pair.server, moved, len);
            free(moved);
            if (n < 0) {
                break;
            }
            sent += (size_t)n;
        }
        if (sent < SIZE) {
            assert_int_equal(errno, EAGAIN);
            assert_true(tls_stream_wants_write(pair.server));
            was_full = true;
        }
        while ((n = tls_stream_read(pair.client, got + received, SIZE - received)) > 0) {
            received += (size_t)n;
        }
    }
    assert_true(was_full);
    assert_memory_equal(got, bytes, SIZE);
    close_pair(&pair);
    free(bytes);
    free(got);
}

static void test_names(void **state)
{
    static const struct {
        const char *name;
        bool verify, good;
    } cases[] = {
        {"localhost", true, true},  {"127.0.0.1", true, true},    {"example.org", true, false},
        {"127.0.0.2", true, false}, {"example.org", false, true}, {NULL, true, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *error = NULL;
        int server, client;
        struct pair pair;
        struct tls_context *ours =
            must(tls_server_context_create(files.server, files.server_key, NULL, &error), error);
        struct tls_context *theirs =
            must(tls_client_context_create(files.ca, NULL, NULL, cases[i].verify, &error), error);
        open_pair(&pair, ours, theirs, cases[i].name);
        shake_hands(&pair, &server, &client);
        assert_int_equal(client == 0, cases[i].good);
        if (!cases[i].good) {
            assert_non_null(strstr(tls_stream_error(pair.client), "mismatch"));
        }
        close_pair(&pair);
    }
}

static void test_unknown_authority(void **state)
{
    char *error = NULL;
    int server, client;
    struct pair pair;
    open_pair(&pair,
              must(tls_server_context_create(files.server, files.server_key, NULL, &error), error),
              must(tls_client_context_create(files.other_ca, NULL, NULL, true, &error), error),
              "localhost");
    shake_hands(&pair, &server, &client);
    assert_int_equal(client, EPROTO);
    assert_non_null(strstr(tls_stream_error(pair.client), "certificate"));
    /* Nothing may be done with it any more. */
    assert_int_equal(tls_stream_write(pair.client, "x", 1), -1);
    assert_int_equal(tls_stream_read(pair.client, &client, 1), -1);
    assert_false(tls_stream_has_pending(pair.client));
    tls_stream_shutdown(pair.client);
    close_pair(&pair);
}

static void test_client_certificates(void **state)
{
    char *error = NULL, byte;
    struct pair pair;
    ssize_t n;
    int server, client;
    for (int with = 0; with < 2; with++) {
        open_pair(&pair,
                  must(tls_server_context_create(files.server, files.server_key, files.ca, &error),
                       error),
                  must(tls_client_context_create(files.ca, with ? files.client : NULL,
                                                 with ? files.client_key : NULL, true, &error),
                       error),
                  "localhost");
        shake_hands(&pair, &server, &client);
        assert_int_equal(server, with ? 0 : EPROTO);
        if (with) {
            assert_int_equal(tls_stream_write(pair.client, "x", 1), 1);
            n = tls_stream_read(pair.server, &byte, 1);
            assert_int_equal(n, 1);
        } else {
            assert_non_null(strstr(tls_stream_error(pair.server), "certificate"));
        }
        close_pair(&pair);
    }
}

static void test_not_tls_at_all(void **state)
{
    static const char *const texts[] = {"GET / HTTP/1.1\r\n\r\n", "\x2a\x01\x00\x04\x03zzz",
                                        "\x16\x03\x01\xff\xff\x01\xff\xff\xff"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct pair pair;
        open_plain_pair(&pair);
        assert_true(write(pair.fds[1], texts[i], strlen(texts[i])) > 0);
        shutdown(pair.fds[1], SHUT_WR);
        assert_int_equal(tls_stream_handshake(pair.server), -1);
        assert_int_not_equal(errno, EAGAIN);
        assert_string_not_equal(tls_stream_error(pair.server), "no error");
        close_pair(&pair);
    }
}

static void test_peer_gone_in_the_handshake(void **state)
{
    struct pair pair;
    open_plain_pair(&pair);
    assert_int_equal(tls_stream_handshake(pair.client), -1);
    assert_int_equal(errno, EAGAIN);
    shutdown(pair.fds[0], SHUT_RDWR);
    assert_int_equal(tls_stream_handshake(pair.client), -1);
    assert_int_not_equal(errno, EAGAIN);
    tls_stream_shutdown(pair.client);
    close_pair(&pair);
}

static void test_bad_files(void **state)
{
    static const struct {
        const char *certificate, *key, *ca, *message;
    } cases[] = {
        {"/nonexistent", files.server_key, NULL, "/nonexistent"},
        {"", "", NULL, "certificate"},
        {files.server_key, files.server_key, NULL, "certificate"},
        {files.server, "/nonexistent", NULL, "/nonexistent"},
        {files.server, files.ca, NULL, "key"},
        {files.ca, files.server_key, NULL, "key"},
        {files.server, files.server_key, "/nonexistent", "/nonexistent"},
        {files.server, files.server_key, files.server_key, "authority"},
    };
    char *error;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_null(
            tls_server_context_create(cases[i].certificate, cases[i].key, cases[i].ca, &error));
        if (!strstr(error, cases[i].message)) {
            fail_msg("case %zu: %s", i, error);
        }
        free(error);
    }
    assert_null(tls_client_context_create("/nonexistent", NULL, NULL, true, &error));
    assert_non_null(strstr(error, "/nonexistent"));
    free(error);
    assert_null(tls_client_context_create(NULL, files.client, "/nonexistent", true, &error));
    assert_non_null(strstr(error, "/nonexistent"));
    free(error);
}

static void test_contexts_are_counted(void **state)
{
    struct pair pair;
    struct tls_context *context;
    open_plain_pair(&pair);
    /* The streams hold theirs. */
    context = tls_context_ref(pair.contexts[0]);
    tls_context_unref(&pair.contexts[0]);
    tls_context_unref(&pair.contexts[1]);
    tls_context_unref(&context);
    assert_null(context);
    expect_handshake(&pair);
    close_pair(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes_both_ways),
        cmocka_unit_test(test_pending_bytes),
        cmocka_unit_test(test_end_of_stream),
        cmocka_unit_test(test_full_socket),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_unknown_authority),
        cmocka_unit_test(test_client_certificates),
        cmocka_unit_test(test_not_tls_at_all),
        cmocka_unit_test(test_peer_gone_in_the_handshake),
        cmocka_unit_test(test_bad_files),
        cmocka_unit_test(test_contexts_are_counted),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
