/*
 * fixture: a loop, a net with the default settings, and a protocol that notes what happens to its
 * connections, for the tests of net. Clients are plain sockets on loopback.
 */
#ifndef TEST_NET_FIXTURE_H
#define TEST_NET_FIXTURE_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/random.h"
#include "config/config.h"
#include "loop/loop.h"
#include "metrics/metrics.h"
#include "net/conn.h"
#include "net/listener.h"
#include "net/net_private.h"
#include "patience.h"

#ifndef SESSIONS_MAX
#define SESSIONS_MAX 64
#endif

struct fixture;

/* What the protocol knows of a connection. */
struct session {
    struct fixture *fixture;
    struct conn *conn; /* NULL once closed */
    struct writer input;
    unsigned drained, closed;
    enum conn_close_reason reason;
};

struct fixture {
    struct loop *loop;
    struct config *config;
    struct net_settings settings;
    struct net *net;
    struct listener *listener;
    struct session sessions[SESSIONS_MAX];
    unsigned accepted;
    const char *refuse; /* what admit answers */
    unsigned asked;     /* how often admit was called */
    struct address asked_for;
    /* Instead of consuming all; NULL otherwise. */
    size_t (*received)(struct session *session, struct bytes input);
    void (*drained)(struct session *session);
    void (*closed)(struct session *session);
    bool keep_handshake; /* conn_handshake_done is not called */
    int log;             /* a file that holds what was logged */
};

/* Turns until the condition holds. It gives up when its patience is over. */
#define WAIT_FOR(f, condition)                                                                     \
    do {                                                                                           \
        struct patience patience_ = patience_begin();                                              \
        while (!(condition)) {                                                                     \
            if (patience_is_over(&patience_))                                                      \
                fail_msg("waited in vain for %s", #condition);                                     \
            loop_iterate((f)->loop, 10);                                                           \
        }                                                                                          \
    } while (0)

static inline size_t fixture_received(void *arg, struct bytes input)
{
    struct session *session = arg;
    if (session->fixture->received) {
        return session->fixture->received(session, input);
    }
    writer_bytes(&session->input, input);
    return input.len;
}

static inline void fixture_drained(void *arg)
{
    struct session *session = arg;
    session->drained++;
    if (session->fixture->drained) {
        session->fixture->drained(session);
    }
}

static inline void fixture_closed(void *arg, enum conn_close_reason reason)
{
    struct session *session = arg;
    session->closed++;
    session->reason = reason;
    if (session->fixture->closed) {
        session->fixture->closed(session);
    }
    session->conn = NULL;
}

static const struct conn_handler fixture_handler = {
    .received = fixture_received, .drained = fixture_drained, .closed = fixture_closed};

static inline void fixture_accepted(void *arg, struct conn *conn)
{
    struct fixture *f = arg;
    struct session *session = &f->sessions[f->accepted++ % SESSIONS_MAX];
    assert_null(session->conn);
    writer_free(&session->input);
    *session = (struct session){.fixture = f, .conn = conn};
    conn_set_handler(conn, &fixture_handler, session);
    if (!f->keep_handshake) {
        conn_handshake_done(conn);
    }
}

static inline const char *fixture_admit(void *arg, const struct address *peer)
{
    struct fixture *f = arg;
    f->asked++;
    f->asked_for = *peer;
    return f->refuse;
}

static const struct listener_callbacks fixture_callbacks = {fixture_admit, fixture_accepted};

/* SO_RCVBUF of clients, 0: the kernel's, which grows while the client does not read. */
static int fixture_receive_buffer;
/* The address that clients come from; NULL: the kernel's choice. */
static const char *fixture_from;

static inline int fixture_create(void **state)
{
    struct fixture *f = mem_zalloc(1, sizeof *f);
    char path[] = "/tmp/test-net-log-XXXXXX";
    fixture_receive_buffer = 0;
    random_init();
    (void)signal(SIGPIPE, SIG_IGN);
    f->log = mkstemp(path);
    (void)unlink(path);
    log_set_fd(f->log);
    f->loop = loop_create();
    f->config = config_create();
    config_add(f->config, &net_config, &f->settings);
    f->net = net_create(f->loop, &f->settings);
    *state = f;
    return 0;
}

static inline int fixture_destroy(void **state)
{
    struct fixture *f = *state;
    listener_destroy(&f->listener);
    for (unsigned i = 0; i < SESSIONS_MAX; i++) {
        if (f->sessions[i].conn) {
            conn_close(f->sessions[i].conn, CONN_CLOSE_LOCAL);
        }
    }
    loop_iterate(f->loop, 0);
    for (unsigned i = 0; i < SESSIONS_MAX; i++) {
        writer_free(&f->sessions[i].input);
    }
    assert_int_equal(net_connection_count(f->net), 0);
    assert_int_equal(metrics_get(METRIC_CONNECTIONS), 0);
    assert_int_equal(metrics_get(METRIC_OUTPUT_QUEUED), 0);
    net_destroy(&f->net);
    loop_destroy(&f->loop);
    config_free_values(&net_config, &f->settings);
    config_destroy(&f->config);
    log_set_fd(STDERR_FILENO);
    close(f->log);
    free(f);
    return 0;
}

static inline void fixture_set(struct fixture *f, const char *assignment)
{
    char *error = config_set(f->config, assignment);
    if (error) {
        fail_msg("%s", error);
    }
}

static inline void fixture_listen(struct fixture *f, const char *where)
{
    char *error = NULL;
    f->listener = listener_create(f->net, where, &f->settings, &fixture_callbacks, f, &error);
    if (!f->listener) {
        fail_msg("%s", error);
    }
}

/* Whether what was logged so far holds the text. */
static inline bool fixture_logged(struct fixture *f, const char *text)
{
    static char log[262144];
    ssize_t n = pread(f->log, log, sizeof log - 1, 0);
    log[n < 0 ? 0 : n] = 0;
    return strstr(log, text) != NULL;
}

static inline socklen_t fixture_name(const char *where, struct sockaddr_storage *name)
{
    struct address address;
    char text[64];
    if (strncmp(where, "unix:", 5) == 0) {
        struct sockaddr_un *un = (struct sockaddr_un *)name;
        memset(un, 0, sizeof *un);
        un->sun_family = AF_UNIX;
        strncpy(un->sun_path, where + 5, sizeof un->sun_path - 1);
        return sizeof *un;
    }
    snprintf(text, sizeof text, "%s%s", where[0] == '*' ? "127.0.0.1" : "",
             where[0] == '*' ? where + 1 : where);
    assert_true(address_parse(text, &address));
    return address_to_sockaddr(&address, name);
}

/* A non-blocking client, connected to where. */
static inline int fixture_connect_to(const char *where)
{
    struct sockaddr_storage name;
    socklen_t len = fixture_name(where, &name);
    int fd = socket(name.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    if (fixture_receive_buffer > 0) {
        assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &fixture_receive_buffer,
                                    sizeof fixture_receive_buffer),
                         0);
    }
    if (fixture_from) {
        struct sockaddr_in from = {.sin_family = AF_INET};
        assert_int_equal(inet_pton(AF_INET, fixture_from, &from.sin_addr), 1);
        assert_int_equal(bind(fd, (struct sockaddr *)&from, sizeof from), 0);
    }
    if (connect(fd, (struct sockaddr *)&name, len) != 0) {
        fail_msg("connect %s: %s", where, strerror(errno));
    }
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return fd;
}

