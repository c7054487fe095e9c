/*
 * pinger: one UDP socket of each family for all pings, one TCP socket for each ping by TCP.
 *
 * A ping is in the queue or in the list of those in flight, which is ordered by time sent, and so
 * by time-out. A reply is matched by its address and its challenge.
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

#define DEFAULT_INTERVAL_MS   10
#define DEFAULT_MAX_IN_FLIGHT 32
#define DEFAULT_TIMEOUT_MS    1000
#define DEFAULT_ATTEMPTS      2
#define DATAGRAM_MAX          2048
#define DATAGRAMS_PER_WAKEUP  64

struct pinger_ping {
    struct list link;
    struct address server;
    enum pinger_method method;
    uint32_t attempts;
    uint32_t token; /* random for each attempt; a reply must contain it */
    uint64_t sent_us;
    int fd; /* TCP; -1: none */
    struct loop_io *io;
    struct pinger *pinger;
};

struct pinger_udp {
    int fd; /* -1: not open, or the family is unavailable */
    struct loop_io *io;
};

struct pinger {
    struct loop *loop;
    struct pinger_options options;
    const struct pinger_events *events;
    void *arg;
    struct list queued;
    struct list in_flight;
    size_t queued_count, in_flight_count;
    struct pinger_udp ipv4, ipv6;
    struct loop_timer *pace;
    struct loop_timer *deadline;
    struct loop_task release;
    bool destroyed;
};

static void set_timers(struct pinger *pinger);

static void free_ping(struct pinger_ping *ping)
{
    loop_io_destroy(&ping->io);
    if (ping->fd >= 0) {
        (void)close(ping->fd);
    }
    list_remove(&ping->link);
    free(ping);
}

static void remove_from_flight(struct pinger_ping *ping)
{
    ping->pinger->in_flight_count--;
    list_remove(&ping->link);
}

/* Completes a ping that is in neither list. */
static void report_ping(struct pinger_ping *ping, bool answered, uint32_t microseconds,
                        struct bytes infostring)
{
    struct pinger *pinger = ping->pinger;
    struct address server = ping->server;
    free_ping(ping);
    if (answered) {
        pinger->events->answered(pinger->arg, &server, microseconds, infostring);
    } else {
        pinger->events->timed_out(pinger->arg, &server);
    }
}

static uint32_t elapsed_since_sent(const struct pinger_ping *ping)
{
    uint64_t microseconds = clock_monotonic_us() - ping->sent_us;
    return microseconds < UINT32_MAX ? (uint32_t)microseconds : UINT32_MAX;
}

static void on_ping_answered(struct pinger_ping *ping, struct bytes infostring)
{
    struct pinger *pinger = ping->pinger;
    uint32_t microseconds = elapsed_since_sent(ping);
    remove_from_flight(ping);
    report_ping(ping, true, microseconds, infostring);
    if (!pinger->destroyed) {
        set_timers(pinger);
    }
}

/* Queues the ping again, or reports that it timed out. */
static void on_ping_unanswered(struct pinger_ping *ping)
{
    struct pinger *pinger = ping->pinger;
    remove_from_flight(ping);
    loop_io_destroy(&ping->io);
    if (ping->fd >= 0) {
        (void)close(ping->fd);
    }
    ping->fd = -1;
    if (ping->attempts < pinger->options.attempts) {
        list_append(&pinger->queued, &ping->link);
        pinger->queued_count++;
    } else {
        report_ping(ping, false, 0, (struct bytes){0});
    }
}

static bool is_answer(const struct pinger_ping *ping, const struct address *from,
                      struct bytes datagram, struct bytes *infostring)
{
    char challenge[16];
    uint32_t time, place;
    struct bytes echoed;
    if (!address_same_ip(&ping->server, from)) {
        return false;
    }
    if (ping->method == PINGER_GLTRON) {
        return gltron_read_pong(datagram, &time, &place) && time == ping->token;
    }
    struct q3client_packet packet = q3client_read(datagram);
    if (ping->method != PINGER_GETINFO || ping->server.port != from->port ||
        packet.type != Q3CLIENT_INFO ||
        !infostring_find_any_case(packet.infostring, "challenge", &echoed)) {
        return false;
    }
    snprintf(challenge, sizeof challenge, "%08x", (unsigned)ping->token);
    *infostring = packet.infostring;
    return bytes_equal(echoed, bytes_from_string(challenge));
}

static void handle_pong_datagram(struct pinger *pinger, const struct address *from,
                                 struct bytes datagram)
{
    LIST_FOREACH (node, &pinger->in_flight) {
        struct pinger_ping *ping = list_entry(node, struct pinger_ping, link);
        struct bytes infostring = {0};
        if (is_answer(ping, from, datagram, &infostring)) {
            on_ping_answered(ping, infostring);
            return;
        }
    }
}

