/*
 * masters_servers: game servers that register with one or several masters over UDP, and stay: one
 * socket for each, in one process without workers.
 */
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "masters_private.h"
#include "pacer.h"

#define GETINFO    MASTERS_HEADER "getinfo "
#define REGISTER_S 60

struct masters_game {
    int fd;
    bool answered;
};

struct fleet {
    struct masters_game *games;
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
    (void)send(fleet->games[index].fd, MASTERS_HEARTBEAT, sizeof MASTERS_HEARTBEAT - 1, 0);
    fleet->heartbeats++;
}

static void answer_getinfo(struct masters_game *game, const uint8_t *packet, size_t len)
{
    static const char end[] = MASTERS_ANSWER_END;
    const size_t begins = sizeof GETINFO - 1;
    char text[MASTERS_PACKET_MAX];
    if (len <= begins || len > begins + 64 || memcmp(packet, GETINFO, begins) != 0) {
        return;
    }
    memcpy(text, MASTERS_ANSWER, sizeof MASTERS_ANSWER - 1);
    memcpy(text + sizeof MASTERS_ANSWER - 1, packet + begins, len - begins);
    memcpy(text + sizeof MASTERS_ANSWER - 1 + len - begins, end, sizeof end - 1);
    (void)send(game->fd, text, sizeof MASTERS_ANSWER - 1 + len - begins + sizeof end - 1, 0);
    game->answered = true;
}

/* Answers queries to the servers from first to end; returns how many were queried for the first
 * time.
 */
static uint32_t listen_to_games(struct fleet *fleet, uint32_t first, uint32_t end, int wait_ms)
{
    uint8_t packet[MASTERS_PACKET_MAX];
    uint32_t answered = 0;
    if (poll(fleet->polls + first, end - first, wait_ms) <= 0) {
        return 0;
    }
    for (uint32_t i = first; i < end; i++) {
        struct masters_game *game = &fleet->games[i];
        if (!(fleet->polls[i].revents & POLLIN)) {
            continue;
        }
        bool before = game->answered;
        ssize_t len = recv(game->fd, packet, sizeof packet, MSG_DONTWAIT);
        if (len > 0) {
            answer_getinfo(game, packet, (size_t)len);
        }
        answered += game->answered && !before;
    }
    fleet->answered += answered;
    return answered;
}

/* How many may wait for the master's query at a time, as its receive buffer is limited. */
#define REGISTERING 64

static void register_all(struct fleet *fleet)
{
    uint32_t first = 0, said = 0; /* first: of those not answered yet */
    uint64_t end = clock_monotonic_us() + REGISTER_S * 1000000ull;
    while (fleet->answered < fleet->count) {
        uint64_t now = clock_monotonic_us();
        for (; said < fleet->count && said < fleet->answered + REGISTERING; said++) {
            send_heartbeat(fleet, said);
        }
        uint32_t more = listen_to_games(fleet, first, said, MASTERS_QUIET_MS);
        while (first < said && fleet->games[first].answered) {
            first++;
        }
        for (uint32_t i = first; more == 0 && i < said; i++) {
            if (!fleet->games[i].answered) {
                send_heartbeat(fleet, i);
            }
        }
        if (now > end) {
            bench_fail("%u of %u game servers were asked in %d s", fleet->answered, fleet->count,
                       REGISTER_S);
        }
    }
}

/* The next server that has not been queried, or the next of all if all have been. */
static uint32_t next_game(struct fleet *fleet)
{
    for (uint32_t i = 0; i < fleet->count; i++) {
        uint32_t index = fleet->next++ % fleet->count;
        if (!fleet->games[index].answered || fleet->answered == fleet->count) {
            return index;
        }
    }
    return 0;
}

/* Sends the heartbeats that are due, and answers queries until the next one. */
static void follow_schedule(struct fleet *fleet, uint64_t until_us)
{
    uint64_t now = clock_monotonic_us();
    uint64_t next;
    int wait_ms = MASTERS_QUIET_MS;
    for (int i = 0; i < REGISTERING; i++) {
        next = pacer_moment_us(fleet->begin_us, fleet->rate, fleet->heartbeats);
        if (next > now) {
            break;
        }
        send_heartbeat(fleet, next_game(fleet));
    }
    next = next < until_us ? next : until_us;
    if (next < now + MASTERS_QUIET_MS * 1000) {
        wait_ms = next > now ? (int)((next - now) / 1000) + 1 : 0;
    }
    (void)listen_to_games(fleet, 0, fleet->count, wait_ms);
}

