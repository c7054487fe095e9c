/*
 * tracker_encode: the bytes of pushes. What a turn brought is encoded once; a reader that wrote
 * some of it gets the ranges around its own packets.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "metrics/metrics.h"
#include "protocol/tracker/tracker_private.h"

static bool is_fit(struct bytes id, struct bytes state)
{
    if (tracker_fits(id, state))
        return true;
    metrics_add(METRIC_TRACKER_UNFIT, 1);
    return false;
}

static void note_owner(struct tracker_iteration *turn, const struct map_session *owner,
                       size_t offset, size_t len)
{
    if (turn->owned_count == turn->owned_capacity) {
        turn->owned_capacity = turn->owned_capacity > 0 ? turn->owned_capacity * 2 : 16;
        turn->owned = mem_realloc(turn->owned, turn->owned_capacity * sizeof *turn->owned);
    }
    turn->owned[turn->owned_count++] = (struct own_packet){owner, offset, len};
}

void turn_add(struct tracker_iteration *turn, struct writer *scratch,
              const struct map_session *owner, uint8_t version, struct bytes id, struct bytes state)
{
    size_t offset = scratch->len;
    if (!is_fit(id, state))
        return;
    tracker_write_update_one(scratch, version, id, state);
    turn->packets++;
    if (owner != NULL)
        note_owner(turn, owner, offset, scratch->len - offset);
}

static int compare_packets(const void *a, const void *b)
{
    const struct own_packet *left = a, *right = b;
    if (left->owner != right->owner)
        return (uintptr_t)left->owner < (uintptr_t)right->owner ? -1 : 1;
    return left->offset < right->offset ? -1 : 1;
}

void turn_sort(struct tracker_iteration *turn)
{
    if (turn->owned_count > 1)
        qsort(turn->owned, turn->owned_count, sizeof *turn->owned, compare_packets);
}

static void turn_clear(struct tracker_iteration *turn)
{
    frame_unref(&turn->frame);
    turn->owned_count = 0;
    turn->packets = 0;
}

void turn_encode(struct tracker_iteration *turn, struct writer *scratch, struct writer *shown,
                 struct map_entry *const *changed, size_t count)
{
    turn_clear(turn);
    writer_reset(scratch);
    for (size_t i = 0; i < count; i++)
        turn_add(turn, scratch, map_entry_owner(changed[i]), (uint8_t)map_entry_version(changed[i]),
                 map_entry_id(changed[i]), translate_state(changed[i], shown));
    turn_sort(turn);
    if (turn->packets > 0)
        turn->frame = frame_create(writer_bytes_written(scratch));
}

void turn_free(struct tracker_iteration *turn)
{
    turn_clear(turn);
    free(turn->owned);
    turn->owned = NULL;
    turn->owned_capacity = 0;
}

/* The first packet of the reader, or where it would stand. */
static size_t find_owner(const struct tracker_iteration *turn, const struct map_session *reader)
{
    size_t from = 0, to = turn->owned_count;
    while (from < to) {
        size_t middle = (from + to) / 2;
        if ((uintptr_t)turn->owned[middle].owner < (uintptr_t)reader)
            from = middle + 1;
        else
            to = middle;
    }
    return from;
}

size_t turn_ranges(const struct tracker_iteration *turn, const struct map_session *reader,
                   void (*send)(void *arg, size_t offset, size_t len), void *arg)
{
    size_t at = 0, packets = turn->packets;
    for (size_t i = find_owner(turn, reader);
         i < turn->owned_count && turn->owned[i].owner == reader; i++) {
        const struct own_packet *own = &turn->owned[i];
        if (own->offset > at)
            send(arg, at, own->offset - at);
        at = own->offset + own->len;
        packets--;
    }
    if (at < turn->frame->len)
        send(arg, at, turn->frame->len - at);
    return packets;
}

/* An Update all that is being written, packet after packet. */
struct whole {
    struct writer *to;
    struct writer *shown;
    struct tracker_all packet;
    bool open;
    uint8_t version;
};

static void whole_open(struct whole *whole)
{
    if (!whole->open)
        whole->packet = tracker_all_begin(whole->to, whole->version);
    whole->open = true;
}

static void whole_close(struct whole *whole)
{
    if (whole->open)
        tracker_all_end(whole->to, &whole->packet);
    whole->open = false;
}

static void whole_add(struct whole *whole, const struct map_entry *entry)
{
    struct bytes id = map_entry_id(entry), state = translate_state(entry, whole->shown);
    if (!is_fit(id, state))
        return;
    whole_open(whole);
    if (!tracker_all_has_room(whole->to, &whole->packet, id, state)) {
        whole_close(whole);
        whole_open(whole);
    }
    tracker_all_entry(whole->to, (uint8_t)map_entry_version(entry), id, state);
}

void encode_all(struct writer *to, struct writer *shown, struct map_view *view, uint8_t version)
{
    struct whole whole = {.to = to, .shown = shown, .version = version};
    struct map_cursor cursor = {.view = NULL};
    const struct map_entry *entry;
    whole_open(&whole);
    map_cursor_begin(&cursor, view, MAP_CURSOR_OLDEST);
    while ((entry = map_cursor_next(&cursor)) != NULL)
        whole_add(&whole, entry);
    map_cursor_end(&cursor);
    whole_close(&whole);
}

static void add_one(struct writer *to, struct writer *shown, const struct map_entry *entry,
                    const struct map_session *reader)
{
    struct bytes id = map_entry_id(entry), state = translate_state(entry, shown);
    if ((reader != NULL && map_entry_owner(entry) == reader) || !is_fit(id, state))
        return;
    tracker_write_update_one(to, (uint8_t)map_entry_version(entry), id, state);
    metrics_add(METRIC_TRACKER_PUSH_ONE, 1);
}

bool encode_tail(struct writer *to, struct writer *shown, struct tail *tail,
                 const struct map_session *reader, uint8_t version, size_t limit)
{
    struct whole whole = {.to = to, .shown = shown, .version = version};
    const struct map_entry *entry = NULL;
    /* A map without entries is a packet too. */
    if (!tail->began)
        whole_open(&whole);
    tail->began = true;
    while (to->len < limit && (entry = map_cursor_next(&tail->cursor)) != NULL) {
        if (tail->left == 0) {
            whole_close(&whole);
            add_one(to, shown, entry, reader);
        } else {
            tail->left--;
            whole_add(&whole, entry);
        }
    }
    whole_close(&whole);
    return to->len < limit && entry == NULL;
}
