/*
 * renewal: the keys of owned entries are renewed while their connections are active.
 *
 * A key outlives the idle time that ends its connection by a little, so that it is in Redis as long
 * as the connection is. A session that has been idle for client.ttl ends.
 */
#include "map/renewal_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/mem.h"
#include "loop/loop.h"
#include "map/map_private.h"
#include "map/owned_private.h"
#include "map/partition_private.h"
#include "map/session.h"
#include "map/session_private.h"
#include "redis/redis.h"
#include "schema/keys.h"

/* By how much a key outlives the idle time that ends its connection: a part of client.ttl, within
 * these bounds. */
#define SPARE_PART   4
#define SPARE_MIN_MS 500
#define SPARE_MAX_MS 2000
/* No renewal is due sooner than that. What is due so soon is renewed together, so that the ticks
 * for it are no closer. */
#define WAIT_MIN_MS 20
#define TOGETHER_MS 10
/* When the key has expired already, the next attempt is not urgent. */
#define WAIT_LATE_MS 250
/* Of client.ttl: a jump of Redis's clock after which all keys are renewed. */
#define CLOCK_PART 8
/* How many are renewed in an iteration at least, and until the clock is read again. */
#define RENEW_CHECK 32

void renewal_init(struct renewals *renewals)
{
    list_init(&renewals->all);
    for (size_t i = 0; i < RENEWAL_LISTS; i++) {
        list_init(&renewals->lists[i]);
    }
}

/* lasts_ms: how long its key remains in Redis if it is not renewed. It is due after want_ms, or
 * somewhat sooner, but not before the shortest wait: all in one list wait for the same time, so
 * that the list is in order by itself. */
static void schedule_renewal(struct partition *partition, struct owned *owned, uint64_t lasts_ms,
                             uint64_t want_ms)
{
    size_t level = 0;
    uint64_t delay = (uint64_t)partition->map->settings->client_ttl / 2;
    for (; delay > want_ms && delay / 2 >= WAIT_MIN_MS && level + 1 < RENEWAL_LISTS; level++) {
        delay /= 2;
    }
    owned->left_ms = (uint32_t)(lasts_ms > delay ? lasts_ms - delay : 0);
    owned->due_ms = loop_now_ms(partition->map->loop) + delay;
    list_remove(&owned->link);
    list_append(&partition->renewals.lists[level], &owned->link);
}

void renewal_begin(struct partition *partition, struct owned *owned)
{
    uint64_t ttl = (uint64_t)partition->map->settings->client_ttl;
    schedule_renewal(partition, owned, ttl, ttl / 2);
}

/* A renewal under way. The entry is found again by its id, as it may have ended by then. */
struct renewal {
    struct partition *partition;
    uint64_t expires_ms; /* when its key expires if this fails; the loop's clock */
    char fence[ID_FENCE_LENGTH + 1];
    uint8_t id_len;
    char id[];
};

/* Redis refused it, or it was lost with the link: again within a quarter of what is left, or the
 * shortest wait. After a new link all entries are compared anyway, which renews them too. */
static void renew_again(struct partition *partition, struct owned *owned, uint64_t expires_ms)
{
    uint64_t now = loop_now_ms(partition->map->loop);
    uint64_t left = expires_ms > now ? expires_ms - now : 0;
    schedule_renewal(partition, owned, left, left ? left / 4 : WAIT_LATE_MS);
    map_tick_at(partition->map, owned->due_ms);
}

static void on_renewed(void *arg, enum redis_status status, const struct redis_reply *reply)
{
    struct renewal *renewal = arg;
    struct partition *partition = renewal->partition;
    struct owned *owned =
        owned_find(partition, (struct bytes){(uint8_t *)renewal->id, renewal->id_len});
    bool answered = status == REDIS_OK && reply->type == REDIS_INTEGER;
    if (owned && owned->phase == OWNED_CONFIRMED &&
        !strcmp(owned->session->fence, renewal->fence)) {
        if (!answered) {
            renew_again(partition, owned, renewal->expires_ms);
        } else if (reply->integer == 0) { /* the key has expired or was removed: it is restored */
            owned_unconfirm(partition, owned);
        }
    }
    free(renewal);
}

