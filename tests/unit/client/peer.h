/*
 * A small server of the Tracker protocol on the test's own loop, and a client of it whose
 * callbacks are written down, one line each.
 *
 * The server speaks through the server's side of the codec. It answers what it is asked unless it
 * is told to refuse or to keep silent, and writes down what it heard.
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
    /* The connection there is, if any. */
    int fd;
    struct loop_io *io;
    struct tls_stream *stream;
    enum tracker_dialect dialect;
    struct writer in;
    unsigned accepted; /* connections so far */
    unsigned opened;   /* entries so far */
    unsigned acks;     /* answers to pushes so far */
    bool silent;       /* answers nothing */
    bool deaf;         /* reads nothing */
    bool refuses;      /* answers 00 */
    struct writer heard;
};

/* What a test knows: the peer, the client, and what the client's callbacks said. */
struct scene {
    struct loop *loop;
    struct peer peer;
    struct tracker_client *client;
    struct writer said;
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
    if (peer->fd < 0)
        return;
    loop_io_destroy(&peer->io);
    if (peer->stream)
        tls_stream_destroy(&peer->stream);
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
    if (peer->refuses && !(by_update && !has_ids))
        tracker_write_ack(&to, false);
    else if (message->type == TRACKER_OPEN) {
        (void)snprintf(id, sizeof id, "client%u", ++peer->opened % 10);
        tracker_write_id(&to, peer->dialect, bytes_from_string(id));
    } else if (message->type == TRACKER_ALL)
        tracker_write_map_reply(&to, peer->dialect, B("{a=b, c=d}"));
    else if (message->type == TRACKER_CLOSE || has_ids)
        tracker_write_ack(&to, true);
    peer_send(peer, writer_bytes_written(&to));
    writer_free(&to);
}

static inline void peer_hear(struct peer *peer, const struct tracker_message *message)
{
    static const char *const names[] = {"open", "close", "update", "get"};
    writer_string(&peer->heard, names[message->type]);
    if (message->id.data) {
        writer_u8(&peer->heard, ' ');
        writer_bytes(&peer->heard, message->id);
    }
    if (message->has_version)
        writer_format(&peer->heard, " v%llu", (unsigned long long)message->version);
    if (message->state.data) {
        writer_u8(&peer->heard, ' ');
        writer_bytes(&peer->heard, message->state);
    }
    writer_u8(&peer->heard, '\n');
    if (!peer->silent)
        peer_answer(peer, message);
}

static inline void peer_on_bytes(struct peer *peer)
{
    struct tracker_message message;
    struct tracker_result result;
    do {
        const struct bytes input = writer_bytes_written(&peer->in);
        result = tracker_read(input, &peer->options, &peer->dialect, &message);
        assert_int_not_equal(result.outcome, TRACKER_FAILED);
        for (size_t i = 0; i < result.consumed && input.data[i] == 1; i++)
            peer->acks++;
        if (result.outcome == TRACKER_MESSAGE)
            peer_hear(peer, &message);
        if (peer->fd < 0)
            return;
        peer->in.len -= result.consumed;
        if (peer->in.len > 0)
            memmove(peer->in.data, peer->in.data + result.consumed, peer->in.len);
    } while (result.outcome == TRACKER_MESSAGE);
}

static inline void peer_on_ready(void *arg, unsigned events)
{
    struct peer *peer = arg;
    uint8_t *to = writer_reserve(&peer->in, 65536);
    const ssize_t n =
        peer->stream ? tls_stream_read(peer->stream, to, 65536) : recv(peer->fd, to, 65536, 0);
    peer->in.len -= 65536 - (size_t)(n > 0 ? n : 0);
    if (n > 0)
        peer_on_bytes(peer);
    else if (n == 0 || !peer->stream || errno != EAGAIN)
        peer_drop(peer);
}

static inline void peer_on_accept(void *arg, unsigned events)
{
    struct peer *peer = arg;
    peer_drop(peer);
    peer->fd = accept4(peer->listener, NULL, NULL, SOCK_CLOEXEC | (peer->tls ? SOCK_NONBLOCK : 0));
    assert_true(peer->fd >= 0);
    peer->accepted++;
    peer->dialect = TRACKER_UNKNOWN;
    if (peer->tls && !peer->silent)
        peer->stream = tls_stream_create(peer->tls, peer->fd, NULL);
    peer->io = loop_io_create(peer->loop, peer->fd, peer_on_ready, peer);
    loop_io_set(peer->io, peer->deaf ? 0 : LOOP_READ);
}

/* Listens on a free port of the loopback, or on the port that it had. */
static inline void peer_listen(struct peer *peer)
{
    const int on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof address;
    if (peer->target[0])
        address.sin_port = htons((uint16_t)atoi(strchr(peer->target, ':') + 1));
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
    if (peer->listener >= 0)
        peer_stop_listening(peer);
    writer_free(&peer->heard);
    if (peer->tls)
        tls_context_unref(&peer->tls);
}

/* The end of each callback: what the test wants to happen in it. */
static inline void scene_said(struct scene *scene, const char *name)
{
    if (scene->stop_in && strcmp(scene->stop_in, name) == 0)
        tracker_client_stop(scene->client);
    if (scene->destroy_in && strcmp(scene->destroy_in, name) == 0)
        tracker_client_destroy(&scene->client);
}

