/* Listeners: where they listen, whom they let in, and what happens when descriptors run out. */
#include "fixture.h"

#include <netinet/tcp.h>

static struct listener *try_listen(struct fixture *f, const char *where, char **error)
{
    *error = NULL;
    return listener_create(f->net, where, &f->settings, &fixture_callbacks, f, error);
}

static void expect_error(struct fixture *f, const char *where, const char *part)
{
    char *error;
    struct listener *listener = try_listen(f, where, &error);
    assert_null(listener);
    assert_non_null(error);
    if (!strstr(error, part)) {
        fail_msg("%s: \"%s\" does not hold \"%s\"", where, error, part);
    }
    free(error);
}

static void test_ipv4(void **state)
{
    struct fixture *f = *state;
    fixture_listen(f, "127.0.0.1:0");
    assert_true(fixture_port_of(listener_where(f->listener)) > 0);
    assert_int_equal(strncmp(listener_where(f->listener), "127.0.0.1:", 10), 0);
    fixture_expect_service(f, listener_where(f->listener), ADDRESS_IPV4);
    assert_int_equal(f->asked, 1);
}

/* The port that is free for IPv6 may be somebody else's for IPv4: then another one is tried. */
static struct listener *listen_on_both(struct fixture *f)
{
    for (int i = 0; i < 100; i++) {
        struct listener *ipv4;
        char where[64], *error;
        fixture_listen(f, "[::]:0");
        snprintf(where, sizeof where, "0.0.0.0:%u", fixture_port_of(listener_where(f->listener)));
        ipv4 = try_listen(f, where, &error);
        if (ipv4) {
            return ipv4;
        }
        free(error);
        listener_destroy(&f->listener);
    }
    fail_msg("no port is free for both families");
    return NULL;
}

static void test_ipv6_alone(void **state)
{
    struct fixture *f = *state;
    struct listener *ipv4 = listen_on_both(f);
    char where[64];
    snprintf(where, sizeof where, "[::1]:%u", fixture_port_of(listener_where(f->listener)));
    fixture_expect_service(f, where, ADDRESS_IPV6);
    snprintf(where, sizeof where, "127.0.0.1:%u", fixture_port_of(listener_where(f->listener)));
    fixture_expect_service(f, where, ADDRESS_IPV4);
    listener_destroy(&ipv4);
}

static void test_all_addresses(void **state)
{
    struct fixture *f = *state;
    char where[64];
    fixture_listen(f, "*:0");
    assert_int_equal(strncmp(listener_where(f->listener), "*:", 2), 0);
    snprintf(where, sizeof where, "127.0.0.1:%u", fixture_port_of(listener_where(f->listener)));
    fixture_expect_service(f, where, ADDRESS_IPV4); /* not as a mapped address */
    snprintf(where, sizeof where, "[::1]:%u", fixture_port_of(listener_where(f->listener)));
    fixture_expect_service(f, where, ADDRESS_IPV6);
}

static void test_bad_places(void **state)
{
    static const char *const bad[] = {"",
                                      "nonsense",
                                      "127.0.0.1",
                                      "127.0.0.1:",
                                      ":1234",
                                      "*",
                                      "*:x",
                                      "*:70000",
                                      "[::1]",
                                      "[::1:80",
                                      "localhost:1",
                                      "1.2.3:80",
                                      "1.2.3.4:x",
                                      "1.2.3.4:80 ",
                                      "1.2.3.4:65536",
                                      "unix",
                                      "tcp:*:80",
                                      "[1.2.3.4]:80",
                                      "127.0.0.1:80:90",
                                      "::1:80x"};
    struct fixture *f = *state;
    char longest[200];
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        expect_error(f, bad[i], "ADDRESS:PORT");
    }
    expect_error(f, "unix:", "1 to 107 bytes");
    memset(longest, 'a', sizeof longest - 1);
    memcpy(longest, "unix:/tmp/", 10);
    longest[sizeof longest - 1] = 0;
    expect_error(f, longest, "1 to 107 bytes");
    expect_error(f, "unix:/nonexistent-directory/socket", "No such file");
    expect_error(f, "192.0.2.1:0", "Cannot assign");
    fixture_listen(f, "127.0.0.1:0");
    expect_error(f, listener_where(f->listener), "in use");
}

static void test_reuse_port(void **state)
{
    struct fixture *f = *state;
    struct listener *second;
    char *error;
    fixture_set(f, "net.reuse_port=true");
    fixture_listen(f, "127.0.0.1:0");
    second = try_listen(f, listener_where(f->listener), &error);
    assert_non_null(second);
    assert_string_equal(listener_where(second), listener_where(f->listener));
    fixture_expect_service(f, listener_where(second), ADDRESS_IPV4);
    listener_destroy(&second);
}

