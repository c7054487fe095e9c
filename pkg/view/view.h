/*
 * view: this front-end's copy of a space, kept while somebody watches it.
 *
 * The view subscribes before it reads the snapshot, checks that revisions follow one another, and
 * reads again after a gap; its watchers are told differences only. What one turn of the loop brings
 * is told once, in LOOP_PHASE_VIEW.
 *
 * All entries stand in one list, ordered by their last change. A reader that cannot keep up holds a
 * cursor in that list instead of a queue: while it waits, entries that change move behind the
 * cursor's end of the list, so that going on from the cursor meets each of them once, in its
 * newest state. A cursor costs the same however long it waits.
 */
#ifndef VIEW_VIEW_H
#define VIEW_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/list.h"
#include "loop/loop.h"
#include "view/settings.h"

struct channels;
struct map_entry;
struct map_session;
struct map_view;
struct redis_link;
struct redis_settings;

/* How far the owner of a view knows a partition to be. */
struct view_known {
    const char *epoch;   /* 16 hex digits; "": not known yet */
    unsigned epochs;     /* counts the epochs that it has seen */
    uint64_t revision;   /* of its last reply: no write acknowledged here has a greater one */
    bool restoring;      /* since the new epoch not all that Redis may lack has been put back */
    uint64_t hold_until; /* Redis's clock, ms */
    bool is_down;        /* there is no link */
    uint64_t down_ms;    /* since when, of the loop's clock */
};

/* What a view asks of who keeps it. */
struct view_callbacks {
    struct view_known (*known)(void *arg, uint32_t partition);
    /* Redis's wall clock, ms since the epoch. */
    uint64_t (*redis_time_ms)(void *arg);
    /* The link is up, and what it reaches is what the view is of. */
    bool (*may_read)(void *arg);
    /* The session here that owns the entry; NULL: another front-end's does. */
    struct map_session *(*owner)(void *arg, uint32_t partition, struct bytes id);
    /* A new epoch: the view has these entries and Redis does not, yet. Valid for the call. */
    void (*missing)(void *arg, const struct bytes *ids, size_t count);
    /* Nobody has watched for view.linger: it may be destroyed now. */
    void (*unused)(void *arg);
};

/* A space in Redis, and how to get to it. All of it outlives the view, but for the structure. */
struct view_source {
    const struct view_callbacks *callbacks;
    void *arg;
    struct loop *loop;
    struct redis_link *const *link; /* for commands; NULL there: none any more */
    struct channels *channels;
    const struct redis_settings *redis;
    const struct view_settings *settings;
    const int64_t *hold; /* map.recovery_grace */
    const char *space;
    uint32_t partitions;
    unsigned database; /* of Redis: channels carry it */
};
struct map_view *view_create(const struct view_source *source);
void view_destroy(struct map_view **view);

/* What its owner sees: the links are there again; a sweep has seen that revision of a partition,
 * with that time of Redis. */
void view_link_up(struct map_view *view);
void view_revision_seen(struct map_view *view, uint32_t partition, uint64_t revision);
void view_hold_seen(struct map_view *view, uint32_t partition, uint64_t redis_now_ms);
/* An entry that the view has from before the new epoch, and that nobody has told in it yet; NULL
 * when there is none of that id. */
const struct map_entry *view_find_unconfirmed(const struct map_view *view, struct bytes id);

/* Entries: valid until the callback returns. */
struct bytes map_entry_id(const struct map_entry *entry);
struct bytes map_entry_state(const struct map_entry *entry);
uint64_t map_entry_version(const struct map_entry *entry);
/* Any other field of the client hash ("protocol", "node", "user", "p:name"); data NULL when it is
 * not there. */
struct bytes map_entry_field(const struct map_entry *entry, const char *field);
/* Each field but the state in turn: *at is 0 at first; false after the last. */
bool map_entry_next_field(const struct map_entry *entry, size_t *at, struct bytes *field,
                          struct bytes *value);
