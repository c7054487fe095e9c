/*
 * udp: sending in batches: see udp.h.
 *
 * A batch is sent at the end of the event-loop iteration, or when it is full. Datagrams of one size
 * that follow one another to the same peer are one run, which the kernel cuts (UDP_SEGMENT): a list
 * in several packets passes through it once. Where it cannot (a path for smaller packets), their
 * parts are sent one by one.
 *
 * Where sendmmsg stops, the fault is that datagram's (no route, refused by a filter), and it is
 * skipped; but when the kernel's buffer is full the rest of the batch is dropped.
 */
#include <errno.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "metrics/metrics.h"
#include "net/udp/udp_private.h"

#define RUN_MAX 60 /* datagrams of a run: the kernel takes at least 64 */

void udp_output_create(struct udp *udp)
{
    struct udp_output *output = &udp->output;

    output->headers = mem_zalloc(udp->batch, sizeof *output->headers);
    output->runs = mem_zalloc(udp->batch, sizeof *output->runs);
    output->names = mem_zalloc(udp->batch, sizeof *output->names);
    output->controls = mem_zalloc(udp->batch, UDP_SEND_CONTROL);
    output->vectors = mem_zalloc(udp->batch * UDP_SLICES, sizeof *output->vectors);
    output->frames = mem_zalloc(udp->batch, sizeof *output->frames);
    output->arena = mem_alloc(UDP_ARENA_SIZE);
}

static void forget_batch(struct udp_output *output)
{
    for (size_t i = 0; i < output->frame_count; i++) {
        frame_unref(&output->frames[i]);
    }
    output->count = output->vector_count = output->frame_count = output->datagrams = 0;
    output->arena_used = 0;
}

void udp_output_free(struct udp *udp)
{
    struct udp_output *output = &udp->output;

    forget_batch(output);
    free(output->headers);
    free(output->runs);
    free(output->names);
    free(output->controls);
    free(output->vectors);
    free(output->frames);
    free(output->arena);
}

static void count_sent(const struct udp_run *runs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        metrics_add(METRIC_UDP_SENT, runs[i].count);
        metrics_add(METRIC_BYTES_OUT, runs[i].total);
    }
}

static bool is_buffer_full(int error)
{
    return error == EAGAIN || error == ENOBUFS || error == ENOMEM;
}

/* The number of vectors that hold the next datagram of a run; each ends where a vector ends. */
static size_t next_part(const struct msghdr *header, size_t from, size_t size, size_t *len)
{
    size_t at = from;

    *len = 0;
    while (at < header->msg_iovlen && *len < size) {
        *len += header->msg_iov[at++].iov_len;
    }
    return at - from;
}

/* A run that the kernel does not cut, datagram by datagram. */
static void send_parts(struct udp *udp, const struct msghdr *header, const struct udp_run *run)
{
    struct msghdr part = *header;
    size_t at = 0;

    part.msg_controllen -= CMSG_SPACE(sizeof(uint16_t));
    if (part.msg_controllen == 0) {
        part.msg_control = NULL;
    }
    for (unsigned i = 0; i < run->count; i++) {
        size_t len;

        part.msg_iov = header->msg_iov + at;
        part.msg_iovlen = next_part(header, at, run->size, &len);
        at += part.msg_iovlen;
        metrics_add(METRIC_WRITES, 1);
        if (sendmsg(udp->own.fd, &part, MSG_DONTWAIT) >= 0) {
            count_sent(&(struct udp_run){.count = 1, .total = (uint32_t)len}, 1);
        } else {
            metrics_add(is_buffer_full(errno) ? METRIC_UDP_DROPPED_BUSY : METRIC_UDP_DROPPED_FAILED,
                        1);
        }
    }
}

static void count_dropped(const struct udp_output *output, size_t from)
{
    for (; from < output->count; from++) {
        metrics_add(METRIC_UDP_DROPPED_BUSY, output->runs[from].count);
    }
}

