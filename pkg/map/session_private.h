/* session_private: one connection's entries and operations. */
#ifndef MAP_SESSION_PRIVATE_H
#define MAP_SESSION_PRIVATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/list.h"
#include "map/session.h"

struct map_space;
struct owned;

struct map_session {
    struct map_space *space;
    const struct map_sink *sink;
    void *arg;
    const char *protocol;
    struct list owned;
    struct list ops;
    struct list waits; /* struct ending (wait.h): what ends with the session */
    uint32_t owned_count;
    uint32_t adding; /* how many entries unanswered operations may add */
    uint32_t pending;
    char *certificate;              /* NULL: none */
    struct budget_account *account; /* NULL: none */
    bool makes_uuids;               /* the ids that it makes are UUIDs */
    char fence[ID_FENCE_LENGTH + 1];
    char address[];
};

/* An answer that is being delivered, on the stack; they nest when `done` calls the map again. */
struct delivery {
    struct delivery *outer;
    struct map_session *session; /* NULL: it has ended in the meantime */
    struct bytes id;
};

const char *session_address(const struct map_session *session);
/* Closes all its entries in the map and asks its connection to end. */
void session_close_all(struct map_session *session, enum map_end why);
/* Another live session owns that entry: the connection ends, and its other entries are left. */
void session_take_away(struct map_session *session, struct owned *owned);
/* Whether its peer has ended the connection, even if that has not been read yet. */
bool session_is_gone(const struct map_session *session);

#endif
