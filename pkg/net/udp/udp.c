/* udp: opening and closing: see udp.h. Receiving is input.c, sending output.c. */
#include "net/udp/udp.h"

#include <errno.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "net/udp/udp_private.h"

static char *bind_failure(const char *where, const char *what, int error)
{
    return mem_format("cannot listen on %s: %s: %s", where, what, strerror(error));
}

/* Not every system has every option: one that cannot be set is left out. */
static void set_udp_option(int fd, int level, int option, int value)
{
    (void)setsockopt(fd, level, option, &value, sizeof value);
}

/* any: "*", all addresses of both families. */
static char *parse_udp_address(const char *where, struct address *address, bool *any)
{
    bool is_good;
    char *plain;

    *any = where[0] == '*' && where[1] == ':';
    plain = *any ? mem_format("[::]%s", where + 1) : mem_strdup(where);
    is_good = address_parse(plain, address);
    free(plain);
    if (is_good) {
        return NULL;
    }
    return mem_format("cannot listen on %s: not ADDRESS:PORT, [ADDRESS]:PORT or *:PORT", where);
}

char *udp_check(const char *where)
{
    struct address address;
    bool any;

    return parse_udp_address(where, &address, &any);
}

static void set_buffer(int fd, int force, int option, int64_t size)
{
    int value = (int)size;

    if (size > 0 && setsockopt(fd, SOL_SOCKET, force, &value, sizeof value) != 0) {
        set_udp_option(fd, SOL_SOCKET, option, value);
    }
}

static bool is_any_address(const struct address *address)
{
    static const uint8_t zeros[16];

    return memcmp(address->ip, zeros, sizeof zeros) == 0;
}

/* star: "*" was given. */
static void set_udp_options(int fd, const struct address *address, bool star,
                            const struct udp_settings *settings)
{
    if (address->family == ADDRESS_IPV6) {
        set_udp_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, !star);
        set_udp_option(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
    } else if (is_any_address(address)) {
        set_udp_option(fd, IPPROTO_IP, IP_PKTINFO, 1);
    }
    set_udp_option(fd, SOL_SOCKET, SO_RXQ_OVFL, 1);
    if (settings->reuse_port) {
        set_udp_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    }
    set_buffer(fd, SO_RCVBUFFORCE, SO_RCVBUF, settings->receive_buffer);
    set_buffer(fd, SO_SNDBUFFORCE, SO_SNDBUF, settings->send_buffer);
}

/* Whether the kernel can cut runs of datagrams: it knows the option, which stays off for others. */
static bool can_segment(int fd)
{
    int off = 0;

    return setsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &off, sizeof off) == 0;
}

static void read_bound_address(int fd, struct address *address)
{
    struct sockaddr_storage storage;
    socklen_t len = sizeof storage;

    memset(&storage, 0, sizeof storage);
    (void)getsockname(fd, (struct sockaddr *)&storage, &len);
    address_from_sockaddr((struct sockaddr *)&storage, address);
}

static char *describe_bound_address(const struct address *address, bool star)
{
    char text[ADDRESS_TEXT_SIZE];

    return star ? mem_format("*:%u", (unsigned)address->port)
                : mem_strdup(address_format(address, text));
}

int udp_open(const char *where, const struct udp_settings *settings, char **text, char **error)
{
    struct sockaddr_storage storage;
    struct address address;
    bool star;
    int fd;

    *error = parse_udp_address(where, &address, &star);
    if (*error) {
        return -1;
    }
    if (star && access("/proc/net/if_inet6", F_OK) != 0) { /* a system without IPv6 */
        address = (struct address){.family = ADDRESS_IPV4, .port = address.port};
    }
    const socklen_t len = address_to_sockaddr(&address, &storage);
    fd = socket(storage.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        *error = bind_failure(where, "socket", errno);
        return -1;
    }
    set_udp_options(fd, &address, star, settings);
    if (bind(fd, (struct sockaddr *)&storage, len) != 0) {
        *error = bind_failure(where, "bind", errno);
        close(fd);
        return -1;
    }
    read_bound_address(fd, &address);
    *text = describe_bound_address(&address, star);
    return fd;
}

