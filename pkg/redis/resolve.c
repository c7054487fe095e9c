/*
 * resolve: getaddrinfo in a detached thread.
 *
 * The thread owns its request and its end of the socket pair; when nobody listens any more, its
 * answer goes nowhere. So there is no lock, and nothing to wait for.
 */
#include "redis/resolve.h"

#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

struct request {
    int fd;
    uint16_t port;
    char host[];
};

struct redis_lookup {
    int fd;
    struct loop_io *io;
    void (*done)(void *arg, const struct redis_addresses *addresses);
    void *arg;
};

static void look_up(const char *host, uint16_t port, int flags, struct redis_addresses *addresses)
{
    const struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = flags | AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    char service[8];

    memset(addresses, 0, sizeof *addresses);
    (void)snprintf(service, sizeof service, "%u", port);
    addresses->error = getaddrinfo(host, service, &hints, &found);
    if (addresses->error != 0) {
        return;
    }
    for (struct addrinfo *at = found; at != NULL && addresses->count < REDIS_ADDRESSES_MAX;
         at = at->ai_next) {
        struct redis_address *address = &addresses->list[addresses->count];

        if (at->ai_addrlen <= sizeof address->storage) {
            memcpy(&address->storage, at->ai_addr, at->ai_addrlen);
            address->len = at->ai_addrlen;
            addresses->count++;
        }
    }
    freeaddrinfo(found);
    if (addresses->count == 0) {
        addresses->error = EAI_NONAME;
    }
}

bool redis_resolve_numeric(const char *host, uint16_t port, struct redis_addresses *addresses)
{
    look_up(host, port, AI_NUMERICHOST, addresses);
    return addresses->error == 0;
}

static void *lookup_thread(void *arg)
{
    struct request *request = arg;
    struct redis_addresses addresses;

    look_up(request->host, request->port, 0, &addresses);
    (void)send(request->fd, &addresses, sizeof addresses, MSG_NOSIGNAL);
    close(request->fd);
    free(request);
    return NULL;
}

/* Signals are the loop's: none may be delivered to this thread. */
static int start_thread(struct request *request)
{
    pthread_attr_t attributes;
    sigset_t all, before;
    pthread_t thread;
    int error;

    sigfillset(&all);
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    error = pthread_create(&thread, &attributes, lookup_thread, request);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return error;
}

static void answered(void *arg, unsigned events)
{
    struct redis_lookup *lookup = arg;
    struct redis_addresses addresses;
    ssize_t len = recv(lookup->fd, &addresses, sizeof addresses, MSG_DONTWAIT);

    if (len < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    loop_io_set(lookup->io, 0);
    if (len != sizeof addresses) {
        memset(&addresses, 0, sizeof addresses);
        addresses.error = EAI_AGAIN; /* no thread, or no descriptors: try again */
    }
    lookup->done(lookup->arg, &addresses);
}

struct redis_lookup *
redis_lookup_start(struct loop *loop, const char *host, uint16_t port,
                   void (*done)(void *arg, const struct redis_addresses *addresses), void *arg)
{
    struct redis_lookup *lookup;
    struct request *request;
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
        return NULL;
    }
    request = mem_alloc(sizeof *request + strlen(host) + 1);
    request->fd = pair[1];
    request->port = port;
    memcpy(request->host, host, strlen(host) + 1);
    lookup = mem_zalloc(1, sizeof *lookup);
    lookup->fd = pair[0];
    lookup->done = done;
    lookup->arg = arg;
    lookup->io = loop_io_create(loop, lookup->fd, answered, lookup);
    loop_io_set(lookup->io, LOOP_READ);
    if (start_thread(request) != 0) {
        close(pair[1]); /* read as the end: EAI_AGAIN */
        free(request);
    }
    return lookup;
}

void redis_lookup_cancel(struct redis_lookup **pointer)
{
    struct redis_lookup *lookup = *pointer;

    *pointer = NULL;
    if (lookup != NULL) {
        loop_io_destroy(&lookup->io);
        close(lookup->fd);
        free(lookup);
    }
}
