/*
 * web: a listener for HTTP, and for protocols over WebSocket.
 *
 *   path                          subprotocol, on any path
 *   /tracker, /tracker/SPACE      tracker
 *   /turntable, /turntable/SPACE  turntable
 *   /sync, /sync/SPACE            none
 *
 * A protocol is one row in the table of web.c. A request for another path or subprotocol is
 * refused, as is one for a space that is not configured, and one without the token that auth.mode
 * requires. A listener for one protocol accepts upgrades on any path, and nothing else.
 */
#ifndef SERVER_WEB_H
#define SERVER_WEB_H

#include "server/listeners.h"

struct web;

/* settings: the listener's; space: that of requests that name none. All must outlive it. */
struct web *web_create(const struct listeners_context *context,
                       const struct listener_settings *settings, const char *space,
                       const struct http_router *router);
/* protocol: the only one that is served, a name in the table of web.c. */
struct web *web_create_for(const struct listeners_context *context,
                           const struct listener_settings *settings, const char *space,
                           const char *protocol);
/* Its connections must have been closed. */
void web_destroy(struct web **web);
void web_serve(struct web *web, struct conn *conn);
/* Refuses upgrades with 503 while why is set (static text). */
void web_refuse_upgrades(struct web *web, const char *why);
/* Sends Close to all WebSocket connections. */
void web_end_sessions(struct web *web);

#endif
