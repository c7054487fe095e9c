/*
 * map_private: what the files of this package share.
 *
 * An operation (struct op) lives in one list at a time: its partition's queue, a batch under way,
 * or the partition's parked list (waiting for another front-end's lease to decide). It is also in
 * its session's list until its `done` has been called, and in the map's list of deadlines until it
 * has been answered.
 */
#ifndef MAP_MAP_PRIVATE_H
#define MAP_MAP_PRIVATE_H

#include "base/hash.h"
#include "base/ids.h"
#include "base/list.h"
#include "map/feature.h"
#include "map/map.h"
#include "map/session.h"
#include "redis/store.h"
#include "schema/keys.h"

#define RENEWAL_LISTS 22 /* the longest client.ttl is halved so often until 20 ms are left */

enum op_kind {
    OP_OPEN,
    OP_UPDATE,
    OP_CLAIM,
    OP_RESTORE,
    OP_SET,
    OP_RESUME,
    OP_CLOSE,
    OP_ORPHAN,
    OP_ENDED, /* said again to a Redis that came back older: tombstone.c */
    OP_REAP,
    OP_FORSAKE,
    OP_BURY,
    OP_OFFLINE,  /* its id is a user's */
    OP_REGISTER, /* these on entries without a connection: registry.c */
    OP_UNREGISTER,
    OP_PROBE,
    OP_HASTEN,
    OP_JOIN, /* these on rooms: room_op.c */
    OP_LEAVE,
    OP_PART, /* of a member whose front-end is dead */
    OP_SAY
};

enum owned_phase {
    OWNED_HELD,        /* Redis has said that it is ours; in a renewal list */
    OWNED_UNCONFIRMED, /* to be compared with Redis; in the unconfirmed list */
    OWNED_RESTORING    /* its restore is under way; in no list. Set by owned.c only */
};

/* What an entry made of fields has instead of a state. */
struct owned_fields {
    struct writer body; /* as they are wanted: fields_private.h */
    struct op *set;     /* what of it waits in the queue, unsent; NULL: nothing */
};

/* An entry that a session of this front-end owns. */
struct owned {
    UT_hash_handle hh; /* by id, in its partition */
    struct map_session *session;
    struct list in_session;
    struct list link;  /* by phase */
    uint64_t renew_at; /* unconfirmed: not restored before; the list begins with those due */
    uint64_t version;  /* what must stand in Redis: the last that was accepted or kept */
    uint64_t wanted;   /* the last that was asked for; later relative versions count from it */
    struct owned_fields *fields; /* NULL: it has a state */
    uint32_t state_len;
    uint32_t capacity; /* for the state */
    uint32_t left_ms;  /* held: what is left of its TTL in Redis at renew_at */
    /* Since when somebody else has seemed to own it, in ms of the loop's clock, of which these
     * are the low bits; 0: nobody does. */
    uint32_t contested_at;
    uint8_t phase;
    uint8_t id_len;
    char id[]; /* and behind it the state: one block of memory for each entry */
};

struct op {
    struct list link;
    struct list in_session;
    struct list in_deadlines;
    struct partition *partition;
    struct map_session *session; /* NULL: it has ended, or there was none */
    map_done done;
    void *arg;
    uint64_t deadline_ms;
    uint64_t parked_until_ms; /* 0: was never parked */
    uint64_t version;
    uint64_t since;       /* ENDED: when its entry was opened */
    uint64_t owner_lease; /* parked: the owner's lease end when it was parked */
    char *state;          /* RESUME: what the entry's `resume` must be */
    uint32_t state_len;
    uint32_t counted; /* of the state, in the map's pending_size */
    uint8_t kind;
    uint8_t version_kind;
    uint8_t adopt;
    uint8_t id_len;
    uint8_t member_len; /* on rooms: of the member's id, with which the state begins */
    bool answered;      /* its result is settled; done may wait for earlier ones */
    bool adds;          /* may give its session one more entry */
    bool sent;          /* in a batch under way */
    bool
        leave; /* its session has ended: an entry that it opens is left to its client, not closed */
    bool forsake_first;  /* its entry's front-end (other) is dead */
    bool made_of_fields; /* state is a body of fields; of SET, of their changes */
    bool named;          /* OPEN: the id is its caller's: no other one will do */
    bool alone;          /* OPEN: the user may have no other device */
    bool restores;       /* REGISTER: only if there is no such entry. Its version is `first` */
    bool only_there;     /* RESTORE: only if Redis has it as this session's; nothing is created */
    uint8_t result;
    uint64_t retry_ms;    /* parked: when to ask again */
    const char *protocol; /* what an entry that it creates says of its client */
    char *address;
    char *certificate; /* of its client; NULL: none. Goes with the address */
    char fence[ID_FENCE_LENGTH + 1];
    char other[NODE_ID_LENGTH + 1]; /* FORSAKE, BURY, forsake_first: the front-end concerned */
    char id[];
};

