/* client: what the parts of tracker_client share: its state, the requests that wait, the entry. */
#ifndef CLIENT_CLIENT_PRIVATE_H
#define CLIENT_CLIENT_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/tracker_client.h"
#include "client/wire_private.h"

#define CLIENT_ID_MAX 255

/* What waits for an answer: enum tracker_client_request, or the Update that takes up an entry. */
#define PENDING_ADOPT 4

enum entry_state {
    ENTRY_NONE,
    ENTRY_WANTED, /* an Open waits for its answer, or for a connection */
    ENTRY_HELD
};

/* The entry that outlives a connection. */
struct client_entry {
    enum entry_state state;
    uint8_t id_len;
    uint8_t id[CLIENT_ID_MAX];
    uint64_t version;    /* the last one sent */
    struct writer value; /* the newest state sent */
};

/* The map that the packets of one version unite to. */
struct client_map {
    bool begun;
    bool untold; /* something came that `mapped` was not told of */
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
    struct loop_task release;
    unsigned failures; /* attempts since the server was last heard */
    bool running;      /* to be connected again when the connection ends */
    bool destroyed;
    struct writer pending; /* one byte each, from pending_at */
    size_t pending_at;
    struct client_entry entry;
    struct client_map map;
};

/* client_request.c */
bool client_dialect_has_ids(const struct tracker_client *client);
size_t client_pending_count(const struct tracker_client *client);
/* Takes the oldest of those that wait; there is one. */
uint8_t client_pending_take(struct tracker_client *client);
/* Asks for the entry again on a new connection, or anew when its id is another's. */
void client_entry_take_up(struct tracker_client *client);
void client_entry_open_anew(struct tracker_client *client);

/* client_input.c: the wire's bytes callback. */
size_t client_input(void *arg, struct bytes input);

#endif
