/*
 * resolve: names to addresses without holding up the loop.
 *
 * getaddrinfo may take seconds, so it runs in a thread of its own that shares nothing with us but
 * a socket pair, through which it sends the addresses as one datagram.
 */
#ifndef STREAM_RESOLVE_H
#define STREAM_RESOLVE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "loop/loop.h"

#define REDIS_ADDRESSES_MAX 8

struct redis_address {
    socklen_t len;
    struct sockaddr_storage storage;
};
struct redis_addresses {
    int error; /* 0, or getaddrinfo's: gai_strerror */
    unsigned count;
    struct redis_address list[REDIS_ADDRESSES_MAX];
};

/* Only numeric hosts; false when it is a name. */
bool redis_resolve_numeric(const char *host, uint16_t port, struct redis_addresses *addresses)
    __attribute__((warn_unused_result));

struct redis_lookup;
/* done is called once, unless the lookup is cancelled first: after timeout_ms (0: no limit) at the
 * latest, then with EAI_AGAIN. addresses: valid during the call, in which the lookup may be
 * cancelled; it must be at last. A name that is being looked up already is not asked for a second
 * time: all that wait get the same answer. NULL, and errno, when there are no descriptors, or too
 * many names hang. */
struct redis_lookup *
redis_lookup_start(struct loop *loop, const char *host, uint16_t port, uint64_t timeout_ms,
                   void (*done)(void *arg, const struct redis_addresses *addresses), void *arg);
/* Forgets the lookup; its thread ends by itself. */
void redis_lookup_cancel(struct redis_lookup **lookup);
/* Names that are being looked up, whether anybody waits for them or not. */
unsigned redis_lookups_in_flight(void);

#endif
