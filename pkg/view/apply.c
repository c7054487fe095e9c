/*
 * apply: what an event, or an entry of a snapshot, does to the view's contents.
 *
 * An entry has the revision at which it is known, so that a snapshot and the events that come while
 * it is read may be applied in any order.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "metrics/metrics.h"
#include "schema/fields.h"
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
    entry->fresh = true;
    list_init(&entry->order.link);
    HASH_ADD_KEYPTR(hh, view->entries, entry->id, entry->id_len, entry);
    view->size += id.len;
    view->sorted_good = false;
    metrics_add(METRIC_VIEW_ENTRIES, 1);
    return entry;
}

/* Who owns it and where is no change of the client's. */
static bool is_silent_field(struct bytes field)
{
    return bytes_equal(field, BYTES_LITERAL("node")) ||
           bytes_equal(field, BYTES_LITERAL("address")) ||
           bytes_equal(field, BYTES_LITERAL("since"));
}

static bool set_state(struct map_entry *entry, struct bytes state)
{
    if (entry->state &&
        bytes_equal((struct bytes){(uint8_t *)entry->state, entry->state_len}, state))
        return false;
    entry->view->size += state.len;
    entry->view->size -= entry->state_len;
    free(entry->state);
    entry->state = mem_dup(state.data, state.len);
    entry->state_len = (uint32_t)state.len;
    return true;
}

/* Bits: what a body changes. */
enum change { CHANGE_NONE = 0, CHANGE_SILENT = 1, CHANGE_LOUD = 2 };

static unsigned change_of(struct bytes field)
{
    return is_silent_field(field) ? CHANGE_SILENT : CHANGE_LOUD;
}

/* value.data NULL: the field is deleted. */
static unsigned find_change(struct bytes fields, struct bytes field, struct bytes value)
{
    struct bytes before;
    bool there = fields_find(fields, field, &before) && before.data;
    bool differs = value.data ? !there || !bytes_equal(before, value) : there;
    return differs ? change_of(field) : CHANGE_NONE;
}

/* Merges a body (all: it replaces the fields) into the entry. Which kinds of change that brings. */
static unsigned merge_body(struct map_entry *entry, struct bytes body, bool all)
{
    struct writer fields = {0};
    struct bytes old = {entry->fields, entry->fields_len}, rest = body, field, value, before;
    unsigned changes = CHANGE_NONE;
    bool others = all;
    while (event_field(&rest, &field, &value)) {
        if (bytes_equal(field, BYTES_LITERAL("state"))) {
            changes |= set_state(entry, value) ? CHANGE_LOUD : CHANGE_NONE;
            continue;
        }
        others = true;
        changes |= find_change(old, field, value);
        if (value.data || entry->partial) /* then an older snapshot may still have it */
            fields_write(&fields, field, value);
    }
    rest = old;
    while (others && event_field(&rest, &field, &value)) {
        if (fields_find(body, field, &before))
            continue;
        if (!all)
            fields_write(&fields, field, value);
        else
            changes |= change_of(field); /* it is gone */
    }
    if (others && !fields.failed) {
        free(entry->fields);
        entry->fields = fields.len ? mem_dup(fields.data, fields.len) : NULL;
        entry->fields_len = (uint32_t)fields.len;
    }
    writer_free(&fields);
    return changes;
}

static void remember_close(struct view_part *part, struct bytes id, uint64_t revision)
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

/* What the update that told an entry left out, from a snapshot that is older than the update. */
static void fill_in(struct map_entry *entry, struct bytes body)
{
    struct writer fields = {0};
    struct bytes known = {entry->fields, entry->fields_len}, field, value, newer;
    while (event_field(&known, &field, &value)) {
        if (value.data)
            fields_write(&fields, field, value);
    }
    known = (struct bytes){entry->fields, entry->fields_len};
    while (event_field(&body, &field, &value)) {
        if (bytes_equal(field, BYTES_LITERAL("state"))) {
            if (!entry->state)
                (void)set_state(entry, value);
        } else if (!fields_find(known, field, &newer)) {
            fields_write(&fields, field, value);
        }
    }
    free(entry->fields);
    entry->fields = fields.len ? mem_dup(fields.data, fields.len) : NULL;
    entry->fields_len = (uint32_t)fields.len;
    writer_free(&fields);
    entry->partial = false;
    view_mark_changed(entry);
}

static void apply_contents(struct view_part *part, struct map_entry *entry,
                           const struct event *event)
{
    bool all = event->op != EVENT_UPDATE;
    if (!entry) {
        entry = add_entry(part, event->id);
        entry->partial = !all;
        (void)merge_body(entry, event->body, all);
        entry->version = event->version;
        view_mark_changed(entry);
        return;
    }
    entry->partial &= !all;
    unsigned changes = merge_body(entry, event->body, all);
    bool is_newer = entry->version != event->version;
    entry->version = event->version;
    if (is_newer || (changes & CHANGE_LOUD))
        view_mark_changed(entry);
    else if (changes & CHANGE_SILENT)
        view_mark_silent(entry);
}

void view_apply(struct view_part *part, const struct event *event, uint64_t revision, uint32_t seen)
{
    struct map_view *view = part->view;
    if (event->id.len == 0 || event->id.len > UINT8_MAX)
        return;
    struct map_entry *entry = map_view_find(view, event->id);
    if (entry && entry->revision > revision) {
        entry->seen = seen;
        if (entry->partial && event->op == EVENT_ENTRY)
            fill_in(entry, event->body);
        return;
    }
    switch (event->op) {
    case EVENT_CLOSE:
        if (part->state == PART_LOADING)
            remember_close(part, event->id, revision);
        if (entry)
            view_remove(entry);
        return;
    case EVENT_OPEN:
    case EVENT_ADOPT:
    case EVENT_UPDATE:
        apply_contents(part, entry, event);
        break;
    case EVENT_ENTRY:
        if (was_closed_later(part, event->id, revision))
            return;
        apply_contents(part, entry, event);
        break;
    case EVENT_ORPHAN:
    case EVENT_OTHER:
        break;
    }
    entry = map_view_find(view, event->id);
    if (entry) {
        entry->revision = revision;
        entry->seen = seen;
    }
}
