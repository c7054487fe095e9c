/* health: one function per route. */
#include "admin/health.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "map/needs.h"
#include "metrics/board.h"
#include "metrics/metrics.h"

#define TEXT "text/plain; charset=utf-8"

struct health {
    struct map *map;
    bool draining;
    bool retired;
    bool local;
    bool cut_off;
};

static void respond_text(struct http_request *request, int status, const char *text)
{
    conn_set_operator(http_request_conn(request), true);
    http_respond(request, status, TEXT, "Cache-Control: no-store\r\n", bytes_from_string(text));
}

static void on_healthz(void *arg, struct http_request *request)
{
    respond_text(request, 200, "ok\n");
}

bool health_is_ready(const struct health *health, const char **why)
{
    if (health->draining) {
        if (why) {
            *why = "draining";
        }
        return false;
    }
    if (health->cut_off) {
        if (why) {
            *why = "cut off from Redis";
        }
        return false;
    }
    return map_is_ready(health->map, why);
}

/* Whether the query has that key, with any value or none. */
static bool is_asked(struct http_request *request, const char *key)
{
    return http_request_query(request, key).data != NULL;
}

/* A worker whose listeners nobody serves, or one that serves and is not ready: the kernel gives
 * clients to it. *text (of the size) says which, and why. */
static bool find_unready_worker(const struct health *health, char *text, size_t size)
{
    for (unsigned worker = 1; worker <= board_workers(); worker++) {
        struct board_worker state;
        char why[BOARD_WHY_SIZE];
        bool ready;
        board_read(worker, &state, &ready, why);
        if ((worker == board_own() && !health->retired) || state.helper ||
            (state.state == BOARD_SERVING && ready)) {
            continue;
        }
        snprintf(text, size, "worker %u: %s", worker,
                 state.state == BOARD_STARTING ? "starting"
                 : state.state == BOARD_PAUSED ? "has ended"
                                               : why);
        return true;
    }
    return false;
}

/* Those that another one helps. */
static void write_helped_workers(struct writer *to)
{
    const uint64_t now_us = clock_monotonic_us();
    for (unsigned worker = 1; worker <= board_workers(); worker++) {
        struct board_worker state;
        char why[BOARD_WHY_SIZE];
        bool ready;
        board_read(worker, &state, &ready, why);
        if (!state.helper) {
            continue;
        }
        writer_format(to, "worker %u: ", worker);
        if (state.state == BOARD_PAUSED) {
            writer_format(to, "starts in %llu ms",
                          (unsigned long long)(state.resumes_us > now_us
                                                   ? (state.resumes_us - now_us) / 1000
                                                   : 0));
        } else {
            writer_string(to, "starting");
        }
        writer_format(to, " after %u failures; worker %u serves its listeners\n", state.failures,
                      state.helper);
    }
}

/* Features that Redis has refused since the start are named, but do not change the status. */
static void respond_ready(const struct health *health, struct http_request *request)
{
    struct writer text = {0};
    writer_string(&text, "ready\n");
    for (unsigned i = 0; i < MAP_NEED_COUNT; i++) {
        const char *why = map_need_withheld(health->map, i);
        if (why) {
            writer_format(&text, "unavailable: %s (%s)\n", map_need_name(i), why);
        }
    }
    write_helped_workers(&text);
    http_respond(request, 200, TEXT, "Cache-Control: no-store\r\n", writer_bytes_written(&text));
    writer_free(&text);
}

static void on_readyz(void *arg, struct http_request *request)
{
    struct health *health = arg;
    const char *why = NULL;
    char text[200], other[160];
    const bool ready = health->retired || health_is_ready(health, &why);
    if (ready && find_unready_worker(health, other, sizeof other)) {
        why = other;
    } else if (ready) {
        health->local = false; /* it has started: later losses are judged by health_set_local */
        respond_ready(health, request);
        return;
    }
    if (is_asked(request, "local") && !health->local && !health->draining && !health->cut_off) {
        snprintf(text, sizeof text, "as ready as any other front-end: %s\n", why);
        respond_text(request, 200, text);
        return;
    }
    snprintf(text, sizeof text, "not ready: %s\n", why);
    respond_text(request, is_asked(request, "balancer") ? 404 : 503, text);
}

/* For other front-ends only: they prove that by naming the epoch. */
static void on_redisz(void *arg, struct http_request *request)
{
    const struct health *health = arg;
    struct map_contact contact = map_contact(health->map);
    char text[64];
    if (contact.answered_ms == 0 ||
        !map_knows_epoch(health->map, http_request_query(request, "epoch"))) {
        respond_text(request, 404, "not of this map\n");
        return;
    }
    snprintf(text, sizeof text, "%s %llu\n", map_node_id(health->map),
             (unsigned long long)(loop_now_ms(map_loop(health->map)) - contact.answered_ms));
    respond_text(request, 200, text);
}

static void on_metrics(void *arg, struct http_request *request)
{
    const struct health *health = arg;
    struct writer text = {0};
    conn_set_operator(http_request_conn(request), true);
    metrics_set(METRIC_READY, health_is_ready(health, NULL));
    metrics_write_text(&text);
    http_respond(request, 200, "text/plain; version=0.0.4; charset=utf-8",
                 "Cache-Control: no-store\r\n", writer_bytes_written(&text));
    writer_free(&text);
}

struct health *health_create(struct map *map)
{
    struct health *health = mem_zalloc(1, sizeof *health);
    health->map = map;
    health->local = true;
    return health;
}

void health_add_probes(struct health *health, struct http_router *router)
{
    http_router_add(router, "GET", "/healthz", on_healthz, health);
    http_router_add(router, "GET", "/readyz", on_readyz, health);
    http_router_add(router, "GET", "/redisz", on_redisz, health);
}

void health_add_pages(struct health *health, struct http_router *router)
{
    http_router_add(router, "GET", "/metrics", on_metrics, health);
}

void health_destroy(struct health **health)
{
    free(*health);
    *health = NULL;
}

void health_set_draining(struct health *health)
{
    health->draining = true;
}

void health_set_retired(struct health *health)
{
    health->retired = true;
}

void health_set_local(struct health *health, bool local)
{
    health->local = local;
}

void health_set_cut_off(struct health *health, bool cut_off)
{
    health->cut_off = cut_off;
}
