/*
 * pinger: one socket of each family for all questions over UDP, one socket for each over TCP.
 *
 * What is asked stands in a queue, and in the list of those in flight, oldest first, which is also
 * the order of their time-outs. An answer is known by its address and the challenge in it.
 */
#include "client/pinger.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/random.h"
#include "codec/gltron.h"
#include "codec/infostring.h"
#include "codec/q3master_client.h"
#include "stream/connect.h"

#define DEFAULT_INTERVAL_MS 10
#define DEFAULT_IN_FLIGHT   32
#define DEFAULT_TIMEOUT_MS  1000
#define DEFAULT_TRIES       2
#define DATAGRAM_MAX        2048
#define DATAGRAMS_A_TURN    64

struct ask {
    struct list link;
    struct address server;
    enum pinger_method method;
    uint32_t tries;
    uint32_t token; /* random for each question: what an answer must bring */
    uint64_t sent_us;
    int fd; /* of TCP; -1: none */
    struct loop_io *io;
    struct pinger *pinger;
};

struct pinger_udp {
    int fd; /* -1: not opened yet, or not to be had */
    struct loop_io *io;
};

struct pinger {
    struct loop *loop;
    struct pinger_options options;
    const struct pinger_events *events;
    void *arg;
    struct list waiting;
    struct list flying;
    size_t waiting_count, flying_count;
    struct pinger_udp ipv4, ipv6;
    struct loop_timer *pace;
    struct loop_timer *deadline;
    struct loop_task release;
    bool destroyed;
};

static void set_timers(struct pinger *pinger);

static void free_ask(struct ask *ask)
{
    loop_io_destroy(&ask->io);
    if (ask->fd >= 0)
        (void)close(ask->fd);
    list_remove(&ask->link);
    free(ask);
}

static void remove_from_flight(struct ask *ask)
{
    ask->pinger->flying_count--;
    list_remove(&ask->link);
}

/* Ends a question that is in neither list. */
static void report_ping(struct ask *ask, bool answered, uint32_t microseconds,
                        struct bytes infostring)
{
    struct pinger *pinger = ask->pinger;
    struct address server = ask->server;
    free_ask(ask);
    if (answered)
        pinger->events->answered(pinger->arg, &server, microseconds, infostring);
    else
        pinger->events->silent(pinger->arg, &server);
}

static uint32_t elapsed_since_sent(const struct ask *ask)
{
    uint64_t microseconds = clock_monotonic_us() - ask->sent_us;
    return microseconds < UINT32_MAX ? (uint32_t)microseconds : UINT32_MAX;
}

static void on_ping_answered(struct ask *ask, struct bytes infostring)
{
    struct pinger *pinger = ask->pinger;
    uint32_t microseconds = elapsed_since_sent(ask);
    remove_from_flight(ask);
    report_ping(ask, true, microseconds, infostring);
    if (!pinger->destroyed)
        set_timers(pinger);
}

/* Again from the end of the queue, or given up. */
static void on_ping_unanswered(struct ask *ask)
{
    struct pinger *pinger = ask->pinger;
    remove_from_flight(ask);
    loop_io_destroy(&ask->io);
    if (ask->fd >= 0)
        (void)close(ask->fd);
    ask->fd = -1;
    if (ask->tries < pinger->options.tries) {
        list_append(&pinger->waiting, &ask->link);
        pinger->waiting_count++;
    } else {
        report_ping(ask, false, 0, (struct bytes){0});
    }
}

static bool is_answer(const struct ask *ask, const struct address *from, struct bytes datagram,
                      struct bytes *infostring)
{
    char challenge[16];
    uint32_t time, place;
    struct bytes brought;
    if (!address_same_ip(&ask->server, from))
        return false;
    if (ask->method == PINGER_GLTRON)
        return gltron_read_pong(datagram, &time, &place) && time == ask->token;
    struct q3client_packet packet = q3client_read(datagram);
    if (ask->method != PINGER_GETINFO || ask->server.port != from->port ||
        packet.type != Q3CLIENT_INFO ||
        !infostring_find_any_case(packet.infostring, "challenge", &brought))
        return false;
    snprintf(challenge, sizeof challenge, "%08x", (unsigned)ask->token);
    *infostring = packet.infostring;
    return bytes_equal(brought, bytes_from_string(challenge));
}

