/*
 * view: a copy of a space, kept up to date: a front-end's while it has watchers, or a tool's.
 *
 * The view subscribes before it reads the snapshot, checks that revisions follow one another, and
 * reads again after a gap; its watchers receive differences only. They receive the changes of an
 * event-loop iteration in one call, in LOOP_PHASE_VIEW.
 *
 * All entries are in one list, ordered by their last change. A reader that has a backlog keeps a
 * cursor in that list instead of a queue: while it waits, entries that change move behind the
 * cursor, so that continuing from the cursor meets each of them once, in its newest state. A cursor
 * costs the same however long it waits.
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
    const char *epoch; /* 16 hex digits; "": not known yet */
    unsigned epochs;   /* how many epochs it has seen */
    uint64_t revision; /* of its last reply: no write acknowledged here has a greater one */
    bool restoring;    /* not everything that Redis may lack in the new epoch is restored */
    uint64_t recovery_until_ms; /* the end of the recovery grace, of Redis's clock */
    bool is_down;               /* there is no link */
    uint64_t down_ms;           /* since when, of the loop's clock */
};

struct view_change; /* view/change.h */

/* What a view needs from its owner. All but `known` belong to owners that are front-ends or want to
 * know more than watchers do: each may be NULL. */
struct view_callbacks {
    /* NULL: the owner writes nothing, and the view relies on what it has read itself. Then an entry
     * that a new epoch does not contain is closed at once. */
    struct view_known (*known)(void *arg, uint32_t partition);
    /* Redis's wall clock, ms since the epoch. Needed with `known`. */
    uint64_t (*redis_time_ms)(void *arg);
    /* Whether the link leads to the Redis that the view is of. NULL: it does. */
    bool (*may_read)(void *arg);
    /* The session here that owns the entry; NULL: another front-end's does. */
    struct map_session *(*owner)(void *arg, uint32_t partition, struct bytes id);
    /* A new epoch: Redis does not contain these entries of the view yet. Valid for the call. */
    void (*missing)(void *arg, const struct bytes *ids, size_t count);
    /* There has been no watcher for view.linger: the view may be destroyed now. */
    void (*unused)(void *arg);
    /* Each change, as it is applied. The view may not be destroyed from here, as from the next two.
     */
    void (*applied)(void *arg, const struct view_change *change);
    /* Every partition is complete: for the first time, or again after one was not. */
    void (*complete)(void *arg);
    /* A snapshot could not be read; another attempt follows. refused: Redis's answer was an error,
     * or unusable, else there was none. why: valid for the call. */
    void (*read_failed)(void *arg, bool refused, struct bytes why);
};

/* A space in Redis, and how to reach it. The view copies the structure; what it points to has to
 * outlive the view. */
struct view_source {
    const struct view_callbacks *callbacks;
    void *arg;
    struct loop *loop;
    struct redis_link *const *link; /* for commands; NULL there: none any more */
    struct channels *channels;
    const struct redis_settings *redis;
    const struct view_settings *settings;
    const int64_t *recovery_grace; /* map.recovery_grace; NULL: none, as with known */
    const char *space;
    uint32_t partitions;
    unsigned database; /* of Redis: part of the names of channels */
};
struct map_view *view_create(const struct view_source *source);
void view_destroy(struct map_view **view);

/* The owner calls these: the link is up again; a sweep has seen that revision of a partition; and
 * that time of Redis. */
void view_link_up(struct map_view *view);
void view_revision_seen(struct map_view *view, uint32_t partition, uint64_t revision);
void view_time_seen(struct map_view *view, uint32_t partition, uint64_t redis_now_ms);
/* An entry from before the new epoch that no front-end has restored in it yet; NULL when there is
 * none of that id. */
const struct map_entry *view_find_unconfirmed(const struct map_view *view, struct bytes id);

/* Entries: valid until the callback returns. */
struct bytes map_entry_id(const struct map_entry *entry);
struct bytes map_entry_state(const struct map_entry *entry);
uint64_t map_entry_version(const struct map_entry *entry);
/* Any other field of the client hash ("protocol", "node", "user", "p:name"); data NULL when there
 * is none of that name. */
