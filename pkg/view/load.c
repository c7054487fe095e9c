/*
 * load: reads the snapshot while events are applied.
 *
 *   read (no ids): the floor, at or above which every chunk is read
 *   nodes → each node:<node> is scanned, its entries are read in chunks
 *   deadlines, then registered: the same
 *
 * An entry that moves meanwhile is not missed: one that becomes an orphan moves to a list that is
 * scanned later, and every other move is published with all fields. Entries that neither a list nor
 * an event contained are gone when the load is complete.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "metrics/metrics.h"
#include "schema/keys.h"
#include "schema/scripts.h"
#include "view/view_private.h"

struct redis_script read_script = {.name = "read", .source = script_read};

/* The size of a reply, if redis.max_reply allows more: Redis serves no other client meanwhile. */
#define CHUNK_BYTES (UINT64_C(1) << 20)

struct view_load {
    struct view_part *part; /* NULL: cancelled; freed when no reply is outstanding */
    size_t under_way;
    struct bytes *nodes;
    size_t node_count, node_next;
    bool deadlines_done;
    bool scanned;         /* all of it, registrations too */
    bool may_be_restored; /* what the snapshot does not contain; known when it is complete */
    struct loop_job compare;
};

static void scan_next(struct view_load *load);

static void release_load(struct view_load *load)
{
    if (load->under_way > 0) {
        return;
    }
    for (size_t i = 0; i < load->node_count; i++) {
        free((void *)(uintptr_t)load->nodes[i].data);
    }
    free(load->nodes);
    free(load);
}

static void forget_closed_ids(struct view_part *part)
{
    struct closed_while_loading *closed, *next;
    HASH_ITER (hh, part->closed, closed, next) {
        HASH_DEL(part->closed, closed);
        free(closed);
    }
}

void load_stop(struct view_part *part)
{
    struct view_load *load = part->load;
    forget_closed_ids(part);
    if (!load) {
        return;
    }
    part->load = NULL;
    load->part = NULL;
    loop_job_stop(part->view->source.loop, &load->compare);
    release_load(load);
}

static void fail_load(struct view_load *load, bool refused, struct bytes why)
{
    struct view_part *part = load->part;
    const struct view_source *source = &part->view->source;
    if (source->callbacks->read_failed) {
        source->callbacks->read_failed(source->arg, refused, why);
    }
    part_load_failed(part);
}

static void fail_load_malformed(struct view_load *load)
{
    fail_load(load, true, BYTES_LITERAL("Redis sent a malformed snapshot"));
}

/* Some of the entries that the snapshot did not contain; true when there are more. After the last
 * the part is live. */
static bool compare_step(void *arg)
{
    struct view_load *load = arg;
    struct view_part *part = load->part;
    if (part_drop_missing(part, load->may_be_restored)) {
        return true;
    }
    part_enter(part, PART_LIVE); /* frees the load */
    metrics_add(METRIC_SNAPSHOTS, 1);
    part_load_done(part);
    return false;
}

static void complete_load(struct view_load *load)
{
    struct view_part *part = load->part;
    load->may_be_restored = part_may_be_restored(part);
    load->compare =
        (struct loop_job){.step = compare_step, .arg = load, .label = "compare_snapshot"};
    if (compare_step(load)) {
        loop_job_start(part->view->source.loop, &load->compare);
    }
}

static void check_complete(struct view_load *load)
{
    if (load->scanned && load->under_way == 0) {
        complete_load(load);
    }
}

/* A command of the load has been answered: whether the load continues. */
static bool still_wanted(struct view_load *load, enum redis_status status,
                         const struct redis_reply *reply, enum redis_type type)
{
    load->under_way--;
    if (!load->part) {
        release_load(load);
        return false;
    }
    if (status == REDIS_REFUSED) {
        fail_load(load, true, reply->text);
        return false;
    }
    if (status != REDIS_OK) {
        fail_load(load, false, BYTES_LITERAL("the connection to Redis was lost"));
        return false;
    }
    if (reply->type != type) {
        fail_load_malformed(load);
        return false;
    }
    return true;
}

