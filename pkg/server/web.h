/*
 * web: one listener that speaks HTTP, and over WebSocket what is asked for.
 *
 *   path                          subprotocol, on any path
 *   /tracker, /tracker/SPACE      tracker
 *   /turntable, /turntable/SPACE  turntable
 *   /sync, /sync/SPACE            none
 *
 * A protocol is one line in the table of web.c. A request for a path or subprotocol that is in no
 * line is refused, as is one for a space that is not configured, and one without the token that
 * auth.mode asks for. A listener for one protocol speaks
 * it on any path, and is asked in vain for anything else than an upgrade.
 */
#ifndef SERVER_WEB_H
#define SERVER_WEB_H

#include "server/listeners.h"

struct web;

/* settings: the listener's; space: the one of requests that name none. All must outlive it. */
struct web *web_create(const struct listeners_context *context,
                       const struct listener_settings *settings, const char *space,
                       const struct http_router *router);
/* protocol: the only one that is spoken, a name in the table of web.c. */
struct web *web_create_for(const struct listeners_context *context,
                           const struct listener_settings *settings, const char *space,
                           const char *protocol);
/* Its connections must be gone. */
void web_destroy(struct web **web);
void web_serve(struct web *web, struct conn *conn);
/* No upgrades while why is set (static text, answered with 503). */
void web_turn_away(struct web *web, const char *why);
/* Says Close to those that were upgraded. */
void web_end_sessions(struct web *web);

#endif
