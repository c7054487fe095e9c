/*
 * view: the contents: entries, and the changes of an event-loop iteration.
 *
 * Changes are collected until LOOP_PHASE_VIEW, when each watcher receives them in one call. Until
 * the view has been complete once, watchers receive nothing; then `live`.
 */
#include "view/view.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "metrics/metrics.h"
#include "view/change.h"
#include "view/view_private.h"

static void view_check_live(struct map_view *view)
{
    if (view->live) {
        return;
    }
    for (uint32_t i = 0; i < view->part_count; i++) {
        if (!part_was_complete(&view->parts[i])) {
            return;
        }
    }
    view->live = true;
    LIST_FOREACH (node, &view->watchers) {
        struct map_watcher *watcher = list_entry(node, struct map_watcher, link);
        watcher->live(watcher);
    }
}

static void notify_view_watchers(void *arg);
static void on_view_linger_timeout(void *arg);
static void on_read_timer(void *arg);

struct map_view *view_create(const struct view_source *source)
{
    struct map_view *view = mem_zalloc(1, sizeof *view + source->partitions * sizeof *view->parts);
    view->source = *source;
    view->part_count = source->partitions;
    list_init(&view->order);
    list_init(&view->watchers);
    list_init(&view->reads);
    list_init(&view->awaiting_query);
    view->send_query = (struct loop_task){.callback = view_query_send, .arg = view};
    list_init(&view->tombstones);
    view->iteration.kind = ORDER_ITERATION;
    list_append(&view->order, &view->iteration.link);
    view->notify = (struct loop_task){.callback = notify_view_watchers, .arg = view};
    view->linger = loop_timer_create(source->loop, on_view_linger_timeout, view);
    view->read_timer = loop_timer_create(source->loop, on_read_timer, view);
    for (uint32_t i = 0; i < view->part_count; i++) {
        part_init(&view->parts[i], view, i);
        part_subscribe(&view->parts[i]);
    }
    return view;
}

static void free_view_entry(struct map_entry *entry)
{
    struct map_view *view = entry->view;
    HASH_DEL(view->entries, entry);
    list_remove(&entry->order.link);
    list_remove(&entry->in_part);
    view->size -= (size_t)entry->id_len + entry->state_len;
    sorted_remove(&view->sorted, entry);
    metrics_add(METRIC_VIEW_ENTRIES, -1);
    free(entry->state);
    free(entry->fields);
    free(entry);
}

static void clear_change_list(struct change_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        struct map_entry *entry = list->entries[i];
        if (entry) {
            entry->list_place = 0;
            entry->change_list = NULL;
            entry->is_new = false;
        }
    }
    list->count = 0;
}

static void clear_changes(struct map_view *view)
{
    clear_change_list(&view->changed);
    clear_change_list(&view->owner_changed);
    for (size_t i = 0; i < view->closed_count; i++) {
        free((void *)(uintptr_t)view->closed[i].data);
    }
    view->closed_count = 0;
    view->in_iteration = false;
}

void view_destroy(struct map_view **pointer)
{
    struct map_view *view = *pointer;
    if (!view) {
        return;
    }
    *pointer = NULL;
    for (uint32_t i = 0; i < view->part_count; i++) {
        part_free(&view->parts[i]);
    }
    clear_changes(view);
    reads_free(view);
    view_query_free(view);
    cursors_free_all(view);
    struct map_entry *entry, *next;
    HASH_ITER (hh, view->entries, entry, next) {
        free_view_entry(entry);
    }
    loop_cancel(view->source.loop, &view->notify);
    loop_timer_destroy(&view->linger);
    loop_timer_destroy(&view->read_timer);
    free(view->changed.entries);
    free(view->owner_changed.entries);
    free(view->closed);
    sorted_free(&view->sorted);
    free(view);
}

/* Reads are answered after the watchers of the same iteration, never in between. */
static void on_read_timer(void *arg)
{
    struct map_view *view = arg;
    view_wake(view);
    view_query_retry(view);
}

