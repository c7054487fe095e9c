/*
 * pinger: measures the round-trip times of many game servers, at a limited rate.
 *
 * One request is sent every `interval_ms`, with at most `max_in_flight` of them unanswered; a lost
 * one is sent again. All callbacks come from the loop; each may call any function of this header,
 * including pinger_destroy.
 */
#ifndef CLIENT_PINGER_H
#define CLIENT_PINGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "base/bytes.h"
#include "loop/loop.h"

enum pinger_method {
    PINGER_GETINFO, /* UDP: getinfo and infoResponse of the Quake III family */
    PINGER_GLTRON,  /* UDP: the original lobby's, to its own port: gltron.h */
    PINGER_TCP      /* the time that a TCP connection takes */
};

struct pinger;

struct pinger_options {     /* 0 selects the default */
    uint32_t interval_ms;   /* 10, between two requests */
    uint32_t max_in_flight; /* 32 */
    uint32_t timeout_ms;    /* 1,000, for one request */
    uint32_t attempts;      /* 2, requests to a server before its ping has timed out */
};

struct pinger_events {
    /* The server answered after so many microseconds. infostring: its infoResponse, for GETINFO;
     * valid until this returns. */
    void (*answered)(void *arg, const struct address *server, uint32_t microseconds,
                     struct bytes infostring);
    /* All attempts are unanswered. */
    void (*timed_out)(void *arg, const struct address *server);
};

/* options may be NULL. The events and the loop must live as long as the pinger. */
struct pinger *pinger_create(struct loop *loop, const struct pinger_options *options,
                             const struct pinger_events *events, void *arg);
/* No callback follows. Sets the pointer to NULL. */
void pinger_destroy(struct pinger **pinger);

/* Queues a ping; exactly one callback follows. No effect while the server has a pending ping. */
void pinger_ping(struct pinger *pinger, const struct address *server, enum pinger_method method);
/* Cancels the server's pending ping, if any: no callback follows. */
void pinger_cancel(struct pinger *pinger, const struct address *server);
/* Pings whose callback has not been called yet. */
size_t pinger_pending_count(const struct pinger *pinger);

#endif
