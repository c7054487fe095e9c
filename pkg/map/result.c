/*
 * result: what apply said of one operation, and what follows from it here.
 */
#include "map/result_private.h"

#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "map/map_private.h"
#include "map/op_private.h"
#include "map/op_type_private.h"
#include "map/owned_private.h"
#include "map/partition_private.h"
#include "map/recovery_private.h"
#include "map/registry_private.h"
#include "map/room_op_private.h"
#include "map/session_private.h"
#include "map/space_private.h"
#include "map/sweep_private.h"
#include "map/tombstone_private.h"
#include "metrics/metrics.h"

/* Until an old connection that was asked to let go of its entry is asked again. */
#define DROP_RETRY_MS 500

static struct bytes op_id(const struct op *op)
{
    return (struct bytes){(const uint8_t *)op->id, op->id_len};
}

static void finish_op(struct op *op, enum map_result result, uint64_t version)
{
    struct partition *partition = op->partition;
    bool of_sweep = op_is_of_sweep(op);
    op_answer(op, result, version);
    op_release(op);
    if (of_sweep)
        sweep_judged(partition);
}

static void run_again(struct op *op)
{
    op->sent = false;
    list_append(&op->partition->requeued, &op->link);
}

/* Redis has an entry that nobody here wants any more: its session has ended, or its caller has
 * been told that it failed. Nobody knows the id of a new one; one that a client named waits for
 * the client's next try. */
static void give_up_entry(struct op *op)
{
    bool left = op->leave || op->kind == OP_CLAIM || op->kind == OP_RESUME;
    enum op_kind kind = left ? OP_ORPHAN : OP_CLOSE;
    struct op *last = op_create(op->partition, kind, op_id(op));
    memcpy(last->fence, op->fence, sizeof last->fence);
    last->adopt = MAP_ADOPT_OFF;
    op_enqueue(last);
}

static void raise_version(struct owned *owned, uint64_t version)
{
    if (version > owned->version)
        owned->version = version;
    if (version > owned->wanted)
        owned->wanted = version;
}

static void take_ownership(struct op *op, uint64_t version)
{
    struct partition *partition = op->partition;
    tombstone_forget(partition, op_id(op));
    struct owned *owned = owned_find(partition, op_id(op));
    if (!op->session) {
        if (!owned || strcmp(owned->session->fence, op->fence) != 0)
            give_up_entry(op);
        return;
    }
    if (owned && owned->session != op->session) {
        session_take_away(owned->session, owned);
        owned = NULL;
    }
    if (!owned) {
        owned =
            owned_create(op->session, partition, op_id(op), op->made_of_fields ? 0 : op->state_len);
        if (op->made_of_fields)
            owned_take_fields(owned, op_state(op));
    }
    if (owned->fields)
        raise_version(owned, version);
    else if (version >= owned->version)
        owned = owned_set_state(partition, owned, version, op_state(op));
    owned_confirm(partition, owned);
}

/* "ok version length": its fields are the next that stand behind the lines. */
static void take_resumed(struct op *op, uint64_t version, struct bytes body)
{
    free(op->state);
    op->state = mem_dup(body.data, body.len);
    op->state_len = (uint32_t)body.len;
    op->made_of_fields = true;
    take_ownership(op, version);
}

static void was_updated(struct op *op)
{
    struct owned *owned = owned_find(op->partition, op_id(op));
    /* The same version: its restore has met what this had written before its reply was lost. */
    if (owned && !strcmp(owned->session->fence, op->fence) && op->version >= owned->version)
        owned_set_state(op->partition, owned, op->version, op_state(op));
}

static void was_restored(struct op *op, uint64_t version)
{
    struct owned *owned = owned_find(op->partition, op_id(op));
    if (!owned || owned->phase != OWNED_RESTORING)
        return;
    metrics_add(METRIC_RESTORED, 1);
    tombstone_forget(op->partition, op_id(op));
    if (owned->fields) { /* what was set meanwhile is under way behind it */
        raise_version(owned, version);
        owned_confirm(op->partition, owned);
        return;
    }
    if (version > owned->wanted)
        owned->wanted = version;
    if (version < owned->version) {
        owned_unconfirm(op->partition, owned); /* a newer state was kept meanwhile */
        return;
    }
    owned->version = version;
    owned_confirm(op->partition, owned);
}

/* An entry that nobody here owned has been left; when somebody has come to own it meanwhile, it
 * is taken back. */
