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
#include "pacer.h"

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
#define REGISTER_S 60
#define DRAIN_MS   5000 /* of a schedule: for the answers to what was asked last */
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

struct tally {
    uint64_t asked, replies, packets, bytes, lost;
};

struct player {
    int fd;
    struct mmsghdr in[BATCH], out[BATCH];
    struct iovec in_vectors[BATCH], out_vector;
    uint8_t buffers[BATCH][PACKET_MAX];
    struct tally tally;
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
    player->tally.asked += count;
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
        player->tally.packets++;
        player->tally.bytes += player->in[i].msg_len;
        ended += is_last(player->buffers[i], player->in[i].msg_len);
    }
    player->tally.replies += ended;
    return ended;
}

/* Whether there is something to take within that time. */
static bool await_packets(const struct player *player, uint64_t wait_us)
{
    struct pollfd poll_fd = {.fd = player->fd, .events = POLLIN};
    struct timespec wait = {(time_t)(wait_us / 1000000), (long)(wait_us % 1000000) * 1000};
    return ppoll(&poll_fd, 1, &wait, NULL) > 0;
}

/* As many questions under way as the window. */
static void play_window(struct player *player, uint32_t window, uint64_t end_us)
{
    ask(player, window);
    while (clock_monotonic_us() < end_us) {
        if (!await_packets(player, QUIET_MS * 1000)) {
            player->tally.lost += window;
            ask(player, window);
            continue;
        }
        ask(player, take(player));
    }
}

/* Every question at its moment, whatever came of those before it. */
static void play_rate(struct player *player, double rate, uint64_t begin_us, uint64_t end_us)
{
    uint64_t next = begin_us;
    uint64_t now = begin_us;
    for (uint64_t asked = 0; now < end_us || next < end_us; now = clock_monotonic_us()) {
        uint32_t due = 0;
        while ((next = pacer_moment_us(begin_us, rate, asked + due)) <= now && next < end_us &&
               due < BATCH)
            due++;
        ask(player, due);
        asked += due;
        next = next < end_us ? next : end_us;
        if (await_packets(player, next > now ? next - now : 0))
            (void)take(player);
    }
}

/* The tally of one span of the load. */
static struct tally play(struct player *player, const struct options *options, double seconds)
{
    const uint64_t begin = clock_monotonic_us();
    const uint64_t end = begin + (uint64_t)(seconds * 1e6);
    player->tally = (struct tally){0};
    if (options->rate > 0)
        play_rate(player, options->rate, begin, end);
    else
        play_window(player, options->window, end);
    return player->tally;
}

/* Questions whose answers do not come any more. */
static uint64_t count_lost(struct player *player, uint64_t asked, uint64_t answered)
{
    player->tally = (struct tally){0};
    while (answered + player->tally.replies < asked && await_packets(player, DRAIN_MS * 1000))
        (void)take(player);
    answered += player->tally.replies;
    return answered < asked ? asked - answered : 0;
}

