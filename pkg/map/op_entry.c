/*
 * op_entry: operations on entries: what follows here from their results, as the table of kinds
 * (op_type.c) has it. That an entry is owned is known from Redis's answers only.
 */
#include "map/op_entry_private.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "map/map_private.h"
#include "map/op_private.h"
#include "map/owned_private.h"
#include "map/partition_private.h"
#include "map/recovery_private.h"
#include "map/session_private.h"
#include "map/space_private.h"
#include "map/tombstone_private.h"
#include "metrics/metrics.h"

/* Until an old connection that was asked to release its entry is asked again. */
#define DROP_RETRY_MS 500

static struct owned *find_owned(const struct op *op)
{
    return owned_find(op->partition, op_id(op));
}

static bool is_of_owner(const struct op *op, const struct owned *owned)
{
    return owned && !strcmp(owned->session->fence, op->fence);
}

/* Redis has an entry that nobody here wants any more: its session has ended, or its caller was
 * answered that it failed. Nobody knows the id of a new one; one that a client named waits for the
 * client's next attempt. */
static void give_up_entry(struct op *op)
{
    enum op_kind kind = op->leave || op->type->leaves_orphan ? OP_ORPHAN : OP_CLOSE;
    struct op *last = op_create(op->partition, kind, op_id(op));
    memcpy(last->fence, op->fence, sizeof last->fence);
    last->of.write.adopt = MAP_ADOPT_OFF;
    op_enqueue(last);
}

static void raise_version(struct owned *owned, uint64_t version)
{
    if (version > owned->version) {
        owned->version = version;
    }
    if (version > owned->wanted) {
        owned->wanted = version;
    }
}

static void take_ownership(struct op *op, uint64_t version)
{
    struct partition *partition = op->partition;
    tombstone_forget(partition, op_id(op));
    struct owned *owned = find_owned(op);
    if (!op->session) {
        if (!is_of_owner(op, owned)) {
            give_up_entry(op);
        }
        return;
    }
    if (owned && owned->session != op->session) {
        session_take_away(owned->session, owned);
        owned = NULL;
    }
    if (!owned) {
        owned =
            owned_create(op->session, partition, op_id(op), op->made_of_fields ? 0 : op->state_len);
        if (op->made_of_fields) {
            owned_take_fields(owned, op_state(op));
        }
    }
    if (owned->fields) {
        raise_version(owned, version);
    } else if (version >= owned->version) {
        owned = owned_set_state(partition, owned, version, op_state(op));
    }
    owned_confirm(partition, owned);
}

uint64_t op_entry_opened(struct op *op, uint64_t version, struct bytes body)
{
    take_ownership(op, version);
    return version;
}

uint64_t op_entry_resumed(struct op *op, uint64_t version, struct bytes body)
{
    free(op->state);
    op->state = mem_dup(body.data, body.len);
    op->state_len = (uint32_t)body.len;
    op->made_of_fields = true;
    take_ownership(op, version);
    return version;
}

uint64_t op_entry_updated(struct op *op, uint64_t version, struct bytes body)
{
    struct owned *owned = find_owned(op);
    /* The same version: its restore has met what this had written before its reply was lost. */
    if (is_of_owner(op, owned) && op->version >= owned->version) {
        owned_set_state(op->partition, owned, op->version, op_state(op));
    }
    return op->version;
}

uint64_t op_entry_restored(struct op *op, uint64_t version, struct bytes body)
{
    struct owned *owned = find_owned(op);
    if (!owned || owned->phase != OWNED_RESTORING) {
        return version;
    }
    metrics_add(METRIC_RESTORED, 1);
    tombstone_forget(op->partition, op_id(op));
    if (owned->fields) { /* what was set meanwhile is under way behind it */
        raise_version(owned, version);
        owned_confirm(op->partition, owned);
        return version;
    }
    if (version > owned->wanted) {
        owned->wanted = version;
    }
    if (version < owned->version) {
        owned_unconfirm(op->partition, owned); /* a newer state was kept meanwhile */
        return version;
    }
    owned->version = version;
    owned_confirm(op->partition, owned);
    return version;
}

uint64_t op_entry_closed(struct op *op, uint64_t version, struct bytes body)
{
    struct owned *owned = find_owned(op);
    if (is_of_owner(op, owned)) {
        owned_destroy(op->partition, owned);
    }
    return version;
}

/* An entry that nobody here owned has been left; when a session owns it by now, it is taken back.
 */
uint64_t op_entry_orphaned(struct op *op, uint64_t version, struct bytes body)
{
    struct owned *owned = find_owned(op);
    if (owned && owned->phase == OWNED_CONFIRMED) {
        owned_unconfirm(op->partition, owned);
    }
    return version;
}

uint64_t op_entry_reaped(struct op *op, uint64_t version, struct bytes body)
{
    metrics_add(METRIC_REAPED, 1);
    return version;
}

uint64_t op_entry_node_orphaned(struct op *op, uint64_t version, struct bytes body)
{
    metrics_add(METRIC_ORPHANED, 1);
    return version;
}

static void send_drop(struct map_space *space, struct bytes node, struct bytes id)
{
    struct writer message = {0};
    writer_format(&message, "drop %s ", space->name);
    writer_bytes(&message, id);
    map_send_to_node(space->map, node, writer_bytes_written(&message), 0);
    writer_free(&message);
}

void op_entry_drop_owner(struct op *op, struct bytes owner, uint64_t lease_end)
{
    struct partition *partition = op->partition;
    bool first = !op->parked_until_ms;
    if (!op->session || op->answered || op_has_waited(op)) {
        op_finish(op, MAP_OWNED, 0);
        return;
    }
    if (bytes_equal(owner, bytes_from_string(partition->map->node))) {
        session_drop(partition->space, op_id(op));
    } else {
        send_drop(partition->space, owner, op_id(op));
    }
    op_park(op, owner, lease_end);
    op->retry_ms = loop_now_ms(partition->map->loop) + (first ? 0 : DROP_RETRY_MS);
}

