/*
 * token: authenticates a client by a signed token (JWT, RFC 7519) from an external issuer.
 *
 * A token is three parts in base64url (RFC 7515, compact): header, claims, signature. The algorithm
 * is the setting auth.algorithm, never the token's choice; claims are trusted only after the
 * signature has been verified. libjwt verifies the signature; header and claims are read by
 * codec/json, as libjwt accepts duplicate keys, bytes outside the alphabet, and `crit`.
 *
 *   sub     required: the user, text of 1 to AUTH_USER_MAX bytes
 *   exp     required: seconds since the epoch, a whole number
 *   nbf     honoured, likewise
 *   spaces  the spaces for which it is valid: an array of names, "*" for all; missing: all
 *   iss     must be auth.issuer if that is set
 *   aud     must be, or contain, auth.audience if that is set
 *
 * A token is never logged. A refusal has a static reason, and is counted.
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
    int mode;           /* auth.mode: whether WebSocket protocols require a token */
    int algorithm;      /* auth.algorithm: enum auth_algorithm */
    char *key;          /* auth.key: the secret, or the public key as PEM */
    char *previous_key; /* auth.previous_key: accepted too, while keys change; empty: none */
    char *issuer;       /* auth.issuer; empty: any */
    char *audience;     /* auth.audience; empty: any */
    int64_t leeway;     /* auth.leeway, ms by which clocks may differ */
    int64_t deadline;   /* auth.deadline, ms until a token must arrive in a message */
    int64_t max_token;  /* auth.max_token, bytes */
};
extern const struct config_module auth_config;

/* The settings for checking tokens; its address does not change in reloads. */
struct auth_verifier;

/* NULL and *error (the caller frees) when the settings are inconsistent: no key with mode on, a
 * secret under 32 bytes, a key of the wrong kind for the algorithm. Copies what it needs. */
struct auth_verifier *auth_verifier_create(const struct auth_settings *settings, char **error)
    __attribute__((warn_unused_result));
void auth_verifier_destroy(struct auth_verifier **verifier);
/* NULL, or the error (the caller frees): then it keeps the previous settings. */
char *auth_verifier_reload(struct auth_verifier *verifier, const struct auth_settings *settings)
    __attribute__((warn_unused_result));
/* auth.mode: whether a client of a WebSocket protocol must have a token. */
bool auth_verifier_is_on(const struct auth_verifier *verifier);
/* Whether there is a key: without one all tokens are refused. */
bool auth_verifier_has_key(const struct auth_verifier *verifier);
/* What checking a token may cost, in units of the budget: a signature for each of the keys. */
uint32_t auth_verifier_units(const struct auth_verifier *verifier);
/* auth.deadline, ms. */
uint64_t auth_verifier_deadline_ms(const struct auth_verifier *verifier);

struct auth_claims {
    char *user;
    char **spaces; /* without "*" */
    size_t space_count;
    bool every_space;
    uint64_t expires_ms; /* since the epoch, auth.leeway included */
};

/*
 * now_ms: since the epoch, by Redis's clock. True: *claims is filled, to be freed by
 * auth_claims_free. False: *why is static text for the client ("no token", "expired", "bad
 * signature", ...), and *claims is empty. An empty token counts as missing. Updates the metrics.
 */
bool auth_token_check(const struct auth_verifier *verifier, struct bytes token, uint64_t now_ms,
                      struct auth_claims *claims, const char **why)
    __attribute__((warn_unused_result));
/* Whether the token is valid for the space. */
bool auth_claims_allow(const struct auth_claims *claims, const char *space);
/* Whether the token names this user. */
bool auth_claims_name(const struct auth_claims *claims, struct bytes user);
/* The time until the token expires; 0 when it has expired. */
uint64_t auth_claims_left_ms(const struct auth_claims *claims, uint64_t now_ms);
/* May be called on empty claims, more than once. */
void auth_claims_free(struct auth_claims *claims);

/* The token of a request: from its header Authorization ("Bearer TOKEN", RFC 6750), else from its
 * query parameter `token`; either may be missing (data NULL). A header with another scheme counts
 * as missing; one with Bearer takes precedence even if it is empty. Empty when there is no token.
 */
struct bytes auth_request_token(struct bytes authorization, struct bytes parameter);

#endif
