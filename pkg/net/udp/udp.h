/*
 * udp: a socket for datagrams on the loop: receives them in batches, and sends those of one
 * event-loop iteration in batches, from the address that the request was sent to.
 *
 * Nothing waits: a datagram that the kernel does not take (its buffer is full) is dropped and
 * counted, as the network might have dropped it. Datagrams from port 0, which cannot be answered,
 * and those over the given size are dropped and counted too.
 */
#ifndef NET_UDP_UDP_H
#define NET_UDP_UDP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "base/bytes.h"
#include "base/frame.h"
#include "config/config.h"
#include "loop/loop.h"

#define UDP_SLICES      4     /* of one datagram */
#define UDP_PAYLOAD_MAX 65507 /* bytes of one datagram */

struct udp_settings {
    int64_t receive_buffer; /* udp.receive_buffer, bytes of the kernel's; 0: its default. Above the
                               system's limit (net.core.rmem_max) only with CAP_NET_ADMIN */
    int64_t send_buffer;    /* udp.send_buffer, likewise */
    int64_t batch;          /* udp.batch, datagrams taken or sent by one system call */
    int64_t rounds;         /* udp.rounds, batches received in one event-loop iteration */
    bool reuse_port;        /* udp.reuse_port: SO_REUSEPORT */
    bool segments;          /* udp.segments: several datagrams to one peer, all of one size but the
                               last, are given to the kernel as one, if it can cut them */
};
extern const struct config_module udp_config;

struct udp;

/* Where a datagram came from, and to which of our addresses; an answer goes the same way back. */
struct udp_path {
    struct address peer;
    struct address local; /* family ADDRESS_NONE: the system chooses where to send from */
    uint32_t interface;   /* for link-local addresses; 0: the system chooses */
};

/* bytes: valid until it returns. It may destroy the socket. */
typedef void (*udp_received)(void *arg, const struct udp_path *path, struct bytes bytes);

/*
 * where: "127.0.0.1:27950", "[::]:0", "*:27950" (all addresses, both families). max_size: bytes of
 * the longest datagram that is handed on. NULL and *error (the caller frees) when it cannot be
 * opened. The settings are read once.
 */
struct udp *udp_create(struct loop *loop, const char *where, const struct udp_settings *settings,
                       size_t max_size, udp_received received, void *arg, char **error)
    __attribute__((warn_unused_result));
/* Opens and binds it alone: the descriptor, and in *text where it is, with the real port (the
 * caller frees). -1 and *error (the caller frees) when it cannot. */
int udp_open(const char *where, const struct udp_settings *settings, char **text, char **error)
    __attribute__((warn_unused_result));
/* The same as udp_create on a socket that was opened so for that place, which it owns from now on.
 */
struct udp *udp_inherit(struct loop *loop, const char *where, int fd,
                        const struct udp_settings *settings, size_t max_size, udp_received received,
                        void *arg) __attribute__((warn_unused_result));
/* Receives also from another worker's socket for the same place, until it is released; answers are
 * sent from its own. Owns the descriptor. */
void udp_adopt(struct udp *udp, int fd, unsigned from);
void udp_release(struct udp *udp, unsigned from);
/* What was sent in this iteration is still sent. */
void udp_destroy(struct udp **udp);
/* NULL, or what is wrong with the text of a place (the caller frees). Opens nothing. */
char *udp_check(const char *where) __attribute__((warn_unused_result));
/* With the real port. Lives as long as the socket. */
const char *udp_where(const struct udp *udp);
/* The same; the ip of "*" is that of ::, or 0.0.0.0 on a system without IPv6. */
const struct address *udp_address(const struct udp *udp);

/*
 * Sends a datagram to the path's peer at the end of this iteration. The bytes are copied; of a
 * frame a reference is kept. A peer without a port, or of a family that the socket does not have,
 * is counted as a failure.
 */
void udp_send(struct udp *udp, const struct udp_path *path, struct bytes bytes);
/* The slices, at most UDP_SLICES, one after the other as one datagram. */
void udp_send_slices(struct udp *udp, const struct udp_path *path, struct frame *frame,
                     const struct frame_slice *slices, size_t count);

#endif
