/*
 * tracker_client: a client of the Tracker protocol on an event loop (docs/protocol-tracker.md).
 *
 * One object is one connection, and at most one entry that it holds in the map. All callbacks come
 * from the loop, never from inside a call of this header; each may call any function here, destroy
 * too. Nothing blocks the loop: a target that is a name is looked up in a thread, of which there is
 * one for each name at most, and which touches nothing else; the time for it is part of
 * connect_timeout_ms. Numeric addresses and unix sockets need no thread. No global state but the
 * names that are being looked up. With TLS the process must ignore SIGPIPE.
 *
 * A request is answered by exactly one callback, in the order of the requests: opened or map_text
 * by what they brought, everything else by replied. The dialects without ids have an Update without
 * a reply (PLAIN, WIDE, 2014); for those there is no callback.
 *
 * With `reconnect` the client comes back after exponential backoff with full jitter, and takes its
 * entry up again with the newest state that was sent: by an Update of the same id, one version on,
 * where the dialect has ids (VERSIONED, 2013), else by a new Open; also by a new Open when the
 * entry has become another's. Either way opened says which id it is now, and
 * tracker_client_version where its versions go on.
 *
 * With `reconnect` it also asks again, after such a backoff, for what the map did not answer in
 * time (a refusal that took 2.5 s or longer: Redis is unreachable): for an Open without a callback
 * until it is answered, and with the newest state of the entry after an Update, which is reported
 * as lost. An entry that was opened once is asked for until it is taken up, or closed.
 */
#ifndef CLIENT_TRACKER_CLIENT_H
#define CLIENT_TRACKER_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "codec/tracker.h"
#include "loop/loop.h" /* what makes the loop that a client is given */

struct tls_context; /* tls/tls.h */
struct tracker_client;

enum tracker_client_request {
    TRACKER_CLIENT_OPEN,
    TRACKER_CLIENT_UPDATE,
    TRACKER_CLIENT_CLOSE,
    TRACKER_CLIENT_GET
};

enum tracker_client_outcome {
    TRACKER_CLIENT_ACCEPTED,
    TRACKER_CLIENT_REFUSED,
    TRACKER_CLIENT_LOST /* the connection ended first, or the map did not answer in time: it may or
                           may not have been done */
};

/* Any may be NULL. What they are given lives until they return. */
struct tracker_client_events {
    /* again: an entry is being taken up, so it is not to be opened. */
    void (*connected)(void *arg, bool again);
    /* After connected, or instead of it when an attempt failed. Requests that waited have been
     * told that they are lost. */
    void (*disconnected)(void *arg, const char *reason);
    /* The answer to an Open, or an entry taken up again (adopted: under its old id). The id is
     * empty where the dialect has none. */
    void (*opened)(void *arg, struct bytes id, bool adopted);
    void (*replied)(void *arg, enum tracker_client_request request,
                    enum tracker_client_outcome outcome);
    /* Pushes of VERSIONED. One other entry has changed. */
    void (*updated)(void *arg, uint8_t version, struct bytes id, struct bytes state);
    /* The whole map, united from as many packets as have come: when more of one map come later,
     * this is called again with all of it. To be walked with tracker_all_next. */
    void (*mapped)(void *arg, uint8_t version, struct bytes entries);
    /* The answer to a Get of PLAIN and 2014: "{id=state, …}". data is NULL when the map is too
     * long for PLAIN. */
    void (*map_text)(void *arg, struct bytes text);
};

struct tracker_client_options {
    const char *target; /* "host:port", "[v6]:port" or "unix:/path" */
    enum tracker_dialect dialect;
    struct tls_context *tls; /* NULL: no TLS. The client takes a reference of its own */
    const char *server_name; /* the name to verify; NULL: the target's host */
    const char *source;      /* numeric address to connect from; NULL: the system's choice */
    bool answer_pushes;      /* with 01 each */
    bool reconnect;
    /* Limits; 0 stands for the default. */
    uint32_t connect_timeout_ms; /* 5,000, looking up the name and TLS included */
    uint32_t reply_timeout_ms;   /* 10,000 for each reply: then the connection is given up */
    uint32_t backoff_ms;         /* 100: the first pause is at most this, then twice as much … */
    uint32_t backoff_max_ms;     /* 30,000: … up to this */
    size_t max_output;           /* 1 MiB that the server has not taken yet */
    size_t max_pending;          /* 65,536 requests without a reply */
    size_t max_map;              /* 64 MiB of a map, entries or text */
};

/* NULL when the options are wrong; then *error is a message that the caller frees. The strings of
 * the options are copied; the events and the loop must live as long as the client. */
struct tracker_client *tracker_client_create(struct loop *loop,
                                             const struct tracker_client_options *options,
                                             const struct tracker_client_events *events, void *arg,
                                             char **error) __attribute__((warn_unused_result));
/* Closes without a callback and sets the pointer to NULL. */
void tracker_client_destroy(struct tracker_client **client);

/* Begins to connect. Harmless while connected or connecting. */
void tracker_client_start(struct tracker_client *client);
/* Closes the connection without a callback, and does not reconnect until started again. */
void tracker_client_stop(struct tracker_client *client);
bool tracker_client_is_connected(const struct tracker_client *client);

/*
 * Requests. False, and nothing sent, while not connected, over max_output or max_pending, or when
 * the dialect cannot say it. What one turn of the loop asks for goes out together.
 */
bool tracker_client_open(struct tracker_client *client, struct bytes state);
/* id and version are ignored where the dialect has none. */
bool tracker_client_update(struct tracker_client *client, struct bytes id, uint64_t version,
                           struct bytes state);
bool tracker_client_close(struct tracker_client *client, struct bytes id);
/* Not in VERSIONED, which pushes the map. In 2013 the answer is replied. */
bool tracker_client_get(struct tracker_client *client);

/* The entry held: its id (empty: none, or the dialect has no ids), and the last version sent. */
struct bytes tracker_client_id(const struct tracker_client *client);
uint64_t tracker_client_version(const struct tracker_client *client);

#endif
