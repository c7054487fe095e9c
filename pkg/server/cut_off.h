/*
 * cut_off: what a front-end does with map.cut_off = peers when Redis answers others, and not it.
 *
 *   SERVED ──no answer──► PROBING ──connects are not answered──► ASKING ──a peer is served──► AWAY
 *     ▲                     │  ▲                                   │                            │
 *     └────── answered ─────┘  └───────── a connect answered ──────┘       ready again ─► SERVED
 *
 * In AWAY its clients are closed, evenly and in time for them to be elsewhere before their entries
 * end, and no others are let in.
 */
#ifndef SERVER_CUT_OFF_H
#define SERVER_CUT_OFF_H

#include <stdint.h>

struct map_settings;
struct server;
struct cut_off;

/* The least client.grace, ms, with which those who are sent away can return unreported: an answer
 * of Redis to others, from after the loss, must have been seen twice before three quarters of it
 * have passed after the lease. */
int64_t cut_off_least_grace_ms(const struct map_settings *settings);
/* The server serves. */
struct cut_off *cut_off_create(struct server *server);
/* For good: the front-end ends, and closes its clients itself. May be given NULL. */
void cut_off_stop(struct cut_off *cut_off);
void cut_off_destroy(struct cut_off **cut_off);

#endif
