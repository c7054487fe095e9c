/*
 * owned: the entries of this front-end's own sessions: the truth from which Redis is restored.
 *
 * An entry is confirmed once Redis has said that it is ours. After a new link, a new epoch or a
 * lost lease all are unconfirmed, and each is compared (restored) before anything else of it is
 * sent.
 */
#include "map/owned_private.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "budget/budget.h"
#include "loop/loop.h"
#include "map/map_private.h"
#include "map/op_private.h"
#include "map/partition_private.h"
#include "map/renewal_private.h"
#include "map/session_private.h"
#include "map/space_private.h"
#include "metrics/metrics.h"
#include "schema/event.h"
#include "schema/fields.h"

/* Bytes by which changes that wait to be sent may be longer than all fields twice. */
#define SET_SPARE 4096
/* Until a restore that could not be done is tried again. */
#define RESTORE_RETRY_MS 500
/* Memory that an entry may hold beyond its state, when that has become shorter. */
#define SPARE_MAX 256

static struct owned *look_up_owned(const struct partition *partition, struct bytes id)
{
    struct owned *owned = NULL;
    HASH_FIND(hh, partition->owned, id.data, id.len, owned);
    return owned;
}

struct owned *owned_find(struct partition *partition, struct bytes id)
{
    struct owned *owned = look_up_owned(partition, id);
    if (owned) {
        owned_join_round(partition, owned);
    }
    return owned;
}

/* The block has the whole size that the allocator would round it up to. */
static struct owned *allocate_owned(size_t id_len, size_t state_len)
{
    size_t fixed = offsetof(struct owned, id) + id_len;
    size_t size = ((fixed + state_len + 8 + 15) & ~(size_t)15) - 8;
    if (size < sizeof(struct owned)) {
        size = sizeof(struct owned);
    }
    struct owned *owned = mem_alloc(size);
    memset(owned, 0, sizeof *owned);
    owned->capacity = (uint32_t)(size - fixed);
    return owned;
}

static void index_owned(struct partition *partition, struct owned *owned)
{
    HASH_ADD_KEYPTR(hh, partition->owned, owned->id, owned->id_len, owned);
}

struct owned *owned_create(struct map_session *session, struct partition *partition,
                           struct bytes id, size_t state_len)
{
    struct owned *owned = allocate_owned(id.len, state_len);
    owned->session = session;
    owned->id_len = (uint8_t)id.len;
    memcpy(owned->id, id.data, id.len);
    owned->round = partition->round;
    list_init(&owned->link);
    list_append(&session->owned, &owned->in_session);
    session->owned_count++;
    session->space->owned++;
    budget_account_add(session->account, BUDGET_ENTRIES, 1);
    index_owned(partition, owned);
    metrics_add(METRIC_OWNED, 1);
    return owned;
}

/* The new node replaces the old one in its list. */
static void replace_node(struct list *old, struct list *new)
{
    list_init(new);
    if (list_is_empty(old)) {
        return;
    }
    list_insert_before(old, new);
    list_remove(old);
}

static struct owned *move_owned(struct partition *partition, struct owned *old, size_t state_len)
{
    struct owned *new = allocate_owned(old->id_len, state_len);
    uint32_t capacity = new->capacity;
    HASH_DEL(partition->owned, old);
    memcpy(new, old, offsetof(struct owned, id) + old->id_len);
    new->capacity = capacity;
    replace_node(&old->in_session, &new->in_session);
    replace_node(&old->link, &new->link);
    index_owned(partition, new);
    free(old);
    return new;
}

static struct bytes owned_state(const struct owned *owned)
{
    return (struct bytes){(const uint8_t *)owned->id + owned->id_len, owned->state_len};
}

struct owned *owned_set_state(struct partition *partition, struct owned *owned, uint64_t version,
                              struct bytes state)
{
    if (state.len > owned->capacity || state.len + SPARE_MAX < owned->capacity) {
        owned = move_owned(partition, owned, state.len);
    }
    if (state.len) {
        memcpy(owned->id + owned->id_len, state.data, state.len);
    }
    owned->state_len = (uint32_t)state.len;
    owned->version = version;
    if (version > owned->wanted) {
        owned->wanted = version;
    }
    return owned;
}

