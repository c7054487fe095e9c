/*
 * partition: one part of a space as this front-end writes it, and its life cycle.
 *
 *   DISCONNECTED ──link up──► HANDSHAKING ──hello accepted──► READY
 *        ▲                      ▲      │                       │
 *        │ link down            │      └───── refused ───┬─────┘
 *        │ (from any state)     │                        ▼
 *        └──                    └─ nothing under way ─ DRAINING
 *
 * In READY, what waits is sent at the end of each event-loop iteration. Whatever puts in doubt what
 * we know of Redis (another epoch, a lost lease, a refusal) ends in the same way: nothing more is
 * sent, what is under way is awaited, hello is sent, and every owned entry is compared.
 *
 * partition_enter is the only place that changes the state.
 */
#include "map/partition_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/ids.h"
#include "base/log.h"
#include "base/mem.h"
#include "map/batch_private.h"
#include "map/contact_private.h"
#include "map/feature.h"
#include "map/feature_private.h"
#include "map/map_private.h"
#include "map/op_private.h"
#include "map/owned_private.h"
#include "map/result_private.h"
#include "map/secret_private.h"
#include "map/shared_private.h"
#include "map/space_private.h"
#include "map/sweep_private.h"
#include "map/tombstone_private.h"
#include "metrics/metrics.h"
#include "schema/format.h"
#include "schema/keys.h"
#include "schema/scripts.h"

static struct redis_script hello_script = {.name = "hello", .source = script_hello};

/* Until hello is sent again after Redis refused it, or a batch. */
#define REFUSED_DELAY_MS 250
/* Until the format of what is stored is checked again, when this release does not know it. */
#define UNREADABLE_DELAY_MS 1000
/* After a lost lease, or when this front-end was taken for crashed, the sockets are read first: an
 * entry whose connection has ended meanwhile must not be restored. */
#define LEASE_DELAY_MS 100
/* How often is checked whether batches are still under way. */
#define DRAIN_POLL_MS 5

static void send_hello(void *arg);

static char *partition_key(const struct partition *partition, const char *kind, const char *name)
{
    return mem_format("%s%s%s", partition->prefix, kind, name);
}

static void on_partition_flush(void *arg)
{
    struct partition *partition = arg;
    loop_label(partition->map->loop, "map_batches");
    batch_send_all(partition);
}

void partition_init(struct partition *partition, struct map_space *space, uint32_t index)
{
    struct map *map = space->map;
    partition->map = map;
    partition->space = space;
    partition->index = index;
    partition->prefix = keys_partition_prefix(map->redis->prefix, space->name, space->count, index);
    partition->key_head = partition_key(partition, "head", "");
    partition->key_nodes = partition_key(partition, "nodes", "");
    partition->key_deadlines = partition_key(partition, "deadlines", "");
    partition->key_registered = partition_key(partition, "registered", "");
    partition->key_mine = partition_key(partition, "node:", map->node);
    partition->channels = keys_partition_channels(partition->prefix, map->database);
    partition->key_events = mem_format("%sevents", partition->channels);
    struct list *lists[] = {&partition->urgent, &partition->queue, &partition->parked,
                            &partition->requeued, &partition->unconfirmed};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        list_init(lists[i]);
    }
    renewal_init(&partition->renewals);
    tombstones_init(&partition->tombstones);
    sweep_init(partition);
    partition->flush = (struct loop_task){.callback = on_partition_flush, .arg = partition};
    partition->hello_timer = loop_timer_create(map->loop, send_hello, partition);
}

static void release_ops(struct list *ops)
{
    while (!list_is_empty(ops)) {
        op_release(list_entry(ops->next, struct op, link));
    }
}

