/*
 * fixture: a front-end's Tracker listener on a real map with a real Redis, and plain sockets as its
 * clients, all on one loop.
 */
#ifndef UNIT_PROTOCOL_FIXTURE_H
#define UNIT_PROTOCOL_FIXTURE_H

#include "map/fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "metrics/metrics.h"
#include "net/listener.h"
#include "protocol/tracker/tracker_private.h"

struct stage {
    struct world *world;
    struct front *front;
    struct config *config;
    struct net_settings net_settings;
    struct tracker_settings settings;
    struct net *net;
    struct tracker_service *service;
    struct tracker_port *port;
    struct listener *listener;
};

static inline void stage_accepted(void *arg, struct conn *conn)
{
    tracker_serve(((struct stage *)arg)->port, conn);
}

static const struct listener_callbacks stage_callbacks = {.accepted = stage_accepted};

static inline void stage_set(struct stage *stage, const char *assignment)
{
    char *error = config_set(stage->config, assignment);
    if (error) {
        fail_msg("%s", error);
    }
}

static inline int stage_create(void **state)
{
    struct stage *stage = mem_zalloc(1, sizeof *stage);
    char *error = NULL;
    stage->world = world_with_fronts(1);
    stage->front = &stage->world->fronts[0];
    stage->config = config_create();
    config_add(stage->config, &net_config, &stage->net_settings);
    config_add(stage->config, &tracker_config, &stage->settings);
    stage->net = net_create(stage->world->loop, &stage->net_settings);
    stage->service = tracker_service_create(stage->front->map);
    stage->port = tracker_port_create(stage->service, map_space_find(stage->front->map, ""),
                                      &stage->settings);
    stage->listener = listener_create(stage->net, "127.0.0.1:0", &stage->net_settings,
                                      &stage_callbacks, stage, &error);
    if (!stage->listener) {
        fail_msg("%s", error);
    }
    *state = stage;
    return 0;
}

static inline int stage_destroy(void **state)
{
    struct stage *stage = *state;
    listener_stop(stage->listener);
    listener_close_connections(stage->listener, CONN_CLOSE_LOCAL);
    loop_iterate(stage->world->loop, 0);
    assert_int_equal(tracker_service_count(stage->service), 0);
    listener_destroy(&stage->listener);
    tracker_port_destroy(&stage->port);
    tracker_service_destroy(&stage->service);
    net_destroy(&stage->net);
    config_destroy(&stage->config);
    config_free_values(&net_config, &stage->net_settings);
    config_free_values(&tracker_config, &stage->settings);
    world_destroy(stage->world);
    free(stage);
    return 0;
}

/* A client: a socket, and what came from it. */
struct peer {
    struct stage *stage;
    int fd;
    struct writer input;
    bool ended; /* the front-end has closed */
};

