/*
 * watch: the entries of a space, and then what changes, until a signal.
 *
 * As a front-end's view does: subscribe, then read the snapshot, then apply the events that are
 * newer than what was read of their entry. After a gap the snapshot is read again, and only what
 * differs is told.
 */
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "entries.h"
#include "output.h"
#include "schema/event.h"
#include "stream.h"

#define CHUNK     200 /* entries per read */
#define UNDER_WAY 8   /* reads */
#define RETRY_MS  500 /* between attempts to read the snapshot */

struct watched {
    UT_hash_handle hh;
    uint32_t partition;
    unsigned seen;     /* the load that has met it last */
    uint64_t revision; /* at which this is what it was */
    uint64_t version;
    struct bytes body; /* its own */
    struct bytes id;   /* behind it */
    uint8_t id_data[];
};

struct watch_part {
    uint64_t epoch;
    uint64_t revision; /* of the last event; 0: none since the subscription */
    uint64_t floor;    /* the highest of the snapshot; 0: not known */
    struct bytes *ids; /* what a load is to read; its own */
    size_t count, capacity;
};

struct ctl_watch {
    struct ctl *ctl;
    struct reader_space space;
    struct watch_part *parts;
    struct watched *table;
    unsigned load; /* counts them */
    bool load_due;
    struct writer line;
};

static void print_watched_change(struct ctl_watch *watch, const char *what,
                                 const struct watched *entry, struct bytes body)
{
    struct stream_change change = {.what = what,
                                   .id = entry->id,
                                   .has_version = strcmp(what, "close") != 0,
                                   .version = entry->version,
                                   .body = body,
                                   .space = &watch->space,
                                   .partition = entry->partition};
    stream_write_change(&watch->line, watch->ctl->json, &change);
    json_print(&watch->line);
}

/* The table. */

static struct watched *find_watched(struct ctl_watch *watch, struct bytes id)
{
    struct watched *entry = NULL;
    HASH_FIND(hh, watch->table, id.data, id.len, entry);
    return entry;
}

static struct watched *add_watched(struct ctl_watch *watch, uint32_t partition, struct bytes id)
{
    struct watched *entry = mem_alloc(sizeof *entry + id.len);
    memset(entry, 0, sizeof *entry);
    entry->partition = partition;
    if (id.len > 0)
        memcpy(entry->id_data, id.data, id.len);
    entry->id = (struct bytes){entry->id_data, id.len};
    HASH_ADD_KEYPTR(hh, watch->table, entry->id_data, id.len, entry);
    return entry;
}

static void set_body(struct watched *entry, struct bytes body)
{
    free((void *)(uintptr_t)entry->body.data);
    entry->body = (struct bytes){mem_dup(body.data, body.len), body.len};
}

static void drop_watched(struct ctl_watch *watch, struct watched *entry)
{
    HASH_DEL(watch->table, entry);
    free((void *)(uintptr_t)entry->body.data);
    free(entry);
}

/* The fields of the change replace those of the same name, or delete them. */
static void merge_watched_fields(struct watched *entry, struct bytes change)
{
    struct bytes body = entry->body, rest = change, field, value, other, new_value;
    struct writer merged = {0};
    while (event_field(&body, &field, &value)) {
        bool replaced = false;
        for (rest = change; !replaced && event_field(&rest, &other, &new_value);)
            replaced = bytes_equal(field, other);
        if (!replaced)
            entries_add_field(&merged, field, value);
    }
    for (rest = change; event_field(&rest, &field, &value);) {
        if (value.data)
            entries_add_field(&merged, field, value);
    }
    set_body(entry, writer_bytes_written(&merged));
    writer_free(&merged);
}

static bool ids_contain(struct bytes body, struct bytes wanted, struct bytes wanted_value)
{
    struct bytes field, value;
    while (event_field(&body, &field, &value)) {
        if (bytes_equal(field, wanted))
            return bytes_equal(value, wanted_value);
    }
    return false;
}

/* In any order; no field stands twice. */
static bool same_fields(struct bytes a, struct bytes b)
{
    struct bytes rest = a, field, value;
    if (a.len != b.len)
        return false;
    while (event_field(&rest, &field, &value)) {
        if (!ids_contain(b, field, value))
            return false;
    }
    return true;
}

/* The snapshot. */

static void on_watched_key(void *arg, uint32_t partition, struct bytes name)
{
    struct ctl_watch *watch = arg;
    struct watch_part *part = &watch->parts[partition];
    struct bytes id = {name.data + 7, name.len - 7}; /* "client:" */
    if (part->count == part->capacity) {
        part->capacity = part->capacity ? part->capacity * 2 : 256;
        part->ids = mem_realloc(part->ids, part->capacity * sizeof *part->ids);
    }
    part->ids[part->count++] = (struct bytes){mem_dup(id.data, id.len), id.len};
}

