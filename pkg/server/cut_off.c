/*
 * cut_off: all times are derived from map.lease and client.grace: after these, others consider this
 * front-end's clients gone.
 *
 * The loss is the moment at which a connect has been unanswered for a while. Answers that other
 * front-ends received before a network failure are older than that: so if nobody can reach Redis,
 * no peer is served after the loss, and all clients are kept.
 */
#include "server/cut_off.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "metrics/metrics.h"
#include "redis/probe.h"
#include "server/peers.h"
#include "server/server_private.h"

#define REFRESH_MS       5000 /* between two reads of the list of peers */
#define FIRST_REFRESH_MS 1000 /* the same while no peer is known */
#define TICKS            12   /* per lease */
#define TICK_MIN_MS      20
#define TICK_MAX_MS      250
/* The part of a lease that a connect, or an answer of a peer, may take. */
#define TIMEOUT_PART 6
/* If clients cannot return in time any more, they are closed within this time. */
#define LATE_MS 1000

enum cut_off_state { CUT_OFF_SERVED, CUT_OFF_PROBING, CUT_OFF_QUERYING, CUT_OFF_ACTIVE };

struct cut_off {
    struct server *server;
    const struct map_settings *settings;
    enum cut_off_state state;
    struct loop_timer *timer;
    struct redis_probe *probe;
    struct peers *peers;
    uint64_t refreshed_ms;
    uint64_t active_ms; /* ACTIVE: since when */
    uint64_t time_ms;   /* within which the clients are closed */
    size_t total, closed;
};

int64_t cut_off_least_grace_ms(const struct map_settings *settings)
{
    /* An answer is missing, the next tick notices that, a connect times out, a peer's answer may
     * take as long; then the peer's second sweep. All sweeps may be a tenth late. */
    int64_t noticed = settings->sweep + settings->lease / 4 + settings->lease / TICKS;
    int64_t asked = 2 * (settings->lease / TIMEOUT_PART);
    int64_t seen = settings->sweep * 22 / 10, left = noticed + asked + seen - settings->lease;

    return left > 0 ? left * 4 / 3 : 0;
}

static uint64_t cut_off_now_ms(const struct cut_off *cut_off)
{
    return loop_now_ms(cut_off->server->loop);
}

static uint64_t patience_ms(const struct cut_off *cut_off)
{
    return (uint64_t)cut_off->settings->lease / TIMEOUT_PART;
}

static uint64_t tick_ms(const struct cut_off *cut_off)
{
    uint64_t tick = (uint64_t)cut_off->settings->lease / TICKS;

    return tick < TICK_MIN_MS ? TICK_MIN_MS : tick > TICK_MAX_MS ? TICK_MAX_MS : tick;
}

/* Sweeps are at most a tenth late, and are answered immediately. */
static bool is_answered(const struct cut_off *cut_off)
{
    uint64_t most = (uint64_t)(cut_off->settings->sweep + cut_off->settings->lease / 4);

    return cut_off_now_ms(cut_off) - map_contact(cut_off->server->map).answered_ms < most;
}

/* The name may resolve to another server by now, as after a fail-over: the next probe uses it. */
static void start_probe(struct cut_off *cut_off)
{
    redis_probe_refresh(cut_off->probe);
    redis_probe_start(cut_off->probe);
}

static void enter_cut_off_state(struct cut_off *cut_off, enum cut_off_state state)
{
    cut_off->state = state;
    switch (state) {
    case CUT_OFF_SERVED:
        redis_probe_stop(cut_off->probe);
        cut_off->refreshed_ms = 0;
        break;
    case CUT_OFF_PROBING:
        start_probe(cut_off);
        break;
    case CUT_OFF_QUERYING:
        peers_begin(cut_off->peers, cut_off_now_ms(cut_off));
        log_warn("redis_unreachable",
                 LOG_STRING("why", "connects are not answered; peers are queried"),
                 LOG_INT("peers", (int64_t)peers_count(cut_off->peers)));
        break;
    case CUT_OFF_ACTIVE:
        redis_probe_stop(cut_off->probe);
        break;
    }
}

/* Leaves a quarter of the grace period for the clients to return. */
static uint64_t time_to_close(const struct cut_off *cut_off)
{
    uint64_t drain = (uint64_t)cut_off->server->configuration->server.drain_time;
    uint64_t grace = (uint64_t)cut_off->settings->client_grace;
    uint64_t end = map_contact(cut_off->server->map).renewed_ms +
                   (uint64_t)cut_off->settings->lease + grace - grace / 4;
    uint64_t now = cut_off_now_ms(cut_off), left = end > now ? end - now : LATE_MS;

    return left < drain ? left : drain;
}

static void close_due(struct cut_off *cut_off)
{
    uint64_t passed = cut_off_now_ms(cut_off) - cut_off->active_ms;
    size_t due = passed >= cut_off->time_ms ? SIZE_MAX
                                            : (size_t)(cut_off->total * passed / cut_off->time_ms);

    if (due > cut_off->closed) {
        cut_off->closed +=
            server_end_sessions(cut_off->server, due - cut_off->closed, CONN_CLOSE_CUT_OFF);
    }
}

