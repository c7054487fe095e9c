/*
 * A small server of the Tracker protocol on the test's own loop, and a client of it whose callbacks
 * are recorded, one line each.
 *
 * The server uses the server side of the codec. It answers each request, unless the test makes it
 * refuse or stay silent, and records what it receives.
 */
#ifndef TESTS_CLIENT_PEER_H
#define TESTS_CLIENT_PEER_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/mem.h"
#include "client/tracker_client.h"
#include "codec/tracker.h"
#include "loop/loop.h"
#include "patience.h"
#include "tls/tls.h"

#define B(s) BYTES_LITERAL(s)

struct peer {
    struct loop *loop;
    struct tracker_options options;
    int listener;
    struct loop_io *accepting;
    char target[64];
    struct tls_context *tls; /* NULL: none */
    /* The present connection; fd is -1 when there is none. */
    int fd;
    struct loop_io *io;
    struct tls_stream *stream;
    enum tracker_dialect dialect;
    struct writer in;
    unsigned accepted;      /* connections so far */
    unsigned opened;        /* entries so far */
    unsigned acks;          /* answers to pushes so far */
    bool silent;            /* answers nothing */
    bool reads_nothing;     /* reads nothing */
    bool refuses;           /* answers 00 */
    struct writer received; /* a line for each message */
};

/* The peer, the client, and the client's callbacks. */
struct fixture {
    struct loop *loop;
    struct peer peer;
    struct tracker_client *client;
    struct writer events_seen; /* a line for each callback */
    /* In the callback of this name the client is stopped, or destroyed. */
    const char *stop_in, *destroy_in;
};

static inline const char *text_of(struct writer *writer)
{
    writer_u8(writer, 0);
    writer->len--;
    return (const char *)writer->data;
}

static inline void peer_drop(struct peer *peer)
{
    if (peer->fd < 0) {
        return;
    }
    loop_io_destroy(&peer->io);
    if (peer->stream) {
        tls_stream_destroy(&peer->stream);
    }
    (void)close(peer->fd);
    peer->fd = -1;
    writer_free(&peer->in);
}

static inline void peer_send(struct peer *peer, struct bytes bytes)
{
    while (bytes.len > 0) {
        const ssize_t n = peer->stream ? tls_stream_write(peer->stream, bytes.data, bytes.len)
                                       : send(peer->fd, bytes.data, bytes.len, MSG_NOSIGNAL);
        assert_true(n > 0);
        bytes.data += n;
        bytes.len -= (size_t)n;
    }
}

static inline void peer_answer(struct peer *peer, const struct tracker_message *message)
{
    char id[8];
    struct writer to = {0};
    const bool by_update = message->type == TRACKER_UPDATE;
    const bool has_ids = peer->dialect == TRACKER_VERSIONED || peer->dialect == TRACKER_2013;
    if (peer->refuses && !(by_update && !has_ids)) {
        tracker_write_ack(&to, false);
    } else if (message->type == TRACKER_OPEN) {
        (void)snprintf(id, sizeof id, "client%u", ++peer->opened % 10);
        tracker_write_id(&to, peer->dialect, bytes_from_string(id));
    } else if (message->type == TRACKER_ALL) {
        tracker_write_map_reply(&to, peer->dialect, B("{a=b, c=d}"));
    } else if (message->type == TRACKER_CLOSE || has_ids) {
        tracker_write_ack(&to, true);
    }
    peer_send(peer, writer_bytes_written(&to));
    writer_free(&to);
}

static inline void peer_record_message(struct peer *peer, const struct tracker_message *message)
{
    static const char *const names[] = {"open", "close", "update", "get"};
    writer_string(&peer->received, names[message->type]);
    if (message->id.data) {
        writer_u8(&peer->received, ' ');
        writer_bytes(&peer->received, message->id);
    }
    if (message->has_version) {
        writer_format(&peer->received, " v%llu", (unsigned long long)message->version);
    }
    if (message->state.data) {
        writer_u8(&peer->received, ' ');
        writer_bytes(&peer->received, message->state);
    }
    writer_u8(&peer->received, '\n');
    if (!peer->silent) {
        peer_answer(peer, message);
    }
}

