/*
 * pinger: how far game servers are, measured from here: many at once, without flooding.
 *
 * Questions go out one every `interval_ms`, at most `in_flight` without an answer, and are asked
 * again when lost. All callbacks come from the loop; each may call any function here, destroy too.
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

struct pinger_options {   /* 0 stands for the default */
    uint32_t interval_ms; /* 10 between two questions */
    uint32_t in_flight;   /* 32 */
    uint32_t timeout_ms;  /* 1,000 for one question */
    uint32_t tries;       /* 2 questions before a server counts as silent */
};

struct pinger_events {
    /* It has answered after so many microseconds. infostring: what it said, of GETINFO; valid
     * until this returns. */
    void (*answered)(void *arg, const struct address *server, uint32_t microseconds,
                     struct bytes infostring);
    void (*silent)(void *arg, const struct address *server);
};

/* options may be NULL. The events and the loop must live as long as the pinger. */
struct pinger *pinger_create(struct loop *loop, const struct pinger_options *options,
                             const struct pinger_events *events, void *arg);
/* Without callbacks; sets the pointer to NULL. */
void pinger_destroy(struct pinger **pinger);

/* Asks; exactly one callback follows. A server that is being asked already is not asked twice. */
void pinger_ask(struct pinger *pinger, const struct address *server, enum pinger_method method);
/* Takes a question back: no callback follows. Harmless when there is none. */
void pinger_forget(struct pinger *pinger, const struct address *server);
/* Questions without their callback. */
size_t pinger_waiting(const struct pinger *pinger);

#endif
