/* udp: receiving in batches: see udp.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "metrics/metrics.h"
#include "net/udp/udp_private.h"

/* No further batch is received in an iteration that has lasted for so long. */
#define ITERATION_MAX_US 5000

void udp_input_create(struct udp *udp)
{
    struct udp_input *input = &udp->input;
    const size_t room = udp->max_size + 1; /* one byte more shows what is too long */

    input->headers = mem_zalloc(udp->batch, sizeof *input->headers);
    input->vectors = mem_zalloc(udp->batch, sizeof *input->vectors);
    input->names = mem_zalloc(udp->batch, sizeof *input->names);
    input->controls = mem_zalloc(udp->batch, UDP_CONTROL_ROOM);
    input->buffers = mem_zalloc(udp->batch, room);
    for (size_t i = 0; i < udp->batch; i++) {
        struct msghdr *header = &input->headers[i].msg_hdr;

        input->vectors[i] = (struct iovec){input->buffers + i * room, room};
        header->msg_iov = &input->vectors[i];
        header->msg_iovlen = 1;
        header->msg_name = &input->names[i];
        header->msg_control = input->controls + i * UDP_CONTROL_ROOM;
    }
}

void udp_input_free(struct udp *udp)
{
    free(udp->input.headers);
    free(udp->input.vectors);
    free(udp->input.names);
    free(udp->input.controls);
    free(udp->input.buffers);
}

static void read_ipv4_info(const struct cmsghdr *control, struct udp_path *path)
{
    struct in_pktinfo info;

    memcpy(&info, CMSG_DATA(control), sizeof info);
    path->local.family = ADDRESS_IPV4;
    memcpy(path->local.ip, &info.ipi_spec_dst,
           4); /* our own address, though the datagram was sent to all */
}

static bool is_link_local(const struct in6_addr *ip)
{
    return ip->s6_addr[0] == 0xfe && (ip->s6_addr[1] & 0xc0) == 0x80;
}

static void read_ipv6_info(const struct cmsghdr *control, struct udp_path *path)
{
    struct sockaddr_in6 name = {.sin6_family = AF_INET6};
    struct in6_pktinfo info;

    memcpy(&info, CMSG_DATA(control), sizeof info);
    if (is_link_local(&info.ipi6_addr)) {
        path->interface = (uint32_t)info.ipi6_ifindex;
    }
    if (info.ipi6_addr.s6_addr[0] == 0xff) { /* a group is not an address to answer from */
        return;
    }
    name.sin6_addr = info.ipi6_addr;
    address_from_sockaddr((struct sockaddr *)&name, &path->local);
}

static void count_kernel_drops(struct udp_receiver *receiver, const struct cmsghdr *control)
{
    uint32_t dropped;

    memcpy(&dropped, CMSG_DATA(control), sizeof dropped);
    metrics_add(METRIC_UDP_DROPPED_KERNEL, (uint32_t)(dropped - receiver->kernel_dropped));
    receiver->kernel_dropped = dropped;
}

static void read_controls(struct udp_receiver *receiver, struct msghdr *header,
                          struct udp_path *path)
{
    for (struct cmsghdr *control = CMSG_FIRSTHDR(header); control;
         control = CMSG_NXTHDR(header, control)) {
        if (control->cmsg_level == IPPROTO_IP && control->cmsg_type == IP_PKTINFO) {
            read_ipv4_info(control, path);
        } else if (control->cmsg_level == IPPROTO_IPV6 && control->cmsg_type == IPV6_PKTINFO) {
            read_ipv6_info(control, path);
        } else if (control->cmsg_level == SOL_SOCKET && control->cmsg_type == SO_RXQ_OVFL) {
            count_kernel_drops(receiver, control);
        }
    }
}

/* Delivers one datagram, or counts why not. */
static void deliver_datagram(struct udp_receiver *receiver, struct mmsghdr *message,
                             const union udp_name *name)
{
    struct udp *udp = receiver->udp;
    const struct bytes bytes = {message->msg_hdr.msg_iov->iov_base, message->msg_len};
    struct udp_path path = {.local = {.family = ADDRESS_NONE}};

    address_from_sockaddr(&name->sockaddr, &path.peer);
    if (!udp->any) {
        path.local = udp->address;
    }
    read_controls(receiver, &message->msg_hdr, &path);
    path.local.port = udp->address.port;
    metrics_add(METRIC_UDP_RECEIVED, 1);
    metrics_add(METRIC_BYTES_IN, (int64_t)bytes.len);
    if (path.peer.port == 0) {
        metrics_add(METRIC_UDP_DROPPED_SOURCE, 1);
    } else if (bytes.len > udp->max_size) {
        metrics_add(METRIC_UDP_DROPPED_SIZE, 1);
    } else {
        udp->received(udp->arg, &path, bytes);
    }
}

/* Receives one batch. False when no more waits, or the socket was destroyed. */
static bool read_batch(struct udp_receiver *receiver)
{
    struct udp *udp = receiver->udp;
    struct udp_input *input = &udp->input;
    int count;

    for (size_t i = 0; i < udp->batch; i++) {
        input->headers[i].msg_hdr.msg_namelen = sizeof input->names[i];
        input->headers[i].msg_hdr.msg_controllen = UDP_CONTROL_ROOM;
    }
    count = recvmmsg(receiver->fd, input->headers, (unsigned)udp->batch, MSG_DONTWAIT, NULL);
    if (count < 0) {
        return errno != EAGAIN; /* other errors concern a datagram that was sent before */
    }
    for (int i = 0; i < count && udp->own.fd >= 0; i++) {
        deliver_datagram(receiver, &input->headers[i], &input->names[i]);
    }
    return udp->own.fd >= 0 && (size_t)count == udp->batch;
}

void udp_read(void *arg, unsigned events)
{
    struct udp_receiver *receiver = arg;
    struct udp *udp = receiver->udp;

    loop_label(udp->loop, "datagrams");
    for (int64_t round = 0; round < udp->rounds && read_batch(receiver); round++) {
        if (loop_elapsed_us(udp->loop) >= ITERATION_MAX_US) {
            break; /* the others first */
        }
    }
}
