/* room_op_private: operations on rooms, and what the partitions ask of rooms. */
#ifndef ROOM_ROOM_OP_PRIVATE_H
#define ROOM_ROOM_OP_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "map/session.h"

struct partition;

/* A member of a crashed front-end, as its index has it, leaves. */
void room_op_evict_member(struct partition *partition, struct bytes member, const char *node);
/* "<id> <room>", as the indexes of members have it. */
bool room_read_member(struct bytes text, struct bytes *id, struct bytes *room);

/* Operations on rooms, for room_member.c. They join the session's order like every other, and are
 * sent again, in their order, when they have to be. done as for all operations. number: counts up
 * over all that is asked for an id in a room, so that sending it again is harmless: what Redis has
 * seen, or something newer, is not done again. */
/* done's version is the room's last seq: that of the joining, unless it was a member already. Then
 * nothing is published, and the number stays; so joining again has the number of the first.
 * returns: it was a member, so the room may be created again however many there are. */
void room_op_join(struct map_session *session, struct bytes room, struct bytes id,
                  struct bytes user, uint64_t number, bool returns, map_done done, void *arg);
/* The session may be NULL, and then done is not called. */
void room_op_leave(struct map_space *space, struct map_session *session, struct bytes room,
                   struct bytes id, uint64_t number, map_done done, void *arg);
/* MAP_MISSING: not a member. */
void room_op_publish(struct map_session *session, struct bytes room, struct bytes id,
                     uint64_t number, struct bytes message, map_done done, void *arg);

#endif
