/*
 * result: the lines of apply's reply, each the result of one operation, and what follows from it:
 * for all kinds alike, or as the table of kinds has it (map/op.h: struct op_type).
 */
#include "map/result_private.h"

#include <string.h>

#include "base/ids.h"
#include "base/log.h"
#include "map/map_private.h"
#include "map/op_entry_private.h"
#include "map/op_private.h"
#include "map/owned_private.h"
#include "map/partition_private.h"
#include "map/replication_private.h"
#include "map/space_private.h"
#include "map/tombstone_private.h"

/* "since session version" of the entry that the operation has ended. */
static void remember_end(const struct op *op, struct bytes words)
{
    uint64_t since = bytes_decimal(bytes_next_word(&words));
    struct bytes fence = bytes_next_word(&words);
    if (!op->type->is_remembered) {
        tombstone_remember(op->partition, op_id(op), since, bytes_decimal(words), fence);
    }
}

static void take_ok(struct op *op, struct bytes words, struct cursor *bodies)
{
    const struct op_type *type = op->type;
    struct bytes first = bytes_next_word(&words), body = {0};
    uint64_t version = bytes_decimal(first);
    if (bytes_equal(first, BYTES_LITERAL("ended"))) {
        remember_end(op, words);
    }
    if (type->has_body) {
        body = cursor_take(bodies, bytes_decimal(words));
    }
    if (type->on_accepted) {
        version = type->on_accepted(op, version, body);
    }
    const struct map *map = op->partition->map;
    if (map->redis->min_replicas == 0 || !replication_hold(map->replication, op, version)) {
        op_finish(op, MAP_OK, version);
    }
}

/* A live session of somebody else has it, or adoption is not allowed. */
static void take_owned(struct op *op, struct bytes owner, uint64_t lease_end)
{
    struct partition *partition = op->partition;
    bool is_decided = bytes_equal(owner, BYTES_LITERAL("-"));
    if (op->type->on_owned) {
        op->type->on_owned(op, owner, lease_end);
        return;
    }
    /* Not ours when it is only listed here: the audit will find that. */
    bool ours = bytes_equal(owner, bytes_from_string(partition->map->node)) &&
                owned_find(partition, op_id(op));
    bool alive = bytes_equal(owner, bytes_from_string(op->owner)) && lease_end > op->owner_lease;
    if (ours || is_decided || alive || op_has_waited(op) || !op->session) {
        op_finish(op, MAP_OWNED, 0);
    } else {
        op_park(op, owner, lease_end);
    }
}

static void take_missing(struct op *op)
{
    if (!op->type->on_missing || !op->type->on_missing(op)) {
        op_finish(op, MAP_MISSING, 0);
    }
}

/* The random id was taken: another one, of the same partition. refusal: of one that was named. */
static void take_exists(struct op *op, enum map_result refusal)
{
    char id[ID_UUID_LENGTH + 1];
    if (op->answered || !op->session) {
        op_release(op);
        return;
    }
    if (!op->type->makes_id || op->of.named) {
        op_finish(op, refusal, 0);
        return;
    }
    do {
        if (op->id_len == ID_UUID_LENGTH) {
            id_make_uuid(id);
        } else {
            id_make_client(id);
        }
    } while (partition_of(op->partition->space, bytes_from_string(id)) != op->partition);
    memcpy(op->id, id, op->id_len + 1u);
    op_run_again(op);
}

/* The new id is a present user's; or else the user's id is an entry's. */
static void take_taken(struct op *op, bool id)
{
    if (op->type->makes_id && id) {
        take_exists(op, MAP_TAKEN);
    } else {
        op_finish(op, MAP_TAKEN, 0);
    }
}

static void take_crashed(struct op *op, struct bytes owner)
{
    if (owner.len == 0 || owner.len > NODE_ID_LENGTH) {
        op_release(op); /* malformed */
    } else if (op->type->on_crashed) {
        op->type->on_crashed(op, owner);
    } else if (op->answered) {
        op_release(op);
    } else {
        op_run_behind_orphan(op, owner);
    }
}

/* "limit", "full" and "type": it cannot be stored as things are. */
static void take_refusal(struct op *op, enum map_result result)
{
    static struct log_limit limit = {.burst = 5};
    if (result == MAP_REFUSED) {
        log_limited(LOG_ERROR, &limit, "redis_key_wrong_type", LOG_BYTES("id", op_id(op)),
                    LOG_STRING("prefix", op->partition->prefix));
    }
    if (op->type->on_refused) {
        op->type->on_refused(op);
    }
    op_finish(op, result, 0);
}

/* What sweeps asked for, they ask for again. */
static void take_undecided(struct op *op)
{
    if (!op->type->on_undecided || !op->type->on_undecided(op)) {
        op_finish(op, MAP_MISSING, 0);
    }
}

void result_take(struct op *op, struct bytes line, struct cursor *bodies)
{
    struct bytes rest = line, word = bytes_next_word(&rest);
    op->sent = false;
    if (bytes_equal(word, BYTES_LITERAL("ok"))) {
        take_ok(op, rest, bodies);
    } else if (bytes_equal(word, BYTES_LITERAL("stale"))) {
        op_finish(op, MAP_STALE, 0);
    } else if (bytes_equal(word, BYTES_LITERAL("owned"))) {
        struct bytes owner = bytes_next_word(&rest);
        take_owned(op, owner, bytes_decimal(rest));
    } else if (bytes_equal(word, BYTES_LITERAL("held"))) {
        struct bytes owner = bytes_next_word(&rest);
        op_entry_drop_owner(op, owner, bytes_decimal(rest));
    } else if (bytes_equal(word, BYTES_LITERAL("dead"))) {
        take_crashed(op, rest);
    } else if (bytes_equal(word, BYTES_LITERAL("exists"))) {
        take_exists(op, MAP_OWNED);
    } else if (bytes_equal(word, BYTES_LITERAL("taken"))) {
        take_taken(op, bytes_equal(rest, BYTES_LITERAL("id")));
    } else if (bytes_equal(word, BYTES_LITERAL("limit"))) {
        take_refusal(op, MAP_LIMIT);
    } else if (bytes_equal(word, BYTES_LITERAL("full"))) {
        take_refusal(op, MAP_FULL);
    } else if (bytes_equal(word, BYTES_LITERAL("type"))) {
        take_refusal(op, MAP_REFUSED);
    } else if (bytes_equal(word, BYTES_LITERAL("waits"))) {
        take_undecided(op);
    } else {
        take_missing(op);
    }
}

void result_unpark(struct partition *partition, uint64_t now_ms)
{
    LIST_FOREACH (node, &partition->parked) {
        struct op *op = list_entry(node, struct op, link);
        if (op->retry_ms <= now_ms) {
            op_unpark(op);
        }
    }
}
