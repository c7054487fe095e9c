/*
 * sweep: every second, for each partition: the lease, the recovery grace, what is due, and whether
 * what we know is still what Redis knows.
 *
 * The script lists; what it lists goes through apply as reap, orphan_node and forget_node
 * operations, which judge again. All front-ends sweep: the operations of the first one do the work,
 * and those of the others find nothing left to do.
 */
#include "map/sweep_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/hash.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/random.h"
#include "loop/loop.h"
#include "map/contact_private.h"
#include "map/feature_private.h"
#include "map/map.h"
#include "map/map_private.h"
#include "map/op_private.h"
#include "map/owned_private.h"
#include "map/partition_private.h"
#include "map/renewal_private.h"
#include "map/shared_private.h"
#include "map/space_private.h"
#include "metrics/metrics.h"
#include "redis/redis.h"
#include "schema/format.h"
#include "schema/keys.h"
#include "schema/scripts.h"
#include "view/view.h"

static struct redis_script sweep_script = {.name = "sweep", .source = script_sweep};

/* Sweeps in a row whose count of the index differs from ours, until the index is compared: what is
 * under way makes them differ for a moment. */
#define WRONG_SWEEPS 3
/* How exactly Redis's clock is known here. */
#define CLOCK_MARGIN_MS 5

void sweep_init(struct partition *partition)
{
    partition->sweep.timer = loop_timer_create(partition->map->loop, sweep_run, partition);
}

void sweep_free(struct partition *partition)
{
    loop_timer_destroy(&partition->sweep.timer);
}

/* Until the next sweep, or until the recovery grace ends, as much waits for that. */
static uint64_t time_to_sweep(const struct partition *partition)
{
    uint64_t now = map_redis_time_ms(partition->map);
    uint64_t sweep = random_jitter((uint64_t)partition->map->settings->sweep, 10);
    uint64_t grace =
        partition->recovery_until > now ? partition->recovery_until - now + CLOCK_MARGIN_MS : sweep;
    return grace < sweep ? grace : sweep;
}

void sweep_start(struct partition *partition)
{
    const struct map_settings *settings = partition->map->settings;
    /* A lease that was renewed with another length may expire before the next sweep. */
    bool is_due = partition->sweep.lease != settings->lease;
    loop_timer_start(partition->sweep.timer, is_due ? 0 : time_to_sweep(partition));
}

void sweep_stop(struct partition *partition)
{
    loop_timer_stop(partition->sweep.timer);
    partition->sweep.is_under_way = false;
}

void sweep_lease_sent(struct partition *partition)
{
    partition->sweep.lease = partition->map->settings->lease;
}

void sweep_add_op(struct op *op)
{
    op->partition->sweep.pending++;
}

/* A read of some of a crashed front-end's entries, or of its members of rooms. */
struct sweep_scan {
    struct partition *partition;
    unsigned epochs;
    char node[NODE_ID_LENGTH + 1];
    bool of_members;
};

static void enqueue_sweep_op(struct partition *partition, enum op_kind kind, struct bytes id,
                             const char *other)
{
    struct op *op = op_create(partition, kind, id);
    if (other) {
        snprintf(op->of.node, sizeof op->of.node, "%s", other);
    }
    op_enqueue_of_sweep(op);
}

static void scan_members(struct partition *partition, const char *node);

static void orphan_lost_entries(struct sweep_scan *scan, const struct redis_reply *ids)
{
    struct partition *partition = scan->partition;
    for (size_t i = 0; i < ids->count; i++) {
        if (ids->elements[i]->text.len <= UINT8_MAX) {
            enqueue_sweep_op(partition, OP_ORPHAN_NODE, ids->elements[i]->text, scan->node);
        }
    }
    if (ids->count == 0) {
        scan_members(partition, scan->node);
    } else {
        partition->sweep.again = true;
    }
}

/* A front-end that has neither entries nor members any more is forgotten. */
static void evict_lost_members(struct sweep_scan *scan, const struct redis_reply *members)
{
    struct partition *partition = scan->partition;
    for (size_t i = 0; i < members->count; i++) {
        features_found(partition, MAP_FOUND_MEMBER, members->elements[i]->text, scan->node);
    }
    if (members->count == 0) {
        enqueue_sweep_op(partition, OP_FORGET_NODE, BYTES_LITERAL(""), scan->node);
    } else {
        partition->sweep.again = true;
    }
}

static void on_lost_scanned(void *arg, enum redis_status status, const struct redis_reply *reply)
{
    struct sweep_scan *scan = arg;
    struct partition *partition = scan->partition;
    if (status == REDIS_OK && reply->type == REDIS_ARRAY && partition->state == PARTITION_READY &&
        partition->epochs == scan->epochs) {
        scan->of_members ? evict_lost_members(scan, reply) : orphan_lost_entries(scan, reply);
    }
    free(scan);
    sweep_judged(partition);
}

