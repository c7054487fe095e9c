/* budget: a hash table of accounts; those that are only kept because they owe are in a list. */
#include "budget/budget.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "budget/bucket.h"
#include "metrics/metrics.h"

/* Of the accounts that owe no more, how many are freed at each release. */
#define FREED_PER_RELEASE 2
#define NETWORK_BYTES     6 /* of an IPv6 address: /48 */
/* Who is charged no more a second, and no more at once, causes little. */
#define LITTLE_RATE  200
#define LITTLE_BURST 200

struct budget_key {
    uint8_t family;
    uint8_t bytes; /* of ip that count */
    uint8_t ip[8]; /* the others are zero */
};

struct budget_account {
    UT_hash_handle hh;
    struct budget_key key;
    uint32_t references;
    struct bucket bucket;
    struct bucket little;          /* of LITTLE_RATE, whether or not it is admitted */
    struct budget_account *parent; /* NULL: none; referenced */
    struct list released;          /* in budget.released while there are no references */
    struct budget_usage usage;
    struct budget *budget;
    uint64_t counts[BUDGET_COUNTERS]; /* each that is not zero is a reference */
};

struct budget {
    const struct budget_settings *settings;
    struct budget_account *accounts;
    struct list released; /* the least recently released first */
    uint64_t released_count;
};

static const struct budget_settings no_limits = {
    .burst = 1, .address_burst = 1, .network_burst = 1};

struct budget *budget_create(const struct budget_settings *settings)
{
    struct budget *budget = mem_zalloc(1, sizeof *budget);
    list_init(&budget->released);
    budget_set(budget, settings);
    return budget;
}

void budget_set(struct budget *budget, const struct budget_settings *settings)
{
    budget->settings = settings ? settings : &no_limits;
}

const struct budget_settings *budget_settings_of(const struct budget *budget)
{
    return budget->settings;
}

uint64_t budget_account_count(const struct budget *budget)
{
    return HASH_COUNT(budget->accounts);
}

static struct budget_key make_budget_key(const struct address *address, uint8_t bytes)
{
    struct budget_key key;
    memset(&key, 0, sizeof key); /* compared whole */
    key.family = address->family;
    key.bytes = bytes;
    memcpy(key.ip, address->ip, bytes);
    return key;
}

static uint8_t bytes_of_family(uint8_t family)
{
    return family == ADDRESS_IPV4 ? 4 : family == ADDRESS_IPV6 ? 8 : 0;
}

static bool is_network(const struct budget_account *account)
{
    return account->key.bytes == NETWORK_BYTES;
}

static uint32_t rate_of_account(const struct budget *budget, const struct budget_account *account)
{
    return (uint32_t)(is_network(account) ? budget->settings->network_rate
                                          : budget->settings->address_rate);
}

static uint32_t burst_of_account(const struct budget *budget, const struct budget_account *account)
{
    return (uint32_t)(is_network(account) ? budget->settings->network_burst
                                          : budget->settings->address_burst);
}

static struct budget_account *find_or_add_account(struct budget *budget,
                                                  const struct budget_key *key)
{
    struct budget_account *account;
    unsigned hash;
    HASH_VALUE(key, sizeof *key, hash);
    HASH_FIND_BYHASHVALUE(hh, budget->accounts, key, sizeof *key, hash, account);
    if (account) {
        return account;
    }
    account = mem_zalloc(1, sizeof *account);
    account->key = *key;
    account->budget = budget;
    list_init(&account->released);
    list_init(&account->usage.waiting);
    list_init(&account->usage.node);
    HASH_ADD_BYHASHVALUE(hh, budget->accounts, key, sizeof account->key, hash, account);
    metrics_add(METRIC_BUDGET_ACCOUNTS, 1);
    return account;
}

static void reference_account(struct budget *budget, struct budget_account *account)
{
    if (account->references++ == 0 && !list_is_empty(&account->released)) {
        list_remove(&account->released);
        budget->released_count--;
    }
}

static void free_account(struct budget *budget, struct budget_account *account)
{
    if (!list_is_empty(&account->released)) {
        list_remove(&account->released);
        budget->released_count--;
    }
    assert(budget->accounts); /* the account is in it */
    HASH_DEL(budget->accounts, account);
    free(account);
    metrics_add(METRIC_BUDGET_ACCOUNTS, -1);
}

struct budget_account *budget_account_acquire(struct budget *budget, const struct address *address,
                                              uint64_t now_us)
{
    struct budget_key key = make_budget_key(address, bytes_of_family(address->family));
    struct budget_account *account = find_or_add_account(budget, &key);
    if (address->family == ADDRESS_IPV6 && !account->parent) {
        key = make_budget_key(address, NETWORK_BYTES);
        account->parent = find_or_add_account(budget, &key);
        reference_account(budget, account->parent);
    }
    reference_account(budget, account);
    return account;
}

static struct budget_account *first_released(const struct budget *budget)
{
    return list_is_empty(&budget->released)
               ? NULL
               : list_entry(budget->released.next, struct budget_account, released);
}

static void release_account(struct budget *budget, struct budget_account *account);

static void forget_account(struct budget *budget, struct budget_account *account)
{
    struct budget_account *parent = account->parent;
    free_account(budget, account);
    if (parent) {
        release_account(budget, parent);
    }
}

