/* room_op_private: operations on rooms, and what the partitions ask of rooms. */
#ifndef MAP_ROOM_OP_PRIVATE_H
#define MAP_ROOM_OP_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "map/session.h"

struct op;
struct partition;

bool op_is_of_room(const struct op *op);
struct bytes op_member(const struct op *op);
struct bytes op_behind_member(const struct op *op); /* the user's id, or the message */
/* A member of a dead front-end, as its index has it, leaves. */
void room_evict_member(struct partition *partition, struct bytes member, const char *node);
/* Compares this front-end's index of members with those that are here. */
void room_audit(struct partition *partition);

/* Operations on rooms, asked for by room.c. They join the session's order like every other, and are
 * sent again, in their order, when they have to be. done as for all operations. number: counts up
 * over all that is asked for an id in a room, so that sending it again is harmless: what Redis has
 * seen, or something newer, is not done again. */
/* done's version is the room's last seq: that of the coming, unless it was a member already. Then
 * nothing is told, and the number stays; so a joining again has the number of the first. */
void session_join(struct map_session *session, struct bytes room, struct bytes id,
                  struct bytes user, uint64_t number, map_done done, void *arg);
/* The session may be NULL, and then done is not called. */
void session_leave(struct map_space *space, struct map_session *session, struct bytes room,
                   struct bytes id, uint64_t number, map_done done, void *arg);
/* MAP_MISSING: not a member. */
void session_say(struct map_session *session, struct bytes room, struct bytes id, uint64_t number,
                 struct bytes message, map_done done, void *arg);

/* room.c: a partition has been greeted: all members here of its rooms join again (harmlessly where
 * Redis still has them), before anything that waits. */
void rooms_rejoin(struct partition *partition);
/* Whether a session here is that member; what Redis lists and nobody here is, is taken out. */
bool rooms_have_member(const struct partition *partition, struct bytes room, struct bytes id);
/* Members here of the partition's rooms, whose joining Redis has confirmed. */
size_t rooms_count(const struct partition *partition);

#endif
