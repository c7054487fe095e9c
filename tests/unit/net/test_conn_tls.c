/* Connections under TLS: the same behaviour as plain ones, and what is special about them. */
#include "fixture.h"

#include "base/frame.h"
#include "tls/certificates.h"

static struct certificates files;

static int make_files(void **state)
{
    certificates_create(&files);
    return 0;
}

static int remove_files(void **state)
{
    certificates_remove(&files);
    return 0;
}

struct client {
    int fd;
    struct tls_context *context;
    struct tls_stream *tls;
};

static void set_file(struct fixture *f, const char *key, const char *path)
{
    char text[160];
    snprintf(text, sizeof text, "%s=%s", key, path);
    fixture_set(f, text);
}

static void listen_tls(struct fixture *f)
{
    fixture_set(f, "net.tls=true");
    set_file(f, "net.tls_certificate", files.server);
    set_file(f, "net.tls_key", files.server_key);
    fixture_listen(f, "127.0.0.1:0");
}

static void connect_client(struct fixture *f, struct client *client)
{
    char *error;
    client->fd = fixture_connect(f);
    client->context = tls_client_context_create(files.ca, NULL, NULL, true, &error);
    assert_non_null(client->context);
    client->tls = tls_stream_create(client->context, client->fd, "localhost");
}

static struct session *open_client(struct fixture *f, struct client *client)
{
    unsigned before = f->accepted;
    connect_client(f, client);
    assert_int_equal(f->accepted, before); /* not before the handshake */
    WAIT_FOR(f, tls_stream_handshake(client->tls) == 0);
    WAIT_FOR(f, f->accepted > before);
    return &f->sessions[before % SESSIONS_MAX];
}

static void close_client(struct client *client)
{
    tls_stream_destroy(&client->tls);
    tls_context_unref(&client->context);
    close(client->fd);
}

/* Appends what the client can read now. False at the end. */
static bool read_client(struct client *client, struct writer *to)
{
    uint8_t buffer[20000];
    ssize_t n;
    while ((n = tls_stream_read(client->tls, buffer, sizeof buffer)) > 0) {
        writer_bytes(to, (struct bytes){buffer, (size_t)n});
    }
    if (n < 0 && errno != EAGAIN) {
        fail_msg("%s", tls_stream_error(client->tls));
    }
    return n < 0;
}

static void test_echo(void **state)
{
    struct fixture *f = *state;
    struct writer got = {0};
    struct session *session;
    struct client client;
    listen_tls(f);
    session = open_client(f, &client);
    assert_true(conn_is_tls(session->conn));
    assert_int_equal(tls_stream_write(client.tls, "hello", 5), 5);
    WAIT_FOR(f, session->input.len == 5);
    fixture_expect_text(&session->input, "hello");
    conn_send(session->conn, BYTES_LITERAL("good day"));
    WAIT_FOR(f, (read_client(&client, &got), got.len == 8));
    fixture_expect_text(&got, "good day");
    tls_stream_shutdown(client.tls);
    WAIT_FOR(f, session->closed == 1);
    assert_int_equal(session->reason, CONN_CLOSE_PEER);
    close_client(&client);
    writer_free(&got);
}

static void test_pieces_share_records(void **state)
{
    struct fixture *f = *state;
    struct writer got = {0}, expected = {0};
    struct frame *frame = frame_create(BYTES_LITERAL("0123456789012345678901234567890123456789"));
    struct session *session;
    struct client client;
    int64_t writes;
    listen_tls(f);
    session = open_client(f, &client);
    writes = metrics_get(METRIC_WRITES);
    for (int i = 0; i < 1000; i++) {
        conn_send_frame(session->conn, frame);
        writer_bytes(&expected, (struct bytes){frame->data, frame->len});
    }
    WAIT_FOR(f, (read_client(&client, &got), got.len >= expected.len));
    assert_int_equal(got.len, expected.len);
    assert_memory_equal(got.data, expected.data, got.len);
    assert_int_equal(metrics_get(METRIC_WRITES) - writes, 3); /* 40,000 bytes */
    assert_int_equal(frame->references, 1);
    frame_unref(&frame);
    close_client(&client);
    writer_free(&got);
    writer_free(&expected);
}