static inline int fixture_connect(struct fixture *f)
{
    return fixture_connect_to(listener_where(f->listener));
}

/* A client, and its session at our side. */
static inline struct session *fixture_open(struct fixture *f, int *fd)
{
    unsigned before = f->accepted;
    *fd = fixture_connect(f);
    WAIT_FOR(f, f->accepted > before);
    return &f->sessions[before % SESSIONS_MAX];
}

static inline void fixture_write(int fd, const void *bytes, size_t len)
{
    assert_int_equal(send(fd, bytes, len, MSG_NOSIGNAL), (ssize_t)len);
}

static inline void fixture_write_text(int fd, const char *text)
{
    fixture_write(fd, text, strlen(text));
}

/* Appends what the client can read now. False at the end. */
static inline bool fixture_read(int fd, struct writer *to)
{
    uint8_t buffer[65536];
    ssize_t n;
    while ((n = recv(fd, buffer, sizeof buffer, 0)) > 0) {
        writer_bytes(to, (struct bytes){buffer, (size_t)n});
    }
    return n < 0 && errno == EAGAIN;
}

/* The next len bytes that the client gets, after turns as needed. */
static inline void fixture_read_len(struct fixture *f, int fd, struct writer *to, size_t len)
{
    WAIT_FOR(f, (fixture_read(fd, to), to->len >= len));
    assert_int_equal(to->len, len);
}

/* All that the client gets until the end of the stream. */
static inline void fixture_read_end(struct fixture *f, int fd, struct writer *to)
{
    WAIT_FOR(f, !fixture_read(fd, to));
}

static inline void fixture_expect_text(const struct writer *writer, const char *text)
{
    if (writer->len != strlen(text) || memcmp(writer->data, text, writer->len) != 0) {
        fail_msg("got %zu bytes \"%.*s\", not \"%s\"", writer->len, (int)writer->len,
                 !writer->data ? "" : (const char *)writer->data, text);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_create, fixture_destroy)

static inline unsigned fixture_port_of(const char *where)
{
    return (unsigned)strtoul(strrchr(where, ':') + 1, NULL, 10);
}

/* Connects, lets a byte through, and closes. */
static inline void fixture_expect_service(struct fixture *f, const char *where,
                                          enum address_family family)
{
    unsigned before = f->accepted;
    struct session *session = &f->sessions[before % SESSIONS_MAX];
    int fd = fixture_connect_to(where);
    WAIT_FOR(f, f->accepted > before);
    assert_int_equal(conn_peer(session->conn)->family, family);
    assert_int_equal(f->asked_for.family, family);
    fixture_write_text(fd, "x");
    WAIT_FOR(f, session->input.len == 1);
    close(fd);
    WAIT_FOR(f, session->closed == 1);
}

#endif
