/*
 * partition: one part of a space as this front-end writes it: its state with regard to Redis, and
 * its greeting.
 *
 *   AWAY ──link up──► GREETING ──hello ok──► READY ──refused whole──► SETTLING ──► GREETING
 *     ▲                  └───── any state ── link down ──┘
 *
 * In READY, what waits is sent at the end of each turn. Everything that makes our picture of Redis
 * doubtful (another epoch, a lost lease, a refusal) ends in the same place: wait until nothing is
 * under way, say hello, compare everything owned.
 */
#include "map/partition_private.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/random.h"
#include "map/batch_private.h"
#include "map/contact_private.h"
#include "map/feature_private.h"
#include "map/map_private.h"
#include "map/op_private.h"
#include "map/owned_private.h"
#include "map/result_private.h"
#include "map/room_op_private.h"
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

/* Until Redis is asked again after it refused. */
#define REFUSED_DELAY_MS 250
/* Until what is stored is looked at again when it is in a format that we do not understand. */
#define UNREADABLE_DELAY_MS 1000
/* After a lost lease, or when others have forgotten this front-end, the sockets are read first: who
 * is gone meanwhile must not be restored. */
#define LEASE_DELAY_MS 100
/* Between two looks at whether batches are still under way. */
#define SETTLE_POLL_MS 5
/* Restores after a new epoch begin within this time: all front-ends have the same to do. */
#define RESTORE_JITTER_MS 500

static void send_hello(void *arg);

static char *partition_key(const struct partition *partition, const char *kind, const char *name)
{
    return mem_format("%s%s%s", partition->prefix, kind, name);
}

static void flush(void *arg)
{
    batch_send_all(arg);
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
    struct list *lists[] = {&partition->urgent,          &partition->queue,
                            &partition->parked,          &partition->requeued,
                            &partition->unconfirmed,     &partition->tombstones_due,
                            &partition->tombstones_later};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        list_init(lists[i]);
    for (size_t i = 0; i < RENEWAL_LISTS; i++)
        list_init(&partition->renewal[i]);
    partition->flush = (struct loop_task){.callback = flush, .arg = partition};
    partition->greet_timer = loop_timer_create(map->loop, send_hello, partition);
    partition->sweep_timer = loop_timer_create(map->loop, sweep_run, partition);
}

static void free_ops(struct list *ops)
{
    while (!list_is_empty(ops))
        op_release(list_entry(ops->next, struct op, link));
}

