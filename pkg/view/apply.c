/*
 * apply: what an event, or an entry of a snapshot, changes in the view's contents.
 *
 * An entry carries the revision at which it was last written, so that a snapshot and the events
 * that arrive while it is read may be applied in any order.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "metrics/metrics.h"
#include "schema/fields.h"
#include "view/change.h"
#include "view/view_private.h"

static struct map_entry *add_entry(struct view_part *part, struct bytes id)
{
    struct map_view *view = part->view;
    struct map_entry *entry = mem_alloc(sizeof *entry + id.len + 1);
    memset(entry, 0, sizeof *entry);
    entry->view = view;
    entry->partition = (uint16_t)part->index;
    entry->id_len = (uint8_t)id.len;
    memcpy(entry->id, id.data, id.len);
    entry->id[id.len] = 0;
    entry->order.kind = ORDER_ENTRY;
    entry->is_new = true;
    list_init(&entry->order.link);
    list_init(&entry->in_part);
    list_append(&part->seen, &entry->in_part);
    HASH_ADD_KEYPTR(hh, view->entries, entry->id, entry->id_len, entry);
    view->size += id.len;
    sorted_add(&view->sorted, entry);
    metrics_add(METRIC_VIEW_ENTRIES, 1);
    return entry;
}

static void set_fields(struct map_entry *entry, struct bytes fields)
{
    free(entry->fields);
    entry->fields = fields.len ? mem_dup(fields.data, fields.len) : NULL;
    entry->fields_len = (uint32_t)fields.len;
}

static bool set_state(struct map_entry *entry, struct bytes state)
{
    if (entry->state &&
        bytes_equal((struct bytes){(uint8_t *)entry->state, entry->state_len}, state)) {
        return false;
    }
    entry->view->size += state.len;
    entry->view->size -= entry->state_len;
    free(entry->state);
    entry->state = mem_dup(state.data, state.len);
    entry->state_len = (uint32_t)state.len;
    return true;
}

/* Merges a body (is_whole: it replaces the fields) into the entry. Returns the kinds of change. */
static unsigned merge_body(struct map_entry *entry, struct bytes body, bool is_whole)
{
    struct fields_merged merged;
    fields_merge((struct bytes){entry->fields, entry->fields_len}, body, is_whole, entry->partial,
                 &merged);
    unsigned changes = merged.changes;
    if (merged.has_state && set_state(entry, merged.state)) {
        changes |= FIELDS_CONTENTS;
    }
    if (merged.is_replaced && !merged.fields.failed) {
        set_fields(entry, writer_bytes_written(&merged.fields));
    }
    writer_free(&merged.fields);
    return changes;
}

static void remember_closed_id(struct view_part *part, struct bytes id, uint64_t revision)
{
    struct closed_while_loading *closed = NULL;
    HASH_FIND(hh, part->closed, id.data, id.len, closed);
    if (!closed) {
        closed = mem_zalloc(1, sizeof *closed + id.len);
        closed->id_len = (uint8_t)id.len;
        memcpy(closed->id, id.data, id.len);
        HASH_ADD_KEYPTR(hh, part->closed, closed->id, closed->id_len, closed);
    }
    closed->revision = revision;
}

static bool was_closed_later(const struct view_part *part, struct bytes id, uint64_t revision)
{
    struct closed_while_loading *closed = NULL;
    HASH_FIND(hh, part->closed, id.data, id.len, closed);
    return closed && closed->revision > revision;
}

/* Adds the fields that the update did not contain, from a snapshot older than the update. */
static void complete_partial(struct map_entry *entry, struct bytes body)
{
    struct writer fields = {0};
    struct bytes known = {entry->fields, entry->fields_len}, field, value, newer;
    while (event_field(&known, &field, &value)) {
        if (value.data) {
            fields_write(&fields, field, value);
        }
    }
    known = (struct bytes){entry->fields, entry->fields_len};
    while (event_field(&body, &field, &value)) {
        if (bytes_equal(field, BYTES_LITERAL("state"))) {
            if (!entry->state) {
                (void)set_state(entry, value);
            }
        } else if (!fields_find(known, field, &newer)) {
            fields_write(&fields, field, value);
        }
    }
    set_fields(entry, writer_bytes_written(&fields));
    writer_free(&fields);
    entry->partial = false;
    view_mark_changed(entry);
}

