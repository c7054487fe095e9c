/* probe: a socket for each address, closed as soon as it has something to say. */
#include "redis/probe.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "stream/resolve.h"

/* Then the last addresses go on to serve, and the next refresh asks again. */
#define LOOKUP_MS 5000

struct probe_socket {
    struct redis_probe *probe;
    struct loop_io *io; /* NULL: it has failed, or was never opened */
    int fd;
};

struct redis_probe {
    struct loop *loop;
    const struct redis_target *target;
    struct redis_lookup *lookup;
    struct redis_addresses addresses; /* the last that were found */
    struct probe_socket sockets[REDIS_ADDRESSES_MAX];
    uint64_t started_ms;
    unsigned tried; /* addresses that were connected to */
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
    for (unsigned i = 0; i < REDIS_ADDRESSES_MAX; i++) {
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
        redis_lookup_cancel(&probe->lookup);
        free(probe);
    }
}

static void on_resolved(void *arg, const struct redis_addresses *addresses)
{
    struct redis_probe *probe = arg;

    if (addresses->error == 0) {
        probe->addresses = *addresses;
    }
    redis_lookup_cancel(&probe->lookup);
}

void redis_probe_refresh(struct redis_probe *probe)
{
    const struct redis_target *target = probe->target;
    struct redis_addresses found;

    if (probe->lookup || (target->scheme != REDIS_TCP && target->scheme != REDIS_TLS)) {
        return;
    }
    if (redis_resolve_numeric(target->host, target->port, &found)) {
        probe->addresses = found;
    } else {
        probe->lookup = redis_lookup_start(probe->loop, target->host, target->port, LOOKUP_MS,
                                           on_resolved, probe);
    }
}

/* The network has dropped it, or knows no way. Everything else is somebody's answer, or a fault of
 * our own (no descriptors): then nothing may be concluded. */
static bool is_silence(int error)
{
    return error == ETIMEDOUT || error == EHOSTUNREACH || error == ENETUNREACH ||
           error == EHOSTDOWN || error == ENETDOWN;
}

static void on_ready(void *arg, unsigned events)
{
    struct probe_socket *socket = arg;
    struct redis_probe *probe = socket->probe;
    int error = 0;
    socklen_t len = sizeof error;

    if (getsockopt(socket->fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0) {
        error = errno;
    }
    probe->answered |= !is_silence(error);
    close_socket(socket);
}

static void connect_to(struct redis_probe *probe, const struct redis_address *address)
{
    struct probe_socket *own = &probe->sockets[probe->tried++];

    own->probe = probe;
    own->fd = socket(address->storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (own->fd < 0) {
        probe->answered = true;
        return;
    }
    if (connect(own->fd, (const struct sockaddr *)&address->storage, address->len) != 0 &&
        errno != EINPROGRESS) {
        probe->answered |= !is_silence(errno);
        close(own->fd);
        return;
    }
    own->io = loop_io_create(probe->loop, own->fd, on_ready, own);
    loop_io_set(own->io, LOOP_WRITE);
}

void redis_probe_start(struct redis_probe *probe)
{
    redis_probe_stop(probe);
    probe->started_ms = loop_now_ms(probe->loop);
    for (unsigned i = 0; i < probe->addresses.count; i++) {
        connect_to(probe, &probe->addresses.list[i]);
    }
}

enum redis_probe_state redis_probe_check(const struct redis_probe *probe, uint64_t patience_ms)
{
    if (probe->answered) {
        return REDIS_PROBE_ANSWERED;
    }
    return probe->tried > 0 && redis_probe_age_ms(probe) >= patience_ms ? REDIS_PROBE_SILENT
                                                                        : REDIS_PROBE_WAITING;
}

uint64_t redis_probe_age_ms(const struct redis_probe *probe)
{
    return loop_now_ms(probe->loop) - probe->started_ms;
}