static void was_orphaned(const struct op *op)
{
    struct owned *owned = owned_find(op->partition, op_id(op));
    if (owned && owned->phase == OWNED_CONFIRMED)
        owned_unconfirm(op->partition, owned);
}

static void was_closed(struct op *op)
{
    struct owned *owned = owned_find(op->partition, op_id(op));
    if (owned && !strcmp(owned->session->fence, op->fence))
        owned_destroy(op->partition, owned);
}

/* "since session version" of the entry that the operation has ended. */
static void was_ended(const struct op *op, struct bytes words)
{
    uint64_t since = bytes_decimal(bytes_next_word(&words));
    struct bytes fence = bytes_next_word(&words);
    if (op->kind != OP_ENDED)
        tombstone_remember(op->partition, op_id(op), since, bytes_decimal(words), fence);
}

/* The kinds' own, each with the version that Redis gives; they return the one that `done` gets. */

uint64_t result_accept_owned(struct op *op, uint64_t version, struct bytes words,
                             struct cursor *bodies)
{
    take_ownership(op, version);
    return version;
}

uint64_t result_accept_update(struct op *op, uint64_t version, struct bytes words,
                              struct cursor *bodies)
{
    was_updated(op);
    return op->version;
}

uint64_t result_accept_restore(struct op *op, uint64_t version, struct bytes words,
                               struct cursor *bodies)
{
    was_restored(op, version);
    return version;
}

uint64_t result_accept_resume(struct op *op, uint64_t version, struct bytes words,
                              struct cursor *bodies)
{
    take_resumed(op, version, cursor_take(bodies, bytes_decimal(words)));
    return version;
}

uint64_t result_accept_close(struct op *op, uint64_t version, struct bytes words,
                             struct cursor *bodies)
{
    was_closed(op);
    return version;
}

uint64_t result_accept_orphan(struct op *op, uint64_t version, struct bytes words,
                              struct cursor *bodies)
{
    was_orphaned(op);
    return version;
}

uint64_t result_accept_reap(struct op *op, uint64_t version, struct bytes words,
                            struct cursor *bodies)
{
    metrics_add(METRIC_REAPED, 1);
    return version;
}

uint64_t result_accept_orphan_node(struct op *op, uint64_t version, struct bytes words,
                                   struct cursor *bodies)
{
    metrics_add(METRIC_ORPHANED, 1);
    return version;
}

uint64_t result_accept_register(struct op *op, uint64_t version, struct bytes words,
                                struct cursor *bodies)
{
    tombstone_forget(op->partition, op_id(op));
    return version;
}

uint64_t result_accept_probe(struct op *op, uint64_t version, struct bytes words,
                             struct cursor *bodies)
{
    if (version > 0) {
        registry_probe(op->partition->space, op_id(op), (unsigned)version);
        registry_expect_due(op->partition, op_id(op), true);
    }
    return version;
}

uint64_t result_accept_probe_soon(struct op *op, uint64_t version, struct bytes words,
                                  struct cursor *bodies)
{
    registry_expect_due(op->partition, op_id(op), false);
    return version;
}

static void take_ok(struct op *op, struct bytes words, struct cursor *bodies)
{
    const struct op_type *type = op_type_of(op);
    struct bytes first = bytes_next_word(&words);
    uint64_t version = bytes_decimal(first);
    if (bytes_equal(first, BYTES_LITERAL("ended")))
        was_ended(op, words);
    if (type->on_accepted)
        version = type->on_accepted(op, version, words, bodies);
    finish_op(op, MAP_OK, version);
}

static bool has_waited(const struct op *op)
{
    uint64_t now = loop_now_ms(op->partition->map->loop);
    return op->parked_until_ms && now > op->parked_until_ms;
}

static void ask_drop(struct map_space *space, struct bytes node, struct bytes id)
{
    struct writer message = {0};
    writer_format(&message, "drop %s ", space->name);
    writer_bytes(&message, id);
    map_send_to_node(space->map, node, writer_bytes_written(&message), 0);
    writer_free(&message);
}

