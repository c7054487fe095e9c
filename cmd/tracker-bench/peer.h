/*
 * peer: the generator's connections: many, small, and cheap.
 *
 * All connections of a part have the same target, with TLS if the part says so (any certificate is
 * accepted); a limited number is in progress at a time, or they start at the part's connect_rate.
 * Each is bound to one of the source addresses 127.0.0.2, 127.0.0.3, ... first. Input is read into
 * one buffer; only what the handler did not consume is kept. Output is sent once per event-loop
 * iteration. A connection that the other side closes is counted in results.lost and stays closed;
 * if it was not yet settled, the run ends.
 *
 * A target may be several addresses, separated by commas: connections are spread over them. If the
 * part says so, a lost connection that was settled reconnects, to the next address, after a pause
 * with exponential backoff and full jitter; each attempt has a deadline, and is repeated until one
 * succeeds. The outage lasts until the connection is settled again.
 */
#ifndef BENCH_PEER_H
#define BENCH_PEER_H

#include <stddef.h>

#include "base/bytes.h"
#include "bench.h"

struct peer_set;
struct peer_outage;

enum peer_state {
    PEER_CLOSED, /* not started, lost for good, or in the pause before the next attempt */
    PEER_CONNECTS,
    PEER_CONNECTED, /* the role's handshake or resume is in progress */
    PEER_SETTLED
};

/* The first member of a role's struct of a connection. */
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
    struct writer kept; /* input not yet consumed */
    struct writer output;
    size_t written; /* bytes of the output that have been sent */
};

struct peer_handler {
    /* Returns how much of the input it consumed; the rest comes again with more. */
    size_t (*received)(struct peer *peer, struct bytes input, uint64_t now_us);
    /* All connections are settled. */
    void (*connected)(void *arg);
    /* A connection is open; the role calls peer_settled later. NULL: it is settled at once. */
    void (*handshake)(struct peer *peer);
    /* The same for a lost connection that is open again. NULL: as handshake. */
    void (*resume)(struct peer *peer);
    /* A connection is closed: nothing that was sent on it will be answered. May be NULL. */
    void (*lost)(struct peer *peer);
};

/* size: that of the role's struct; part.connections of them are allocated, zeroed. */
struct peer_set *peer_set_create(struct worker *worker, size_t size,
                                 const struct peer_handler *handler, void *arg);
void *peer_set_at(struct peer_set *peers, uint32_t index);
void *peer_set_arg(const struct peer_set *peers);
void peer_set_connect(struct peer_set *peers);
/* The role's handshake or resume is complete: another connection may start. */
void peer_settled(struct peer *peer);
/* Whether it can be used for the load. */
static inline bool peer_is_settled(const struct peer *peer)
{
    return peer->state == PEER_SETTLED;
}
/* Whether it was lost and is not yet settled again. */
bool peer_is_returning(const struct peer *peer);
/* The other side has refused a request: closes the connection, which retries if it was ever lost;
 * otherwise the run ends with that message. Called in `received`. */
void peer_refuse(struct peer *peer, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The other side has announced that it closes the connection. Called in `received`. */
void peer_end(struct peer *peer);
/* Adds the outages to the results, at the end of the run. */
void peer_set_finish(struct peer_set *peers);
/* Append to it, then call peer_flush_later. */
static inline struct writer *peer_output(struct peer *peer)
{
    return &peer->output;
}
void peer_flush_later(struct peer *peer);

#endif
