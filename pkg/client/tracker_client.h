/*
 * tracker_client: a client of the Tracker protocol on an event loop (docs/protocol-tracker.md).
 *
 * One object is one connection, and at most one entry of the map. All callbacks come from the loop,
 * never from inside a function of this header; each may call any function of this header, including
 * tracker_client_destroy. With TLS, the process must ignore SIGPIPE.
 *
 * No function blocks the loop. Host names are resolved in a thread, at most one for each name,
 * which accesses nothing else; the time counts against connect_timeout_ms. Numeric addresses and
 * unix sockets need no thread. The names being resolved are the only global state.
 *
 * A request is answered by exactly one callback, in the order of the requests: an accepted Open by
 * opened, the text of a Get by map_text_received, everything else by replied. The dialects without
 * ids (PLAIN, WIDE, 2014) have no reply to an Update, and so no callback.
 *
 * With `reconnect`, the client reconnects after exponential backoff with full jitter, and restores
 * its entry with the newest state that was sent: by an Update with the same id and the next version
 * where the dialect has ids (VERSIONED, 2013), else by another Open; also by another Open when the
 * entry now belongs to another client. Either way, opened reports its id, and its versions continue
 * from tracker_client_entry_version.
 *
 * With `reconnect`, the client also repeats, after such a backoff, what the map did not answer in
 * time (a refusal that took 2.5 s or longer: Redis is unreachable). It repeats an Open without a
 * callback until it is answered. An Update is reported as lost, and the newest state of the entry
 * is sent again. An entry that was opened once is requested until it is restored, or closed.
 */
#ifndef CLIENT_TRACKER_CLIENT_H
#define CLIENT_TRACKER_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "codec/tracker.h"
#include "loop/loop.h" /* loop_create; loop_fd, to embed it in the program's own loop */

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
    TRACKER_CLIENT_LOST /* the connection was lost, or the map did not answer in time: the request
                           may or may not have taken effect */
};

/* Any may be NULL. Arguments are valid until the callback returns. */
struct tracker_client_events {
    /* resuming: the client restores its entry, so do not open it again. */
    void (*connected)(void *arg, bool resuming);
    /* After connected, or instead of it when an attempt failed. Pending requests have been reported
     * as lost before. */
    void (*disconnected)(void *arg, const char *reason);
    /* An Open was accepted, or the entry was restored (adopted: under its old id). The id is empty
     * where the dialect has none. */
    void (*opened)(void *arg, struct bytes id, bool adopted);
    void (*replied)(void *arg, enum tracker_client_request request,
                    enum tracker_client_outcome outcome);
    /* VERSIONED: a push with the change of another entry. */
    void (*updated)(void *arg, uint8_t version, struct bytes id, struct bytes state);
    /* VERSIONED: the map, assembled from the packets received so far. When more packets of the same
     * map arrive, this is called again with all of it. Iterate with tracker_all_next. */
    void (*map_received)(void *arg, uint8_t version, struct bytes entries);
    /* PLAIN, WIDE, 2014: the reply to a Get, "{id=state, …}". data is NULL when the map is too long
     * for PLAIN. */
    void (*map_text_received)(void *arg, struct bytes text);
};

struct tracker_client_options {
    const char *target; /* "host:port", "[v6]:port" or "unix:/path" */
    enum tracker_dialect dialect;
    struct tls_context *tls; /* NULL: no TLS. The client takes a reference of its own */
    const char *server_name; /* the name to verify; NULL: the target's host */
    const char *source;      /* numeric local address to connect from; NULL: any */
    bool acknowledge_pushes; /* answer each push with 01 */
    bool reconnect;
    /* Limits; 0 selects the default. */
    uint32_t connect_timeout_ms; /* 5,000, including name resolution and TLS */
    uint32_t reply_timeout_ms;   /* 10,000 for each reply, then the client disconnects */
    uint32_t backoff_ms;         /* 100: the longest first pause; doubled after each failure … */
    uint32_t backoff_max_ms;     /* 30,000: … up to this */
    size_t max_output;           /* 1 MiB that the server has not read yet */
    size_t max_pending;          /* 65,536 requests without a reply */
    size_t max_map;              /* 64 MiB of a map, entries or text */
};

/* NULL when an option is invalid; then *error is a message that the caller frees. The strings of
 * the options are copied; the events and the loop must live as long as the client. */
struct tracker_client *tracker_client_create(struct loop *loop,
                                             const struct tracker_client_options *options,
                                             const struct tracker_client_events *events, void *arg,
                                             char **error) __attribute__((warn_unused_result));
/* Closes without a callback and sets the pointer to NULL. */
void tracker_client_destroy(struct tracker_client **client);

/* Starts connecting. No effect while connected or connecting. */
void tracker_client_start(struct tracker_client *client);
/* Closes the connection without a callback, and does not reconnect until started again. */
void tracker_client_stop(struct tracker_client *client);
bool tracker_client_is_connected(const struct tracker_client *client);

/*
 * Requests. False, with nothing sent, while not connected, over max_output or max_pending, or when
 * the dialect cannot express the request. The requests of one event-loop iteration are sent
 * together.
 */
bool tracker_client_open(struct tracker_client *client, struct bytes state);
/* id and version are ignored where the dialect has none. */
bool tracker_client_update(struct tracker_client *client, struct bytes id, uint64_t version,
                           struct bytes state);
bool tracker_client_close(struct tracker_client *client, struct bytes id);
/* Not in VERSIONED, where the server pushes the map. In 2013 it is answered by replied. */
bool tracker_client_get(struct tracker_client *client);

/* The client's entry: its id (empty: no entry, or a dialect without ids), and the last version
 * sent. */
struct bytes tracker_client_entry_id(const struct tracker_client *client);
uint64_t tracker_client_entry_version(const struct tracker_client *client);

#endif
