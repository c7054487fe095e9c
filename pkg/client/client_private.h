/* client: what the parts of tracker_client share: its state, the requests that wait, the entry. */
#ifndef CLIENT_CLIENT_PRIVATE_H
#define CLIENT_CLIENT_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/tracker_client.h"
#include "client/wire_private.h"

#define CLIENT_ID_MAX 255

/* What waits for an answer: enum tracker_client_request, or what the client itself asks for to take
 * up an entry: an Update, or an Open. */
#define PENDING_ADOPT 4
#define PENDING_ANEW  5

/* A refusal that takes longer says that the map did not answer in time, and not that it refused. */
#define CLIENT_LATE_MS 2500

enum entry_state {
    ENTRY_NONE,
    ENTRY_WANTED, /* an Open waits for its answer, for a connection, or for another attempt */
    ENTRY_HELD
};

struct client_pending {
    uint8_t kind;
    uint64_t asked_ms;
};

/* The entry that outlives a connection. */
struct client_entry {
    enum entry_state state;
    uint8_t id_len;
    uint8_t id[CLIENT_ID_MAX];
    bool was_held;       /* an Open of it was accepted once */
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
    struct loop_timer *again; /* until the entry is asked for again that was refused for a while */
    struct loop_task release;
    unsigned failures; /* attempts since the server was last heard */
    unsigned refusals; /* of the entry, since it was last accepted */
    bool running;      /* to be connected again when the connection ends */
    bool destroyed;
    struct writer pending; /* struct client_pending each, from pending_at bytes on */
    size_t pending_at;
    struct client_entry entry;
    struct client_map map;
};

/* client_request.c */
bool client_dialect_has_ids(const struct tracker_client *client);
size_t client_pending_count(const struct tracker_client *client);
/* The nth of those that wait, the oldest being 0. */
struct client_pending client_pending_look(const struct tracker_client *client, size_t n);
/* Takes the oldest of those that wait; there is one. */
void client_pending_take(struct tracker_client *client);
/* The kind of request that this is for the server. */
enum tracker_client_request client_pending_request(uint8_t kind);
/* Asks for the entry again on a new connection, or anew when its id is another's. */
void client_entry_take_up(struct tracker_client *client);
void client_entry_open_anew(struct tracker_client *client);

/* tracker_client.c: takes up the entry after a pause, longer after each refusal. */
void client_entry_retry(struct tracker_client *client);

/* client_input.c: the wire's bytes callback. */
size_t client_input(void *arg, struct bytes input);

#endif
