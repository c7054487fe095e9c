/*
 * presence_account: the memory that watched names take, here and at Redis, for each address.
 *
 * A name is paid for by one of its watchers' accounts: by that of the first, and when that leaves
 * by that of another. So the sum of all accounts is what the names take, however many watch them.
 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/share.h"
#include "metrics/metrics.h"
#include "presence/presence_private.h"

/* Measured, with what the allocator adds: the name here and at the link, without its texts. */
#define NAME_BYTES  640
#define NAME_TEXTS  3
#define WATCH_BYTES 96

struct account_key {
    uint8_t family;
    uint8_t ip[8];
};

struct presence_account {
    UT_hash_handle hh;
    struct presences *presences;
    struct account_key key;
    size_t references; /* watches, names that it pays for, and who has opened it */
    size_t bytes;
};

static size_t name_bytes(size_t name_len)
{
    return NAME_BYTES + NAME_TEXTS * name_len;
}

/* An IPv4 address, or the /64 of an IPv6 one. */
static struct account_key make_account_key(const struct address *address)
{
    struct account_key key;
    memset(&key, 0, sizeof key); /* compared whole */
    key.family = address->family;
    memcpy(key.ip, address->ip, address->family == ADDRESS_IPV4 ? 4 : sizeof key.ip);
    return key;
}

struct presence_account *presence_account_open(struct presence_set *set,
                                               const struct address *address)
{
    struct presences *presences = presences_of(map_space_map(set->space));
    struct account_key key = make_account_key(address);
    struct presence_account *account = NULL;
    if (address->family != ADDRESS_IPV4 && address->family != ADDRESS_IPV6) {
        return NULL;
    }
    HASH_FIND(hh, presences->accounts, &key, sizeof key, account);
    if (!account) {
        account = mem_zalloc(1, sizeof *account);
        account->presences = presences;
        account->key = key;
        HASH_ADD(hh, presences->accounts, key, sizeof account->key, account);
    }
    account->references++;
    return account;
}

static void release_presence_account(struct presence_account *account)
{
    if (account && --account->references == 0) {
        HASH_DEL(account->presences->accounts, account);
        free(account);
    }
}

void presence_account_close(struct presence_account **account)
{
    release_presence_account(*account);
    *account = NULL;
}

static void charge_account(struct presences *presences, struct presence_account *account,
                           size_t bytes)
{
    presences->bytes += bytes;
    metrics_add(METRIC_WATCHED_BYTES, (int64_t)bytes);
    if (account) {
        account->bytes += bytes;
        account->references++;
    }
}

static void refund_account(struct presences *presences, struct presence_account *account,
                           size_t bytes)
{
    presences->bytes -= bytes;
    metrics_add(METRIC_WATCHED_BYTES, -(int64_t)bytes);
    if (account) {
        account->bytes -= bytes;
        release_presence_account(account);
    }
}

static struct presences *presences_of_name(const struct watched_name *presence)
{
    return presences_of(map_space_map(presence->part->set->space));
}

void presence_account_watch(struct presence_watch *watch)
{
    struct watched_name *presence = watch->presence;
    struct presences *presences = presences_of_name(presence);
    charge_account(presences, watch->account, WATCH_BYTES);
    if (!presence->is_paid) {
        presence->is_paid = true;
        presence->payer = watch->account;
        charge_account(presences, presence->payer, name_bytes(presence->name_len));
    } else if (!presence->payer) {
        presence_account_pay(presence, watch->account);
    }
}

void presence_account_pay(struct watched_name *presence, struct presence_account *payer)
{
    struct presences *presences = presences_of_name(presence);
    struct presence_account *before = presence->payer;
    if (before == payer) {
        return;
    }
    presence->payer = payer;
    charge_account(presences, payer, name_bytes(presence->name_len));
    refund_account(presences, before, name_bytes(presence->name_len));
}

/* Another watcher pays for the name from now on; the last one, until it is freed. */
void presence_account_unwatch(struct presence_watch *watch, struct watched_name *presence)
{
    if (watch->account && watch->account == presence->payer) {
        LIST_FOREACH (node, &presence->watches) {
            struct presence_watch *other = list_entry(node, struct presence_watch, link);
            if (other->account) {
                presence_account_pay(presence, other->account);
                break;
            }
        }
    }
    refund_account(presences_of_name(presence), watch->account, WATCH_BYTES);
}

void presence_account_free_name(struct watched_name *presence)
{
    if (presence->is_paid) {
        refund_account(presences_of_name(presence), presence->payer,
                       name_bytes(presence->name_len));
    }
}

size_t presence_cost(const struct presence_set *set, struct bytes name)
{
    struct watched_name *presence = NULL;
    HASH_FIND(hh, set->names, name.data, name.len, presence);
    return WATCH_BYTES + (presence ? 0 : name_bytes(name.len));
}

/* A limit that is exceeded already, as it was lowered, or by names that others have left, refuses
 * what is new only. */
const char *presence_refuses(const struct presence_set *set, const struct presence_account *account,
                             size_t cost)
{
    static struct log_limit limit = {.burst = 5};
    struct map *map = map_space_map(set->space);
    const struct map_settings *settings = map_settings_of(map);
    const struct presences *presences = presences_of(map);
    if (map_is_full(map)) {
        return "the memory of Redis is nearly full";
    }
    if (account && account->bytes + cost > (uint64_t)settings->presence_max_per_address) {
        metrics_add(METRIC_WATCHES_LIMIT_ADDRESS, 1);
        return "the subscriptions of your address take as much memory as allowed";
    }
    if (presences->bytes + cost > share_of((uint64_t)settings->presence_max_total)) {
        metrics_add(METRIC_WATCHES_LIMIT_TOTAL, 1);
        log_limited(LOG_WARN, &limit, "subscriptions_refused",
                    LOG_INT("bytes", (int64_t)presences->bytes),
                    LOG_STRING("limit", "presence.max_total"));
        return "all subscriptions take as much memory as allowed";
    }
    return NULL;
}
