/*
 * web: one web listener: HTTP by its router, and the protocols that are spoken over WebSocket.
 *
 *   /tracker, /tracker/SPACE, or any path with the subprotocol `tracker`
 *
 * A protocol is one line in the table of web.c. A request for a path or subprotocol that is in no
 * line is refused, as is one for a space that is not configured.
 */
#ifndef SERVER_WEB_H
#define SERVER_WEB_H

#include "server/listeners.h"

struct web;

/* settings: the listener's; space: the one of requests that name none. All must outlive it. */
struct web *web_create(const struct listeners_context *context,
                       const struct listener_settings *settings, const char *space,
                       const struct http_router *router);
/* Its connections must be gone. */
void web_destroy(struct web **web);
void web_serve(struct web *web, struct conn *conn);
/* No more upgrades: the front-end drains. */
void web_set_draining(struct web *web);
/* Says Close to those that were upgraded. */
void web_end_sessions(struct web *web);

#endif