static void test_behind_and_drained(void **state)
{
    static const size_t sizes[] = {3000, 16384, 100000};
    struct fixture *f = *state;
    fixture_set(f, "net.send_buffer=8KiB");
    fixture_receive_buffer = 8192;
    listen_tls(f);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct writer got = {0}, expected = {0};
        uint8_t *bytes = mem_alloc(sizes[i]);
        struct frame *frame;
        struct session *session;
        struct client client;
        for (size_t j = 0; j < sizes[i]; j++) {
            bytes[j] = (uint8_t)(j * 7 + j / 253);
        }
        frame = frame_create((struct bytes){bytes, sizes[i]});
        session = open_client(f, &client);
        for (int j = 0; j < 60; j++) {
            conn_send_frame(session->conn, frame);
            writer_bytes(&expected, (struct bytes){bytes, sizes[i]});
            if (j % 2 == 0) {
                loop_iterate(f->loop, 0);
            }
        }
        WAIT_FOR(f, conn_has_backlog(session->conn));
        assert_int_equal(metrics_get(METRIC_OUTPUT_QUEUED), conn_output_size(session->conn));
        conn_send(session->conn, BYTES_LITERAL("last"));
        writer_string(&expected, "last");
        WAIT_FOR(f, (read_client(&client, &got), got.len >= expected.len));
        assert_int_equal(got.len, expected.len);
        assert_memory_equal(got.data, expected.data, got.len);
        WAIT_FOR(f, session->drained > 0);
        assert_int_equal(metrics_get(METRIC_OUTPUT_QUEUED), 0);
        assert_int_equal(frame->references, 1);
        frame_unref(&frame);
        close_client(&client);
        WAIT_FOR(f, session->closed == 1);
        writer_free(&got);
        writer_free(&expected);
        free(bytes);
    }
}

static void expect_refused(struct fixture *f, int fd)
{
    int64_t before = metrics_get(METRIC_REFUSED_TLS);
    struct writer got = {0};
    WAIT_FOR(f, metrics_get(METRIC_REFUSED_TLS) == before + 1);
    fixture_read_end(f, fd, &got); /* perhaps an alert */
    assert_int_equal(f->accepted, 0);
    assert_int_equal(net_connection_count(f->net), 0);
    assert_true(fixture_logged(f, "reason=tls"));
    writer_free(&got);
    close(fd);
}

