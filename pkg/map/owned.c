/*
 * owned: the entries of this front-end's own sessions: the truth from which Redis is filled again.
 *
 * An owned entry is confirmed once Redis has said that it is ours. After a new link, a new epoch
 * or a lost lease all are unconfirmed, and each is compared (restored) before anything else is
 * sent of it.
 */
#include "map/owned_private.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "map/map_private.h"
#include "map/op_private.h"
#include "map/partition_private.h"
#include "map/session_private.h"
#include "metrics/metrics.h"
#include "schema/event.h"
#include "schema/fields.h"
#include "schema/keys.h"

/* Until a restore that could not be done is tried again. */
#define RESTORE_RETRY_MS 500
/* A key outlives the silence that ends its connection by a part of client.ttl, within these bounds:
 * as long as the connection is taken to be there, so is the key. */
#define RENEWAL_SPARE_PART   4
#define RENEWAL_SPARE_MIN_MS 500
#define RENEWAL_SPARE_MAX_MS 2000
/* No renewal is looked at sooner than that; one whose key has ended saves nothing by haste. What is
 * due so soon is looked at together, so that the ticks for it are no closer. */
#define RENEWAL_WAIT_MIN_MS  20
#define RENEWAL_TOGETHER_MS  10
#define RENEWAL_WAIT_LATE_MS 250
/* Of client.ttl: a jump of Redis's clock after which all keys are renewed. */
#define CLOCK_PART 8
/* Memory that an entry may hold beyond its state, when that has become shorter. */
#define SPARE_MAX 256

struct owned *owned_find(const struct partition *partition, struct bytes id)
{
    struct owned *owned = NULL;
    HASH_FIND(hh, partition->owned, id.data, id.len, owned);
    return owned;
}

/* What the allocator hands out anyway for that many bytes is used. */
static struct owned *allocate(size_t id_len, size_t state_len)
{
    size_t fixed = offsetof(struct owned, id) + id_len;
    size_t size = ((fixed + state_len + 8 + 15) & ~(size_t)15) - 8;
    if (size < sizeof(struct owned))
        size = sizeof(struct owned);
    struct owned *owned = mem_alloc(size);
    memset(owned, 0, sizeof *owned);
    owned->capacity = (uint32_t)(size - fixed);
    return owned;
}

static void index_add(struct partition *partition, struct owned *owned)
{
    HASH_ADD_KEYPTR(hh, partition->owned, owned->id, owned->id_len, owned);
}

struct owned *owned_create(struct map_session *session, struct partition *partition,
                           struct bytes id, size_t state_len)
{
    struct owned *owned = allocate(id.len, state_len);
    owned->session = session;
    owned->id_len = (uint8_t)id.len;
    memcpy(owned->id, id.data, id.len);
    list_init(&owned->link);
    list_append(&session->owned, &owned->in_session);
    session->owned_count++;
    index_add(partition, owned);
    metrics_add(METRIC_OWNED, 1);
    return owned;
}

/* The new node stands where the old one stood. */
static void take_place(struct list *old, struct list *new)
{
    list_init(new);
    if (list_is_empty(old))
        return;
    list_insert_before(old, new);
    list_remove(old);
}

static struct owned *move_owned(struct partition *partition, struct owned *old, size_t state_len)
{
    struct owned *new = allocate(old->id_len, state_len);
    uint32_t capacity = new->capacity;
    HASH_DEL(partition->owned, old);
    memcpy(new, old, offsetof(struct owned, id) + old->id_len);
    new->capacity = capacity;
    take_place(&old->in_session, &new->in_session);
    take_place(&old->link, &new->link);
    index_add(partition, new);
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
    if (state.len > owned->capacity || state.len + SPARE_MAX < owned->capacity)
        owned = move_owned(partition, owned, state.len);
    if (state.len)
        memcpy(owned->id + owned->id_len, state.data, state.len);
    owned->state_len = (uint32_t)state.len;
    owned->version = version;
    if (version > owned->wanted)
        owned->wanted = version;
    return owned;
}

void owned_take_fields(struct owned *owned, struct bytes body)
{
    if (!owned->fields)
        owned->fields = mem_zalloc(1, sizeof *owned->fields);
    writer_reset(&owned->fields->body);
    writer_bytes(&owned->fields->body, body);
}

