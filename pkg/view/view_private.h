/* view_private: the view's own parts, shared by view.c (contents), events.c (what arrives), load.c
 * (snapshots), check.c (when they are read), read.c and ask.c (reads that wait) and cursor.c. */
#ifndef VIEW_VIEW_PRIVATE_H
#define VIEW_VIEW_PRIVATE_H

#include "base/hash.h"

#include "redis/channel.h"
#include "redis/redis.h"
#include "schema/event.h"
#include "view/view.h"

/* What stands in the list of changes. */
enum order_kind { ORDER_ENTRY, ORDER_CURSOR, ORDER_CLOSED, ORDER_TURN };
struct order_node {
    struct list link;
    uint8_t kind;
};

/* Entries of one turn; those that left it have left NULL. */
struct turn_list {
    struct map_entry **entries;
    size_t count, capacity;
};

struct map_entry {
    UT_hash_handle hh;
    struct order_node order;
    struct map_view *view;
    uint64_t revision; /* at which it is known, in its partition's epoch */
    uint64_t version;
    uint32_t state_len;
    uint32_t fields_len;
    uint32_t seen; /* number of the last load that brought it */
    uint16_t partition;
    uint8_t id_len;
    bool fresh;          /* opened in this turn */
    bool partial;        /* only an update has told it: what that left out is in the snapshot */
    uint32_t turn_place; /* its place in turn_list, from 1 */
    struct turn_list *turn_list; /* of the view, when this turn changed it; else NULL */
    char *state;
    uint8_t *fields; /* the others, encoded as in event bodies */
    char id[];
};

/* A closed entry's place, kept while cursors may have to pass it, or its revision while a load
 * could bring it back from before. */
struct view_tombstone {
    struct order_node order;
    struct list link; /* the view's, oldest first */
};
struct closed_while_loading {
    UT_hash_handle hh;
    uint64_t revision;
    uint8_t id_len;
    char id[];
};

enum part_state { PART_COLD, PART_LOADING, PART_LIVE };

struct view_part {
    struct map_view *view;
    uint32_t index; /* of the partition */
    char *prefix;   /* of its keys */
    char *key_head, *key_nodes, *key_deadlines, *key_registered, *key_events;
    struct channel_user channel; /* the partition's events */
    enum part_state state;
    bool loaded; /* complete at least once */
    bool epoch_known;
    bool fresh_epoch; /* missing entries are unconfirmed until the hold ends */
    bool has_unconfirmed;
    uint64_t confirmed; /* at which revision they are gone; UINT64_MAX: the hold has not ended */
    uint64_t epoch;
    uint64_t revision;      /* all events up to it have been applied; 0 before the first is known */
    uint64_t floor;         /* events up to it are in the snapshot */
    uint64_t known;         /* all up to it is in the view, also while it is read again */
    uint64_t check;         /* the revision that the last sweep saw */
    uint64_t reread_ms;     /* when a read that waited last had it read again */
    uint64_t snapshot_ms;   /* when the snapshot was last begun with; 0: never */
    uint64_t look_ms;       /* when the head was last asked for; 0: never */
    const char *read_again; /* why, once the load under way is complete; NULL: it is not */
    bool doubted;           /* while a load is under way: to be looked up after it */
    bool revivable;         /* COLD, and nothing is missing but what came while not subscribed */
    struct head_ask *ask;   /* check.c */
    struct loop_timer *look;
    uint32_t load_number;
    struct view_load *load;
    struct closed_while_loading *closed;
    struct loop_timer *retry;
};

/* What a read waits for in a partition. */
struct read_mark {
    uint64_t revision;
    unsigned epochs; /* the partition's, when it is in that epoch */
    bool again;      /* to be raised to the partition's once that has been restored */
};

struct map_read {
    struct list link;   /* the view's */
    struct list in_ask; /* asks: the view's `asking`, or a revision_ask's */
    struct map_view *view;
    map_read_done done;
    void *arg;
    uint64_t began_ms;
    bool asks; /* what Redis has is not known yet */
    bool read_again;
    struct read_mark *marks; /* of each partition; NULL: the view had all when it began */
};

struct revision_ask;

struct map_view {
    struct view_source source;
    struct map_entry *entries;
    struct list order;
    struct order_node turn; /* before what this turn brought */
    bool in_turn;
    size_t size;
    uint64_t generation;
    bool live;
    struct list watchers;
    struct list reads;
    struct list asking;       /* struct map_read: to be asked for next */
    struct revision_ask *ask; /* under way */
    struct loop_task send_ask;
    struct list tombstones;
    size_t tombstone_count;
    size_t cursor_count;
    struct turn_list changed;
    struct turn_list silent; /* only who owns them and where has changed */
    struct bytes *closed;
    size_t closed_count, closed_capacity;
    struct map_entry **sorted;
    size_t sorted_count;
    bool sorted_good;
    struct loop_task tell;
    struct loop_timer *linger;
    struct loop_timer *read_timer;
    uint32_t part_count;
    struct view_part parts[];
};

/* view.c */
/* How far its owner knows the partition to be. */
struct view_known part_known(const struct view_part *part);
/* Tells the watchers in this turn; its place in the list of changes is the newest. */
void view_mark_changed(struct map_entry *entry);
/* Tells those who ask for it only; it keeps its place. */
void view_mark_silent(struct map_entry *entry);
void view_remove(struct map_entry *entry);
void view_wake(struct map_view *view);

/* apply.c */
void view_apply(struct view_part *part, const struct event *event, uint64_t revision,
                uint32_t seen);

/* events.c */
void part_listen(struct view_part *part);
void part_retry_load(void *part);
/* What is known is of another history: nothing of it is told until the snapshot has been read. */
void part_new_epoch(struct view_part *part, uint64_t epoch);
/* Whether what is known of the partition is of the epoch that the view has seen. */
bool part_is_in_epoch(const struct view_part *part, const struct view_known *known);

/* check.c */
/* Something is missing: the snapshot is read again, as soon as that may be. */
void part_reread(struct view_part *part, const char *why);
/* There may be a new epoch: that is looked up. */
void part_doubt(struct view_part *part);
/* The links are there again: read if anything has changed. */
void part_resume(struct view_part *part, const char *why);
/* The subscription is lost. */
void part_lapse(struct view_part *part);
void part_read_failed(struct view_part *part);
/* The load is complete, and the part live. */
void part_read_done(struct view_part *part);
void part_look(void *part);

/* load.c */
extern struct redis_script read_script;
bool load_can_start(const struct view_part *part);
/* At once; for what may wait see part_reread. */
void load_start(struct view_part *part, const char *why);
void load_stop(struct view_part *part);

/* read.c */
void reads_check(struct map_view *view);
void reads_free(struct map_view *view);

/* ask.c */
void view_ask(struct map_view *view, struct map_read *read);
void view_ask_send(void *view);
/* What has not been answered is asked again. */
void view_ask_retry(struct map_view *view);
void view_ask_free(struct map_view *view);

/* cursor.c */
void cursor_leave_tombstone(struct map_view *view);
void cursors_free_all(struct map_view *view);

#endif
