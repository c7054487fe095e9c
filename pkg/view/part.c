/*
 * part: the life cycle of the copy of one partition. view_private.h describes its states.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "schema/keys.h"
#include "view/view_private.h"

/* How many entries are dropped or compared at a time. */
#define DROP_ENTRIES 64

static bool drop_step(void *arg);

void part_init(struct view_part *part, struct map_view *view, uint32_t index)
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
    list_init(&part->seen);
    list_init(&part->unconfirmed);
    part->drop = (struct loop_job){.step = drop_step, .arg = part, .label = "drop_unconfirmed"};
    part->retry_timer = loop_timer_create(source->loop, part_retry_load, part);
    part->check_timer = loop_timer_create(source->loop, part_check_head, part);
}

void part_free(struct view_part *part)
{
    part_lapse(part);
    loop_job_stop(part->view->source.loop, &part->drop);
    loop_timer_destroy(&part->retry_timer);
    loop_timer_destroy(&part->check_timer);
    channel_leave(&part->channel);
    free(part->prefix);
    free(part->key_head);
    free(part->key_nodes);
    free(part->key_deadlines);
    free(part->key_registered);
    free(part->key_events);
}

bool part_is_loading(const struct view_part *part)
{
    return part->state == PART_LOADING || part->state == PART_RELOADING;
}

bool part_was_complete(const struct view_part *part)
{
    return part->state != PART_EMPTY && part->state != PART_LOADING;
}

static void report_complete(const struct map_view *view)
{
    const struct view_source *source = &view->source;
    if (!source->callbacks->complete) {
        return;
    }
    for (uint32_t i = 0; i < view->part_count; i++) {
        if (view->parts[i].state != PART_LIVE) {
            return;
        }
    }
    source->callbacks->complete(source->arg);
}

void part_enter(struct view_part *part, enum part_state state)
{
    enum part_state before = part->state;
    if (state == before) {
        return;
    }
    if (part_is_loading(part)) {
        load_stop(part);
    }
    loop_timer_stop(part->retry_timer);
    part->state = state;
    switch (state) {
    case PART_EMPTY:
    case PART_LAPSED:
    case PART_STALE:
        break;
    case PART_LOADING:
    case PART_RELOADING:
        part->next = PART_NEXT_NONE;
        part->loaded_ms = loop_now_ms(part->view->source.loop);
        part->load_number++;
        list_move_all(&part->seen, &part->unconfirmed);
        list_move_all(&part->unconfirmed, &part->seen);
        break;
    case PART_LIVE:
        part->known = part->revision;
        part->swept = 0;
        view_wake(part->view);
        report_complete(part->view);
        break;
    }
}

static enum part_state state_after_lapse(enum part_state state)
{
    switch (state) {
    case PART_LIVE:
        return PART_LAPSED;
    case PART_LOADING:
        return PART_EMPTY;
    case PART_RELOADING:
        return PART_STALE;
    case PART_EMPTY:
    case PART_LAPSED:
    case PART_STALE:
        break;
    }
    return state;
}

void part_lapse(struct view_part *part)
{
    loop_timer_stop(part->check_timer);
    loop_timer_stop(part->retry_timer);
    check_cancel(part);
    part_enter(part, state_after_lapse(part->state));
}

/* Entries that were missing before are still missing: the next load compares again. */
static enum part_epoch_state epoch_state_after_change(enum part_epoch_state state)
{
    switch (state) {
    case PART_EPOCH_UNKNOWN:
        return PART_EPOCH_STABLE;
    case PART_EPOCH_STABLE:
        return PART_EPOCH_FRESH;
    case PART_EPOCH_RESTORED:
        return PART_EPOCH_UNCONFIRMED;
    case PART_EPOCH_FRESH:
    case PART_EPOCH_UNCONFIRMED:
        break;
    }
    return state;
}

void part_enter_epoch(struct view_part *part, uint64_t epoch)
{
    part->epoch_state = epoch_state_after_change(part->epoch_state);
    part->epoch = epoch;
    part->epochs++;
    snprintf(part->epoch_text, sizeof part->epoch_text, "%016llx", (unsigned long long)epoch);
    part->revision = part->floor = part->swept = part->known = 0;
}