static void on_view_linger_timeout(void *arg)
{
    struct map_view *view = arg;
    if (list_is_empty(&view->watchers) && list_is_empty(&view->reads)) {
        const struct view_callbacks *callbacks = view->source.callbacks;
        if (callbacks->unused) {
            callbacks->unused(view->source.arg);
        }
    }
}

bool view_watch(struct map_view *view, struct map_watcher *watcher, const char **why)
{
    if (map_view_is_over(view)) {
        *why = "the space has more entries than view.max_entries";
        return false;
    }
    loop_timer_stop(view->linger);
    watcher->view = view;
    list_append(&view->watchers, &watcher->link);
    return true;
}

void map_unwatch(struct map_watcher *watcher)
{
    struct map_view *view = watcher->view;
    if (!view) {
        return;
    }
    watcher->view = NULL;
    list_remove(&watcher->link);
    if (list_is_empty(&view->watchers)) {
        loop_timer_start(view->linger, (uint64_t)view->source.settings->linger);
    }
}

void view_wake(struct map_view *view)
{
    loop_defer(view->source.loop, LOOP_PHASE_VIEW, &view->notify);
}

/* Entries that were removed from the list have left holes. */
static void close_holes(struct change_list *list)
{
    size_t count = 0;
    for (size_t i = 0; i < list->count; i++) {
        if (list->entries[i]) {
            list->entries[count++] = list->entries[i];
        }
    }
    list->count = count;
}

static void notify_changes(struct map_view *view)
{
    close_holes(&view->changed);
    close_holes(&view->owner_changed);
    const struct map_changes without_owners = {.changed = view->changed.entries,
                                               .changed_count = view->changed.count,
                                               .closed = view->closed,
                                               .closed_count = view->closed_count};
    struct map_changes all = without_owners;
    all.owner_changed = view->owner_changed.entries;
    all.owner_changed_count = view->owner_changed.count;
    LIST_FOREACH (node, &view->watchers) {
        struct map_watcher *watcher = list_entry(node, struct map_watcher, link);
        const struct map_changes *changes = watcher->wants_owner_changes ? &all : &without_owners;
        if (changes->changed_count + changes->closed_count + changes->owner_changed_count > 0) {
            watcher->changed(watcher, changes);
        }
    }
}

static void notify_view_watchers(void *arg)
{
    struct map_view *view = arg;
    loop_label(view->source.loop, "view_watchers");
    if (view->live) {
        notify_changes(view);
    }
    clear_changes(view);
    view_check_live(view);
    reads_check(view);
}

static void leave_change_list(struct map_entry *entry)
{
    if (entry->change_list) {
        entry->change_list->entries[entry->list_place - 1] = NULL;
    }
    entry->change_list = NULL;
    entry->list_place = 0;
}

static void join_change_list(struct map_entry *entry, struct change_list *list)
{
    if (list->count == list->capacity) {
        list->capacity = list->capacity ? list->capacity * 2 : 64;
        list->entries = mem_realloc(list->entries, list->capacity * sizeof *list->entries);
    }
    list->entries[list->count++] = entry;
    entry->change_list = list;
    entry->list_place = (uint32_t)list->count;
}

void view_mark_changed(struct map_entry *entry)
{
    struct map_view *view = entry->view;
    view->generation++;
    if (!view->in_iteration) {
        view->in_iteration = true;
        list_remove(&view->iteration.link);
        list_append(&view->order, &view->iteration.link);
        view_wake(view);
    }
    list_remove(&entry->order.link);
    list_append(&view->order, &entry->order.link);
    if (entry->change_list == &view->changed) {
        return;
    }
    leave_change_list(entry);
    join_change_list(entry, &view->changed);
}

void view_mark_owner_changed(struct map_entry *entry)
{
    entry->view->owner_generation++;
    if (entry->change_list) {
        return;
    }
    join_change_list(entry, &entry->view->owner_changed);
    view_wake(entry->view);
}

