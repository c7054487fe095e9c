/*
 * bench: shared by the files of tracker-bench.
 *
 * A run is a set of generator processes under one parent. Each process has one part: a role (it
 * writes, watches, holds, ...) with its share of the connections, on its own event loop. The parent
 * takes all of them through the same steps, samples /proc at both ends of the window, and sums the
 * results in shared memory.
 *
 * All times are of CLOCK_MONOTONIC in microseconds, the same in all processes of a machine. A
 * state begins with two of them, big-endian: when it was scheduled, and when it was sent.
 */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/histogram.h"
#include "codec/tracker.h"
#include "loop/loop.h"

#define BENCH_STAMPS          16 /* bytes at the start of a state */
#define BENCH_MAX_PROCESSES   64
#define BENCH_MAX_DESCRIPTORS 20000 /* of one process */

/* What the parts of a run do, step by step. */
enum step {
    STEP_CONNECT, /* all connections */
    STEP_OPEN,    /* makes them clients: opens, first updates, subscriptions */
    STEP_RUN,     /* the load, from begin_us to end_us; done when its answers have arrived too */
    STEP_END      /* store the results, and exit */
};

/* The load begins at begin_us; only what happens from window_us on is counted. */
struct span {
    uint64_t begin_us;
    uint64_t window_us;
    uint64_t end_us;
};

/* A process's results, in memory that it shares with its parent; counted within the window. */
struct results {
    uint64_t sent;
    uint64_t accepted;
    uint64_t refused;
    uint64_t unanswered;       /* DRAIN_MS after the end */
    uint64_t delivered;        /* messages that watchers received */
    uint64_t reads;            /* read calls for them */
    uint64_t frames;           /* WebSocket frames received */
    uint64_t frame_bytes;      /* in them */
    uint64_t lost;             /* connections that the other side closed, at any time */
    uint64_t reconnections;    /* at any time */
    uint64_t failed_attempts;  /* to reconnect */
    uint64_t still_closed;     /* at the end */
    uint64_t missed;           /* due while their connection was closed, and never sent */
    uint64_t entries;          /* of a snapshot */
    uint64_t first_us;         /* until its first byte */
    uint64_t whole_us;         /* until its last entry */
    struct histogram intended; /* latency from the scheduled time */
    struct histogram actual;   /* latency from the time of sending */
    struct histogram outages;  /* the longest of each connection that had one */
};

struct worker;
struct peer_set;
struct service;

/* Each call may complete at once or later; it then calls worker_done. */
struct role {
    const char *name;
    void *(*create)(struct worker *worker);
    void (*step)(void *self, enum step step);
};

/* One process's work. */
struct worker_part {
    const struct role *role;
    const char *target;   /* "127.0.0.1:6789" or "unix:/path", or several with commas */
    uint32_t connections; /* of this process */
    uint32_t first;       /* number of the first of them among all of the role */
    uint32_t entries;     /* of this process: owned by its writers together */
    uint32_t first_entry; /* number of the first of them among all of the role */
    uint32_t sources;     /* source addresses to spread over; 0: the system's choice */
    uint32_t window;      /* closed loop: updates in flight per connection; 0: open loop */
    double rate;          /* open loop: operations a second of this process */
    double connect_rate;  /* connections per second, then opens; 0: as fast as they are answered */
    uint32_t state_size;  /* bytes */
    uint32_t expected;    /* entries of a snapshot */
    uint32_t each;        /* friends of a user, or properties of a client */
    enum tracker_dialect dialect;
    bool bare; /* the baseline: no opens and no replies */
    bool tls;
    bool reconnect;                /* lost connections */
    const struct service *service; /* of WebSocket roles */
};

/* The process of a part, for its role. */
struct worker {
    struct worker_part part;
    uint32_t index;
    uint32_t run; /* a number of this run, for ids that no earlier run has used */
    struct loop *loop;
    struct span span; /* from STEP_RUN on */
    struct results *results;
    struct peer_set *peers; /* its connections, once they were created */
    int control;
};

/* Reports that the current step is finished. */
void worker_done(struct worker *worker);
/* Whether a time is within the window. */
bool worker_in_window(const struct worker *worker, uint64_t now_us);
/* Prints a warning. */
void bench_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Prints an error and exits; the parent then ends the other processes. */
_Noreturn void bench_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

extern const struct role writers_role;   /* update their own entries */
extern const struct role fillers_role;   /* create entries, and then stay idle */
extern const struct role watchers_role;  /* receive pushes */
extern const struct role holders_role;   /* open and stay */
extern const struct role reader_role;    /* one client that reads the whole map */
extern const struct role publisher_role; /* PUBLISH on plain Redis */
extern const struct role subscriber_role;
extern const struct role listeners_role; /* WebSocket: receive a service's messages */
extern const struct role speakers_role;  /* send them, too */
extern const struct role presence_role;  /* users who watch each other */

/* Records a delivery whose stamps are at the start of the state. */
void bench_delivered(struct worker *worker, struct bytes state, uint64_t now_us);
/* The same for a message whose stamps have been parsed. */
void bench_delivered_at(struct worker *worker, uint64_t intended_us, uint64_t actual_us,
                        uint64_t now_us);
/* A state of the part's size, stamps first. scratch has at least that size. */
struct bytes bench_state(const struct worker *worker, uint8_t *scratch, uint64_t intended_us,
                         uint64_t now_us);

#endif