void owned_take_fields(struct owned *owned, struct bytes body)
{
    if (!owned->fields) {
        owned->fields = mem_zalloc(1, sizeof *owned->fields);
    }
    writer_reset(&owned->fields->body);
    writer_bytes(&owned->fields->body, body);
}

/* Sets the field in the body, and in the delta when its value differs. */
static void change_field(struct writer *body, const struct map_field *change, struct writer *delta)
{
    struct bytes before;
    bool there = fields_find(writer_bytes_written(body), change->name, &before);
    if (change->value.data ? there && bytes_equal(before, change->value) : !there) {
        return;
    }
    if (change->value.data) {
        fields_set(body, change->name, change->value);
    } else {
        fields_remove(body, change->name);
    }
    fields_set(delta, change->name, change->value);
}

/* Adds changes to an operation that still waits to be sent. */
static void add_to_set(struct op *set, struct bytes delta)
{
    struct writer body = {
        .data = (uint8_t *)set->state, .len = set->state_len, .capacity = set->state_len};
    struct bytes name, value;
    while (event_field(&delta, &name, &value)) {
        fields_set(&body, name, value);
    }
    set->state = (char *)body.data;
    set->state_len = (uint32_t)body.len;
}

static struct op *create_set(struct partition *partition, const struct owned *owned,
                             struct bytes delta)
{
    struct op *set =
        op_create(partition, OP_SET, (struct bytes){(uint8_t *)owned->id, owned->id_len});
    memcpy(set->fence, owned->session->fence, sizeof set->fence);
    set->made_of_fields = true;
    set->state = mem_dup(delta.data, delta.len);
    set->state_len = (uint32_t)delta.len;
    return set;
}

/* An unconfirmed entry is restored with all its fields: nothing else has to be sent. */
static void send_owned_changes(struct partition *partition, struct owned *owned, struct bytes delta)
{
    struct owned_fields *fields = owned->fields;
    if (owned->phase == OWNED_UNCONFIRMED) {
        return;
    }
    if (partition->state != PARTITION_READY) {
        if (owned->phase == OWNED_CONFIRMED) {
            owned_unconfirm(partition, owned);
        }
        return;
    }
    if (fields->set && fields->set->state_len + delta.len > 2 * fields->body.len + SET_SPARE) {
        /* It names more fields that have come and gone than the entry has: a restore is shorter. */
        owned_unconfirm(partition, owned);
        return;
    }
    if (fields->set) {
        add_to_set(fields->set, delta);
    } else {
        fields->set = create_set(partition, owned, delta);
        op_enqueue(fields->set);
    }
    fields->set->version = owned->version;
}

void owned_change_fields(struct partition *partition, struct owned *owned,
                         const struct map_field *changes, size_t count)
{
    struct writer delta = {0};
    for (size_t i = 0; i < count; i++) {
        change_field(&owned->fields->body, &changes[i], &delta);
    }
    if (delta.len > 0) {
        owned->version++;
        owned->wanted = owned->version;
        send_owned_changes(partition, owned, writer_bytes_written(&delta));
    }
    writer_free(&delta);
}

void owned_forget_set(struct partition *partition, const struct op *set)
{
    struct owned *owned = look_up_owned(partition, (struct bytes){(uint8_t *)set->id, set->id_len});
    if (owned && owned->fields && owned->fields->set == set) {
        owned->fields->set = NULL;
    }
}

/* A restore will write all fields. */
static void drop_set(struct owned *owned)
{
    struct op *set = owned->fields ? owned->fields->set : NULL;
    if (!set) {
        return;
    }
    owned->fields->set = NULL;
    op_release(set);
}

/* The only place that changes the phase. It leaves its list; the caller puts it into another. */
static void enter_phase(struct partition *partition, struct owned *owned, enum owned_phase phase)
{
    partition->restores -= owned->phase == OWNED_RESTORING;
    partition->restores += phase == OWNED_RESTORING;
    owned->phase = (uint8_t)phase;
    owned->round = partition->round;
    list_remove(&owned->link);
    if (phase == OWNED_UNCONFIRMED) {
        drop_set(owned);
    }
}

