/*
 * shares: who is to give way when a table of limited size is full, so that no network takes all of
 * its places.
 *
 * Members are counted by prefixes of their addresses in one another: IPv4 /16, /24 and the address,
 * IPv6 /32, /48 and /64. A newcomer takes a place from the prefix that holds most, as long as its
 * own holds less even then; within one prefix its parts share alike.
 */
#ifndef AUTH_SHARES_H
#define AUTH_SHARES_H

#include <stddef.h>

#include "base/address.h"
#include "base/list.h"

struct shares_prefix;

/* One member; part of what the caller keeps of it. Zero-initialised it is in no shares. */
struct share {
    struct list link; /* the members of its last prefix, in the order in which they were added */
    struct shares_prefix *prefix; /* NULL: in no shares */
};

/* Zero-initialised it is empty, and needs no end once all members have been removed. */
struct shares {
    struct shares_prefix *all;  /* by prefix */
    struct shares_prefix *root; /* what all prefixes lie in; NULL while empty */
};

/* The member must be in no shares. Addresses of other families than IPv4 and IPv6 share one
 * prefix. */
void shares_add(struct shares *shares, struct share *share, const struct address *address);
/* Harmless for one that is in none. */
void shares_remove(struct shares *shares, struct share *share);
/* The members (struct share) of the prefix one of which is to give way to a newcomer; never empty.
 * NULL: the newcomer's own prefixes hold as much as any. */
struct list *shares_give_way(const struct shares *shares, const struct address *newcomer);

#endif
