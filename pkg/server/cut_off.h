/*
 * cut_off: closes the clients' connections when Redis answers other front-ends but not this one
 * (map.cut_off = peers).
 *
 *   SERVED ──no answer──► PROBING ──connects time out──► QUERYING ──a peer is served──► ACTIVE
 *     ▲ ▲                   │  ▲                            │                              │
 *     │ └───── answered ────┘  └───── a connect answered ───┘                              │
 *     └─────────────────────────────── ready again ────────────────────────────────────────┘
 *
 * In ACTIVE its connections are closed, evenly and early enough for the clients to reconnect to
 * other front-ends before their entries expire, and new ones are refused.
 */
#ifndef SERVER_CUT_OFF_H
#define SERVER_CUT_OFF_H

#include <stdint.h>

struct map_settings;
struct server;
struct cut_off;

/* The least client.grace, ms, with which closed clients can return before they are reported gone:
 * peers must have reported two answers of Redis after the loss before three quarters of the grace
 * period have passed after the lease. */
int64_t cut_off_least_grace_ms(const struct map_settings *settings);
/* The server must be serving. */
struct cut_off *cut_off_create(struct server *server);
/* Stops for good: the front-end drains, and closes its clients itself. May be given NULL. */
void cut_off_stop(struct cut_off *cut_off);
void cut_off_destroy(struct cut_off **cut_off);

#endif
