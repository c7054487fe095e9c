/* sync_cache: see the header. */
#include "protocol/sync/cache.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/sync/members.h"

void sync_cache_init(struct sync_cache *cache)
{
    *cache = (struct sync_cache){.items = NULL};
    list_init(&cache->dirty);
}

static void free_item(struct sync_cache *cache, struct sync_item *item)
{
    assert(cache->items);
    HASH_DEL(cache->items, item);
    list_remove(&item->dirty);
    writer_free(&item->names);
    free(item->json);
    free(item);
}

void sync_cache_clear(struct sync_cache *cache)
{
    struct sync_item *item, *next;
    HASH_ITER (hh, cache->items, item, next) {
        free_item(cache, item);
    }
}

static struct sync_item *find_sync_item(const struct sync_cache *cache, struct bytes id)
{
    struct sync_item *item = NULL;
    HASH_FIND(hh, cache->items, id.data, id.len, item);
    return item;
}

static struct sync_item *add_sync_item(struct sync_cache *cache, struct bytes id)
{
    struct sync_item *item = mem_zalloc(1, sizeof *item + id.len);
    list_init(&item->dirty);
    item->id_len = (uint8_t)id.len;
    memcpy(item->id, id.data, id.len);
    HASH_ADD_KEYPTR(hh, cache->items, item->id, item->id_len, item);
    return item;
}

static void mark_item_dirty(struct sync_cache *cache, struct sync_item *item)
{
    if (list_is_empty(&item->dirty)) {
        list_append(&cache->dirty, &item->dirty);
    }
}

void sync_cache_note(struct sync_cache *cache, struct bytes id, bool known)
{
    struct sync_item *item = find_sync_item(cache, id);
    if (!item) {
        item = add_sync_item(cache, id);
        item->known = known;
    }
    item->stale = true;
    item->gone = false;
    mark_item_dirty(cache, item);
}

void sync_cache_close(struct sync_cache *cache, struct bytes id)
{
    struct sync_item *item = find_sync_item(cache, id);
    if (!item) {
        return;
    }
    item->gone = true;
    mark_item_dirty(cache, item);
}

void sync_cache_announce(struct sync_cache *cache, struct bytes id)
{
    struct sync_item *item = find_sync_item(cache, id);
    if (!item) {
        return;
    }
    item->known = false;
    mark_item_dirty(cache, item);
}

/* It can be sent. */
static bool is_there(const struct sync_item *item)
{
    return !item->gone && item->json;
}

bool sync_cache_has_news(const struct sync_cache *cache)
{
    return !list_is_empty(&cache->dirty);
}

struct bytes sync_item_id(const struct sync_item *item)
{
    return (struct bytes){item->id, item->id_len};
}

struct bytes sync_item_json(const struct sync_item *item)
{
    return item->json ? (struct bytes){item->json, item->json_len} : BYTES_LITERAL("{}");
}

static void add_changed_names(const struct sync_cache *cache, struct sync_item *item,
                              struct bytes before, struct bytes json)
{
    if (bytes_equal(before, json)) {
        return;
    }
    item->changed = true;
    if (cache->collects_names) {
        sync_names_add_changes(&item->names, before, json);
    }
}

/* A client that has not been sent the entry needs all of its properties. One that existed before
 * there were clients is not news when it is read for the first time: the map that is sent to a new
 * member contains what was read. */
static void add_unsent(const struct sync_cache *cache, struct sync_item *item, struct bytes json)
{
    if (!item->known || item->unseen) {
        add_changed_names(cache, item, BYTES_LITERAL("{}"), json);
    }
}

static void set_json(const struct sync_cache *cache, struct sync_item *item, struct bytes json)
{
    struct bytes before = sync_item_json(item);
    bool is_first = !item->json;
    item->stale = false;
    if (!is_first) {
        add_changed_names(cache, item, before, json);
    }
    add_unsent(cache, item, json);
    if (!is_first && bytes_equal(before, json)) {
        return;
    }
    free(item->json);
    item->json = mem_dup(json.data, json.len);
    item->json_len = (uint32_t)json.len;
}

