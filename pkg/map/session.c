/*
 * session: turns the calls of a connection into operations.
 *
 * Relative versions of an entry that this session owns are completed here, counted from the last
 * one requested, so that an operation that is sent twice means the same both times. Those of other
 * entries can only be completed by the script.
 */
#include "map/session.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "budget/budget.h"
#include "map/feature.h"
#include "map/map_private.h"
#include "map/op_private.h"
#include "map/owned_private.h"
#include "map/recovery_private.h"
#include "map/session_private.h"
#include "map/space_private.h"
#include "map/wait_private.h"
#include "metrics/metrics.h"
#include "schema/fields.h"

const char *map_result_name(enum map_result result)
{
    static const char *const names[] = {"ok",    "stale", "owned",    "taken",  "missing",
                                        "limit", "full",  "deadline", "refused"};
    return names[result];
}

struct map_session *map_session_create(struct map_space *space, const char *protocol,
                                       const char *address, const struct map_sink *sink, void *arg)
{
    size_t address_size = strlen(address) + 1;
    struct map_session *session = mem_zalloc(1, sizeof *session + address_size);
    session->space = space;
    session->sink = sink;
    session->arg = arg;
    session->protocol = protocol;
    memcpy(session->address, address, address_size);
    id_make_hex(session->fence, ID_FENCE_LENGTH);
    list_init(&session->owned);
    list_init(&session->ops);
    list_init(&session->waits);
    metrics_add(METRIC_SESSIONS, 1);
    return session;
}

void map_session_count_in(struct map_session *session, struct budget_account *account)
{
    session->account = account;
    budget_account_add(account, BUDGET_SESSIONS, 1);
}

const char *session_address(const struct map_session *session)
{
    return session->address;
}

void map_session_set_certificate(struct map_session *session, const char *certificate)
{
    free(session->certificate);
    session->certificate = mem_strdup(certificate);
}

bool session_is_gone(const struct map_session *session)
{
    return session->sink->is_gone && session->sink->is_gone(session->arg);
}

/* Redis may not have its newest state or, in a new epoch, not have it at all: it is restored before
 * it is orphaned. */
static void restore_before_leaving(struct partition *partition, struct owned *owned)
{
    struct op *restore = owned_make_restore(partition, owned);
    op_change_kind(restore, recovery_may_create(partition) ? OP_RESTORE : OP_REFRESH);
    op_enqueue(restore);
}

void map_session_make_uuids(struct map_session *session)
{
    session->makes_uuids = true;
}

/* No caller waits for these: they are sent when that is possible. */
static void leave_entry(struct map_session *session, struct owned *owned, enum op_kind kind)
{
    struct bytes id = {(uint8_t *)owned->id, owned->id_len};
    struct partition *partition = partition_of(session->space, id);
    struct op *op = op_create(partition, kind, id);
    memcpy(op->fence, session->fence, sizeof op->fence);
    op->of.write.adopt = MAP_ADOPT_OFF;
    owned_join_round(partition, owned);
    if (owned->phase == OWNED_UNCONFIRMED && kind == OP_ORPHAN) {
        restore_before_leaving(partition, owned);
    }
    owned_destroy(partition, owned);
    op_enqueue(op);
}

static void leave_all(struct map_session *session, enum op_kind kind)
{
    while (!list_is_empty(&session->owned)) {
        leave_entry(session, list_entry(session->owned.next, struct owned, in_session), kind);
    }
}

void map_session_end(struct map_session **session_pointer, bool leave)
{
    struct map_session *session = *session_pointer;
    if (!session) {
        return;
    }
    *session_pointer = NULL;
    while (!list_is_empty(&session->ops)) {
        op_forget_session(list_entry(session->ops.next, struct op, in_session), leave);
    }
    leave_all(session, leave ? OP_ORPHAN : OP_CLOSE);
    waits_forget(session);
    metrics_add(METRIC_SESSIONS, -1);
    for (struct delivery *each = session->space->map->delivery; each; each = each->outer) {
        if (each->session == session) {
            each->session = NULL;
        }
    }
    budget_account_subtract(session->account, BUDGET_SESSIONS, 1);
    free(session->certificate);
    free(session);
}

void session_close_all(struct map_session *session, enum map_end why)
{
    leave_all(session, OP_CLOSE);
    session->sink->end(session->arg, why);
}

bool session_deliver(struct map_space *space, struct bytes id, struct map_packet *packet)
{
    const struct owned *owned = owned_find(partition_of(space, id), id);
    if (!owned || !owned->session->sink->relayed) {
        return false;
    }
    return owned->session->sink->relayed(owned->session->arg, packet);
}

void session_drop(struct map_space *space, struct bytes id)
{
    struct owned *owned = owned_find(partition_of(space, id), id);
    if (!owned) {
        return;
    }
    struct map_session *session = owned->session;
    leave_all(session, OP_ORPHAN);
    session->sink->end(session->arg, MAP_END_DROPPED);
}

