/*
 * presence: who of those that somebody here watches is there.
 *
 * What is watched is a name: a user's id, or an entry's. A user is derived from all devices (busy
 * when one is, online when there is one, offline when the last has been gone for
 * presence.offline_delay); an entry that is no device of a user is online while it exists. A name
 * can be both: then whichever says more counts.
 *
 * For each watched name the front-end keeps one subscription, to presence:<name>, and its status:
 * it subscribes before it reads, and `seq` of the partition orders the two. All are read again
 * after the loss of a link, at a new epoch (where nobody is told offline before the hold ended),
 * and in turn every presence.reread.
 */
#ifndef PRESENCE_PRESENCE_H
#define PRESENCE_PRESENCE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/bytes.h"
#include "base/list.h"
#include "map/map.h"
#include "map/session.h"

struct map_feature;
/* To be added to each map (map/feature.h), behind relay_feature. */
extern const struct map_feature presence_feature;

struct map_presence_set; /* what one service watches in one space */
struct map_presence;     /* a watched name */

/* One that watches one name; embedded in whatever the watcher keeps for each. */
struct map_presence_watch {
    struct list link; /* the presence's */
    struct map_presence *presence;
};

struct map_presence_callbacks {
    /* The status differs from what was known, or has become known (first). Told once, in
     * LOOP_PHASE_VIEW; of one name in the order in which it happened, what one turn brought
     * joined. The watches of it are map_presence_watches. */
    void (*changed)(void *arg, struct map_presence *presence, bool first);
};

struct map_presence_set *map_presence_create(struct map_space *space,
                                             const struct map_presence_callbacks *callbacks,
                                             void *arg);
/* All watches must have been taken back. */
void map_presence_destroy(struct map_presence_set **set);
void map_presence_watch(struct map_presence_set *set, struct bytes name,
                        struct map_presence_watch *watch);
void map_presence_unwatch(struct map_presence_watch *watch);

struct bytes map_presence_name(const struct map_presence *presence);
/* False while it has never been told: then the status is MAP_OFFLINE. Both are as they were told
 * last, so that who asks is ahead of no `changed`. */
bool map_presence_is_known(const struct map_presence *presence);
enum map_status map_presence_status(const struct map_presence *presence);
/* List of struct map_presence_watch, by link. */
struct list *map_presence_watches(struct map_presence *presence);
size_t map_presence_count(const struct map_presence_set *set); /* names */

/* Drops the connections of the user's devices that are older than keep_id, on any front-end; of
 * none, when that is gone itself. */
void map_user_drop_others(struct map_session *session, struct bytes user, struct bytes keep_id);

#endif
