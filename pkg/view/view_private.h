/*
 * view_private: what the files of the view share: view.c (contents and watchers), part.c (the life
 * cycle of a partition's copy), apply.c (one event, one entry), events.c (what arrives), load.c
 * (snapshots), check.c (when they are read), read.c and query.c (reads that wait), and cursor.c.
 */
#ifndef VIEW_VIEW_PRIVATE_H
#define VIEW_VIEW_PRIVATE_H

#include "base/hash.h"
#include "loop/job.h"

#include "redis/channel.h"
#include "redis/redis.h"
#include "schema/event.h"
#include "view/view.h"

/* The nodes of the list of changes. */
enum order_kind { ORDER_ENTRY, ORDER_CURSOR, ORDER_CLOSED, ORDER_ITERATION };
struct order_node {
    struct list link;
    uint8_t kind;
};

/* Entries that changed in this iteration. NULL: removed from the list since. */
struct change_list {
    struct map_entry **entries;
    size_t count, capacity;
};

/*
 * The entries in the order of their ids, which is established when it is asked for. Until the first
 * time nothing is kept. Then: entries that were opened since are behind the sorted ones, and those
 * that were closed have left holes; each time costs what has changed, and one pass over the rest.
 */
struct sorted_entries {
    struct map_entry **entries; /* NULL: a hole */
    size_t sorted;              /* the first are in order */
    size_t count;               /* all, holes too */
    size_t capacity;
    size_t holes;
    uint64_t steps; /* comparisons, and entries passed over: what the order has cost so far */
    bool is_used;   /* since it was asked for */
};

struct map_entry {
    UT_hash_handle hh;
    struct order_node order;
    struct list in_part; /* the part's `seen` or `unconfirmed` */
    struct map_view *view;
    uint64_t revision; /* at which this is the entry, in the epoch `epochs`: map_entry_revision */
    uint64_t version;
    uint32_t state_len;
    uint32_t fields_len;
    uint32_t seen;   /* the number of the last load that contained it */
    uint32_t epochs; /* its partition's, when `revision` was set */
    uint16_t partition;
    uint8_t id_len;
    bool is_new : 1;       /* opened in this iteration */
    bool partial : 1;      /* known by an update only: its other fields are in the snapshot */
    bool is_orphan : 1;    /* see map_entry_is_orphan */
    uint32_t sorted_place; /* its place in sorted_entries, from 1; 0: none */
    uint32_t list_place;   /* its place in change_list, from 1 */
    struct change_list *change_list; /* the view's list that it is in, or NULL */
    char *state;
    uint8_t *fields; /* the others, encoded as in event bodies */
    char id[];
};

/* Where a closed entry would be in the list of changes: for cursors that have to pass it. */
struct view_tombstone {
    struct order_node order;
    struct list link; /* the view's, oldest first */
};
/* The revision of a close during a load: an older chunk may still contain the entry. */
struct closed_while_loading {
    UT_hash_handle hh;
    uint64_t revision;
    uint8_t id_len;
    char id[];
};

/*
 * The life cycle of a partition's copy. EMPTY and LOADING have never been complete. LAPSED, STALE
 * and RELOADING keep what was known, for readers that accept old contents.
 *
 *   EMPTY ──► LOADING ──► LIVE ──► LAPSED ──► LIVE       nothing changed meanwhile
 *     ▲          │         │  ▲      │
 *     └─ lapse ──┘         ▼  │      ▼
 *                         STALE ◄─────      something is missing
 *                          │  ▲
 *                          ▼  │ lapse
 *                       RELOADING ──► LIVE
 */
enum part_state {
    PART_EMPTY,    /* waits for the subscription and the link, or for retry_timer */
    PART_LOADING,  /* the snapshot is read for the first time; events are applied meanwhile */
    PART_LIVE,     /* complete up to `revision` */
    PART_LAPSED,   /* the same until the subscription was lost; the head shows what is missing */
    PART_STALE,    /* changes are missing; waits as in EMPTY */
    PART_RELOADING /* the snapshot is read again; events are applied meanwhile */
};