static void take_datagram(struct pinger *pinger, const struct address *from, struct bytes datagram)
{
    LIST_FOREACH (node, &pinger->flying) {
        struct ask *ask = list_entry(node, struct ask, link);
        struct bytes infostring = {0};
        if (is_answer(ask, from, datagram, &infostring)) {
            on_ping_answered(ask, infostring);
            return;
        }
    }
}

static void on_udp(struct pinger *pinger, const struct pinger_udp *udp)
{
    uint8_t bytes[DATAGRAM_MAX];
    for (int i = 0; i < DATAGRAMS_A_TURN && !pinger->destroyed; i++) {
        struct sockaddr_storage storage;
        socklen_t len = sizeof storage;
        struct address from;
        ssize_t n = recvfrom(udp->fd, bytes, sizeof bytes, 0, (struct sockaddr *)&storage, &len);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (n < 0)
            continue; /* what an earlier datagram met: its question's time will end */
        address_from_sockaddr((struct sockaddr *)&storage, &from);
        take_datagram(pinger, &from, (struct bytes){bytes, (size_t)n});
    }
}

static void on_ipv4(void *arg, unsigned events)
{
    struct pinger *pinger = arg;
    on_udp(pinger, &pinger->ipv4);
}

static void on_ipv6(void *arg, unsigned events)
{
    struct pinger *pinger = arg;
    on_udp(pinger, &pinger->ipv6);
}

/* -1 when this machine has no such family. */
static int open_udp(struct pinger *pinger, int family)
{
    struct pinger_udp *udp = family == AF_INET ? &pinger->ipv4 : &pinger->ipv6;
    if (udp->fd >= 0)
        return udp->fd;
    udp->fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (udp->fd < 0)
        return -1;
    udp->io = loop_io_create(pinger->loop, udp->fd, family == AF_INET ? on_ipv4 : on_ipv6, pinger);
    loop_io_set(udp->io, LOOP_READ);
    return udp->fd;
}

static void ask_by_udp(struct ask *ask)
{
    struct sockaddr_storage storage;
    struct address to = ask->server;
    struct writer question = {0};
    char challenge[16];
    if (ask->method == PINGER_GLTRON) {
        to.port = GLTRON_PING_PORT;
        gltron_write_ping(&question, ask->token, 0);
    } else {
        snprintf(challenge, sizeof challenge, "%08x", (unsigned)ask->token);
        q3master_write_getinfo(&question, bytes_from_string(challenge));
    }
    socklen_t len = address_to_sockaddr(&to, &storage);
    int fd = len ? open_udp(ask->pinger, storage.ss_family) : -1;
    /* One that cannot be sent is as good as lost. */
    if (fd >= 0)
        (void)!sendto(fd, question.data, question.len, MSG_NOSIGNAL, (struct sockaddr *)&storage,
                      len);
    writer_free(&question);
}

static void on_ping_connected(void *arg, unsigned events)
{
    struct ask *ask = arg;
    struct pinger *pinger = ask->pinger;
    if (stream_connect_error(ask->fd) == 0) {
        on_ping_answered(ask, (struct bytes){0});
        return;
    }
    on_ping_unanswered(ask);
    if (!pinger->destroyed)
        set_timers(pinger);
}

static void ask_by_tcp(struct ask *ask)
{
    struct stream_address to;
    if (stream_address_of_ip(&ask->server, &to))
        ask->fd = stream_connect(&to, NULL);
    if (ask->fd < 0)
        return;
    ask->io = loop_io_create(ask->pinger->loop, ask->fd, on_ping_connected, ask);
    loop_io_set(ask->io, LOOP_WRITE);
}

static void ask_next(struct pinger *pinger)
{
    struct ask *ask = list_entry(pinger->waiting.next, struct ask, link);
    list_remove(&ask->link);
    pinger->waiting_count--;
    list_append(&pinger->flying, &ask->link);
    pinger->flying_count++;
    ask->tries++;
    random_bytes(&ask->token, sizeof ask->token);
    ask->sent_us = clock_monotonic_us();
    if (ask->method == PINGER_TCP)
        ask_by_tcp(ask);
    else
        ask_by_udp(ask);
}

static void on_pace(void *arg)
{
    struct pinger *pinger = arg;
    if (!list_is_empty(&pinger->waiting) && pinger->flying_count < pinger->options.in_flight)
        ask_next(pinger);
    set_timers(pinger);
}

static void on_ping_deadline(void *arg)
{
    struct pinger *pinger = arg;
    uint64_t now = clock_monotonic_us(), timeout = pinger->options.timeout_ms * 1000ull;
    while (!pinger->destroyed && !list_is_empty(&pinger->flying)) {
        struct ask *ask = list_entry(pinger->flying.next, struct ask, link);
        if (now - ask->sent_us < timeout)
            break;
        on_ping_unanswered(ask);
    }
    if (!pinger->destroyed)
        set_timers(pinger);
}

