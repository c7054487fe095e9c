/*
 * sync_cache: what the clients of a space are sent about its entries: of each entry, its properties
 * as JSON, encoded again only when they changed, and what is new about it since the last tick.
 *
 * Between ticks entries are only noted. sync_cache_read brings the noted ones up to date, at a tick
 * and when a new member is sent the map; sync_cache_collect lists what a tick has to send, and
 * sync_cache_settle marks it as sent. An entry that could not be read is sent to no client, and
 * stays noted until it has been read or closed. Knows neither clients nor the map.
 */
#ifndef PROTOCOL_SYNC_CACHE_H
#define PROTOCOL_SYNC_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/hash.h"
#include "base/list.h"
#include "base/mem.h"
#include "codec/sync.h"

struct sync_item {
    UT_hash_handle hh;
    struct list dirty;   /* the cache's; in no list: nothing is new */
    struct writer names; /* of the properties that changed, when they are collected */
    uint8_t *json;       /* its properties, as they were read last; NULL: never */
    uint32_t json_len;
    bool stale;   /* they may have changed since */
    bool gone;    /* it was closed */
    bool known;   /* all clients know that it exists, but for those for whom it is unseen */
    bool shown;   /* a client that joined since the last tick knows it */
    bool unseen;  /* a client that joined since the last tick does not: it was closed then */
    bool changed; /* its properties did */
    uint8_t id_len;
    uint8_t id[];
};

struct sync_cache {
    struct sync_item *items;
    struct list dirty;
    bool collects_names;
};

/* Writes the properties of an entry as a JSON object; false when there is none of that id. */
typedef bool (*sync_cache_reader)(void *arg, struct bytes id, struct writer *to);

void sync_cache_init(struct sync_cache *cache);
/* Forgets everything. */
void sync_cache_clear(struct sync_cache *cache);
/* The entry exists, or has changed. known: it existed before there were clients, and is not news.
 */
void sync_cache_note(struct sync_cache *cache, struct bytes id, bool known);
void sync_cache_close(struct sync_cache *cache, struct bytes id);
/* Makes an entry that was noted as known one that has just opened. */
void sync_cache_announce(struct sync_cache *cache, struct bytes id);
/* An entry that must exist, as its client is connected here, but that the map does not have yet:
 * without properties until it has been read. It has to be closed when the client leaves before. */
void sync_cache_assume(struct sync_cache *cache, struct bytes id);
/* Something is noted: news, or what could not be read yet. */
bool sync_cache_has_news(const struct sync_cache *cache);
void sync_cache_read(struct sync_cache *cache, sync_cache_reader reader, void *arg);
/* NULL when it does not exist, or could not be read yet. */
const struct sync_item *sync_cache_find(const struct sync_cache *cache, struct bytes id);
struct bytes sync_item_id(const struct sync_item *item);
struct bytes sync_item_json(const struct sync_item *item);
/* All that exist and have been read, oldest first, to be freed. */
struct sync_entry *sync_cache_entries(const struct sync_cache *cache, size_t *count);
/* A new member has been sent all that exist and have been read. */
void sync_cache_show(struct sync_cache *cache);

/* What a tick sends. The ranges are the cache's until it is settled. */
struct sync_news {
    struct bytes *opened;
    size_t opened_count;
    struct bytes *closed;
    size_t closed_count;
    struct bytes *properties;
    size_t properties_count;
    struct bytes *vanished; /* opened and closed; only clients to whom they were shown know them */
    size_t vanished_count;
};
/* After sync_cache_read. To be freed by sync_news_free. */
void sync_cache_collect(const struct sync_cache *cache, struct sync_news *news);
bool sync_news_is_empty(const struct sync_news *news);
void sync_news_free(struct sync_news *news);
void sync_cache_settle(struct sync_cache *cache);

#endif