static void on_udp(struct pinger *pinger, const struct pinger_udp *udp)
{
    uint8_t bytes[DATAGRAM_MAX];
    for (int i = 0; i < DATAGRAMS_PER_WAKEUP && !pinger->destroyed; i++) {
        struct sockaddr_storage storage;
        socklen_t len = sizeof storage;
        struct address from;
        ssize_t n = recvfrom(udp->fd, bytes, sizeof bytes, 0, (struct sockaddr *)&storage, &len);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            return;
        }
        if (n < 0) {
            continue; /* an ICMP error of an earlier datagram: its ping will time out */
        }
        address_from_sockaddr((struct sockaddr *)&storage, &from);
        handle_pong_datagram(pinger, &from, (struct bytes){bytes, (size_t)n});
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

/* -1 when this host has no such address family. */
static int open_udp(struct pinger *pinger, int family)
{
    struct pinger_udp *udp = family == AF_INET ? &pinger->ipv4 : &pinger->ipv6;
    if (udp->fd >= 0) {
        return udp->fd;
    }
    udp->fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (udp->fd < 0) {
        return -1;
    }
    udp->io = loop_io_create(pinger->loop, udp->fd, family == AF_INET ? on_ipv4 : on_ipv6, pinger);
    loop_io_set(udp->io, LOOP_READ);
    return udp->fd;
}

static void send_udp_ping(struct pinger_ping *ping)
{
    struct sockaddr_storage storage;
    struct address to = ping->server;
    struct writer request = {0};
    char challenge[16];
    if (ping->method == PINGER_GLTRON) {
        to.port = GLTRON_PING_PORT;
        gltron_write_ping(&request, ping->token, 0);
    } else {
        snprintf(challenge, sizeof challenge, "%08x", (unsigned)ping->token);
        q3master_write_getinfo(&request, bytes_from_string(challenge));
    }
    socklen_t len = address_to_sockaddr(&to, &storage);
    int fd = len ? open_udp(ping->pinger, storage.ss_family) : -1;
    /* A datagram that cannot be sent counts as lost. */
    if (fd >= 0) {
        (void)!sendto(fd, request.data, request.len, MSG_NOSIGNAL, (struct sockaddr *)&storage,
                      len);
    }
    writer_free(&request);
}

static void on_ping_connected(void *arg, unsigned events)
{
    struct pinger_ping *ping = arg;
    struct pinger *pinger = ping->pinger;
    if (stream_connect_error(ping->fd) == 0) {
        on_ping_answered(ping, (struct bytes){0});
        return;
    }
    on_ping_unanswered(ping);
    if (!pinger->destroyed) {
        set_timers(pinger);
    }
}

static void start_tcp_ping(struct pinger_ping *ping)
{
    struct stream_address to;
    if (stream_address_of_ip(&ping->server, &to)) {
        ping->fd = stream_connect(&to, NULL);
    }
    if (ping->fd < 0) {
        return;
    }
    ping->io = loop_io_create(ping->pinger->loop, ping->fd, on_ping_connected, ping);
    loop_io_set(ping->io, LOOP_WRITE);
}

static void send_next_ping(struct pinger *pinger)
{
    struct pinger_ping *ping = list_entry(pinger->queued.next, struct pinger_ping, link);
    list_remove(&ping->link);
    pinger->queued_count--;
    list_append(&pinger->in_flight, &ping->link);
    pinger->in_flight_count++;
    ping->attempts++;
    random_bytes(&ping->token, sizeof ping->token);
    ping->sent_us = clock_monotonic_us();
    if (ping->method == PINGER_TCP) {
        start_tcp_ping(ping);
    } else {
        send_udp_ping(ping);
    }
}

static void on_pace(void *arg)
{
    struct pinger *pinger = arg;
    if (!list_is_empty(&pinger->queued) &&
        pinger->in_flight_count < pinger->options.max_in_flight) {
        send_next_ping(pinger);
    }
    set_timers(pinger);
}

static void on_ping_deadline(void *arg)
{
    struct pinger *pinger = arg;
    uint64_t now = clock_monotonic_us(), timeout = pinger->options.timeout_ms * 1000ull;
    while (!pinger->destroyed && !list_is_empty(&pinger->in_flight)) {
        struct pinger_ping *ping = list_entry(pinger->in_flight.next, struct pinger_ping, link);
        if (now - ping->sent_us < timeout) {
            break;
        }
        on_ping_unanswered(ping);
    }
    if (!pinger->destroyed) {
        set_timers(pinger);
    }
}

static void set_timers(struct pinger *pinger)
{
    bool can_ping =
        !list_is_empty(&pinger->queued) && pinger->in_flight_count < pinger->options.max_in_flight;
    if (can_ping && !loop_timer_is_running(pinger->pace)) {
        loop_timer_start(pinger->pace, pinger->options.interval_ms);
    }
    if (list_is_empty(&pinger->in_flight)) {
        loop_timer_stop(pinger->deadline);
        return;
    }
    struct pinger_ping *oldest = list_entry(pinger->in_flight.next, struct pinger_ping, link);
    uint64_t passed = elapsed_since_sent(oldest) / 1000, timeout = pinger->options.timeout_ms;
    loop_timer_start(pinger->deadline, passed < timeout ? timeout - passed + 1 : 0);
}

struct pinger *pinger_create(struct loop *loop, const struct pinger_options *options,
                             const struct pinger_events *events, void *arg)
{
    struct pinger *pinger = mem_zalloc(1, sizeof *pinger);
    random_init();
    pinger->loop = loop;
    if (options) {
        pinger->options = *options;
    }
    if (pinger->options.interval_ms == 0) {
        pinger->options.interval_ms = DEFAULT_INTERVAL_MS;
    }
    if (pinger->options.max_in_flight == 0) {
        pinger->options.max_in_flight = DEFAULT_MAX_IN_FLIGHT;
    }
    if (pinger->options.timeout_ms == 0) {
        pinger->options.timeout_ms = DEFAULT_TIMEOUT_MS;
    }
    if (pinger->options.attempts == 0) {
        pinger->options.attempts = DEFAULT_ATTEMPTS;
    }
    pinger->events = events;
    pinger->arg = arg;
    list_init(&pinger->queued);
    list_init(&pinger->in_flight);
    pinger->ipv4.fd = pinger->ipv6.fd = -1;
    pinger->pace = loop_timer_create(loop, on_pace, pinger);
    pinger->deadline = loop_timer_create(loop, on_ping_deadline, pinger);
    return pinger;
}

static void close_udp(struct pinger_udp *udp)
{
    loop_io_destroy(&udp->io);
    if (udp->fd >= 0) {
        (void)close(udp->fd);
    }
}

static void free_all(struct list *pings)
{
    while (!list_is_empty(pings)) {
        free_ping(list_entry(pings->next, struct pinger_ping, link));
    }
}

static void release_pinger(void *arg)
{
    free(arg);
}

void pinger_destroy(struct pinger **pointer)
{
    struct pinger *pinger = *pointer;
    *pointer = NULL;
    if (!pinger) {
        return;
    }
    pinger->destroyed = true;
    free_all(&pinger->queued);
    free_all(&pinger->in_flight);
    close_udp(&pinger->ipv4);
    close_udp(&pinger->ipv6);
    loop_timer_destroy(&pinger->pace);
    loop_timer_destroy(&pinger->deadline);
    pinger->release = (struct loop_task){.callback = release_pinger, .arg = pinger};
    loop_defer(pinger->loop, LOOP_PHASE_FREE, &pinger->release);
}

static struct pinger_ping *find_in(const struct list *pings, const struct address *server)
{
    for (const struct list *node = pings->next; node != pings; node = node->next) {
        struct pinger_ping *ping = list_entry(node, struct pinger_ping, link);
        if (ping->server.port == server->port && address_same_ip(&ping->server, server)) {
            return ping;
        }
    }
    return NULL;
}

void pinger_ping(struct pinger *pinger, const struct address *server, enum pinger_method method)
{
    if (find_in(&pinger->queued, server) || find_in(&pinger->in_flight, server)) {
        return;
    }
    struct pinger_ping *ping = mem_zalloc(1, sizeof *ping);
    ping->pinger = pinger;
    ping->server = *server;
    ping->method = method;
    ping->fd = -1;
    list_init(&ping->link);
    list_append(&pinger->queued, &ping->link);
    pinger->queued_count++;
    set_timers(pinger);
}

void pinger_cancel(struct pinger *pinger, const struct address *server)
{
    struct pinger_ping *ping = find_in(&pinger->queued, server);
    if (ping) {
        pinger->queued_count--;
        free_ping(ping);
        return;
    }
    ping = find_in(&pinger->in_flight, server);
    if (ping) {
        pinger->in_flight_count--;
        free_ping(ping);
        set_timers(pinger);
    }
}

size_t pinger_pending_count(const struct pinger *pinger)
{
    return pinger->queued_count + pinger->in_flight_count;
}
