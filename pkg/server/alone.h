/*
 * alone: whether this front-end is unready while another one is ready, for /readyz?local.
 *
 * A front-end cannot infer from its own connection whether Redis serves the others. So it reads the
 * status that they publish (node:<node>) while Redis still answers, and otherwise queries those
 * with a node.advertise whether Redis answers them.
 */
#ifndef SERVER_ALONE_H
#define SERVER_ALONE_H

#include "admin/health.h"
#include "loop/loop.h"
#include "map/map.h"

struct alone;

/* Keeps health_set_local up to date. own: this front-end's node.advertise. The map and health must
 * outlive it. */
struct alone *alone_create(struct loop *loop, struct map *map, struct health *health,
                           const char *own);
void alone_destroy(struct alone **alone);

#endif