/* Not more than there may be, and a few of those that owe no more. */
static void forget_released(struct budget *budget, uint64_t now_us)
{
    struct budget_account *account;
    for (int i = 0; i < FREED_PER_RELEASE && (account = first_released(budget)); i++) {
        if (budget->released_count <= (uint64_t)budget->settings->addresses &&
            bucket_owes(&account->bucket, now_us)) {
            break;
        }
        forget_account(budget, account);
    }
}

/* The last reference to one that has outlived its budget. */
static void free_outliving(struct budget_account *account)
{
    if (account->parent) {
        release_account(NULL, account->parent);
    }
    free(account);
}

/* budget: NULL: it has been destroyed. */
static void release_account(struct budget *budget, struct budget_account *account)
{
    assert(account->references > 0);
    if (--account->references > 0) {
        return;
    }
    if (!budget) {
        free_outliving(account);
        return;
    }
    list_append(&budget->released, &account->released);
    budget->released_count++;
}

void budget_account_release(struct budget *budget, struct budget_account *account, uint64_t now_us)
{
    release_account(budget, account);
    if (account->references == 0 && !bucket_owes(&account->bucket, now_us)) {
        forget_account(budget, account);
    }
    forget_released(budget, now_us);
}

void budget_destroy(struct budget **pointer)
{
    struct budget *budget = *pointer;
    struct budget_account *account, *next;
    *pointer = NULL;
    if (!budget) {
        return;
    }
    while ((account = first_released(budget))) {
        forget_account(budget, account);
    }
    HASH_ITER (hh, budget->accounts, account, next) {
        HASH_DEL(budget->accounts, account);
        account->budget = NULL;
        metrics_add(METRIC_BUDGET_ACCOUNTS, -1);
    }
    free(budget);
}

void budget_account_charge(struct budget *budget, struct budget_account *account, uint32_t units,
                           uint64_t now_us)
{
    for (; account; account = account->parent) {
        const uint32_t rate = rate_of_account(budget, account);
        bucket_charge(&account->bucket, rate, units, now_us);
        bucket_forgive(&account->bucket, rate, burst_of_account(budget, account),
                       BUDGET_WAIT_MAX_US, now_us);
        if (rate > 0) {
            bucket_charge(&account->little, LITTLE_RATE, units, now_us);
            bucket_forgive(&account->little, LITTLE_RATE, LITTLE_BURST, BUDGET_WAIT_MAX_US, now_us);
        }
    }
}

uint64_t budget_account_wait_us(const struct budget *budget, const struct budget_account *account,
                                uint64_t now_us, bool *by_network)
{
    uint64_t longest_us = 0;
    for (; account; account = account->parent) {
        uint64_t wait_us = bucket_wait_us(&account->bucket, rate_of_account(budget, account),
                                          burst_of_account(budget, account), now_us);
        if (wait_us > longest_us) {
            longest_us = wait_us;
            if (by_network) {
                *by_network = is_network(account);
            }
        }
    }
    return longest_us;
}

bool budget_account_owes(const struct budget_account *account, uint64_t now_us)
{
    while (account && !bucket_owes(&account->bucket, now_us)) {
        account = account->parent;
    }
    return account != NULL;
}

bool budget_account_causes_little(const struct budget_account *account, uint64_t now_us)
{
    while (account && (!bucket_owes(&account->little, now_us) ||
                       bucket_wait_us(&account->little, LITTLE_RATE, LITTLE_BURST, now_us) == 0)) {
        account = account->parent;
    }
    return !account;
}

struct budget_usage *budget_account_usage(struct budget_account *account)
{
    return &account->usage;
}

struct budget_account *budget_account_of(struct budget_usage *usage)
{
    return list_entry(usage, struct budget_account, usage);
}

void budget_account_add(struct budget_account *account, enum budget_counter counter,
                        uint64_t amount)
{
    for (; account && amount > 0; account = account->parent) {
        if (account->counts[counter] == 0) {
            reference_account(account->budget, account);
        }
        account->counts[counter] += amount;
    }
}

void budget_account_subtract(struct budget_account *account, enum budget_counter counter,
                             uint64_t amount)
{
    struct budget_account *parent;
    for (; account && amount > 0; account = parent) {
        parent = account->parent; /* the account may be freed */
        assert(account->counts[counter] >= amount);
        account->counts[counter] -= amount;
        if (account->counts[counter] == 0) {
            release_account(account->budget, account);
        }
    }
}

bool budget_account_exceeds_share(const struct budget_account *account, enum budget_counter counter,
                                  uint64_t amount, uint64_t total, uint64_t most)
{
    const uint64_t unused = most > total ? most - total : 0;
    while (account &&
           (account->counts[counter] == 0 || account->counts[counter] + amount <= unused)) {
        account = account->parent;
    }
    return account != NULL;
}

uint32_t budget_max_charge(const struct budget *budget, bool has_account)
{
    const struct budget_settings *settings = budget->settings;
    int64_t rate = settings->rate;
    if (has_account && settings->address_rate > 0 && (rate == 0 || settings->address_rate < rate)) {
        rate = settings->address_rate;
    }
    return rate == 0 ? UINT32_MAX : (uint32_t)((uint64_t)rate * BUDGET_WAIT_MAX_US / 1000000);
}