void session_take_away(struct map_session *session, struct owned *owned)
{
    struct bytes id = {(uint8_t *)owned->id, owned->id_len};
    owned_destroy(partition_of(session->space, id), owned);
    leave_all(session, OP_ORPHAN);
    metrics_add(METRIC_TAKEN, 1);
    session->sink->end(session->arg, MAP_END_TAKEN);
}

static void copy_state(struct op *op, struct bytes state)
{
    op_take_state(op, mem_dup(state.data, state.len), state.len);
}

/* Whether an earlier operation is creating or adopting an entry with this id. */
static bool is_being_added(const struct map_session *session, struct bytes id)
{
    for (const struct list *node = session->ops.next; node != &session->ops; node = node->next) {
        const struct op *op = list_entry(node, struct op, in_session);
        if (op->adds && !op->answered &&
            bytes_equal(id, (struct bytes){(const uint8_t *)op->id, op->id_len})) {
            return true;
        }
    }
    return false;
}

/* Whether its address would have more than its share of the space's entries. What one client may
 * have, any address may. */
static bool exceeds_entry_share(const struct map_session *session)
{
    const struct map_space *space = session->space;
    const struct map_settings *settings = space->map->settings;
    const uint64_t others = space->entries > space->owned ? space->entries : space->owned;
    const uint64_t total = others + 1, least = total + (uint64_t)settings->client_max_ids;
    const uint64_t most = (uint64_t)settings->max_entries;
    return budget_account_exceeds_share(session->account, BUDGET_ENTRIES, 1, total,
                                        most > least ? most : least);
}

/* For operations that may add an entry to the session. */
static void submit_addition(struct op *op, struct map_session *session, map_done done, void *arg)
{
    struct bytes id = {(const uint8_t *)op->id, op->id_len};
    size_t most = (size_t)session->space->map->settings->client_max_ids;
    bool adds = !is_being_added(session, id);
    op_describe(op, session);
    if (adds && (session->owned_count + session->adding >= most || exceeds_entry_share(session))) {
        op_refuse(op, session, MAP_LIMIT, done, arg);
        return;
    }
    op->adds = adds;
    session->adding += adds;
    budget_account_add(session->account, BUDGET_ENTRIES, adds);
    op_submit(op, session, done, arg);
}

void map_session_open(struct map_session *session, struct bytes state, map_done done, void *arg)
{
    char id[ID_UUID_LENGTH + 1];
    if (session->makes_uuids) {
        id_make_uuid(id);
    } else {
        id_make_client(id);
    }
    struct bytes name = bytes_from_string(id);
    struct op *op = op_create(partition_of(session->space, name), OP_OPEN, name);
    copy_state(op, state);
    submit_addition(op, session, done, arg);
}

/* A new id in the partition of the user's id. */
static void make_device_id(const struct map_space *space, struct bytes user,
                           char id[ID_CLIENT_LENGTH + 1])
{
    do {
        id_make_client(id);
    } while (user.len > 0 &&
             partition_of(space, bytes_from_string(id)) != partition_of(space, user));
}

static void write_if_given(struct writer *body, const char *name, struct bytes value)
{
    if (value.len > 0) {
        fields_write(body, bytes_from_string(name), value);
    }
}

static void write_open_fields(struct writer *body, const struct map_open *open)
{
    enum map_status status = open->status == MAP_BUSY ? MAP_BUSY : MAP_ONLINE;
    write_if_given(body, "user", open->user);
    if (open->user.len > 0) {
        write_if_given(body, "status", bytes_from_string(map_status_name(status)));
    }
    write_if_given(body, "resume", open->resume);
    for (size_t i = 0; i < open->field_count; i++) {
        if (map_field_is_free(open->fields[i].name) && open->fields[i].value.data) {
            fields_set(body, open->fields[i].name, open->fields[i].value);
        }
    }
}

void map_session_open_fields(struct map_session *session, const struct map_open *open,
                             map_done done, void *arg)
{
    char id[ID_CLIENT_LENGTH + 1];
    struct bytes name = open->id;
    bool named = name.len > 0 && name.len <= UINT8_MAX && open->user.len == 0;
    struct writer body = {0};
    if (!named) {
        make_device_id(session->space, open->user, id);
        name = bytes_from_string(id);
    }
    enum op_kind kind = open->alone ? OP_OPEN_ALONE : OP_OPEN;
    struct op *op = op_create(partition_of(session->space, name), kind, name);
    write_open_fields(&body, open);
    op_take_fields(op, &body);
    op->of.named = named;
    submit_addition(op, session, done, arg);
}

void map_session_resume(struct map_session *session, struct bytes id, struct bytes resume,
                        map_done done, void *arg)
{
    bool possible = id.len > 0 && id.len <= UINT8_MAX && resume.len > 0;
    struct bytes name = possible ? id : BYTES_LITERAL("");
    struct op *op = op_create(partition_of(session->space, name), OP_RESUME, name);
    copy_state(op, resume);
    if (possible) {
        submit_addition(op, session, done, arg);
    } else {
        op_refuse(op, session, MAP_MISSING, done, arg);
    }
}

