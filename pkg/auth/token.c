/*
 * token: validates a token in the order of trust: its form, its header, its signature, its claims.
 */
#include "auth/token.h"

#include <jwt.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "auth/token_private.h"
#include "base/ids.h"
#include "base/mem.h"
#include "codec/json.h"
#include "metrics/metrics.h"

/* The last second of the year 9999: later times are clamped to it, so that sums do not overflow. */
#define SECONDS_MAX 253402300799

enum verdict {
    GOOD,
    MISSING,
    NO_KEY,
    SIZE,
    MALFORMED,
    TYPE,
    ALGORITHM,
    SIGNATURE,
    CLAIMS,
    NO_USER,
    NO_EXPIRY,
    SPACES,
    EXPIRED,
    EARLY,
    ISSUER,
    AUDIENCE
};

static const struct {
    const char *why;
    enum metric metric;
} verdicts[] = {
    [GOOD] = {NULL, METRIC_TOKENS_ACCEPTED},
    [MISSING] = {"no token", METRIC_TOKENS_REFUSED_MISSING},
    [NO_KEY] = {"no key for tokens configured", METRIC_TOKENS_REFUSED_KEY},
    [SIZE] = {"token too long", METRIC_TOKENS_REFUSED_SIZE},
    [MALFORMED] = {"malformed token", METRIC_TOKENS_REFUSED_MALFORMED},
    [TYPE] = {"wrong type of token", METRIC_TOKENS_REFUSED_MALFORMED},
    [ALGORITHM] = {"wrong algorithm", METRIC_TOKENS_REFUSED_ALGORITHM},
    [SIGNATURE] = {"bad signature", METRIC_TOKENS_REFUSED_SIGNATURE},
    [CLAIMS] = {"malformed claims", METRIC_TOKENS_REFUSED_CLAIMS},
    [NO_USER] = {"token names no user", METRIC_TOKENS_REFUSED_CLAIMS},
    [NO_EXPIRY] = {"token has no expiry", METRIC_TOKENS_REFUSED_CLAIMS},
    [SPACES] = {"malformed spaces in token", METRIC_TOKENS_REFUSED_CLAIMS},
    [EXPIRED] = {"token expired", METRIC_TOKENS_REFUSED_EXPIRED},
    [EARLY] = {"token not yet valid", METRIC_TOKENS_REFUSED_EARLY},
    [ISSUER] = {"wrong issuer", METRIC_TOKENS_REFUSED_ISSUER},
    [AUDIENCE] = {"wrong audience", METRIC_TOKENS_REFUSED_AUDIENCE},
};

/* The decoded parts. */
struct parts {
    struct writer header;
    struct writer claims;
    struct writer signature;
};

static void free_token_parts(struct parts *parts)
{
    writer_free(&parts->header);
    writer_free(&parts->claims);
    writer_free(&parts->signature);
}

/* Base64url without padding (RFC 7515, 2): nothing outside the alphabet, no bits left over. */
static bool decode_token_part(struct bytes part, struct writer *to)
{
    size_t len = 0;
    uint8_t *room;
    if (part.len == 0) {
        return false;
    }
    room = writer_reserve(to, part.len);
    if (sodium_base642bin(room, part.len, (const char *)part.data, part.len, NULL, &len, NULL,
                          sodium_base64_VARIANT_URLSAFE_NO_PADDING) != 0) {
        return false;
    }
    to->len = len;
    return true;
}

/* The part before the next dot, or the end. */
static struct bytes take_token_part(struct bytes *token)
{
    const uint8_t *dot = token->len > 0 ? memchr(token->data, '.', token->len) : NULL;
    struct bytes part = {token->data, dot ? (size_t)(dot - token->data) : token->len};
    size_t used = part.len + (dot != NULL);
    token->data += used;
    token->len -= used;
    return part;
}

static enum verdict split_token(struct bytes token, struct parts *parts)
{
    struct bytes header = take_token_part(&token), claims = take_token_part(&token);
    /* A third dot is outside the alphabet. */
    if (!decode_token_part(header, &parts->header) || !decode_token_part(claims, &parts->claims) ||
        !decode_token_part(token, &parts->signature)) {
        return MALFORMED;
    }
    return GOOD;
}

static struct json_document *parse_token_json(const struct writer *text)
{
    struct json_limits limits = JSON_LIMITS_DEFAULT;
    struct json_error error = {0};
    struct json_document *document =
        json_document_parse(writer_bytes_written(text), &limits, &error);
    if (document && json_value_type(json_document_root(document)) != JSON_TYPE_OBJECT) {
        json_document_free(&document);
    }
    return document;
}

/* The text of a member; data NULL when it is missing or not text. */
static struct bytes claim_text(const struct json_value *object, const char *key)
{
    struct json_error error = {0};
    struct bytes text = {NULL, 0};
    if (!json_value_text(json_value_member(object, key), &text, &error)) {
        return (struct bytes){NULL, 0};
    }
    return text;
}

