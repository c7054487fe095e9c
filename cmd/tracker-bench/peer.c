/* peer: see the header. Connecting is non-blocking; PEERS_AT_ONCE are in progress at a time, until
 * they are settled. Reconnects do not count. */
#include "peer.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "pacer.h"
#include "stream/backoff.h"
#include "stream/connect.h"
#include "target.h"
#include "tls/tls.h"

#define PEERS_AT_ONCE  256
#define FIRST_SOURCE   0x7f000002 /* 127.0.0.2 */
#define BACKOFF_MS     100        /* the bound of the first pause; it doubles with each failure */
#define BACKOFF_MAX_MS 5000       /* the largest bound */
#define ATTEMPT_MS     10000

struct peer_outage {
    struct peer *peer;
    struct loop_timer *timer; /* of the pause, then of the attempt */
    uint64_t since_us;        /* 0: no outage now */
    uint64_t longest_us;
    unsigned failures; /* in this outage */
    uint32_t attempts; /* in total */
};

struct peer_set {
    struct worker *worker;
    const struct peer_handler *handler;
    void *arg;
    uint8_t *items;
    size_t size;
    struct targets targets;
    struct tls_context *tls;
    uint32_t started;
    uint32_t settled;
    struct peer *dirty;
    struct loop_task flush;
    uint8_t buffer[65536];
};

void *peer_set_at(struct peer_set *peers, uint32_t index)
{
    return peers->items + index * peers->size;
}

void *peer_set_arg(const struct peer_set *peers)
{
    return peers->arg;
}

static void close_peer(struct peer *peer)
{
    loop_io_destroy(&peer->io);
    tls_stream_destroy(&peer->tls);
    if (peer->fd >= 0) {
        (void)close(peer->fd);
    }
    peer->state = PEER_CLOSED;
    peer->is_ended = false;
    peer->written = 0;
    writer_free(&peer->kept);
    writer_free(&peer->output);
    if (peer->peers->handler->lost) {
        peer->peers->handler->lost(peer);
    }
}

bool peer_is_returning(const struct peer *peer)
{
    return peer->outage != NULL && peer->outage->since_us > 0;
}

static void pause_peer(struct peer *peer)
{
    static const struct stream_backoff backoff = {BACKOFF_MS, BACKOFF_MAX_MS};
    loop_timer_start(peer->outage->timer, stream_backoff_pause(&backoff, peer->outage->failures));
}

static void outage_timer_fired(void *arg);

static void begin_outage(struct peer *peer)
{
    struct peer_outage *outage = peer->outage;
    if (!outage) {
        outage = mem_zalloc(1, sizeof *outage);
        outage->peer = peer;
        outage->timer = loop_timer_create(peer->peers->worker->loop, outage_timer_fired, outage);
        peer->outage = outage;
    }
    outage->since_us = clock_monotonic_us();
    outage->failures = 0;
}

static void end_outage(struct peer *peer)
{
    struct peer_outage *outage = peer->outage;
    uint64_t lasted = clock_monotonic_us() - outage->since_us;
    if (lasted > outage->longest_us) {
        outage->longest_us = lasted;
    }
    outage->since_us = 0;
    loop_timer_stop(outage->timer);
}

static void fail_early(const struct peer *peer, int error)
{
    const char *target = peer->peers->worker->part.target;
    if (peer->state == PEER_CONNECTS) {
        bench_fail("cannot connect to %s: %s", target, strerror(error));
    }
    bench_fail("%s closed a connection too early: %s%s%s", target,
               error ? strerror(error) : "closed", peer->tls ? ", " : "",
               peer->tls ? tls_stream_error(peer->tls) : "");
}

static void lose_peer(struct peer *peer, const char *what, int error)
{
    struct worker *worker = peer->peers->worker;
    if (peer->state != PEER_SETTLED && !peer_is_returning(peer)) {
        fail_early(peer, error);
    }
    if (peer->state != PEER_SETTLED) {
        worker->results->failed_attempts++;
        peer->outage->failures++;
    } else {
        if (worker->results->lost++ == 0) {
            bench_warn("%s: a connection to %s was closed: %s", what, worker->part.target,
                       error ? strerror(error) : "closed");
        }
        if (worker->part.reconnect) {
            begin_outage(peer);
        }
    }
    close_peer(peer);
    if (peer_is_returning(peer)) {
        pause_peer(peer);
    }
}

void peer_end(struct peer *peer)
{
    peer->is_ended = true;
}

void peer_refuse(struct peer *peer, const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (!peer_is_returning(peer)) {
        bench_fail("%s", text);
    }
    peer_end(peer);
}