bool owned_is_settled(const struct partition *partition)
{
    return list_is_empty(&partition->unconfirmed) && partition->restores == 0;
}

void owned_confirm(struct partition *partition, struct owned *owned)
{
    enter_phase(partition, owned, OWNED_CONFIRMED);
    owned->contested_at = 0;
    renewal_begin(partition, owned);
}

void owned_unconfirm(struct partition *partition, struct owned *owned)
{
    enter_phase(partition, owned, OWNED_UNCONFIRMED);
    owned->due_ms = 0;
    list_prepend(&partition->unconfirmed, &owned->link);
    partition_wake(partition);
}

void owned_restore_later(struct partition *partition, struct owned *owned)
{
    enter_phase(partition, owned, OWNED_UNCONFIRMED);
    owned->due_ms = loop_now_ms(partition->map->loop) + RESTORE_RETRY_MS;
    list_append(&partition->unconfirmed, &owned->link); /* partition_tick wakes the partition */
}

bool owned_contest(struct partition *partition, struct owned *owned)
{
    const struct map_settings *settings = partition->map->settings;
    uint32_t now = (uint32_t)loop_now_ms(partition->map->loop) | 1;
    /* A live front-end that does not have the entry releases it within a sweep of its hello; a
     * crashed one counts as such after its lease and the recovery grace. */
    int64_t longest = settings->recovery_grace + settings->lease + 2 * settings->sweep;
    if (owned->contested_at && now - owned->contested_at >= (uint32_t)longest) {
        return false;
    }
    if (!owned->contested_at) {
        owned->contested_at = now;
    }
    owned_restore_later(partition, owned);
    return true;
}

/* Those whose restore is under way are in no list: they join the round when its operation comes
 * first in the queue, and are not settled before. */
void owned_unconfirm_all(struct partition *partition)
{
    partition->round++;
    renewal_take_all(partition, &partition->unconfirmed);
    partition_wake(partition);
}

void owned_join_round(struct partition *partition, struct owned *owned)
{
    if (owned->round == partition->round) {
        return;
    }
    partition->owned_visits++;
    owned->contested_at = 0;
    owned_unconfirm(partition, owned);
}

struct owned *owned_first_due(struct partition *partition, uint64_t now_ms)
{
    if (list_is_empty(&partition->unconfirmed)) {
        return NULL;
    }
    struct owned *owned = list_entry(partition->unconfirmed.next, struct owned, link);
    owned_join_round(partition, owned);
    return owned->due_ms <= now_ms ? owned : NULL;
}

void owned_destroy(struct partition *partition, struct owned *owned)
{
    HASH_DEL(partition->owned, owned);
    partition->restores -= owned->phase == OWNED_RESTORING;
    list_remove(&owned->link);
    list_remove(&owned->in_session);
    owned->session->owned_count--;
    owned->session->space->owned--;
    budget_account_subtract(owned->session->account, BUDGET_ENTRIES, 1);
    metrics_add(METRIC_OWNED, -1);
    if (owned->fields) {
        writer_free(&owned->fields->body);
        free(owned->fields); /* a set that is queued is still sent, before what ends the entry */
    }
    free(owned);
}

struct op *owned_make_restore(struct partition *partition, struct owned *owned)
{
    enum op_kind kind = session_is_gone(owned->session) ? OP_REFRESH : OP_RESTORE;
    struct op *op = op_create(partition, kind, (struct bytes){(uint8_t *)owned->id, owned->id_len});
    memcpy(op->fence, owned->session->fence, sizeof op->fence);
    op_describe(op, owned->session);
    op->version = owned->version;
    op->made_of_fields = owned->fields;
    struct bytes contents =
        owned->fields ? writer_bytes_written(&owned->fields->body) : owned_state(owned);
    op->state = mem_dup(contents.data, contents.len);
    op->state_len = (uint32_t)contents.len;
    enter_phase(partition, owned, OWNED_RESTORING);
    return op;
}
