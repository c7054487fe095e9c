/*
 * health: what operators and their tools ask of a front-end over HTTP.
 *
 *   GET /healthz             200 while the loop turns
 *   GET /readyz              200 when this front-end can serve, else 503 and the reason
 *   GET /readyz?balancer     the same with 404: no new clients, and those that are there stay
 *   GET /readyz?local        503 only for a reason of this front-end alone, else 200
 *   GET /redisz?epoch=EPOCH  for other front-ends of the same map: this one's id, and how long ago,
 *                            in ms, Redis last answered it; 404 to everybody else
 *   GET /metrics             Prometheus text format 0.0.4
 */
#ifndef ADMIN_HEALTH_H
#define ADMIN_HEALTH_H

#include <stdbool.h>

#include "map/map.h"
#include "net/http/http.h"

struct health;

/* The map must outlive it, and it the routers that it is added to. */
struct health *health_create(struct map *map);
void health_destroy(struct health **health);
/* /healthz, /readyz and /redisz: what load balancers and other front-ends ask, on every web
 * listener. */
void health_add_probes(struct health *health, struct http_router *router);
/* The others. */
void health_add_pages(struct health *health, struct http_router *router);
/* Not ready from now on, whatever the map says: the front-end is going to end. */
void health_set_draining(struct health *health);
/* Whether what the map lacks is a reason of this front-end alone: true until it is set. */
void health_set_local(struct health *health, bool local);
/* Not ready while it is set, for a reason of this front-end alone: clients were sent to others. */
void health_set_cut_off(struct health *health, bool cut_off);
/* What /readyz says; why (may be NULL) gets a static text when not. */
bool health_is_ready(const struct health *health, const char **why);

#endif
