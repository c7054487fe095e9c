/*
 * masters: what is asked of a master over UDP: lists, by one player with many questions under way;
 * a flood from many addresses that never answer; and game servers that register and stay.
 *
 * Each is one process without a crew: a socket, or one for each address, and a plain loop around
 * the system calls that take many datagrams at once.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/address.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/random.h"
#include "modes_private.h"

#define HEADER    "\xff\xff\xff\xff"
#define QUESTION  HEADER "getservers Bench 1 empty full"
#define HEARTBEAT HEADER "heartbeat DarkPlaces\n"
#define ANSWER    HEADER "infoResponse\n\\challenge\\"
#define ANSWER_END                                                                                 \
    "\\gamename\\Bench\\protocol\\1\\clients\\1\\sv_maxclients\\8\\hostname\\a bench server"
#define GETINFO    HEADER "getinfo "

#define BATCH      64
#define PACKET_MAX 2048
#define QUIET_MS   200 /* then what is under way counts as lost, and is asked again */
#define TICK_US    1000

static struct address read_target(const struct options *options)
{
    struct address address;
    need_target(options->target);
    if (!address_parse(options->target, &address))
        bench_fail("--target: not ADDRESS:PORT");
    return address;
}

/* source: from 127.0.0.2 on; 0: the system's choice. */
static int open_socket(const struct address *target, uint32_t source)
{
    struct address from = {.family = ADDRESS_IPV4, .ip = {127}};
    struct sockaddr_storage storage;
    socklen_t len;
    int fd = socket(target->family == ADDRESS_IPV6 ? AF_INET6 : AF_INET, SOCK_DGRAM, 0);
    if (fd < 0)
        bench_fail("socket: %s", strerror(errno));
    if (source > 0) {
        uint32_t number = source + 1;
        from.ip[1] = (uint8_t)(number >> 16);
        from.ip[2] = (uint8_t)(number >> 8);
        from.ip[3] = (uint8_t)number;
        len = address_to_sockaddr(&from, &storage);
        if (bind(fd, (struct sockaddr *)&storage, len) != 0)
            bench_fail("bind: %s", strerror(errno));
    }
    len = address_to_sockaddr(target, &storage);
    if (connect(fd, (struct sockaddr *)&storage, len) != 0)
        bench_fail("connect: %s", strerror(errno));
    return fd;
}

static void allow_descriptors(uint32_t count)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < count + 64) {
        limit.rlim_cur = count + 64;
        if (limit.rlim_max < limit.rlim_cur)
            limit.rlim_max = limit.rlim_cur;
        if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
            bench_fail("%u descriptors: %s", count, strerror(errno));
    }
}

static void sample(const struct options *options, struct proc_sample *samples)
{
    for (uint32_t i = 0; i < options->proc_count; i++)
        proc_read(&options->procs[i], &samples[i]);
}

static void report_cpu(const struct options *options, struct report *report,
                       const struct proc_sample *before, const struct proc_sample *after,
                       double count, const char *unit)
{
    for (uint32_t i = 0; i < options->proc_count; i++) {
        double cpu = (double)(after[i].cpu_us - before[i].cpu_us);
        const char *name = options->procs[i].name;
        report_add(report, cpu / options->seconds / 1e4, 1, "%", "%s_cpu_percent", name);
        if (count > 0)
            report_add(report, cpu / count, 3, "us", "%s_cpu_us_per_%s", name, unit);
        report_add(report, (double)after[i].rss / 1024, 0, "KiB", "%s_memory", name);
    }
}

/* getservers. */

struct player {
    int fd;
    struct mmsghdr in[BATCH], out[BATCH];
    struct iovec in_vectors[BATCH], out_vector;
    uint8_t buffers[BATCH][PACKET_MAX];
    uint64_t replies, packets, bytes, lost;
};