static inline void peer_on_bytes(struct peer *peer)
{
    struct tracker_message message;
    struct tracker_result result;
    do {
        const struct bytes input = writer_bytes_written(&peer->in);
        result = tracker_read(input, &peer->options, &peer->dialect, &message);
        assert_int_not_equal(result.outcome, TRACKER_FAILED);
        for (size_t i = 0; i < result.consumed && input.data[i] == 1; i++) {
            peer->acks++;
        }
        if (result.outcome == TRACKER_MESSAGE) {
            peer_record_message(peer, &message);
        }
        if (peer->fd < 0) {
            return;
        }
        peer->in.len -= result.consumed;
        if (peer->in.len > 0) {
            memmove(peer->in.data, peer->in.data + result.consumed, peer->in.len);
        }
    } while (result.outcome == TRACKER_MESSAGE);
}

static inline void peer_on_ready(void *arg, unsigned events)
{
    struct peer *peer = arg;
    uint8_t *to = writer_reserve(&peer->in, 65536);
    const ssize_t n =
        peer->stream ? tls_stream_read(peer->stream, to, 65536) : recv(peer->fd, to, 65536, 0);
    peer->in.len -= 65536 - (size_t)(n > 0 ? n : 0);
    if (n > 0) {
        peer_on_bytes(peer);
    } else if (n == 0 || !peer->stream || errno != EAGAIN) {
        peer_drop(peer);
    }
}

static inline void peer_on_accept(void *arg, unsigned events)
{
    struct peer *peer = arg;
    peer_drop(peer);
    peer->fd = accept4(peer->listener, NULL, NULL, SOCK_CLOEXEC | (peer->tls ? SOCK_NONBLOCK : 0));
    assert_true(peer->fd >= 0);
    peer->accepted++;
    peer->dialect = TRACKER_UNKNOWN;
    if (peer->tls && !peer->silent) {
        peer->stream = tls_stream_create(peer->tls, peer->fd, NULL);
    }
    peer->io = loop_io_create(peer->loop, peer->fd, peer_on_ready, peer);
    loop_io_set(peer->io, peer->reads_nothing ? 0 : LOOP_READ);
}