/* What is known of the epoch, and of the entries that its snapshot does not contain. */
enum part_epoch_state {
    PART_EPOCH_UNKNOWN,
    PART_EPOCH_STABLE,      /* an entry that the snapshot does not contain is gone */
    PART_EPOCH_FRESH,       /* a new epoch: front-ends may still restore what Redis lacks */
    PART_EPOCH_UNCONFIRMED, /* as FRESH, and the snapshot did not contain all entries */
    PART_EPOCH_RESTORED     /* the recovery grace is over: they are gone at revision `restored` */
};

/* What follows the load under way. */
enum part_next {
    PART_NEXT_NONE,
    PART_NEXT_CHECK, /* the epoch may be a new one: the head is read */
    PART_NEXT_RELOAD /* changes are missing: the snapshot is read again, for the reason next_why */
};

struct view_part {
    struct map_view *view;
    uint32_t index; /* of the partition */
    char *prefix;   /* of its keys */
    char *key_head, *key_nodes, *key_deadlines, *key_registered, *key_events;
    struct channel_user channel; /* the partition's events */
    enum part_state state;
    enum part_epoch_state epoch_state;
    uint64_t epoch;
    char epoch_text[17];
    uint32_t epochs;     /* how many there were */
    uint64_t restored;   /* in PART_EPOCH_RESTORED: a revision */
    uint64_t revision;   /* all events up to it have been applied; 0 before the first is known */
    uint64_t floor;      /* events up to it are in the snapshot */
    uint64_t known;      /* the contents include all up to it, also while they are read again */
    uint64_t swept;      /* the revision that the last sweep saw */
    uint64_t reread_ms;  /* when a read that waited last had the snapshot read again */
    uint64_t loaded_ms;  /* when the last load began; 0: never */
    uint64_t checked_ms; /* when the head was last read; 0: never */
    enum part_next next;
    const char *next_why;
    struct head_check *head_check; /* under way; check.c */
    struct loop_timer *check_timer;
    struct loop_timer *retry_timer; /* EMPTY and STALE: a load is due */
    uint32_t load_number;
    struct view_load *load; /* LOADING and RELOADING */
    struct closed_while_loading *closed;
    struct list seen;        /* entries by the load that last contained them, oldest first */
    struct list unconfirmed; /* those that the snapshot of a new epoch did not contain */
    struct loop_job drop;    /* of the unconfirmed, after the recovery grace */
};

/* What a read waits for in a partition. */
struct read_mark {
    uint64_t revision;
    unsigned epochs;   /* the partition's, when it is in that epoch */
    bool is_restoring; /* the revision is the one at the end of the restore */
};

struct map_read {
    struct list link;     /* the view's */
    struct list in_query; /* while is_querying: the view's awaiting_query, or a revision_query's */
    struct map_view *view;
    map_read_done done;
    void *arg;
    uint64_t began_ms;
    bool is_querying; /* the revisions of Redis are not known yet */
    bool has_reread;
    struct read_mark *marks; /* of each partition; NULL: the view had all when the read began */
};

struct revision_query;

struct map_view {
    struct view_source source;
    struct map_entry *entries;
    struct list order;
    struct order_node iteration; /* before the changes of this iteration */
    bool in_iteration;           /* there are some */
    size_t size;
    uint64_t generation;
    uint64_t owner_generation;
    bool live; /* each part has been complete at least once, and the watchers know */
    struct list watchers;
    struct list reads;
    struct list awaiting_query;   /* struct map_read: for the next query */
    struct revision_query *query; /* under way */
    struct loop_task send_query;
    struct list tombstones;
    size_t tombstone_count;
    size_t cursor_count;
    struct change_list changed;
    struct change_list owner_changed; /* and nothing else */
    struct bytes *closed;
    size_t closed_count, closed_capacity;
    struct sorted_entries sorted;
    struct loop_task notify;
    struct loop_timer *linger;
    struct loop_timer *read_timer;
    uint32_t part_count;
    struct view_part parts[];
};

