/* probe: one socket per address, closed as soon as its connect has a result. */
#include "redis/probe.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "stream/connect.h"

/* After that the previous addresses remain in use, and the next refresh looks the name up again. */
#define LOOKUP_MS 5000

struct probe_socket {
    struct redis_probe *probe;
    struct loop_io *io; /* NULL: it has failed, or was never opened */
    int fd;
};

struct probe_host {
    struct redis_probe *probe;
    const char *name;
    uint16_t port;
    struct stream_lookup *lookup;
    struct stream_addresses addresses; /* the result of the last successful look-up */
    struct probe_socket sockets[STREAM_ADDRESSES_MAX];
};

struct redis_probe {
    struct loop *loop;
    uint64_t started_ms;
    unsigned tried; /* addresses to which a connect was started */
    bool answered;
    size_t host_count;
    struct probe_host hosts[];
};

static void add_probe_host(struct redis_probe *probe, const char *name, uint16_t port)
{
    probe->hosts[probe->host_count++] =
        (struct probe_host){.probe = probe, .name = name, .port = port};
}

struct redis_probe *redis_probe_create(struct loop *loop, const struct redis_target *target)
{
    const size_t most = target->endpoint_count > 0 ? target->endpoint_count : 1;
    struct redis_probe *probe = mem_zalloc(1, sizeof *probe + most * sizeof *probe->hosts);

    probe->loop = loop;
    if (target->scheme == REDIS_TCP) {
        add_probe_host(probe, target->host, target->port);
    }
    for (size_t i = 0; i < target->endpoint_count; i++) {
        add_probe_host(probe, target->endpoints[i].host, target->endpoints[i].port);
    }
    redis_probe_refresh(probe);
    return probe;
}

static void close_socket(struct probe_socket *socket)
{
    if (socket->io) {
        loop_io_destroy(&socket->io);
        close(socket->fd);
    }
}

void redis_probe_stop(struct redis_probe *probe)
{
    for (size_t i = 0; i < probe->host_count; i++) {
        for (unsigned j = 0; j < STREAM_ADDRESSES_MAX; j++) {
            close_socket(&probe->hosts[i].sockets[j]);
        }
    }
    probe->tried = 0;
    probe->answered = false;
}

void redis_probe_destroy(struct redis_probe **pointer)
{
    struct redis_probe *probe = *pointer;

    *pointer = NULL;
    if (probe) {
        redis_probe_stop(probe);
        for (size_t i = 0; i < probe->host_count; i++) {
            stream_lookup_cancel(&probe->hosts[i].lookup);
        }
        free(probe);
    }
}

static void on_probe_resolved(void *arg, const struct stream_addresses *addresses)
{
    struct probe_host *host = arg;

    if (addresses->error == 0) {
        host->addresses = *addresses;
    }
    stream_lookup_cancel(&host->lookup);
}

static void refresh_probe_host(struct probe_host *host)
{
    struct stream_addresses found;

    if (host->lookup) {
        return;
    }
    if (stream_resolve_numeric(host->name, host->port, &found)) {
        host->addresses = found;
    } else {
        host->lookup = stream_lookup_start(host->probe->loop, host->name, host->port, LOOKUP_MS,
                                           on_probe_resolved, host);
    }
}

void redis_probe_refresh(struct redis_probe *probe)
{
    for (size_t i = 0; i < probe->host_count; i++) {
        refresh_probe_host(&probe->hosts[i]);
    }
}

/* The network dropped the packets, or has no route. Any other result is an answer, or a local
 * failure (no descriptors), which proves nothing. */
static bool is_unreachable(int error)
{
    return error == ETIMEDOUT || error == EHOSTUNREACH || error == ENETUNREACH ||
           error == EHOSTDOWN || error == ENETDOWN;
}

static void on_probe_ready(void *arg, unsigned events)
{
    struct probe_socket *socket = arg;
    struct redis_probe *probe = socket->probe;

    probe->answered |= !is_unreachable(stream_connect_error(socket->fd));
    close_socket(socket);
}

static void connect_probe(struct redis_probe *probe, struct probe_socket *own,
                          const struct stream_address *address)
{
    probe->tried++;
    own->probe = probe;
    own->fd = stream_connect(address, NULL);
    if (own->fd < 0) {
        probe->answered |= !is_unreachable(errno);
        return;
    }
    own->io = loop_io_create(probe->loop, own->fd, on_probe_ready, own);
    loop_io_set(own->io, LOOP_WRITE);
}

void redis_probe_start(struct redis_probe *probe)
{
    redis_probe_stop(probe);
    probe->started_ms = loop_now_ms(probe->loop);
    for (size_t i = 0; i < probe->host_count; i++) {
        struct probe_host *host = &probe->hosts[i];

        for (unsigned j = 0; j < host->addresses.count; j++) {
            connect_probe(probe, &host->sockets[j], &host->addresses.list[j]);
        }
    }
}

enum redis_probe_state redis_probe_check(const struct redis_probe *probe, uint64_t timeout_ms)
{
    if (probe->answered) {
        return REDIS_PROBE_ANSWERED;
    }
    return probe->tried > 0 && redis_probe_age_ms(probe) >= timeout_ms ? REDIS_PROBE_UNREACHABLE
                                                                       : REDIS_PROBE_WAITING;
}

uint64_t redis_probe_age_ms(const struct redis_probe *probe)
{
    return loop_now_ms(probe->loop) - probe->started_ms;
}