static void test_not_tls(void **state)
{
    struct fixture *f = *state;
    int fd;
    listen_tls(f);
    fd = fixture_connect(f);
    fixture_write_text(fd, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    expect_refused(f, fd);
    fd = fixture_connect(f);
    shutdown(fd, SHUT_WR);
    expect_refused(f, fd);
}

static void test_handshake_in_time(void **state)
{
    struct fixture *f = *state;
    int fd;
    fixture_set(f, "net.handshake_timeout=100ms");
    listen_tls(f);
    fd = fixture_connect(f);
    expect_refused(f, fd);
    assert_true(fixture_logged(f, "handshake not done in time"));
}

static size_t answer_and_end(struct session *session, struct bytes input)
{
    conn_send(session->conn, BYTES_LITERAL("sorry"));
    conn_close_after_output(session->conn, CONN_CLOSE_PROTOCOL);
    return input.len;
}

static void test_close_after_output(void **state)
{
    struct fixture *f = *state;
    struct writer got = {0};
    struct session *session;
    struct client client;
    fixture_set(f, "net.linger=60s");
    f->received = answer_and_end;
    listen_tls(f);
    session = open_client(f, &client);
    assert_int_equal(tls_stream_write(client.tls, "x", 1), 1);
    WAIT_FOR(f, !read_client(&client, &got)); /* says its end properly */
    fixture_expect_text(&got, "sorry");
    close_client(&client);
    WAIT_FOR(f, session->closed == 1);
    assert_int_equal(session->reason, CONN_CLOSE_PROTOCOL);
    writer_free(&got);
}

static size_t receive_one_and_pause(struct session *session, struct bytes input)
{
    writer_bytes(&session->input, (struct bytes){input.data, 1});
    conn_pause_reading(session->conn);
    return 1;
}

static void test_pause_and_resume(void **state)
{
    struct fixture *f = *state;
    struct session *session;
    struct client client;
    f->received = receive_one_and_pause;
    listen_tls(f);
    session = open_client(f, &client);
    assert_int_equal(tls_stream_write(client.tls, "abc", 3), 3);
    WAIT_FOR(f, session->input.len == 1);
    assert_int_equal(tls_stream_write(client.tls, "d", 1), 1);
    for (size_t len = 1; len < 4; len++) {
        loop_iterate(f->loop, 0);
        assert_int_equal(session->input.len, len);
        conn_resume_reading(session->conn);
        WAIT_FOR(f, session->input.len == len + 1);
    }
    fixture_expect_text(&session->input, "abcd");
    close_client(&client);
}

static size_t need_all(struct session *session, struct bytes input)
{
    if (input.len < 200000) {
        return 0;
    }
    writer_bytes(&session->input, input);
    return input.len;
}

static void test_large_input(void **state)
{
    struct fixture *f = *state;
    uint8_t *bytes = mem_alloc(200000);
    struct session *session;
    struct client client;
    size_t sent = 0;
    for (size_t i = 0; i < 200000; i++) {
        bytes[i] = (uint8_t)(i * 7 + i / 253);
    }
    f->received = need_all;
    listen_tls(f);
    session = open_client(f, &client);
    WAIT_FOR(f, ({
                 ssize_t n =
                     sent < 200000 ? tls_stream_write(client.tls, bytes + sent, 200000 - sent) : 0;
                 sent += n > 0 ? (size_t)n : 0;
                 session->input.len > 0;
             }));
    assert_int_equal(session->input.len, 200000);
    assert_memory_equal(session->input.data, bytes, 200000);
    free(bytes);
    close_client(&client);
}

/* The header and the first bytes of TLS in one segment. */
static void test_proxy_before_tls(void **state)
{
    struct fixture *f = *state;
    struct session *session = &f->sessions[0];
    struct client client;
    int pair[2];
    uint8_t hello[4096] = "PROXY TCP4 192.0.2.1 5.6.7.8 1 2\r\n";
    size_t len = strlen((char *)hello);
    struct tls_stream *stream;
    ssize_t n;
    fixture_set(f, "net.proxy=true");
    listen_tls(f);
    connect_client(f, &client);
    /* The client speaks into a socketpair, whence its first words are taken. */
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    stream = tls_stream_create(client.context, pair[0], "localhost");
    assert_int_equal(tls_stream_handshake(stream), -1);
    n = read(pair[1], hello + len, sizeof hello - len);
    assert_true(n > 0);
    fixture_write(client.fd, hello, len + (size_t)n);
    assert_int_equal(dup2(client.fd, pair[0]), pair[0]);
    WAIT_FOR(f, tls_stream_handshake(stream) == 0);
    WAIT_FOR(f, f->accepted == 1);
    assert_string_equal(conn_peer_text(session->conn), "192.0.2.1:1");
    assert_int_equal(tls_stream_write(stream, "hello", 5), 5);
    WAIT_FOR(f, session->input.len == 5);
    tls_stream_destroy(&stream);
    close(pair[0]);
    close(pair[1]);
    close_client(&client);
}

static void test_certificates(void **state)
{
    struct fixture *f = *state;
    struct session *session, *second;
    struct client client, other;
    char *error = NULL;
    fixture_set(f, "net.tls=true");
    set_file(f, "net.tls_certificate", "/nonexistent");
    assert_null(
        listener_create(f->net, "127.0.0.1:0", &f->settings, &fixture_callbacks, f, &error));
    assert_non_null(strstr(error, "/nonexistent"));
    free(error);
    listen_tls(f);
    session = open_client(f, &client);
    set_file(f, "net.tls_certificate", "/nonexistent");
    error = listener_reload_tls(f->listener);
    assert_non_null(strstr(error, "/nonexistent"));
    free(error);
    set_file(f, "net.tls_certificate", files.client);
    set_file(f, "net.tls_key", files.client_key);
    assert_null(listener_reload_tls(f->listener));
    second = open_client(f, &other);
    assert_int_equal(tls_stream_write(client.tls, "old", 3), 3);
    assert_int_equal(tls_stream_write(other.tls, "new", 3), 3);
    WAIT_FOR(f, session->input.len == 3 && second->input.len == 3);
    close_client(&client);
    close_client(&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_echo),
        TEST(test_pieces_share_records),
        TEST(test_behind_and_drained),
        TEST(test_not_tls),
        TEST(test_handshake_in_time),
        TEST(test_close_after_output),
        TEST(test_pause_and_resume),
        TEST(test_large_input),
        TEST(test_proxy_before_tls),
        TEST(test_certificates),
    };
    return cmocka_run_group_tests(tests, make_files, remove_files);
}
