/*
 * view: the contents: entries, and what a turn brought.
 *
 * Changes are collected until LOOP_PHASE_VIEW and told once; before the view is complete for the
 * first time nothing is told, then `live`.
 */
#include "view/view.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "metrics/metrics.h"
#include "schema/keys.h"
#include "view/view_private.h"

static void view_check_live(struct map_view *view)
{
    if (view->live)
        return;
    for (uint32_t i = 0; i < view->part_count; i++) {
        if (!view->parts[i].loaded)
            return;
    }
    view->live = true;
    LIST_FOREACH (node, &view->watchers) {
        struct map_watcher *watcher = list_entry(node, struct map_watcher, link);
        watcher->live(watcher);
    }
}

static void notify_view_watchers(void *arg);
static void linger_over(void *arg);
static void look_at_reads(void *arg);

struct view_known part_known(const struct view_part *part)
{
    const struct view_source *source = &part->view->source;
    return source->callbacks->known(source->arg, part->index);
}

static void init_part(struct view_part *part, struct map_view *view, uint32_t index)
{
    const struct view_source *source = &view->source;
    part->view = view;
    part->index = index;
    part->prefix =
        keys_partition_prefix(source->redis->prefix, source->space, source->partitions, index);
    part->key_head = mem_format("%shead", part->prefix);
    part->key_nodes = mem_format("%snodes", part->prefix);
    part->key_deadlines = mem_format("%sdeadlines", part->prefix);
    part->key_registered = mem_format("%sregistered", part->prefix);
    char *channels = keys_partition_channels(part->prefix, source->database);
    part->key_events = mem_format("%sevents", channels);
    free(channels);
    part->retry = loop_timer_create(source->loop, part_retry_load, part);
    part->look = loop_timer_create(source->loop, part_look, part);
}

struct map_view *view_create(const struct view_source *source)
{
    struct map_view *view = mem_zalloc(1, sizeof *view + source->partitions * sizeof *view->parts);
    view->source = *source;
    view->part_count = source->partitions;
    list_init(&view->order);
    list_init(&view->watchers);
    list_init(&view->reads);
    list_init(&view->asking);
    view->send_ask = (struct loop_task){.callback = view_ask_send, .arg = view};
    list_init(&view->tombstones);
    view->turn.kind = ORDER_TURN;
    list_append(&view->order, &view->turn.link);
    view->tell = (struct loop_task){.callback = notify_view_watchers, .arg = view};
    view->linger = loop_timer_create(source->loop, linger_over, view);
    view->read_timer = loop_timer_create(source->loop, look_at_reads, view);
    for (uint32_t i = 0; i < view->part_count; i++) {
        init_part(&view->parts[i], view, i);
        part_listen(&view->parts[i]);
    }
    return view;
}

static void free_view_entry(struct map_entry *entry)
{
    struct map_view *view = entry->view;
    HASH_DEL(view->entries, entry);
    list_remove(&entry->order.link);
    view->size -= (size_t)entry->id_len + entry->state_len;
    view->sorted_good = false;
    metrics_add(METRIC_VIEW_ENTRIES, -1);
    free(entry->state);
    free(entry->fields);
    free(entry);
}

static void clear_list(struct turn_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        struct map_entry *entry = list->entries[i];
        if (entry) {
            entry->turn_place = 0;
            entry->turn_list = NULL;
            entry->fresh = false;
        }
    }
    list->count = 0;
}

static void clear_turn(struct map_view *view)
{
    clear_list(&view->changed);
    clear_list(&view->silent);
    for (size_t i = 0; i < view->closed_count; i++)
        free((void *)(uintptr_t)view->closed[i].data);
    view->closed_count = 0;
    view->in_turn = false;
}

static void free_parts(struct map_view *view)
{
    for (uint32_t i = 0; i < view->part_count; i++) {
        struct view_part *part = &view->parts[i];
        part_lapse(part);
        loop_timer_destroy(&part->retry);
        loop_timer_destroy(&part->look);
        channel_leave(&part->channel);
        free(part->prefix);
        free(part->key_head);
        free(part->key_nodes);
        free(part->key_deadlines);
        free(part->key_registered);
        free(part->key_events);
    }
}

void view_destroy(struct map_view **pointer)
{
    struct map_view *view = *pointer;
    if (!view)
        return;
    *pointer = NULL;
    free_parts(view);
    clear_turn(view);
    reads_free(view);
    view_ask_free(view);
    cursors_free_all(view);
    struct map_entry *entry, *next;
    HASH_ITER (hh, view->entries, entry, next)
        free_view_entry(entry);
    loop_cancel(view->source.loop, &view->tell);
    loop_timer_destroy(&view->linger);
    loop_timer_destroy(&view->read_timer);
    free(view->changed.entries);
    free(view->silent.entries);
    free(view->closed);
    free(view->sorted);
    free(view);
}

/* They are answered behind what the watchers are sent, never between. */
static void look_at_reads(void *arg)
{
    struct map_view *view = arg;
    view_wake(view);
    view_ask_retry(view);
}