static bool apply_chunk(struct view_load *load, struct bytes text)
{
    struct view_part *part = load->part;
    struct event_message message;
    struct event event;
    bool bad;
    if (!event_message_read(text, &message) || part->epoch_state == PART_EPOCH_UNKNOWN ||
        message.epoch != part->epoch) {
        return false;
    }
    while (event_next(&message, &event, &bad)) {
        view_apply(part, &event, message.revision, part->load_number);
    }
    return !bad;
}

/* A chunk that is being read. It keeps its ids: one reply may not have room for all. */
struct view_chunk {
    struct view_load *load;
    size_t count;
    struct writer ids;
    size_t ends[];
};

static struct bytes chunk_id(const struct view_chunk *chunk, size_t i)
{
    size_t start = i ? chunk->ends[i - 1] : 0;
    return (struct bytes){chunk->ids.data + start, chunk->ends[i] - start};
}

static void read_chunk_from(const struct view_chunk *before, size_t first);

/* How many of the chunk's ids the reply covers, and its message; 0: it is malformed. */
static size_t chunk_part(const struct view_chunk *chunk, const struct redis_reply *reply,
                         struct bytes *text)
{
    if (reply->type == REDIS_STRING) {
        *text = reply->text;
        return chunk->count;
    }
    if (reply->type != REDIS_ARRAY || reply->count != 2 ||
        reply->elements[0]->type != REDIS_STRING || reply->elements[1]->type != REDIS_INTEGER ||
        reply->elements[1]->integer < 1 || (size_t)reply->elements[1]->integer >= chunk->count) {
        return 0;
    }
    *text = reply->elements[0]->text;
    return (size_t)reply->elements[1]->integer;
}

static void on_loaded_chunk(void *arg, enum redis_status status, const struct redis_reply *reply)
{
    struct view_chunk *chunk = arg;
    struct view_load *load = chunk->load;
    struct bytes text = {0};
    if (still_wanted(load, status, reply, status == REDIS_OK ? reply->type : REDIS_STRING)) {
        size_t taken = chunk_part(chunk, reply, &text);
        if (taken == 0 || !apply_chunk(load, text)) {
            fail_load_malformed(load);
        } else {
            if (taken < chunk->count) {
                read_chunk_from(chunk, taken);
            }
            check_complete(load);
        }
    }
    writer_free(&chunk->ids);
    free(chunk);
}

/* A reply contains no further entry after that many bytes. No entry is longer
 * (server/combinations.c), so the reply is at most twice as long. */
static uint64_t chunk_bytes(const struct view_source *source)
{
    uint64_t most = (uint64_t)source->redis->max_reply / 2;
    return most == 0 || most > CHUNK_BYTES ? CHUNK_BYTES : most;
}

static void send_chunk(struct view_chunk *chunk)
{
    const struct view_part *part = chunk->load->part;
    const struct view_source *source = &part->view->source;
    size_t count = chunk->count;
    struct writer keys = {0};
    struct bytes *args = mem_alloc((2 + 2 * count) * sizeof *args);
    size_t *ends = mem_alloc((count + 1) * sizeof *ends);
    char most[24];
    for (size_t i = 0; i < count; i++) {
        keys_write(&keys, part->prefix, "client:", chunk_id(chunk, i));
        ends[i] = keys.len;
    }
    args[0] = bytes_from_string(part->key_head);
    for (size_t i = 0; i < count; i++) {
        size_t start = i ? ends[i - 1] : 0;
        args[1 + i] = (struct bytes){keys.data + start, ends[i] - start};
        args[1 + count + i] = chunk_id(chunk, i);
    }
    snprintf(most, sizeof most, "%llu", (unsigned long long)chunk_bytes(source));
    args[1 + 2 * count] = bytes_from_string(most);
    chunk->load->under_way++;
    redis_eval(*source->link, &read_script, on_loaded_chunk, chunk, 1 + count, 2 + 2 * count, args);
    free(ends);
    free(args);
    writer_free(&keys);
}

