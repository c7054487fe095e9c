/*
 * token: who a client is, by a signed token (JWT, RFC 7519) that somebody else has issued.
 *
 * A token is three parts in base64url (RFC 7515, compact): header, claims, signature. The algorithm
 * is the setting auth.algorithm, never the token's choice; nothing that the claims say counts
 * before the signature is found good. The signature is libjwt's; header and claims are read by
 * codec/json, as libjwt accepts what nobody should: keys twice, bytes outside the alphabet, `crit`.
 *
 *   sub     required: the user, text of 1 to AUTH_USER_MAX bytes
 *   exp     required: seconds since the epoch, a whole number
 *   nbf     honoured, likewise
 *   spaces  the spaces in which it counts: an array of names, "*" for every one; missing: every one
 *   iss     must be auth.issuer where that is set
 *   aud     must be, or contain, auth.audience where that is set
 *
 * A token is never logged. Whoever looks at one hands out a static reason, and counts it.
 */
#ifndef AUTH_TOKEN_H
#define AUTH_TOKEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "config/config.h"

#define AUTH_USER_MAX 255

enum auth_mode { AUTH_OFF, AUTH_ON };
enum auth_algorithm { AUTH_HS256, AUTH_RS256, AUTH_ES256 };

struct auth_settings {
    int mode;           /* auth.mode: whether WebSocket protocols want a token */
    int algorithm;      /* auth.algorithm: enum auth_algorithm */
    char *key;          /* auth.key: the secret, or the public key as PEM */
    char *previous_key; /* auth.previous_key: accepted too, while keys change; empty: none */
    char *issuer;       /* auth.issuer; empty: any */
    char *audience;     /* auth.audience; empty: any */
    int64_t leeway;     /* auth.leeway, ms that clocks may differ */
    int64_t deadline;   /* auth.deadline, ms to bring a token that comes in a message */
    int64_t max_token;  /* auth.max_token, bytes */
};
extern const struct config_module auth_config;

/* What is needed to judge tokens; it stays at its place over reloads. */
struct auth_verifier;

/* NULL and *error (the caller frees) when the settings do not fit one another: no key with mode on,
 * a secret under 32 bytes, a key that is not one for the algorithm. Copies what it needs. */
struct auth_verifier *auth_verifier_create(const struct auth_settings *settings, char **error)
    __attribute__((warn_unused_result));
void auth_verifier_destroy(struct auth_verifier **verifier);
/* NULL, or what is wrong (the caller frees): then it goes on with what it had. */
char *auth_verifier_reload(struct auth_verifier *verifier, const struct auth_settings *settings)
    __attribute__((warn_unused_result));
/* auth.mode: whether a client of a WebSocket protocol must have a token. */
bool auth_verifier_is_on(const struct auth_verifier *verifier);
/* Whether there is a key: without one every token is refused. */
bool auth_verifier_has_key(const struct auth_verifier *verifier);
/* auth.deadline, ms. */
uint64_t auth_verifier_deadline_ms(const struct auth_verifier *verifier);

struct auth_claims {
    char *user;
    char **spaces; /* those named; "*" is not among them */
    size_t space_count;
    bool every_space;
    uint64_t expires_ms; /* wall clock since the epoch, auth.leeway included */
};

/*
 * now_ms: wall clock since the epoch. True: *claims is filled, and auth_claims_free is due. False:
 * *why is static text for the client ("no token", "expired", "bad signature", ...), and *claims is
 * empty. An empty token is a missing one. Counts what it says.
 */
bool auth_token_check(const struct auth_verifier *verifier, struct bytes token, uint64_t now_ms,
                      struct auth_claims *claims, const char **why)
    __attribute__((warn_unused_result));
/* Whether the space is one of the claims'. */
bool auth_claims_allow(const struct auth_claims *claims, const char *space);
/* Whether the token is that user's. */
bool auth_claims_name(const struct auth_claims *claims, struct bytes user);
/* What is left of the token's life; 0 when it has ended. */
uint64_t auth_claims_left_ms(const struct auth_claims *claims, uint64_t now_ms);
/* May be called on empty claims, more than once. */
void auth_claims_free(struct auth_claims *claims);

/* The token of a request: of its header Authorization ("Bearer TOKEN", RFC 6750), else of its query
 * parameter `token`; either may be missing (data NULL). A header of another scheme counts as
 * missing, one that says Bearer goes first even when it holds none. Empty when there is none. */
struct bytes auth_request_token(struct bytes authorization, struct bytes parameter);

#endif