void partition_free(struct partition *partition)
{
    release_ops(&partition->urgent);
    release_ops(&partition->queue);
    release_ops(&partition->requeued);
    release_ops(&partition->parked);
    tombstones_free(partition);
    loop_cancel(partition->map->loop, &partition->flush);
    sweep_free(partition);
    loop_timer_destroy(&partition->hello_timer);
    free(partition->prefix);
    free(partition->channels);
    free(partition->key_head);
    free(partition->key_nodes);
    free(partition->key_deadlines);
    free(partition->key_registered);
    free(partition->key_mine);
    free(partition->key_events);
}

struct partition *partition_of(const struct map_space *space, struct bytes id)
{
    return &space->partitions[space->count == 1 ? 0 : shard_of(id, space->count)];
}

void partition_wake(struct partition *partition)
{
    loop_defer(partition->map->loop, LOOP_PHASE_STORE, &partition->flush);
}

void partition_set_time(struct partition *partition, uint64_t redis_now_ms)
{
    partition->map->clock_offset_ms =
        (int64_t)redis_now_ms - (int64_t)loop_now_ms(partition->map->loop);
}

void partition_set_format(struct partition *partition, uint64_t format)
{
    if (partition->format != 0 && partition->format != format) {
        log_info("format_changed", LOG_STRING("prefix", partition->prefix),
                 LOG_INT("from", (int64_t)partition->format), LOG_INT("to", (int64_t)format));
    }
    partition->format = format;
}

static void partition_enter(struct partition *partition, enum partition_state state)
{
    enum partition_state before = partition->state;
    partition->state = state;
    switch (state) {
    case PARTITION_DISCONNECTED:
        if (before != PARTITION_DISCONNECTED) {
            partition->down_ms = loop_now_ms(partition->map->loop);
            partition->lost_when_ready = before == PARTITION_READY;
        }
        loop_timer_stop(partition->hello_timer);
        sweep_stop(partition);
        batch_requeue(partition);
        break;
    case PARTITION_HANDSHAKING:
        break;
    case PARTITION_READY:
        partition->lost_when_ready = false;
        partition->refusal = NULL;
        partition->unreadable = false;
        break;
    case PARTITION_DRAINING:
        sweep_stop(partition);
        break;
    }
}

/* hello is sent again after delay_ms, once nothing is under way. */
static void drain_partition(struct partition *partition, uint64_t delay_ms, const char *why)
{
    if (partition->state == PARTITION_DISCONNECTED || partition->state == PARTITION_DRAINING) {
        return;
    }
    log_debug("handshake_again", LOG_STRING("prefix", partition->prefix), LOG_STRING("why", why));
    partition_enter(partition, PARTITION_DRAINING);
    loop_timer_start(partition->hello_timer, delay_ms);
}

static void begin_partition_epoch(struct partition *partition, struct bytes epoch)
{
    memcpy(partition->epoch_before, partition->epoch, sizeof partition->epoch_before);
    memcpy(partition->epoch, epoch.data, EPOCH_LENGTH);
    partition->epochs++;
    recovery_begin_epoch(partition);
    metrics_add(METRIC_EPOCHS, 1);
    log_info("new_epoch", LOG_STRING("prefix", partition->prefix),
             LOG_STRING("epoch", partition->epoch));
    tombstones_repeat(partition);
    features_new_epoch(partition);
    /* What Redis may have lost with the epoch before. */
    if (partition->index == 0) {
        map_put_count(partition->space);
        if (partition->epochs > 1) {
            shared_read_again(partition->map->shared, 0);
        }
        secrets_reread(partition->map);
    }
}

/* {"ok", epoch, revision, link, now, end of the recovery grace, new, format} */
static bool is_hello_accepted(const struct redis_reply *reply)
{
    return reply->type == REDIS_ARRAY && reply->count == 8 &&
           bytes_equal(reply->elements[0]->text, BYTES_LITERAL("ok")) &&
           reply->elements[1]->text.len == EPOCH_LENGTH;
}

/* What features put back goes before anything that waits, which may depend on it. */
static void prepare_features(struct partition *partition)
{
    struct list waiting;
    list_init(&waiting);
    while (!list_is_empty(&partition->queue)) {
        struct list *first = partition->queue.next;
        list_remove(first);
        list_append(&waiting, first);
    }
    features_ready(partition);
    while (!list_is_empty(&waiting)) {
        struct list *first = waiting.next;
        list_remove(first);
        list_append(&partition->queue, first);
    }
}