void partition_free(struct partition *partition)
{
    free_ops(&partition->urgent);
    free_ops(&partition->queue);
    free_ops(&partition->requeued);
    free_ops(&partition->parked);
    tombstones_free(partition);
    loop_cancel(partition->map->loop, &partition->flush);
    loop_timer_destroy(&partition->greet_timer);
    loop_timer_destroy(&partition->sweep_timer);
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

static void begin_partition_epoch(struct partition *partition, struct bytes epoch)
{
    memcpy(partition->epoch_before, partition->epoch, sizeof partition->epoch_before);
    memcpy(partition->epoch, epoch.data, EPOCH_LENGTH);
    partition->epochs++;
    partition->filling = true;
    partition->restore_from_ms =
        loop_now_ms(partition->map->loop) + random_below(RESTORE_JITTER_MS);
    metrics_add(METRIC_EPOCHS, 1);
    log_info("new_epoch", LOG_STRING("prefix", partition->prefix),
             LOG_STRING("epoch", partition->epoch));
    tombstones_repeat(partition);
    features_new_epoch(partition);
    /* What Redis forgot with the old epoch. */
    if (partition->index == 0) {
        map_put_count(partition->space);
        if (partition->epochs > 1)
            shared_read_again(partition->map->shared, 0);
        secrets_reread(partition->map);
    }
}

/* hello's array: {"ok", epoch, revision, link, now, hold until, new}. */
static bool is_welcome(const struct redis_reply *reply)
{
    return reply->type == REDIS_ARRAY && reply->count == 7 &&
           bytes_equal(reply->elements[0]->text, BYTES_LITERAL("ok")) &&
           reply->elements[1]->text.len == EPOCH_LENGTH;
}

/* Before anything that waits, as Redis may have lost the members who said what waits. */
static void rejoin_rooms(struct partition *partition)
{
    struct list waiting;
    list_init(&waiting);
    while (!list_is_empty(&partition->queue)) {
        struct list *first = partition->queue.next;
        list_remove(first);
        list_append(&waiting, first);
    }
    rooms_rejoin(partition);
    while (!list_is_empty(&waiting)) {
        struct list *first = waiting.next;
        list_remove(first);
        list_append(&partition->queue, first);
    }
}

/* Whether Redis is as we left it when the link was lost: nobody has changed anything since its last
 * answer, what was under way has not happened, and within a lease nobody took us for dead. Keys
 * whose TTL ended are found by their renewal, as always. */
static bool is_as_before(const struct partition *partition, uint64_t revision)
{
    uint64_t now = loop_now_ms(partition->map->loop);
    return partition->lost_when_ready && partition->revision == revision &&
           now - partition->renewed_ms < (uint64_t)partition->map->settings->lease;
}

static void audit(struct partition *partition)
{
    partition->audit_due = false;
    owned_audit(partition);
    room_audit(partition);
}

static void take_hello_reply(struct partition *partition, const struct redis_reply *reply)
{
    struct bytes epoch = reply->elements[1]->text;
    bool other = memcmp(partition->epoch, epoch.data, EPOCH_LENGTH) != 0;
    bool same = !other && is_as_before(partition, bytes_decimal(reply->elements[2]->text));
    partition->lost_when_ready = false;
    contact_answered(partition);
    partition->revision = bytes_decimal(reply->elements[2]->text);
    partition->link_number = bytes_decimal(reply->elements[3]->text);
    partition->batch_number = 0;
    partition_set_time(partition, bytes_decimal(reply->elements[4]->text));
    partition->hold_until = bytes_decimal(reply->elements[5]->text);
    partition->refused = false;
    partition->unreadable = false;
    partition->restore_from_ms = 0;
    partition->state = PARTITION_READY;
    partition->greeted = true;
    partition->restored_by = 0;
    if (other)
        begin_partition_epoch(partition, epoch);
    free_ops(&partition->urgent); /* of an earlier audit */
    batch_requeue(partition);
    if (same)
        metrics_add(METRIC_RESTORES_SPARED, 1);
    else
        owned_unconfirm_all(partition);
    rejoin_rooms(partition);
    if (partition->audit_due || !same)
        audit(partition);
    if (other)
        partition->restoring = !list_is_empty(&partition->unconfirmed) ||
                               !list_is_empty(&partition->queue) ||
                               !list_is_empty(&partition->tombstones_due);
    partition_wake(partition);
    sweep_start(partition);
    map_check_serving(partition->map);
}

/* At start it is fatal. Later the format has been raised under us, or Redis is another one: that
 * may pass. */
static void refuse_format(struct partition *partition, const struct redis_reply *reply)
{
    static struct log_limit limit = {.burst = 5};
    struct map *map = partition->map;
    char *why = format_explain(reply->elements[1]->text, reply->elements[2]->text,
                               reply->elements[3]->text);
    if (!map->served) {
        map->callbacks->fatal(map->arg, why);
    } else {
        log_limited(LOG_ERROR, &limit, "unreadable_format", LOG_STRING("prefix", partition->prefix),
                    LOG_STRING("why", why));
        partition->unreadable = true;
        partition_settle(partition, UNREADABLE_DELAY_MS, "format");
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
    if (partition->state != PARTITION_GREETING)
        return;
    if (status != REDIS_OK) {
        partition_failed(partition, status, reply);
    } else if (is_welcome(reply)) {
        take_hello_reply(partition, reply);
    } else if (is_format_refusal(reply)) {
        refuse_format(partition, reply);
    } else if (shared_is_refusal(reply)) {
        shared_read_again(partition->map->shared, bytes_decimal(reply->elements[1]->text));
        partition_settle(partition, SHARED_DELAY_MS, "shared settings");
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
    char epoch[EPOCH_LENGTH + 1], count[12], lease[24], hold[24], shared[24];
    if (!redis_link_is_up(map->link) || !map->checked)
        return;
    if (partition->batch_count > 0) {
        loop_timer_start(partition->greet_timer, SETTLE_POLL_MS);
        return;
    }
    partition->state = PARTITION_GREETING;
    id_make_hex(epoch, EPOCH_LENGTH);
    snprintf(count, sizeof count, "%u", partition->space->count);
    snprintf(lease, sizeof lease, "%lld", (long long)map->settings->lease);
    snprintf(hold, sizeof hold, "%lld", (long long)map->settings->hold);
    snprintf(shared, sizeof shared, "%llu", (unsigned long long)shared_revision(map->shared));
    struct bytes args[] = {bytes_from_string(partition->key_head),
                           bytes_from_string(partition->key_nodes),
                           bytes_from_string(partition->key_events),
                           bytes_from_string(map->run_id),
                           bytes_from_string(epoch),
                           bytes_from_string(count),
                           bytes_from_string(map->node),
                           bytes_from_string(lease),
                           bytes_from_string(hold),
                           BYTES_LITERAL(FORMAT_WRITTEN),
                           BYTES_LITERAL(FORMAT_LEAST_READER),
                           BYTES_LITERAL(FORMAT_LEAST_RELEASE),
                           BYTES_LITERAL(FORMAT_READER),
                           BYTES_LITERAL(FORMAT_OLDEST),
                           bytes_from_string(shared)};
    partition->renewed_lease = map->settings->lease;
    contact_asked(partition);
    redis_eval(map->link, &hello_script, on_hello, partition, 3, 15, args);
}

void partition_link_up(struct partition *partition)
{
    send_hello(partition);
}

void partition_link_down(struct partition *partition)
{
    if (partition->state != PARTITION_AWAY) {
        partition->down_ms = loop_now_ms(partition->map->loop);
        partition->lost_when_ready = partition->state == PARTITION_READY;
    }
    partition->state = PARTITION_AWAY;
    loop_timer_stop(partition->greet_timer);
    loop_timer_stop(partition->sweep_timer);
    partition->sweeping = false;
    batch_requeue(partition);
}

void partition_settle(struct partition *partition, uint64_t delay_ms, const char *why)
{
    if (partition->state == PARTITION_AWAY || partition->state == PARTITION_SETTLING)
        return;
    log_debug("handshake_again", LOG_STRING("prefix", partition->prefix), LOG_STRING("why", why));
    partition->state = PARTITION_SETTLING;
    partition->sweeping = false;
    loop_timer_stop(partition->sweep_timer);
    loop_timer_start(partition->greet_timer, delay_ms);
}

void partition_refused(struct partition *partition, struct bytes why)
{
    bool stood_still =
        bytes_equal(why, BYTES_LITERAL("lease")) || bytes_equal(why, BYTES_LITERAL("link"));
    char text[16];
    snprintf(text, sizeof text, "%.*s", (int)why.len, (const char *)why.data);
    partition_settle(partition, stood_still ? LEASE_DELAY_MS : 0, text);
}

void partition_failed(struct partition *partition, enum redis_status status,
                      const struct redis_reply *reply)
{
    static struct log_limit limit = {.burst = 5};
    if (status != REDIS_REFUSED)
        return; /* link down follows */
    partition->refused = true;
    partition->refusal = redis_refusal_of(reply);
    if (partition->refusal == REDIS_REFUSAL_OTHER)
        log_limited(LOG_ERROR, &limit, "script_failed", LOG_STRING("prefix", partition->prefix),
                    LOG_BYTES("err", reply->text));
    if (partition->state == PARTITION_GREETING)
        partition->state = PARTITION_READY; /* so that it can settle */
    partition_settle(partition, REFUSED_DELAY_MS, redis_refusal_name(partition->refusal));
}

void partition_tick(struct partition *partition, uint64_t now_ms)
{
    owned_renew_due(partition, now_ms);
    result_unpark(partition, now_ms);
    tombstones_tick(partition, now_ms);
    if (partition->state != PARTITION_READY)
        return;
    if (partition->audit_due)
        audit(partition);
    if (!list_is_empty(&partition->unconfirmed))
        partition_wake(partition);
    if (owned_is_settled(partition)) {
        partition->filling = false;
        partition->stalls_known = partition->map->stalls;
    }
}