static void set_timers(struct pinger *pinger)
{
    bool may_ask =
        !list_is_empty(&pinger->waiting) && pinger->flying_count < pinger->options.in_flight;
    if (may_ask && !loop_timer_is_running(pinger->pace))
        loop_timer_start(pinger->pace, pinger->options.interval_ms);
    if (list_is_empty(&pinger->flying)) {
        loop_timer_stop(pinger->deadline);
        return;
    }
    struct ask *oldest = list_entry(pinger->flying.next, struct ask, link);
    uint64_t passed = elapsed_since_sent(oldest) / 1000, timeout = pinger->options.timeout_ms;
    loop_timer_start(pinger->deadline, passed < timeout ? timeout - passed + 1 : 0);
}

struct pinger *pinger_create(struct loop *loop, const struct pinger_options *options,
                             const struct pinger_events *events, void *arg)
{
    struct pinger *pinger = mem_zalloc(1, sizeof *pinger);
    random_init();
    pinger->loop = loop;
    if (options)
        pinger->options = *options;
    if (pinger->options.interval_ms == 0)
        pinger->options.interval_ms = DEFAULT_INTERVAL_MS;
    if (pinger->options.in_flight == 0)
        pinger->options.in_flight = DEFAULT_IN_FLIGHT;
    if (pinger->options.timeout_ms == 0)
        pinger->options.timeout_ms = DEFAULT_TIMEOUT_MS;
    if (pinger->options.tries == 0)
        pinger->options.tries = DEFAULT_TRIES;
    pinger->events = events;
    pinger->arg = arg;
    list_init(&pinger->waiting);
    list_init(&pinger->flying);
    pinger->ipv4.fd = pinger->ipv6.fd = -1;
    pinger->pace = loop_timer_create(loop, on_pace, pinger);
    pinger->deadline = loop_timer_create(loop, on_ping_deadline, pinger);
    return pinger;
}

static void close_udp(struct pinger_udp *udp)
{
    loop_io_destroy(&udp->io);
    if (udp->fd >= 0)
        (void)close(udp->fd);
}

static void free_all(struct list *asks)
{
    while (!list_is_empty(asks))
        free_ask(list_entry(asks->next, struct ask, link));
}

static void release_pinger(void *arg)
{
    free(arg);
}

void pinger_destroy(struct pinger **pointer)
{
    struct pinger *pinger = *pointer;
    *pointer = NULL;
    if (!pinger)
        return;
    pinger->destroyed = true;
    free_all(&pinger->waiting);
    free_all(&pinger->flying);
    close_udp(&pinger->ipv4);
    close_udp(&pinger->ipv6);
    loop_timer_destroy(&pinger->pace);
    loop_timer_destroy(&pinger->deadline);
    pinger->release = (struct loop_task){.callback = release_pinger, .arg = pinger};
    loop_defer(pinger->loop, LOOP_PHASE_FREE, &pinger->release);
}

static struct ask *find_in(const struct list *asks, const struct address *server)
{
    for (const struct list *node = asks->next; node != asks; node = node->next) {
        struct ask *ask = list_entry(node, struct ask, link);
        if (ask->server.port == server->port && address_same_ip(&ask->server, server))
            return ask;
    }
    return NULL;
}

void pinger_ask(struct pinger *pinger, const struct address *server, enum pinger_method method)
{
    if (find_in(&pinger->waiting, server) || find_in(&pinger->flying, server))
        return;
    struct ask *ask = mem_zalloc(1, sizeof *ask);
    ask->pinger = pinger;
    ask->server = *server;
    ask->method = method;
    ask->fd = -1;
    list_init(&ask->link);
    list_append(&pinger->waiting, &ask->link);
    pinger->waiting_count++;
    set_timers(pinger);
}

void pinger_forget(struct pinger *pinger, const struct address *server)
{
    struct ask *ask = find_in(&pinger->waiting, server);
    if (ask) {
        pinger->waiting_count--;
        free_ask(ask);
        return;
    }
    ask = find_in(&pinger->flying, server);
    if (ask) {
        pinger->flying_count--;
        free_ask(ask);
        set_timers(pinger);
    }
}

size_t pinger_waiting(const struct pinger *pinger)
{
    return pinger->waiting_count + pinger->flying_count;
}
