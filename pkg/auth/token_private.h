/* token_private: shared by token.c (checking a token) and verifier.c (the settings for it). */
#ifndef AUTH_TOKEN_PRIVATE_H
#define AUTH_TOKEN_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "auth/token.h"

#define AUTH_KEYS 2

struct auth_verifier {
    bool is_on;
    enum auth_algorithm algorithm;
    char *keys[AUTH_KEYS]; /* the first ones not NULL: the key, the previous one */
    char *issuer;          /* NULL: any */
    char *audience;        /* NULL: any */
    uint64_t leeway_ms;
    uint64_t deadline_ms;
    size_t max_token;
};

/* "HS256", as in a token's header. */
const char *auth_algorithm_name(enum auth_algorithm algorithm);

#endif
