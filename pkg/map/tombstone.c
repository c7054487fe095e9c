/*
 * tombstone: the ends of entries that batches of this front-end have made, for a Redis that comes
 * back older and still has these entries.
 *
 * An id belongs to one entry at a time. So an entry that was opened no later than one of the same
 * id that has ended, has ended too; one that was opened later has not. In a new epoch each end is
 * repeated before anything else of this front-end: the operation `ended` ends that entry, or one
 * before it, in whichever index it is. Where the view shows an entry with the id, the front-end
 * that has it is given time to restore it first; and an entry that is listed for a live front-end
 * waits until that front-end has compared its index (owned_audit.c), which it does when its hello
 * is answered: so the end is repeated soon, before views are read in the new epoch, and then at
 * longer intervals. When a session
 * here comes to own the id, its tombstone is forgotten.
 */
#include "map/tombstone_private.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/ids.h"
#include "base/mem.h"
#include "loop/loop.h"
#include "map/map_private.h"
#include "map/op_private.h"
#include "map/owned_private.h"
#include "map/partition_private.h"
#include "map/space_private.h"
#include "view/view.h"

/* Until an end is repeated that could not be decided, for the first time; and later. */
#define SOON_MS  100
#define LATER_MS 1000

struct tombstone {
    UT_hash_handle hh;  /* by id, in its partition */
    struct list by_age; /* of all partitions */
    struct partition *partition;
    struct list waiting; /* in its partition's due, soon or later, or in none */
    uint64_t forget_at;
    uint64_t due_ms; /* in soon and later: when it is repeated */
    uint64_t since;  /* when the entry was opened; Redis's clock */
    uint64_t version;
    char fence[ID_FENCE_LENGTH + 1];
    bool is_deferred; /* in this epoch it could not be decided once */
    uint8_t id_len;
    char id[];
};

void tombstones_init(struct tombstones *tombstones)
{
    list_init(&tombstones->due);
    list_init(&tombstones->soon);
    list_init(&tombstones->later);
}

static struct bytes id_of_tombstone(const struct tombstone *tombstone)
{
    return (struct bytes){(const uint8_t *)tombstone->id, tombstone->id_len};
}

static struct tombstone *find_tombstone(const struct partition *partition, struct bytes id)
{
    struct tombstone *tombstone = NULL;
    HASH_FIND(hh, partition->tombstones.table, id.data, id.len, tombstone);
    return tombstone;
}

static void drop_tombstone(struct tombstone *tombstone)
{
    struct partition *partition = tombstone->partition;
    assert(partition->tombstones.table); /* it is one of them */
    HASH_DEL(partition->tombstones.table, tombstone);
    partition->map->tombstone_count--;
    list_remove(&tombstone->by_age);
    list_remove(&tombstone->waiting);
    free(tombstone);
}

static struct tombstone *oldest_tombstone(const struct map *map)
{
    return list_entry(map->tombstones.next, struct tombstone, by_age);
}

void tombstone_remember(struct partition *partition, struct bytes id, uint64_t since,
                        uint64_t version, struct bytes fence)
{
    struct map *map = partition->map;
    const struct map_settings *settings = map->settings;
    tombstone_forget(partition, id);
    if (settings->close_memory == 0 || settings->close_memory_max == 0 ||
        fence.len > ID_FENCE_LENGTH) {
        return;
    }
    while (map->tombstone_count >= (size_t)settings->close_memory_max) {
        drop_tombstone(oldest_tombstone(map));
    }
    struct tombstone *tombstone = mem_zalloc(1, sizeof *tombstone + id.len);
    tombstone->partition = partition;
    tombstone->forget_at = loop_now_ms(map->loop) + (uint64_t)settings->close_memory;
    tombstone->since = since;
    tombstone->version = version;
    memcpy(tombstone->fence, fence.data, fence.len);
    tombstone->id_len = (uint8_t)id.len;
    memcpy(tombstone->id, id.data, id.len);
    list_init(&tombstone->waiting);
    list_append(&map->tombstones, &tombstone->by_age);
    map->tombstone_count++;
    HASH_ADD_KEYPTR(hh, partition->tombstones.table, tombstone->id, tombstone->id_len, tombstone);
}

void tombstone_forget(struct partition *partition, struct bytes id)
{
    struct tombstone *tombstone = find_tombstone(partition, id);
    if (tombstone) {
        drop_tombstone(tombstone);
    }
}

