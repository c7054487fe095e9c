/*
 * bucket: the time is kept in nanoseconds, so that the highest rates have whole shares. A share is
 * rounded up: no rate is ever exceeded.
 */
#include "budget/bucket.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/list.h"
#include "base/mem.h"

#define BURST_MAX 4000000u
#define SECOND_NS UINT64_C(1000000000)

struct bucket_key {
    uint8_t family;
    uint8_t ip[8];
};

struct bucket_entry {
    UT_hash_handle hh;
    struct list used; /* the most recently used last */
    struct bucket bucket;
    struct bucket_key key;
};

struct bucket_table {
    struct bucket_entry *entries;
    struct list used;
    size_t capacity;
};

static uint64_t divide_up(uint64_t a, uint64_t b)
{
    return (a + b - 1) / b;
}

/* How far ahead the time may be when a token is taken. */
static uint64_t bucket_allowance_ns(uint32_t rate, uint32_t burst)
{
    /* A burst of 0 would refuse everything at any rate. */
    uint64_t tokens = burst < 1 ? 1 : burst > BURST_MAX ? BURST_MAX : burst;
    return (tokens - 1) * divide_up(SECOND_NS, rate);
}

static bool bucket_has_token(const struct bucket *bucket, uint32_t rate, uint32_t burst,
                             uint64_t now_us)
{
    return rate == 0 || bucket->due_ns <= now_us * 1000 + bucket_allowance_ns(rate, burst);
}

void bucket_charge(struct bucket *bucket, uint32_t rate, uint64_t tokens, uint64_t now_us)
{
    if (rate == 0) {
        return;
    }
    if (bucket->due_ns < now_us * 1000) {
        bucket->due_ns = now_us * 1000;
    }
    bucket->due_ns += tokens * divide_up(SECOND_NS, rate);
}

bool bucket_take(struct bucket *bucket, uint32_t rate, uint32_t burst, uint64_t now_us)
{
    if (!bucket_has_token(bucket, rate, burst, now_us)) {
        return false;
    }
    bucket_charge(bucket, rate, 1, now_us);
    return true;
}

void bucket_forgive(struct bucket *bucket, uint32_t rate, uint32_t burst, uint64_t wait_us,
                    uint64_t now_us)
{
    uint64_t most_ns;
    if (rate == 0) {
        return;
    }
    most_ns = (now_us + wait_us) * 1000 + bucket_allowance_ns(rate, burst);
    if (bucket->due_ns > most_ns) {
        bucket->due_ns = most_ns;
    }
}

uint64_t bucket_wait_us(const struct bucket *bucket, uint32_t rate, uint32_t burst, uint64_t now_us)
{
    if (bucket_has_token(bucket, rate, burst, now_us)) {
        return 0;
    }
    return divide_up(bucket->due_ns - bucket_allowance_ns(rate, burst) - now_us * 1000, 1000);
}

uint64_t bucket_wait_ms(const struct bucket *bucket, uint32_t rate, uint32_t burst, uint64_t now_us)
{
    return divide_up(bucket_wait_us(bucket, rate, burst, now_us), 1000);
}

bool bucket_owes(const struct bucket *bucket, uint64_t now_us)
{
    return bucket->due_ns > now_us * 1000;
}

struct bucket_table *bucket_table_create(size_t capacity)
{
    struct bucket_table *table = mem_zalloc(1, sizeof *table);

    table->capacity = capacity == 0 ? 1 : capacity;
    list_init(&table->used);
    return table;
}

static void forget_bucket(struct bucket_table *table, struct bucket_entry *entry)
{
    HASH_DEL(table->entries, entry);
    list_remove(&entry->used);
    free(entry);
}

void bucket_table_destroy(struct bucket_table **table)
{
    if (!*table) {
        return;
    }
    LIST_FOREACH (node, &(*table)->used) {
        forget_bucket(*table, list_entry(node, struct bucket_entry, used));
    }
    free(*table);
    *table = NULL;
}

static struct bucket_key make_bucket_key(const struct address *address)
{
    struct bucket_key key;

    memset(&key, 0, sizeof key); /* compared whole */
    key.family = address->family;
    if (address->family == ADDRESS_IPV4) {
        memcpy(key.ip, address->ip, 4);
    } else if (address->family == ADDRESS_IPV6) {
        memcpy(key.ip, address->ip, 8); /* a /64: one site has all addresses in it */
    }
    return key;
}

static struct bucket_entry *find_or_add_bucket(struct bucket_table *table,
                                               const struct bucket_key *key)
{
    struct bucket_entry *entry;

    HASH_FIND(hh, table->entries, key, sizeof *key, entry);
    if (entry) {
        return entry;
    }
    if (HASH_COUNT(table->entries) >= table->capacity) {
        forget_bucket(table, list_entry(table->used.next, struct bucket_entry, used));
    }
    entry = mem_zalloc(1, sizeof *entry);
    entry->key = *key;
    list_init(&entry->used);
    HASH_ADD(hh, table->entries, key, sizeof entry->key, entry);
    return entry;
}

bool bucket_table_take(struct bucket_table *table, const struct address *address, uint32_t rate,
                       uint32_t burst, uint64_t now_us)
{
    struct bucket_key key = make_bucket_key(address);
    struct bucket_entry *entry;

    if (rate == 0) {
        return true;
    }
    entry = find_or_add_bucket(table, &key);
    list_remove(&entry->used);
    list_append(&table->used, &entry->used);
    return bucket_take(&entry->bucket, rate, burst, now_us);
}

size_t bucket_table_count(const struct bucket_table *table)
{
    return HASH_COUNT(table->entries);
}