static void send_renewal(struct partition *partition, const struct owned *owned, uint64_t ttl,
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

/* The TTL for the key of a client whose connection ends after that much more idle time. */
static uint64_t ttl_for(uint64_t left, uint64_t ttl)
{
    uint64_t spare = ttl / SPARE_PART;
    if (spare < SPARE_MIN_MS) {
        spare = SPARE_MIN_MS;
    }
    if (spare > SPARE_MAX_MS) {
        spare = SPARE_MAX_MS;
    }
    return left + spare < ttl ? left + spare : ttl;
}

/* Renews the key, or ends the session. The next renewal is due when half of the key's time has
 * passed, or when the session must have been active again. */
static void renew_or_end(struct partition *partition, struct owned *owned)
{
    struct map_session *session = owned->session;
    uint64_t ttl = (uint64_t)partition->map->settings->client_ttl;
    uint64_t idle_ms = session->sink->idle_ms(session->arg);
    uint64_t left = idle_ms < ttl ? ttl - idle_ms : 0;
    if (left == 0) {
        session_close_all(session, MAP_END_SILENT); /* frees owned */
        return;
    }
    /* What is left counts from due_ms, which may be long past when the loop stalled. */
    uint64_t expires_ms = owned->due_ms + owned->left_ms, lasts = ttl_for(left, ttl);
    if (partition->state != PARTITION_READY) {
        renew_again(partition, owned, expires_ms);
        return;
    }
    schedule_renewal(partition, owned, lasts, left < lasts / 2 ? left : lasts / 2);
    send_renewal(partition, owned, lasts, expires_ms);
}

/* Whether Redis's clock has jumped ahead by a good part of client.ttl since TTLs were set: keys
 * expire at a time of that clock, and so all of them at once. What delays replies looks like a jump
 * backwards. */
static bool has_clock_jumped(struct partition *partition)
{
    int64_t clock = partition->map->clock_offset_ms;
    int64_t jumped = clock - partition->renewals.clock_ms;
    bool ahead = jumped > partition->map->settings->client_ttl / CLOCK_PART;
    if (ahead || jumped < 0) {
        partition->renewals.clock_ms = clock;
    }
    return ahead;
}

void renewal_take_all(struct partition *partition, struct list *to)
{
    list_move_all(&partition->renewals.all, to);
    for (size_t i = 0; i < RENEWAL_LISTS; i++) {
        list_move_all(&partition->renewals.lists[i], to);
    }
}

/* client.ttl has changed (the lists are in order for one value only), or all keys expire sooner
 * than is known here: all are renewed, and what has expired already is restored. */
static void renew_all(struct partition *partition)
{
    for (size_t i = 0; i < RENEWAL_LISTS; i++) {
        list_move_all(&partition->renewals.lists[i], &partition->renewals.all);
    }
}

/* Renews those of the list that are due, from its beginning. False: the iteration has no time left
 * for the rest, and the next one follows at once. */
static bool renew_due(struct partition *partition, struct list *waiting, uint64_t due_ms)
{
    for (size_t renewed = 1; !list_is_empty(waiting); renewed++) {
        struct owned *owned = list_entry(waiting->next, struct owned, link);
        partition->renewals.visits++;
        if (owned->due_ms > due_ms) {
            break;
        }
        if (renewed % RENEW_CHECK == 0 && loop_share_is_used(partition->map->loop)) {
            map_tick_at(partition->map, loop_now_ms(partition->map->loop));
            return false;
        }
        renew_or_end(partition, owned);
    }
    return true;
}

/* In the first list they wait for half of client.ttl: there a tick more or less does not matter. */
static void wake_for_short_waits(struct partition *partition)
{
    for (size_t i = 1; i < RENEWAL_LISTS; i++) {
        const struct list *waiting = &partition->renewals.lists[i];
        if (!list_is_empty(waiting)) {
            map_tick_at(partition->map, list_entry(waiting->next, struct owned, link)->due_ms);
        }
    }
}

void renewal_tick(struct partition *partition, uint64_t now_ms)
{
    int64_t ttl = partition->map->settings->client_ttl;
    if (has_clock_jumped(partition) || partition->renewals.ttl != ttl) {
        partition->renewals.ttl = ttl;
        renew_all(partition);
    }
    if (!renew_due(partition, &partition->renewals.all, UINT64_MAX)) {
        return;
    }
    for (size_t i = 0; i < RENEWAL_LISTS; i++) {
        if (!renew_due(partition, &partition->renewals.lists[i], now_ms + TOGETHER_MS)) {
            return;
        }
    }
    wake_for_short_waits(partition);
}
