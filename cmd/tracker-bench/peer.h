/*
 * peer: the generator's own connections: many, small, and cheap.
 *
 * All connections of a part are made with the same target, under TLS where the part says so (any
 * certificate is accepted), at most some at a time or by the part's connect_rate, each bound to
 * one of the source addresses 127.0.0.2, 127.0.0.3, ... first. Input is read into one buffer;
 * only what the handler did not consume is kept. What is written in one turn goes out in one
 * send at its end. A connection that the other side ends is counted in results.lost and stays
 * closed; one that was not yet settled ends the run.
 */
#ifndef BENCH_PEER_H
#define BENCH_PEER_H

#include <stddef.h>

#include "base/bytes.h"
#include "bench.h"

struct peers;

/* The start of a role's own struct of a connection. */
struct peer {
    struct peers *peers;
    struct loop_io *io; /* NULL: not connected */
    int fd;
    bool is_connected;
    bool is_settled;
    bool is_dirty;
    struct tls_stream *tls; /* NULL: plain */
    struct peer *next_dirty;
    struct writer kept; /* input that was not consumed */
    struct writer output;
    size_t written; /* of the output */
};

struct peer_handler {
    /* Returns how much of the input it consumed; the rest comes again with more. */
    size_t (*received)(struct peer *peer, struct bytes input, uint64_t now_us);
    /* All are connected, and settled. */
    void (*connected)(void *arg);
    /* One is connected, and peer_settled is to follow. NULL: it is settled as it is. */
    void (*greet)(struct peer *peer);
};

/* size: of the role's struct, of which there will be part.connections, zeroed. */
struct peers *peers_create(struct member *member, size_t size, const struct peer_handler *handler,
                           void *arg);
void *peers_at(struct peers *peers, uint32_t index);
void *peers_arg(const struct peers *peers);
void peers_connect(struct peers *peers);
/* What greet began has been done: another one may begin. */
void peer_settled(struct peer *peer);
/* To be appended to; then peer_flush_later. */
static inline struct writer *peer_output(struct peer *peer)
{
    return &peer->output;
}
void peer_flush_later(struct peer *peer);

#endif
