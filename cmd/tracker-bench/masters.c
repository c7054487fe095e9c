/*
 * masters: load on a master over UDP: queries for lists, from one player with many in flight; and a
 * flood from many addresses that never answer. masters_servers.c has game servers.
 *
 * Each is one process without workers: one socket, or one for each address, and a plain loop with
 * the system calls for many datagrams at once.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "masters_private.h"
#include "pacer.h"

#define QUESTION MASTERS_HEADER "getservers Bench 1 empty full"

#define BATCH    64
#define DRAIN_MS 5000 /* after a schedule: for the answers to the last queries */
#define TICK_US  1000

static struct address parse_masters_target(const struct options *options)
{
    struct address address;
    need_target(options->target);
    if (!address_parse(options->target, &address)) {
        bench_fail("--target: not ADDRESS:PORT");
    }
    return address;
}

int masters_open_socket(const struct address *target, uint32_t source)
{
    struct address from = {.family = ADDRESS_IPV4, .ip = {127}};
    struct sockaddr_storage storage;
    socklen_t len;
    int fd = socket(target->family == ADDRESS_IPV6 ? AF_INET6 : AF_INET, SOCK_DGRAM, 0);
    if (fd < 0) {
        bench_fail("socket: %s", strerror(errno));
    }
    if (source > 0) {
        uint32_t number = source + 1;
        from.ip[1] = (uint8_t)(number >> 16);
        from.ip[2] = (uint8_t)(number >> 8);
        from.ip[3] = (uint8_t)number;
        len = address_to_sockaddr(&from, &storage);
        if (bind(fd, (struct sockaddr *)&storage, len) != 0) {
            bench_fail("bind: %s", strerror(errno));
        }
    }
    len = address_to_sockaddr(target, &storage);
    if (connect(fd, (struct sockaddr *)&storage, len) != 0) {
        bench_fail("connect: %s", strerror(errno));
    }
    return fd;
}

void masters_allow_descriptors(uint32_t count)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < count + 64) {
        limit.rlim_cur = count + 64;
        if (limit.rlim_max < limit.rlim_cur) {
            limit.rlim_max = limit.rlim_cur;
        }
        if (setrlimit(RLIMIT_NOFILE, &limit) != 0) {
            bench_fail("%u descriptors: %s", count, strerror(errno));
        }
    }
}

void masters_sample(const struct options *options, struct proc_sample *samples)
{
    for (uint32_t i = 0; i < options->proc_count; i++) {
        proc_read(&options->procs[i], &samples[i]);
    }
}

void masters_report_cpu(const struct options *options, struct report *report,
                        const struct proc_sample *before, const struct proc_sample *after,
                        double count, const char *unit)
{
    for (uint32_t i = 0; i < options->proc_count; i++) {
        double cpu = (double)(after[i].cpu_us - before[i].cpu_us);
        const char *name = options->procs[i].name;
        report_add(report, cpu / options->seconds / 1e4, 1, "%", "%s_cpu_percent", name);
        if (count > 0) {
            report_add(report, cpu / count, 3, "us", "%s_cpu_us_per_%s", name, unit);
        }
        report_add(report, (double)after[i].rss / 1024, 0, "KiB", "%s_memory", name);
    }
}

/* getservers. */

struct tally {
    uint64_t asked, replies, packets, bytes, lost;
};

struct masters_player {
    int fd;
    struct mmsghdr in[BATCH], out[BATCH];
    struct iovec in_vectors[BATCH], out_vector;
    uint8_t buffers[BATCH][MASTERS_PACKET_MAX];
    struct tally tally;
};