void sync_cache_assume(struct sync_cache *cache, struct bytes id)
{
    sync_cache_note(cache, id, false);
    struct sync_item *item = find_sync_item(cache, id);
    if (item->json) {
        return;
    }
    set_json(cache, item, BYTES_LITERAL("{}"));
    item->stale = true;
}

void sync_cache_read(struct sync_cache *cache, sync_cache_reader reader, void *arg)
{
    struct writer json = {0};
    LIST_FOREACH (node, &cache->dirty) {
        struct sync_item *item = list_entry(node, struct sync_item, dirty);
        if (!item->stale || item->gone) {
            continue;
        }
        writer_reset(&json);
        if (reader(arg, sync_item_id(item), &json) && !json.failed) {
            set_json(cache, item, writer_bytes_written(&json));
        } else if (!item->json) {
            item->known = false; /* the map that is sent now does not contain it */
        } else {
            add_unsent(cache, item, sync_item_json(item));
        }
    }
    writer_free(&json);
}

const struct sync_item *sync_cache_find(const struct sync_cache *cache, struct bytes id)
{
    const struct sync_item *item = find_sync_item(cache, id);
    return item != NULL && is_there(item) ? item : NULL;
}

struct sync_entry *sync_cache_entries(const struct sync_cache *cache, size_t *count)
{
    struct sync_entry *entries = mem_zalloc(HASH_COUNT(cache->items) + 1, sizeof *entries);
    const struct sync_item *item;
    *count = 0;
    for (item = cache->items; item; item = item->hh.next) {
        if (is_there(item)) {
            entries[(*count)++] = (struct sync_entry){sync_item_id(item), sync_item_json(item)};
        }
    }
    return entries;
}

void sync_cache_show(struct sync_cache *cache)
{
    LIST_FOREACH (node, &cache->dirty) {
        struct sync_item *item = list_entry(node, struct sync_item, dirty);
        item->shown |= is_there(item);
        item->unseen |= item->gone && item->known;
    }
}

static size_t count_dirty(const struct sync_cache *cache)
{
    size_t count = 0;
    LIST_FOREACH (node, &cache->dirty) {
        count++;
    }
    return count;
}

static void collect_item(struct sync_news *news, const struct sync_item *item)
{
    struct bytes id = sync_item_id(item);
    if (!item->json) {
        return; /* it has not been sent, and is not now */
    }
    if (item->gone) {
        if (item->known) {
            news->closed[news->closed_count++] = id;
        } else if (item->shown) {
            news->vanished[news->vanished_count++] = id;
        }
        return;
    }
    if (!item->known || item->unseen) {
        news->opened[news->opened_count++] = id;
    }
    if (item->changed) {
        news->properties[news->properties_count++] = id;
    }
}

void sync_cache_collect(const struct sync_cache *cache, struct sync_news *news)
{
    size_t most = count_dirty(cache);
    struct bytes *lists = mem_zalloc(4 * most + 1, sizeof *lists);
    *news = (struct sync_news){.opened = lists,
                               .closed = lists + most,
                               .properties = lists + 2 * most,
                               .vanished = lists + 3 * most};
    LIST_FOREACH (node, &cache->dirty) {
        collect_item(news, list_entry(node, struct sync_item, dirty));
    }
}

bool sync_news_is_empty(const struct sync_news *news)
{
    return news->opened_count + news->closed_count + news->properties_count +
               news->vanished_count ==
           0;
}

void sync_news_free(struct sync_news *news)
{
    free(news->opened); /* the other lists follow it in the same memory */
    *news = (struct sync_news){.opened = NULL};
}

void sync_cache_settle(struct sync_cache *cache)
{
    LIST_FOREACH (node, &cache->dirty) {
        struct sync_item *item = list_entry(node, struct sync_item, dirty);
        if (item->gone) {
            free_item(cache, item);
            continue;
        }
        if (!item->json) {
            continue;
        }
        item->known = true;
        item->shown = item->unseen = item->changed = false;
        writer_free(&item->names);
        if (!item->stale) {
            list_remove(&item->dirty);
        }
    }
}
