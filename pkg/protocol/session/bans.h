/*
 * bans: the addresses that are not let in: those that front-ends share through Redis (map/bans.h,
 * trackerctl ban), by any protocol; those of the setting lobby.bans, as game servers and players.
 * One for the process, used by the listeners, the lobby and the master.
 */
#ifndef PROTOCOL_SESSION_BANS_H
#define PROTOCOL_SESSION_BANS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"
#include "base/list.h"
#include "map/map.h"

struct bans;

/* Notified when more may be banned than before. Its function is set by the caller. */
struct bans_watcher {
    struct list link;
    void (*changed)(struct bans_watcher *watcher);
};

/* setting: the text of lobby.bans, valid (ban_list_check). reread_ms is read at each use, and must
 * outlive it. */
struct bans *bans_create(struct map *map, const char *setting, const int64_t *reread_ms);
/* There must be no watchers. */
void bans_destroy(struct bans **bans);
/* The setting has changed: watchers are notified. */
void bans_set(struct bans *bans, const char *setting);
/* For the lobby and the master: by both lists. For all other protocols: by the shared one. */
bool bans_hold(const struct bans *bans, const struct address *address);
bool bans_hold_for_all(const struct bans *bans, const struct address *address);

void bans_watch(struct bans *bans, struct bans_watcher *watcher);
void bans_unwatch(struct bans_watcher *watcher);

#endif