/* Whether Redis is as it was when the link was lost: nothing has changed since its last reply, what
 * was under way has not happened, and our lease has not expired, so that nobody took this front-end
 * for crashed. Keys that have expired are found by their renewal, as always. */
static bool is_as_before(const struct partition *partition, uint64_t revision)
{
    uint64_t now = loop_now_ms(partition->map->loop);
    return partition->lost_when_ready && partition->revision == revision &&
           now - partition->contact.renewed_ms < (uint64_t)partition->map->settings->lease;
}

static void audit_partition(struct partition *partition)
{
    partition->audit_due = false;
    owned_audit(partition);
    features_audit(partition);
}

static void accept_hello(struct partition *partition, const struct redis_reply *reply)
{
    struct bytes epoch = reply->elements[1]->text;
    uint64_t revision = bytes_decimal(reply->elements[2]->text);
    bool is_new_epoch = memcmp(partition->epoch, epoch.data, EPOCH_LENGTH) != 0;
    bool is_same = !is_new_epoch && is_as_before(partition, revision);
    contact_answered(partition);
    partition->revision = revision;
    partition->link_number = bytes_decimal(reply->elements[3]->text);
    partition->batch_number = 0;
    partition_set_time(partition, bytes_decimal(reply->elements[4]->text));
    partition->recovery_until = bytes_decimal(reply->elements[5]->text);
    partition_set_format(partition, (uint64_t)reply->elements[7]->integer);
    partition_enter(partition, PARTITION_READY);
    recovery_begin_link(partition);
    if (is_new_epoch) {
        begin_partition_epoch(partition, epoch);
    }
    release_ops(&partition->urgent); /* of an earlier audit */
    batch_requeue(partition);
    if (is_same) {
        metrics_add(METRIC_RESTORES_SKIPPED, 1);
    } else {
        owned_unconfirm_all(partition);
    }
    prepare_features(partition);
    if (partition->audit_due || !is_same) {
        audit_partition(partition);
    }
    if (is_new_epoch) {
        recovery_start(partition);
    }
    partition_wake(partition);
    sweep_start(partition);
    map_check_serving(partition->map);
}

/* Fatal before the map has served. Later a newer release has raised the format, or Redis has been
 * replaced: that may pass. */
static void refuse_format(struct partition *partition, const struct redis_reply *reply)
{
    static struct log_limit limit = {.burst = 5};
    struct map *map = partition->map;
    char *why = format_explain(reply->elements[1]->text, reply->elements[2]->text,
                               reply->elements[3]->text);
    if (map->phase == MAP_STARTING) {
        map->callbacks->fatal(map->arg, why);
    } else {
        log_limited(LOG_ERROR, &limit, "unreadable_format", LOG_STRING("prefix", partition->prefix),
                    LOG_STRING("why", why));
        partition->unreadable = true;
        drain_partition(partition, UNREADABLE_DELAY_MS, "format");
    }
    free(why);
}

static bool is_format_refusal(const struct redis_reply *reply)
{
    return reply->type == REDIS_ARRAY && reply->count == 4 &&
           bytes_equal(reply->elements[0]->text, BYTES_LITERAL("format"));
}

static void on_hello(void *arg, enum redis_status status, const struct redis_reply *reply)
{
    struct partition *partition = arg;
    if (partition->state != PARTITION_HANDSHAKING) {
        return;
    }
    if (status != REDIS_OK) {
        partition_failed(partition, status, reply);
    } else if (is_hello_accepted(reply)) {
        accept_hello(partition, reply);
    } else if (is_format_refusal(reply)) {
        refuse_format(partition, reply);
    } else if (shared_is_refusal(reply)) {
        shared_read_again(partition->map->shared, bytes_decimal(reply->elements[1]->text));
        drain_partition(partition, SHARED_DELAY_MS, "shared settings");
    } else {
        struct bytes stored = reply->type == REDIS_ARRAY && reply->count == 2
                                  ? reply->elements[1]->text
                                  : BYTES_LITERAL("?");
        char *why = mem_format("map.partitions is %u here and %.*s in Redis",
                               partition->space->count, (int)stored.len, (const char *)stored.data);
        partition->map->callbacks->fatal(partition->map->arg, why);
        free(why);
    }
}