enum partition_state {
    PARTITION_AWAY,     /* no link */
    PARTITION_GREETING, /* hello is under way */
    PARTITION_READY,    /* batches may be sent */
    PARTITION_SETTLING  /* a batch was refused whole: waits for the others, then greets again */
};

struct partition {
    struct map *map;
    struct map_space *space;
    uint32_t index;
    char *prefix;   /* of its keys */
    char *channels; /* what its channels begin with */
    char *key_head, *key_nodes, *key_deadlines, *key_registered, *key_mine, *key_events;
    enum partition_state state;
    char epoch[EPOCH_LENGTH + 1];
    uint64_t link_number;
    uint64_t batch_number;
    uint64_t revision;   /* the last that a reply carried: no acknowledged write has a greater */
    uint64_t hold_until; /* Redis's clock */
    uint64_t down_ms;    /* AWAY: since when */
    unsigned epochs;     /* counts the epochs seen here */
    char epoch_before[EPOCH_LENGTH + 1]; /* "": none */
    uint64_t asked_ms;                   /* when the last sweep or hello was sent; loop's clock */
    uint64_t renewed_ms;                 /* when the last that was answered was sent; 0: none yet */
    uint64_t answered_ms;                /* when its answer came */
    bool restoring;       /* since the new epoch not all that it may lack has been put back */
    uint64_t restored_by; /* restoring: the last batch with any of it; 0: not all is sent */
    bool greeted;         /* at least once */
    bool lost_when_ready; /* the link was, and nothing else has happened since */
    enum redis_refusal refusal;
    bool refused;    /* the last batch or hello was refused by Redis */
    bool unreadable; /* what is stored has a format that we do not understand */

    struct list urgent;   /* struct op of the audit: sent before what is queued */
    struct list queue;    /* struct op */
    struct list parked;   /* struct op */
    struct list requeued; /* struct op: to stand before the queue once no batch is under way */
    size_t batch_count;   /* batches under way */
    struct owned *owned;  /* by id */
    /* struct owned, each list by renew_at: in the n-th they wait client.ttl / 2^(n + 1). */
    struct list renewal[RENEWAL_LISTS];
    int64_t renewal_ttl; /* the client.ttl of these lists */
    int64_t
        renewal_clock_ms;    /* how far Redis's clock was ahead when these TTLs were set, or less */
    struct list unconfirmed; /* struct owned */
    struct tombstone *tombstones; /* by id, in order of age; and in these, as tombstone.c has it */
    struct list tombstones_due, tombstones_later;
    uint64_t tombstones_until_ms; /* what waits is said again until then */
    uint64_t restore_from_ms;     /* restores are not sent before: jitter after a new epoch */
    bool audit_due;               /* compare the index with what is owned */
    /* A new epoch has begun, and not all that is owned has been compared since: Redis may lack what
     * it knew, and list entries for front-ends that do not have them. */
    bool filling;
    size_t restores;       /* struct owned whose restore is under way */
    unsigned stalls_known; /* map->stalls when all was last confirmed */

    struct loop_task flush;
    struct loop_timer *greet_timer;
    struct loop_timer *sweep_timer;
    size_t room_members; /* rooms_count */
    bool sweeping;
    int64_t renewed_lease;   /* with which the lease was renewed last */
    bool sweep_again;        /* there was more than one sweep lists */
    size_t reaping;          /* reap, forsake and bury operations not yet judged */
    size_t unlisted_members; /* sweeps in a row whose count of members was not ours */
    size_t unlisted;         /* sweeps in a row whose count of the index was not ours */
};

