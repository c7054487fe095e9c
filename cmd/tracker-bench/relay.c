/* relay: see the header. */
#include "relay.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "bench.h"

#define BACKLOG 4096

struct forwarding {
    struct loop *loop;
    int in;
    int out;
    int *receivers; /* -1: dropped */
    uint32_t count;
    uint32_t capacity;
    uint8_t buffer[65536];
};

struct source {
    struct forwarding *forwarding;
    struct loop_io *io;
    int fd;
};

static int listen_anywhere(char where[32])
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, len) != 0 || listen(fd, BACKLOG) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &len) != 0)
        bench_fail("the relay cannot listen: %s", strerror(errno));
    (void)snprintf(where, 32, "127.0.0.1:%u", ntohs(address.sin_port));
    return fd;
}

static void write_all(struct forwarding *forwarding, size_t len)
{
    for (uint32_t i = 0; i < forwarding->count; i++) {
        int fd = forwarding->receivers[i];
        if (fd < 0 || send(fd, forwarding->buffer, len, MSG_NOSIGNAL) == (ssize_t)len)
            continue;
        (void)close(fd);
        forwarding->receivers[i] = -1;
    }
}

static void forward(void *arg, unsigned events)
{
    struct source *source = arg;
    struct forwarding *forwarding = source->forwarding;
    ssize_t n = recv(source->fd, forwarding->buffer, sizeof forwarding->buffer, 0);
    if (n > 0) {
        write_all(forwarding, (size_t)n);
    } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
        loop_io_destroy(&source->io);
        (void)close(source->fd);
        free(source);
    }
}

static int accept_one(int listener)
{
    int on = 1;
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

static void accept_source(void *arg, unsigned events)
{
    struct forwarding *forwarding = arg;
    int fd;
    while ((fd = accept_one(forwarding->in)) >= 0) {
        struct source *source = mem_zalloc(1, sizeof *source);
        source->forwarding = forwarding;
        source->fd = fd;
        source->io = loop_io_create(forwarding->loop, fd, forward, source);
        loop_io_set(source->io, LOOP_READ);
    }
}

static void accept_receiver(void *arg, unsigned events)
{
    struct forwarding *forwarding = arg;
    int fd;
    while ((fd = accept_one(forwarding->out)) >= 0) {
        if (forwarding->count == forwarding->capacity) {
            forwarding->capacity = forwarding->capacity ? forwarding->capacity * 2 : 64;
            forwarding->receivers = mem_realloc(
                forwarding->receivers, forwarding->capacity * sizeof *forwarding->receivers);
        }
        forwarding->receivers[forwarding->count++] = fd;
    }
}

static void listen_on(struct forwarding *forwarding, int fd, loop_io_callback callback)
{
    struct loop_io *io = loop_io_create(forwarding->loop, fd, callback, forwarding);
    loop_io_set(io, LOOP_READ);
}

_Noreturn static void run(int in, int out, pid_t parent)
{
    struct forwarding *forwarding = mem_zalloc(1, sizeof *forwarding);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    forwarding->loop = loop_create();
    forwarding->in = in;
    forwarding->out = out;
    listen_on(forwarding, in, accept_source);
    listen_on(forwarding, out, accept_receiver);
    loop_run(forwarding->loop);
    _exit(0);
}

void relay_start(struct relay *relay)
{
    pid_t parent = getpid();
    int in = listen_anywhere(relay->in);
    int out = listen_anywhere(relay->out);
    relay->pid = fork();
    if (relay->pid < 0)
        bench_fail("cannot fork: %s", strerror(errno));
    if (relay->pid == 0)
        run(in, out, parent);
    (void)close(in);
    (void)close(out);
}

void relay_stop(struct relay *relay)
{
    (void)kill(relay->pid, SIGKILL);
    (void)waitpid(relay->pid, NULL, 0);
}