static void send_hello(void *arg)
{
    struct partition *partition = arg;
    struct map *map = partition->map;
    char epoch[EPOCH_LENGTH + 1], count[12], lease[24], grace[24], shared[24];
    if (!redis_link_is_up(map->link) || !map->checked) {
        return;
    }
    if (partition->batch_count > 0) {
        loop_timer_start(partition->hello_timer, DRAIN_POLL_MS);
        return;
    }
    partition_enter(partition, PARTITION_HANDSHAKING);
    id_make_hex(epoch, EPOCH_LENGTH);
    snprintf(count, sizeof count, "%u", partition->space->count);
    snprintf(lease, sizeof lease, "%lld", (long long)map->settings->lease);
    snprintf(grace, sizeof grace, "%lld", (long long)map->settings->recovery_grace);
    snprintf(shared, sizeof shared, "%llu", (unsigned long long)shared_revision(map->shared));
    struct bytes args[] = {bytes_from_string(partition->key_head),
                           bytes_from_string(partition->key_nodes),
                           bytes_from_string(partition->key_events),
                           bytes_from_string(map->run_id),
                           bytes_from_string(epoch),
                           bytes_from_string(count),
                           bytes_from_string(map->node),
                           bytes_from_string(lease),
                           bytes_from_string(grace),
                           bytes_from_string(format_oldest.number),
                           bytes_from_string(format_oldest.reader),
                           bytes_from_string(format_oldest.release),
                           bytes_from_string(format_newest.number),
                           bytes_from_string(shared)};
    sweep_lease_sent(partition);
    contact_sent(partition);
    redis_eval(map->link, &hello_script, on_hello, partition, 3, 14, args);
}

void partition_link_up(struct partition *partition)
{
    send_hello(partition);
}

void partition_link_down(struct partition *partition)
{
    partition_enter(partition, PARTITION_DISCONNECTED);
}

void partition_refused(struct partition *partition, struct bytes why)
{
    bool stalled =
        bytes_equal(why, BYTES_LITERAL("lease")) || bytes_equal(why, BYTES_LITERAL("link"));
    char text[16];
    snprintf(text, sizeof text, "%.*s", (int)why.len, (const char *)why.data);
    drain_partition(partition, stalled ? LEASE_DELAY_MS : 0, text);
}

void partition_failed(struct partition *partition, enum redis_status status,
                      const struct redis_reply *reply)
{
    static struct log_limit limit = {.burst = 5};
    if (status != REDIS_REFUSED) {
        return; /* the link is lost: partition_link_down follows */
    }
    enum redis_refusal refusal = redis_refusal_of(reply);
    if (refusal == REDIS_REFUSAL_OTHER) {
        log_limited(LOG_ERROR, &limit, "script_failed", LOG_STRING("prefix", partition->prefix),
                    LOG_BYTES("err", reply->text));
    }
    partition->refusal = redis_refusal_name(refusal);
    drain_partition(partition, REFUSED_DELAY_MS, partition->refusal);
}

void partition_tick(struct partition *partition, uint64_t now_ms)
{
    renewal_tick(partition, now_ms);
    result_unpark(partition, now_ms);
    tombstones_tick(partition, now_ms);
    if (partition->state != PARTITION_READY) {
        return;
    }
    if (partition->audit_due) {
        audit_partition(partition);
    }
    if (!list_is_empty(&partition->unconfirmed)) {
        partition_wake(partition);
    }
    recovery_tick(partition);
}
