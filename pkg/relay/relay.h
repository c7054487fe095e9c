/*
 * relay: packets from one client to another, across front-ends.
 *
 * A packet for an id goes to the front-end that holds it, by that front-end's own channel; one for
 * everybody goes once to each front-end. What arrives is acknowledged to the sender's front-end, so
 * that a sender is told what found no receiver.
 */
#ifndef RELAY_RELAY_H
#define RELAY_RELAY_H

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
struct map_feature;
/* To be added to each map (map/feature.h). */
extern const struct map_feature relay_feature;

void map_listen(struct map_space *space, struct map_listener *listener);
void map_unlisten(struct map_listener *listener);
/* The space's, struct map_listener: for features that listeners hear of, too. */
struct list *relay_listeners(const struct map_space *space);

/* How a packet ended, told once for each: MAP_OK: a session has taken it; MAP_MISSING: there is no
 * such id, or its protocol takes no packets; MAP_DEADLINE: no answer within redis.deadline, it may
 * not have arrived; MAP_REFUSED: too many wait (relay.max_pending, relay.max_bytes). done may be
 * NULL. It is not called any more once the session has ended. */
void map_relay(struct map_session *session, struct bytes from, struct bytes to, struct bytes packet,
               map_done done, void *arg);
/* To everybody in the session's space. done: MAP_OK when it has been published. */
void map_relay_all(struct map_session *session, struct bytes from, struct bytes packet,
                   map_done done, void *arg);

#endif