struct map_session {
    struct map_space *space;
    const struct map_sink *sink;
    void *arg;
    const char *protocol;
    struct list owned;
    struct list ops;
    struct list waits; /* struct wait (wait.h) and others that end with it */
    uint32_t owned_count;
    uint32_t adding; /* entries that unanswered operations may add */
    uint32_t pending;
    char *certificate; /* NULL: none is known */
    bool makes_uuids;  /* ids of its own making are UUIDs */
    char fence[ID_FENCE_LENGTH + 1];
    char address[];
};

/* An answer that is being delivered; they nest when `done` asks for more. On the stack. */
struct delivery {
    struct delivery *outer;
    struct map_session *session; /* NULL: it has ended meanwhile */
    struct bytes id;
};

struct map_space {
    struct map *map;
    char *name;
    bool named; /* in map.spaces */
    uint32_t count;
    struct partition *partitions;
    struct map_view *view;             /* NULL while nobody needs it */
    struct list rooms;                 /* struct map_rooms */
    struct registry *registry;         /* NULL while nobody registers here */
    struct registry_due *registry_due; /* what is to be judged at a time of its own, by id */
};

struct map {
    struct loop *loop;
    const struct map_settings *settings;   /* what runs: &running */
    const struct map_settings *configured; /* of this front-end alone */
    struct map_settings running;           /* with what is adopted; its strings are configured's */
    struct shared *shared;
    const struct redis_settings *redis;
    unsigned database; /* of Redis: channels carry it */
    const struct map_callbacks *callbacks;
    void *arg;
    char node[NODE_ID_LENGTH + 1];
    char *name;
    struct redis_store *store;
    struct redis_link *link;             /* the store's */
    struct redis_subscriber *subscriber; /* the store's */
    char run_id[41];
    bool checked;        /* the partition counts in Redis are ours, on this link */
    uint64_t recheck_ms; /* when they are looked at again; 0: not */
    bool served;
    bool finishing;
    int64_t clock_offset_ms; /* Redis's wall clock minus the loop's clock */
    uint64_t ticked_ms;      /* when the tick timer last ran */
    uint64_t tick_at_ms;     /* when it runs next */
    unsigned stalls;         /* how often the loop has not run for longer than the lease */
    struct list deadlines;   /* struct op, by deadline */
    struct loop_timer *deadline_timer;
    struct loop_timer *tick_timer; /* renewals, parked operations, old closes */
    struct scratch {
        char *data;
        size_t used, size;
    } scratch; /* arguments of the batch being built */
    uint64_t pending;
    uint64_t pending_size; /* bytes of what sessions asked for */
    size_t space_count;
    struct map_space *spaces;
    struct node *node_channel;
    struct needs *needs;
    struct channels *channels;
    struct waits *waits;
    struct added_feature {
        const struct map_feature *feature;
        void *state;
    } features[MAP_FEATURES_MAX];
    size_t feature_count;
    struct list secrets;    /* struct map_secret */
    struct list tombstones; /* of all partitions, the oldest first */
    size_t tombstone_count;
    struct map_finish_wait *finish;
    struct delivery *delivery; /* the innermost */
};

/* partition.c */
void partition_init(struct partition *partition, struct map_space *space, uint32_t index);
void partition_free(struct partition *partition);
void partition_link_up(struct partition *partition);
void partition_link_down(struct partition *partition);
/* Says hello again once nothing is under way, after delay_ms. */
void partition_settle(struct partition *partition, uint64_t delay_ms, const char *why);
/* Asks for batches to be sent at the end of the turn. */
void partition_wake(struct partition *partition);
void partition_tick(struct partition *partition, uint64_t now_ms);
/* Answers of hello and sweep that are not "ok", and batches refused whole. */
void partition_refused(struct partition *partition, struct bytes why);
/* A command of the partition got no answer, or an error of Redis. */
void partition_failed(struct partition *partition, enum redis_status status,
                      const struct redis_reply *reply);
void partition_set_time(struct partition *partition, uint64_t redis_now_ms);