/* Takes the field over into the body, and into the delta when it is a change. */
static void change_field(struct writer *body, const struct map_field *change, struct writer *delta)
{
    struct bytes before;
    bool there = fields_find(writer_bytes_written(body), change->name, &before);
    if (change->value.data ? there && bytes_equal(before, change->value) : !there)
        return;
    if (change->value.data)
        fields_set(body, change->name, change->value);
    else
        fields_remove(body, change->name);
    fields_set(delta, change->name, change->value);
}

/* What still waits to be sent takes up what has come since. */
static void join_changes(struct op *set, struct bytes delta)
{
    struct writer body = {
        .data = (uint8_t *)set->state, .len = set->state_len, .capacity = set->state_len};
    struct bytes name, value;
    while (event_field(&delta, &name, &value))
        fields_set(&body, name, value);
    set->state = (char *)body.data;
    set->state_len = (uint32_t)body.len;
}

static struct op *make_set(struct partition *partition, const struct owned *owned,
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

/* An entry that is unconfirmed is restored with all its fields; nothing else need be sent. */
static void send_owned_changes(struct partition *partition, struct owned *owned, struct bytes delta)
{
    struct owned_fields *fields = owned->fields;
    if (owned->phase == OWNED_UNCONFIRMED)
        return;
    if (partition->state != PARTITION_READY) {
        if (owned->phase == OWNED_HELD)
            owned_unconfirm(partition, owned);
        return;
    }
    if (fields->set) {
        join_changes(fields->set, delta);
    } else {
        fields->set = make_set(partition, owned, delta);
        op_enqueue(fields->set);
    }
    fields->set->version = owned->version;
}

void owned_change_fields(struct partition *partition, struct owned *owned,
                         const struct map_field *changes, size_t count)
{
    struct writer delta = {0};
    for (size_t i = 0; i < count; i++)
        change_field(&owned->fields->body, &changes[i], &delta);
    if (delta.len > 0) {
        owned->version++;
        owned->wanted = owned->version;
        send_owned_changes(partition, owned, writer_bytes_written(&delta));
    }
    writer_free(&delta);
}

void owned_forget_set(struct partition *partition, const struct op *set)
{
    struct owned *owned = owned_find(partition, (struct bytes){(uint8_t *)set->id, set->id_len});
    if (owned && owned->fields && owned->fields->set == set)
        owned->fields->set = NULL;
}

/* A restore will bring all of it. */
static void drop_set(struct owned *owned)
{
    struct op *set = owned->fields ? owned->fields->set : NULL;
    if (!set)
        return;
    owned->fields->set = NULL;
    op_release(set);
}

/* lasts_ms: how long its key will be in Redis as things are. Looked at after want_ms, or somewhat
 * sooner, but for the shortest wait: all in one list wait equally long, so that it is in order by
 * itself. */
static void schedule_renewal(struct partition *partition, struct owned *owned, uint64_t lasts_ms,
                             uint64_t want_ms)
{
    size_t level = 0;
    uint64_t delay = (uint64_t)partition->map->settings->client_ttl / 2;
    for (; delay > want_ms && delay / 2 >= RENEWAL_WAIT_MIN_MS && level + 1 < RENEWAL_LISTS;
         level++)
        delay /= 2;
    owned->left_ms = (uint32_t)(lasts_ms > delay ? lasts_ms - delay : 0);
    owned->renew_at = loop_now_ms(partition->map->loop) + delay;
    list_remove(&owned->link);
    list_append(&partition->renewal[level], &owned->link);
}

static void move_phase(struct partition *partition, struct owned *owned, enum owned_phase phase)
{
    partition->restores -= owned->phase == OWNED_RESTORING;
    partition->restores += phase == OWNED_RESTORING;
    owned->phase = (uint8_t)phase;
}

bool owned_is_settled(const struct partition *partition)
{
    return list_is_empty(&partition->unconfirmed) && partition->restores == 0;
}

void owned_confirm(struct partition *partition, struct owned *owned)
{
    uint64_t ttl = (uint64_t)partition->map->settings->client_ttl;
    move_phase(partition, owned, OWNED_HELD);
    owned->contested_at = 0;
    schedule_renewal(partition, owned, ttl, ttl / 2);
}

void owned_unconfirm(struct partition *partition, struct owned *owned)
{
    drop_set(owned);
    move_phase(partition, owned, OWNED_UNCONFIRMED);
    owned->renew_at = 0;
    list_remove(&owned->link);
    list_prepend(&partition->unconfirmed, &owned->link);
    partition_wake(partition);
}

void owned_restore_later(struct partition *partition, struct owned *owned)
{
    drop_set(owned);
    move_phase(partition, owned, OWNED_UNCONFIRMED);
    owned->renew_at = loop_now_ms(partition->map->loop) + RESTORE_RETRY_MS;
    list_remove(&owned->link);
    list_append(&partition->unconfirmed, &owned->link); /* which partition_tick looks at */
}

bool owned_contest(struct partition *partition, struct owned *owned)
{
    const struct map_settings *settings = partition->map->settings;
    uint32_t now = (uint32_t)loop_now_ms(partition->map->loop) | 1;
    /* A living front-end that does not have it says so within a sweep of its first word; one that
     * is not is taken for dead after its lease, and the hold. */
    int64_t longest = settings->hold + settings->lease + 2 * settings->sweep;
    if (owned->contested_at && now - owned->contested_at >= (uint32_t)longest)
        return false;
    if (!owned->contested_at)
        owned->contested_at = now;
    owned_restore_later(partition, owned);
    return true;
}

void owned_unconfirm_all(struct partition *partition)
{
    for (struct owned *owned = partition->owned; owned; owned = owned->hh.next) {
        owned->contested_at = 0;
        owned_unconfirm(partition, owned);
    }
}

void owned_destroy(struct partition *partition, struct owned *owned)
{
    HASH_DEL(partition->owned, owned);
    partition->restores -= owned->phase == OWNED_RESTORING;
    list_remove(&owned->link);
    list_remove(&owned->in_session);
    owned->session->owned_count--;
    metrics_add(METRIC_OWNED, -1);
    if (owned->fields) {
        writer_free(&owned->fields->body);
        free(owned->fields); /* what is to be set is sent, before what ends the entry */
    }
    free(owned);
}

struct op *owned_make_restore(struct partition *partition, struct owned *owned)
{
    struct op *op =
        op_create(partition, OP_RESTORE, (struct bytes){(uint8_t *)owned->id, owned->id_len});
    memcpy(op->fence, owned->session->fence, sizeof op->fence);
    op_describe(op, owned->session);
    op->version = owned->version;
    op->made_of_fields = owned->fields;
    struct bytes contents =
        owned->fields ? writer_bytes_written(&owned->fields->body) : owned_state(owned);
    op->state = mem_dup(contents.data, contents.len);
    op->state_len = (uint32_t)contents.len;
    op->only_there = session_is_gone(owned->session);
    move_phase(partition, owned, OWNED_RESTORING);
    list_remove(&owned->link);
    return op;
}

/* A renewal under way; the entry is found again by its id, as it may be gone by then. */
struct renewal {
    struct partition *partition;
    uint64_t expires_ms; /* when its key ends if this fails; the loop's clock */
    char fence[ID_FENCE_LENGTH + 1];
    uint8_t id_len;
    char id[];
};

/* Not taken by Redis, or lost with the link: again within a quarter of what is left, or the
 * shortest wait. After a new link all entries are compared anyway, which renews them too. */
static void renew_again(struct partition *partition, struct owned *owned, uint64_t expires_ms)
{
    uint64_t now = loop_now_ms(partition->map->loop);
    uint64_t left = expires_ms > now ? expires_ms - now : 0;
    schedule_renewal(partition, owned, left, left ? left / 4 : RENEWAL_WAIT_LATE_MS);
    map_tick_at(partition->map, owned->renew_at);
}

static void on_renewed(void *arg, enum redis_status status, const struct redis_reply *reply)
{
    struct renewal *renewal = arg;
    struct partition *partition = renewal->partition;
    struct owned *owned =
        owned_find(partition, (struct bytes){(uint8_t *)renewal->id, renewal->id_len});
    bool answered = status == REDIS_OK && reply->type == REDIS_INTEGER;
    if (owned && owned->phase == OWNED_HELD && !strcmp(owned->session->fence, renewal->fence)) {
        if (!answered)
            renew_again(partition, owned, renewal->expires_ms);
        else if (reply->integer == 0) /* somebody removed the key: it is opened again */
            owned_unconfirm(partition, owned);
    }
    free(renewal);
}

static void renew(struct partition *partition, const struct owned *owned, uint64_t ttl,
                  uint64_t expires_ms)
{
    struct writer key = {0};
    char milliseconds[24];
    struct bytes id = {(const uint8_t *)owned->id, owned->id_len};
    snprintf(milliseconds, sizeof milliseconds, "%llu", (unsigned long long)ttl);
    struct renewal *renewal = mem_alloc(sizeof *renewal + id.len);
    renewal->partition = partition;
    renewal->expires_ms = expires_ms;
    renewal->id_len = owned->id_len;
    memcpy(renewal->id, owned->id, id.len);
    memcpy(renewal->fence, owned->session->fence, sizeof renewal->fence);
    struct bytes args[] = {BYTES_LITERAL("PEXPIRE"),
                           keys_write(&key, partition->prefix, "client:", id),
                           bytes_from_string(milliseconds)};
    redis_command(partition->map->link, on_renewed, renewal, 3, args);
    writer_free(&key);
}

/* What the key of a client is given that may be silent for so long yet. */
static uint64_t ttl_for(uint64_t left, uint64_t ttl)
{
    uint64_t spare = ttl / RENEWAL_SPARE_PART;
    if (spare < RENEWAL_SPARE_MIN_MS)
        spare = RENEWAL_SPARE_MIN_MS;
    if (spare > RENEWAL_SPARE_MAX_MS)
        spare = RENEWAL_SPARE_MAX_MS;
    return left + spare < ttl ? left + spare : ttl;
}

/* Renews it, and looks again when half of that has passed, or when the silence must have ended. */
static void renew_or_end(struct partition *partition, struct owned *owned)
{
    struct map_session *session = owned->session;
    uint64_t ttl = (uint64_t)partition->map->settings->client_ttl;
    uint64_t silence = session->sink->silence(session->arg);
    uint64_t left = silence < ttl ? ttl - silence : 0;
    if (left == 0) {
        session_close_all(session, MAP_END_SILENT); /* frees owned */
        return;
    }
    /* What is left counts from renew_at, which may be long past when the loop stalled. */
    uint64_t expires_ms = owned->renew_at + owned->left_ms, lasts = ttl_for(left, ttl);
    if (partition->state != PARTITION_READY) {
        renew_again(partition, owned, expires_ms);
        return;
    }
    schedule_renewal(partition, owned, lasts, left < lasts / 2 ? left : lasts / 2);
    renew(partition, owned, lasts, expires_ms);
}

/* Whether Redis's clock has jumped ahead by a good part of client.ttl since TTLs were set: keys end
 * at a time of that clock, and so all of them at once. What a busy machine or link delays shows as
 * jumps back. */
static bool has_clock_jumped(struct partition *partition)
{
    int64_t clock = partition->map->clock_offset_ms;
    int64_t jumped = clock - partition->renewal_clock_ms;
    bool ahead = jumped > partition->map->settings->client_ttl / CLOCK_PART;
    if (ahead || jumped < 0)
        partition->renewal_clock_ms = clock;
    return ahead;
}

/* client.ttl has become another one (the lists are in order only for one), or the time of all has
 * been cut short: all are renewed, and what has ended already is opened again. */
static void renew_all(struct partition *partition)
{
    struct list all;
    list_init(&all);
    for (size_t i = 0; i < RENEWAL_LISTS; i++) {
        while (!list_is_empty(&partition->renewal[i])) {
            struct list *first = partition->renewal[i].next;
            list_remove(first);
            list_append(&all, first);
        }
    }
    while (!list_is_empty(&all))
        renew_or_end(partition, list_entry(all.next, struct owned, link));
}

/* The first list's is half of client.ttl, after which a tick more or less does not matter. */
static void wake_for_short_waits(struct partition *partition)
{
    for (size_t i = 1; i < RENEWAL_LISTS; i++) {
        const struct list *waiting = &partition->renewal[i];
        if (!list_is_empty(waiting))
            map_tick_at(partition->map, list_entry(waiting->next, struct owned, link)->renew_at);
    }
}

void owned_renew_due(struct partition *partition, uint64_t now_ms)
{
    int64_t ttl = partition->map->settings->client_ttl;
    if (has_clock_jumped(partition) || partition->renewal_ttl != ttl) {
        partition->renewal_ttl = ttl;
        renew_all(partition);
    }
    for (size_t i = 0; i < RENEWAL_LISTS; i++) {
        struct list *waiting = &partition->renewal[i];
        while (!list_is_empty(waiting)) {
            struct owned *owned = list_entry(waiting->next, struct owned, link);
            if (owned->renew_at > now_ms + RENEWAL_TOGETHER_MS)
                break;
            renew_or_end(partition, owned);
        }
    }
    wake_for_short_waits(partition);
}