static void set_away(struct server *server, bool away)
{
    health_set_cut_off(server->health, away);
    listeners_refuse_clients(server->listeners, away ? "cut_off" : NULL);
    metrics_set(METRIC_CUT_OFF, away);
}

static void go_away(struct cut_off *cut_off, const char *served)
{
    enter_cut_off_state(cut_off, CUT_OFF_ACTIVE);
    cut_off->active_ms = cut_off_now_ms(cut_off);
    cut_off->total = server_count_sessions(cut_off->server);
    cut_off->closed = 0;
    cut_off->time_ms = time_to_close(cut_off);
    log_warn("cut_off", LOG_STRING("served", served), LOG_INT("sessions", (int64_t)cut_off->total),
             LOG_INT("time_ms", (int64_t)cut_off->time_ms));
    set_away(cut_off->server, true);
    close_due(cut_off);
}

static void end_cut_off(struct cut_off *cut_off)
{
    log_info("cut_off_ended", LOG_INT("closed", (int64_t)cut_off->closed),
             LOG_INT("lasted_ms", (int64_t)(cut_off_now_ms(cut_off) - cut_off->active_ms)));
    set_away(cut_off->server, false);
    enter_cut_off_state(cut_off, CUT_OFF_SERVED);
}

static void refresh_probe_and_peers(struct cut_off *cut_off)
{
    uint64_t now = cut_off_now_ms(cut_off);
    uint64_t interval = peers_count(cut_off->peers) > 0 ? REFRESH_MS : FIRST_REFRESH_MS;

    if (cut_off->refreshed_ms == 0 || now - cut_off->refreshed_ms >= interval) {
        cut_off->refreshed_ms = now;
        redis_probe_refresh(cut_off->probe);
        peers_refresh(cut_off->peers);
    }
}

static void check_redis_probe(struct cut_off *cut_off)
{
    switch (redis_probe_check(cut_off->probe, patience_ms(cut_off))) {
    case REDIS_PROBE_WAITING:
        break;
    case REDIS_PROBE_ANSWERED:
        if (redis_probe_age_ms(cut_off->probe) >= patience_ms(cut_off)) {
            enter_cut_off_state(cut_off, CUT_OFF_PROBING);
        }
        break;
    case REDIS_PROBE_UNREACHABLE:
        enter_cut_off_state(cut_off, CUT_OFF_QUERYING);
        break;
    }
}

/* Probes continue meanwhile: lost packets alone must not decide. */
static void check_peers_answers(struct cut_off *cut_off)
{
    enum redis_probe_state state = redis_probe_check(cut_off->probe, patience_ms(cut_off));
    const char *served = peers_find_served(cut_off->peers);

    if (state == REDIS_PROBE_ANSWERED) {
        enter_cut_off_state(cut_off, CUT_OFF_PROBING);
        return;
    }
    if (state == REDIS_PROBE_UNREACHABLE) {
        if (served) {
            go_away(cut_off, served);
            return;
        }
        start_probe(cut_off);
    }
    refresh_probe_and_peers(cut_off);
    peers_query(cut_off->peers, patience_ms(cut_off));
}

static void on_cut_off_tick(void *arg)
{
    struct cut_off *cut_off = arg;
    bool answered = is_answered(cut_off);

    loop_timer_start(cut_off->timer, tick_ms(cut_off));
    switch (cut_off->state) {
    case CUT_OFF_SERVED:
        if (answered) {
            refresh_probe_and_peers(cut_off);
        } else {
            enter_cut_off_state(cut_off, CUT_OFF_PROBING);
        }
        break;
    case CUT_OFF_PROBING:
        if (answered) {
            enter_cut_off_state(cut_off, CUT_OFF_SERVED);
        } else {
            check_redis_probe(cut_off);
        }
        break;
    case CUT_OFF_QUERYING:
        if (answered) {
            enter_cut_off_state(cut_off, CUT_OFF_SERVED);
        } else {
            check_peers_answers(cut_off);
        }
        break;
    case CUT_OFF_ACTIVE:
        if (answered && map_is_ready(cut_off->server->map, NULL)) {
            end_cut_off(cut_off);
        } else if (!answered) {
            close_due(cut_off);
        }
        break;
    }
}

struct cut_off *cut_off_create(struct server *server)
{
    struct cut_off *cut_off = mem_zalloc(1, sizeof *cut_off);

    cut_off->server = server;
    cut_off->settings = map_settings_of(server->map); /* those in force, which are shared */
    cut_off->timer = loop_timer_create(server->loop, on_cut_off_tick, cut_off);
    cut_off->probe = redis_probe_create(server->loop, &server->target);
    cut_off->peers =
        peers_create(server->loop, server->map, server->configuration->server.advertise, true);
    loop_timer_start(cut_off->timer, 0);
    return cut_off;
}

void cut_off_stop(struct cut_off *cut_off)
{
    if (cut_off) {
        loop_timer_stop(cut_off->timer);
        redis_probe_stop(cut_off->probe);
    }
}

void cut_off_destroy(struct cut_off **pointer)
{
    struct cut_off *cut_off = *pointer;

    *pointer = NULL;
    if (!cut_off) {
        return;
    }
    loop_timer_destroy(&cut_off->timer);
    redis_probe_destroy(&cut_off->probe);
    peers_destroy(&cut_off->peers);
    free(cut_off);
}
