/*
 * batch: the operations of one event-loop iteration, sent as calls of the script apply.
 *
 * Up to redis.inflight batches are under way at once. Each carries its number and the one before,
 * and apply refuses it when the one before has not happened: so a batch that has to be sent again
 * (a script cache that was flushed, a lost link) can never be overtaken by a later one. What comes
 * back without having been judged waits until nothing is under way, and then goes before the
 * queue, in its old order.
 */
#include "map/batch_private.h"

#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "map/encode_private.h"
#include "map/map_private.h"
#include "map/op_private.h"
#include "map/owned_private.h"
#include "map/partition_private.h"
#include "map/recovery_private.h"
#include "map/result_private.h"
#include "map/space_private.h"
#include "map/sweep_private.h"
#include "map/tombstone_private.h"
#include "metrics/metrics.h"
#include "schema/fields.h"
#include "schema/keys.h"
#include "schema/scripts.h"

static struct redis_script apply_script = {.name = "apply", .source = script_apply};

/* Strings before the operations, and the most for one operation: apply.lua. */
#define FIXED_KEYS          5
#define FIXED_ARGUMENTS     6
#define OPERATION_KEYS      2
#define OPERATION_ARGUMENTS 14 /* and those of its fields */
/* Text made for an operation besides its keys: three numbers, and a rule. */
#define OPERATION_TEXT 192
#define LIMITS_TEXT    126

struct batch {
    struct partition *partition;
    uint64_t number;
    struct list ops;
    size_t count;
    size_t bytes;
    size_t field_arguments;
    bool has_bodies; /* there are bodies behind its reply's lines */
};

/* One argument for all: each costs Redis time in every call, and updates need none of them. */
static struct bytes limits_text(struct scratch *scratch, const struct partition *partition)
{
    const struct map_settings *settings = partition->map->settings;
    const uint64_t limits[] = {
        (uint64_t)settings->client_ttl,
        (uint64_t)settings->client_grace,
        partition_share_of(partition, settings->max_entries),
        (uint64_t)settings->offline_delay,
        map_is_full(partition->map),
        (uint64_t)settings->presence_max_devices,
    };
    uint8_t text[sizeof limits / sizeof *limits * (BYTES_DECIMAL_MAX + 1)];
    size_t len = 0;
    static_assert(sizeof text <= LIMITS_TEXT, "they have room");
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        if (i > 0) {
            text[len++] = ' ';
        }
        len += bytes_write_decimal(text + len, limits[i]);
    }
    return scratch_join(scratch, "", "", (struct bytes){text, len});
}

static void add_fixed(struct arguments *to, struct partition *partition)
{
    arguments_add_key(to, bytes_from_string(partition->key_head));
    arguments_add_key(to, bytes_from_string(partition->key_nodes));
    arguments_add_key(to, bytes_from_string(partition->key_deadlines));
    arguments_add_key(to, bytes_from_string(partition->key_mine));
    arguments_add_key(to, bytes_from_string(partition->key_events));
    arguments_add(to, bytes_from_string(partition->epoch));
    arguments_add(to, bytes_from_string(partition->map->node));
    arguments_add_number(to, partition->link_number);
    arguments_add_number(to, partition->batch_number);
    partition->batch_number++;
    arguments_add_number(to, partition->batch_number);
    arguments_add(to, limits_text(to->scratch, partition));
}

static void on_batch_reply(void *arg, enum redis_status status, const struct redis_reply *reply);

static void send_partition_batch(struct batch *batch)
{
    struct partition *partition = batch->partition;
    struct scratch *scratch = &partition->map->scratch;
    size_t keys = FIXED_KEYS + OPERATION_KEYS * batch->count;
    size_t values = FIXED_ARGUMENTS + OPERATION_ARGUMENTS * batch->count + batch->field_arguments;
    scratch_begin(scratch, 256 + LIMITS_TEXT +
                               batch->count * (2 * strlen(partition->prefix) + 2 * UINT8_MAX +
                                               OPERATION_TEXT));
    struct bytes *all = mem_alloc((keys + values) * sizeof *all);
    struct arguments arguments = {.keys = all,
                                  .max_keys = keys,
                                  .values = all + keys,
                                  .max_values = values,
                                  .scratch = scratch};
    add_fixed(&arguments, partition);
    LIST_FOREACH (node, &batch->ops) {
        struct op *op = list_entry(node, struct op, link);
        op->sent = true;
        encode_operation(&arguments, op);
    }
    memmove(all + arguments.key_count, arguments.values,
            arguments.value_count * sizeof *arguments.values);
    batch->number = partition->batch_number;
    partition->batch_count++;
    metrics_observe(HISTOGRAM_BATCH, batch->count);
    redis_eval(partition->map->link, &apply_script, on_batch_reply, batch, arguments.key_count,
               arguments.key_count + arguments.value_count, all);
    free(all);
}

