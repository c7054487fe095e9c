/*
 * prefix_output: how much is sent to each network, an IPv4 /24 or an IPv6 /48.
 *
 * Whoever forges a third party's address in a query makes the master send a list there, and no
 * client answers a challenge to its query first. So what one network gets is limited, whoever asked
 * for it and with however many of its addresses.
 *
 * The table has a fixed size, and forgets nothing: a network has one cell in each of several rows,
 * by a keyed hash, and other networks may have the same. A cell is the time at which all that was
 * sent to its networks is paid for (GCRA). The least of a network's cells counts, which is never
 * less than what it owes itself, so a flood from forged addresses does not free it; a network that
 * owes little is refused only when others of the few that owe much share all of its cells.
 */
#ifndef PROTOCOL_Q3MASTER_PREFIX_OUTPUT_PRIVATE_H
#define PROTOCOL_Q3MASTER_PREFIX_OUTPUT_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"

#define PREFIX_OUTPUT_ROWS  4
#define PREFIX_OUTPUT_CELLS 4096 /* of a row; a power of two */

/* Zero-initialised nothing has been sent. */
struct prefix_output {
    uint64_t due_us[PREFIX_OUTPUT_ROWS][PREFIX_OUTPUT_CELLS];
};

struct prefix_limit {
    int64_t rate;  /* bytes a second; 0: no limit */
    int64_t burst; /* bytes at once, after an idle time */
};

/* Whether bytes may be sent to the network of the address now, which is charged for them then. More
 * than a burst may while the network owes nothing. */
bool prefix_output_take(struct prefix_output *output, const struct address *peer, size_t bytes,
                        struct prefix_limit limit, uint64_t now_us);

#endif
