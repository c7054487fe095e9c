/* client: the state that the files of tracker_client share: pending requests, entry, map. */
#ifndef CLIENT_CLIENT_PRIVATE_H
#define CLIENT_CLIENT_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/tracker_client.h"
#include "client/wire_private.h"

#define CLIENT_ID_MAX 255

/* The kinds of a pending request: enum tracker_client_request, or a request of the client's own
 * that restores its entry after a reconnect: an Update with the old id, or an Open. */
#define PENDING_ADOPT  4
#define PENDING_REOPEN 5

/* A refusal that takes longer means that the map did not answer in time, not that it refused. */
#define CLIENT_LATE_MS 2500

enum entry_state {
    ENTRY_NONE,
    ENTRY_OPENING, /* an Open waits for its reply, for a connection, or for another attempt */
    ENTRY_OPEN
};

struct client_pending {
    uint8_t kind;
    uint64_t sent_ms;
};

/* The client's entry, which outlives a connection. */
struct client_entry {
    enum entry_state state;
    uint8_t id_len;
    uint8_t id[CLIENT_ID_MAX];
    bool was_open;       /* an Open of it has been accepted */
    uint64_t version;    /* the last one sent */
    struct writer value; /* the newest state sent */
};

/* The map, assembled from all packets of one version. */
struct client_map {
    bool begun;
    bool unreported; /* packets have arrived since the last map_received */
    uint8_t version;
    struct writer entries;
};

struct tracker_client {
    struct loop *loop;
    const struct tracker_client_events *events;
    void *arg;
    struct tracker_client_options options; /* defaults filled in; its strings are ours */
    struct wire_target target;
    struct wire wire;
    struct loop_timer *retry;
    struct loop_timer *reply_deadline;
    struct loop_timer *entry_retry; /* runs after a temporary refusal of the entry */
    struct loop_task release;
    unsigned failures; /* attempts since the server last sent anything */
    unsigned refusals; /* of the entry, since it was last accepted */
    bool running;      /* started, and not stopped */
    bool destroyed;
    struct writer pending; /* struct client_pending each, from pending_at bytes on */
    size_t pending_at;
    struct client_entry entry;
    struct client_map map;
};

/* client_request.c */
bool client_dialect_has_ids(const struct tracker_client *client);
size_t client_pending_count(const struct tracker_client *client);
/* The nth pending request; 0 is the oldest. */
struct client_pending client_pending_peek(const struct tracker_client *client, size_t n);
/* Removes the oldest pending request. There must be one. */
void client_pending_pop(struct tracker_client *client);
/* The request that the server sees for this kind. */
enum tracker_client_request client_pending_request(uint8_t kind);
/* Restores the entry on a new connection: under its id, or as a new entry. */
void client_entry_resume(struct tracker_client *client);
void client_entry_reopen(struct tracker_client *client);

/* tracker_client.c: restores the entry after a backoff that grows with each refusal. */
void client_entry_retry(struct tracker_client *client);

/* client_input.c: the wire's bytes callback. */
size_t client_input(void *arg, struct bytes input);

#endif
