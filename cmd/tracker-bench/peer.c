/* peer: see the header. Connecting is non-blocking; PEERS_AT_ONCE are under way at a time, until
 * they are settled. */
#include "peer.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/address.h"
#include "base/clock.h"
#include "base/mem.h"
#include "pacer.h"
#include "tls/tls.h"

#define PEERS_AT_ONCE 256
#define FIRST_SOURCE  0x7f000002 /* 127.0.0.2 */

struct peers {
    struct member *member;
    const struct peer_handler *handler;
    void *arg;
    uint8_t *items;
    size_t size;
    struct sockaddr_storage target;
    socklen_t target_len;
    struct tls_context *tls;
    uint32_t started;
    uint32_t settled;
    struct peer *dirty;
    struct loop_task flush;
    uint8_t buffer[65536];
};

void *peers_at(struct peers *peers, uint32_t index)
{
    return peers->items + index * peers->size;
}

void *peers_arg(const struct peers *peers)
{
    return peers->arg;
}

static void read_target(struct peers *peers, const char *text)
{
    struct sockaddr_un *local = (struct sockaddr_un *)(void *)&peers->target;
    struct address address;
    if (strncmp(text, "unix:", 5) == 0) {
        if (strlen(text + 5) >= sizeof local->sun_path)
            bench_fail("the path is too long: %s", text);
        local->sun_family = AF_UNIX;
        memcpy(local->sun_path, text + 5, strlen(text + 5) + 1);
        peers->target_len = sizeof *local;
        return;
    }
    if (!address_parse(text, &address))
        bench_fail("neither ADDRESS:PORT nor unix:PATH: %s", text);
    peers->target_len = address_to_sockaddr(&address, &peers->target);
}

static void close_peer(struct peer *peer)
{
    loop_io_destroy(&peer->io);
    tls_stream_destroy(&peer->tls);
    (void)close(peer->fd);
    peer->is_connected = false;
    writer_free(&peer->kept);
    writer_free(&peer->output);
}

static void lose(struct peer *peer, const char *what, int error)
{
    if (!peer->is_connected)
        bench_fail("cannot connect to %s: %s", peer->peers->member->part.target, strerror(error));
    if (!peer->is_settled)
        bench_fail("%s ends a connection too early: %s%s%s", peer->peers->member->part.target,
                   error ? strerror(error) : "closed", peer->tls != NULL ? ", " : "",
                   peer->tls != NULL ? tls_stream_error(peer->tls) : "");
    if (peer->peers->member->results->lost++ == 0)
        bench_warn("%s: a connection to %s ended: %s", what, peer->peers->member->part.target,
                   error ? strerror(error) : "closed");
    close_peer(peer);
}

static ssize_t write_some(struct peer *peer, const void *from, size_t len)
{
    if (peer->tls != NULL)
        return tls_stream_write(peer->tls, from, len);
    return send(peer->fd, from, len, MSG_NOSIGNAL);
}

static ssize_t read_some(struct peer *peer, void *to, size_t len)
{
    if (peer->tls != NULL)
        return tls_stream_read(peer->tls, to, len);
    return recv(peer->fd, to, len, 0);
}

/* A stream of TLS may wait to read before it can write, in its handshake. */
static unsigned awaited(const struct peer *peer)
{
    if (peer->tls != NULL && !tls_stream_wants_write(peer->tls))
        return LOOP_READ;
    return LOOP_READ | LOOP_WRITE;
}

/* False when the connection is gone. */
static bool flush_peer(struct peer *peer)
{
    struct bytes output = writer_bytes_written(&peer->output);
    while (peer->written < output.len) {
        ssize_t n = write_some(peer, output.data + peer->written, output.len - peer->written);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN) {
            loop_io_set(peer->io, awaited(peer));
            return true;
        }
        if (n < 0) {
            lose(peer, "sending", errno);
            return false;
        }
        peer->written += (size_t)n;
    }
    writer_reset(&peer->output);
    peer->written = 0;
    return true;
}

static void flush_dirty(void *arg)
{
    struct peers *peers = arg;
    while (peers->dirty != NULL) {
        struct peer *peer = peers->dirty;
        peers->dirty = peer->next_dirty;
        peer->is_dirty = false;
        if (peer->io != NULL)
            (void)flush_peer(peer);
    }
}

void peer_flush_later(struct peer *peer)
{
    struct peers *peers = peer->peers;
    if (peer->is_dirty)
        return;
    peer->is_dirty = true;
    peer->next_dirty = peers->dirty;
    peers->dirty = peer;
    loop_defer(peers->member->loop, LOOP_PHASE_OUTPUT, &peers->flush);
}

/* What was kept and what came now, as one; the handler's rest is kept. */
static void present(struct peer *peer, struct bytes input, uint64_t now_us)
{
    struct bytes all = input;
    size_t consumed;
    bool joined = peer->kept.len > 0;
    if (joined) {
        writer_bytes(&peer->kept, input);
        all = writer_bytes_written(&peer->kept);
    }
    consumed = peer->peers->handler->received(peer, all, now_us);
    if (!joined) {
        writer_bytes(&peer->kept, (struct bytes){all.data + consumed, all.len - consumed});
        return;
    }
    memmove(peer->kept.data, peer->kept.data + consumed, all.len - consumed);
    peer->kept.len = all.len - consumed;
}