static void take_into_batch(struct batch *batch, struct op *op)
{
    list_remove(&op->link);
    list_append(&batch->ops, &op->link);
    batch->count++;
    batch->bytes += op->state_len + op->id_len + 64u;
    batch->has_bodies |= op->type->has_body;
    if (op->made_of_fields) {
        batch->field_arguments += fields_count(op_state(op)) + fields_count_deleted(op_state(op));
    }
    if (op->type->on_sent) {
        op->type->on_sent(op);
    }
}

/* What must be sent before it, of the same entry. */
static void take_predecessors(struct batch *batch, struct op *op)
{
    struct partition *partition = batch->partition;
    struct bytes id = op_id(op);
    if (op->orphan_first) {
        struct op *orphan = op_create(partition, OP_ORPHAN_NODE, id);
        memcpy(orphan->of.node, op->owner, sizeof orphan->of.node);
        sweep_add_op(orphan);
        op->orphan_first = false;
        take_into_batch(batch, orphan);
    }
    struct owned *owned = op->type->of_entry ? owned_find(partition, id) : NULL;
    if (owned && owned->phase == OWNED_UNCONFIRMED) {
        take_into_batch(batch, owned_make_restore(partition, owned));
    }
}

static bool is_batch_full(const struct batch *batch)
{
    const struct map_settings *settings = batch->partition->map->settings;
    return batch->count > 0 && (batch->count >= (size_t)settings->batch_operations ||
                                batch->bytes >= (size_t)settings->batch_bytes);
}

static bool has_room_in_batch(const struct batch *batch, const struct list *source)
{
    return !list_is_empty(source) && !is_batch_full(batch);
}

/* Tombstones go before everything else. False: more of them are due. */
static bool gather_tombstones(struct batch *batch)
{
    struct partition *partition = batch->partition;
    while (tombstones_are_due(partition)) {
        if (is_batch_full(batch)) {
            return false;
        }
        struct op *op = tombstone_next(partition);
        if (op) {
            take_into_batch(batch, op);
        } else if (tombstones_are_due(partition)) {
            loop_defer_next(partition->map->loop, LOOP_PHASE_STORE, &partition->flush);
            return false;
        }
    }
    return true;
}

/* Audit operations for entries that are still not owned here. */
static void gather_urgent(struct batch *batch)
{
    struct partition *partition = batch->partition;
    while (has_room_in_batch(batch, &partition->urgent)) {
        struct op *op = list_entry(partition->urgent.next, struct op, link);
        if (owned_find(partition, op_id(op))) {
            op_release(op);
        } else {
            take_into_batch(batch, op);
        }
    }
}

/* NULL: it was a set of an entry that is restored anyway. */
static struct op *first_queued_op(struct partition *partition)
{
    struct list *first = partition->queue.next;
    struct op *op = list_entry(first, struct op, link);
    if (op->type->of_entry) {
        (void)owned_find(partition, op_id(op)); /* it may release the operation */
    }
    return partition->queue.next == first ? op : NULL;
}

static void gather_operations(struct batch *batch)
{
    struct partition *partition = batch->partition;
    if (!gather_tombstones(batch)) {
        return;
    }
    gather_urgent(batch);
    while (has_room_in_batch(batch, &partition->queue)) {
        struct op *op = first_queued_op(partition);
        if (op) {
            take_predecessors(batch, op);
            take_into_batch(batch, op);
        }
    }
    uint64_t now = loop_now_ms(partition->map->loop);
    if (!recovery_may_restore(partition, now)) {
        return;
    }
    struct owned *owned;
    while (!is_batch_full(batch) && (owned = owned_first_due(partition, now))) {
        take_into_batch(batch, owned_make_restore(partition, owned));
    }
}

