/*
 * web_token: the token that a WebSocket client brings with its request.
 *
 * A browser cannot see how a handshake is refused, so the handshake is completed and the connection
 * closed with a code and the reason: 3000 without a good token, 3003 with one for another space.
 */
#ifndef SERVER_WEB_TOKEN_H
#define SERVER_WEB_TOKEN_H

#include <stdbool.h>

#include "auth/token.h"
#include "net/http/http.h"
#include "net/websocket/websocket.h"

struct web_token {
    const struct auth_verifier *verifier; /* NULL: none is wanted */
    struct auth_claims claims;            /* user NULL: it brought none */
    const char *why;                      /* NULL: it is let in */
    enum websocket_code code;             /* otherwise */
};

/* Looks at what the request brings. verifier: NULL is off. comes_later: the token may come in a
 * message instead. To be freed. */
void web_token_read(struct web_token *token, const struct auth_verifier *verifier,
                    struct http_request *request, const char *space, bool comes_later);
/* Of the connection that the request became: closes it, or sets its end, which is that of the token
 * or, without one, of the time to bring it. False: it is closed. */
bool web_token_apply(const struct web_token *token, struct websocket *websocket);
void web_token_free(struct web_token *token);

#endif