static void mark_closed(struct map_view *view, struct bytes id)
{
    if (view->closed_count == view->closed_capacity) {
        view->closed_capacity = view->closed_capacity ? view->closed_capacity * 2 : 64;
        view->closed = mem_realloc(view->closed, view->closed_capacity * sizeof *view->closed);
    }
    view->closed[view->closed_count++] = (struct bytes){mem_dup(id.data, id.len), id.len};
}

void view_remove(struct map_entry *entry)
{
    struct map_view *view = entry->view;
    bool is_known = !entry->is_new;
    view->generation++;
    leave_change_list(entry);
    /* Watchers have never received an entry that was opened and closed within one iteration. */
    if (is_known) {
        mark_closed(view, (struct bytes){(uint8_t *)entry->id, entry->id_len});
    }
    cursor_leave_tombstone(view);
    free_view_entry(entry);
    view_wake(view);
}

struct map_entry *map_view_find(const struct map_view *view, struct bytes id)
{
    struct map_entry *entry = NULL;
    HASH_FIND(hh, view->entries, id.data, id.len, entry);
    return entry;
}

const struct map_entry *view_find_unconfirmed(const struct map_view *view, struct bytes id)
{
    const struct map_entry *entry = map_view_find(view, id);
    if (!entry) {
        return NULL;
    }
    const struct view_part *part = &view->parts[entry->partition];
    bool is_unconfirmed =
        part->epoch_state == PART_EPOCH_UNCONFIRMED || part->epoch_state == PART_EPOCH_RESTORED;
    return is_unconfirmed && entry->seen != part->load_number ? entry : NULL;
}

bool map_view_is_live(const struct map_view *view)
{
    return view->live;
}

bool map_view_is_over(const struct map_view *view)
{
    return map_view_count(view) > (size_t)view->source.settings->max_entries;
}

size_t map_view_count(const struct map_view *view)
{
    return HASH_COUNT(view->entries);
}

size_t map_view_size(const struct map_view *view)
{
    return view->size;
}

uint64_t map_view_generation(const struct map_view *view)
{
    return view->generation;
}

uint64_t map_view_owner_generation(const struct map_view *view)
{
    return view->owner_generation;
}

struct bytes map_entry_id(const struct map_entry *entry)
{
    return (struct bytes){(const uint8_t *)entry->id, entry->id_len};
}

struct bytes map_entry_state(const struct map_entry *entry)
{
    return (struct bytes){(const uint8_t *)entry->state, entry->state_len};
}

uint64_t map_entry_version(const struct map_entry *entry)
{
    return entry->version;
}

uint64_t map_entry_revision(const struct map_entry *entry)
{
    const struct view_part *part = &entry->view->parts[entry->partition];
    return entry->epochs == part->epochs ? entry->revision : 0;
}

bool map_entry_is_partial(const struct map_entry *entry)
{
    return entry->partial;
}

bool map_entry_is_orphan(const struct map_entry *entry)
{
    return entry->is_orphan;
}

struct bytes map_entry_field(const struct map_entry *entry, const char *field)
{
    return event_field_find((struct bytes){entry->fields, entry->fields_len}, field);
}

bool map_entry_next_field(const struct map_entry *entry, size_t *at, struct bytes *field,
                          struct bytes *value)
{
    while (*at < entry->fields_len) {
        struct bytes rest = {entry->fields + *at, entry->fields_len - *at};
        if (!event_field(&rest, field, value)) {
            return false;
        }
        *at = entry->fields_len - rest.len;
        if (value->data) { /* else the field is deleted */
            return true;
        }
    }
    return false;
}

struct map_session *map_entry_owner(const struct map_entry *entry)
{
    const struct view_source *source = &entry->view->source;
    return source->callbacks->owner
               ? source->callbacks->owner(source->arg, entry->partition, map_entry_id(entry))
               : NULL;
}

struct map_entry *const *map_view_sorted(struct map_view *view, size_t *count)
{
    *count = sorted_update(view);
    return view->sorted.entries;
}
