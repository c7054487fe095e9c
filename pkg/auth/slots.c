/* slots: see slots.h. */
#include "auth/slots.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"

struct slots_key {
    uint8_t family;
    uint8_t ip[8];
};

struct slots_address {
    UT_hash_handle hh;
    size_t taken;
    struct slots_key key;
};

static struct slots_key make_slots_key(const struct address *address)
{
    struct slots_key key;

    memset(&key, 0, sizeof key); /* compared whole */
    key.family = address->family;
    memcpy(key.ip, address->ip, address->family == ADDRESS_IPV4 ? 4 : sizeof key.ip);
    return key;
}

static bool is_counted_address(const struct address *address)
{
    return address->family == ADDRESS_IPV4 || address->family == ADDRESS_IPV6;
}

static struct slots_address *find_slots_address(const struct slots *slots,
                                                const struct address *address)
{
    const struct slots_key key = make_slots_key(address);
    struct slots_address *found = NULL;

    HASH_FIND(hh, slots->addresses, &key, sizeof key, found);
    return found;
}

static struct slots_address *add_slots_address(struct slots *slots, const struct address *address)
{
    struct slots_address *added = mem_zalloc(1, sizeof *added);

    added->key = make_slots_key(address);
    HASH_ADD(hh, slots->addresses, key, sizeof added->key, added);
    return added;
}

enum slots_result slots_take(struct slots *slots, const struct address *address, size_t most,
                             size_t most_per_address)
{
    struct slots_address *of_address =
        is_counted_address(address) ? find_slots_address(slots, address) : NULL;

    if (of_address && most_per_address > 0 && of_address->taken >= most_per_address) {
        return SLOTS_ADDRESS_FULL;
    }
    if (slots->taken >= most) {
        return SLOTS_FULL;
    }
    slots->taken++;
    if (is_counted_address(address)) {
        if (!of_address) {
            of_address = add_slots_address(slots, address);
        }
        of_address->taken++;
    }
    return SLOTS_TAKEN;
}

void slots_release(struct slots *slots, const struct address *address)
{
    struct slots_address *of_address =
        is_counted_address(address) ? find_slots_address(slots, address) : NULL;

    assert(slots->taken > 0);
    slots->taken--;
    if (!of_address || --of_address->taken > 0) {
        return;
    }
    HASH_DEL(slots->addresses, of_address);
    free(of_address);
}

size_t slots_of_address(const struct slots *slots, const struct address *address)
{
    const struct slots_address *of_address =
        is_counted_address(address) ? find_slots_address(slots, address) : NULL;

    return of_address ? of_address->taken : 0;
}
