/* penalty: see penalty.h. */
#include "auth/penalty.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/list.h"
#include "base/mem.h"

struct penalty_key {
    uint8_t family;
    uint8_t ip[8];
};

struct penalty_entry {
    UT_hash_handle hh;
    struct list used; /* in the order of use, the most recent last */
    uint64_t free_ms; /* when the next attempt may be checked */
    uint64_t bad_ms;  /* the last bad password */
    unsigned bad;     /* how many there were */
    struct penalty_key key;
};

struct penalty_table {
    struct penalty_entry *entries;
    struct list used;
    size_t capacity;
};

struct penalty_table *penalty_table_create(size_t capacity)
{
    struct penalty_table *table = mem_zalloc(1, sizeof *table);

    table->capacity = capacity == 0 ? 1 : capacity;
    list_init(&table->used);
    return table;
}

static void forget_penalty(struct penalty_table *table, struct penalty_entry *entry)
{
    HASH_DEL(table->entries, entry);
    list_remove(&entry->used);
    free(entry);
}

void penalty_table_destroy(struct penalty_table **table)
{
    if (!*table) {
        return;
    }
    while ((*table)->entries) {
        forget_penalty(*table, (*table)->entries);
    }
    free(*table);
    *table = NULL;
}

static struct penalty_key make_penalty_key(const struct address *address)
{
    struct penalty_key key;

    memset(&key, 0, sizeof key); /* compared whole */
    key.family = address->family;
    if (address->family == ADDRESS_IPV4) {
        memcpy(key.ip, address->ip, 4);
    } else if (address->family == ADDRESS_IPV6) {
        memcpy(key.ip, address->ip, sizeof key.ip);
    }
    return key;
}

static struct penalty_entry *find_penalty(struct penalty_table *table,
                                          const struct address *address)
{
    const struct penalty_key key = make_penalty_key(address);
    struct penalty_entry *entry = NULL;

    HASH_FIND(hh, table->entries, &key, sizeof key, entry);
    return entry;
}

static struct penalty_entry *add_penalty(struct penalty_table *table, const struct address *address)
{
    struct penalty_entry *entry;

    if (table->entries && HASH_COUNT(table->entries) >= table->capacity) {
        forget_penalty(table, list_entry(table->used.next, struct penalty_entry, used));
    }
    entry = mem_zalloc(1, sizeof *entry);
    entry->key = make_penalty_key(address);
    list_init(&entry->used);
    HASH_ADD(hh, table->entries, key, sizeof entry->key, entry);
    return entry;
}

static uint64_t penalty_delay_ms(const struct penalty_rules *rules, unsigned bad)
{
    uint64_t ms = rules->first_ms;

    if (bad == 0) {
        return 0;
    }
    for (unsigned i = 1; i < bad && ms < rules->longest_ms; i++) {
        ms *= 2;
    }
    return ms < rules->longest_ms ? ms : rules->longest_ms;
}

uint64_t penalty_take(struct penalty_table *table, const struct address *address,
                      const struct penalty_rules *rules, uint64_t now_ms)
{
    struct penalty_entry *entry = find_penalty(table, address);
    uint64_t at;

    if (!entry) {
        return 0;
    }
    list_remove(&entry->used);
    list_append(&table->used, &entry->used);
    if (now_ms - entry->bad_ms >= rules->memory_ms && entry->free_ms <= now_ms) {
        forget_penalty(table, entry);
        return 0;
    }
    at = entry->free_ms > now_ms ? entry->free_ms : now_ms;
    if (at - now_ms <= rules->longest_ms) {
        entry->free_ms = at + penalty_delay_ms(rules, entry->bad);
    }
    return at - now_ms;
}

void penalty_add(struct penalty_table *table, const struct address *address,
                 const struct penalty_rules *rules, uint64_t now_ms)
{
    struct penalty_entry *entry = find_penalty(table, address);
    uint64_t at;

    if (rules->first_ms == 0) {
        return;
    }
    if (!entry) {
        entry = add_penalty(table, address);
    }
    list_remove(&entry->used);
    list_append(&table->used, &entry->used);
    entry->bad++;
    entry->bad_ms = now_ms;
    at = now_ms + penalty_delay_ms(rules, entry->bad);
    if (entry->free_ms < at) {
        entry->free_ms = at;
    }
}

void penalty_forgive(struct penalty_table *table, const struct address *address)
{
    struct penalty_entry *entry = find_penalty(table, address);

    if (entry) {
        forget_penalty(table, entry);
    }
}

size_t penalty_count(const struct penalty_table *table)
{
    return HASH_COUNT(table->entries);
}
