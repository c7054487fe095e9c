/* renewal_private: the keys of owned entries are renewed while their connections are active. */
#ifndef MAP_RENEWAL_PRIVATE_H
#define MAP_RENEWAL_PRIVATE_H

#include <stdint.h>

#include "base/list.h"

struct owned;
struct partition;

#define RENEWAL_LISTS 22 /* the longest client.ttl is halved so often until 20 ms are left */

struct renewals {
    /* struct owned, each list by due_ms: in the n-th they wait client.ttl / 2^(n + 1). */
    struct list lists[RENEWAL_LISTS];
    struct list all;  /* all that were in these lists, when all have to be renewed */
    int64_t ttl;      /* the client.ttl of these lists */
    int64_t clock_ms; /* how far Redis's clock was ahead when these TTLs were set, or less */
    uint64_t visits;  /* of entries, to find what is due: what all the renewals have cost so far */
};

void renewal_init(struct renewals *renewals);
/* The key has just been given the whole of client.ttl. */
void renewal_begin(struct partition *partition, struct owned *owned);
/* Moves all that wait for their renewal to another list. */
void renewal_take_all(struct partition *partition, struct list *to);
/* Renews what is due, and ends what has been idle for too long; as far as the event-loop iteration
 * has no time left for it, in the next ones. */
void renewal_tick(struct partition *partition, uint64_t now_ms);

#endif
