/*
 * peer: the generator's own connections: many, small, and cheap.
 *
 * All connections of a part are made with the same target, under TLS where the part says so (any
 * certificate is accepted), at most some at a time or by the part's connect_rate, each bound to
 * one of the source addresses 127.0.0.2, 127.0.0.3, ... first. Input is read into one buffer;
 * only what the handler did not consume is kept. What is written in one turn goes out in one
 * send at its end. A connection that the other side ends is counted in results.lost and stays
 * closed; one that was not yet settled ends the run.
 *
 * A target may be several addresses, separated by commas: connections are spread over them. Where
 * the part says so, a connection that was settled and is lost connects again, to the next address,
 * after a pause with exponential backoff and full jitter; each attempt has a deadline, and another
 * one follows as long as it fails. The outage lasts until the connection is settled again.
 */
#ifndef BENCH_PEER_H
#define BENCH_PEER_H

#include <stddef.h>

#include "base/bytes.h"
#include "bench.h"

struct peer_set;
struct peer_outage;

enum peer_state {
    PEER_CLOSED, /* not begun, lost for good, or in the pause before the next attempt */
    PEER_CONNECTS,
    PEER_CONNECTED, /* what greet or resume began is under way */
    PEER_SETTLED
};

/* The start of a role's own struct of a connection. */
struct peer {
    struct peer_set *peers;
    struct loop_io *io; /* NULL: closed */
    int fd;
    enum peer_state state;
    bool is_dirty;
    bool is_ended;              /* closed once the handler has returned */
    struct peer_outage *outage; /* NULL: it was never lost */
    struct tls_stream *tls;     /* NULL: plain */
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
    /* One that was lost is connected again, and peer_settled is to follow. NULL: as greet. */
    void (*resume)(struct peer *peer);
    /* One is closed: nothing that was sent on it will be answered. NULL: nothing to do. */
    void (*lost)(struct peer *peer);
};

/* size: of the role's struct, of which there will be part.connections, zeroed. */
struct peer_set *peer_set_create(struct worker *worker, size_t size,
                                 const struct peer_handler *handler, void *arg);
void *peer_set_at(struct peer_set *peers, uint32_t index);
void *peer_set_arg(const struct peer_set *peers);
void peer_set_connect(struct peer_set *peers);
/* What greet or resume began has been done: another one may begin. */
void peer_settled(struct peer *peer);
/* Whether it may be sent the load. */
static inline bool peer_is_settled(const struct peer *peer)
{
    return peer->state == PEER_SETTLED;
}
/* Whether it was lost and is not settled again yet. */
bool peer_is_returning(const struct peer *peer);
/* What was asked of it was refused: it is closed, and tries again, if it ever was lost; otherwise
 * this ends the run, with that message. From within `received`. */
void peer_refuse(struct peer *peer, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The other side has said that it ends the connection. From within `received`. */
void peer_end(struct peer *peer);
/* The outages, in the results: at the end of the run. */
void peer_set_finish(struct peer_set *peers);
/* To be appended to; then peer_flush_later. */
static inline struct writer *peer_output(struct peer *peer)
{
    return &peer->output;
}
void peer_flush_later(struct peer *peer);

#endif
