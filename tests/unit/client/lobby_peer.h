/*
 * The tracker's lobby on the test's own loop. It sends what the test gives it, and records the
 * lines that it receives.
 */
#ifndef TESTS_CLIENT_LOBBY_PEER_H
#define TESTS_CLIENT_LOBBY_PEER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "loop/loop.h"
#include "patience.h"

#define B(s) BYTES_LITERAL(s)

struct lobby_peer {
    struct loop *loop;
    int listener, fd; /* fd -1: nobody is connected */
    struct loop_io *accepting, *io;
    char target[64];
    unsigned accepted;
    struct writer received;    /* since the last check */
    struct writer events_seen; /* by the callbacks of the client under test, a line each */
};

static inline void lobby_peer_drop(struct lobby_peer *peer)
{
    if (peer->fd < 0) {
        return;
    }
    loop_io_destroy(&peer->io);
    (void)close(peer->fd);
    peer->fd = -1;
}

static inline void lobby_peer_read(void *arg, unsigned events)
{
    struct lobby_peer *peer = arg;
    uint8_t bytes[4096];
    const ssize_t n = recv(peer->fd, bytes, sizeof bytes, 0);

    if (n <= 0) {
        lobby_peer_drop(peer);
    } else {
        writer_bytes(&peer->received, (struct bytes){bytes, (size_t)n});
    }
}

static inline void lobby_peer_accept(void *arg, unsigned events)
{
    struct lobby_peer *peer = arg;

    lobby_peer_drop(peer);
    peer->fd = accept(peer->listener, NULL, NULL);
    assert_true(peer->fd >= 0);
    peer->io = loop_io_create(peer->loop, peer->fd, lobby_peer_read, peer);
    loop_io_set(peer->io, LOOP_READ);
    peer->accepted++;
}

static inline void lobby_peer_begin(struct lobby_peer *peer)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;

    memset(peer, 0, sizeof *peer);
    peer->fd = -1;
    peer->loop = loop_create();
    peer->listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(peer->listener, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(peer->listener, 10), 0);
    assert_int_equal(getsockname(peer->listener, (struct sockaddr *)&address, &len), 0);
    (void)snprintf(peer->target, sizeof peer->target, "127.0.0.1:%u",
                   (unsigned)ntohs(address.sin_port));
    peer->accepting = loop_io_create(peer->loop, peer->listener, lobby_peer_accept, peer);
    loop_io_set(peer->accepting, LOOP_READ);
}

static inline void lobby_peer_end(struct lobby_peer *peer)
{
    lobby_peer_drop(peer);
    loop_io_destroy(&peer->accepting);
    (void)close(peer->listener);
    writer_free(&peer->received);
    writer_free(&peer->events_seen);
    loop_destroy(&peer->loop);
}

static inline void lobby_peer_send_line(struct lobby_peer *peer, const char *line)
{
    const size_t len = strlen(line);

    assert_int_equal(send(peer->fd, line, len, MSG_NOSIGNAL), (ssize_t)len);
    assert_int_equal(send(peer->fd, "\n", 1, MSG_NOSIGNAL), 1);
}

static inline bool lobby_text_contains(const struct writer *text, const char *part)
{
    return text->len > 0 && memmem(text->data, text->len, part, strlen(part));
}

/* Runs the loop until the condition holds. */
#define LOBBY_WAIT(peer, condition)                                                                \
    do {                                                                                           \
        struct patience patience_ = patience_begin();                                              \
        while (!(condition)) {                                                                     \
            loop_iterate((peer)->loop, 10);                                                        \
            if (patience_is_over(&patience_))                                                      \
                fail_msg("timed out waiting for %s; received %.*s; events %.*s", #condition,       \
                         (int)(peer)->received.len, (const char *)(peer)->received.data,           \
                         (int)(peer)->events_seen.len, (const char *)(peer)->events_seen.data);    \
        }                                                                                          \
    } while (0)

/* Waits until the text has been received, and clears what has been received. */
#define LOBBY_EXPECT_RECEIVED(peer, part)                                                          \
    do {                                                                                           \
        LOBBY_WAIT(peer, lobby_text_contains(&(peer)->received, part));                            \
        writer_reset(&(peer)->received);                                                           \
    } while (0)

/* Waits for the events of the client under test, compares them, and clears them. */
#define LOBBY_EXPECT_EVENTS(peer, text)                                                            \
    do {                                                                                           \
        LOBBY_WAIT(peer, (peer)->events_seen.len >= strlen(text));                                 \
        writer_u8(&(peer)->events_seen, 0);                                                        \
        assert_string_equal((const char *)(peer)->events_seen.data, text);                         \
        writer_reset(&(peer)->events_seen);                                                        \
    } while (0)

#endif
