/*
 * room_private: what members (room_member.c), messages (room_events.c) and lists (room_read.c) of
 * rooms share.
 *
 *   WAITING ──subscribed──► READING ──list──► LISTED ──doubt──► READING
 *      ▲                    │     ▲ └── any state ── link lost ──┘
 *      │                    └─────┘ the mark has not come in time
 *
 * Messages that come while the list is read are kept. The reading script publishes a mark on the
 * room's channel, so that it is known which of them the list has in it, whichever link is faster:
 * with the list and the mark the reading is complete. The list comes or fails within redis.timeout;
 * a mark that has not come room.read_timeout after it may be lost, as other messages may be: the
 * room is read again, and its channel subscribed to again. A message is in doubt when its number
 * does not follow, or when it is of another birth of the room or another epoch.
 *
 * A member that Redis says is none any more, although its session is here, joins again. It is
 * notified of a loss when it is a member again, unless it was since it was parted.
 *
 * Changes of a room's users are collected, and members notified of them: before a message is
 * delivered, before a member enters, and at the end of the event-loop iteration.
 */
#ifndef ROOM_ROOM_PRIVATE_H
#define ROOM_ROOM_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/hash.h"
#include "base/list.h"
#include "loop/fanout.h"
#include "loop/loop.h"
#include "loop/pending.h"
#include "map/feature.h"
#include "map/wait.h"
#include "redis/channel.h"
#include "redis/redis.h"
#include "room/room.h"
#include "schema/keys.h"

struct map_space;
struct partition;

enum room_state { ROOM_WAITING, ROOM_READING, ROOM_LISTED };

struct room_user {
    UT_hash_handle hh; /* by name, in its room */
    struct list dirty; /* the room's: members do not know its state */
    uint64_t devices;
    bool announced; /* members know that it is there */
    size_t name_len;
    uint8_t name[];
};

/* A member here. It ends before its session, or has none from then on. */
struct member {
    struct ending ending; /* the session's */
    UT_hash_handle hh;    /* by id, in its room */
    struct list entering; /* the room's: is active when members have been notified */
    struct list again;    /* the set's: joins at the end of the event-loop iteration, or later */
    struct list requests; /* struct room_request */
    struct loop_pending joining; /* in joins, until it is active */
    struct loop_pending check;   /* in checks, while it is joining and confirmed */
    uint64_t number;             /* of its joining */
    uint64_t listed;             /* the last read of the room that had it */
    uint64_t confirmed_at;       /* reads of the room sent before it was confirmed */
    unsigned joins;              /* under way */
    bool sent;                   /* Redis may have it: its leaving must be sent */
    bool confirmed;              /* Redis has it */
    uint64_t last_frame; /* of the fan-out: what it has got, or was added before it was active */
    bool parted;         /* Redis took it out while it was active; no loss was reported since */
    size_t user_len;     /* behind the id */
    struct room_member public;
};

/* A message as it came while the list was being read. */
struct kept {
    struct list link;
    bool is_after; /* the mark: the list does not have it */
    size_t len;
    uint8_t text[];
};

struct room {
    UT_hash_handle hh; /* by name, in its set */
    struct room_set *rooms;
    struct partition *partition;
    struct channel_user channel;
    struct list members;  /* struct room_member */
    struct fanout fanout; /* to them */
    struct member *table;
    size_t active;
    struct room_user *users; /* of the list, announced or not */
    size_t present;          /* users who are there */
    struct bytes *sorted;    /* names of those who are there, while sorted_good */
    size_t sorted_capacity;
    bool sorted_good;
    uint64_t generation;  /* of its users: of no other room of the set, nor this one before */
    struct list dirty;    /* struct room_user */
    struct list entering; /* struct member */
    struct list kept;     /* struct kept */
    size_t kept_bytes;
    struct list unused;       /* the set's: nobody here is in it */
    struct list failed;       /* the set's: its list is to be read again after a while */
    struct loop_pending mark; /* in marks: its list has come, its mark not */
    unsigned unmarked;        /* readings in a row whose mark did not come */
    struct room_read *read;   /* under way */
    struct writer list;       /* that was read, while its mark has not come */
    bool marked;              /* the mark has come, the list has not */
    struct member *current;   /* is being notified */
    uint64_t reads;           /* sent */
    enum room_state state;
    bool known; /* has been listed */
    char epoch[EPOCH_LENGTH + 1];
    uint64_t born; /* 0: there is no such room */
    uint64_t seq;
    struct loop_task notify;
    size_t name_len;
    uint8_t name[];
};