static void take_snapshot_entry(struct ctl_watch *watch, uint32_t partition,
                                const struct event *event, uint64_t revision)
{
    struct watched *entry = find_watched(watch, event->id);
    const char *what = "update";
    if (entry && entry->revision > revision) {
        entry->seen = watch->load;
        return;
    }
    if (!entry) {
        what = watch->load == 1 ? "entry" : "open";
        entry = add_watched(watch, partition, event->id);
    } else if (entry->version == event->version && same_fields(entry->body, event->body)) {
        what = NULL;
    }
    entry->seen = watch->load;
    entry->revision = revision;
    entry->version = event->version;
    if (what) {
        set_body(entry, event->body);
        print_watched_change(watch, what, entry, entry->body);
    }
}

static void set_epoch(struct ctl_watch *watch, uint32_t partition, uint64_t epoch)
{
    struct watch_part *part = &watch->parts[partition];
    if (part->epoch == epoch)
        return;
    part->epoch = epoch;
    part->revision = part->floor = 0;
    for (struct watched *entry = watch->table; entry; entry = entry->hh.next) {
        if (entry->partition == partition)
            entry->revision = 0;
    }
}

struct snapshot_chunk {
    struct ctl_watch *watch;
    uint32_t partition;
};

static void on_snapshot_chunk(void *arg, const struct redis_reply *reply)
{
    struct snapshot_chunk *chunk = arg;
    struct event_message message;
    struct event event;
    bool bad = false;
    if (reply->text.len == 0)
        return; /* no epoch, no entries */
    if (!event_message_read(reply->text, &message)) {
        reader_fail(chunk->watch->ctl->reader, READER_REFUSED, "a snapshot makes no sense");
        return;
    }
    set_epoch(chunk->watch, chunk->partition, message.epoch);
    struct watch_part *part = &chunk->watch->parts[chunk->partition];
    if (message.revision > part->floor)
        part->floor = message.revision;
    while (event_next(&message, &event, &bad))
        take_snapshot_entry(chunk->watch, chunk->partition, &event, message.revision);
}

static bool read_parts(struct ctl_watch *watch, struct snapshot_chunk *chunks)
{
    struct reader *reader = watch->ctl->reader;
    for (uint32_t i = 0; i < watch->space.partitions; i++) {
        struct watch_part *part = &watch->parts[i];
        chunks[i] = (struct snapshot_chunk){watch, i};
        for (size_t at = 0; at < part->count; at += CHUNK) {
            size_t count = part->count - at < CHUNK ? part->count - at : CHUNK;
            reader_read_entries(reader, &watch->space, i, part->ids + at, count, on_snapshot_chunk,
                                &chunks[i]);
            if (!reader_wait_below(reader, UNDER_WAY))
                return false;
        }
    }
    return reader_wait(reader);
}

static void drop_unseen_watched(struct ctl_watch *watch)
{
    struct watched *entry, *next;
    HASH_ITER (hh, watch->table, entry, next) {
        if (entry->seen != watch->load) {
            print_watched_change(watch, "close", entry, (struct bytes){0});
            drop_watched(watch, entry);
        }
    }
}

static void free_ids(struct ctl_watch *watch)
{
    for (uint32_t i = 0; i < watch->space.partitions; i++) {
        struct watch_part *part = &watch->parts[i];
        for (size_t j = 0; j < part->count; j++)
            free((void *)(uintptr_t)part->ids[j].data);
        part->count = 0;
    }
}

/* Tells what the snapshot has that is not known yet. */
static bool load_snapshot(struct ctl_watch *watch)
{
    struct snapshot_chunk *chunks = mem_zalloc(watch->space.partitions, sizeof *chunks);
    watch->load++;
    bool fine =
        reader_each_key(watch->ctl->reader, &watch->space, "client:", on_watched_key, watch) &&
        read_parts(watch, chunks);
    free_ids(watch);
    free(chunks);
    if (!fine)
        return false;
    drop_unseen_watched(watch);
    watch->load_due = false;
    return true;
}

/* The events. */

