/*
 * udp: sending in batches: see udp.h.
 *
 * A batch goes out at the end of the turn, or when it has no more room. What sendmmsg stops at is
 * one datagram's fault (no route, refused by a filter), and is passed over; but when the kernel's
 * buffer is full the rest of the batch is dropped.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "metrics/metrics.h"
#include "net/udp_private.h"

void udp_output_create(struct udp *udp)
{
    struct udp_output *output = &udp->output;

    output->headers = mem_zalloc(udp->batch, sizeof *output->headers);
    output->vectors = mem_zalloc(udp->batch * UDP_SLICES, sizeof *output->vectors);
    output->names = mem_zalloc(udp->batch, sizeof *output->names);
    output->frames = mem_zalloc(udp->batch, sizeof *output->frames);
    output->controls = mem_zalloc(udp->batch, UDP_SEND_CONTROL);
    output->arena = mem_alloc(UDP_ARENA_SIZE);
}

void udp_output_free(struct udp *udp)
{
    struct udp_output *output = &udp->output;

    for (size_t i = 0; i < output->count; i++)
        frame_unref(&output->frames[i]);
    free(output->headers);
    free(output->vectors);
    free(output->names);
    free(output->frames);
    free(output->controls);
    free(output->arena);
}

static size_t datagram_size(const struct msghdr *header)
{
    size_t size = 0;

    for (size_t i = 0; i < header->msg_iovlen; i++)
        size += header->msg_iov[i].iov_len;
    return size;
}

static void count_sent(const struct udp_output *output, size_t from, size_t count)
{
    metrics_add(METRIC_UDP_SENT, (int64_t)count);
    for (size_t i = from; i < from + count; i++)
        metrics_add(METRIC_BYTES_OUT, (int64_t)datagram_size(&output->headers[i].msg_hdr));
}

/* Sends what it can from there on: how far it came. */
static size_t send_some(struct udp *udp, size_t from)
{
    struct udp_output *output = &udp->output;
    const size_t left = output->count - from;
    const int sent = sendmmsg(udp->fd, output->headers + from, (unsigned)left, MSG_DONTWAIT);

    metrics_add(METRIC_WRITES, 1);
    if (sent > 0) {
        count_sent(output, from, (size_t)sent);
        return from + (size_t)sent;
    }
    if (errno == EINTR)
        return from;
    if (errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM) {
        metrics_add(METRIC_UDP_DROPPED_BUSY, (int64_t)left);
        return output->count;
    }
    metrics_add(METRIC_UDP_DROPPED_FAILED, 1);
    return from + 1;
}

void udp_flush(void *arg)
{
    struct udp *udp = arg;
    struct udp_output *output = &udp->output;

    for (size_t at = 0; at < output->count;)
        at = send_some(udp, at);
    for (size_t i = 0; i < output->count; i++)
        frame_unref(&output->frames[i]);
    output->count = 0;
    output->arena_used = 0;
}

/* The peer's name as the socket wants it: IPv4 mapped into IPv6 where it takes both. */
static socklen_t write_name(const struct udp *udp, const struct address *address,
                            union udp_name *name)
{
    memset(name, 0, sizeof *name);
    if (address->port == 0)
        return 0;
    if (udp->family == AF_INET && address->family == ADDRESS_IPV4) {
        name->in.sin_family = AF_INET;
        name->in.sin_port = htons(address->port);
        memcpy(&name->in.sin_addr, address->ip, 4);
        return sizeof name->in;
    }
    if (udp->family != AF_INET6 || (udp->only_ipv6 && address->family != ADDRESS_IPV6))
        return 0;
    name->in6.sin6_family = AF_INET6;
    name->in6.sin6_port = htons(address->port);
    if (address->family == ADDRESS_IPV6) {
        memcpy(&name->in6.sin6_addr, address->ip, 16);
    } else if (address->family == ADDRESS_IPV4) {
        name->in6.sin6_addr.s6_addr[10] = name->in6.sin6_addr.s6_addr[11] = 0xff;
        memcpy(name->in6.sin6_addr.s6_addr + 12, address->ip, 4);
    } else {
        return 0;
    }
    return sizeof name->in6;
}