static inline void say_connected(void *arg, bool again)
{
    struct scene *scene = arg;
    writer_string(&scene->said, again ? "connected again\n" : "connected\n");
    scene_said(scene, "connected");
}

static inline void say_disconnected(void *arg, const char *reason)
{
    struct scene *scene = arg;
    writer_format(&scene->said, "disconnected: %s\n", reason);
    scene_said(scene, "disconnected");
}

static inline void say_opened(void *arg, struct bytes id, bool adopted)
{
    struct scene *scene = arg;
    writer_string(&scene->said, adopted ? "adopted " : "opened ");
    writer_bytes(&scene->said, id);
    writer_u8(&scene->said, '\n');
    scene_said(scene, "opened");
}

static inline void say_replied(void *arg, enum tracker_client_request request,
                               enum tracker_client_outcome outcome)
{
    static const char *const requests[] = {"open", "update", "close", "get"};
    static const char *const outcomes[] = {"accepted", "refused", "lost"};
    struct scene *scene = arg;
    writer_format(&scene->said, "%s %s\n", requests[request], outcomes[outcome]);
    scene_said(scene, "replied");
}

static inline void say_updated(void *arg, uint8_t version, struct bytes id, struct bytes state)
{
    struct scene *scene = arg;
    writer_format(&scene->said, "updated v%u ", version);
    writer_bytes(&scene->said, id);
    writer_u8(&scene->said, ' ');
    writer_bytes(&scene->said, state);
    writer_u8(&scene->said, '\n');
    scene_said(scene, "updated");
}

static inline void say_mapped(void *arg, uint8_t map_version, struct bytes entries)
{
    struct scene *scene = arg;
    struct bytes id;
    struct bytes state;
    uint8_t version;
    writer_format(&scene->said, "map v%u:", map_version);
    while (tracker_all_next(&entries, &version, &id, &state)) {
        writer_u8(&scene->said, ' ');
        writer_bytes(&scene->said, id);
        writer_format(&scene->said, "/%u=", version);
        writer_bytes(&scene->said, state);
    }
    assert_int_equal(entries.len, 0);
    writer_u8(&scene->said, '\n');
    scene_said(scene, "mapped");
}

static inline void say_map_text(void *arg, struct bytes text)
{
    struct scene *scene = arg;
    writer_string(&scene->said, "text ");
    writer_bytes(&scene->said, text.data ? text : B("too long"));
    writer_u8(&scene->said, '\n');
    scene_said(scene, "map_text");
}

static const struct tracker_client_events scene_events = {
    .connected = say_connected,
    .disconnected = say_disconnected,
    .opened = say_opened,
    .replied = say_replied,
    .updated = say_updated,
    .mapped = say_mapped,
    .map_text = say_map_text,
};

static inline void scene_begin(struct scene *scene, enum tracker_dialect dialect)
{
    *scene = (struct scene){.loop = loop_create()};
    scene->peer = (struct peer){
        .loop = scene->loop,
        .fd = -1,
        .options = {.limits = {.max_state = 65536, .max_id = 255},
                    .original = dialect == TRACKER_2014 ? TRACKER_2014 : TRACKER_2013,
                    .wide = dialect == TRACKER_WIDE},
    };
    peer_listen(&scene->peer);
    peer_serve(&scene->peer);
}

/* Makes and starts the client; where it connects to is filled in. */
static inline void scene_connect(struct scene *scene, struct tracker_client_options options)
{
    char *error;
    if (!options.target)
        options.target = scene->peer.target;
    scene->client = tracker_client_create(scene->loop, &options, &scene_events, scene, &error);
    if (!scene->client)
        fail_msg("%s", error);
    tracker_client_start(scene->client);
}

static inline void scene_end(struct scene *scene)
{
    tracker_client_destroy(&scene->client);
    peer_end(&scene->peer);
    loop_destroy(&scene->loop);
    writer_free(&scene->said);
}

/* Turns the loop until the condition holds. */
#define WAIT_UNTIL(scene, condition)                                                               \
    do {                                                                                           \
        struct patience patience_ = patience_begin();                                              \
        while (!(condition)) {                                                                     \
            if (patience_is_over(&patience_))                                                      \
                fail_msg("waited in vain for %s; said: %s; heard: %s", #condition,                 \
                         text_of(&(scene)->said), text_of(&(scene)->peer.heard));                  \
            loop_turn((scene)->loop, 10);                                                          \
        }                                                                                          \
    } while (0)

/* Waits until the client has said this many lines, compares them, and forgets them. */
static inline void expect_said(struct scene *scene, const char *expected)
{
    const size_t len = strlen(expected);
    WAIT_UNTIL(scene, scene->said.len >= len);
    assert_string_equal(text_of(&scene->said), expected);
    writer_reset(&scene->said);
}

static inline void expect_heard(struct scene *scene, const char *expected)
{
    const size_t len = strlen(expected);
    WAIT_UNTIL(scene, scene->peer.heard.len >= len);
    assert_string_equal(text_of(&scene->peer.heard), expected);
    writer_reset(&scene->peer.heard);
}

#endif
