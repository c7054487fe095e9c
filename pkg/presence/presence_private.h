/*
 * presence_private: what watching names (presence.c) and reading them (read.c) share.
 *
 * A name is due to be read (in_due), being read (read), or neither; `again` marks one that has to
 * be read again after the read in progress. seq orders messages and reads: the status with the
 * highest seq counts. In a new epoch no name goes offline before the recovery grace has passed.
 */
#ifndef PRESENCE_PRESENCE_PRIVATE_H
#define PRESENCE_PRESENCE_PRIVATE_H

#include "base/hash.h"
#include "map/feature.h"
#include "presence/presence.h"
#include "redis/channel.h"
#include "schema/keys.h"

struct presence_read;

/* The feature's state in a map. */
struct presences {
    struct map *map;
    struct list sets; /* struct presence_set */
    struct presence_account *accounts;
    size_t bytes;                    /* that all watched names take */
    struct list invitations;         /* struct invite_delivery */
    struct loop_timer *invite_retry; /* runs while Redis has refused one of these */
};

/* The names of one set in one partition. */
struct presence_part {
    struct presence_set *set;
    struct partition *partition;
    struct list order; /* struct watched_name, the least recently read first */
    size_t count;
    struct list due;
    struct list reads; /* in progress */
    unsigned reading;
    char epoch[EPOCH_LENGTH + 1];
    bool fresh;       /* in a new epoch whose recovery grace has not passed, as far as is known */
    bool unconfirmed; /* a read in it contradicted a known status; read again after the grace */
    struct loop_timer *retry;
};

struct presence_set {
    struct list link; /* the presences' */
    struct map_space *space;
    const struct presence_callbacks *callbacks;
    void *arg;
    struct watched_name *names;
    struct list changed;
    struct list unwatched;
    struct loop_task notify, read, forget;
    struct loop_timer *reread; /* of the next portion to be read again */
    struct presence_part parts[];
};

struct watched_name {
    UT_hash_handle hh;
    struct presence_part *part;
    struct channel_user channel;
    struct list watches;
    struct list in_order;
    struct list in_due;         /* the part's due */
    struct list in_changed;     /* the set's */
    struct list unwatched;      /* the set's */
    struct presence_read *read; /* in progress; NULL: none */
    size_t place;               /* in it */
    uint64_t seq;               /* of the last message or read; older ones are ignored */
    uint8_t status;
    uint8_t notified; /* the status that watchers were notified of last */
    bool known;       /* watchers have been notified at least once */
    bool again;
    bool unconfirmed; /* as the part's */
    bool is_paid;
    struct presence_account *payer; /* one of its watchers'; NULL: none has an account */
    size_t name_len;
    uint8_t name[];
};

/* read.c */
/* Schedules a read, at the end of the event-loop iteration. */
void presence_read_again(struct watched_name *presence);
void presence_read_part(struct presence_part *part);
/* Before it is freed: detaches it from its read in progress. */
void presence_read_drop(struct watched_name *presence);
/* The same for all reads, before the set is freed. */
void presence_reads_drop(struct presence_part *part);
void presence_read_due(void *set);

/* account.c */
/* The watch has been added; its name is paid for. */
void presence_account_watch(struct presence_watch *watch);
/* The watch has been removed from the name's. */
void presence_account_unwatch(struct presence_watch *watch, struct watched_name *presence);
void presence_account_pay(struct watched_name *presence, struct presence_account *payer);
void presence_account_free_name(struct watched_name *presence);

/* presence.c */
struct presences *presences_of(const struct map *map);
void presence_found(struct watched_name *presence, enum map_status status);

/* user_notify.c */
/* Notifies the front-ends of a user's devices, each once, of an invitation as it is stored. */
void user_notify_invited(struct map_space *space, struct bytes user, struct bytes invitation,
                         const struct redis_reply *nodes);

/* invite.c */
/* Delivers it to this front-end's listeners. */
void invite_deliver(struct map_space *space, struct bytes user, struct bytes invitation);
/* A message of another front-end: "<space> <userlen> <len>\n" user invitation */
bool invite_take_message(struct map *map, struct bytes rest);
/* Sends the reads that were not answered again, when the link is up. */
void invites_retry(struct presences *presences);
void invites_free(struct presences *presences);

#endif
