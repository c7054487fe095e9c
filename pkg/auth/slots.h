/*
 * slots: how many connections of a kind there are, in all and from each address, so that no kind
 * and no address can take what others need.
 *
 * IPv4 addresses count whole, IPv6 by their /64, as one site has all addresses in it. Unix sockets
 * count in all only.
 */
#ifndef AUTH_SLOTS_H
#define AUTH_SLOTS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/address.h"

enum slots_result { SLOTS_TAKEN, SLOTS_FULL, SLOTS_ADDRESS_FULL };

/* Zero-initialised it is empty, and needs no end once all has been given back. */
struct slots {
    struct slots_address *addresses;
    size_t taken;
};

/* most: slots in all; most_per_address: 0 is no limit. Nothing is taken but with SLOTS_TAKEN. */
enum slots_result slots_take(struct slots *slots, const struct address *address, size_t most,
                             size_t most_per_address) __attribute__((warn_unused_result));
/* The address with which it was taken. */
void slots_give_back(struct slots *slots, const struct address *address);
size_t slots_of_address(const struct slots *slots, const struct address *address);

#endif
