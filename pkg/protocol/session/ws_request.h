/*
 * ws_request: what a WebSocket client sent with its request, for its protocol. All but tokens,
 * which stays valid, is valid during the call that it is passed to.
 *
 * The end of the connection has been set (websocket_set_lifetime): with claims that of the token,
 * without them, where tokens are required, auth.deadline. A protocol that gets a token in a message
 * sets it again: auth_claims_left_ms, WEBSOCKET_UNAUTHORIZED, "token expired".
 */
#ifndef PROTOCOL_SESSION_WS_REQUEST_H
#define PROTOCOL_SESSION_WS_REQUEST_H

#include "base/bytes.h"

struct auth_claims;
struct auth_verifier;

struct ws_request {
    struct bytes mode;                  /* of the query; data NULL when it has none */
    struct bytes resume;                /* likewise */
    const struct auth_claims *claims;   /* of its token; NULL when it sent none */
    const struct auth_verifier *tokens; /* NULL: authentication is off */
};

#endif