static bool claim_is(struct bytes text, const char *wanted)
{
    return text.data != NULL && bytes_equal(text, bytes_from_string(wanted));
}

static enum verdict judge_type(const struct json_value *header)
{
    struct bytes type = claim_text(header, "typ");
    if (!json_value_member(header, "typ")) {
        return GOOD;
    }
    /* A text is followed by a NUL. libjwt accepts no other type. */
    return type.data != NULL && strcasecmp((const char *)type.data, "JWT") == 0 ? GOOD : TYPE;
}

static enum verdict judge_header(const struct writer *text, enum auth_algorithm algorithm)
{
    struct json_document *document = parse_token_json(text);
    const struct json_value *header;
    enum verdict verdict;
    if (!document) {
        return MALFORMED;
    }
    header = json_document_root(document);
    if (!claim_is(claim_text(header, "alg"), auth_algorithm_name(algorithm))) {
        verdict = ALGORITHM;
    } else if (json_value_member(header, "crit")) { /* extensions are not supported */
        verdict = MALFORMED;
    } else {
        verdict = judge_type(header);
    }
    json_document_free(&document);
    return verdict;
}

static bool is_signed_by(const char *text, const char *key, enum auth_algorithm algorithm)
{
    static const jwt_alg_t algorithms[] = {
        [AUTH_HS256] = JWT_ALG_HS256, [AUTH_RS256] = JWT_ALG_RS256, [AUTH_ES256] = JWT_ALG_ES256};
    jwt_t *jwt = NULL;
    bool good = jwt_decode(&jwt, text, (const unsigned char *)key, (int)strlen(key)) == 0 && jwt &&
                jwt_get_alg(jwt) == algorithms[algorithm];
    jwt_free(jwt);
    return good;
}

static enum verdict judge_signature(const struct auth_verifier *verifier, struct bytes token)
{
    char *text = mem_dup(token.data, token.len);
    bool good = false;
    for (size_t i = 0; i < AUTH_KEYS && !good && verifier->keys[i]; i++) {
        good = is_signed_by(text, verifier->keys[i], verifier->algorithm);
    }
    free(text);
    return good ? GOOD : SIGNATURE;
}

/* Seconds since the epoch, which may have a fraction (RFC 7519, 2: NumericDate), as ms. */
static bool read_time(const struct json_value *value, uint64_t *ms)
{
    struct json_error error = {0};
    double seconds;
    if (!json_value_number(value, &seconds, &error)) {
        return false;
    }
    if (seconds < 0) {
        seconds = 0;
    }
    *ms = (uint64_t)((seconds < SECONDS_MAX ? seconds : SECONDS_MAX) * 1000);
    return true;
}

static enum verdict judge_times(const struct auth_verifier *verifier,
                                const struct json_value *claims, uint64_t now_ms,
                                uint64_t *expires_ms)
{
    const struct json_value *early = json_value_member(claims, "nbf");
    uint64_t begins_ms = 0;
    if (!json_value_member(claims, "exp")) {
        return NO_EXPIRY;
    }
    if (!read_time(json_value_member(claims, "exp"), expires_ms) ||
        (early && !read_time(early, &begins_ms))) {
        return CLAIMS;
    }
    *expires_ms += verifier->leeway_ms;
    if (now_ms >= *expires_ms) {
        return EXPIRED;
    }
    return begins_ms > now_ms + verifier->leeway_ms ? EARLY : GOOD;
}

static bool has_text(const struct json_value *array, const char *wanted)
{
    for (const struct json_value *at = json_value_first(array); at; at = json_value_next(at)) {
        struct json_error error = {0};
        struct bytes text;
        if (json_value_text(at, &text, &error) && claim_is(text, wanted)) {
            return true;
        }
    }
    return false;
}

static enum verdict judge_parties(const struct auth_verifier *verifier,
                                  const struct json_value *claims)
{
    const struct json_value *audience = json_value_member(claims, "aud");
    if (verifier->issuer && !claim_is(claim_text(claims, "iss"), verifier->issuer)) {
        return ISSUER;
    }
    if (!verifier->audience || claim_is(claim_text(claims, "aud"), verifier->audience)) {
        return GOOD;
    }
    return audience != NULL && json_value_type(audience) == JSON_TYPE_ARRAY &&
                   has_text(audience, verifier->audience)
               ? GOOD
               : AUDIENCE;
}

static enum verdict take_user(const struct json_value *object, struct auth_claims *claims)
{
    struct bytes user = claim_text(object, "sub");
    if (!user.data || user.len == 0 || user.len > AUTH_USER_MAX) {
        return NO_USER;
    }
    claims->user = mem_dup(user.data, user.len);
    return GOOD;
}

