/*
 * q3master_reply: the master's list of servers, encoded once for many players.
 *
 * `FF FF FF FF getserversResponse` (or getserversExtResponse), then for each server `\`, 4 bytes of
 * address and 2 of port, or `/`, 16 bytes and 2, big-endian. A packet has at most 1400 bytes. Only
 * the last one ends with `\EOT` and three zeros, also when the list is empty. Source: dpmaster 2.2.
 *
 * A reply is one frame: the header, all servers, all servers again, the end mark. So each packet is
 * at most three slices of that frame, whichever server the list begins at, and is sent without
 * copying:
 *
 *   struct q3master_walk walk = q3master_reply_walk(reply, random_below(count));
 *   struct frame_slice slices[Q3MASTER_SLICES];
 *   while ((n = q3master_reply_next(reply, &walk, slices)) > 0)
 *       send the n slices as one datagram
 */
#ifndef CODEC_Q3MASTER_REPLY_H
#define CODEC_Q3MASTER_REPLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "base/bytes.h"
#include "base/frame.h"

#define Q3MASTER_REPLY_MAX 1400 /* bytes of a packet */
#define Q3MASTER_SLICES    3

struct q3master_reply_options {
    bool extended; /* getserversExtResponse; otherwise IPv6 servers are left out */
    /* Packets other than the last one end with a `\`. dpmaster's do not; but ioquake3 and qstat
     * skip a server that nothing follows, that is the last one of each such packet. */
    bool separated;
};

struct q3master_reply;
/* Omits servers without an address, and with port 0, which reads like the end mark. The caller
 * destroys the reply; frame_ref keeps its frame while packets are still being sent. */
struct q3master_reply *q3master_reply_create(const struct q3master_reply_options *options,
                                             const struct address *servers, size_t count);
void q3master_reply_destroy(struct q3master_reply **reply);
/* The number of servers in it; the bytes of all packets together. */
size_t q3master_reply_count(const struct q3master_reply *reply);
size_t q3master_reply_size(const struct q3master_reply *reply);
/* The frame of the slices; borrowed. */
struct frame *q3master_reply_frame(const struct q3master_reply *reply);

struct q3master_walk {
    size_t at, end; /* indices of servers in the doubled list */
    bool ended;
};
/* Begins at the server with this index, modulo their number. */
struct q3master_walk q3master_reply_walk(const struct q3master_reply *reply, size_t first);
/* The slices of the next packet; 0 after the last. */
size_t q3master_reply_next(const struct q3master_reply *reply, struct q3master_walk *walk,
                           struct frame_slice slices[Q3MASTER_SLICES]);

#endif
