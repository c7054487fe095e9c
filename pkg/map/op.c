/*
 * op: the life of one operation, from its caller to its answer.
 *
 * Answering and leaving are two things: an operation whose caller has been answered (deadline) may
 * still be under way, and one that has its result may have to wait for the answers of earlier ones
 * of its session, because callers get their answers in order.
 */
#include "map/op.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "budget/budget.h"
#include "map/finish_private.h"
#include "map/map_private.h"
#include "map/op_private.h"
#include "map/partition_private.h"
#include "map/session_private.h"
#include "map/sweep_private.h"
#include "metrics/metrics.h"

struct op *op_create_typed(struct partition *partition, const struct op_type *type, struct bytes id)
{
    struct op *op = mem_alloc(sizeof *op + id.len + 1);
    memset(op, 0, sizeof *op);
    list_init(&op->link);
    list_init(&op->in_session);
    loop_pending_init(&op->pending);
    op->partition = partition;
    op->type = type;
    op->id_len = (uint8_t)id.len;
    if (id.len) {
        memcpy(op->id, id.data, id.len);
    }
    op->id[id.len] = 0;
    partition->map->pending++;
    metrics_add(METRIC_PENDING, 1);
    return op;
}

struct op *op_create(struct partition *partition, enum op_kind kind, struct bytes id)
{
    return op_create_typed(partition, &op_types[kind], id);
}

void op_change_kind(struct op *op, enum op_kind kind)
{
    op->type = &op_types[kind];
}

void *op_data(const struct op *op)
{
    return (void *)(uintptr_t)op->of.data;
}

struct bytes op_id(const struct op *op)
{
    return (struct bytes){(const uint8_t *)op->id, op->id_len};
}

struct bytes op_state(const struct op *op)
{
    return (struct bytes){(const uint8_t *)op->state, op->state_len};
}

struct partition *op_partition(const struct op *op)
{
    return op->partition;
}

void op_take_state(struct op *op, void *state, size_t len)
{
    free(op->state);
    op->state = state;
    op->state_len = (uint32_t)len;
}

void op_take_fields(struct op *op, struct writer *body)
{
    op_take_state(op, body->data, body->len);
    op->made_of_fields = true;
    *body = (struct writer){0};
}

static void start_deadline(struct op *op)
{
    struct map *map = op->partition->map;
    loop_pending_begin(map->pending_ops, &op->pending, map_deadline_ms(map), 0);
}

/* What it brings counts as long as it is there. */
static void count_size(struct op *op)
{
    op->counted = op->state_len;
    op->partition->map->pending_size += op->counted;
    budget_account_add(op->account, BUDGET_OPERATIONS, 1);
    budget_account_add(op->account, BUDGET_OPERATION_BYTES, op->counted);
}

static void count_off(struct op *op)
{
    op->partition->map->pending_size -= op->counted;
    budget_account_subtract(op->account, BUDGET_OPERATION_BYTES, op->counted);
    budget_account_subtract(op->account, BUDGET_OPERATIONS, op->account != NULL);
    op->counted = 0;
    op->account = NULL;
}

/* What it brings is dropped at once: its answer may have to wait for those of earlier ones. */
static void drop_refused(struct op *op)
{
    count_off(op);
    free(op->state);
    op->state = NULL;
    op->state_len = 0;
    op->is_refused = true;
    op->partition->map->refused++;
}

void op_attach(struct op *op, struct map_session *session, map_done done, void *arg)
{
    op->session = session;
    op->done = done;
    op->arg = arg;
    if (session) {
        memcpy(op->fence, session->fence, sizeof op->fence);
        list_append(&session->ops, &op->in_session);
        session->pending++;
        op->account = session->account;
    }
    count_size(op);
    start_deadline(op);
}

/* Whether with it more would wait, or be held in memory, than allowed. A single one may have any
 * size. */
