/*
 * invite: invitations to users, across front-ends.
 */
#ifndef PRESENCE_INVITE_H
#define PRESENCE_INVITE_H

#include "base/bytes.h"
#include "map/session.h"

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
