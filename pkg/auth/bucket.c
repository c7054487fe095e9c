/*
 * bucket: tokens are counted in thousandths, and a bucket is filled when it is used.
 *
 * filled_us advances by exactly the time that the added thousandths took, rounded up, so that
 * frequent calls gain or lose at most a microsecond each.
 */
#include "auth/bucket.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/list.h"
#include "base/mem.h"

#define BURST_MAX 4000000u

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

static uint32_t limit_milli(uint32_t burst)
{
    /* A bucket of size 0 would refuse everything at any rate. */
    return (burst < 1 ? 1 : burst > BURST_MAX ? BURST_MAX : burst) * 1000;
}

static uint64_t divide_up(uint64_t a, uint64_t b)
{
    return (a + b - 1) / b;
}

static void fill_bucket(struct bucket *bucket, uint32_t rate, uint32_t burst, uint64_t now_us)
{
    uint32_t full = limit_milli(burst);
    uint64_t elapsed_us, added;

    if (bucket->filled_us == 0 || bucket->milli_left > full) {
        bucket->milli_left = full;
        bucket->filled_us = now_us == 0 ? 1 : now_us;
        return;
    }
    if (now_us <= bucket->filled_us) {
        return;
    }
    elapsed_us = now_us - bucket->filled_us;
    if (elapsed_us >= divide_up((uint64_t)full * 1000, rate)) {
        bucket->milli_left = full;
        bucket->filled_us = now_us;
        return;
    }
    added = elapsed_us * rate / 1000;
    bucket->filled_us += divide_up(added * 1000, rate);
    bucket->milli_left =
        added > full - bucket->milli_left ? full : bucket->milli_left + (uint32_t)added;
}

bool bucket_take(struct bucket *bucket, uint32_t rate, uint32_t burst, uint64_t now_us)
{
    if (rate == 0) {
        return true;
    }
    fill_bucket(bucket, rate, burst, now_us);
    if (bucket->milli_left < 1000) {
        return false;
    }
    bucket->milli_left -= 1000;
    return true;
}

uint64_t bucket_wait_ms(const struct bucket *bucket, uint32_t rate, uint32_t burst, uint64_t now_us)
{
    struct bucket filled = *bucket;
    uint64_t ready_us;

    if (rate == 0) {
        return 0;
    }
    fill_bucket(&filled, rate, burst, now_us);
    if (filled.milli_left >= 1000) {
        return 0;
    }
    ready_us = filled.filled_us + divide_up((uint64_t)(1000 - filled.milli_left) * 1000, rate);
    return divide_up(ready_us - now_us, 1000);
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
