/*
 * health: health checks and metrics over HTTP.
 *
 *   GET /healthz             200 while the event loop runs
 *   GET /readyz              200 when this front-end can serve, else 503 and the reason
 *   GET /readyz?balancer     the same with 404: no new clients, but existing ones stay
 *   GET /readyz?local        503 only if the reason concerns this front-end alone, else 200
 *   GET /redisz?epoch=EPOCH  for other front-ends of the same map: this one's id, and how long ago,
 *                            in ms, Redis last answered it; 404 for others
 *   GET /metrics             Prometheus text format 0.0.4
 */
#ifndef ADMIN_HEALTH_H
#define ADMIN_HEALTH_H

#include <stdbool.h>

#include "map/map.h"
#include "net/http/http.h"

struct health;

/* The map must outlive it, and it must outlive the routers that it is added to. */
struct health *health_create(struct map *map);
void health_destroy(struct health **health);
/* /healthz, /readyz and /redisz, for load balancers and other front-ends, on every web listener. */
void health_add_probes(struct health *health, struct http_router *router);
/* The others. */
void health_add_pages(struct health *health, struct http_router *router);
/* Not ready from now on, whatever the state of the map: the front-end is shutting down. */
void health_set_draining(struct health *health);
/* It is shutting down as another process has taken its place: /readyz speaks for the workers only.
 */
void health_set_retired(struct health *health);
/* Whether the reason for not being ready concerns this front-end alone: true until it is set. */
void health_set_local(struct health *health, bool local);
/* Not ready while it is set, for a reason of this front-end alone: its clients were closed. */
void health_set_cut_off(struct health *health, bool cut_off);
/* The result of /readyz; *why (may be NULL) is set to a static text when not. */
bool health_is_ready(const struct health *health, const char **why);

#endif
