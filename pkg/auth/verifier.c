/*
 * verifier: the settings for checking tokens, checked for consistency.
 *
 * A key of the wrong kind is refused here, not at the first client: a PEM text used as a secret
 * would let everybody who has the public key sign tokens.
 */
#include <stdlib.h>
#include <string.h>

#include "auth/token_private.h"
#include "base/mem.h"
#include "tls/key.h"

/* Of the budget, for a signature. */
#define SECRET_UNITS     2
#define PUBLIC_KEY_UNITS 20

#define SECRET_MIN       32 /* bytes: as long as the hash, RFC 7518, 3.2 */
#define RSA_MIN          2048

const char *auth_algorithm_name(enum auth_algorithm algorithm)
{
    static const char *const names[] = {
        [AUTH_HS256] = "HS256", [AUTH_RS256] = "RS256", [AUTH_ES256] = "ES256"};
    return names[algorithm];
}

static char *check_secret(const char *name, const char *key)
{
    if (strstr(key, "-----BEGIN ")) {
        return mem_format("%s: HS256 requires a secret, and this is a key in PEM form", name);
    }
    if (strlen(key) < SECRET_MIN) {
        return mem_format("%s: the secret has %zu bytes; HS256 requires at least %d", name,
                          strlen(key), SECRET_MIN);
    }
    return NULL;
}

/* Describes a text that is not a public key. */
static const char *describe_key(const char *key)
{
    if (strstr(key, "PRIVATE KEY-----")) {
        return "this is a private key, which only the issuer of tokens may have";
    }
    if (strstr(key, "-----BEGIN CERTIFICATE-----")) {
        return "this is a certificate (openssl x509 -pubkey -noout writes the key in it)";
    }
    return "this cannot be read as one";
}

static char *check_public(const char *name, const char *key, enum auth_algorithm algorithm)
{
    struct tls_key found = tls_key_read_public(bytes_from_string(key));
    const char *wanted = auth_algorithm_name(algorithm);
    if (strstr(key, "PRIVATE KEY-----") || found.kind == TLS_KEY_NONE) {
        return mem_format("%s: %s requires a public key in PEM form, and %s", name, wanted,
                          describe_key(key));
    }
    if (algorithm == AUTH_RS256 && found.kind != TLS_KEY_RSA) {
        return mem_format("%s: RS256 requires an RSA key, and this is another kind of key", name);
    }
    if (algorithm == AUTH_RS256 && found.bits < RSA_MIN) {
        return mem_format("%s: the RSA key has %u bits; RS256 requires at least %d", name,
                          found.bits, RSA_MIN);
    }
    if (algorithm == AUTH_ES256 &&
        (found.kind != TLS_KEY_EC || strcmp(found.curve, "prime256v1") != 0)) {
        return mem_format("%s: ES256 requires a key on the curve P-256, and this is %s%s", name,
                          found.kind == TLS_KEY_EC ? "one on " : "another kind of key",
                          found.curve);
    }
    return NULL;
}

static char *check_key(const char *name, const char *key, enum auth_algorithm algorithm)
{
    return algorithm == AUTH_HS256 ? check_secret(name, key) : check_public(name, key, algorithm);
}

static char *check_auth_settings(const struct auth_settings *settings)
{
    enum auth_algorithm algorithm = (enum auth_algorithm)settings->algorithm;
    char *error = NULL;
    if (*settings->key == 0 && settings->mode == AUTH_ON) {
        return mem_strdup("auth.mode = on needs auth.key or auth.key_file");
    }
    if (*settings->key == 0 && *settings->previous_key != 0) {
        return mem_strdup("auth.previous_key is set, but auth.key is not");
    }
    if (*settings->key != 0) {
        error = check_key("auth.key", settings->key, algorithm);
    }
    if (!error && *settings->previous_key != 0) {
        error = check_key("auth.previous_key", settings->previous_key, algorithm);
    }
    return error;
}

static char *copy_text(const char *text)
{
    return *text != 0 ? mem_strdup(text) : NULL;
}

static void fill_verifier(struct auth_verifier *verifier, const struct auth_settings *settings)
{
    *verifier = (struct auth_verifier){
        .is_on = settings->mode == AUTH_ON,
        .algorithm = (enum auth_algorithm)settings->algorithm,
        .keys = {copy_text(settings->key), copy_text(settings->previous_key)},
        .issuer = copy_text(settings->issuer),
        .audience = copy_text(settings->audience),
        .leeway_ms = (uint64_t)settings->leeway,
        .deadline_ms = (uint64_t)settings->deadline,
        .max_token = (size_t)settings->max_token,
    };
}

static void empty_verifier(struct auth_verifier *verifier)
{
    for (size_t i = 0; i < AUTH_KEYS; i++) {
        free(verifier->keys[i]);
    }
    free(verifier->issuer);
    free(verifier->audience);
}

struct auth_verifier *auth_verifier_create(const struct auth_settings *settings, char **error)
{
    struct auth_verifier *verifier;
    *error = check_auth_settings(settings);
    if (*error) {
        return NULL;
    }
    verifier = mem_zalloc(1, sizeof *verifier);
    fill_verifier(verifier, settings);
    return verifier;
}

void auth_verifier_destroy(struct auth_verifier **verifier)
{
    if (!*verifier) {
        return;
    }
    empty_verifier(*verifier);
    free(*verifier);
    *verifier = NULL;
}

char *auth_verifier_reload(struct auth_verifier *verifier, const struct auth_settings *settings)
{
    char *error = check_auth_settings(settings);
    if (error) {
        return error;
    }
    empty_verifier(verifier);
    fill_verifier(verifier, settings);
    return NULL;
}

bool auth_verifier_is_on(const struct auth_verifier *verifier)
{
    return verifier->is_on;
}

bool auth_verifier_has_key(const struct auth_verifier *verifier)
{
    return verifier->keys[0] != NULL;
}

uint32_t auth_verifier_units(const struct auth_verifier *verifier)
{
    const uint32_t each = verifier->algorithm == AUTH_HS256 ? SECRET_UNITS : PUBLIC_KEY_UNITS;
    uint32_t units = 0;
    for (size_t i = 0; i < AUTH_KEYS && verifier->keys[i]; i++) {
        units += each;
    }
    return units;
}

uint64_t auth_verifier_deadline_ms(const struct auth_verifier *verifier)
{
    return verifier->deadline_ms;
}