/* The client's old connection still has its entry: it is asked to let go of it, until it does. */
void result_drop_owner(struct op *op, struct bytes owner, uint64_t lease_end)
{
    struct partition *partition = op->partition;
    bool first = !op->parked_until_ms;
    if (!op->session || op->answered || has_waited(op)) {
        finish_op(op, MAP_OWNED, 0);
        return;
    }
    if (bytes_equal(owner, bytes_from_string(partition->map->node)))
        session_drop(partition->space, op_id(op));
    else
        ask_drop(partition->space, owner, op_id(op));
    op_park(op, owner, lease_end);
    op->retry_ms = loop_now_ms(partition->map->loop) + (first ? 0 : DROP_RETRY_MS);
}

static bool is_of_owner(const struct op *op, const struct owned *owned)
{
    return owned && !strcmp(owned->session->fence, op->fence);
}

/* The entry of a live connection seems to be another front-end's. It is, when Redis has lost
 * nothing and so the other one took it over; else that front-end is given the time to say that it
 * does not have it, and the restore is tried until then. decided: there is nothing to wait for. */
static void restore_refused(struct op *op, bool decided)
{
    struct partition *partition = op->partition;
    struct owned *owned = owned_find(partition, op_id(op));
    if (is_of_owner(op, owned) && owned->phase == OWNED_RESTORING &&
        (decided || !owned_contest(partition, owned)))
        session_take_away(owned->session, owned);
    finish_op(op, MAP_OWNED, 0);
}

void result_restore_refused(struct op *op, struct bytes owner, uint64_t lease_end)
{
    bool told = bytes_equal(owner, BYTES_LITERAL("-"));
    restore_refused(op, !told && !recovery_is_comparing(op->partition));
}

/* What its owner wrote is refused: its restore, which goes before anything else, will settle that.
 */
void result_write_refused(struct op *op, struct bytes owner, uint64_t lease_end)
{
    struct partition *partition = op->partition;
    struct owned *owned = owned_find(partition, op_id(op));
    bool ours = is_of_owner(op, owned);
    if (ours && owned->phase == OWNED_CONFIRMED)
        owned_unconfirm(partition, owned);
    if (ours && op->kind == OP_UPDATE && !op->answered && !has_waited(op))
        op_park(op, owner, lease_end);
    else
        finish_op(op, MAP_OWNED, 0);
}

/* A live session of somebody else has it, or adoption is not allowed. */
static void take_owned(struct op *op, struct bytes owner, uint64_t lease_end)
{
    struct partition *partition = op->partition;
    const struct op_type *type = op_type_of(op);
    bool told = bytes_equal(owner, BYTES_LITERAL("-"));
    if (type->on_owned) {
        type->on_owned(op, owner, lease_end);
        return;
    }
    /* Not ours when it is only listed here: the audit will say so. */
    bool ours = bytes_equal(owner, bytes_from_string(partition->map->node)) &&
                owned_find(partition, op_id(op));
    bool alive = bytes_equal(owner, bytes_from_string(op->other)) && lease_end > op->owner_lease;
    if (ours || told || alive || has_waited(op) || !op->session)
        finish_op(op, MAP_OWNED, 0);
    else
        op_park(op, owner, lease_end);
}

static void take_missing(struct op *op)
{
    if (op_is_of_room(op) || op_is_of_sweep(op)) {
        finish_op(op, MAP_MISSING, 0);
        return;
    }
    struct owned *owned = owned_find(op->partition, op_id(op));
    bool ours = owned && !strcmp(owned->session->fence, op->fence);
    if (op->kind == OP_SET && ours && owned->phase == OWNED_CONFIRMED)
        owned_unconfirm(op->partition, owned);
    /* Its peer is gone, and so is it; that only has to be read yet. */
    if (op->kind == OP_RESTORE && ours && owned->phase == OWNED_RESTORING)
        owned_restore_later(op->partition, owned);
    if (op->kind == OP_UPDATE) {
        /* Redis lost it: all that is known of it goes there again, and then this update. */
        if (ours && owned->phase == OWNED_CONFIRMED)
            owned_unconfirm(op->partition, owned);
        if (!ours)
            op->kind = OP_CLAIM;
        if (!op->answered) {
            op_describe(op, op->session);
            run_again(op);
            return;
        }
    }
    if (op->kind == OP_CLOSE && ours) {
        owned_destroy(op->partition, owned);
        /* It may be this close, sent before, whose reply was lost. */
        tombstone_remember(op->partition, op_id(op), map_redis_time_ms(op->partition->map),
                           INT64_MAX, bytes_from_string(op->fence));
    }
    finish_op(op, MAP_MISSING, 0);
}

