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

struct redis_probe {
    struct loop *loop;
    const struct redis_target *target;
    struct stream_lookup *lookup;
    struct stream_addresses addresses; /* the result of the last successful look-up */
    struct probe_socket sockets[STREAM_ADDRESSES_MAX];
    uint64_t started_ms;
    unsigned tried; /* addresses to which a connect was started */
    bool answered;
};

struct redis_probe *redis_probe_create(struct loop *loop, const struct redis_target *target)
{
    struct redis_probe *probe = mem_zalloc(1, sizeof *probe);

    probe->loop = loop;
    probe->target = target;
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
    for (unsigned i = 0; i < STREAM_ADDRESSES_MAX; i++) {
        close_socket(&probe->sockets[i]);
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
        stream_lookup_cancel(&probe->lookup);
        free(probe);
    }
}

static void on_probe_resolved(void *arg, const struct stream_addresses *addresses)
{
    struct redis_probe *probe = arg;

    if (addresses->error == 0) {
        probe->addresses = *addresses;
    }
    stream_lookup_cancel(&probe->lookup);
}

void redis_probe_refresh(struct redis_probe *probe)
{
    const struct redis_target *target = probe->target;
    struct stream_addresses found;

    if (probe->lookup || (target->scheme != REDIS_TCP && target->scheme != REDIS_TLS)) {
        return;
    }
    if (stream_resolve_numeric(target->host, target->port, &found)) {
        probe->addresses = found;
    } else {
        probe->lookup = stream_lookup_start(probe->loop, target->host, target->port, LOOKUP_MS,
                                            on_probe_resolved, probe);
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

static void connect_probe(struct redis_probe *probe, const struct stream_address *address)
{
    struct probe_socket *own = &probe->sockets[probe->tried++];

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
    for (unsigned i = 0; i < probe->addresses.count; i++) {
        connect_probe(probe, &probe->addresses.list[i]);
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