/* All in one list wait equally long, so it is in the order of due_ms. */
static void repeat_later(struct tombstone *tombstone, struct list *list, uint64_t delay_ms)
{
    tombstone->due_ms = loop_now_ms(tombstone->partition->map->loop) + delay_ms;
    list_remove(&tombstone->waiting);
    list_append(list, &tombstone->waiting);
}

static const struct map_entry *find_in_view(const struct map_space *space, struct bytes id)
{
    return space->view ? map_view_find(space->view, id) : NULL;
}

/* Whether the view shows an entry that was opened after this end: that one must not be ended,
 * whatever an older Redis lists. With the same `since` only the event of the end is missing. */
static bool was_opened_again(const struct map_entry *shown, const struct tombstone *tombstone)
{
    struct bytes since = map_entry_field(shown, "since");
    return since.len > 0 && bytes_decimal(since) != tombstone->since;
}

void tombstones_repeat(struct partition *partition)
{
    const struct map_settings *settings = partition->map->settings;
    partition->tombstones.until_ms = loop_now_ms(partition->map->loop) +
                                     (uint64_t)(settings->recovery_grace + settings->lease) +
                                     2 * LATER_MS;
    struct tombstone *tombstone, *next;
    HASH_ITER (hh, partition->tombstones.table, tombstone, next) {
        list_remove(&tombstone->waiting);
        tombstone->is_deferred = false;
        const struct map_entry *shown = find_in_view(partition->space, id_of_tombstone(tombstone));
        if (shown && was_opened_again(shown, tombstone)) {
            drop_tombstone(tombstone);
        } else if (shown) {
            repeat_later(tombstone, &partition->tombstones.later, LATER_MS);
        } else {
            list_append(&partition->tombstones.due, &tombstone->waiting);
        }
    }
}

struct op *tombstone_next(struct partition *partition)
{
    while (!list_is_empty(&partition->tombstones.due)) {
        struct tombstone *tombstone =
            list_entry(partition->tombstones.due.next, struct tombstone, waiting);
        struct bytes id = id_of_tombstone(tombstone);
        if (owned_find(partition, id)) {
            drop_tombstone(tombstone);
            continue;
        }
        struct op *op = op_create(partition, OP_ENDED, id);
        memcpy(op->fence, tombstone->fence, sizeof op->fence);
        op->version = tombstone->version;
        op->of.since = tombstone->since;
        list_remove(&tombstone->waiting);
        return op;
    }
    return NULL;
}

void tombstone_requeue(struct partition *partition, struct bytes id)
{
    struct tombstone *tombstone = find_tombstone(partition, id);
    if (!tombstone) {
        return;
    }
    list_remove(&tombstone->waiting);
    list_append(&partition->tombstones.due, &tombstone->waiting);
}

void tombstone_defer(struct partition *partition, struct bytes id)
{
    struct tombstone *tombstone = find_tombstone(partition, id);
    if (!tombstone || loop_now_ms(partition->map->loop) >= partition->tombstones.until_ms) {
        return;
    }
    if (tombstone->is_deferred) {
        repeat_later(tombstone, &partition->tombstones.later, LATER_MS);
    } else {
        tombstone->is_deferred = true;
        repeat_later(tombstone, &partition->tombstones.soon, SOON_MS);
    }
}

static void requeue_due(struct partition *partition, const struct list *list, uint64_t now_ms)
{
    while (!list_is_empty(list)) {
        struct tombstone *tombstone = list_entry(list->next, struct tombstone, waiting);
        if (tombstone->due_ms > now_ms) {
            return;
        }
        tombstone_requeue(partition, id_of_tombstone(tombstone));
        partition_wake(partition);
    }
}

void tombstones_tick(struct partition *partition, uint64_t now_ms)
{
    struct map *map = partition->map;
    while (!list_is_empty(&map->tombstones) && oldest_tombstone(map)->forget_at <= now_ms) {
        drop_tombstone(oldest_tombstone(map));
    }
    requeue_due(partition, &partition->tombstones.soon, now_ms);
    requeue_due(partition, &partition->tombstones.later, now_ms);
}

void tombstones_free(struct partition *partition)
{
    struct tombstone *tombstone, *next;
    HASH_ITER (hh, partition->tombstones.table, tombstone, next) {
        drop_tombstone(tombstone);
    }
}
