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

static void set_udp_options(struct udp *udp, const struct udp_settings *settings, bool any)
{
    if (udp->family == AF_INET6) {
        udp->only_ipv6 = !any;
        set_udp_option(udp->fd, IPPROTO_IPV6, IPV6_V6ONLY, !any);
        set_udp_option(udp->fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
    } else if (udp->any) {
        set_udp_option(udp->fd, IPPROTO_IP, IP_PKTINFO, 1);
    }
    set_udp_option(udp->fd, SOL_SOCKET, SO_RXQ_OVFL, 1);
    if (settings->reuse_port) {
        set_udp_option(udp->fd, SOL_SOCKET, SO_REUSEPORT, 1);
    }
    set_buffer(udp->fd, SO_RCVBUFFORCE, SO_RCVBUF, settings->receive_buffer);
    set_buffer(udp->fd, SO_SNDBUFFORCE, SO_SNDBUF, settings->send_buffer);
}

/* Whether the kernel can cut runs of datagrams: it knows the option, which stays off for others. */
static bool can_segment(int fd)
{
    int off = 0;

    return setsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &off, sizeof off) == 0;
}

static bool is_any_address(const struct address *address)
{
    static const uint8_t zeros[16];

    return memcmp(address->ip, zeros, sizeof zeros) == 0;
}

static void describe_udp_socket(struct udp *udp, bool any)
{
    struct sockaddr_storage storage;
    socklen_t len = sizeof storage;
    char text[ADDRESS_TEXT_SIZE];

    memset(&storage, 0, sizeof storage);
    (void)getsockname(udp->fd, (struct sockaddr *)&storage, &len);
    address_from_sockaddr((struct sockaddr *)&storage, &udp->address);
    udp->where = any ? mem_format("*:%u", (unsigned)udp->address.port)
                     : mem_strdup(address_format(&udp->address, text));
}

static char *open_socket(struct udp *udp, const char *where, const struct udp_settings *settings)
{
    struct sockaddr_storage storage;
    struct address address;
    bool any;
    char *error = parse_udp_address(where, &address, &any);
    socklen_t len;

    if (error) {
        return error;
    }
    if (any && access("/proc/net/if_inet6", F_OK) != 0) { /* a system without IPv6 */
        address = (struct address){.family = ADDRESS_IPV4, .port = address.port};
    }
    len = address_to_sockaddr(&address, &storage);
    udp->family = storage.ss_family;
    udp->any = is_any_address(&address);
    udp->fd = socket(udp->family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (udp->fd < 0) {
        return bind_failure(where, "socket", errno);
    }
    set_udp_options(udp, settings, any);
    udp->segments = settings->segments && can_segment(udp->fd);
    if (bind(udp->fd, (struct sockaddr *)&storage, len) != 0) {
        return bind_failure(where, "bind", errno);
    }
    describe_udp_socket(udp, any);
    return NULL;
}

static void free_udp(void *arg)
{
    struct udp *udp = arg;

    udp_input_free(udp);
    udp_output_free(udp);
    free(udp->where);
    free(udp);
}

struct udp *udp_create(struct loop *loop, const char *where, const struct udp_settings *settings,
                       size_t max_size, udp_received received, void *arg, char **error)
{
    struct udp *udp = mem_zalloc(1, sizeof *udp);

    udp->loop = loop;
    udp->fd = -1;
    udp->max_size = max_size;
    udp->batch = settings->batch < 1               ? 1
                 : settings->batch > UDP_BATCH_MAX ? UDP_BATCH_MAX
                                                   : (size_t)settings->batch;
    udp->rounds = settings->rounds;
    udp->received = received;
    udp->arg = arg;
    udp->flush = (struct loop_task){.callback = udp_flush, .arg = udp};
    udp->free = (struct loop_task){.callback = free_udp, .arg = udp};
    udp_input_create(udp);
    udp_output_create(udp);
    *error = open_socket(udp, where, settings);
    if (*error) {
        if (udp->fd >= 0) {
            close(udp->fd);
        }
        free_udp(udp);
        return NULL;
    }
    udp->io = loop_io_create(loop, udp->fd, udp_read, udp);
    loop_io_set(udp->io, LOOP_READ);
    return udp;
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
    loop_io_destroy(&udp->io);
    close(udp->fd);
    udp->fd = -1;
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