/* False when there is nothing more. */
static bool read_once(struct peer *peer)
{
    struct peers *peers = peer->peers;
    ssize_t n = read_some(peer, peers->buffer, sizeof peers->buffer);
    uint64_t now;
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    if (n <= 0) {
        lose(peer, "receiving", n < 0 ? errno : 0);
        return false;
    }
    now = clock_monotonic_us();
    peers->member->results->reads += member_in_window(peers->member, now);
    present(peer, (struct bytes){peers->buffer, (size_t)n}, now);
    return peer->tls != NULL && tls_stream_has_pending(peer->tls);
}

static void read_peer(struct peer *peer)
{
    while (read_once(peer))
        ;
    /* A handshake that goes on may now have something to write. */
    if (peer->tls != NULL && peer->io != NULL && peer->written < peer->output.len)
        peer_flush_later(peer);
}

static void start_peers(struct peers *peers);

static void finish_connect(struct peer *peer)
{
    struct peers *peers = peer->peers;
    int error = 0;
    socklen_t len = sizeof error;
    (void)getsockopt(peer->fd, SOL_SOCKET, SO_ERROR, &error, &len);
    if (error != 0)
        lose(peer, "connecting", error);
    peer->is_connected = true;
    loop_io_set(peer->io, LOOP_READ);
    if (peers->tls != NULL)
        peer->tls = tls_stream_create(peers->tls, peer->fd, NULL);
    if (peers->handler->greet != NULL)
        peers->handler->greet(peer);
    else
        peer_settled(peer);
}

void peer_settled(struct peer *peer)
{
    struct peers *peers = peer->peers;
    peer->is_settled = true;
    peers->settled++;
    start_peers(peers);
    if (peers->settled == peers->member->part.connections)
        peers->handler->connected(peers->arg);
}

static void peer_ready(void *arg, unsigned events)
{
    struct peer *peer = arg;
    if (!peer->is_connected) {
        finish_connect(peer);
        return;
    }
    if (events & LOOP_WRITE) {
        loop_io_set(peer->io, LOOP_READ);
        if (!flush_peer(peer))
            return;
    }
    if (events & LOOP_READ)
        read_peer(peer);
}

/* Ports are given out at connect, so that one address has as many as it has towards the target. */
static void bind_source(struct peers *peers, int fd, uint32_t number)
{
    struct sockaddr_in from = {.sin_family = AF_INET};
    int on = 1;
    if (peers->member->part.sources == 0 || peers->target.ss_family != AF_INET)
        return;
    from.sin_addr.s_addr = htonl(FIRST_SOURCE + number % peers->member->part.sources);
    (void)setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&from, sizeof from) != 0)
        bench_fail("cannot send from a source address: %s", strerror(errno));
}

static void start_peer(struct peers *peers, uint32_t index)
{
    struct peer *peer = peers_at(peers, index);
    int on = 1;
    peer->peers = peers;
    peer->fd = socket(peers->target.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (peer->fd < 0)
        bench_fail("no socket: %s", strerror(errno));
    if (peers->target.ss_family != AF_UNIX)
        (void)setsockopt(peer->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    bind_source(peers, peer->fd, peers->member->part.first + index);
    if (connect(peer->fd, (struct sockaddr *)&peers->target, peers->target_len) != 0 &&
        errno != EINPROGRESS)
        lose(peer, "connecting", errno);
    peer->io = loop_io_create(peers->member->loop, peer->fd, peer_ready, peer);
    loop_io_set(peer->io, LOOP_WRITE);
}

/* As many as may be under way; those of a schedule wait for their moments. */
static void start_peers(struct peers *peers)
{
    while (peers->member->part.connect_rate <= 0 &&
           peers->started < peers->member->part.connections &&
           peers->started < peers->settled + PEERS_AT_ONCE)
        start_peer(peers, peers->started++);
}

struct peers *peers_create(struct member *member, size_t size, const struct peer_handler *handler,
                           void *arg)
{
    struct peers *peers = mem_zalloc(1, sizeof *peers);
    peers->member = member;
    peers->handler = handler;
    peers->arg = arg;
    peers->size = size;
    peers->items = mem_zalloc(member->part.connections, size);
    peers->flush = (struct loop_task){.callback = flush_dirty, .arg = peers};
    read_target(peers, member->part.target);
    if (member->part.tls) {
        char *error;
        peers->tls = tls_client_context_create(NULL, NULL, NULL, false, &error);
        if (peers->tls == NULL)
            bench_fail("no TLS: %s", error);
    }
    return peers;
}

static void start_due(void *arg, uint64_t intended_us)
{
    struct peers *peers = arg;
    (void)intended_us;
    start_peer(peers, peers->started++);
}

static void all_started(void *arg)
{
    (void)arg;
}

void peers_connect(struct peers *peers)
{
    const struct part *part = &peers->member->part;
    if (part->connections == 0)
        peers->handler->connected(peers->arg);
    else if (part->connect_rate > 0)
        pacer_start_count(pacer_create(peers->member->loop, start_due, all_started, peers),
                          part->connect_rate, part->connections);
    else
        start_peers(peers);
}