void peer_set_finish(struct peer_set *peers)
{
    struct results *results = peers->worker->results;
    for (uint32_t i = 0; i < peers->worker->part.connections; i++) {
        struct peer *peer = peer_set_at(peers, i);
        if (!peer->outage) {
            continue;
        }
        if (peer_is_returning(peer)) {
            results->still_closed++;
            end_outage(peer);
        }
        histogram_record(&results->outages, peer->outage->longest_us);
    }
}

static ssize_t write_some(struct peer *peer, const void *from, size_t len)
{
    if (peer->tls) {
        return tls_stream_write(peer->tls, from, len);
    }
    return send(peer->fd, from, len, MSG_NOSIGNAL);
}

static ssize_t read_from_peer(struct peer *peer, void *to, size_t len)
{
    if (peer->tls) {
        return tls_stream_read(peer->tls, to, len);
    }
    return recv(peer->fd, to, len, 0);
}

/* In its handshake, TLS may have to read before it can write. */
static unsigned awaited_events(const struct peer *peer)
{
    if (peer->tls && !tls_stream_wants_write(peer->tls)) {
        return LOOP_READ;
    }
    return LOOP_READ | LOOP_WRITE;
}

/* False when the connection is gone. */
static bool flush_peer(struct peer *peer)
{
    struct bytes output = writer_bytes_written(&peer->output);
    while (peer->written < output.len) {
        ssize_t n = write_some(peer, output.data + peer->written, output.len - peer->written);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0 && errno == EAGAIN) {
            loop_io_set(peer->io, awaited_events(peer));
            return true;
        }
        if (n < 0) {
            lose_peer(peer, "sending", errno);
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
    struct peer_set *peers = arg;
    while (peers->dirty) {
        struct peer *peer = peers->dirty;
        peers->dirty = peer->next_dirty;
        peer->is_dirty = false;
        if (peer->state >= PEER_CONNECTED) {
            (void)flush_peer(peer);
        }
    }
}

void peer_flush_later(struct peer *peer)
{
    struct peer_set *peers = peer->peers;
    if (peer->is_dirty) {
        return;
    }
    peer->is_dirty = true;
    peer->next_dirty = peers->dirty;
    peers->dirty = peer;
    loop_defer(peers->worker->loop, LOOP_PHASE_OUTPUT, &peers->flush);
}

/* Passes the kept and the new input to the handler, and keeps what it did not consume. */
static void present_input(struct peer *peer, struct bytes input, uint64_t now_us)
{
    struct bytes all = input;
    size_t consumed;
    bool joined = peer->kept.len > 0;
    if (joined) {
        writer_bytes(&peer->kept, input);
        all = writer_bytes_written(&peer->kept);
    }
    consumed = peer->peers->handler->received(peer, all, now_us);
    if (peer->is_ended) {
        return;
    }
    if (!joined) {
        writer_bytes(&peer->kept, (struct bytes){all.data + consumed, all.len - consumed});
        return;
    }
    memmove(peer->kept.data, peer->kept.data + consumed, all.len - consumed);
    peer->kept.len = all.len - consumed;
}

/* False when there is nothing more to read. */
static bool read_peer_once(struct peer *peer)
{
    struct peer_set *peers = peer->peers;
    ssize_t n = read_from_peer(peer, peers->buffer, sizeof peers->buffer);
    uint64_t now;
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return false;
    }
    if (n <= 0) {
        lose_peer(peer, "receiving", n < 0 ? errno : 0);
        return false;
    }
    now = clock_monotonic_us();
    peers->worker->results->reads += worker_in_window(peers->worker, now);
    present_input(peer, (struct bytes){peers->buffer, (size_t)n}, now);
    if (peer->is_ended) {
        /* Sends the answer, if possible. */
        if (flush_peer(peer)) {
            lose_peer(peer, "receiving", 0);
        }
        return false;
    }
    return peer->tls != NULL && tls_stream_has_pending(peer->tls);
}

static void read_peer(struct peer *peer)
{
    while (read_peer_once(peer)) {
    }
    /* A handshake in progress may now have something to write. */
    if (peer->tls && peer->state >= PEER_CONNECTED && peer->written < peer->output.len) {
        peer_flush_later(peer);
    }
}

static void start_peers(struct peer_set *peers);

static void finish_peer_connect(struct peer *peer)
{
    struct peer_set *peers = peer->peers;
    const int error = stream_connect_error(peer->fd);
    if (error != 0) {
        lose_peer(peer, "connecting", error);
        return;
    }
    peer->state = PEER_CONNECTED;
    loop_io_set(peer->io, LOOP_READ);
    if (peers->tls) {
        peer->tls = tls_stream_create(peers->tls, peer->fd, NULL);
    }
    if (peer_is_returning(peer) && peers->handler->resume) {
        peers->handler->resume(peer);
    } else if (peers->handler->handshake) {
        peers->handler->handshake(peer);
    } else {
        peer_settled(peer);
    }
}

