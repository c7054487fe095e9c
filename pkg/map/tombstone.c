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
/* Ends that one is remembered for are forgotten when the maximum has become smaller. */
#define FORGOTTEN_EACH 64

struct tombstone {
    UT_hash_handle hh;  /* by id, in its partition */
    struct list by_age; /* of all partitions */
    struct partition *partition;
    struct list waiting; /* in its partition's idle, due, soon or later */
    uint64_t forget_at;
    uint64_t due_ms; /* in soon and later: when it is repeated */
    uint64_t since;  /* when the entry was opened; Redis's clock */
    uint64_t version;
    char fence[ID_FENCE_LENGTH + 1];
    bool is_deferred; /* in the epoch `epochs` it could not be decided once */
    uint8_t id_len;
    unsigned epochs; /* its partition's, when it was made or last looked at */
    char id[];
};

void tombstones_init(struct tombstones *tombstones)
{
    list_init(&tombstones->idle);
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

/* Those whose time is over by now_ms, and as many as there are beyond most; up to `up_to`. Whether
 * that was all. */
static bool forget_oldest(struct map *map, uint64_t now_ms, size_t most, unsigned up_to)
{
    while (!list_is_empty(&map->tombstones) &&
           (map->tombstone_count > most || oldest_tombstone(map)->forget_at <= now_ms)) {
        if (up_to-- == 0) {
            return false;
        }
        drop_tombstone(oldest_tombstone(map));
    }
    return true;
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
    (void)forget_oldest(map, 0, (size_t)settings->close_memory_max - 1, FORGOTTEN_EACH);
    struct tombstone *tombstone = mem_zalloc(1, sizeof *tombstone + id.len);
    tombstone->partition = partition;
    tombstone->forget_at = loop_now_ms(map->loop) + (uint64_t)settings->close_memory;
    tombstone->since = since;
    tombstone->version = version;
    memcpy(tombstone->fence, fence.data, fence.len);
    tombstone->id_len = (uint8_t)id.len;
    memcpy(tombstone->id, id.data, id.len);
    tombstone->epochs = partition->epochs;
    list_append(&partition->tombstones.idle, &tombstone->waiting);
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
    struct tombstones *tombstones = &partition->tombstones;
    const struct map_settings *settings = partition->map->settings;
    tombstones->until_ms = loop_now_ms(partition->map->loop) +
                           (uint64_t)(settings->recovery_grace + settings->lease) + 2 * LATER_MS;
    list_move_all(&tombstones->soon, &tombstones->due);
    list_move_all(&tombstones->later, &tombstones->due);
    list_move_all(&tombstones->idle, &tombstones->due);
}

/* NULL: none is due. */
static struct tombstone *first_due(const struct partition *partition)
{
    const struct tombstones *tombstones = &partition->tombstones;
    uint64_t now_ms = loop_now_ms(partition->map->loop);
    if (!list_is_empty(&tombstones->due)) {
        return list_entry(tombstones->due.next, struct tombstone, waiting);
    }
    const struct list *lists[] = {&tombstones->soon, &tombstones->later};
    for (size_t i = 0; i < 2; i++) {
        if (!list_is_empty(lists[i])) {
            struct tombstone *first = list_entry(lists[i]->next, struct tombstone, waiting);
            if (first->due_ms <= now_ms) {
                return first;
            }
        }
    }
    return NULL;
}

bool tombstones_are_due(const struct partition *partition)
{
    return first_due(partition) != NULL;
}

/* Whether it is repeated now, when it comes first in this epoch. If not, it waits, or is gone. */
static bool begin_repetition(struct tombstone *tombstone)
{
    struct partition *partition = tombstone->partition;
    const struct map_entry *shown = find_in_view(partition->space, id_of_tombstone(tombstone));
    tombstone->epochs = partition->epochs;
    tombstone->is_deferred = false;
    if (shown && was_opened_again(shown, tombstone)) {
        drop_tombstone(tombstone);
    } else if (shown) {
        repeat_later(tombstone, &partition->tombstones.later, LATER_MS);
    }
    return !shown;
}

static struct op *make_repetition(struct tombstone *tombstone)
{
    struct partition *partition = tombstone->partition;
    struct op *op = op_create(partition, OP_ENDED, id_of_tombstone(tombstone));
    memcpy(op->fence, tombstone->fence, sizeof op->fence);
    op->version = tombstone->version;
    op->of.since = tombstone->since;
    list_remove(&tombstone->waiting);
    list_append(&partition->tombstones.idle, &tombstone->waiting);
    return op;
}

static bool may_visit(struct partition *partition)
{
    struct tombstones *tombstones = &partition->tombstones;
    uint64_t iteration = loop_iteration_count(partition->map->loop);
    if (tombstones->iteration != iteration) {
        tombstones->iteration = iteration;
        tombstones->visits = 0;
    }
    return tombstones->visits < TOMBSTONE_VISITS;
}

struct op *tombstone_next(struct partition *partition)
{
    struct tombstone *tombstone;
    while (may_visit(partition) && (tombstone = first_due(partition))) {
        partition->tombstones.visits++;
        if (owned_find(partition, id_of_tombstone(tombstone))) {
            drop_tombstone(tombstone);
        } else if (tombstone->epochs == partition->epochs || begin_repetition(tombstone)) {
            return make_repetition(tombstone);
        }
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

void tombstones_tick(struct partition *partition, uint64_t now_ms)
{
    struct map *map = partition->map;
    if (!forget_oldest(map, now_ms, (size_t)map->settings->close_memory_max, TOMBSTONE_VISITS)) {
        map_tick_at(map, now_ms);
    }
    if (tombstones_are_due(partition)) {
        partition_wake(partition);
    }
}

void tombstones_free(struct partition *partition)
{
    struct tombstone *tombstone, *next;
    HASH_ITER (hh, partition->tombstones.table, tombstone, next) {
        drop_tombstone(tombstone);
    }
}
