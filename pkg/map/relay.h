/*
 * relay: packets from one client to another, and invitations to users, across front-ends.
 *
 * A packet for an id goes to the front-end that holds it, by that front-end's own channel; one for
 * everybody goes once to each front-end. What arrives is acknowledged to the sender's front-end, so
 * that a sender is told what found no receiver.
 */
#ifndef MAP_RELAY_H
#define MAP_RELAY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/bytes.h"
#include "base/list.h"
#include "map/map.h"
#include "map/session.h"

/* Hears packets for everybody in a space, and invitations: one for each service that has sessions
 * there. The functions are set by the caller. */
struct map_listener {
    struct list link; /* the space's */
    struct map_space *space;
    /* For all sessions of this service, the sender included. May be NULL. */
    void (*everyone)(struct map_listener *listener, struct bytes from, struct bytes packet);
    /* user has been invited: true when one of this service's sessions is that user's, and has been
     * told. May be NULL. */
    bool (*invited)(struct map_listener *listener, struct bytes user, struct bytes invitation);
};
void map_listen(struct map_space *space, struct map_listener *listener);
void map_unlisten(struct map_listener *listener);

/* How a packet ended, told once for each: MAP_OK: a session has taken it; MAP_MISSING: there is no
 * such id, or its protocol takes no packets; MAP_DEADLINE: no answer within redis.deadline, it may
 * not have arrived; MAP_REFUSED: too many wait (relay.max_pending, relay.max_bytes). done may be
 * NULL. It is not called any more once the session has ended. */
void map_relay(struct map_session *session, struct bytes from, struct bytes to, struct bytes packet,
               map_done done, void *arg);
/* To everybody in the session's space. done: MAP_OK when it has been published. */
void map_relay_all(struct map_session *session, struct bytes from, struct bytes packet,
                   map_done done, void *arg);

/*
 * Invitations, opaque bytes. One for a user waits in Redis (invite.ttl, at most invite.max for a
 * user, the oldest dropped) until a session of that user has been told; devices that are there are
 * told at once, all of them. done: MAP_OK when it is kept or told.
 */
void map_invite(struct map_session *session, struct bytes user, struct bytes invitation,
                map_done done, void *arg);
/* What waits for the user, taken: each is given to `tell` and then is no more in Redis. Not called
 * any more once the session has ended. */
typedef void (*map_invitation)(void *arg, struct bytes invitation);
void map_invitations_take(struct map_session *session, struct bytes user, map_invitation tell,
                          void *arg);

#endif