static bool is_too_much(const struct op *op, const struct map_session *session)
{
    const struct map *map = op->partition->map;
    const struct budget_account *account = session ? session->account : NULL;
    const uint64_t count = map->pending - map->refused;
    const uint64_t most = (uint64_t)map->settings->max_pending;
    const uint64_t size = map->pending_size + op->state_len;
    const uint64_t most_bytes = (uint64_t)map->settings->max_pending_bytes;
    return count > most || (map->pending_size > 0 && size > most_bytes) ||
           budget_account_exceeds_share(account, BUDGET_OPERATIONS, 1, count, most) ||
           budget_account_exceeds_share(account, BUDGET_OPERATION_BYTES, op->state_len, size,
                                        most_bytes);
}

void op_enqueue(struct op *op)
{
    list_append(&op->partition->queue, &op->link);
    partition_wake(op->partition);
}

void op_enqueue_urgent(struct op *op)
{
    list_append(&op->partition->urgent, &op->link);
    partition_wake(op->partition);
}

void op_enqueue_of_sweep(struct op *op)
{
    sweep_add_op(op);
    op_enqueue(op);
}

static void free_op(struct op *op)
{
    struct map *map = op->partition->map;
    list_remove(&op->link);
    list_remove(&op->in_session);
    loop_pending_cancel(&op->pending);
    free(op->state);
    free(op->address);
    free(op->certificate);
    map->pending--;
    map->refused -= op->is_refused;
    count_off(op);
    metrics_add(METRIC_PENDING, -1);
    free(op);
    map_check_finished(map);
}

static void count_result(enum map_result result)
{
    static const enum metric metrics[] = {
        [MAP_OK] = METRIC_WRITES_OK,           [MAP_STALE] = METRIC_WRITES_STALE,
        [MAP_OWNED] = METRIC_WRITES_OWNED,     [MAP_MISSING] = METRIC_WRITES_OK,
        [MAP_TAKEN] = METRIC_WRITES_TAKEN,     [MAP_LIMIT] = METRIC_WRITES_LIMIT,
        [MAP_FULL] = METRIC_WRITES_FULL,       [MAP_DEADLINE] = METRIC_WRITES_DEADLINE,
        [MAP_REFUSED] = METRIC_WRITES_REFUSED,
    };
    metrics_add(metrics[result], 1);
}

static bool is_op_in_use(const struct op *op)
{
    return op->sent || !list_is_empty(&op->link);
}

/* Takes the answered operation out of its session, calls done, and frees it unless it is still
 * under way. False when done has ended the session. */
static bool deliver_one(struct map_session *session, struct op *op)
{
    struct map *map = op->partition->map;
    struct delivery delivery = {
        .outer = map->delivery, .session = session, .id = {(const uint8_t *)op->id, op->id_len}};
    map_done done = op->done;
    map->delivery = &delivery;
    session->pending--;
    list_remove(&op->in_session);
    op->session = NULL;
    if (done) {
        done(op->arg, (enum map_result)op->result, op->version);
    }
    map->delivery = delivery.outer;
    if (!is_op_in_use(op)) {
        free_op(op);
    }
    return delivery.session != NULL;
}

/* Calls back the answered operations at the head of the session's list. A callback may end the
 * session, or ask for more, which nests. */
static void deliver_answered(struct map_session *session)
{
    while (!list_is_empty(&session->ops)) {
        struct op *op = list_entry(session->ops.next, struct op, in_session);
        if (!op->answered || !deliver_one(session, op)) {
            return;
        }
    }
}

void op_settle_addition(struct op *op)
{
    if (op->session && op->adds) {
        op->session->adding--;
        budget_account_subtract(op->session->account, BUDGET_ENTRIES, 1);
        op->adds = false;
    }
}

void op_answer(struct op *op, enum map_result result, uint64_t version)
{
    if (op->answered) {
        return;
    }
    op->answered = true;
    op->result = (uint8_t)result;
    op->version = version;
    loop_pending_cancel(&op->pending);
    if (op->session) {
        op_settle_addition(op);
        count_result(result);
    } else if (op->done) {
        map_done done = op->done;
        op->done = NULL;
        count_result(result);
        done(op->arg, result, version);
    }
}

void op_release(struct op *op)
{
    struct map_session *session = op->session;
    list_remove(&op->link);
    op->sent = false;
    if (session) {
        deliver_answered(session);
    } else {
        free_op(op);
    }
}

