/*
 * presence: the status of the names that this front-end's clients watch.
 *
 * A name is the id of a user or of an entry. A user's status follows from its devices: busy when
 * one of them is busy, online when there is any, offline once the last has been gone for
 * presence.offline_delay. An entry that is not a user's device is online while it exists. When a
 * name is both, the higher status counts.
 *
 * For each watched name the front-end has one subscription, to presence:<name>, and the status. It
 * subscribes before it reads; the partition's `seq` orders messages and reads. All names are read
 * again after a link was lost and at a new epoch (in which no name goes offline before the recovery
 * grace has passed), and over time, each once in presence.reread.
 */
#ifndef PRESENCE_PRESENCE_H
#define PRESENCE_PRESENCE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/address.h"
#include "base/bytes.h"
#include "base/list.h"
#include "map/map.h"
#include "map/session.h"

struct map_feature;
/* To be added to each map (map/feature.h), behind relay_feature. */
extern const struct map_feature presence_feature;

struct presence_set; /* the names that one service watches in one space */
struct watched_name;

/* What the watchers of one address (IPv6: /64) have watched here, in memory. */
struct presence_account;

/* One watcher of one name; embedded in what the watcher keeps for it. */
struct presence_watch {
    struct list link; /* the presence's */
    struct watched_name *presence;
    struct presence_account *account; /* set by the watcher; NULL: of no address */
};

struct presence_callbacks {
    /* The status has changed, or has become known (first). Called once per name and event-loop
     * iteration, in LOOP_PHASE_VIEW; several changes in one iteration are merged. Its watchers are
     * presence_watches. */
    void (*changed)(void *arg, struct watched_name *presence, bool first);
};

struct presence_set *presence_set_create(struct map_space *space,
                                         const struct presence_callbacks *callbacks, void *arg);
/* All its names must have been unwatched. */
void presence_set_destroy(struct presence_set **set);
/* NULL for addresses that are neither IPv4 nor IPv6. To be closed; its watches keep it. */
struct presence_account *presence_account_open(struct presence_set *set,
                                               const struct address *address);
void presence_account_close(struct presence_account **account);
/* Bytes that one more watch of the name takes. */
size_t presence_cost(const struct presence_set *set, struct bytes name);
/* NULL: that many bytes more are allowed; else why not (static text), by presence.max_per_address
 * or presence.max_total. The caller asks before it watches. */
const char *presence_refuses(const struct presence_set *set, const struct presence_account *account,
                             size_t cost) __attribute__((warn_unused_result));
void presence_watch(struct presence_set *set, struct bytes name, struct presence_watch *watch);
void presence_unwatch(struct presence_watch *watch);

struct bytes presence_name(const struct watched_name *presence);
/* False before the first call of `changed`; the status is MAP_OFFLINE then. Both are as of the last
 * call of `changed`, so that a caller never sees a status before its watchers do. */
bool presence_is_known(const struct watched_name *presence);
enum map_status presence_status(const struct watched_name *presence);
/* List of struct presence_watch, by link. */
struct list *presence_watches(struct watched_name *presence);
size_t presence_set_count(const struct presence_set *set); /* names */

/* Drops the connections of the user's devices that are older than the device keep_id, on any
 * front-end; none when that device does not exist any more. */
void presence_drop_other_devices(struct map_session *session, struct bytes user,
                                 struct bytes keep_id);

#endif