struct view_known part_known(const struct view_part *part)
{
    const struct view_source *source = &part->view->source;
    if (source->callbacks->known) {
        return source->callbacks->known(source->arg, part->index);
    }
    return (struct view_known){
        .epoch = part->epoch_text, .epochs = part->epochs, .revision = part->revision};
}

bool part_is_in_epoch(const struct view_part *part, const struct view_known *known)
{
    uint64_t epoch;
    return event_epoch_read(bytes_from_string(known->epoch), &epoch) && epoch == part->epoch;
}

bool part_may_be_restored(const struct view_part *part)
{
    const struct view_source *source = &part->view->source;
    if (part->epoch_state != PART_EPOCH_FRESH && part->epoch_state != PART_EPOCH_UNCONFIRMED) {
        return false;
    }
    const struct view_known known = part_known(part);
    if (!part_is_in_epoch(part, &known)) {
        return true;
    }
    return known.recovery_until_ms > 0 &&
           source->callbacks->redis_time_ms(source->arg) < known.recovery_until_ms;
}

void part_mark_seen(struct view_part *part, struct map_entry *entry, uint32_t load_number)
{
    if (entry->seen != load_number) {
        entry->seen = load_number;
        list_remove(&entry->in_part);
        list_append(&part->seen, &entry->in_part);
    }
}

/* The first of the entries that the load under way has not contained, or NULL. */
static struct map_entry *first_missing(const struct view_part *part)
{
    struct map_entry *entry;
    if (list_is_empty(&part->seen)) {
        return NULL;
    }
    entry = list_entry(part->seen.next, struct map_entry, in_part);
    return entry->seen != part->load_number ? entry : NULL;
}

/* Keeps some of the missing entries until the recovery grace is over. */
static void keep_missing(struct view_part *part)
{
    const struct view_source *source = &part->view->source;
    struct bytes ids[DROP_ENTRIES];
    struct map_entry *entry;
    size_t count = 0;
    while (count < DROP_ENTRIES && (entry = first_missing(part))) {
        list_remove(&entry->in_part);
        list_append(&part->unconfirmed, &entry->in_part);
        ids[count++] = map_entry_id(entry);
    }
    if (count > 0 && source->callbacks->missing) {
        source->callbacks->missing(source->arg, ids, count);
    }
}

bool part_drop_missing(struct view_part *part, bool may_be_restored)
{
    struct map_entry *entry;
    if (may_be_restored) {
        keep_missing(part);
    } else {
        for (unsigned i = 0; i < DROP_ENTRIES && (entry = first_missing(part)); i++) {
            view_close_entry(entry, (struct bytes){0});
        }
    }
    if (first_missing(part)) {
        return true;
    }
    if (!may_be_restored) {
        part->epoch_state = PART_EPOCH_STABLE;
    } else if (!list_is_empty(&part->unconfirmed)) {
        part->epoch_state = PART_EPOCH_UNCONFIRMED;
    }
    return false;
}

/* Some of the unconfirmed entries; true when there are more. */
static bool drop_step(void *arg)
{
    struct view_part *part = arg;
    if (part->state != PART_LIVE || part->epoch_state != PART_EPOCH_RESTORED) {
        return false; /* the next load compares again */
    }
    for (unsigned i = 0; i < DROP_ENTRIES && !list_is_empty(&part->unconfirmed); i++) {
        view_close_entry(list_entry(part->unconfirmed.next, struct map_entry, in_part),
                         (struct bytes){0});
    }
    if (!list_is_empty(&part->unconfirmed)) {
        return true;
    }
    part->epoch_state = PART_EPOCH_STABLE;
    view_wake(part->view);
    return false;
}

void part_drop_unconfirmed(struct view_part *part)
{
    if (part->epoch_state != PART_EPOCH_RESTORED || part->revision < part->restored ||
        loop_job_is_running(&part->drop)) {
        return;
    }
    if (drop_step(part)) {
        loop_job_start(part->view->source.loop, &part->drop);
    }
}

void part_end_recovery(struct view_part *part, uint64_t revision)
{
    if (part->epoch_state == PART_EPOCH_FRESH) {
        part->epoch_state = PART_EPOCH_STABLE;
    } else if (part->epoch_state == PART_EPOCH_UNCONFIRMED) {
        part->epoch_state = PART_EPOCH_RESTORED;
        part->restored = revision;
    }
    part_drop_unconfirmed(part);
}