/* Not HSCAN: as entries are removed, its first buckets are empty, and it would return nothing. */
static void start_scan(struct partition *partition, struct sweep_scan *scan, const char *kind)
{
    struct writer key = {0};
    char count[24];
    scan->partition = partition;
    scan->epochs = partition->epochs;
    writer_format(&key, "%s%s%s", partition->prefix, kind, scan->node);
    snprintf(count, sizeof count, "%lld", (long long)partition->map->settings->reap);
    struct bytes args[] = {BYTES_LITERAL("HRANDFIELD"), writer_bytes_written(&key),
                           bytes_from_string(count)};
    partition->sweep.pending++;
    redis_command(partition->map->link, on_lost_scanned, scan, 3, args);
    writer_free(&key);
}

static void scan_members(struct partition *partition, const char *node)
{
    struct sweep_scan *scan = mem_zalloc(1, sizeof *scan);
    memcpy(scan->node, node, sizeof scan->node);
    scan->of_members = true;
    start_scan(partition, scan, "members:");
}

static void scan_crashed_node(struct partition *partition, struct bytes node)
{
    if (node.len > NODE_ID_LENGTH || bytes_equal(node, bytes_from_string(partition->map->node))) {
        return;
    }
    struct sweep_scan *scan = mem_zalloc(1, sizeof *scan);
    memcpy(scan->node, node.data, node.len);
    start_scan(partition, scan, "node:");
}

static void reap_due(struct partition *partition, const struct redis_reply *due)
{
    for (size_t i = 0; i < due->count; i++) {
        struct bytes member = due->elements[i]->text;
        if (member.len <= 2 || member.len > UINT8_MAX + 2u) {
            continue;
        }
        struct bytes name = {member.data + 2, member.len - 2};
        if (member.data[0] == 'c') {
            enqueue_sweep_op(partition, OP_REAP, name, NULL);
        } else if (member.data[0] == 'u') {
            enqueue_sweep_op(partition, OP_OFFLINE, name, NULL);
        }
    }
    if (due->count >= (size_t)partition->map->settings->reap) {
        partition->sweep.again = true;
    }
}

static void check_index(struct partition *partition, uint64_t listed)
{
    bool quiet = list_is_empty(&partition->queue) && partition->batch_count == 0 &&
                 owned_is_settled(partition);
    bool same = listed == HASH_COUNT(partition->owned);
    partition->sweep.wrong_counts = same || !quiet ? 0 : partition->sweep.wrong_counts + 1;
    if (partition->sweep.wrong_counts < WRONG_SWEEPS) {
        return;
    }
    partition->sweep.wrong_counts = 0;
    partition->audit_due = true;
    owned_unconfirm_all(partition);
}

static void check_members(struct partition *partition, uint64_t listed)
{
    bool quiet = list_is_empty(&partition->queue) && partition->batch_count == 0;
    bool same = listed == features_count(partition);
    partition->sweep.wrong_members = same || !quiet ? 0 : partition->sweep.wrong_members + 1;
    if (partition->sweep.wrong_members < WRONG_SWEEPS) {
        return;
    }
    partition->sweep.wrong_members = 0;
    features_audit(partition);
    features_ready(partition);
}

static void pass_due_registrations(struct partition *partition, const struct redis_reply *due)
{
    for (size_t i = 0; i < due->count; i++) {
        features_found(partition, MAP_FOUND_REGISTRATION, due->elements[i]->text, NULL);
    }
    if (due->count >= (size_t)partition->map->settings->reap) {
        partition->sweep.again = true;
    }
}

static void note_entries(struct partition *partition, uint64_t entries)
{
    partition->space->entries += entries - partition->entries;
    partition->entries = entries;
}

/* {"ok", revision, now, end of the recovery grace, count, {due}, {crashed front-ends}, members,
 * {registrations}, entries, format} */
static void accept_sweep(struct partition *partition, const struct redis_reply *reply)
{
    contact_answered(partition);
    note_entries(partition, bytes_decimal(reply->elements[9]->text));
    partition->revision = bytes_decimal(reply->elements[1]->text);
    uint64_t now = bytes_decimal(reply->elements[2]->text);
    partition_set_time(partition, now);
    partition->recovery_until = bytes_decimal(reply->elements[3]->text);
    partition->refusal = NULL;
    partition_set_format(partition, (uint64_t)reply->elements[10]->integer);
    if (partition->index == 0 && partition->space == partition->map->spaces) {
        metrics_set(METRIC_REVISION, (int64_t)partition->revision);
    }
    /* Redis's clock may have jumped. */
    renewal_tick(partition, loop_now_ms(partition->map->loop));
    struct map_view *view = partition->space->view;
    if (view) {
        view_revision_seen(view, partition->index, partition->revision);
        view_time_seen(view, partition->index, now);
    }
    features_sweep(partition, now);
    check_index(partition, (uint64_t)reply->elements[4]->integer);
    check_members(partition, (uint64_t)reply->elements[7]->integer);
    if (partition->sweep.pending > 0) {
        return; /* what an earlier sweep listed is still being judged */
    }
    partition->sweep.again = false;
    reap_due(partition, reply->elements[5]);
    pass_due_registrations(partition, reply->elements[8]);
    for (size_t i = 0; i < reply->elements[6]->count; i++) {
        scan_crashed_node(partition, reply->elements[6]->elements[i]->text);
    }
}