static void take_event(struct ctl_watch *watch, uint32_t partition, const struct event *event,
                       uint64_t revision)
{
    struct watched *entry = find_watched(watch, event->id);
    bool is_whole = event->op == EVENT_OPEN || event->op == EVENT_ADOPT;
    if (entry ? entry->revision >= revision : !is_whole)
        return;
    if (event->op == EVENT_CLOSE) {
        print_watched_change(watch, "close", entry, event->body);
        drop_watched(watch, entry);
        return;
    }
    if (!entry)
        entry = add_watched(watch, partition, event->id);
    entry->revision = revision;
    if (event->op == EVENT_ORPHAN) {
        merge_watched_fields(entry, BYTES_LITERAL("4 0\nnode"));
    } else if (is_whole || event->op == EVENT_UPDATE) {
        entry->version = event->version;
        if (is_whole)
            set_body(entry, event->body);
        else
            merge_watched_fields(entry, event->body);
    }
    print_watched_change(watch, event_op_name(event->op), entry, entry->body);
}

/* The first event may be older than the snapshot, but must follow on it. */
static bool has_gap(const struct watch_part *part, uint64_t revision)
{
    if (part->revision)
        return revision != part->revision + 1;
    return part->floor && revision > part->floor + 1;
}

static void take_watch_message(struct ctl_watch *watch, uint32_t partition, struct bytes text)
{
    struct watch_part *part = &watch->parts[partition];
    struct event_message message;
    struct event event;
    bool bad = false;
    if (!event_message_read(text, &message)) {
        watch->load_due = true;
        return;
    }
    if (part->epoch != message.epoch) {
        set_epoch(watch, partition, message.epoch);
        watch->load_due = true;
    }
    if (message.count == 0)
        return;
    if (has_gap(part, message.revision))
        watch->load_due = true;
    uint64_t revision = message.revision;
    part->revision = message.revision + message.count - 1;
    while (event_next(&message, &event, &bad))
        take_event(watch, partition, &event, revision++);
    watch->load_due = watch->load_due || bad;
}

static void take_watch_messages(struct ctl_watch *watch, struct stream *stream)
{
    struct stream_message message;
    while (stream_next(stream, &message)) {
        if (message.begins) {
            watch->parts[message.partition].revision = 0;
            watch->parts[message.partition].floor = 0;
            watch->load_due = true;
        } else {
            take_watch_message(watch, message.partition, message.text);
        }
    }
}

static void tell_live(struct ctl_watch *watch)
{
    unsigned count = HASH_COUNT(watch->table);
    ctl_note(watch->ctl, "%u entries; watching", count);
    if (!watch->ctl->json)
        return;
    json_open(&watch->line, NULL, '{');
    json_string(&watch->line, "event", "live");
    json_string(&watch->line, "space", watch->space.name);
    json_number(&watch->line, "entries", count);
    json_close(&watch->line, '}');
    json_print(&watch->line);
}

static void pause_before_retry(struct ctl *ctl)
{
    uint64_t until = loop_now_ms(ctl->loop) + RETRY_MS;
    while (!ctl->stopped && loop_now_ms(ctl->loop) < until)
        loop_turn(ctl->loop, RETRY_MS / 5);
}

/* A snapshot that cannot be read at first ends the command; later, Redis is waited for. */
static enum ctl_exit watch_until_stopped(struct ctl_watch *watch, struct stream *stream)
{
    struct ctl *ctl = watch->ctl;
    while (!ctl->stopped) {
        take_watch_messages(watch, stream);
        if (!ctl_flush(ctl))
            break;
        if (!watch->load_due) {
            stream_wait(stream);
        } else if ((reader_problem(ctl->reader) == READER_FINE || ctl_reconnect(ctl)) &&
                   load_snapshot(watch)) {
            tell_live(watch);
        } else if (watch->load == 1) {
            return ctl_check(ctl);
        } else if (!ctl->stopped) {
            ctl_note(ctl, "%s", reader_error(ctl->reader));
            pause_before_retry(ctl);
        }
    }
    return CTL_OK;
}

enum ctl_exit watch_clients(struct ctl *ctl)
{
    struct ctl_watch watch = {.ctl = ctl};
    struct watched *entry, *next;
    enum ctl_exit result = ctl_connect_space(ctl, &watch.space);
    if (result != CTL_OK)
        return result;
    ctl_listen_for_signals(ctl);
    struct stream *stream = stream_open(ctl, &watch.space);
    if (!stream)
        return ctl_check(ctl);
    watch.parts = mem_zalloc(watch.space.partitions, sizeof *watch.parts);
    result = watch_until_stopped(&watch, stream);
    stream_close(&stream);
    HASH_ITER (hh, watch.table, entry, next)
        drop_watched(&watch, entry);
    for (uint32_t i = 0; i < watch.space.partitions; i++)
        free(watch.parts[i].ids);
    free(watch.parts);
    writer_free(&watch.line);
    return result;
}
