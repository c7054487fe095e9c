/*
 * room: rooms, as far as sessions of this front-end are members. A feature of the map.
 *
 * A room is a name, its members (devices of users, by their entries' ids), and messages, which all
 * members get in the same order: every message, joining and leaving is numbered and
 * published by the script at the room's place in Redis, and none is delivered here before it came
 * back. A front-end subscribes to the rooms that its sessions are in.
 *
 * A room exists while it has members. When messages may have been lost on the way (a link that
 * broke, a gap in the numbers, a new epoch, a member that was taken out and joins again), its
 * members here are notified, and then receive the list of users.
 */
#ifndef ROOM_ROOM_H
#define ROOM_ROOM_H

#include <stdbool.h>
#include <stddef.h>

#include "base/bytes.h"
#include "base/frame.h"
#include "base/list.h"
#include "map/map.h"
#include "map/session.h"

struct map_feature;
/* To be added to each map (map/feature.h). */
extern const struct map_feature room_feature;

struct room_set; /* what one service has in one space */
struct room;

/* A session's membership in a room; embedded in what the session keeps for each. Zero-initialise.
 */
struct room_member {
    struct list link; /* the room's */
    struct room *room;
    struct map_session *session;
    void *arg;            /* the session's protocol's own */
    bool active;          /* its joining has been announced: it gets messages */
    bool is_joining;      /* Redis has not confirmed it yet */
    uint64_t last_number; /* number of its last message; see docs/redis-keys.md */
    map_done done;        /* of the joining */
    void *done_arg;
    uint8_t id_len;
    char id[]; /* the entry's; then the user's id */
};

struct room_callbacks {
    /* A message for all active members: room_members. Valid during the call. */
    void (*on_message)(void *arg, struct room *room, struct bytes message);
    /* Users that have joined, and those that have left (no device of theirs is in the room any
     * more). For all active members. A member that joins here is active only afterwards: entered.
     */
    void (*changed)(void *arg, struct room *room, const struct bytes *joined, size_t joined_count,
                    const struct bytes *left, size_t left_count);
    /* A member has become active: it is to receive the list of users (room_users), which has
     * its own. */
    void (*entered)(void *arg, struct room *room, struct room_member *member);
    /* Messages may have been lost: active members are to be notified, and then to receive the list
     * of users. member: the only one that is concerned; NULL: all are. */
    void (*lost)(void *arg, struct room *room, struct room_member *member);
    /* A frame of room_send, for this member. */
    void (*deliver)(void *arg, struct room_member *member, unsigned kind, struct frame *frame);
};

/* Sends a frame to all members that are active now, through `deliver`, in the order of these calls;
 * where they are many, to some of them in later event-loop iterations. kind: the caller's. */
void room_send(struct room *room, unsigned kind, struct frame *frame);
/* Of what is sent to the room, much has still to reach members here: how long who sends has to
 * wait before the next message (0: not at all), and whether nothing more is to be accepted now. */
uint64_t room_wait_us(const struct room *room);
bool room_refuses(const struct room *room);

struct room_set *room_set_create(struct map_space *space, const struct room_callbacks *callbacks,
                                 void *arg);
/* All members must have left. */
void room_set_destroy(struct room_set **rooms);

/*
 * Joins the room, which is made if there is none. id: the session's entry, a device of user, which
 * is not in the room yet; without spaces or line ends. Names and ids have at most 255 bytes. done
 * is called once, unless the member leaves before: MAP_OK when it is active (`entered` has been
 * called), MAP_LIMIT (room.max_members), MAP_DEADLINE or MAP_REFUSED when it is not in the room;
 * then the member has been freed. The member is the map's; arg is kept for the callbacks.
 */
struct room_member *room_join(struct room_set *rooms, struct bytes name,
                              struct map_session *session, struct bytes id, struct bytes user,
                              map_done done, void *arg);
/* Frees the member. The others are notified by the message of its leaving. */
void room_leave(struct room_member **member);
/* Sends to all members, itself included. MAP_OK: it is in the room's order, and published.
 * MAP_MISSING: not a member. MAP_DEADLINE: it may or may not reach the members. done is not called
 * when the member has left before. */
void room_publish(struct room_member *member, struct bytes message, map_done done, void *arg);

struct bytes room_name(const struct room *room);
/* List of struct room_member, by link: those of this front-end, active or not. */
struct list *room_members(struct room *room);
/* Users in the room, on all front-ends, in byte order; valid until the room changes. */
const struct bytes *room_users(struct room *room, size_t *count);
size_t room_user_count(const struct room *room);
/* Another one whenever its users have changed; never that of another room of the set. */
uint64_t room_generation(const struct room *room);
bool room_has_user(const struct room *room, struct bytes user);
/* A room that a session here is in; NULL otherwise. */
struct room *room_find(const struct room_set *rooms, struct bytes name);

/* Users of any room, read from Redis; known is false when Redis did not answer within
 * redis.deadline. Returns a handle to take it back. */
struct room_users_read;
typedef void (*room_read_done)(void *arg, bool known, const struct bytes *users, size_t count);
struct room_users_read *room_read_users(struct room_set *rooms, struct bytes name,
                                        room_read_done done, void *arg);
void room_read_cancel(struct room_users_read **read);

#endif
