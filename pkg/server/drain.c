/*
 * drain: the orderly shutdown. The front-end is not ready any more and accepts no new connections;
 * sessions are closed evenly over drain.time, so that their clients do not all reconnect to the
 * other front-ends at once; the resulting changes are written to Redis; then the process exits.
 */
#include <systemd/sd-daemon.h>

#include "base/log.h"
#include "server/server_private.h"

#define DRAIN_TICK_MS 20

static void on_drain_finished(void *arg)
{
    struct server *server = arg;
    log_info("drained", LOG_INT("sessions", (int64_t)server->drain_closed));
    server_end(server, 0);
}

size_t server_count_sessions(const struct server *server)
{
    return tracker_service_count(server->tracker) + turntable_service_count(server->turntable) +
           sync_service_count(server->sync) + lobby_service_count(server->lobby);
}

size_t server_end_sessions(struct server *server, size_t count, enum conn_close_reason why)
{
    size_t ended = tracker_service_drain(server->tracker, count, why);
    ended += turntable_service_drain(server->turntable, count - ended, why);
    ended += sync_service_drain(server->sync, count - ended, why);
    return ended + lobby_service_drain(server->lobby, count - ended, why);
}

/* How many sessions should have been closed by now. */
static size_t sessions_due_to_end(const struct server *server, uint64_t elapsed)
{
    uint64_t time = (uint64_t)server->configuration->server.drain_time;
    return elapsed >= time ? SIZE_MAX : (size_t)(server->drain_total * elapsed / time);
}

static void close_some(void *arg)
{
    struct server *server = arg;
    const struct configuration *configuration = server->configuration;
    uint64_t elapsed = loop_now_ms(server->loop) - server->drain_began_ms;
    size_t wanted = sessions_due_to_end(server, elapsed);
    if (wanted > server->drain_closed) {
        server->drain_closed +=
            server_end_sessions(server, wanted - server->drain_closed, CONN_CLOSE_DRAIN);
    }
    /* Writes in flight have as long as any write. */
    if (elapsed > (uint64_t)(configuration->server.drain_time + configuration->redis.deadline)) {
        listeners_close_connections(server->listeners, false);
    }
    if (server_count_sessions(server) > 0) {
        loop_timer_start(server->drain_timer, DRAIN_TICK_MS);
        return;
    }
    server->state = SERVER_FINISHING;
    map_finish(server->map, on_drain_finished, server);
}

void server_drain(void *arg)
{
    struct server *server = arg;
    if (server->state == SERVER_STARTING) {
        log_info("exiting", LOG_STRING("why", "a signal before it was ready"));
        server_end(server, 0);
        return;
    }
    if (server->state != SERVER_SERVING) {
        log_warn("forced_exit", LOG_STRING("why", "a second signal"));
        server_end(server, 1);
        return;
    }
    server->state = SERVER_DRAINING;
    cut_off_stop(server->cut_off);
    server->drain_total = server_count_sessions(server);
    server->drain_began_ms = loop_now_ms(server->loop);
    log_info("draining", LOG_INT("sessions", (int64_t)server->drain_total),
             LOG_INT("time_ms", server->configuration->server.drain_time));
    sd_notify(0, "STOPPING=1");
    health_set_draining(server->health);
    listeners_stop(server->listeners, server->retired);
    if (server->supervised) {
        supervised_report_draining(server->supervised);
    }
    server->drain_timer = loop_timer_create(server->loop, close_some, server);
    close_some(server);
}

void server_retire(struct server *server)
{
    server->retired = true;
    health_set_retired(server->health);
    server_drain(server);
}
