/*
 * tracker_encode: the bytes of pushes. What an iteration brought is encoded once; a reader
 * that wrote some of it gets the ranges around its own packets.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "metrics/metrics.h"
#include "protocol/tracker/tracker_private.h"

static bool fits_packet(struct bytes id, struct bytes state)
{
    if (tracker_fits(id, state)) {
        return true;
    }
    metrics_add(METRIC_TRACKER_UNFIT, 1);
    return false;
}

static void note_owner(struct tracker_iteration *iteration, const struct map_session *owner,
                       size_t offset, size_t len)
{
    if (iteration->owned_count == iteration->owned_capacity) {
        iteration->owned_capacity =
            iteration->owned_capacity > 0 ? iteration->owned_capacity * 2 : 16;
        iteration->owned =
            mem_realloc(iteration->owned, iteration->owned_capacity * sizeof *iteration->owned);
    }
    iteration->owned[iteration->owned_count++] = (struct own_packet){owner, offset, len};
}

void iteration_add(struct tracker_iteration *iteration, struct writer *scratch,
                   const struct map_session *owner, uint8_t version, struct bytes id,
                   struct bytes state)
{
    size_t offset = scratch->len;
    if (!fits_packet(id, state)) {
        return;
    }
    tracker_write_update_one(scratch, version, id, state);
    iteration->packets++;
    if (owner) {
        note_owner(iteration, owner, offset, scratch->len - offset);
    }
}

static int compare_packets(const void *a, const void *b)
{
    const struct own_packet *left = a, *right = b;
    if (left->owner != right->owner) {
        return (uintptr_t)left->owner < (uintptr_t)right->owner ? -1 : 1;
    }
    return left->offset < right->offset ? -1 : 1;
}

void iteration_sort(struct tracker_iteration *iteration)
{
    if (iteration->owned_count > 1) {
        qsort(iteration->owned, iteration->owned_count, sizeof *iteration->owned, compare_packets);
    }
}

static void iteration_clear(struct tracker_iteration *iteration)
{
    frame_unref(&iteration->frame);
    iteration->owned_count = 0;
    iteration->packets = 0;
}

void iteration_encode(struct tracker_iteration *iteration, struct writer *scratch,
                      struct writer *translated, struct map_entry *const *changed, size_t count)
{
    iteration_clear(iteration);
    writer_reset(scratch);
    for (size_t i = 0; i < count; i++) {
        iteration_add(iteration, scratch, map_entry_owner(changed[i]),
                      (uint8_t)map_entry_version(changed[i]), map_entry_id(changed[i]),
                      translate_state(changed[i], translated));
    }
    iteration_sort(iteration);
    if (iteration->packets > 0) {
        iteration->frame = frame_create(writer_bytes_written(scratch));
    }
}

void iteration_free(struct tracker_iteration *iteration)
{
    iteration_clear(iteration);
    free(iteration->owned);
    iteration->owned = NULL;
    iteration->owned_capacity = 0;
}

/* The first packet of the reader, or where it would be. */
static size_t find_own_packets(const struct tracker_iteration *iteration,
                               const struct map_session *reader)
{
    size_t from = 0, to = iteration->owned_count;
    while (from < to) {
        size_t middle = (from + to) / 2;
        if ((uintptr_t)iteration->owned[middle].owner < (uintptr_t)reader) {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    return from;
}

size_t iteration_ranges(const struct tracker_iteration *iteration, const struct map_session *reader,
                        void (*send)(void *arg, size_t offset, size_t len), void *arg)
{
    size_t at = 0, packets = iteration->packets;
    for (size_t i = find_own_packets(iteration, reader);
         i < iteration->owned_count && iteration->owned[i].owner == reader; i++) {
        const struct own_packet *own = &iteration->owned[i];
        if (own->offset > at) {
            send(arg, at, own->offset - at);
        }
        at = own->offset + own->len;
        packets--;
    }
    if (at < iteration->frame->len) {
        send(arg, at, iteration->frame->len - at);
    }
    return packets;
}

/* An Update all that is being written, packet after packet. */
struct whole {
    struct writer *to;
    struct writer *translated;
    struct tracker_all packet;
    bool open;
    uint8_t version;
};

static void whole_open(struct whole *whole)
{
    if (!whole->open) {
        whole->packet = tracker_all_begin(whole->to, whole->version);
    }
    whole->open = true;
}

static void whole_close(struct whole *whole)
{
    if (whole->open) {
        tracker_all_end(whole->to, &whole->packet);
    }
    whole->open = false;
}

static void whole_add(struct whole *whole, const struct map_entry *entry)
{
    struct bytes id = map_entry_id(entry), state = translate_state(entry, whole->translated);
    if (!fits_packet(id, state)) {
        return;
    }
    whole_open(whole);
    if (!tracker_all_has_room(whole->to, &whole->packet, id, state)) {
        whole_close(whole);
        whole_open(whole);
    }
    tracker_all_entry(whole->to, (uint8_t)map_entry_version(entry), id, state);
}

void encode_all(struct writer *to, struct writer *translated, struct map_view *view,
                uint8_t version)
{
    struct whole whole = {.to = to, .translated = translated, .version = version};
    struct map_cursor cursor = {.view = NULL};
    const struct map_entry *entry;
    whole_open(&whole);
    map_cursor_begin(&cursor, view, MAP_CURSOR_OLDEST);
    while ((entry = map_cursor_next(&cursor))) {
        whole_add(&whole, entry);
    }
    map_cursor_end(&cursor);
    whole_close(&whole);
}

static void add_update_one(struct writer *to, struct writer *translated,
                           const struct map_entry *entry, const struct map_session *reader)
{
    struct bytes id = map_entry_id(entry), state = translate_state(entry, translated);
    if ((reader && map_entry_owner(entry) == reader) || !fits_packet(id, state)) {
        return;
    }
    tracker_write_update_one(to, (uint8_t)map_entry_version(entry), id, state);
    metrics_add(METRIC_TRACKER_PUSH_ONE, 1);
}

bool encode_push_chunk(struct writer *to, struct writer *translated, struct push_place *place,
                       const struct map_session *reader, uint8_t version, size_t limit)
{
    struct whole whole = {.to = to, .translated = translated, .version = version};
    const struct map_entry *entry = NULL;
    /* A map without entries is a packet too. */
    if (!place->began) {
        whole_open(&whole);
    }
    place->began = true;
    while (to->len < limit && (entry = map_cursor_next(&place->cursor))) {
        if (place->left == 0) {
            whole_close(&whole);
            add_update_one(to, translated, entry, reader);
        } else {
            place->left--;
            whole_add(&whole, entry);
        }
    }
    whole_close(&whole);
    return to->len < limit && !entry;
}