/* "unix:" and the path of a file that does not exist. */
static void make_path(char where[32])
{
    strcpy(where, "unix:/tmp/test-net-XXXXXX");
    close(mkstemp(where + 5));
    unlink(where + 5);
}

static void test_unix_socket(void **state)
{
    struct fixture *f = *state;
    char where[32];
    struct stat status;
    make_path(where);
    fixture_listen(f, where);
    assert_string_equal(listener_where(f->listener), where);
    fixture_expect_service(f, where, ADDRESS_UNIX);
    /* Somebody listens there: not ours to take. */
    expect_error(f, where, "another process listens");
    WAIT_FOR(f, f->accepted == 2 && f->sessions[1].closed == 1); /* that was a knock at the door */
    fixture_expect_service(f, where, ADDRESS_UNIX);
    listener_destroy(&f->listener);
    assert_int_equal(stat(where + 5, &status), -1);
}

static void test_unix_socket_left_behind(void **state)
{
    struct fixture *f = *state;
    struct sockaddr_storage name;
    char where[32];
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    make_path(where);
    assert_int_equal(bind(fd, (struct sockaddr *)&name, fixture_name(where, &name)), 0);
    close(fd); /* its file stays, as after a kill */
    fixture_listen(f, where);
    fixture_expect_service(f, where, ADDRESS_UNIX);
}

static void test_unix_path_with_another_file(void **state)
{
    struct fixture *f = *state;
    char where[] = "unix:/tmp/test-net-XXXXXX";
    int fd = mkstemp(where + 5);
    expect_error(f, where, "not a socket");
    assert_int_equal(unlink(where + 5), 0); /* it is still there */
    close(fd);
}

static void test_unix_socket_of_a_successor_stays(void **state)
{
    struct fixture *f = *state;
    struct listener *second;
    char where[32], *error;
    struct stat status;
    make_path(where);
    fixture_listen(f, where);
    unlink(where + 5);
    second = try_listen(f, where, &error);
    assert_non_null(second);
    listener_destroy(&f->listener);
    assert_int_equal(stat(where + 5, &status), 0);
    fixture_expect_service(f, where, ADDRESS_UNIX);
    listener_destroy(&second);
}

static int get_option(int fd, int level, int option)
{
    int value = -1;
    socklen_t len = sizeof value;
    assert_int_equal(getsockopt(fd, level, option, &value, &len), 0);
    return value;
}

static void test_socket_options(void **state)
{
    struct fixture *f = *state;
    struct session *session;
    int fd;
    fixture_listen(f, "127.0.0.1:0");
    session = fixture_open(f, &fd);
    assert_int_equal(get_option(conn_fd(session->conn), SOL_SOCKET, SO_KEEPALIVE), 1);
    assert_int_equal(get_option(conn_fd(session->conn), IPPROTO_TCP, TCP_KEEPIDLE), 10);
    assert_int_equal(get_option(conn_fd(session->conn), IPPROTO_TCP, TCP_KEEPINTVL), 5);
    assert_int_equal(get_option(conn_fd(session->conn), IPPROTO_TCP, TCP_KEEPCNT), 3);
    assert_int_equal(get_option(conn_fd(session->conn), IPPROTO_TCP, TCP_NODELAY), 1);
    close(fd);
    /* A reload applies to those that connect after the next accept. */
    fixture_set(f, "net.keepalive=7s");
    fixture_set(f, "net.send_buffer=64KiB");
    fixture_open(f, &fd);
    close(fd);
    session = fixture_open(f, &fd);
    assert_int_equal(get_option(conn_fd(session->conn), IPPROTO_TCP, TCP_KEEPIDLE), 7);
    assert_int_equal(get_option(conn_fd(session->conn), SOL_SOCKET, SO_SNDBUF), 2 * 65536);
    close(fd);
    fixture_set(f, "net.keepalive=0s");
    fixture_open(f, &fd);
    close(fd);
    session = fixture_open(f, &fd);
    assert_int_equal(get_option(conn_fd(session->conn), SOL_SOCKET, SO_KEEPALIVE), 0);
    close(fd);
}

static void test_send_buffer_of_a_unix_socket(void **state)
{
    struct fixture *f = *state;
    struct session *session;
    char where[32];
    int fd;
    make_path(where);
    fixture_set(f, "net.send_buffer=8KiB");
    fixture_listen(f, where);
    session = fixture_open(f, &fd);
    assert_int_equal(get_option(conn_fd(session->conn), SOL_SOCKET, SO_SNDBUF), 2 * 8192);
    close(fd);
}