static void set_control(struct msghdr *header, int level, int type, const void *info, size_t len)
{
    struct cmsghdr *control;

    header->msg_controllen = CMSG_SPACE(len);
    control = CMSG_FIRSTHDR(header);
    control->cmsg_level = level;
    control->cmsg_type = type;
    control->cmsg_len = CMSG_LEN(len);
    memcpy(CMSG_DATA(control), info, len);
}

/* Says from which address to send, where the socket has more than one. */
static void write_control(const struct udp *udp, const struct udp_path *path, struct msghdr *header)
{
    struct in6_pktinfo info6 = {.ipi6_ifindex = path->interface};
    struct in_pktinfo info = {0};
    union udp_name name;
    struct address local = path->local;

    header->msg_controllen = 0;
    local.port = 1; /* any: only the address is wanted */
    if (!udp->any && path->interface == 0)
        return;
    if (udp->family == AF_INET && local.family == ADDRESS_IPV4) {
        memcpy(&info.ipi_spec_dst, local.ip, 4);
        set_control(header, IPPROTO_IP, IP_PKTINFO, &info, sizeof info);
    } else if (udp->family == AF_INET6 && write_name(udp, &local, &name) > 0) {
        info6.ipi6_addr = name.in6.sin6_addr;
        set_control(header, IPPROTO_IPV6, IPV6_PKTINFO, &info6, sizeof info6);
    }
}

/* The next datagram of the batch, addressed; NULL when it cannot be. */
static struct msghdr *begin(struct udp *udp, const struct udp_path *path)
{
    struct udp_output *output = &udp->output;
    struct msghdr *header;
    size_t at;

    if (output->count == udp->batch)
        udp_flush(udp);
    at = output->count;
    header = &output->headers[at].msg_hdr;
    header->msg_name = &output->names[at];
    header->msg_namelen = write_name(udp, &path->peer, &output->names[at]);
    header->msg_iov = output->vectors + at * UDP_SLICES;
    header->msg_iovlen = 0;
    header->msg_control = output->controls + at * UDP_SEND_CONTROL;
    if (header->msg_namelen == 0) {
        metrics_add(METRIC_UDP_DROPPED_FAILED, 1);
        return NULL;
    }
    write_control(udp, path, header);
    return header;
}

static void add(struct udp *udp)
{
    udp->output.count++;
    loop_defer(udp->loop, LOOP_PHASE_OUTPUT, &udp->flush);
}

void udp_send(struct udp *udp, const struct udp_path *path, struct bytes bytes)
{
    struct udp_output *output = &udp->output;
    struct msghdr *header;

    if (bytes.len > UDP_PAYLOAD_MAX) {
        metrics_add(METRIC_UDP_DROPPED_FAILED, 1);
        return;
    }
    if (bytes.len > UDP_ARENA_SIZE - output->arena_used)
        udp_flush(udp);
    header = begin(udp, path);
    if (header == NULL)
        return;
    if (bytes.len > 0)
        memcpy(output->arena + output->arena_used, bytes.data, bytes.len);
    header->msg_iov[0] = (struct iovec){output->arena + output->arena_used, bytes.len};
    header->msg_iovlen = 1;
    output->arena_used += bytes.len;
    add(udp);
}

void udp_send_slices(struct udp *udp, const struct udp_path *path, struct frame *frame,
                     const struct frame_slice *slices, size_t count)
{
    struct msghdr *header = begin(udp, path);

    if (header == NULL)
        return;
    for (size_t i = 0; i < count && i < UDP_SLICES; i++)
        header->msg_iov[i] = (struct iovec){frame->data + slices[i].offset, slices[i].len};
    header->msg_iovlen = count < UDP_SLICES ? count : UDP_SLICES;
    udp->output.frames[udp->output.count] = frame_ref(frame);
    add(udp);
}