/* The random id was taken: another one, of the same partition. refusal: of one that was named. */
static void take_exists(struct op *op, enum map_result refusal)
{
    char id[ID_UUID_LENGTH + 1];
    if (op->answered || !op->session) {
        op_release(op);
        return;
    }
    if (op->named) {
        finish_op(op, refusal, 0);
        return;
    }
    do {
        if (op->id_len == ID_UUID_LENGTH)
            id_make_uuid(id);
        else
            id_make_client(id);
    } while (partition_of(op->partition->space, bytes_from_string(id)) != op->partition);
    memcpy(op->id, id, op->id_len + 1u);
    run_again(op);
}

/* The new id is a present user's; or else the user's id is an entry's. */
static void take_taken(struct op *op, bool id)
{
    if (op->kind == OP_OPEN && id)
        take_exists(op, MAP_TAKEN);
    else
        finish_op(op, MAP_TAKEN, 0);
}

static void take_dead(struct op *op, struct bytes owner)
{
    if (op->kind == OP_SET) { /* its restore will settle that */
        take_missing(op);
        return;
    }
    if (op->answered || owner.len > NODE_ID_LENGTH) {
        op_release(op);
        return;
    }
    memcpy(op->other, owner.data, owner.len);
    op->other[owner.len] = 0;
    op->orphan_first = true;
    if (op->kind == OP_RESTORE) {
        struct owned *owned = owned_find(op->partition, op_id(op));
        if (owned && owned->phase == OWNED_RESTORING) {
            run_again(op);
            return;
        }
        op_release(op);
        return;
    }
    run_again(op);
}

static void restore_later(struct op *op)
{
    struct owned *owned = owned_find(op->partition, op_id(op));
    if (op->kind != OP_RESTORE || !owned || owned->phase != OWNED_RESTORING)
        return;
    owned_restore_later(op->partition, owned);
}

/* "limit" and "type": it cannot be stored as things are. */
static void take_refusal(struct op *op, bool wrong_type)
{
    static struct log_limit limit = {.burst = 5};
    if (wrong_type)
        log_limited(LOG_ERROR, &limit, "key_of_another_type", LOG_BYTES("id", op_id(op)),
                    LOG_STRING("prefix", op->partition->prefix));
    restore_later(op);
    finish_op(op, wrong_type ? MAP_REFUSED : MAP_LIMIT, 0);
}

void result_take(struct op *op, struct bytes line, struct cursor *bodies)
{
    struct bytes rest = line, word = bytes_next_word(&rest);
    op->sent = false;
    if (bytes_equal(word, BYTES_LITERAL("ok"))) {
        take_ok(op, rest, bodies);
    } else if (bytes_equal(word, BYTES_LITERAL("stale"))) {
        finish_op(op, MAP_STALE, 0);
    } else if (bytes_equal(word, BYTES_LITERAL("owned"))) {
        struct bytes owner = bytes_next_word(&rest);
        take_owned(op, owner, bytes_decimal(rest));
    } else if (bytes_equal(word, BYTES_LITERAL("held"))) {
        struct bytes owner = bytes_next_word(&rest);
        result_drop_owner(op, owner, bytes_decimal(rest));
    } else if (bytes_equal(word, BYTES_LITERAL("dead"))) {
        take_dead(op, rest);
    } else if (bytes_equal(word, BYTES_LITERAL("exists"))) {
        take_exists(op, MAP_OWNED);
    } else if (bytes_equal(word, BYTES_LITERAL("taken"))) {
        take_taken(op, bytes_equal(rest, BYTES_LITERAL("id")));
    } else if (bytes_equal(word, BYTES_LITERAL("limit"))) {
        take_refusal(op, false);
    } else if (bytes_equal(word, BYTES_LITERAL("type"))) {
        take_refusal(op, true);
    } else if (bytes_equal(word, BYTES_LITERAL("waits"))) {
        if (op->kind == OP_ENDED)
            tombstone_defer(op->partition, op_id(op));
        if (op->kind == OP_RESTORE)
            restore_refused(op, false);
        else
            finish_op(op, MAP_MISSING, 0); /* sweeps ask again by themselves */
    } else {
        take_missing(op);
    }
}

void result_unpark(struct partition *partition, uint64_t now_ms)
{
    LIST_FOREACH (node, &partition->parked) {
        struct op *op = list_entry(node, struct op, link);
        if (op->retry_ms <= now_ms)
            op_unpark(op);
    }
}