static void linger_over(void *arg)
{
    struct map_view *view = arg;
    if (list_is_empty(&view->watchers) && list_is_empty(&view->reads))
        view->source.callbacks->unused(view->source.arg);
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
    if (!view)
        return;
    watcher->view = NULL;
    list_remove(&watcher->link);
    if (list_is_empty(&view->watchers))
        loop_timer_start(view->linger, (uint64_t)view->source.settings->linger);
}

void view_wake(struct map_view *view)
{
    loop_defer(view->source.loop, LOOP_PHASE_VIEW, &view->tell);
}

/* Entries that left the list later in the turn have left holes. */
static void close_holes(struct turn_list *list)
{
    size_t count = 0;
    for (size_t i = 0; i < list->count; i++) {
        if (list->entries[i])
            list->entries[count++] = list->entries[i];
    }
    list->count = count;
}

static void tell_changes(struct map_view *view)
{
    close_holes(&view->changed);
    close_holes(&view->silent);
    const struct map_changes loud = {.changed = view->changed.entries,
                                     .changed_count = view->changed.count,
                                     .closed = view->closed,
                                     .closed_count = view->closed_count};
    struct map_changes all = loud;
    all.silent = view->silent.entries;
    all.silent_count = view->silent.count;
    LIST_FOREACH (node, &view->watchers) {
        struct map_watcher *watcher = list_entry(node, struct map_watcher, link);
        const struct map_changes *changes = watcher->silent_too ? &all : &loud;
        if (changes->changed_count + changes->closed_count + changes->silent_count > 0)
            watcher->changed(watcher, changes);
    }
}

static void notify_view_watchers(void *arg)
{
    struct map_view *view = arg;
    if (view->live)
        tell_changes(view);
    clear_turn(view);
    view_check_live(view);
    reads_check(view);
}

static void leave_turn(struct map_entry *entry)
{
    if (entry->turn_list)
        entry->turn_list->entries[entry->turn_place - 1] = NULL;
    entry->turn_list = NULL;
    entry->turn_place = 0;
}

static void join_turn(struct map_entry *entry, struct turn_list *list)
{
    if (list->count == list->capacity) {
        list->capacity = list->capacity ? list->capacity * 2 : 64;
        list->entries = mem_realloc(list->entries, list->capacity * sizeof *list->entries);
    }
    list->entries[list->count++] = entry;
    entry->turn_list = list;
    entry->turn_place = (uint32_t)list->count;
}

/* Its place is the newest from now on. */
void view_mark_changed(struct map_entry *entry)
{
    struct map_view *view = entry->view;
    view->generation++;
    if (!view->in_turn) {
        view->in_turn = true;
        list_remove(&view->turn.link);
        list_append(&view->order, &view->turn.link);
        view_wake(view);
    }
    list_remove(&entry->order.link);
    list_append(&view->order, &entry->order.link);
    if (entry->turn_list == &view->changed)
        return;
    leave_turn(entry);
    join_turn(entry, &view->changed);
}

/* It keeps its place: cursors have nothing to tell of it. */
void view_mark_silent(struct map_entry *entry)
{
    if (entry->turn_list)
        return;
    join_turn(entry, &entry->view->silent);
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
    bool told = !entry->fresh;
    view->generation++;
    leave_turn(entry);
    /* What was opened and closed within one turn was never told. */
    if (told)
        mark_closed(view, (struct bytes){(uint8_t *)entry->id, entry->id_len});
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
    if (!entry)
        return NULL;
    const struct view_part *part = &view->parts[entry->partition];
    return part->has_unconfirmed && entry->seen != part->load_number ? entry : NULL;
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

bool map_entry_is_partial(const struct map_entry *entry)
{
    return entry->partial;
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
        if (!event_field(&rest, field, value))
            return false;
        *at = entry->fields_len - rest.len;
        if (value->data) /* else it is known to be gone */
            return true;
    }
    return false;
}

struct map_session *map_entry_owner(const struct map_entry *entry)
{
    const struct view_source *source = &entry->view->source;
    return source->callbacks->owner(source->arg, entry->partition, map_entry_id(entry));
}

static int compare_entry_ids(const void *a, const void *b)
{
    return bytes_compare(map_entry_id(*(struct map_entry *const *)a),
                         map_entry_id(*(struct map_entry *const *)b));
}

struct map_entry *const *map_view_sorted(struct map_view *view, size_t *count)
{
    if (!view->sorted_good) {
        view->sorted_count = 0;
        view->sorted = mem_realloc(view->sorted, (map_view_count(view) + 1) * sizeof *view->sorted);
        for (struct map_entry *entry = view->entries; entry; entry = entry->hh.next)
            view->sorted[view->sorted_count++] = entry;
        qsort(view->sorted, view->sorted_count, sizeof *view->sorted, compare_entry_ids);
        view->sorted_good = true;
    }
    *count = view->sorted_count;
    return view->sorted;
}
