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
    struct receivers receivers;
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
        getsockname(fd, (struct sockaddr *)&address, &len) != 0) {
        bench_fail("the relay cannot listen: %s", strerror(errno));
    }
    (void)snprintf(where, 32, "127.0.0.1:%u", ntohs(address.sin_port));
    return fd;
}

void receivers_add(struct receivers *receivers, int fd)
{
    if (receivers->count == receivers->capacity) {
        receivers->capacity = receivers->capacity ? receivers->capacity * 2 : 64;
        receivers->fds = mem_realloc(receivers->fds, receivers->capacity * sizeof *receivers->fds);
    }
    receivers->fds[receivers->count++] = fd;
}

void receivers_write(struct receivers *receivers, const void *data, size_t len)
{
    for (uint32_t i = 0; i < receivers->count; i++) {
        int fd = receivers->fds[i];
        if (fd < 0 || send(fd, data, len, MSG_NOSIGNAL) == (ssize_t)len) {
            continue;
        }
        (void)close(fd);
        receivers->fds[i] = -1;
    }
}

int relay_accept(int listener)
{
    int on = 1;
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    }
    return fd;
}

static void forward(void *arg, unsigned events)
{
    struct source *source = arg;
    struct forwarding *forwarding = source->forwarding;
    ssize_t n = recv(source->fd, forwarding->buffer, sizeof forwarding->buffer, 0);
    if (n > 0) {
        receivers_write(&forwarding->receivers, forwarding->buffer, (size_t)n);
    } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
        loop_io_destroy(&source->io);
        (void)close(source->fd);
        free(source);
    }
}

static void accept_source(void *arg, unsigned events)
{
    struct forwarding *forwarding = arg;
    int fd;
    while ((fd = relay_accept(forwarding->in)) >= 0) {
        struct source *source = mem_zalloc(1, sizeof *source);
        source->forwarding = forwarding;
        source->fd = fd;
        source->io = loop_io_create(forwarding->loop, fd, forward, source);
        loop_io_set(source->io, LOOP_READ);
    }
}

static void on_forwarding_receiver(void *arg, unsigned events)
{
    struct forwarding *forwarding = arg;
    int fd;
    while ((fd = relay_accept(forwarding->out)) >= 0) {
        receivers_add(&forwarding->receivers, fd);
    }
}

void relay_bytes(struct loop *loop, int in, int out)
{
    struct forwarding *forwarding = mem_zalloc(1, sizeof *forwarding);
    forwarding->loop = loop;
    forwarding->in = in;
    forwarding->out = out;
    loop_io_set(loop_io_create(loop, in, accept_source, forwarding), LOOP_READ);
    loop_io_set(loop_io_create(loop, out, on_forwarding_receiver, forwarding), LOOP_READ);
}

_Noreturn static void run_relay(relay_service service, int in, int out, pid_t parent)
{
    struct loop *loop;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) {
        _exit(1);
    }
    loop = loop_create();
    service(loop, in, out);
    loop_run(loop);
    _exit(0);
}

void relay_start(struct relay *relay, relay_service service)
{
    pid_t parent = getpid();
    int in = listen_anywhere(relay->in);
    int out = listen_anywhere(relay->out);
    relay->pid = fork();
    if (relay->pid < 0) {
        bench_fail("cannot fork: %s", strerror(errno));
    }
    if (relay->pid == 0) {
        run_relay(service, in, out, parent);
    }
    (void)close(in);
    (void)close(out);
}

void relay_stop(struct relay *relay)
{
    (void)kill(relay->pid, SIGKILL);
    (void)waitpid(relay->pid, NULL, 0);
}
