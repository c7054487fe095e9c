/* sync_missed: see the header. */
#include "protocol/sync/missed.h"

#include <stdlib.h>
#include <string.h>

#include "protocol/sync/members.h"

/* Bytes of one entry's names, and of all that are kept for a client; beyond that all of an entry is
 * sent. */
#define NAMES_MAX     8192
#define ALL_NAMES_MAX 65536

struct sync_missed *sync_missed_create(bool collects_names)
{
    struct sync_missed *missed = mem_zalloc(1, sizeof *missed);
    missed->collects_names = collects_names;
    return missed;
}

static void forget_missed_names(struct sync_missed *missed, struct sync_missed_entry *entry)
{
    missed->names_size -= entry->names.len;
    writer_free(&entry->names);
}

static void forget_missed_entry(struct sync_missed *missed, struct sync_missed_entry *entry)
{
    HASH_DEL(missed->entries, entry);
    forget_missed_names(missed, entry);
    free(entry);
}

void sync_missed_destroy(struct sync_missed **pointer)
{
    struct sync_missed *missed = *pointer;
    struct sync_missed_entry *entry, *next;
    *pointer = NULL;
    if (!missed) {
        return;
    }
    HASH_ITER (hh, missed->entries, entry, next) {
        forget_missed_entry(missed, entry);
    }
    free(missed);
}

static struct sync_missed_entry *find_missed_entry(const struct sync_missed *missed,
                                                   struct bytes id)
{
    struct sync_missed_entry *entry = NULL;
    HASH_FIND(hh, missed->entries, id.data, id.len, entry);
    return entry;
}

/* The entry's record; is_known: of a new one, whether the client knows the entry. */
static struct sync_missed_entry *find_or_add_missed(struct sync_missed *missed, struct bytes id,
                                                    bool is_known)
{
    struct sync_missed_entry *entry = find_missed_entry(missed, id);
    if (entry) {
        return entry;
    }
    entry = mem_zalloc(1, sizeof *entry + id.len);
    entry->is_known = is_known;
    entry->is_there = true;
    entry->id_len = (uint8_t)id.len;
    memcpy(entry->id, id.data, id.len);
    HASH_ADD_KEYPTR(hh, missed->entries, entry->id, entry->id_len, entry);
    return entry;
}

static const struct sync_item *find_missed_item(const struct sync_cache *cache, struct bytes id)
{
    const struct sync_item *item = NULL;
    HASH_FIND(hh, cache->items, id.data, id.len, item);
    return item;
}

static void mark_missed_new(struct sync_missed *missed, struct sync_missed_entry *entry)
{
    entry->is_new = true;
    forget_missed_names(missed, entry);
}

/* What is opened for others may be known to this client: from before, or as it has just joined. */
static void add_opened(struct sync_missed *missed, const struct sync_cache *cache, struct bytes id,
                       bool is_fresh)
{
    const struct sync_item *item = find_missed_item(cache, id);
    bool is_known = item != NULL && (item->known || (is_fresh && item->shown));
    struct sync_missed_entry *entry = find_or_add_missed(missed, id, is_known);
    entry->is_there = true;
    if (item && item->unseen) {
        mark_missed_new(missed, entry); /* whether it is known is uncertain */
    }
}

static void add_closed(struct sync_missed *missed, struct bytes id)
{
    struct sync_missed_entry *entry = find_or_add_missed(missed, id, true);
    if (!entry->is_known) {
        forget_missed_entry(missed, entry);
        return;
    }
    entry->is_there = false;
    mark_missed_new(missed, entry);
}

static void add_properties(struct sync_missed *missed, const struct sync_cache *cache,
                           struct bytes id)
{
    struct sync_missed_entry *entry = find_or_add_missed(missed, id, true);
    const struct sync_item *item = find_missed_item(cache, id);
    entry->changed = true;
    if (!missed->collects_names || !entry->is_known || entry->is_new || !item) {
        return;
    }
    missed->names_size -= entry->names.len;
    sync_names_add(&entry->names, writer_bytes_written(&item->names));
    missed->names_size += entry->names.len;
    if (entry->names.len > NAMES_MAX || missed->names_size > ALL_NAMES_MAX) {
        mark_missed_new(missed, entry);
    }
}

void sync_missed_add(struct sync_missed *missed, const struct sync_cache *cache,
                     const struct sync_news *news, bool is_fresh)
{
    for (size_t i = 0; i < news->opened_count; i++) {
        add_opened(missed, cache, news->opened[i], is_fresh);
    }
    for (size_t i = 0; i < news->properties_count; i++) {
        add_properties(missed, cache, news->properties[i]);
    }
    for (size_t i = 0; i < news->closed_count; i++) {
        add_closed(missed, news->closed[i]);
    }
    for (size_t i = 0; is_fresh && i < news->vanished_count; i++) {
        add_closed(missed, news->vanished[i]);
    }
}

static bool has_properties_to_send(const struct sync_missed_entry *entry,
                                   const struct sync_item *item)
{
    return entry->is_known && !entry->is_new
               ? entry->changed
               : !bytes_equal(sync_item_json(item), BYTES_LITERAL("{}"));
}

/* Appends the properties that are sent. */
static void write_missed_values(struct writer *to, const struct sync_missed_entry *entry,
                                const struct sync_item *item)
{
    if (entry->is_known && !entry->is_new) {
        sync_members_write(to, sync_item_json(item), writer_bytes_written(&entry->names));
    } else {
        writer_bytes(to, sync_item_json(item));
    }
}

static void join_missed_entry(struct sync_joined *joined, const struct sync_missed_entry *entry,
                              const struct sync_item *item, size_t *ends)
{
    struct sync_news *news = &joined->news;
    struct bytes id = {entry->id, entry->id_len};
    if (entry->is_known && (entry->is_new || !entry->is_there)) {
        news->closed[news->closed_count++] = id;
    }
    if (!entry->is_there || !item) {
        return;
    }
    if (entry->is_new || !entry->is_known) {
        news->opened[news->opened_count++] = id;
    }
    if (!has_properties_to_send(entry, item)) {
        return;
    }
    if (joined->values) {
        write_missed_values(&joined->texts, entry, item);
        joined->values[news->properties_count].token = id;
        ends[news->properties_count] = joined->texts.len;
    }
    news->properties[news->properties_count++] = id;
}

void sync_missed_join(const struct sync_missed *missed, const struct sync_cache *cache,
                      struct sync_joined *joined)
{
    size_t most = HASH_COUNT(missed->entries), start = 0;
    struct bytes *lists = mem_zalloc(3 * most + 1, sizeof *lists);
    size_t *ends = mem_zalloc(most + 1, sizeof *ends);
    const struct sync_missed_entry *entry;
    *joined = (struct sync_joined){
        .news = {.opened = lists, .closed = lists + most, .properties = lists + 2 * most}};
    if (missed->collects_names) {
        joined->values = mem_zalloc(most + 1, sizeof *joined->values);
    }
    for (entry = missed->entries; entry; entry = entry->hh.next) {
        join_missed_entry(joined, entry,
                          find_missed_item(cache, (struct bytes){entry->id, entry->id_len}), ends);
    }
    /* The texts do not move from now on. */
    for (size_t i = 0; joined->values && i < joined->news.properties_count; i++) {
        joined->values[i].properties = (struct bytes){joined->texts.data + start, ends[i] - start};
        start = ends[i];
    }
    free(ends);
}

void sync_joined_free(struct sync_joined *joined)
{
    sync_news_free(&joined->news);
    free(joined->values);
    writer_free(&joined->texts);
}