void measure_getservers(const struct options *options, struct report *report)
{
    struct proc_sample before[OPTIONS_MAX_PROCS], after[OPTIONS_MAX_PROCS];
    struct player *player = create_player(options);
    struct tally warmup = play(player, options, options->warmup);
    sample(options, before);
    struct tally tally = play(player, options, options->seconds);
    sample(options, after);
    if (options->rate > 0)
        tally.lost = count_lost(player, warmup.asked + tally.asked, warmup.replies + tally.replies);
    double replies = (double)tally.replies;
    if (tally.replies + player->tally.replies == 0)
        bench_fail("no answer comes");
    report_add(report, (double)tally.asked / options->seconds, 0, "/s", "questions");
    report_add(report, replies / options->seconds, 0, "/s", "replies");
    report_add(report, replies > 0 ? (double)tally.packets / replies : 0, 2, "",
               "packets_per_reply");
    report_add(report, replies > 0 ? (double)tally.bytes / replies : 0, 0, "B", "bytes_per_reply");
    report_add(report, (double)tally.lost, 0, "", "lost");
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

struct fleet {
    struct game *games;
    struct pollfd *polls;
    uint32_t count;
    uint32_t answered;
    double rate; /* of heartbeats; 0: as fast as they are answered */
    uint64_t begin_us;
    uint64_t heartbeats;
    uint32_t next; /* by the schedule */
};

static void send_heartbeat(struct fleet *fleet, uint32_t index)
{
    (void)send(fleet->games[index].fd, HEARTBEAT, sizeof HEARTBEAT - 1, 0);
    fleet->heartbeats++;
}

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

/* To those from first to end; how many were answered for the first time. */
static uint32_t listen_to_games(struct fleet *fleet, uint32_t first, uint32_t end, int wait_ms)
{
    uint8_t packet[PACKET_MAX];
    uint32_t answered = 0;
    if (poll(fleet->polls + first, end - first, wait_ms) <= 0)
        return 0;
    for (uint32_t i = first; i < end; i++) {
        struct game *game = &fleet->games[i];
        if (!(fleet->polls[i].revents & POLLIN))
            continue;
        bool before = game->answered;
        ssize_t len = recv(game->fd, packet, sizeof packet, MSG_DONTWAIT);
        if (len > 0)
            answer(game, packet, (size_t)len);
        answered += game->answered && !before;
    }
    fleet->answered += answered;
    return answered;
}

/* At most so many have said it and have not been asked, as the master's buffer has an end. */
#define REGISTERING 64

static void register_all(struct fleet *fleet)
{
    uint32_t first = 0, said = 0; /* first: of those not answered yet */
    uint64_t end = clock_monotonic_us() + REGISTER_S * 1000000ull;
    while (fleet->answered < fleet->count) {
        uint64_t now = clock_monotonic_us();
        for (; said < fleet->count && said < fleet->answered + REGISTERING; said++)
            send_heartbeat(fleet, said);
        uint32_t more = listen_to_games(fleet, first, said, QUIET_MS);
        while (first < said && fleet->games[first].answered)
            first++;
        for (uint32_t i = first; more == 0 && i < said; i++) {
            if (!fleet->games[i].answered)
                send_heartbeat(fleet, i);
        }
        if (now > end)
            bench_fail("%u of %u game servers were asked in %d s", fleet->answered, fleet->count,
                       REGISTER_S);
    }
}

/* The next that has not been answered, or of all when that is so of none. */
static uint32_t next_game(struct fleet *fleet)
{
    for (uint32_t i = 0; i < fleet->count; i++) {
        uint32_t index = fleet->next++ % fleet->count;
        if (!fleet->games[index].answered || fleet->answered == fleet->count)
            return index;
    }
    return 0;
}

/* The heartbeats that are due, and what comes until the next one is. */
static void follow_schedule(struct fleet *fleet, uint64_t until_us)
{
    uint64_t now = clock_monotonic_us();
    uint64_t next;
    int wait_ms = QUIET_MS;
    for (int i = 0; i < REGISTERING; i++) {
        next = pacer_moment_us(fleet->begin_us, fleet->rate, fleet->heartbeats);
        if (next > now)
            break;
        send_heartbeat(fleet, next_game(fleet));
    }
    next = next < until_us ? next : until_us;
    if (next < now + QUIET_MS * 1000)
        wait_ms = next > now ? (int)((next - now) / 1000) + 1 : 0;
    (void)listen_to_games(fleet, 0, fleet->count, wait_ms);
}

/* One after the other, and again who was not answered. */
static void register_at_rate(struct fleet *fleet)
{
    const double seconds = REGISTER_S + 2 * fleet->count / fleet->rate;
    const uint64_t end = pacer_moment_us(fleet->begin_us, 1 / seconds, 1);
    while (fleet->answered < fleet->count) {
        follow_schedule(fleet, end);
        if (clock_monotonic_us() > end)
            bench_fail("%u of %u game servers were asked in %.0f s", fleet->answered, fleet->count,
                       seconds);
    }
}

static void stay_registered(struct fleet *fleet, double seconds)
{
    const uint64_t end = clock_monotonic_us() + (uint64_t)(seconds * 1e6);
    for (uint64_t now; (now = clock_monotonic_us()) < end;) {
        if (fleet->rate > 0)
            follow_schedule(fleet, end);
        else
            (void)listen_to_games(fleet, 0, fleet->count, (int)((end - now) / 1000) + 1);
    }
}

/* Once more, as answers get lost too. */
static void register_again(struct fleet *fleet)
{
    for (uint32_t i = 0; i < fleet->count; i++)
        fleet->games[i].answered = false;
    fleet->answered = 0;
    register_all(fleet);
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

static void open_fleet(struct fleet *fleet, const struct options *options)
{
    struct address targets[16];
    const uint32_t target_count = read_targets(options, targets, 16);
    *fleet = (struct fleet){.count = options->connections, .rate = options->rate};
    fleet->games = mem_zalloc(fleet->count + 1, sizeof *fleet->games);
    fleet->polls = mem_zalloc(fleet->count + 1, sizeof *fleet->polls);
    allow_descriptors(fleet->count);
    for (uint32_t i = 0; i < fleet->count; i++) {
        int fd = open_socket(&targets[i % target_count],
                             options->sources > 0 ? i % options->sources + 1 : 0);
        fleet->games[i].fd = fd;
        fleet->polls[i] = (struct pollfd){.fd = fd, .events = POLLIN};
    }
}

static void close_fleet(struct fleet *fleet)
{
    for (uint32_t i = 0; i < fleet->count; i++)
        close(fleet->games[i].fd);
    free(fleet->games);
    free(fleet->polls);
}

void measure_servers(const struct options *options, struct report *report)
{
    struct proc_sample before[OPTIONS_MAX_PROCS], after[OPTIONS_MAX_PROCS];
    struct fleet fleet;
    open_fleet(&fleet, options);
    sample(options, before);
    fleet.begin_us = clock_monotonic_us();
    if (fleet.rate > 0)
        register_at_rate(&fleet);
    else
        register_all(&fleet);
    report_add(report, (double)(clock_monotonic_us() - fleet.begin_us) / 1e3, 1, "ms",
               "registered_in");
    if (fleet.rate <= 0)
        register_again(&fleet);
    stay_registered(&fleet, options->seconds);
    sample(options, after);
    report_add(report, (double)fleet.heartbeats, 0, "", "heartbeats");
    report_cpu(options, report, before, after, fleet.count, "server");
    close_fleet(&fleet);
}
