/*
 * alone: whether this front-end is unready while another one is ready, for /readyz?local.
 *
 * Redis is the same for all, so what a front-end has of it says nothing of the others. They are
 * asked: what they publish of themselves (node:<node>) is read over what is left of the link, and
 * when Redis does not answer at all, those with a node.advertise say whether it answers them.
 */
#ifndef SERVER_ALONE_H
#define SERVER_ALONE_H

#include "admin/health.h"
#include "loop/loop.h"
#include "map/map.h"

struct alone;

/* Keeps health_set_local up to date from now on. own: this front-end's node.advertise. The map and
 * health must outlive it. */
struct alone *alone_create(struct loop *loop, struct map *map, struct health *health,
                           const char *own);
void alone_destroy(struct alone **alone);

#endif