/* Nothing is reported of a partial entry: it is new when the snapshot completes it. */
static void report_change(const struct map_entry *entry, enum event_op op, struct bytes body,
                          bool is_new)
{
    const struct view_source *source = &entry->view->source;
    if (source->callbacks->applied && !entry->partial) {
        const struct view_change change = {.op = op,
                                           .is_new = is_new,
                                           .partition = entry->partition,
                                           .entry = entry,
                                           .body = body};
        source->callbacks->applied(source->arg, &change);
    }
}

void view_close_entry(struct map_entry *entry, struct bytes reason)
{
    report_change(entry, EVENT_CLOSE, reason, false);
    view_remove(entry);
}

/* A snapshot that shows what an orphan event has said before. */
static bool is_known_orphan(const struct map_entry *entry, const struct event *event)
{
    if (!entry->is_orphan) {
        return false;
    }
    struct bytes node = event_field_find(event->body, "node");
    return node.data && node.len == 0;
}

/* Returns the kinds of change. */
static unsigned apply_contents(struct map_entry *entry, const struct event *event, bool is_added)
{
    bool all = event->op != EVENT_UPDATE, was_orphan = is_known_orphan(entry, event);
    entry->partial &= !all;
    entry->is_orphan &= !all;
    unsigned changes = merge_body(entry, event->body, all);
    if (entry->version != event->version || is_added) {
        changes |= FIELDS_CONTENTS;
    }
    entry->version = event->version;
    if (changes & FIELDS_CONTENTS) {
        view_mark_changed(entry);
    } else if (changes & FIELDS_OWNER) {
        view_mark_owner_changed(entry);
    }
    return was_orphan ? changes & ~(unsigned)FIELDS_OWNER : changes;
}

/* Whether the event is to be reported: the entry of a snapshot if it differs. */
static bool apply_to_entry(struct map_entry *entry, const struct event *event, uint64_t revision,
                           bool is_added)
{
    bool is_repeated = map_entry_revision(entry) == revision; /* the snapshot contained it */
    entry->revision = revision;
    entry->epochs = entry->view->parts[entry->partition].epochs;
    switch (event->op) {
    case EVENT_ENTRY:
        return apply_contents(entry, event, is_added) != FIELDS_UNCHANGED;
    case EVENT_OPEN:
    case EVENT_ADOPT:
    case EVENT_UPDATE:
        (void)apply_contents(entry, event, is_added);
        break;
    case EVENT_ORPHAN:
        entry->is_orphan = true;
        break;
    case EVENT_CLOSE:
    case EVENT_OTHER:
        break;
    }
    return !is_repeated;
}

/* An event or a snapshot that is older than the entry. */
static void apply_older(struct map_entry *entry, const struct event *event)
{
    if (entry->partial && event->op == EVENT_ENTRY) {
        complete_partial(entry, event->body);
        report_change(entry, event->op, event->body, true);
    }
}

static bool opens_entry(const struct view_part *part, const struct event *event, uint64_t revision)
{
    switch (event->op) {
    case EVENT_OPEN:
    case EVENT_ADOPT:
    case EVENT_UPDATE:
        return true;
    case EVENT_ENTRY:
        return !was_closed_later(part, event->id, revision);
    case EVENT_CLOSE:
    case EVENT_ORPHAN:
    case EVENT_OTHER:
        break;
    }
    return false;
}

void view_apply(struct view_part *part, const struct event *event, uint64_t revision, uint32_t seen)
{
    if (event->id.len == 0 || event->id.len > UINT8_MAX) {
        return;
    }
    struct map_entry *entry = map_view_find(part->view, event->id);
    bool is_added = false, is_new = !entry || entry->partial;
    if (entry && map_entry_revision(entry) > revision) {
        part_mark_seen(part, entry, seen);
        apply_older(entry, event);
        return;
    }
    if (event->op == EVENT_CLOSE) {
        if (part_is_loading(part)) {
            remember_closed_id(part, event->id, revision);
        }
        if (entry) {
            view_close_entry(entry, event->body);
        }
        return;
    }
    if (!entry && opens_entry(part, event, revision)) {
        entry = add_entry(part, event->id);
        entry->partial = event->op == EVENT_UPDATE;
        is_added = true;
    }
    if (!entry) {
        return;
    }
    part_mark_seen(part, entry, seen);
    if (apply_to_entry(entry, event, revision, is_added)) {
        report_change(entry, event->op, event->body, is_new);
    }
}
