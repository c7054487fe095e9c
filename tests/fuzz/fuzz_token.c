/*
 * Fuzzes tokens. The first byte of the input selects what the rest is: a token as it is; or a
 * header and claims with a zero byte between them, which are signed with the secret, so that the
 * code behind the check of the signature is reached, too.
 *
 * Invariants: an accepted token has a user, an expiry in the future, and spaces with valid names; a
 * refused one has a reason and no claims; an accepted one is refused once a bit of it, or the
 * secret, is changed.
 */
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "auth/token.h"
#include "base/ids.h"
#include "base/mem.h"

#define NOW_MS 1700000000000ull

#define REQUIRE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char secret[] = "0123456789abcdef0123456789abcdef";

static struct auth_verifier *make_verifier(const char *key)
{
    struct auth_settings settings = {.mode = AUTH_ON,
                                     .algorithm = AUTH_HS256,
                                     .key = (char *)key,
                                     .previous_key = (char *)"",
                                     .issuer = (char *)"",
                                     .audience = (char *)"",
                                     .leeway = 5000,
                                     .max_token = 4096};
    char *error;
    struct auth_verifier *verifier = auth_verifier_create(&settings, &error);
    REQUIRE(verifier);
    return verifier;
}

static void encode_part(struct writer *to, struct bytes part)
{
    size_t size = sodium_base64_encoded_len(part.len, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    char *text = mem_alloc(size);
    sodium_bin2base64(text, size, part.data, part.len, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    writer_string(to, text);
    free(text);
}

static void sign(struct writer *to, struct bytes input)
{
    const uint8_t *zero = input.len > 0 ? memchr(input.data, 0, input.len) : NULL;
    size_t len = zero ? (size_t)(zero - input.data) : 0;
    uint8_t mac[crypto_auth_hmacsha256_BYTES];
    if (!zero) {
        encode_part(to, BYTES_LITERAL("{\"alg\":\"HS256\"}"));
    } else {
        encode_part(to, (struct bytes){input.data, len});
    }
    writer_u8(to, '.');
    encode_part(to, zero ? (struct bytes){zero + 1, input.len - len - 1} : input);
    crypto_auth_hmacsha256(mac, to->data, to->len, (const uint8_t *)secret);
    writer_u8(to, '.');
    encode_part(to, (struct bytes){mac, sizeof mac});
}

static void require_good(const struct auth_claims *claims, const char *why)
{
    REQUIRE(!why && claims->user && claims->user[0] != 0);
    REQUIRE(strlen(claims->user) <= AUTH_USER_MAX);
    REQUIRE(bytes_is_utf8(bytes_from_string(claims->user)));
    REQUIRE(auth_claims_left_ms(claims, NOW_MS) > 0);
    for (size_t i = 0; i < claims->space_count; i++) {
        REQUIRE(id_is_space_name(claims->spaces[i]));
        REQUIRE(auth_claims_allow(claims, claims->spaces[i]));
    }
    REQUIRE(claims->every_space == auth_claims_allow(claims, "*"));
}

static bool judge(const struct auth_verifier *verifier, struct bytes token)
{
    struct auth_claims claims;
    const char *why = NULL;
    bool good = auth_token_check(verifier, token, NOW_MS, &claims, &why);
    if (good) {
        require_good(&claims, why);
    } else {
        REQUIRE(why && !claims.user && !claims.spaces);
    }
    auth_claims_free(&claims);
    return good;
}

static void require_fragile(const struct auth_verifier *verifier, const struct writer *token,
                            uint8_t where)
{
    struct auth_verifier *other = make_verifier("fedcba9876543210fedcba9876543210");
    uint8_t *byte = &token->data[where % token->len];
    REQUIRE(!judge(other, writer_bytes_written(token)));
    auth_verifier_destroy(&other);
    *byte ^= (uint8_t)(1u << where % 8);
    REQUIRE(!judge(verifier, writer_bytes_written(token)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct auth_verifier *verifier;
    struct writer token = {0};
    if (!verifier) {
        REQUIRE(sodium_init() >= 0);
        verifier = make_verifier(secret);
    }
    if (size == 0) {
        return 0;
    }
    if (data[0] & 1) {
        sign(&token, (struct bytes){data + 1, size - 1});
    } else {
        writer_bytes(&token, (struct bytes){data + 1, size - 1});
    }
    if (judge(verifier, writer_bytes_written(&token))) {
        require_fragile(verifier, &token, size > 1 ? data[size / 2] : 0);
    }
    writer_free(&token);
    return 0;
}