/* What a map has of rooms in one space. */
struct room_space {
    struct list sets;  /* struct room_set */
    size_t *confirmed; /* members that Redis has, by partition */
};

struct room_spaces {
    struct map *map;
    struct room_space spaces[]; /* in the map's order */
};

struct room_set {
    struct list link; /* the space's */
    struct map *map;
    struct map_space *space;
    const struct room_callbacks *callbacks;
    void *arg;
    struct room *table;
    uint64_t number;     /* of the last that was sent to Redis for any member */
    uint64_t generation; /* the last of any room */
    struct list fresh;   /* struct member, by again: join at the end of the event-loop iteration */
    struct list again;   /* struct member */
    struct list failed;  /* struct room */
    struct list unused;  /* struct room */
    struct list gone;    /* struct room_user, freed at the end of the iteration, by dirty */
    struct list settled; /* struct room_request */
    struct list unsent;  /* struct room_users_read */
    struct loop_pending_set *joins;  /* members that are not active yet */
    struct loop_pending_set *checks; /* members whose joining no message has announced */
    struct loop_pending_set *marks;  /* rooms */
    struct loop_pending_set *reads;  /* struct room_users_read */
    struct loop_task join, settle, forget;
    struct loop_timer *retry; /* of what is in again, failed and unsent */
    uint64_t retry_ms;        /* not before */
};

/* room_feature.c */
struct room_space *room_space_of(const struct map_space *space);

/* room.c */
/* With members here, or about to be freed; NULL: there is none. */
struct room *room_find_any(const struct room_set *rooms, struct bytes name);
/* What Redis did not accept is sent again, at most once a second. */
void rooms_retry_later(struct room_set *rooms);

/* room_member.c */
struct member *room_member_create(struct room *room, struct map_session *session, struct bytes id,
                                  struct bytes user);
/* NULL: it is not a member here. */
struct member *room_find_member(const struct room *room, struct bytes id);
/* Asks Redis to join it, now, or at the end of the event-loop iteration: what is refused is
 * answered at once, and the member freed. */
void room_member_join(struct member *member);
void room_member_join_soon(struct member *member);
/* It could not join: it is not in the room, and freed. */
void room_member_fail(struct member *member, enum map_result result);
/* At its deadline: in joins. */
void room_member_expire(void *rooms, struct loop_pending *joining, int result);
/* Redis has accepted its joining, and no message of the room has announced it: in checks. */
void room_member_check(void *rooms, struct loop_pending *check, int result);
/* Redis does not have it although it should: it joins again. */
void room_member_lost(struct member *member);
/* The channel is subscribed to: members that wait for it join. */
void room_join_waiting(struct room *room);
/* Members that Redis may have joined join again: harmlessly where it still has them. */
void room_rejoin(struct room *room);
/* For the set's tasks. */
void room_join_fresh(void *rooms);
void room_settle_requests(void *rooms);

/* room_events.c */
void room_listen(struct room *room);
/* A kept message, when the list is there. seen: the last message that the members got. False:
 * another list is needed first. */
bool room_take(struct room *room, const struct kept *kept, uint64_t seen);
/* What a kept message is the next of. */
bool room_follows(const struct room *room, const struct kept *kept, uint64_t seq);
/* It is in the room: it becomes active when members have been notified; harmless when it is. */
void room_let_enter(struct member *member);
/* Messages may have been lost for a member, or for all (NULL). */
void room_report_lost(struct room *room, struct member *member);
void room_notify(struct room *room);
void room_forget_users(struct room *room);
void room_forget_kept(struct room *room);
struct room_user *room_find_user(struct room *room, struct bytes name, bool create);
/* For room_set_devices: keeps the sorted names up to date; all others have to be as they were. */
void room_sort_user(struct room *room, struct bytes name, bool is_there);
/* Many have changed: they are sorted again when they are needed. */
void room_forget_sorted(struct room *room);
void room_set_devices(struct room *room, struct bytes name, uint64_t devices);

/* room_read.c */
void room_read_start(struct room *room);
void room_read_stop(struct room *room);
/* Begins a reading anew whose mark may have been sent to another server. */
void room_read_restart(struct room *room);
/* A room's mark has not come in time: in marks. */
void room_mark_expire(void *rooms, struct loop_pending *mark, int result);
/* The mark of this front-end's reading with that number has come. */
void room_read_marked(struct room *room, uint64_t number);
/* Those that wait for Redis; partition may be NULL: of any. */
void room_reads_send(struct room_set *rooms, const struct partition *partition);
/* At its deadline: in reads. */
void room_users_read_expire(void *rooms, struct loop_pending *pending, int result);
void room_reads_cancel_all(struct room_set *rooms);

#endif
