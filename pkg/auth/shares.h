/*
 * shares: which member to evict when a table of limited size is full, so that no network takes all
 * of its places.
 *
 * Members are counted by nested prefixes of their addresses: IPv4 /16, /24 and the address, IPv6
 * /32, /48 and /64. A newcomer takes a place from the prefix that has the most, provided its own
 * prefix then still has fewer; the same applies within a prefix. Of prefixes with as many it is the
 * one that was the last to get a member, so that members remain that have been there longest.
 */
#ifndef AUTH_SHARES_H
#define AUTH_SHARES_H

#include <stddef.h>

#include "base/address.h"
#include "base/list.h"

struct shares_prefix;

/* One member; embedded in the caller's struct. Zero-initialised it is in no shares. */
struct share {
    struct list link; /* the members of its last prefix, in the order in which they were added */
    struct shares_prefix *prefix; /* NULL: in no shares */
};

/* Zero-initialised it is empty; needs no clean-up once all members have been removed. */
struct shares {
    struct shares_prefix *all;  /* by prefix */
    struct shares_prefix *root; /* contains all prefixes; NULL while empty */
};

/* The member must be in no shares. Addresses of other families than IPv4 and IPv6 share one
 * prefix. */
void shares_add(struct shares *shares, struct share *share, const struct address *address);
/* Does nothing for a member that is in no shares. */
void shares_remove(struct shares *shares, struct share *share);
/* The members (struct share) of the prefix that must give up a place to a newcomer; never empty.
 * NULL: no prefix has more than the newcomer's. */
struct list *shares_find_victim(const struct shares *shares, const struct address *newcomer);

#endif