static struct player *create_player(const struct options *options)
{
    static char question[] = QUESTION;
    const struct address target = read_target(options);
    struct player *player = mem_zalloc(1, sizeof *player);
    int size = 4 << 20;
    player->fd = open_socket(&target, 0);
    (void)setsockopt(player->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    player->out_vector = (struct iovec){question, sizeof question - 1};
    for (size_t i = 0; i < BATCH; i++) {
        player->in_vectors[i] = (struct iovec){player->buffers[i], PACKET_MAX};
        player->in[i].msg_hdr = (struct msghdr){.msg_iov = &player->in_vectors[i], .msg_iovlen = 1};
        player->out[i].msg_hdr = (struct msghdr){.msg_iov = &player->out_vector, .msg_iovlen = 1};
    }
    return player;
}

static void ask(struct player *player, uint32_t count)
{
    while (count > 0) {
        int sent = sendmmsg(player->fd, player->out, count < BATCH ? count : BATCH, 0);
        if (sent < 0)
            bench_fail("sendmmsg: %s", strerror(errno));
        count -= (uint32_t)sent;
    }
}

/* Whether it ends a list. */
static bool is_last(const uint8_t *packet, size_t len)
{
    return len >= 7 && memcmp(packet + len - 7, "\\EOT\0\0\0", 7) == 0;
}

/* One batch of packets: how many lists they ended. */
static uint32_t take(struct player *player)
{
    uint32_t ended = 0;
    int count = recvmmsg(player->fd, player->in, BATCH, MSG_DONTWAIT, NULL);
    for (int i = 0; i < count; i++) {
        player->packets++;
        player->bytes += player->in[i].msg_len;
        ended += is_last(player->buffers[i], player->in[i].msg_len);
    }
    player->replies += ended;
    return ended;
}

static void play(struct player *player, uint32_t window, uint64_t end_us)
{
    ask(player, window);
    while (clock_monotonic_us() < end_us) {
        struct pollfd poll_fd = {.fd = player->fd, .events = POLLIN};
        if (poll(&poll_fd, 1, QUIET_MS) == 0) {
            player->lost += window;
            ask(player, window);
            continue;
        }
        uint32_t ended = take(player);
        if (ended > 0)
            ask(player, ended);
    }
}

void measure_getservers(const struct options *options, struct report *report)
{
    struct proc_sample before[OPTIONS_MAX_PROCS], after[OPTIONS_MAX_PROCS];
    struct player *player = create_player(options);
    if (options->window == 0)
        bench_fail("a window is needed");
    play(player, options->window, clock_monotonic_us() + (uint64_t)(options->warmup * 1e6));
    if (player->replies == 0)
        bench_fail("no answer comes");
    player->replies = player->packets = player->bytes = player->lost = 0;
    sample(options, before);
    play(player, options->window, clock_monotonic_us() + (uint64_t)(options->seconds * 1e6));
    sample(options, after);
    double replies = (double)player->replies;
    report_add(report, replies / options->seconds, 0, "/s", "replies");
    report_add(report, replies > 0 ? (double)player->packets / replies : 0, 2, "",
               "packets_per_reply");
    report_add(report, replies > 0 ? (double)player->bytes / replies : 0, 0, "B",
               "bytes_per_reply");
    report_add(report, (double)player->lost, 0, "", "lost");
    report_cpu(options, report, before, after, replies, "reply");
    close(player->fd);
    free(player);
}

/* flood. */

static struct bytes flood_text(const char *what)
{
    if (what == NULL || strcmp(what, "heartbeats") == 0)
        return BYTES_LITERAL(HEARTBEAT);
    if (strcmp(what, "queries") == 0)
        return BYTES_LITERAL(QUESTION);
    if (strcmp(what, "answers") == 0)
        return BYTES_LITERAL(ANSWER "abcdefghijk" ANSWER_END);
    bench_fail("--service: heartbeats, queries or answers");
}

void measure_flood(const struct options *options, struct report *report)
{
    const struct address target = read_target(options);
    const struct bytes text = flood_text(options->service);
    const uint32_t count = options->sources > 0 ? options->sources : 1;
    struct proc_sample before[OPTIONS_MAX_PROCS], after[OPTIONS_MAX_PROCS];
    uint64_t sent = 0, refused = 0;
    allow_descriptors(count);
    int *fds = mem_alloc(count * sizeof *fds);
    for (uint32_t i = 0; i < count; i++)
        fds[i] = open_socket(&target, options->sources > 0 ? i + 1 : 0);
    sample(options, before);
    const uint64_t began = clock_monotonic_us();
    for (uint64_t now = began; now < began + (uint64_t)(options->seconds * 1e6);
         now = clock_monotonic_us()) {
        uint64_t due = (uint64_t)((double)(now - began) / 1e6 * options->rate);
        for (; sent < due; sent++)
            refused += send(fds[sent % count], text.data, text.len, MSG_DONTWAIT) < 0;
        (void)usleep(TICK_US);
    }
    sample(options, after);
    report_add(report, (double)sent / options->seconds, 0, "/s", "sent");
    report_add(report, (double)refused, 0, "", "not_sent");
    report_cpu(options, report, before, after, (double)sent, "datagram");
    for (uint32_t i = 0; i < count; i++)
        close(fds[i]);
    free(fds);
}

/* servers. */

struct game {
    int fd;
    bool answered;
};

static void answer(struct game *game, const uint8_t *packet, size_t len)
{
    static const char end[] = ANSWER_END;
    const size_t begins = sizeof GETINFO - 1;
    char text[PACKET_MAX];
    if (len <= begins || len > begins + 64 || memcmp(packet, GETINFO, begins) != 0)
        return;
    memcpy(text, ANSWER, sizeof ANSWER - 1);
    memcpy(text + sizeof ANSWER - 1, packet + begins, len - begins);
    memcpy(text + sizeof ANSWER - 1 + len - begins, end, sizeof end - 1);
    (void)send(game->fd, text, sizeof ANSWER - 1 + len - begins + sizeof end - 1, 0);
    game->answered = true;
}

static uint32_t listen_to_games(struct game *games, struct pollfd *polls, uint32_t count,
                                int wait_ms)
{
    uint8_t packet[PACKET_MAX];
    uint32_t answered = 0;
    if (poll(polls, count, wait_ms) <= 0)
        return 0;
    for (uint32_t i = 0; i < count; i++) {
        if (!(polls[i].revents & POLLIN))
            continue;
        bool before = games[i].answered;
        ssize_t len = recv(games[i].fd, packet, sizeof packet, MSG_DONTWAIT);
        if (len > 0)
            answer(&games[i], packet, (size_t)len);
        answered += games[i].answered && !before;
    }
    return answered;
}

/* At most so many have said it and have not been asked, as the master's buffer has an end. */
#define REGISTERING 64

static void register_all(struct game *games, struct pollfd *polls, uint32_t count)
{
    uint32_t first = 0, said = 0, answered = 0; /* first: of those not answered yet */
    uint64_t end = clock_monotonic_us() + 60000000;
    while (answered < count) {
        uint64_t now = clock_monotonic_us();
        for (; said < count && said < answered + REGISTERING; said++)
            (void)send(games[said].fd, HEARTBEAT, sizeof HEARTBEAT - 1, 0);
        uint32_t more = listen_to_games(games + first, polls + first, said - first, QUIET_MS);
        answered += more;
        while (first < said && games[first].answered)
            first++;
        for (uint32_t i = first; more == 0 && i < said; i++) {
            if (!games[i].answered)
                (void)send(games[i].fd, HEARTBEAT, sizeof HEARTBEAT - 1, 0);
        }
        if (now > end)
            bench_fail("%u of %u game servers were asked in 60 s", answered, count);
    }
}

/* Several targets, parted by commas: the servers are spread over them. */
static uint32_t read_targets(const struct options *options, struct address *targets, uint32_t most)
{
    uint32_t count = 0;
    need_target(options->target);
    char *words = mem_strdup(options->target), *saved = NULL;
    for (char *word = strtok_r(words, ",", &saved); word && count < most;
         word = strtok_r(NULL, ",", &saved)) {
        if (!address_parse(word, &targets[count++]))
            bench_fail("--target: not ADDRESS:PORT");
    }
    free(words);
    if (count == 0)
        bench_fail("--target: none");
    return count;
}

void measure_servers(const struct options *options, struct report *report)
{
    struct proc_sample before[OPTIONS_MAX_PROCS], after[OPTIONS_MAX_PROCS];
    struct address targets[16];
    const uint32_t target_count = read_targets(options, targets, 16);
    const uint32_t count = options->connections;
    struct game *games = mem_zalloc(count + 1, sizeof *games);
    struct pollfd *polls = mem_zalloc(count + 1, sizeof *polls);
    allow_descriptors(count);
    for (uint32_t i = 0; i < count; i++) {
        games[i].fd = open_socket(&targets[i % target_count],
                                  options->sources > 0 ? i % options->sources + 1 : 0);
        polls[i] = (struct pollfd){.fd = games[i].fd, .events = POLLIN};
    }
    sample(options, before);
    const uint64_t began = clock_monotonic_us();
    register_all(games, polls, count);
    report_add(report, (double)(clock_monotonic_us() - began) / 1e3, 1, "ms", "registered_in");
    /* Once more, as answers get lost too. */
    for (uint32_t i = 0; i < count; i++)
        games[i].answered = false;
    register_all(games, polls, count);
    for (uint64_t end = clock_monotonic_us() + (uint64_t)(options->seconds * 1e6), now;
         (now = clock_monotonic_us()) < end;)
        (void)listen_to_games(games, polls, count, (int)((end - now) / 1000) + 1);
    sample(options, after);
    report_cpu(options, report, before, after, count, "server");
    for (uint32_t i = 0; i < count; i++)
        close(games[i].fd);
    free(games);
    free(polls);
}
