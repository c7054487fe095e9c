/*
 * sorted: the entries of a view in the order of their ids. What was opened since the order was last
 * asked for is sorted and merged into it: so a list that is read again and again costs a sort of
 * what has changed, and one pass.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "view/view_private.h"

#define HOLES_MIN 1024 /* beyond, and when they are most of it, the order is made anew */

static int compare_entry_ids(const void *a, const void *b, void *steps)
{
    ++*(uint64_t *)steps;
    return bytes_compare(map_entry_id(*(struct map_entry *const *)a),
                         map_entry_id(*(struct map_entry *const *)b));
}

void sorted_free(struct sorted_entries *sorted)
{
    free(sorted->entries);
    *sorted = (struct sorted_entries){.steps = sorted->steps};
}

void sorted_add(struct sorted_entries *sorted, struct map_entry *entry)
{
    entry->sorted_place = 0;
    if (!sorted->is_used) {
        return;
    }
    if (sorted->count == sorted->capacity) {
        sorted->capacity = sorted->capacity > 0 ? 2 * sorted->capacity : 64;
        sorted->entries =
            mem_realloc(sorted->entries, sorted->capacity * sizeof(struct map_entry *));
    }
    sorted->entries[sorted->count++] = entry;
    entry->sorted_place = (uint32_t)sorted->count;
}

void sorted_remove(struct sorted_entries *sorted, struct map_entry *entry)
{
    if (!sorted->is_used) {
        return;
    }
    sorted->entries[entry->sorted_place - 1] = NULL;
    sorted->holes++;
    if (sorted->holes > HOLES_MIN && sorted->holes > sorted->count / 2) {
        sorted_free(sorted); /* nobody has asked for it for long */
    }
}

/* Without the holes; returns how many are left. */
static size_t compact_entries(struct map_entry **entries, size_t count)
{
    size_t left = 0;
    for (size_t i = 0; i < count; i++) {
        if (entries[i]) {
            entries[left++] = entries[i];
        }
    }
    return left;
}

static void collect_entries(struct map_view *view)
{
    struct sorted_entries *sorted = &view->sorted;
    sorted->is_used = true;
    for (struct map_entry *entry = view->entries; entry; entry = entry->hh.next) {
        sorted_add(sorted, entry);
        sorted->steps++;
    }
}

/* The tail, which is in order too, is merged into the first ones, from the end. */
static void merge_tail(struct sorted_entries *sorted, size_t first, size_t tail)
{
    struct map_entry **moved = mem_alloc((tail + 1) * sizeof(struct map_entry *));
    size_t to = first + tail;
    memcpy(moved, sorted->entries + first, tail * sizeof(struct map_entry *));
    while (tail > 0) {
        if (first > 0 &&
            compare_entry_ids(&sorted->entries[first - 1], &moved[tail - 1], &sorted->steps) > 0) {
            sorted->entries[--to] = sorted->entries[--first];
        } else {
            sorted->entries[--to] = moved[--tail];
        }
    }
    free(moved);
}

size_t sorted_update(struct map_view *view)
{
    struct sorted_entries *sorted = &view->sorted;
    size_t first, tail;
    if (!sorted->is_used) {
        collect_entries(view);
    }
    if (sorted->holes == 0 && sorted->sorted == sorted->count) {
        return sorted->count;
    }
    sorted->steps += sorted->count;
    first = compact_entries(sorted->entries, sorted->sorted);
    tail = compact_entries(sorted->entries + sorted->sorted, sorted->count - sorted->sorted);
    if (tail > 0) {
        memmove(sorted->entries + first, sorted->entries + sorted->sorted,
                tail * sizeof(struct map_entry *));
        qsort_r(sorted->entries + first, tail, sizeof(struct map_entry *), compare_entry_ids,
                &sorted->steps);
        merge_tail(sorted, first, tail);
    }
    sorted->sorted = sorted->count = first + tail;
    sorted->holes = 0;
    for (size_t i = 0; i < sorted->count; i++) {
        sorted->entries[i]->sorted_place = (uint32_t)i + 1;
    }
    return sorted->count;
}