void op_refuse(struct op *op, struct map_session *session, enum map_result result, map_done done,
               void *arg)
{
    op_attach(op, session, done, arg);
    op_answer(op, result, 0);
    op_release(op);
}

bool op_submit(struct op *op, struct map_session *session, map_done done, void *arg)
{
    const bool too_much = is_too_much(op, session);
    op_attach(op, session, done, arg);
    if (too_much) {
        drop_refused(op);
        op_answer(op, MAP_REFUSED, 0);
        op_release(op);
        return false;
    }
    op_enqueue(op);
    return true;
}

void op_finish(struct op *op, enum map_result result, uint64_t version)
{
    struct partition *partition = op->partition;
    const bool of_sweep = op->type->of_sweep;
    op_answer(op, result, version);
    op_release(op);
    if (of_sweep) {
        sweep_judged(partition);
    }
}

void op_forget_session(struct op *op, bool leave)
{
    op_describe(op, op->session);
    op_settle_addition(op);
    op->session = NULL;
    op->done = NULL;
    op->leave = leave;
    list_remove(&op->in_session);
    loop_pending_cancel(&op->pending);
    /* Answered; only its done was still to be called. */
    if (!is_op_in_use(op)) {
        free_op(op);
    }
}

void op_describe(struct op *op, const struct map_session *session)
{
    if (op->address) {
        return;
    }
    op->protocol = session->protocol;
    op->address = mem_strdup(session_address(session));
    if (session->certificate) {
        op->certificate = mem_strdup(session->certificate);
    }
}

void op_park(struct op *op, struct bytes owner, uint64_t owner_lease)
{
    struct partition *partition = op->partition;
    const struct map_settings *settings = partition->map->settings;
    uint64_t now = loop_now_ms(partition->map->loop);
    if (!op->parked_until_ms) {
        op->parked_until_ms =
            now + (uint64_t)(settings->lease + settings->recovery_grace + settings->sweep);
    }
    op->owner_lease = owner_lease;
    size_t len = owner.len < NODE_ID_LENGTH ? owner.len : NODE_ID_LENGTH;
    memcpy(op->owner, owner.data, len);
    op->owner[len] = 0;
    /* A live owner has renewed its lease by then: sweeps come with a jitter of a tenth. */
    op->retry_ms = now + (uint64_t)settings->sweep * 5 / 4;
    op->sent = false;
    loop_pending_cancel(&op->pending);
    list_remove(&op->link);
    list_append(&partition->parked, &op->link);
}

void op_unpark(struct op *op)
{
    list_remove(&op->link);
    if (op->session && !op->answered) {
        start_deadline(op);
    }
    op_enqueue(op);
}

bool op_has_waited(const struct op *op)
{
    return op->parked_until_ms && loop_now_ms(op->partition->map->loop) > op->parked_until_ms;
}

void op_run_again(struct op *op)
{
    op->sent = false;
    list_append(&op->partition->requeued, &op->link);
}

void op_run_behind_orphan(struct op *op, struct bytes owner)
{
    memcpy(op->owner, owner.data, owner.len);
    op->owner[owner.len] = 0;
    op->orphan_first = true;
    op_run_again(op);
}

static void expire_op(struct op *op)
{
    struct map_session *session = op->session;
    const struct op_type *type = op->type;
    bool is_wanted = type->on_expired ? type->on_expired(op) : type->outlives;
    bool stays = op->sent || is_wanted;
    op_answer(op, op->partition->refusal ? MAP_REFUSED : MAP_DEADLINE, op->version);
    if (!stays) {
        op_release(op);
    } else if (session) {
        deliver_answered(session);
    }
}

/* Never settled: its result, when there is one, goes through op_answer. */
static void on_op_expired(void *arg, struct loop_pending *pending, int result)
{
    expire_op(list_entry(pending, struct op, pending));
}

struct loop_pending_set *op_pending_create(struct loop *loop)
{
    return loop_pending_set_create(loop, LOOP_PHASE_VIEW, on_op_expired, NULL);
}