/* One after the other, then again those that were not queried. */
static void register_at_rate(struct fleet *fleet)
{
    const double seconds = REGISTER_S + 2 * fleet->count / fleet->rate;
    const uint64_t end = pacer_moment_us(fleet->begin_us, 1 / seconds, 1);
    while (fleet->answered < fleet->count) {
        follow_schedule(fleet, end);
        if (clock_monotonic_us() > end) {
            bench_fail("%u of %u game servers were asked in %.0f s", fleet->answered, fleet->count,
                       seconds);
        }
    }
}

static void stay_registered(struct fleet *fleet, double seconds)
{
    const uint64_t end = clock_monotonic_us() + (uint64_t)(seconds * 1e6);
    for (uint64_t now; (now = clock_monotonic_us()) < end;) {
        if (fleet->rate > 0) {
            follow_schedule(fleet, end);
        } else {
            (void)listen_to_games(fleet, 0, fleet->count, (int)((end - now) / 1000) + 1);
        }
    }
}

/* Once more, as answers may be lost too. */
static void register_again(struct fleet *fleet)
{
    for (uint32_t i = 0; i < fleet->count; i++) {
        fleet->games[i].answered = false;
    }
    fleet->answered = 0;
    register_all(fleet);
}

/* Several targets, separated by commas: the servers are spread over them. */
static uint32_t read_targets(const struct options *options, struct address *targets, uint32_t most)
{
    uint32_t count = 0;
    need_target(options->target);
    char *words = mem_strdup(options->target), *saved = NULL;
    for (char *word = strtok_r(words, ",", &saved); word && count < most;
         word = strtok_r(NULL, ",", &saved)) {
        if (!address_parse(word, &targets[count++])) {
            bench_fail("--target: not ADDRESS:PORT");
        }
    }
    free(words);
    if (count == 0) {
        bench_fail("--target: none");
    }
    return count;
}

static void open_fleet(struct fleet *fleet, const struct options *options)
{
    struct address targets[16];
    const uint32_t target_count = read_targets(options, targets, 16);
    *fleet = (struct fleet){.count = options->connections, .rate = options->rate};
    fleet->games = mem_zalloc(fleet->count + 1, sizeof *fleet->games);
    fleet->polls = mem_zalloc(fleet->count + 1, sizeof *fleet->polls);
    masters_allow_descriptors(fleet->count);
    for (uint32_t i = 0; i < fleet->count; i++) {
        int fd = masters_open_socket(&targets[i % target_count],
                                     options->sources > 0 ? i % options->sources + 1 : 0);
        fleet->games[i].fd = fd;
        fleet->polls[i] = (struct pollfd){.fd = fd, .events = POLLIN};
    }
}

static void close_fleet(struct fleet *fleet)
{
    for (uint32_t i = 0; i < fleet->count; i++) {
        close(fleet->games[i].fd);
    }
    free(fleet->games);
    free(fleet->polls);
}

void measure_servers(const struct options *options, struct report *report)
{
    struct proc_sample before[OPTIONS_MAX_PROCS], after[OPTIONS_MAX_PROCS];
    struct fleet fleet;
    open_fleet(&fleet, options);
    masters_sample(options, before);
    fleet.begin_us = clock_monotonic_us();
    if (fleet.rate > 0) {
        register_at_rate(&fleet);
    } else {
        register_all(&fleet);
    }
    report_add(report, (double)(clock_monotonic_us() - fleet.begin_us) / 1e3, 1, "ms",
               "registered_in");
    if (fleet.rate <= 0) {
        register_again(&fleet);
    }
    stay_registered(&fleet, options->seconds);
    masters_sample(options, after);
    report_add(report, (double)fleet.heartbeats, 0, "", "heartbeats");
    masters_report_cpu(options, report, before, after, fleet.count, "server");
    close_fleet(&fleet);
}
