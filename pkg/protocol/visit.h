/*
 * visit: what a WebSocket client brought with its request, handed to its protocol. Everything is
 * valid during the call that it is given to.
 */
#ifndef PROTOCOL_VISIT_H
#define PROTOCOL_VISIT_H

#include "base/bytes.h"

struct auth_claims;
struct auth_verifier;

struct visit {
    struct bytes mode;                  /* of the query; data NULL when it has none */
    struct bytes resume;                /* likewise */
    const struct auth_claims *claims;   /* of its token; NULL when it brought none */
    const struct auth_verifier *tokens; /* NULL: authentication is off */
};

#endif