static int lowest_free_descriptor(void)
{
    int fd = dup(0);
    close(fd);
    return fd;
}

static void set_descriptor_limit(rlim_t soft)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = soft;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static void test_descriptors_run_out(void **state)
{
    struct fixture *f = *state;
    int64_t pauses = metrics_get(METRIC_ACCEPT_PAUSES);
    struct rlimit limit;
    int fds[3], extra;
    unsigned turns = 0;
    fixture_set(f, "net.accept_pause=1m");
    fixture_listen(f, "127.0.0.1:0");
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(limit.rlim_cur, limit.rlim_max); /* net_create raised it */
    for (int i = 0; i < 3; i++) {
        fds[i] = fixture_connect(f);
    }
    extra = fixture_connect(f);
    set_descriptor_limit((rlim_t)lowest_free_descriptor() + 3);
    WAIT_FOR(f, f->accepted == 3 && f->net->paused);
    assert_int_equal(metrics_get(METRIC_ACCEPT_PAUSES) - pauses, 1);
    assert_true(fixture_logged(f, "accepting_paused"));
    /* Nothing spins: an iteration that may wait does. */
    for (int i = 0; i < 3; i++, turns++) {
        loop_iterate(f->loop, 20);
    }
    assert_int_equal(metrics_get(METRIC_ACCEPT_PAUSES) - pauses, 1);
    assert_int_equal(f->accepted, 3);
    /* A connection that ends makes room at once. */
    conn_close(f->sessions[0].conn, CONN_CLOSE_KICKED);
    WAIT_FOR(f, f->accepted == 4);
    set_descriptor_limit(limit.rlim_cur);
    for (int i = 0; i < 3; i++) {
        close(fds[i]);
    }
    close(extra);
}

static void test_accepting_goes_on_after_the_pause(void **state)
{
    struct fixture *f = *state;
    struct rlimit limit;
    int fd;
    fixture_set(f, "net.accept_pause=50ms");
    fixture_listen(f, "127.0.0.1:0");
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    fd = fixture_connect(f);
    set_descriptor_limit((rlim_t)lowest_free_descriptor());
    WAIT_FOR(f, f->net->paused);
    set_descriptor_limit(limit.rlim_cur);
    WAIT_FOR(f, f->accepted == 1);
    assert_false(f->net->paused);
    close(fd);
}

static void test_batches(void **state)
{
    struct fixture *f = *state;
    int fds[10];
    fixture_set(f, "net.accept_batch=4");
    fixture_listen(f, "127.0.0.1:0");
    for (int i = 0; i < 10; i++) {
        fds[i] = fixture_connect(f);
    }
    loop_iterate(f->loop, 100);
    assert_int_equal(f->accepted, 4);
    WAIT_FOR(f, f->accepted == 10);
    for (int i = 0; i < 10; i++) {
        close(fds[i]);
    }
}

/* A socket that is bound beside others on its port, as a supervisor does it. */
static int bind_beside(struct fixture *f, const char *where, char **text)
{
    struct socket_listening socket;
    char *error;
    fixture_set(f, "net.reuse_port=true");
    error = socket_bind(&socket, where, &f->settings, text);
    assert_null(error);
    return socket.fd;
}

static void test_an_inherited_socket(void **state)
{
    struct fixture *f = *state;
    char *where = NULL, *error = NULL;
    int fd = bind_beside(f, "127.0.0.1:0", &where);
    f->listener = listener_inherit(f->net, where, fd, &f->settings, &fixture_callbacks, f, &error);
    assert_non_null(f->listener);
    assert_string_equal(listener_where(f->listener), where);
    fixture_expect_service(f, where, ADDRESS_IPV4);
    free(where);
    expect_error(f, "127.0.0.1", "not ADDRESS:PORT");
}

/* Connections that wait in another worker's queue, and later ones that the kernel puts there. */
static void test_adopted_sockets(void **state)
{
    struct fixture *f = *state;
    char *where = NULL, *again = NULL, *error = NULL;
    int clients[40], kept, fd = bind_beside(f, "127.0.0.1:0", &where);
    int other = bind_beside(f, where, &again);
    assert_string_equal(again, where);
    assert_int_equal(listen(other, 100), 0);
    f->listener = listener_inherit(f->net, where, fd, &f->settings, &fixture_callbacks, f, &error);
    for (int i = 0; i < 40; i++) {
        clients[i] = fixture_connect_to(where);
    }
    loop_iterate(f->loop, 100);
    loop_iterate(f->loop, 0);
    assert_in_range(f->accepted, 1, 39);
    kept = dup(other);
    listener_adopt(f->listener, other, 2);
    WAIT_FOR(f, f->accepted == 40);
    listener_release(f->listener, 1);
    assert_false(list_is_empty(&f->listener->adopted));
    listener_release(f->listener, 2);
    assert_true(list_is_empty(&f->listener->adopted));
    listener_adopt(f->listener, kept, 2);
    listener_stop(f->listener);
    assert_true(list_is_empty(&f->listener->adopted));
    listener_adopt(f->listener, dup(clients[0]), 2); /* too late: closed */
    assert_true(list_is_empty(&f->listener->adopted));
    for (int i = 0; i < 40; i++) {
        close(clients[i]);
    }
    free(where);
    free(again);
}