static void read_chunk(struct view_load *load, const struct bytes *ids, size_t count)
{
    struct view_chunk *chunk = mem_zalloc(1, sizeof *chunk + count * sizeof *chunk->ends);
    chunk->load = load;
    chunk->count = count;
    for (size_t i = 0; i < count; i++) {
        writer_bytes(&chunk->ids, ids[i]);
        chunk->ends[i] = chunk->ids.len;
    }
    send_chunk(chunk);
}

static void read_chunk_from(const struct view_chunk *before, size_t first)
{
    size_t count = before->count - first;
    struct bytes *ids = mem_alloc(count * sizeof *ids);
    for (size_t i = 0; i < count; i++) {
        ids[i] = chunk_id(before, first + i);
    }
    read_chunk(before->load, ids, count);
    free(ids);
}

/* A listed entry has not been closed. If its hash is missing, only its TTL has expired, as it does
 * when Redis is unreachable for long: its front-end opens it again, or closes it. */
static void keep_listed_entry(const struct view_load *load, struct bytes id)
{
    struct view_part *part = load->part;
    struct map_entry *entry = map_view_find(part->view, id);
    if (entry && entry->partition == part->index) {
        part_mark_seen(part, entry, part->load_number);
    }
}

/* Reads the entries of a scan's reply, whose elements are pairs; skip: bytes before the id. */
static void read_scanned(struct view_load *load, const struct redis_reply *pairs, size_t skip)
{
    size_t most = (size_t)load->part->view->source.settings->chunk, count = 0;
    struct bytes *ids = mem_alloc((most + 1) * sizeof *ids);
    for (size_t i = 0; i + 1 < pairs->count; i += 2) {
        struct bytes member = pairs->elements[i]->text;
        if (member.len <= skip || (skip && member.data[0] != 'c')) {
            continue;
        }
        ids[count++] = (struct bytes){member.data + skip, member.len - skip};
        keep_listed_entry(load, ids[count - 1]);
        if (count == most) {
            read_chunk(load, ids, count);
            count = 0;
        }
    }
    if (count > 0) {
        read_chunk(load, ids, count);
    }
    free(ids);
}

static bool is_scan(const struct redis_reply *reply)
{
    return reply->count == 2 && reply->elements[1]->type == REDIS_ARRAY;
}

static void scan_for_load(struct view_load *load, redis_callback callback, const char *command,
                          struct bytes key, struct bytes cursor)
{
    char count[24];
    const struct view_source *source = &load->part->view->source;
    snprintf(count, sizeof count, "%lld", (long long)source->settings->chunk);
    struct bytes args[] = {bytes_from_string(command), key, cursor, BYTES_LITERAL("COUNT"),
                           bytes_from_string(count)};
    load->under_way++;
    redis_command(*source->link, callback, load, 5, args);
}

static void on_scanned_set(void *arg, enum redis_status status, const struct redis_reply *reply);

static void scan_set(struct view_load *load, struct bytes cursor)
{
    const struct view_part *part = load->part;
    scan_for_load(
        load, on_scanned_set, "ZSCAN",
        bytes_from_string(load->deadlines_done ? part->key_registered : part->key_deadlines),
        cursor);
}

/* Deadlines, and then registrations. */
static void on_scanned_set(void *arg, enum redis_status status, const struct redis_reply *reply)
{
    struct view_load *load = arg;
    if (!still_wanted(load, status, reply, REDIS_ARRAY)) {
        return;
    }
    if (!is_scan(reply)) {
        fail_load_malformed(load);
        return;
    }
    struct bytes cursor = reply->elements[0]->text;
    read_scanned(load, reply->elements[1], load->deadlines_done ? 0 : 2);
    if (!bytes_equal(cursor, BYTES_LITERAL("0"))) {
        scan_set(load, cursor);
    } else if (!load->deadlines_done) {
        load->deadlines_done = true;
        scan_set(load, BYTES_LITERAL("0"));
    } else {
        load->scanned = true;
    }
    check_complete(load);
}

static void scan_node(struct view_load *load, struct bytes cursor);