static void send_waiting(struct partition *partition)
{
    while (partition->state == PARTITION_READY &&
           partition->batch_count < (size_t)partition->map->redis->inflight) {
        struct batch *batch = mem_zalloc(1, sizeof *batch);
        batch->partition = partition;
        list_init(&batch->ops);
        gather_operations(batch);
        if (batch->count == 0) {
            free(batch);
            return;
        }
        send_partition_batch(batch);
    }
}

void batch_send_all(struct partition *partition)
{
    /* What came back precedes the queue: it is sent first, once all of it is back. */
    if (!list_is_empty(&partition->requeued)) {
        return;
    }
    send_waiting(partition);
    recovery_note_sent(partition);
}

/* Back from a batch that was not judged. What sweeps asked for, they ask for again. */
static void put_back(struct partition *partition, struct op *op)
{
    const struct op_type *type = op->type;
    op->sent = false;
    list_remove(&op->link);
    if (type->of_sweep) {
        op_release(op);
        sweep_judged(partition);
        return;
    }
    bool is_wanted = type->on_unjudged ? type->on_unjudged(op) : !op->answered || type->outlives;
    if (is_wanted) {
        list_append(&partition->requeued, &op->link);
    } else {
        op_release(op);
    }
}

void batch_requeue(struct partition *partition)
{
    while (!list_is_empty(&partition->requeued)) {
        struct list *last = partition->requeued.prev;
        list_remove(last);
        list_prepend(&partition->queue, last);
    }
}

static struct bytes next_line(struct cursor *cursor)
{
    struct bytes rest = {cursor->at, (size_t)(cursor->end - cursor->at)};
    const uint8_t *end = rest.len ? memchr(rest.data, '\n', rest.len) : NULL;
    if (!end) {
        cursor->at = cursor->end;
        return rest;
    }
    cursor->at = end + 1;
    return (struct bytes){rest.data, (size_t)(end - rest.data)};
}

/* The bytes that follow that many lines. */
static struct cursor behind_lines(struct cursor cursor, size_t count)
{
    while (count-- > 0) {
        next_line(&cursor);
    }
    return cursor;
}

static void take_results(struct batch *batch, struct bytes text)
{
    struct partition *partition = batch->partition;
    struct cursor cursor = cursor_over(text);
    cursor_until(&cursor, ' ');
    uint64_t revision = cursor_decimal(&cursor, ' ');
    uint64_t now = cursor_decimal(&cursor, '\n');
    struct cursor rest = behind_lines(cursor, batch->has_bodies ? batch->count : 0);
    partition->refusal = NULL;
    partition->revision = revision;
    recovery_batch_judged(partition, batch->number);
    partition_set_time(partition, now);
    while (!list_is_empty(&batch->ops)) {
        struct op *op = list_entry(batch->ops.next, struct op, link);
        list_remove(&op->link);
        result_take(op, next_line(&cursor), &rest);
    }
}

static void put_all_back(struct batch *batch)
{
    recovery_batch_returned(batch->partition);
    while (!list_is_empty(&batch->ops)) {
        put_back(batch->partition, list_entry(batch->ops.next, struct op, link));
    }
}

static void on_batch_reply(void *arg, enum redis_status status, const struct redis_reply *reply)
{
    struct batch *batch = arg;
    struct partition *partition = batch->partition;
    partition->batch_count--;
    bool judged = status == REDIS_OK && reply->text.len >= 3 && !memcmp(reply->text.data, "ok ", 3);
    if (judged) {
        take_results(batch, reply->text);
    } else {
        put_all_back(batch);
    }
    free(batch);
    if (status == REDIS_OK && !judged) {
        partition_refused(partition, reply->text);
    } else if (status != REDIS_OK) {
        partition_failed(partition, status, reply);
    }
    if (partition->batch_count == 0) {
        batch_requeue(partition);
    }
    partition_wake(partition);
}