struct bytes map_entry_field(const struct map_entry *entry, const char *field);
/* Iterates over all fields but the state: *at is 0 at first; false after the last. */
bool map_entry_next_field(const struct map_entry *entry, size_t *at, struct bytes *field,
                          struct bytes *value);
/* At which it became what it is, in its partition's epoch: equal numbers, equal contents. */
uint64_t map_entry_revision(const struct map_entry *entry);
/* Only an update of it has arrived; the snapshot will add the other fields. */
bool map_entry_is_partial(const struct map_entry *entry);
/* The session of this front-end that owns it; NULL when another front-end's does. */
struct map_session *map_entry_owner(const struct map_entry *entry);

/*
 * The changes of one event-loop iteration. changed: each entry once, oldest change first; closed:
 * ids. owner_changed, for watchers that want it: entries of which only the fields of the connection
 * changed (node, address, since). Those keep their place in the list of changes, so that cursors do
 * not meet them.
 */
struct map_changes {
    struct map_entry *const *changed;
    size_t changed_count;
    const struct bytes *closed;
    size_t closed_count;
    struct map_entry *const *owner_changed;
    size_t owner_changed_count;
};

struct map_watcher {
    struct list link; /* the view's */
    void (*changed)(struct map_watcher *watcher, const struct map_changes *changes);
    /* The view is complete for the first time. */
    void (*live)(struct map_watcher *watcher);
    struct map_view *view;
    bool wants_owner_changes;
};
/* Keeps the view from now on. The caller sets the watcher's functions. False when the space has
 * more than view.max_entries entries (why: static text); then the watcher is not added. For the
 * space of a front-end see map_watch (map/map.h). */
bool view_watch(struct map_view *view, struct map_watcher *watcher, const char **why)
    __attribute__((warn_unused_result));
void map_unwatch(struct map_watcher *watcher);

/* It has been complete at least once. */
bool map_view_is_live(const struct map_view *view);
/* It contains more entries than view.max_entries: readers of the whole map are to be refused. */
bool map_view_is_over(const struct map_view *view);
size_t map_view_count(const struct map_view *view);
/* Bytes of all ids and states. */
size_t map_view_size(const struct map_view *view);
/* Counts the changes of the contents: equal numbers mean equal contents. */
uint64_t map_view_generation(const struct map_view *view);
/* The same of the fields of the connection (owner_changed). */
uint64_t map_view_owner_generation(const struct map_view *view);
/* All entries in byte order of their ids; valid until the next event-loop iteration. */
struct map_entry *const *map_view_sorted(struct map_view *view, size_t *count);
struct map_entry *map_view_find(const struct map_view *view, struct bytes id);

/*
 * A place in the list of changes. Zero-initialise; begin puts it before the oldest entry (it will
 * meet all), after the newest (only later changes), or before the changes of this iteration (in a
 * `changed` callback). next returns the entry after it and moves on, NULL at the end; closed counts
 * the closes that it has passed. If more ids were closed while it waited than the view remembers,
 * `lost` is set and next returns NULL: begin again.
 */
enum map_cursor_place { MAP_CURSOR_OLDEST, MAP_CURSOR_NEWEST, MAP_CURSOR_ITERATION };
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
void map_cursor_end(struct map_cursor *cursor); /* does nothing when it is not in a view */

/*
 * A read of the view: calls done when the view is live and includes every write that was
 * acknowledged (a session's `done`) at this front-end before, for whichever session. With
 * MAP_READ_EVERYWHERE it reads the revisions of Redis first: then it also includes every write that
 * was acknowledged at another front-end before. Partitions are independent: of one it may include
 * later writes than of another.
 *
 * If changes are missing, the read waits for them; after view.wait the view is read again; after
 * redis.deadline done is called with stale set. That happens at once when Redis is unreachable and
 * the view has all that was acknowledged here, or has been unreachable for that long. known is
 * false when there has never been a complete view to answer from. Returns a handle to cancel it.
 */
enum map_read_scope { MAP_READ_HERE, MAP_READ_EVERYWHERE };
struct map_read;
typedef void (*map_read_done)(void *arg, bool known, bool stale);
struct map_read *map_read(struct map_view *view, enum map_read_scope scope, map_read_done done,
                          void *arg);
void map_read_cancel(struct map_read **read);

#endif