void peer_settled(struct peer *peer)
{
    struct peer_set *peers = peer->peers;
    peer->state = PEER_SETTLED;
    if (peer_is_returning(peer)) {
        end_outage(peer);
        peers->worker->results->reconnections++;
        return;
    }
    peers->settled++;
    start_peers(peers);
    if (peers->settled == peers->worker->part.connections) {
        peers->handler->connected(peers->arg);
    }
}

static void peer_ready(void *arg, unsigned events)
{
    struct peer *peer = arg;
    if (peer->state == PEER_CONNECTS) {
        finish_peer_connect(peer);
        return;
    }
    if (events & LOOP_WRITE) {
        loop_io_set(peer->io, LOOP_READ);
        if (!flush_peer(peer)) {
            return;
        }
    }
    if (events & LOOP_READ) {
        read_peer(peer);
    }
}

/* The source address of a connection; false for the system's choice. */
static bool choose_source(const struct peer_set *peers, uint32_t number, struct address *source)
{
    const uint32_t sources = peers->worker->part.sources;
    const uint32_t ip = htonl(FIRST_SOURCE + (sources > 0 ? number % sources : 0));
    *source = (struct address){.family = ADDRESS_IPV4};
    memcpy(source->ip, &ip, sizeof ip);
    return sources > 0;
}

static void connect_peer(struct peer *peer)
{
    struct peer_set *peers = peer->peers;
    const uint32_t index = (uint32_t)((size_t)((uint8_t *)peer - peers->items) / peers->size);
    const uint32_t number = peers->worker->part.first + index;
    const uint32_t attempts = peer->outage ? peer->outage->attempts : 0;
    const struct stream_address *target = targets_at(&peers->targets, number + attempts);
    struct address source;
    const bool has_source =
        target->storage.ss_family == AF_INET && choose_source(peers, number, &source);
    peer->state = PEER_CONNECTS;
    peer->fd = stream_connect(target, has_source ? &source : NULL);
    if (peer->fd < 0) {
        lose_peer(peer, "connecting", errno);
        return;
    }
    peer->io = loop_io_create(peers->worker->loop, peer->fd, peer_ready, peer);
    loop_io_set(peer->io, LOOP_WRITE);
}

static void outage_timer_fired(void *arg)
{
    struct peer_outage *outage = arg;
    if (outage->peer->state != PEER_CLOSED) {
        lose_peer(outage->peer, "waiting", ETIMEDOUT);
        return;
    }
    outage->attempts++;
    loop_timer_start(outage->timer, ATTEMPT_MS);
    connect_peer(outage->peer);
}

static void start_peer(struct peer_set *peers, uint32_t index)
{
    struct peer *peer = peer_set_at(peers, index);
    peer->peers = peers;
    connect_peer(peer);
}

/* Starts as many as may be in progress; with a schedule they wait for their moments. */
static void start_peers(struct peer_set *peers)
{
    while (peers->worker->part.connect_rate <= 0 &&
           peers->started < peers->worker->part.connections &&
           peers->started < peers->settled + PEERS_AT_ONCE) {
        start_peer(peers, peers->started++);
    }
}

struct peer_set *peer_set_create(struct worker *worker, size_t size,
                                 const struct peer_handler *handler, void *arg)
{
    struct peer_set *peers = mem_zalloc(1, sizeof *peers);
    peers->worker = worker;
    peers->handler = handler;
    peers->arg = arg;
    peers->size = size;
    peers->items = mem_zalloc(worker->part.connections, size);
    peers->flush = (struct loop_task){.callback = flush_dirty, .arg = peers};
    worker->peers = peers;
    targets_read(&peers->targets, worker->part.target);
    if (worker->part.tls) {
        char *error;
        peers->tls = tls_client_context_create(NULL, NULL, NULL, false, &error);
        if (!peers->tls) {
            bench_fail("no TLS: %s", error);
        }
    }
    return peers;
}

static void start_due(void *arg, uint64_t intended_us)
{
    struct peer_set *peers = arg;
    start_peer(peers, peers->started++);
}

static void all_started(void *arg)
{
}

void peer_set_connect(struct peer_set *peers)
{
    const struct worker_part *part = &peers->worker->part;
    if (part->connections == 0) {
        peers->handler->connected(peers->arg);
    } else if (part->connect_rate > 0) {
        pacer_start_count(pacer_create(peers->worker->loop, start_due, all_started, peers),
                          part->connect_rate, part->connections);
    } else {
        start_peers(peers);
    }
}
