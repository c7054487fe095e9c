/*
 * resolve: names to addresses without blocking the loop.
 *
 * getaddrinfo may take seconds, so it runs in its own thread that shares nothing with the loop but
 * a socket pair, through which it sends the addresses as one datagram. A process may have loops in
 * several threads; a lookup is used only in the thread of its loop.
 */
#ifndef STREAM_RESOLVE_H
#define STREAM_RESOLVE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "loop/loop.h"

#define STREAM_ADDRESSES_MAX 8

struct stream_address {
    socklen_t len;
    struct sockaddr_storage storage;
};
struct stream_addresses {
    int error; /* 0, or getaddrinfo's: gai_strerror */
    unsigned count;
    struct stream_address list[STREAM_ADDRESSES_MAX];
};

/* Parses a numeric host; false when it is a name. */
bool stream_resolve_numeric(const char *host, uint16_t port, struct stream_addresses *addresses)
    __attribute__((warn_unused_result));

struct stream_lookup;
/* done is called once, unless the lookup is cancelled first: after timeout_ms (0: no limit) at the
 * latest, then with EAI_AGAIN. addresses: valid during the call. The lookup must be cancelled
 * eventually, in the call or later. Concurrent lookups of one name share one query and its answer.
 * NULL, and errno, when there are no descriptors left, or too many lookups hang. */
struct stream_lookup *
stream_lookup_start(struct loop *loop, const char *host, uint16_t port, uint64_t timeout_ms,
                    void (*done)(void *arg, const struct stream_addresses *addresses), void *arg);
/* Cancels and frees the lookup; its thread ends by itself. */
void stream_lookup_cancel(struct stream_lookup **lookup);
/* The number of lookups in progress, with and without waiters. */
unsigned stream_lookups_in_flight(void);

#endif