static struct masters_player *create_player(const struct options *options)
{
    static char question[] = QUESTION;
    const struct address target = parse_masters_target(options);
    struct masters_player *player = mem_zalloc(1, sizeof *player);
    int size = 4 << 20;
    player->fd = masters_open_socket(&target, 0);
    (void)setsockopt(player->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    player->out_vector = (struct iovec){question, sizeof question - 1};
    for (size_t i = 0; i < BATCH; i++) {
        player->in_vectors[i] = (struct iovec){player->buffers[i], MASTERS_PACKET_MAX};
        player->in[i].msg_hdr = (struct msghdr){.msg_iov = &player->in_vectors[i], .msg_iovlen = 1};
        player->out[i].msg_hdr = (struct msghdr){.msg_iov = &player->out_vector, .msg_iovlen = 1};
    }
    return player;
}

static void send_queries(struct masters_player *player, uint32_t count)
{
    player->tally.asked += count;
    while (count > 0) {
        int sent = sendmmsg(player->fd, player->out, count < BATCH ? count : BATCH, 0);
        if (sent < 0) {
            bench_fail("sendmmsg: %s", strerror(errno));
        }
        count -= (uint32_t)sent;
    }
}

/* Whether it ends a list. */
static bool is_last(const uint8_t *packet, size_t len)
{
    return len >= 7 && memcmp(packet + len - 7, "\\EOT\0\0\0", 7) == 0;
}

/* Receives one batch of packets; returns how many lists they completed. */
static uint32_t receive_replies(struct masters_player *player)
{
    uint32_t ended = 0;
    int count = recvmmsg(player->fd, player->in, BATCH, MSG_DONTWAIT, NULL);
    for (int i = 0; i < count; i++) {
        player->tally.packets++;
        player->tally.bytes += player->in[i].msg_len;
        ended += is_last(player->buffers[i], player->in[i].msg_len);
    }
    player->tally.replies += ended;
    return ended;
}

/* Waits; true when a packet has arrived in time. */
static bool await_packets(const struct masters_player *player, uint64_t wait_us)
{
    struct pollfd poll_fd = {.fd = player->fd, .events = POLLIN};
    struct timespec wait = {(time_t)(wait_us / 1000000), (long)(wait_us % 1000000) * 1000};
    return ppoll(&poll_fd, 1, &wait, NULL) > 0;
}

/* Keeps as many queries in flight as the window. */
static void play_window(struct masters_player *player, uint32_t window, uint64_t end_us)
{
    send_queries(player, window);
    while (clock_monotonic_us() < end_us) {
        if (!await_packets(player, MASTERS_QUIET_MS * 1000)) {
            player->tally.lost += window;
            send_queries(player, window);
            continue;
        }
        send_queries(player, receive_replies(player));
    }
}

/* Sends every query at its scheduled time, whether earlier ones were answered or not. */
static void play_rate(struct masters_player *player, double rate, uint64_t begin_us,
                      uint64_t end_us)
{
    uint64_t next = begin_us;
    uint64_t now = begin_us;
    for (uint64_t asked = 0; now < end_us || next < end_us; now = clock_monotonic_us()) {
        uint32_t due = 0;
        while ((next = pacer_moment_us(begin_us, rate, asked + due)) <= now && next < end_us &&
               due < BATCH) {
            due++;
        }
        send_queries(player, due);
        asked += due;
        next = next < end_us ? next : end_us;
        if (await_packets(player, next > now ? next - now : 0)) {
            (void)receive_replies(player);
        }
    }
}

/* The tally of one span of the load. */
static struct tally play_span(struct masters_player *player, const struct options *options,
                              double seconds)
{
    const uint64_t begin = clock_monotonic_us();
    const uint64_t end = begin + (uint64_t)(seconds * 1e6);
    player->tally = (struct tally){0};
    if (options->rate > 0) {
        play_rate(player, options->rate, begin, end);
    } else {
        play_window(player, options->window, end);
    }
    return player->tally;
}

/* Queries that were never answered. */
static uint64_t count_lost(struct masters_player *player, uint64_t asked, uint64_t answered)
{
    player->tally = (struct tally){0};
    while (answered + player->tally.replies < asked && await_packets(player, DRAIN_MS * 1000)) {
        (void)receive_replies(player);
    }
    answered += player->tally.replies;
    return answered < asked ? asked - answered : 0;
}

void measure_getservers(const struct options *options, struct report *report)
{
    struct proc_sample before[OPTIONS_MAX_PROCS], after[OPTIONS_MAX_PROCS];
    struct masters_player *player = create_player(options);
    struct tally warmup = play_span(player, options, options->warmup);
    masters_sample(options, before);
    struct tally tally = play_span(player, options, options->seconds);
    masters_sample(options, after);
    if (options->rate > 0) {
        tally.lost = count_lost(player, warmup.asked + tally.asked, warmup.replies + tally.replies);
    }
    double replies = (double)tally.replies;
    if (tally.replies + player->tally.replies == 0) {
        bench_fail("no answer is received");
    }
    report_add(report, (double)tally.asked / options->seconds, 0, "/s", "questions");
    report_add(report, replies / options->seconds, 0, "/s", "replies");
    report_add(report, replies > 0 ? (double)tally.packets / replies : 0, 2, "",
               "packets_per_reply");
    report_add(report, replies > 0 ? (double)tally.bytes / replies : 0, 0, "B", "bytes_per_reply");
    report_add(report, (double)tally.lost, 0, "", "lost");
    masters_report_cpu(options, report, before, after, replies, "reply");
    close(player->fd);
    free(player);
}

/* flood. */

static struct bytes flood_text(const char *what)
{
    if (!what || strcmp(what, "heartbeats") == 0) {
        return BYTES_LITERAL(MASTERS_HEARTBEAT);
    }
    if (strcmp(what, "queries") == 0) {
        return BYTES_LITERAL(QUESTION);
    }
    if (strcmp(what, "answers") == 0) {
        return BYTES_LITERAL(MASTERS_ANSWER "abcdefghijk" MASTERS_ANSWER_END);
    }
    bench_fail("--service: heartbeats, queries or answers");
}

void measure_flood(const struct options *options, struct report *report)
{
    const struct address target = parse_masters_target(options);
    const struct bytes text = flood_text(options->service);
    const uint32_t count = options->sources > 0 ? options->sources : 1;
    struct proc_sample before[OPTIONS_MAX_PROCS], after[OPTIONS_MAX_PROCS];
    uint64_t sent = 0, refused = 0;
    masters_allow_descriptors(count);
    int *fds = mem_alloc(count * sizeof *fds);
    for (uint32_t i = 0; i < count; i++) {
        fds[i] = masters_open_socket(&target, options->sources > 0 ? i + 1 : 0);
    }
    masters_sample(options, before);
    const uint64_t began = clock_monotonic_us();
    for (uint64_t now = began; now < began + (uint64_t)(options->seconds * 1e6);
         now = clock_monotonic_us()) {
        uint64_t due = (uint64_t)((double)(now - began) / 1e6 * options->rate);
        for (; sent < due; sent++) {
            refused += send(fds[sent % count], text.data, text.len, MSG_DONTWAIT) < 0;
        }
        (void)usleep(TICK_US);
    }
    masters_sample(options, after);
    report_add(report, (double)sent / options->seconds, 0, "/s", "sent");
    report_add(report, (double)refused, 0, "", "not_sent");
    masters_report_cpu(options, report, before, after, (double)sent, "datagram");
    for (uint32_t i = 0; i < count; i++) {
        close(fds[i]);
    }
    free(fds);
}