/* Listens on a free port of the loopback, or on the port that it had. */
static inline void peer_listen(struct peer *peer)
{
    const int on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof address;
    if (peer->target[0]) {
        address.sin_port = htons((uint16_t)atoi(strchr(peer->target, ':') + 1));
    }
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    peer->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(peer->listener >= 0);
    (void)setsockopt(peer->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    assert_int_equal(bind(peer->listener, (struct sockaddr *)&address, len), 0);
    assert_int_equal(getsockname(peer->listener, (struct sockaddr *)&address, &len), 0);
    (void)snprintf(peer->target, sizeof peer->target, "127.0.0.1:%u", ntohs(address.sin_port));
}

static inline void peer_serve(struct peer *peer)
{
    assert_int_equal(listen(peer->listener, 16), 0);
    peer->accepting = loop_io_create(peer->loop, peer->listener, peer_on_accept, peer);
    loop_io_set(peer->accepting, LOOP_READ);
}

static inline void peer_stop_listening(struct peer *peer)
{
    loop_io_destroy(&peer->accepting);
    (void)close(peer->listener);
    peer->listener = -1;
}

static inline void peer_end(struct peer *peer)
{
    peer_drop(peer);
    if (peer->listener >= 0) {
        peer_stop_listening(peer);
    }
    writer_free(&peer->received);
    if (peer->tls) {
        tls_context_unref(&peer->tls);
    }
}

/* The end of each callback: stops or destroys the client if the test asked for it. */
static inline void fixture_after_callback(struct fixture *fixture, const char *name)
{
    if (fixture->stop_in && strcmp(fixture->stop_in, name) == 0) {
        tracker_client_stop(fixture->client);
    }
    if (fixture->destroy_in && strcmp(fixture->destroy_in, name) == 0) {
        tracker_client_destroy(&fixture->client);
    }
}

static inline void record_connected(void *arg, bool resuming)
{
    struct fixture *fixture = arg;
    writer_string(&fixture->events_seen, resuming ? "connected again\n" : "connected\n");
    fixture_after_callback(fixture, "connected");
}

static inline void record_disconnected(void *arg, const char *reason)
{
    struct fixture *fixture = arg;
    writer_format(&fixture->events_seen, "disconnected: %s\n", reason);
    fixture_after_callback(fixture, "disconnected");
}

static inline void record_opened(void *arg, struct bytes id, bool adopted)
{
    struct fixture *fixture = arg;
    writer_string(&fixture->events_seen, adopted ? "adopted " : "opened ");
    writer_bytes(&fixture->events_seen, id);
    writer_u8(&fixture->events_seen, '\n');
    fixture_after_callback(fixture, "opened");
}

static inline void record_replied(void *arg, enum tracker_client_request request,
                                  enum tracker_client_outcome outcome)
{
    static const char *const requests[] = {"open", "update", "close", "get"};
    static const char *const outcomes[] = {"accepted", "refused", "lost"};
    struct fixture *fixture = arg;
    writer_format(&fixture->events_seen, "%s %s\n", requests[request], outcomes[outcome]);
    fixture_after_callback(fixture, "replied");
}

static inline void record_updated(void *arg, uint8_t version, struct bytes id, struct bytes state)
{
    struct fixture *fixture = arg;
    writer_format(&fixture->events_seen, "updated v%u ", version);
    writer_bytes(&fixture->events_seen, id);
    writer_u8(&fixture->events_seen, ' ');
    writer_bytes(&fixture->events_seen, state);
    writer_u8(&fixture->events_seen, '\n');
    fixture_after_callback(fixture, "updated");
}

static inline void record_map(void *arg, uint8_t map_version, struct bytes entries)
{
    struct fixture *fixture = arg;
    struct bytes id;
    struct bytes state;
    uint8_t version;
    writer_format(&fixture->events_seen, "map v%u:", map_version);
    while (tracker_all_next(&entries, &version, &id, &state)) {
        writer_u8(&fixture->events_seen, ' ');
        writer_bytes(&fixture->events_seen, id);
        writer_format(&fixture->events_seen, "/%u=", version);
        writer_bytes(&fixture->events_seen, state);
    }
    assert_int_equal(entries.len, 0);
    writer_u8(&fixture->events_seen, '\n');
    fixture_after_callback(fixture, "map_received");
}

static inline void record_map_text(void *arg, struct bytes text)
{
    struct fixture *fixture = arg;
    writer_string(&fixture->events_seen, "text ");
    writer_bytes(&fixture->events_seen, text.data ? text : B("too long"));
    writer_u8(&fixture->events_seen, '\n');
    fixture_after_callback(fixture, "map_text");
}

static const struct tracker_client_events fixture_events = {
    .connected = record_connected,
    .disconnected = record_disconnected,
    .opened = record_opened,
    .replied = record_replied,
    .updated = record_updated,
    .map_received = record_map,
    .map_text_received = record_map_text,
};

static inline void fixture_begin(struct fixture *fixture, enum tracker_dialect dialect)
{
    *fixture = (struct fixture){.loop = loop_create()};
    fixture->peer = (struct peer){
        .loop = fixture->loop,
        .fd = -1,
        .options = {.limits = {.max_state = 65536, .max_id = 255},
                    .original = dialect == TRACKER_2014 ? TRACKER_2014 : TRACKER_2013,
                    .wide = dialect == TRACKER_WIDE},
    };
    peer_listen(&fixture->peer);
    peer_serve(&fixture->peer);
}

/* Creates and starts the client; the target defaults to the peer. */
static inline void fixture_connect(struct fixture *fixture, struct tracker_client_options options)
{
    char *error;
    if (!options.target) {
        options.target = fixture->peer.target;
    }
    fixture->client =
        tracker_client_create(fixture->loop, &options, &fixture_events, fixture, &error);
    if (!fixture->client) {
        fail_msg("%s", error);
    }
    tracker_client_start(fixture->client);
}

static inline void fixture_end(struct fixture *fixture)
{
    tracker_client_destroy(&fixture->client);
    peer_end(&fixture->peer);
    loop_destroy(&fixture->loop);
    writer_free(&fixture->events_seen);
}

/* Runs the loop until the condition holds. */
#define WAIT_UNTIL(fixture, condition)                                                             \
    do {                                                                                           \
        struct patience patience_ = patience_begin();                                              \
        while (!(condition)) {                                                                     \
            if (patience_is_over(&patience_))                                                      \
                fail_msg("timed out waiting for %s; events: %s; received: %s", #condition,         \
                         text_of(&(fixture)->events_seen), text_of(&(fixture)->peer.received));    \
            loop_iterate((fixture)->loop, 10);                                                     \
        }                                                                                          \
    } while (0)

/* Waits for as many bytes of events, compares them, and clears them. */
static inline void expect_events(struct fixture *fixture, const char *expected)
{
    const size_t len = strlen(expected);
    WAIT_UNTIL(fixture, fixture->events_seen.len >= len);
    assert_string_equal(text_of(&fixture->events_seen), expected);
    writer_reset(&fixture->events_seen);
}

static inline void expect_received(struct fixture *fixture, const char *expected)
{
    const size_t len = strlen(expected);
    WAIT_UNTIL(fixture, fixture->peer.received.len >= len);
    assert_string_equal(text_of(&fixture->peer.received), expected);
    writer_reset(&fixture->peer.received);
}

#endif
