/*
 * sync_missed: what a client has not been sent because of its backlog, joined: of each entry
 * whether the client knows it, and which of its properties changed. An entry that opened and closed
 * meanwhile leaves nothing; one that closed and opened again, or that changed in too many
 * properties to remember their names, is sent as closed and opened; so are those whose names would
 * be too much for one client, together with the others'.
 */
#ifndef PROTOCOL_SYNC_MISSED_H
#define PROTOCOL_SYNC_MISSED_H

#include "protocol/sync/cache.h"

struct sync_missed_entry {
    UT_hash_handle hh;
    struct writer names;
    bool is_known; /* to the client */
    bool is_there;
    bool is_new; /* what the client knows of it is obsolete */
    bool changed;
    uint8_t id_len;
    uint8_t id[];
};

struct sync_missed {
    struct sync_missed_entry *entries;
    size_t names_size; /* of all entries */
    bool collects_names;
};

struct sync_missed *sync_missed_create(bool collects_names);
void sync_missed_destroy(struct sync_missed **missed);
/* One tick's news, before the cache is settled. is_fresh: the client was sent the map since the
 * tick before, and so knows what was shown and what vanished. */
void sync_missed_add(struct sync_missed *missed, const struct sync_cache *cache,
                     const struct sync_news *news, bool is_fresh);

/* All of it, as one changes packet. To be freed; the ranges are those of missed and cache. */
struct sync_joined {
    struct sync_news news;
    struct sync_entry *values; /* of those in news.properties; NULL when names are not collected */
    struct writer texts;
};
void sync_missed_join(const struct sync_missed *missed, const struct sync_cache *cache,
                      struct sync_joined *joined);
void sync_joined_free(struct sync_joined *joined);

#endif