/* needs.c */
struct needs *needs_create(struct map *map);
void needs_destroy(struct needs **needs);
void needs_link_up(struct needs *needs);
/* All were granted at one time. */
bool needs_are_met(const struct needs *needs);
/* NULL when they are met; else valid until the next call. */
const char *needs_why_not(struct needs *needs);

/* contact.c: a sweep or hello is being sent; the last one sent was answered as it should be. */
void contact_asked(struct partition *partition);
void contact_answered(struct partition *partition);

/* batch.c */
void batch_send_all(struct partition *partition);
/* Puts what came back before the queue, in its order. */
void batch_requeue(struct partition *partition);

/* op.c */
struct op *op_create(struct partition *partition, enum op_kind kind, struct bytes id);
/* For a session's caller: joins the session's list and the deadlines. */
void op_attach(struct op *op, struct map_session *session, map_done done, void *arg);
/* For a caller without a session: joins the deadlines. */
void op_attach_alone(struct op *op, map_done done, void *arg);
/* With it more waits, or is held in memory, than allowed: it is to be refused. */
bool op_is_too_much(const struct op *op);
void op_enqueue(struct op *op);
/* Before all that is queued. */
void op_enqueue_urgent(struct op *op);
/* Settles the result; done is called by the op_release that follows. */
void op_answer(struct op *op, enum map_result result, uint64_t version);
/* It leaves its list for good: calls the session's dones that are due, and frees it when nothing
 * needs it any more. */
void op_release(struct op *op);
/* What an entry says of its client, for the kinds that may create one. */
void op_describe(struct op *op, const struct map_session *session);
struct bytes op_state(const struct op *op);
/* Asked for by a sweep, not by a session. */
bool op_is_of_sweep(const struct op *op);
/* Asked for by the audit: for an entry that no session here owns. */
bool op_is_of_audit(const struct op *op);
/* Waits until the owner's lease has decided. */
void op_park(struct op *op, struct bytes owner, uint64_t owner_lease);
void op_unpark(struct op *op);
void op_forget_session(struct op *op, bool leave);
void op_check_deadlines(void *map);

/* result.c: one line of apply's reply. bodies: what stands behind the lines, not yet taken. */
void result_take(struct op *op, struct bytes line, struct cursor *bodies);
/* Parked operations whose time has come go back to the queue. */
void result_unpark(struct partition *partition, uint64_t now_ms);

/* owned.c */
struct owned *owned_find(const struct partition *partition, struct bytes id);
/* With room for a state of that length, which is empty yet. */
struct owned *owned_create(struct map_session *session, struct partition *partition,
                           struct bytes id, size_t state_len);
/* The entry may move to another place in memory, which is returned. */
struct owned *owned_set_state(struct partition *partition, struct owned *owned, uint64_t version,
                              struct bytes state);
/* It is made of these fields from now on. */
void owned_take_fields(struct owned *owned, struct bytes body);
/* Makes what is a change, as the next version, and sends it when it can be sent. */
void owned_change_fields(struct partition *partition, struct owned *owned,
                         const struct map_field *changes, size_t count);
/* The set operation leaves the queue: sent, or given up. */
void owned_forget_set(struct partition *partition, const struct op *set);
void owned_confirm(struct partition *partition, struct owned *owned);
void owned_unconfirm(struct partition *partition, struct owned *owned);
/* Its restore could not be done as things are. */
void owned_restore_later(struct partition *partition, struct owned *owned);
/* The same, because another front-end has it, or seems to. False when that has lasted too long:
 * nothing has been done, and it is that one's. */
bool owned_contest(struct partition *partition, struct owned *owned)
    __attribute__((warn_unused_result));
void owned_unconfirm_all(struct partition *partition);
/* Takes it from its session and frees it. */
void owned_destroy(struct partition *partition, struct owned *owned);
/* A restore for it, to stand before what else is sent of it. */
struct op *owned_make_restore(struct partition *partition, struct owned *owned);
void owned_renew_due(struct partition *partition, uint64_t now_ms);
/* Whether all of it has been confirmed. */
bool owned_is_settled(const struct partition *partition);
void owned_audit(struct partition *partition);

