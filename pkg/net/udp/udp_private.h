/*
 * udp_private: what the files of udp share.
 *
 * A struct udp that was destroyed has no descriptor; its memory is freed in LOOP_PHASE_FREE, as a
 * batch may be in the middle of being delivered.
 */
#ifndef NET_UDP_UDP_PRIVATE_H
#define NET_UDP_UDP_PRIVATE_H

#include <netinet/in.h>
#include <sys/socket.h>

#include "base/list.h"
#include "net/udp/udp.h"

#define UDP_BATCH_MAX    256
#define UDP_ARENA_SIZE   65536 /* bytes that are copied before a batch goes out */
#define UDP_CONTROL_ROOM 128   /* address information and the count of drops */
#define UDP_SEND_CONTROL (CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(uint16_t)))

union udp_name {
    struct sockaddr sockaddr;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
};

/* A batch that is being received. */
struct udp_input {
    struct mmsghdr *headers;
    struct iovec *vectors;
    union udp_name *names;
    uint8_t *controls; /* UDP_CONTROL_ROOM for each */
    uint8_t *buffers;  /* max_size + 1 for each */
};

/* One or more datagrams to one peer, all but the last of `size` bytes, that one that is no longer.
 */
struct udp_run {
    uint16_t size;
    uint16_t count;
    uint32_t total; /* bytes */
    bool ended;     /* the last one is shorter: nothing may follow */
};

/* A batch that is being put together. */
struct udp_output {
    struct mmsghdr *headers;
    struct udp_run *runs; /* of each header */
    union udp_name *names;
    uint8_t *controls; /* UDP_SEND_CONTROL for each */
    size_t count;
    struct iovec *vectors; /* of all, in their order; UDP_SLICES for each datagram of a batch */
    size_t vector_count;
    struct frame **frames; /* what they borrow from; one for each datagram of a batch */
    size_t frame_count;
    size_t datagrams;
    uint8_t *arena;
    size_t arena_used;
};

/* A socket that it receives from: its own, or another worker's for the same place. */
struct udp_receiver {
    struct list link; /* of an adopted one */
    struct udp *udp;
    struct loop_io *io;
    unsigned from;           /* whose it is, if adopted */
    int fd;                  /* -1: destroyed */
    uint32_t kernel_dropped; /* as the kernel last reported */
};

struct udp {
    struct loop *loop;
    struct udp_receiver own; /* it also sends there */
    struct list adopted;
    int family; /* of the socket: AF_INET6 may take IPv4 too */
    bool only_ipv6;
    bool segments; /* the kernel cuts runs of datagrams (UDP_SEGMENT) */
    bool any;      /* bound to all addresses: each datagram carries the one that it was sent to */
    struct address address;
    char *where;
    size_t max_size, batch;
    int64_t rounds;
    udp_received received;
    void *arg;
    struct udp_input input;
    struct udp_output output;
    struct loop_task flush, free;
};

/* input.c */
void udp_input_create(struct udp *udp);
void udp_input_free(struct udp *udp);
/* The receiver is readable. */
void udp_read(void *receiver, unsigned events);

/* output.c */
void udp_output_create(struct udp *udp);
void udp_output_free(struct udp *udp);
/* Sends the batch, and drops what cannot be sent. */
void udp_flush(void *arg);

#endif