/* Only an update of it has come; the other fields are still to come with the snapshot. */
bool map_entry_is_partial(const struct map_entry *entry);
/* The session of this front-end that owns it; NULL when another front-end's does. */
struct map_session *map_entry_owner(const struct map_entry *entry);

/*
 * What one turn brought. changed: each entry once, oldest change first; closed: ids. silent, for
 * watchers that ask: entries of which only who owns them and where has changed (node, address,
 * since). Those do not move in the list of changes, so that cursors do not meet them.
 */
struct map_changes {
    struct map_entry *const *changed;
    size_t changed_count;
    const struct bytes *closed;
    size_t closed_count;
    struct map_entry *const *silent;
    size_t silent_count;
};

struct map_watcher {
    struct list link; /* the view's */
    void (*changed)(struct map_watcher *watcher, const struct map_changes *changes);
    /* The view is complete: for the first time, or again after Redis was away. */
    void (*live)(struct map_watcher *watcher);
    struct map_view *view;
    bool silent_too; /* it asks for silent changes */
};
/* Keeps the view from now on. The watcher's functions are set by the caller. False and no watching
 * when the space has more than view.max_entries entries (why: static text). Of a front-end's space:
 * map_watch (map/map.h). */
bool view_watch(struct map_view *view, struct map_watcher *watcher, const char **why)
    __attribute__((warn_unused_result));
void map_unwatch(struct map_watcher *watcher);

/* Complete at least once since it began. */
bool map_view_is_live(const struct map_view *view);
/* It holds more entries than view.max_entries: whole-map readers are to be refused. */
bool map_view_is_over(const struct map_view *view);
size_t map_view_count(const struct map_view *view);
/* Bytes of all ids and states. */
size_t map_view_size(const struct map_view *view);
/* Counts every change of the view's contents: equal numbers mean equal contents. */
uint64_t map_view_generation(const struct map_view *view);
/* All entries in byte order of their ids; valid until the next turn. */
struct map_entry *const *map_view_sorted(struct map_view *view, size_t *count);
struct map_entry *map_view_find(const struct map_view *view, struct bytes id);

/*
 * A place in the list of changes. Zero-initialise; begin puts it before the oldest entry (all will
 * be met) or after the newest (only what changes from now on), or before what this turn brought
 * (in a `changed` callback). next returns the entry after it and moves on, NULL at the end; closed
 * counts the closes passed on the way. When a cursor has waited while more ids were closed than
 * the view remembers, `lost` is set and next returns NULL: begin again.
 */
enum map_cursor_place { MAP_CURSOR_OLDEST, MAP_CURSOR_NEWEST, MAP_CURSOR_TURN };
struct map_cursor {
    struct {
        struct list link;
        uint8_t kind;
    } node;
    struct map_view *view; /* NULL: not in a view */
    bool lost;
    uint64_t closed;
};
void map_cursor_begin(struct map_cursor *cursor, struct map_view *view,
                      enum map_cursor_place place);
struct map_entry *map_cursor_next(struct map_cursor *cursor);
void map_cursor_end(struct map_cursor *cursor); /* harmless when not in a view */

/*
 * A read of the view, which calls done when the view is live and includes every write that was
 * acknowledged (a session's `done`) at this front-end before, whichever session made it. With
 * MAP_READ_EVERYWHERE Redis is asked first for how far it is: then also every write that was
 * acknowledged at another front-end before. There is no common moment: of each partition it may
 * include later writes than of another.
 *
 * What is missing is waited for; after view.wait the view is read again; after redis.deadline done
 * is called with stale set, or at once when Redis is unreachable and the view has all that was
 * acknowledged here, or has been unreachable for that long. known is false when there has never
 * been a complete view to answer from. Returns a handle to take it back.
 */
enum map_read_scope { MAP_READ_HERE, MAP_READ_EVERYWHERE };
struct map_read;
typedef void (*map_read_done)(void *arg, bool known, bool stale);
struct map_read *map_read(struct map_view *view, enum map_read_scope scope, map_read_done done,
                          void *arg);
void map_read_cancel(struct map_read **read);

#endif