/* The properties of the open socket. */
static void describe_own_socket(struct udp *udp, const char *where,
                                const struct udp_settings *settings)
{
    const bool star = *where == '*';

    read_bound_address(udp->own.fd, &udp->address);
    udp->family = udp->address.family == ADDRESS_IPV6 ? AF_INET6 : AF_INET;
    udp->any = is_any_address(&udp->address);
    udp->only_ipv6 = udp->family == AF_INET6 && !star;
    udp->segments = settings->segments && can_segment(udp->own.fd);
    udp->where = describe_bound_address(&udp->address, star);
}

static void free_adopted_receiver(struct udp_receiver *receiver)
{
    list_remove(&receiver->link);
    free(receiver);
}

static void free_udp(void *arg)
{
    struct udp *udp = arg;

    while (!list_is_empty(&udp->adopted)) {
        free_adopted_receiver(list_entry(udp->adopted.next, struct udp_receiver, link));
    }
    udp_input_free(udp);
    udp_output_free(udp);
    free(udp->where);
    free(udp);
}

struct udp *udp_create(struct loop *loop, const char *where, const struct udp_settings *settings,
                       size_t max_size, udp_received received, void *arg, char **error)
{
    char *text = NULL;
    const int fd = udp_open(where, settings, &text, error);

    free(text);
    return fd < 0 ? NULL : udp_inherit(loop, where, fd, settings, max_size, received, arg);
}

static void watch_receiver(struct udp_receiver *receiver, struct udp *udp, int fd)
{
    receiver->udp = udp;
    receiver->fd = fd;
    receiver->io = loop_io_create(udp->loop, fd, udp_read, receiver);
    loop_io_set(receiver->io, LOOP_READ);
}

struct udp *udp_inherit(struct loop *loop, const char *where, int fd,
                        const struct udp_settings *settings, size_t max_size, udp_received received,
                        void *arg)
{
    struct udp *udp = mem_zalloc(1, sizeof *udp);

    udp->loop = loop;
    udp->max_size = max_size;
    udp->batch = settings->batch < 1               ? 1
                 : settings->batch > UDP_BATCH_MAX ? UDP_BATCH_MAX
                                                   : (size_t)settings->batch;
    udp->rounds = settings->rounds;
    udp->received = received;
    udp->arg = arg;
    udp->flush = (struct loop_task){.callback = udp_flush, .arg = udp};
    udp->free = (struct loop_task){.callback = free_udp, .arg = udp};
    list_init(&udp->adopted);
    udp_input_create(udp);
    udp_output_create(udp);
    watch_receiver(&udp->own, udp, fd);
    describe_own_socket(udp, where, settings);
    return udp;
}

void udp_adopt(struct udp *udp, int fd, unsigned from)
{
    struct udp_receiver *receiver = mem_zalloc(1, sizeof *receiver);

    receiver->from = from;
    list_append(&udp->adopted, &receiver->link);
    watch_receiver(receiver, udp, fd);
}

static void close_receiver(struct udp_receiver *receiver)
{
    loop_io_destroy(&receiver->io);
    close(receiver->fd);
    receiver->fd = -1;
}

void udp_release(struct udp *udp, unsigned from)
{
    LIST_FOREACH (node, &udp->adopted) {
        struct udp_receiver *receiver = list_entry(node, struct udp_receiver, link);

        if (receiver->from == from) {
            close_receiver(receiver);
            free_adopted_receiver(receiver);
        }
    }
}

void udp_destroy(struct udp **pointer)
{
    struct udp *udp = *pointer;

    *pointer = NULL;
    if (!udp) {
        return;
    }
    udp_flush(udp);
    loop_cancel(udp->loop, &udp->flush);
    close_receiver(&udp->own);
    LIST_FOREACH (node, &udp->adopted) {
        close_receiver(list_entry(node, struct udp_receiver, link));
    }
    loop_defer(udp->loop, LOOP_PHASE_FREE, &udp->free);
}

const char *udp_where(const struct udp *udp)
{
    return udp->where;
}

const struct address *udp_address(const struct udp *udp)
{
    return &udp->address;
}