/* view.c */
/* The watchers receive the entry at the end of the iteration; it becomes the newest in the list. */
void view_mark_changed(struct map_entry *entry);
/* Only watchers that want it receive the entry, and it keeps its place. */
void view_mark_owner_changed(struct map_entry *entry);
void view_remove(struct map_entry *entry);
/* Watchers and reads are served at the end of the iteration. */
void view_wake(struct map_view *view);

/* sorted.c */
void sorted_add(struct sorted_entries *sorted, struct map_entry *entry);
void sorted_remove(struct sorted_entries *sorted, struct map_entry *entry);
/* Establishes the order; returns the number of entries. */
size_t sorted_update(struct map_view *view);
void sorted_free(struct sorted_entries *sorted);

/* part.c */
void part_init(struct view_part *part, struct map_view *view, uint32_t index);
void part_free(struct view_part *part);
/* The one place where the state changes. Leaving LOADING or RELOADING ends the load. */
void part_enter(struct view_part *part, enum part_state state);
bool part_is_loading(const struct view_part *part);
bool part_was_complete(const struct view_part *part);
/* No event arrives any more: the subscription is lost. */
void part_lapse(struct view_part *part);
/* The revisions known so far mean nothing in another epoch. Visits no entry: each knows in which
 * epoch it has its revision. */
void part_enter_epoch(struct view_part *part, uint64_t epoch);
/* The load of that number contains the entry. */
void part_mark_seen(struct view_part *part, struct map_entry *entry, uint32_t load_number);
/* The snapshot is complete: entries that it did not contain are gone, in a new epoch only after the
 * recovery grace (may_be_restored). Handles some of them; false when none is left. */
bool part_drop_missing(struct view_part *part, bool may_be_restored);
/* Whether front-ends may still restore entries that the snapshot does not contain. */
bool part_may_be_restored(const struct view_part *part);
/* The recovery grace is over; what was restored in it is at most at that revision. */
void part_end_recovery(struct view_part *part, uint64_t revision);
/* Entries that nobody has restored are gone, once all events of the recovery grace are applied:
 * some of them at once, the others in a job. */
void part_drop_unconfirmed(struct view_part *part);
/* How far its owner knows the partition to be. */
struct view_known part_known(const struct view_part *part);
/* Whether that is in the epoch of the contents. */
bool part_is_in_epoch(const struct view_part *part, const struct view_known *known);

/* apply.c */
/* revision: of the event, or at which the snapshot was read. seen: the load that contains it. */
void view_apply(struct view_part *part, const struct event *event, uint64_t revision,
                uint32_t seen);

/* reason: the body of its event, or empty. */
void view_close_entry(struct map_entry *entry, struct bytes reason);

/* events.c */
void part_subscribe(struct view_part *part);

/* check.c */
/* Changes are missing: the snapshot is read again, as soon as the interval allows. */
void part_reread(struct view_part *part, const char *why);
/* There may be a new epoch: the head is read. */
void part_request_check(struct view_part *part);
/* The subscription or the link is there again: read only if anything has changed. */
void part_resume(struct view_part *part, const char *why);
void part_load_failed(struct view_part *part);
void part_load_done(struct view_part *part);
/* The reply to a read of the head under way is ignored. */
void check_cancel(struct view_part *part);
/* The timers' callbacks. */
void part_check_head(void *part);
void part_retry_load(void *part);

/* load.c */
extern struct redis_script read_script;
bool load_can_start(const struct view_part *part);
/* At once; part_reread respects the interval. */
void load_start(struct view_part *part, const char *why);
/* Frees the load and what belongs to it; part_enter calls it. */
void load_stop(struct view_part *part);

/* read.c */
void reads_check(struct map_view *view);
void reads_free(struct map_view *view);

/* query.c */
void view_query(struct map_view *view, struct map_read *read);
void view_query_send(void *view);
/* What has not been answered is asked again. */
void view_query_retry(struct map_view *view);
void view_query_free(struct map_view *view);

/* cursor.c */
void cursor_leave_tombstone(struct map_view *view);
void cursors_free_all(struct map_view *view);

#endif
