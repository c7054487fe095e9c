/*
 * invite: invitations to users, across front-ends.
 */
#ifndef PRESENCE_INVITE_H
#define PRESENCE_INVITE_H

#include "base/bytes.h"
#include "map/session.h"

/* Who invites: how many of a sender's and of an address's invitations wait at once is limited. */
struct invite_sender {
    struct bytes user;
    struct bytes address; /* text; empty: it has no limit of its own */
};

/*
 * Invites a user; the invitation is opaque bytes. It is delivered at once to all of the user's
 * devices that are connected, and otherwise stored in Redis until the user connects: for
 * invite.ttl, at most invite.max of a user, of which the oldest are dropped. done: MAP_OK when it
 * has been stored or delivered; MAP_LIMIT when as many wait as invite.max_per_sender,
 * invite.max_per_address or invite.max_total allow.
 */
void invite_user(struct map_session *session, const struct invite_sender *sender, struct bytes user,
                 struct bytes invitation, map_done done, void *arg);
/* Delivers the user's stored invitations to the session: each is passed to `deliver`, and removed
 * from Redis. Not called any more once the session has ended. */
typedef void (*invite_callback)(void *arg, struct bytes invitation);
void invite_take_waiting(struct map_session *session, struct bytes user, invite_callback deliver,
                         void *arg);

#endif
