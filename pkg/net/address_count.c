/* address_count: a hash table of the addresses that have connections, without their ports. IPv6
 * counts by /64, as one peer has all addresses in it. */
#include "net/net_private.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"

struct address_count_key {
    uint8_t family;
    uint8_t ip[8]; /* unused bytes are zero */
};

struct address_count {
    struct address_count_key key;
    uint32_t connections;
    UT_hash_handle hh;
};

static struct address_count_key make_address_count_key(const struct address *address)
{
    struct address_count_key key = {.family = address->family};
    memcpy(key.ip, address->ip, address->family == ADDRESS_IPV4 ? 4 : sizeof key.ip);
    return key;
}

struct address_count *address_count_add(struct address_count **table, const struct address *address,
                                        int64_t limit)
{
    struct address_count_key key = make_address_count_key(address);
    unsigned hash;
    struct address_count *count;
    HASH_VALUE(&key, sizeof key, hash);
    HASH_FIND_BYHASHVALUE(hh, *table, &key, sizeof key, hash, count);
    if (!count) {
        count = mem_zalloc(1, sizeof *count);
        count->key = key;
        HASH_ADD_BYHASHVALUE(hh, *table, key, sizeof key, hash, count);
    }
    if (limit > 0 && count->connections >= (uint64_t)limit) {
        return NULL;
    }
    count->connections++;
    return count;
}

void address_count_remove(struct address_count **table, struct address_count *count)
{
    if (--count->connections > 0) {
        return;
    }
    HASH_DEL(*table, count);
    free(count);
}