static void on_loaded_node(void *arg, enum redis_status status, const struct redis_reply *reply)
{
    struct view_load *load = arg;
    if (!still_wanted(load, status, reply, REDIS_ARRAY)) {
        return;
    }
    if (!is_scan(reply)) {
        fail_load_malformed(load);
        return;
    }
    struct bytes cursor = reply->elements[0]->text;
    read_scanned(load, reply->elements[1], 0);
    if (bytes_equal(cursor, BYTES_LITERAL("0"))) {
        load->node_next++;
        scan_next(load);
    } else {
        scan_node(load, cursor);
    }
}

static void scan_node(struct view_load *load, struct bytes cursor)
{
    struct writer key = {0};
    struct bytes name = keys_write(&key, load->part->prefix, "node:", load->nodes[load->node_next]);
    scan_for_load(load, on_loaded_node, "HSCAN", name, cursor);
    writer_free(&key);
}

static void scan_next(struct view_load *load)
{
    if (load->node_next < load->node_count) {
        scan_node(load, BYTES_LITERAL("0"));
    } else {
        scan_set(load, BYTES_LITERAL("0"));
    }
}

static void on_loaded_nodes(void *arg, enum redis_status status, const struct redis_reply *reply)
{
    struct view_load *load = arg;
    if (!still_wanted(load, status, reply, REDIS_ARRAY)) {
        return;
    }
    load->nodes = mem_zalloc(reply->count + 1, sizeof *load->nodes);
    for (size_t i = 0; i < reply->count; i++) {
        struct bytes node = reply->elements[i]->text;
        load->nodes[load->node_count++] = (struct bytes){mem_dup(node.data, node.len), node.len};
    }
    scan_next(load);
}

/* The floor: all chunks are read at or above it, so older events need not be applied. */
static bool apply_floor(struct view_load *load, struct bytes text)
{
    struct view_part *part = load->part;
    struct event_message message;
    if (!event_message_read(text, &message)) {
        return false;
    }
    /* The event of the new epoch may have been published before the subscription. */
    if (part->epoch_state == PART_EPOCH_UNKNOWN || message.epoch != part->epoch) {
        part_enter_epoch(part, message.epoch);
    }
    part->floor = message.revision;
    /* The events applied since the load began may be older than the floor: what they opened may be
     * closed by then, and the event of that close is not applied any more. Only what arrives from
     * now on counts as seen. */
    part->load_number++;
    if (part->revision < message.revision) {
        part->revision = message.revision;
    }
    return true;
}

static void on_floor(void *arg, enum redis_status status, const struct redis_reply *reply)
{
    struct view_load *load = arg;
    if (!still_wanted(load, status, reply, REDIS_STRING)) {
        return;
    }
    if (reply->text.len == 0) {
        part_load_failed(load->part); /* no front-end has written to the partition yet */
        return;
    }
    if (!apply_floor(load, reply->text)) {
        fail_load_malformed(load);
        return;
    }
    const struct view_part *part = load->part;
    struct bytes args[] = {BYTES_LITERAL("ZRANGE"), bytes_from_string(part->key_nodes),
                           BYTES_LITERAL("0"), BYTES_LITERAL("-1")};
    load->under_way++;
    redis_command(*part->view->source.link, on_loaded_nodes, load, 4, args);
}

bool load_can_start(const struct view_part *part)
{
    const struct view_source *source = &part->view->source;
    return channel_is_subscribed(&part->channel) && redis_link_is_up(*source->link) &&
           (!source->callbacks->may_read || source->callbacks->may_read(source->arg));
}

void load_start(struct view_part *part, const char *why)
{
    bool was_complete = part_was_complete(part);
    part_enter(part, was_complete ? PART_STALE : PART_EMPTY);
    loop_timer_stop(part->retry_timer);
    if (!load_can_start(part)) {
        return; /* the subscription or the link will start it */
    }
    log_debug("reading_snapshot", LOG_STRING("prefix", part->prefix), LOG_STRING("why", why));
    part_enter(part, was_complete ? PART_RELOADING : PART_LOADING);
    part->load = mem_zalloc(1, sizeof *part->load);
    part->load->part = part;
    struct bytes key = bytes_from_string(part->key_head);
    part->load->under_way++;
    redis_eval(*part->view->source.link, &read_script, on_floor, part->load, 1, 1, &key);
}
