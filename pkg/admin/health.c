/* health: a function for each route. */
#include "admin/health.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/escape.h"
#include "base/ids.h"
#include "base/mem.h"
#include "metrics/metrics.h"

#define TEXT "text/plain; charset=utf-8"

struct health {
    struct map *map;
    bool draining;
};

static void respond_text(struct http_request *request, int status, const char *text)
{
    http_respond(request, status, TEXT, "Cache-Control: no-store\r\n", bytes_from_string(text));
}

static void on_healthz(void *arg, struct http_request *request)
{
    (void)arg;
    respond_text(request, 200, "ok\n");
}

bool health_is_ready(const struct health *health, const char **why)
{
    if (health->draining) {
        if (why)
            *why = "draining";
        return false;
    }
    return map_is_ready(health->map, why);
}

static void on_readyz(void *arg, struct http_request *request)
{
    const struct health *health = arg;
    const char *why = NULL;
    char text[160];
    if (health_is_ready(health, &why)) {
        respond_text(request, 200, "ready\n");
        return;
    }
    snprintf(text, sizeof text, "not ready: %s\n", why);
    respond_text(request, 503, text);
}

static void on_metrics(void *arg, struct http_request *request)
{
    const struct health *health = arg;
    struct writer text = {0};
    metrics_set(METRIC_READY, health_is_ready(health, NULL));
    metrics_write_text(&text);
    http_respond(request, 200, "text/plain; version=0.0.4; charset=utf-8",
                 "Cache-Control: no-store\r\n", writer_bytes_written(&text));
    writer_free(&text);
}

/* The space that the query names, or the first; NULL when there is none of that name. */
static struct map_space *asked_space(const struct health *health, struct http_request *request)
{
    struct bytes name = http_request_query(request, "space");
    char text[64];
    if (name.len >= sizeof text || (name.len > 0 && memchr(name.data, 0, name.len)))
        return NULL;
    if (name.len > 0)
        memcpy(text, name.data, name.len);
    text[name.len] = 0;
    return map_space_find(health->map, text);
}

static void on_shard(void *arg, struct http_request *request)
{
    const struct health *health = arg;
    struct bytes id = http_request_query(request, "id");
    struct map_space *space = asked_space(health, request);
    struct writer text = {0};
    if (id.len == 0 || !space) {
        http_respond(request, id.len == 0 ? 400 : 404, "application/json", NULL,
                     id.len == 0 ? BYTES_LITERAL("{\"error\":\"the parameter id is missing\"}\n")
                                 : BYTES_LITERAL("{\"error\":\"there is no such space\"}\n"));
        return;
    }
    uint32_t partitions = map_space_partitions(space);
    writer_string(&text, "{\"id\":");
    escape_json(&text, id);
    writer_string(&text, ",\"space\":");
    escape_json(&text, bytes_from_string(map_space_name(space)));
    writer_format(&text, ",\"shard\":%u,\"partitions\":%u}\n", shard_of(id, partitions),
                  partitions);
    http_respond(request, 200, "application/json", NULL, writer_bytes_written(&text));
    writer_free(&text);
}

struct health *health_create(struct map *map)
{
    struct health *health = mem_zalloc(1, sizeof *health);
    health->map = map;
    return health;
}

void health_add_probes(struct health *health, struct http_router *router)
{
    http_router_add(router, "GET", "/healthz", on_healthz, health);
    http_router_add(router, "GET", "/readyz", on_readyz, health);
}

void health_add_pages(struct health *health, struct http_router *router)
{
    http_router_add(router, "GET", "/metrics", on_metrics, health);
    http_router_add(router, "GET", "/api/v1/shard", on_shard, health);
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