static bool take_space(const struct json_value *value, struct auth_claims *claims)
{
    struct json_error error = {0};
    struct bytes text;
    if (!json_value_text(value, &text, &error)) {
        return false;
    }
    if (claim_is(text, "*")) {
        claims->every_space = true;
    } else if (id_is_space_name((const char *)text.data)) {
        claims->spaces[claims->space_count++] = mem_dup(text.data, text.len);
    } else {
        return false;
    }
    return true;
}

static enum verdict take_spaces(const struct json_value *object, struct auth_claims *claims)
{
    const struct json_value *spaces = json_value_member(object, "spaces");
    claims->every_space = !spaces;
    if (!spaces) {
        return GOOD;
    }
    if (json_value_type(spaces) != JSON_TYPE_ARRAY) {
        return SPACES;
    }
    claims->spaces = mem_zalloc(json_value_count(spaces) + 1, sizeof *claims->spaces);
    for (const struct json_value *at = json_value_first(spaces); at; at = json_value_next(at)) {
        if (!take_space(at, claims)) {
            return SPACES;
        }
    }
    return GOOD;
}

static enum verdict judge_claims(const struct auth_verifier *verifier,
                                 const struct json_value *object, uint64_t now_ms,
                                 struct auth_claims *claims)
{
    enum verdict verdict = judge_times(verifier, object, now_ms, &claims->expires_ms);
    if (verdict == GOOD) {
        verdict = judge_parties(verifier, object);
    }
    if (verdict == GOOD) {
        verdict = take_user(object, claims);
    }
    if (verdict == GOOD) {
        verdict = take_spaces(object, claims);
    }
    return verdict;
}

/* libjwt also parses the claims before it verifies the signature, and does not report why it
 * refuses them: so their form is checked first, for the sake of the reason. */
static enum verdict judge_signed(const struct auth_verifier *verifier, struct bytes token,
                                 const struct writer *text, uint64_t now_ms,
                                 struct auth_claims *claims)
{
    struct json_document *document = parse_token_json(text);
    enum verdict verdict;
    if (!document) {
        return CLAIMS;
    }
    verdict = judge_signature(verifier, token);
    if (verdict == GOOD) {
        verdict = judge_claims(verifier, json_document_root(document), now_ms, claims);
    }
    json_document_free(&document);
    return verdict;
}

static enum verdict judge_token(const struct auth_verifier *verifier, struct bytes token,
                                uint64_t now_ms, struct auth_claims *claims)
{
    struct parts parts = {.header = {0}};
    enum verdict verdict;
    if (token.len == 0) {
        return MISSING;
    }
    if (!verifier->keys[0]) {
        return NO_KEY;
    }
    if (token.len > verifier->max_token) {
        return SIZE;
    }
    verdict = split_token(token, &parts);
    if (verdict == GOOD) {
        verdict = judge_header(&parts.header, verifier->algorithm);
    }
    if (verdict == GOOD) {
        verdict = judge_signed(verifier, token, &parts.claims, now_ms, claims);
    }
    free_token_parts(&parts);
    return verdict;
}

bool auth_token_check(const struct auth_verifier *verifier, struct bytes token, uint64_t now_ms,
                      struct auth_claims *claims, const char **why)
{
    enum verdict verdict;
    *claims = (struct auth_claims){.user = NULL};
    verdict = judge_token(verifier, token, now_ms, claims);
    metrics_add(verdicts[verdict].metric, 1);
    *why = verdicts[verdict].why;
    if (verdict != GOOD) {
        auth_claims_free(claims);
    }
    return verdict == GOOD;
}

bool auth_claims_allow(const struct auth_claims *claims, const char *space)
{
    for (size_t i = 0; i < claims->space_count; i++) {
        if (strcmp(claims->spaces[i], space) == 0) {
            return true;
        }
    }
    return claims->every_space;
}

bool auth_claims_name(const struct auth_claims *claims, struct bytes user)
{
    return claims->user != NULL && claim_is(user, claims->user);
}

uint64_t auth_claims_left_ms(const struct auth_claims *claims, uint64_t now_ms)
{
    return claims->expires_ms > now_ms ? claims->expires_ms - now_ms : 0;
}

void auth_claims_free(struct auth_claims *claims)
{
    for (size_t i = 0; i < claims->space_count; i++) {
        free(claims->spaces[i]);
    }
    free(claims->spaces);
    free(claims->user);
    *claims = (struct auth_claims){.user = NULL};
}

struct bytes auth_request_token(struct bytes authorization, struct bytes parameter)
{
    static const char scheme[] = "Bearer";
    size_t len = sizeof scheme - 1;
    if (authorization.len < len ||
        strncasecmp((const char *)authorization.data, scheme, len) != 0 ||
        (authorization.len > len && authorization.data[len] != ' ')) {
        return parameter;
    }
    authorization.data += len;
    authorization.len -= len;
    while (authorization.len > 0 && authorization.data[0] == ' ') {
        authorization.data++;
        authorization.len--;
    }
    return authorization;
}