static inline void peer_connect(struct peer *peer, struct stage *stage, int receive_buffer)
{
    struct address address;
    struct sockaddr_storage storage;
    memset(peer, 0, sizeof *peer);
    peer->stage = stage;
    assert_true(address_parse(listener_where(stage->listener), &address));
    socklen_t len = address_to_sockaddr(&address, &storage);
    peer->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (receive_buffer > 0) {
        setsockopt(peer->fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    }
    assert_int_equal(connect(peer->fd, (struct sockaddr *)&storage, len), 0);
    assert_int_equal(fcntl(peer->fd, F_SETFL, O_NONBLOCK), 0);
}

/* Reads what there is. Always true. */
static inline bool peer_read(struct peer *peer)
{
    uint8_t buffer[65536];
    ssize_t n;
    while ((n = read(peer->fd, buffer, sizeof buffer)) > 0) {
        writer_bytes(&peer->input, (struct bytes){buffer, (size_t)n});
    }
    if (n == 0 || (n < 0 && errno != EAGAIN)) {
        peer->ended = true;
    }
    return true;
}

static inline void peer_send(struct peer *peer, struct bytes bytes)
{
    size_t sent = 0;
    while (sent < bytes.len) {
        ssize_t n = send(peer->fd, bytes.data + sent, bytes.len - sent, MSG_NOSIGNAL);
        if (n > 0) {
            sent += (size_t)n;
        } else {
            loop_iterate(peer->stage->world->loop, 10);
        }
    }
}

/* Sends what the writer holds, and frees it. */
static inline void peer_send_all(struct peer *peer, struct writer *bytes)
{
    assert_false(bytes->failed);
    peer_send(peer, writer_bytes_written(bytes));
    writer_free(bytes);
}

static inline void peer_wait(struct peer *peer, size_t len)
{
    WAIT_UNTIL(peer->stage->world, peer_read(peer) && (peer->input.len >= len || peer->ended));
    if (peer->input.len < len) {
        fail_msg("%zu bytes and the end, where %zu were expected", peer->input.len, len);
    }
}

static inline void peer_drop_input(struct peer *peer, size_t len)
{
    memmove(peer->input.data, peer->input.data + len, peer->input.len - len);
    peer->input.len -= len;
}

/* The next bytes are these. */
static inline void peer_expect(struct peer *peer, struct bytes expected)
{
    peer_wait(peer, expected.len);
    assert_memory_equal(peer->input.data, expected.data, expected.len);
    peer_drop_input(peer, expected.len);
}

static inline void peer_expect_byte(struct peer *peer, uint8_t byte)
{
    peer_expect(peer, (struct bytes){&byte, 1});
}

/* The rest of the connection is its end. */
static inline void peer_expect_end(struct peer *peer)
{
    WAIT_UNTIL(peer->stage->world, peer_read(peer) && peer->ended);
    assert_int_equal(peer->input.len, 0);
}

/* A VERSIONED client's whole messages, by hand. */
static inline void peer_open(struct peer *peer, enum tracker_dialect dialect, const char *text)
{
    struct writer to = {0};
    tracker_write_open(&to, dialect, bytes_from_string(text));
    peer_send_all(peer, &to);
}

static inline void peer_update(struct peer *peer, enum tracker_dialect dialect, const char *id,
                               uint64_t version, const char *text)
{
    struct writer to = {0};
    tracker_write_update(&to, dialect, bytes_from_string(id), version, bytes_from_string(text));
    peer_send_all(peer, &to);
}

static inline void peer_close(struct peer *peer, enum tracker_dialect dialect, const char *id)
{
    struct writer to = {0};
    tracker_write_close(&to, dialect, bytes_from_string(id));
    peer_send_all(peer, &to);
}

static inline void peer_get(struct peer *peer, enum tracker_dialect dialect)
{
    struct writer to = {0};
    tracker_write_get(&to, dialect);
    peer_send_all(peer, &to);
}

/* The id that VERSIONED or 2013 replies to Open. */
static inline void peer_read_id(struct peer *peer, enum tracker_dialect dialect,
                                char id[ID_CLIENT_LENGTH + 1])
{
    if (dialect == TRACKER_VERSIONED) {
        peer_expect_byte(peer, ID_CLIENT_LENGTH);
    }
    peer_wait(peer, ID_CLIENT_LENGTH);
    memcpy(id, peer->input.data, ID_CLIENT_LENGTH);
    id[ID_CLIENT_LENGTH] = 0;
    peer_drop_input(peer, ID_CLIENT_LENGTH);
}

/* Takes one push off the input; false when there is no whole one. The ranges borrow from *kept. */
static inline bool peer_push(struct peer *peer, struct tracker_push *push, struct writer *kept)
{
    struct tracker_result result = tracker_read_push(writer_bytes_written(&peer->input), push);
    if (result.outcome == TRACKER_MORE) {
        return false;
    }
    assert_int_equal(result.outcome, TRACKER_MESSAGE);
    writer_reset(kept);
    writer_bytes(kept, (struct bytes){peer->input.data, result.consumed});
    assert_int_equal(tracker_read_push(writer_bytes_written(kept), push).outcome, TRACKER_MESSAGE);
    peer_drop_input(peer, result.consumed);
    return true;
}

static inline void peer_free(struct peer *peer)
{
    if (peer->fd >= 0) {
        close(peer->fd);
    }
    peer->fd = -1;
    writer_free(&peer->input);
}

#endif
