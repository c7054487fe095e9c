/*
 * q3master_reply: the master's answer with a list of servers, prepared once for many players.
 *
 * `FF FF FF FF getserversResponse` (or getserversExtResponse), then for each server `\`, 4 bytes
 * of address and 2 of port, or `/`, 16 and 2, big-endian. No packet has more than 1400 bytes. The
 * last one, and only it, ends with `\EOT` and three zeros, also when the list is empty. Source:
 * dpmaster 2.2.
 *
 * A reply is one frame: the header, all servers, all servers again, the end mark. Whichever server
 * an answer begins at, each of its packets is then at most three slices of that frame, sent
 * without being copied or composed:
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
    /* A packet that is not the last ends with a `\`. dpmaster's do not; but ioquake3 and qstat pass
     * over a server behind which nothing stands, the last of each such packet. */
    bool separated;
};

struct q3master_reply;
/* Servers with port 0, which reads like the end mark, and without an address are left out. To be
 * destroyed; what is still being sent may keep the frame by frame_ref. */
struct q3master_reply *q3master_reply_create(const struct q3master_reply_options *options,
                                             const struct address *servers, size_t count);
void q3master_reply_destroy(struct q3master_reply **reply);
/* The servers that are in it; bytes of all packets together. */
size_t q3master_reply_count(const struct q3master_reply *reply);
size_t q3master_reply_size(const struct q3master_reply *reply);
/* What the slices are of; borrowed. */
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