/* tombstone.c */
/* An entry has ended: when it was opened, its last version and its fence. */
void tombstone_remember(struct partition *partition, struct bytes id, uint64_t since,
                        uint64_t version, struct bytes fence);
/* Somebody here has the id again. */
void tombstone_forget(struct partition *partition, struct bytes id);
/* A new epoch has begun: all are to be said again. */
void tombstones_repeat(struct partition *partition);
/* The next to be said; NULL: there is none. */
struct op *tombstone_next(struct partition *partition);
/* What tombstone_next made was not judged; or cannot be decided yet. */
void tombstone_unsaid(struct partition *partition, struct bytes id);
void tombstone_waits(struct partition *partition, struct bytes id);
void tombstones_tick(struct partition *partition, uint64_t now_ms);
void tombstones_free(struct partition *partition);

/* session.c */
const char *session_address(const struct map_session *session);
/* Closes all its entries in the map and asks its connection to end. */
void session_close_all(struct map_session *session, enum map_end why);
/* Another live session owns that entry of it: its connection ends, what else it owns is left. */
void session_take_away(struct map_session *session, struct owned *owned);
/* Whether its peer has ended the connection, read or not. */
bool session_is_gone(const struct map_session *session);

/* secret.c: there is a new link, or a new epoch. */
void secrets_reread(struct map *map);

/* registry.c */
bool registry_has_prober(const struct map_space *space);
/* A sweep has found its time come. */
void registry_enqueue_probe(struct partition *partition, struct bytes id);
/* This front-end is to ask it now. */
void registry_probe(struct map_space *space, struct bytes id, unsigned probe);
/* The view has been read in a new epoch: entries that it had and Redis has not. */
void registry_restore(struct map_space *space, const struct bytes *ids, size_t count);
/* registry_due.c */
/* It is due one probe interval from now: it is judged then, and not only by the next sweep. again:
 * it has just been judged, so that an earlier time is past. */
void registry_expect_due(struct partition *partition, struct bytes id, bool again);
void registry_forget_due(struct map_space *space);

/* registry.c */
void registry_free(struct map_space *space);

/* room_op.c */
bool op_is_of_room(const struct op *op);
struct bytes op_member(const struct op *op);
struct bytes op_behind_member(const struct op *op); /* the user's id, or the message */
/* A member of a dead front-end, as its index has it, leaves. */
void room_part(struct partition *partition, struct bytes member, const char *node);
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

/* feature.c */
void features_destroy(struct map *map);
void features_link_up(struct map *map);
void features_new_epoch(struct partition *partition);
void features_sweep(struct partition *partition, uint64_t redis_now_ms);
enum map_message features_message(struct map *map, struct bytes verb, struct bytes rest);
/* As struct map_feature's request. */
const char *features_request(struct map *map, struct bytes verb, struct bytes argument,
                             map_done done, void *arg);

/* wait.c */
struct waits *waits_create(struct map *map);
/* Tells none of them. */
void waits_destroy(struct waits **waits);
/* The session ends: nothing that it waits for is told any more. */
void waits_forget(struct map_session *session);

/* sweep.c */
void sweep_start(struct partition *partition);
void sweep_run(void *partition);
/* A reap, forsake or bury has been judged. */
void sweep_judged(struct partition *partition);

/* node.c: the front-end's hash, its channel with requests, and the nonce. */
struct node *node_create(struct map *map);
void node_destroy(struct node **node);
/* Says anew what describe tells. */
void node_publish(struct node *node);
/* Takes back what the front-end says of itself. */
void node_leave(struct node *node);
void node_link_up(struct node *node);
bool node_nonce_is_fresh(const struct node *node);

/* map.c */
/* Puts the space's partition count into Redis where it is missing, and compares it. */
void map_put_count(struct map_space *space);
void map_check_serving(struct map *map);
/* The tick timer runs by then. */
void map_tick_at(struct map *map, uint64_t at_ms);
/* The counts are ours and the shared settings known: the partitions greet. */
void map_begin(struct map *map);
/* Redis refused to take the shared settings: all is looked at again soon. */
void map_check_again(struct map *map, enum redis_refusal refusal);

/* finish.c: ends the waiting of map_finish when nothing is under way any more. */
void map_check_finished(struct map *map);

#endif