/* Sends what it can from there on; returns how far it got. */
static size_t send_batch_from(struct udp *udp, size_t from)
{
    struct udp_output *output = &udp->output;
    const unsigned left = (unsigned)(output->count - from);
    const int sent = sendmmsg(udp->own.fd, output->headers + from, left, MSG_DONTWAIT);

    metrics_add(METRIC_WRITES, 1);
    if (sent > 0) {
        count_sent(output->runs + from, (size_t)sent);
        return from + (size_t)sent;
    }
    if (errno == EINTR) {
        return from;
    }
    if (is_buffer_full(errno)) {
        count_dropped(output, from);
        return output->count;
    }
    if (output->runs[from].count > 1) {
        send_parts(udp, &output->headers[from].msg_hdr, &output->runs[from]);
    } else {
        metrics_add(METRIC_UDP_DROPPED_FAILED, 1);
    }
    return from + 1;
}

void udp_flush(void *arg)
{
    struct udp *udp = arg;

    for (size_t at = 0; at < udp->output.count;) {
        at = send_batch_from(udp, at);
    }
    forget_batch(&udp->output);
}

/* The peer's name as the socket needs it: IPv4 mapped into IPv6 where it takes both. */
static socklen_t write_name(const struct udp *udp, const struct address *address,
                            union udp_name *name)
{
    memset(name, 0, sizeof *name);
    if (address->port == 0) {
        return 0;
    }
    if (udp->family == AF_INET && address->family == ADDRESS_IPV4) {
        name->in.sin_family = AF_INET;
        name->in.sin_port = htons(address->port);
        memcpy(&name->in.sin_addr, address->ip, 4);
        return sizeof name->in;
    }
    if (udp->family != AF_INET6 || (udp->only_ipv6 && address->family != ADDRESS_IPV6)) {
        return 0;
    }
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

static void add_control(struct msghdr *header, int level, int type, const void *info, size_t len)
{
    struct cmsghdr control = {.cmsg_level = level, .cmsg_type = type, .cmsg_len = CMSG_LEN(len)};
    uint8_t *to = (uint8_t *)header->msg_control + header->msg_controllen;

    memcpy(to, &control, sizeof control);
    memcpy(to + CMSG_LEN(0), info, len);
    header->msg_controllen += CMSG_SPACE(len);
}

/* Sets the address to send from, where the socket has more than one. */
static void write_control(const struct udp *udp, const struct udp_path *path, struct msghdr *header)
{
    struct in6_pktinfo info6 = {.ipi6_ifindex = path->interface};
    struct in_pktinfo info = {0};
    union udp_name name;
    struct address local = path->local;

    local.port = 1; /* any: only the address counts */
    if (!udp->any && path->interface == 0) {
        return;
    }
    if (udp->family == AF_INET && local.family == ADDRESS_IPV4) {
        memcpy(&info.ipi_spec_dst, local.ip, 4);
        add_control(header, IPPROTO_IP, IP_PKTINFO, &info, sizeof info);
    } else if (udp->family == AF_INET6 && write_name(udp, &local, &name) > 0) {
        info6.ipi6_addr = name.in6.sin6_addr;
        add_control(header, IPPROTO_IPV6, IPV6_PKTINFO, &info6, sizeof info6);
    }
}

/* Writes the destination of the next message; false when it cannot be sent there. */
static bool address_next(struct udp *udp, const struct udp_path *path)
{
    struct udp_output *output = &udp->output;
    struct msghdr *header;
    size_t at;

    if (output->datagrams == udp->batch) {
        udp_flush(udp);
    }
    at = output->count;
    header = &output->headers[at].msg_hdr;
    header->msg_name = &output->names[at];
    header->msg_namelen = write_name(udp, &path->peer, &output->names[at]);
    header->msg_control = output->controls + at * UDP_SEND_CONTROL;
    header->msg_controllen = 0;
    if (header->msg_namelen == 0) {
        metrics_add(METRIC_UDP_DROPPED_FAILED, 1);
        return false;
    }
    memset(header->msg_control, 0, UDP_SEND_CONTROL);
    write_control(udp, path, header);
    return true;
}

/* Whether the next message has the same destination and source as the one before it. */
static bool same_path(const struct udp_output *output, size_t at)
{
    const struct msghdr *next = &output->headers[at].msg_hdr;
    const struct msghdr *before = &output->headers[at - 1].msg_hdr;
    size_t control = before->msg_controllen;

    if (output->runs[at - 1].count > 1) {
        control -= CMSG_SPACE(sizeof(uint16_t));
    }
    return next->msg_namelen == before->msg_namelen && next->msg_controllen == control &&
           memcmp(next->msg_name, before->msg_name, next->msg_namelen) == 0 &&
           memcmp(next->msg_control, before->msg_control, control) == 0;
}

/* Adds to the run before, if it takes one more of this size. */
static bool extend_run(struct udp *udp, size_t vectors, size_t size)
{
    struct udp_output *output = &udp->output;
    const size_t at = output->count;
    struct udp_run *run;
    struct msghdr *header;

    if (!udp->segments || at == 0) {
        return false;
    }
    run = &output->runs[at - 1];
    header = &output->headers[at - 1].msg_hdr;
    if (run->ended || size == 0 || size > run->size || run->count == RUN_MAX ||
        run->total + size > UDP_PAYLOAD_MAX || !same_path(output, at)) {
        return false;
    }
    if (run->count == 1) {
        add_control(header, IPPROTO_UDP, UDP_SEGMENT, &run->size, sizeof run->size);
    }
    run->count++;
    run->total += (uint32_t)size;
    run->ended = size < run->size;
    header->msg_iovlen += vectors;
    return true;
}

/* The datagram of so many vectors, written after those of the batch, is complete. */
static void add_datagram(struct udp *udp, size_t vectors, size_t size)
{
    struct udp_output *output = &udp->output;

    if (!extend_run(udp, vectors, size)) {
        struct msghdr *header = &output->headers[output->count].msg_hdr;

        header->msg_iov = output->vectors + output->vector_count;
        header->msg_iovlen = vectors;
        output->runs[output->count++] =
            (struct udp_run){.size = (uint16_t)size, .count = 1, .total = (uint32_t)size};
    }
    output->vector_count += vectors;
    output->datagrams++;
    loop_defer(udp->loop, LOOP_PHASE_OUTPUT, &udp->flush);
}

void udp_send(struct udp *udp, const struct udp_path *path, struct bytes bytes)
{
    struct udp_output *output = &udp->output;
    uint8_t *copy;

    if (bytes.len > UDP_PAYLOAD_MAX) {
        metrics_add(METRIC_UDP_DROPPED_FAILED, 1);
        return;
    }
    if (bytes.len > UDP_ARENA_SIZE - output->arena_used) {
        udp_flush(udp);
    }
    if (!address_next(udp, path)) {
        return;
    }
    copy = output->arena + output->arena_used;
    if (bytes.len > 0) {
        memcpy(copy, bytes.data, bytes.len);
    }
    output->arena_used += bytes.len;
    output->vectors[output->vector_count] = (struct iovec){copy, bytes.len};
    add_datagram(udp, 1, bytes.len);
}

void udp_send_slices(struct udp *udp, const struct udp_path *path, struct frame *frame,
                     const struct frame_slice *slices, size_t count)
{
    struct udp_output *output = &udp->output;
    size_t size = 0, used = 0;

    if (!address_next(udp, path)) {
        return;
    }
    for (size_t i = 0; i < count && i < UDP_SLICES; i++) {
        if (slices[i].len == 0) {
            continue;
        }
        output->vectors[output->vector_count + used++] =
            (struct iovec){frame->data + slices[i].offset, slices[i].len};
        size += slices[i].len;
    }
    output->frames[output->frame_count++] = frame_ref(frame);
    add_datagram(udp, used, size);
}
