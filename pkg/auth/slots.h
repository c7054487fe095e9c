/*
 * slots: limits on the connections of a kind, in total and per address, so that no kind and no
 * address can starve others.
 *
 * IPv4 addresses count whole, IPv6 by their /64, as one site has all addresses in it. Unix sockets
 * count in the total only.
 */
#ifndef AUTH_SLOTS_H
#define AUTH_SLOTS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/address.h"

enum slots_result { SLOTS_TAKEN, SLOTS_FULL, SLOTS_ADDRESS_FULL };

/* Zero-initialised it is empty; needs no clean-up once all slots have been released. */
struct slots {
    struct slots_address *addresses;
    size_t taken;
};

/* most: slots in total; most_per_address: 0 is no limit. A slot is taken only with SLOTS_TAKEN. */
enum slots_result slots_take(struct slots *slots, const struct address *address, size_t most,
                             size_t most_per_address) __attribute__((warn_unused_result));
/* address: that with which it was taken. */
void slots_release(struct slots *slots, const struct address *address);
size_t slots_of_address(const struct slots *slots, const struct address *address);

#endif
