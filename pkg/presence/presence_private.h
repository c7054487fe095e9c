/*
 * presence_private: what watching names (presence.c) and reading them (read.c) share.
 *
 * A name is DUE to be read, or being READ, or neither; one that becomes due while it is being read
 * says so with `again`. seq orders messages and reads: what came by a message is known until a read
 * or a message with a higher number says otherwise. In a new epoch, until its hold has ended,
 * nobody is taken for offline.
 */
#ifndef PRESENCE_PRESENCE_PRIVATE_H
#define PRESENCE_PRESENCE_PRIVATE_H

#include "base/hash.h"
#include "map/feature.h"
#include "presence/presence.h"
#include "redis/channel.h"
#include "schema/keys.h"

struct presence_read;

/* What a map has of it. */
struct presences {
    struct map *map;
    struct list sets;        /* struct map_presence_set */
    struct list invitations; /* struct taking */
    struct loop_timer *take; /* runs while Redis has refused one of these */
};

/* The names of one set in one partition. */
struct presence_part {
    struct map_presence_set *set;
    struct partition *partition;
    struct list order; /* struct map_presence, the one that was read longest ago first */
    size_t count;
    struct list due;
    struct list reads; /* under way */
    unsigned reading;
    char epoch[EPOCH_LENGTH + 1];
    bool fresh;       /* of a new epoch, whose hold has not been seen to end */
    bool unconfirmed; /* somebody was found offline in it and has not been told so */
    struct loop_timer *retry;
};

struct map_presence_set {
    struct list link; /* the presences' */
    struct map_space *space;
    const struct map_presence_callbacks *callbacks;
    void *arg;
    struct map_presence *names;
    struct list changed;
    struct list unwatched;
    struct loop_task tell, read, forget;
    struct loop_timer *turn; /* reads some again, whatever happened */
    struct presence_part parts[];
};

struct map_presence {
    UT_hash_handle hh;
    struct presence_part *part;
    struct channel_user channel;
    struct list watches;
    struct list in_order;
    struct list in_due;         /* the part's: DUE */
    struct list in_changed;     /* the set's */
    struct list unwatched;      /* the set's */
    struct presence_read *read; /* the one under way; NULL: none */
    size_t place;               /* in it */
    uint64_t seq;               /* of the last message; older reads do not know it */
    uint8_t status;
    uint8_t told;
    bool known; /* told at least once */
    bool again;
    bool unconfirmed; /* found offline while nobody is told so */
    size_t name_len;
    uint8_t name[];
};

/* read.c */
/* To be read, at the end of the turn. */
void presence_read_again(struct map_presence *presence);
void presence_read_part(struct presence_part *part);
/* It is being freed: no read shall touch it. */
void presence_read_forget(struct map_presence *presence);
/* The set is being freed. */
void presence_reads_forget(struct presence_part *part);
void presence_read_due(void *set);

/* presence.c */
struct presences *presences_of(const struct map *map);
void presence_found(struct map_presence *presence, enum map_status status);

/* errand.c */
/* Tells the front-ends of the user's devices: what to tell of each stands in the errand. */
struct errand {
    struct map_space *space;
    size_t count; /* devices whose front-end is being looked for, and 1 while they are told */
    struct writer nodes; /* names that have been told, each NODE_ID_LENGTH long */
    struct bytes user;
    struct bytes invitation; /* as kept in Redis; none: the older devices are dropped */
    struct writer keep;      /* the device that is not */
    uint64_t since;          /* when it was opened, ms */
    uint8_t text[];          /* user and invitation */
};
struct errand *errand_create(struct map_space *space, struct bytes user, struct bytes invitation);
void errand_run(struct errand *errand, const struct redis_reply *ids);

/* invite.c */
/* Tells the listeners here. */
void invite_tell(struct map_space *space, struct bytes user, struct bytes invitation);
/* The message of another front-end: "<space> <userlen> <len>\n" user invitation */
bool invite_message(struct map *map, struct bytes rest);
/* Those that got no answer ask again, when the link is up. */
void invites_ask_again(struct presences *presences);
void invites_free(struct presences *presences);

#endif