/* Its restore, which goes before anything else, will settle whose it is. */
static bool restore_if_confirmed(struct op *op)
{
    struct owned *owned = find_owned(op);
    bool ours = is_of_owner(op, owned);
    if (ours && owned->phase == OWNED_CONFIRMED) {
        owned_unconfirm(op->partition, owned);
    }
    return ours;
}

void op_update_owned(struct op *op, struct bytes owner, uint64_t lease_end)
{
    if (restore_if_confirmed(op) && !op->answered && !op_has_waited(op)) {
        op_park(op, owner, lease_end);
    } else {
        op_finish(op, MAP_OWNED, 0);
    }
}

/* Redis lost it: all that is known of it goes there again, and then this update. */
bool op_update_missing(struct op *op)
{
    if (!restore_if_confirmed(op)) {
        op_change_kind(op, OP_CLAIM);
    }
    if (op->answered) {
        return false;
    }
    op_describe(op, op->session);
    op_run_again(op);
    return true;
}

/* Keeps what the caller wanted, so that Redis gets it when it can be reached again. */
bool op_update_expired(struct op *op)
{
    struct owned *owned = find_owned(op);
    if (!owned || owned->session != op->session || op->version <= owned->version) {
        return false;
    }
    owned = owned_set_state(op->partition, owned, op->version, op_state(op));
    if (!op->sent && owned->phase == OWNED_CONFIRMED) {
        owned_unconfirm(op->partition, owned); /* nothing else would bring it there */
    }
    return false;
}

void op_set_sent(struct op *op)
{
    owned_forget_set(op->partition, op);
}

void op_set_owned(struct op *op, struct bytes owner, uint64_t lease_end)
{
    restore_if_confirmed(op);
    op_finish(op, MAP_OWNED, 0);
}

void op_set_crashed(struct op *op, struct bytes owner)
{
    restore_if_confirmed(op);
    op_finish(op, MAP_MISSING, 0);
}

bool op_set_missing(struct op *op)
{
    restore_if_confirmed(op);
    return false;
}

/* All that it set is restored with the rest, unless the entry has been left meanwhile. */
bool op_set_unjudged(struct op *op)
{
    restore_if_confirmed(op);
    return !find_owned(op) && !op->answered;
}

/* The entry of a live connection seems to be another front-end's. It is, when Redis has lost
 * nothing and so the other one took it over; else that front-end is given the time to answer that
 * it does not have it, and the restore is tried until then. decided: there is nothing to wait for.
 */
static void refuse_restore(struct op *op, bool decided)
{
    struct partition *partition = op->partition;
    struct owned *owned = find_owned(op);
    if (is_of_owner(op, owned) && owned->phase == OWNED_RESTORING &&
        (decided || !owned_contest(partition, owned))) {
        session_take_away(owned->session, owned);
    }
    op_finish(op, MAP_OWNED, 0);
}

void op_restore_owned(struct op *op, struct bytes owner, uint64_t lease_end)
{
    bool is_known = !bytes_equal(owner, BYTES_LITERAL("-"));
    refuse_restore(op, is_known && !recovery_is_comparing(op->partition));
}

bool op_restore_undecided(struct op *op)
{
    refuse_restore(op, false);
    return true;
}

void op_restore_crashed(struct op *op, struct bytes owner)
{
    struct owned *owned = find_owned(op);
    if (owned && owned->phase == OWNED_RESTORING) {
        op_run_behind_orphan(op, owner);
    } else {
        op_release(op);
    }
}

/* Its peer has ended the connection, which only has to be read yet. */
bool op_restore_missing(struct op *op)
{
    struct owned *owned = find_owned(op);
    if (is_of_owner(op, owned) && owned->phase == OWNED_RESTORING) {
        owned_restore_later(op->partition, owned);
    }
    return false;
}

void op_restore_refused(struct op *op)
{
    struct owned *owned = find_owned(op);
    if (owned && owned->phase == OWNED_RESTORING) {
        owned_restore_later(op->partition, owned);
    }
}

/* Of an entry that was left: it may have ended by the time it is sent again. */
bool op_restore_unjudged(struct op *op)
{
    struct owned *owned = find_owned(op);
    op_change_kind(op, OP_REFRESH);
    if (owned && owned->phase == OWNED_RESTORING) {
        owned_unconfirm(op->partition, owned);
    }
    return !owned && !op->answered;
}

bool op_close_missing(struct op *op)
{
    struct owned *owned = find_owned(op);
    if (is_of_owner(op, owned)) {
        owned_destroy(op->partition, owned);
        /* It may be this close, sent before, whose reply was lost. */
        tombstone_remember(op->partition, op_id(op), map_redis_time_ms(op->partition->map),
                           INT64_MAX, bytes_from_string(op->fence));
    }
    return false;
}

/* The close of an entry that the session owns is still wanted. */
bool op_close_expired(struct op *op)
{
    return op->session && map_session_owns(op->session, op_id(op));
}

/* Without a fence it is the audit's, which is made again. */
bool op_orphan_unjudged(struct op *op)
{
    if (!op->fence[0]) {
        op->partition->audit_due = true;
        return false;
    }
    return !op->answered;
}

bool op_ended_undecided(struct op *op)
{
    tombstone_defer(op->partition, op_id(op));
    return false;
}

bool op_ended_unjudged(struct op *op)
{
    tombstone_requeue(op->partition, op_id(op));
    return false;
}