/* NULL: the session does not own it, or it has a state. */
static struct owned *find_owned_fields(const struct map_session *session, struct bytes id)
{
    struct owned *owned = owned_find(partition_of(session->space, id), id);
    return owned && owned->session == session && owned->fields ? owned : NULL;
}

bool map_session_set(struct map_session *session, struct bytes id, const struct map_field *changes,
                     size_t count)
{
    struct owned *owned = find_owned_fields(session, id);
    for (size_t i = 0; i < count; i++) {
        if (!map_field_is_free(changes[i].name)) {
            return false;
        }
    }
    if (owned) {
        owned_change_fields(partition_of(session->space, id), owned, changes, count);
    }
    return owned;
}

bool map_session_set_status(struct map_session *session, struct bytes id, enum map_status status)
{
    struct owned *owned = find_owned_fields(session, id);
    struct map_field change = {
        .name = BYTES_LITERAL("status"),
        .value = bytes_from_string(map_status_name(status == MAP_BUSY ? MAP_BUSY : MAP_ONLINE))};
    if (owned) {
        owned_change_fields(partition_of(session->space, id), owned, &change, 1);
    }
    return owned;
}

struct bytes map_session_fields(const struct map_session *session, struct bytes id)
{
    const struct owned *owned = find_owned_fields(session, id);
    return owned ? writer_bytes_written(&owned->fields->body) : (struct bytes){0};
}

struct bytes map_session_opened_id(const struct map_session *session)
{
    const struct delivery *delivery = session->space->map->delivery;
    while (delivery && delivery->session != session) {
        delivery = delivery->outer;
    }
    return delivery ? delivery->id : (struct bytes){0};
}

/* Completes the version of an update of an owned entry. False: it is stale. */
static bool complete_version(const struct owned *owned, const struct map_update *update,
                             uint64_t *version)
{
    switch (update->kind) {
    case MAP_VERSION_ABSOLUTE:
        *version = update->version;
        return true;
    case MAP_VERSION_NEXT:
        *version = owned->wanted + 1 + update->version;
        return owned->wanted < (uint64_t)INT64_MAX - update->version;
    case MAP_VERSION_LOW_BYTE:
        break;
    }
    unsigned ahead = (unsigned)(update->version - owned->wanted) & 0xff;
    if (ahead >= 128 || owned->wanted > (uint64_t)INT64_MAX - ahead) {
        return false;
    }
    *version = owned->wanted + ahead;
    return true;
}

static void update_owned(struct op *op, struct owned *owned, const struct map_update *update,
                         map_done done, void *arg)
{
    struct map_session *session = owned->session;
    uint64_t version;
    op_change_kind(op, OP_UPDATE);
    if (!complete_version(owned, update, &version)) {
        op_refuse(op, session, MAP_STALE, done, arg);
        return;
    }
    op->version = version;
    op->of.write.version_kind = MAP_VERSION_ABSOLUTE;
    if (op_submit(op, session, done, arg) && version > owned->wanted) {
        owned->wanted = version;
    }
}

void map_session_update(struct map_session *session, const struct map_update *update, map_done done,
                        void *arg)
{
    struct partition *partition = partition_of(session->space, update->id);
    struct owned *owned = owned_find(partition, update->id);
    struct op *op = op_create(partition, OP_CLAIM, update->id);
    copy_state(op, update->state);
    op->of.write.adopt = (uint8_t)update->adopt;
    if (owned && owned->session == session) {
        update_owned(op, owned, update, done, arg);
        return;
    }
    op->version = update->version;
    op->of.write.version_kind = (uint8_t)update->kind;
    submit_addition(op, session, done, arg);
}

void map_session_close_entry(struct map_session *session, struct bytes id, enum map_adopt adopt,
                             map_done done, void *arg)
{
    struct op *op = op_create(partition_of(session->space, id), OP_CLOSE, id);
    op->of.write.adopt = (uint8_t)adopt;
    op_describe(op, session);
    op_submit(op, session, done, arg);
}

bool map_session_owns(const struct map_session *session, struct bytes id)
{
    const struct owned *owned = owned_find(partition_of(session->space, id), id);
    return owned && owned->session == session;
}

size_t map_session_count(const struct map_session *session)
{
    return session->owned_count;
}

size_t map_session_pending(const struct map_session *session)
{
    return session->pending;
}

struct map_space *map_session_space(const struct map_session *session)
{
    return session->space;
}

bool map_kick(struct map_space *space, struct bytes id)
{
    struct owned *owned = owned_find(partition_of(space, id), id);
    if (!owned) {
        return false;
    }
    session_close_all(owned->session, MAP_END_KICKED);
    return true;
}