static bool is_list(const struct redis_reply *reply, size_t index)
{
    return reply->elements[index]->type == REDIS_ARRAY;
}

static void on_swept(void *arg, enum redis_status status, const struct redis_reply *reply)
{
    struct partition *partition = arg;
    partition->sweep.is_under_way = false;
    if (partition->state != PARTITION_READY) {
        return;
    }
    if (status != REDIS_OK) {
        partition_failed(partition, status, reply);
    } else if (reply->type == REDIS_ARRAY && reply->count == 11 && is_list(reply, 5) &&
               is_list(reply, 6) && is_list(reply, 8)) {
        accept_sweep(partition, reply);
        sweep_start(partition);
    } else if (shared_is_refusal(reply)) {
        shared_read_again(partition->map->shared, bytes_decimal(reply->elements[1]->text));
        partition->sweep.lease = 0; /* it has not been renewed */
        loop_timer_start(partition->sweep.timer, SHARED_DELAY_MS);
    } else {
        partition_refused(partition, reply->type == REDIS_ARRAY && reply->count
                                         ? reply->elements[0]->text
                                         : BYTES_LITERAL("unexpected"));
    }
}

void sweep_run(void *arg)
{
    struct partition *partition = arg;
    const struct map_settings *settings = partition->map->settings;
    /* At the end the lease is released, and must not be renewed again. */
    if (partition->state != PARTITION_READY || partition->sweep.is_under_way ||
        partition->map->phase >= MAP_FINISHING) {
        return;
    }
    char link[24], lease[24], grace[24], longest[24], most[24], registration[24], overdue[24],
        shared[24], bound[24];
    struct writer members = {0};
    writer_format(&members, "%smembers:%s", partition->prefix, partition->map->node);
    snprintf(link, sizeof link, "%llu", (unsigned long long)partition->link_number);
    snprintf(lease, sizeof lease, "%lld", (long long)settings->lease);
    snprintf(grace, sizeof grace, "%lld", (long long)settings->recovery_grace);
    int64_t longest_ms = settings->client_grace > settings->offline_delay ? settings->client_grace
                                                                          : settings->offline_delay;
    snprintf(longest, sizeof longest, "%lld", (long long)longest_ms);
    snprintf(shared, sizeof shared, "%llu",
             (unsigned long long)shared_revision(partition->map->shared));
    snprintf(bound, sizeof bound, "%llu",
             (unsigned long long)shared_lease_bound(partition->map->shared));
    snprintf(most, sizeof most, "%lld", (long long)settings->reap);
    snprintf(registration, sizeof registration, "%lld", (long long)settings->max_registration);
    /* A front-end without a prober lists only those that no other one has probed in time. */
    int64_t overdue_ms = features_probe(partition->space) ? 0 : 2 * settings->lease;
    snprintf(overdue, sizeof overdue, "%lld", (long long)overdue_ms);
    struct bytes args[] = {bytes_from_string(partition->key_head),
                           bytes_from_string(partition->key_nodes),
                           bytes_from_string(partition->key_deadlines),
                           bytes_from_string(partition->key_mine),
                           writer_bytes_written(&members),
                           bytes_from_string(partition->key_registered),
                           bytes_from_string(partition->key_events),
                           bytes_from_string(partition->epoch),
                           bytes_from_string(partition->map->node),
                           bytes_from_string(link),
                           bytes_from_string(lease),
                           bytes_from_string(grace),
                           bytes_from_string(longest),
                           bytes_from_string(most),
                           bytes_from_string(registration),
                           bytes_from_string(overdue),
                           bytes_from_string(format_newest.number),
                           bytes_from_string(shared),
                           bytes_from_string(bound),
                           bytes_from_string(format_newest.reader),
                           bytes_from_string(format_newest.release)};
    partition->sweep.is_under_way = true;
    sweep_lease_sent(partition);
    contact_sent(partition);
    redis_eval(partition->map->link, &sweep_script, on_swept, partition, 7, 21, args);
    writer_free(&members);
}

void sweep_judged(struct partition *partition)
{
    partition->sweep.pending--;
    if (partition->sweep.pending > 0 || !partition->sweep.again) {
        return;
    }
    partition->sweep.again = false;
    sweep_run(partition);
}
