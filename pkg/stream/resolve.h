/*
 * resolve: names to addresses without blocking the loop.
 *
 * getaddrinfo may take seconds, so it runs in a thread of its own that shares nothing with us but
 * a socket pair, through which it sends the addresses as one datagram. A process may have loops in
 * several threads; what is started with one loop is used in that loop's thread only.
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

/* Only numeric hosts; false when it is a name. */
bool stream_resolve_numeric(const char *host, uint16_t port, struct stream_addresses *addresses)
    __attribute__((warn_unused_result));

struct stream_lookup;
/* done is called once, unless the lookup is cancelled first: after timeout_ms (0: no limit) at the
 * latest, then with EAI_AGAIN. addresses: valid during the call, in which the lookup may be
 * cancelled; it must be at last. A name that is being looked up already is not looked up a second
 * time: all that wait get the same answer. NULL, and errno, when there are no descriptors, or too
 * many names hang. */
struct stream_lookup *
stream_lookup_start(struct loop *loop, const char *host, uint16_t port, uint64_t timeout_ms,
                    void (*done)(void *arg, const struct stream_addresses *addresses), void *arg);
/* Forgets the lookup; its thread ends by itself. */
void stream_lookup_cancel(struct stream_lookup **lookup);
/* Names that are being looked up, whether anybody waits for them or not. */
unsigned stream_lookups_in_flight(void);

#endif