static void test_connections_outlive_their_listener(void **state)
{
    struct fixture *f = *state;
    struct net_settings own;
    struct session *session;
    char *error = NULL, where[64];
    int fd;
    config_copy_values(&net_config, &f->settings, &own);
    own.idle_timeout = 300;
    f->listener = listener_create(f->net, "127.0.0.1:0", &own, &fixture_callbacks, f, &error);
    session = fixture_open(f, &fd);
    snprintf(where, sizeof where, "%s", listener_where(f->listener));
    listener_destroy(&f->listener);
    config_free_values(&net_config, &own);
    memset(&own, 0xee, sizeof own);
    /* Nobody listens there any more, the connection goes on, and so do its time-outs. */
    fixture_listen(f, where);
    fixture_write_text(fd, "still here");
    WAIT_FOR(f, session->input.len == 10);
    WAIT_FOR(f, session->closed == 1);
    assert_int_equal(session->reason, CONN_CLOSE_IDLE);
    close(fd);
}

static void test_stop(void **state)
{
    struct fixture *f = *state;
    struct sockaddr_storage name;
    struct session *session;
    socklen_t len;
    int fd, late;
    fixture_listen(f, "127.0.0.1:0");
    session = fixture_open(f, &fd);
    listener_stop(f->listener);
    len = fixture_name(listener_where(f->listener), &name);
    late = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(late, (struct sockaddr *)&name, len), -1);
    assert_int_equal(errno, ECONNREFUSED);
    fixture_write_text(fd, "x");
    WAIT_FOR(f, session->input.len == 1);
    close(late);
    close(fd);
}

/* In any state: in a handshake or after it, ending with output or without. */
static void test_close_connections(void **state)
{
    struct fixture *f = *state;
    struct session *sessions[4];
    struct listener *other;
    struct session *spared;
    char *error;
    int fds[4], fd;
    f->keep_handshake = true;
    fixture_listen(f, "127.0.0.1:0");
    for (int i = 0; i < 4; i++) {
        sessions[i] = fixture_open(f, &fds[i]);
    }
    other = try_listen(f, "127.0.0.1:0", &error);
    assert_non_null(other);
    fd = fixture_connect_to(listener_where(other));
    WAIT_FOR(f, f->accepted == 5);
    spared = &f->sessions[4];
    conn_handshake_done(sessions[1]->conn);
    conn_close_after_output(sessions[2]->conn, CONN_CLOSE_LOCAL);
    WAIT_FOR(f, sessions[2]->conn->state == CONN_LINGER);
    conn_send(sessions[3]->conn, BYTES_LITERAL("last"));
    conn_close_after_output(sessions[3]->conn, CONN_CLOSE_LOCAL);
    conn_send(spared->conn, BYTES_LITERAL("stays"));
    listener_close_connections(f->listener, CONN_CLOSE_DRAIN);
    loop_iterate(f->loop, 0);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(sessions[i]->closed, 1);
        assert_int_equal(sessions[i]->reason, CONN_CLOSE_DRAIN);
        close(fds[i]);
    }
    assert_int_equal(spared->closed, 0);
    listener_destroy(&other);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_ipv4),
        TEST(test_ipv6_alone),
        TEST(test_all_addresses),
        TEST(test_bad_places),
        TEST(test_reuse_port),
        TEST(test_unix_socket),
        TEST(test_unix_socket_left_behind),
        TEST(test_unix_path_with_another_file),
        TEST(test_unix_socket_of_a_successor_stays),
        TEST(test_socket_options),
        TEST(test_send_buffer_of_a_unix_socket),
        TEST(test_descriptors_run_out),
        TEST(test_accepting_goes_on_after_the_pause),
        TEST(test_batches),
        TEST(test_an_inherited_socket),
        TEST(test_adopted_sockets),
        TEST(test_connections_outlive_their_listener),
        TEST(test_stop),
        TEST(test_close_connections),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
