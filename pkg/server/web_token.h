/*
 * web_token: the token in a WebSocket client's request.
 *
 * Browsers do not expose why a handshake was refused. So the handshake is completed, and the
 * connection closed with a code and the reason: 3000 without a valid token, 3003 with one for
 * another space.
 */
#ifndef SERVER_WEB_TOKEN_H
#define SERVER_WEB_TOKEN_H

#include <stdbool.h>

#include "auth/token.h"
#include "net/http/http.h"
#include "net/websocket/websocket.h"

struct web_token {
    const struct auth_verifier *verifier; /* NULL: no token is required */
    uint64_t now_ms;                      /* by Redis's clock, which all front-ends share */
    struct auth_claims claims;            /* user NULL: no token */
    const char *why;                      /* the refusal; NULL: accepted */
    enum websocket_code code;             /* of the refusal */
};

/* Reads and checks the request's token. verifier: NULL for off. now_ms: by Redis's
 * clock. comes_later: the token may be sent
 * in a message instead. The caller frees it. */
void web_token_read(struct web_token *token, const struct auth_verifier *verifier,
                    struct http_request *request, const char *space, bool comes_later,
                    uint64_t now_ms);
/* Applies it to the upgraded connection: closes it if the token was refused; otherwise sets its end
 * to the token's expiry, or, without one, to the time-out for sending it. False: it is closed. */
bool web_token_apply(const struct web_token *token, struct websocket *websocket);
void web_token_free(struct web_token *token);

#endif
