/* signer: makes keys and tokens for the tests of auth, by OpenSSL and libsodium and not by the
 * library that checks them. */
#ifndef TEST_AUTH_SIGNER_H
#define TEST_AUTH_SIGNER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/bio.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <sodium.h>

#include "auth/token.h"
#include "base/mem.h"

#define SECRET "0123456789abcdef0123456789abcdef"

/* What signs: a secret (HS256), or a key pair. */
struct signer {
    const char *secret;
    EVP_PKEY *key;
};

static char *pem_of(EVP_PKEY *key, int (*write)(BIO *bio, const EVP_PKEY *key))
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *data, *pem;
    long len;
    assert_int_equal(write(bio, key), 1);
    len = BIO_get_mem_data(bio, &data);
    pem = mem_dup(data, (size_t)len);
    BIO_free(bio);
    return pem;
}

/* The caller frees. */
static char *public_pem(EVP_PKEY *key)
{
    return pem_of(key, PEM_write_bio_PUBKEY);
}

static void encode_part(struct writer *to, struct bytes part)
{
    size_t size = sodium_base64_encoded_len(part.len, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    char *text = mem_alloc(size);
    sodium_bin2base64(text, size, part.data, part.len, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    writer_string(to, text);
    free(text);
}

static void sign_secret(struct writer *to, struct bytes text, const char *secret)
{
    uint8_t mac[crypto_auth_hmacsha256_BYTES];
    crypto_auth_hmacsha256_state state;
    crypto_auth_hmacsha256_init(&state, (const uint8_t *)secret, strlen(secret));
    crypto_auth_hmacsha256_update(&state, text.data, text.len);
    crypto_auth_hmacsha256_final(&state, mac);
    encode_part(to, (struct bytes){mac, sizeof mac});
}

/* A signature of OpenSSL's as JWS has it: both numbers, each as long as the curve's order. */
static size_t flatten(EVP_PKEY *key, uint8_t *signature, size_t len)
{
    const uint8_t *at = signature;
    ECDSA_SIG *numbers = d2i_ECDSA_SIG(NULL, &at, (long)len);
    int size = (EVP_PKEY_get_bits(key) + 7) / 8;
    assert_non_null(numbers);
    BN_bn2binpad(ECDSA_SIG_get0_r(numbers), signature, size);
    BN_bn2binpad(ECDSA_SIG_get0_s(numbers), signature + size, size);
    ECDSA_SIG_free(numbers);
    return 2 * (size_t)size;
}

static void sign_key(struct writer *to, struct bytes text, EVP_PKEY *key)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    uint8_t signature[1024];
    size_t len = sizeof signature;
    assert_int_equal(EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, key), 1);
    assert_int_equal(EVP_DigestSign(context, signature, &len, text.data, text.len), 1);
    if (EVP_PKEY_get_base_id(key) == EVP_PKEY_EC) {
        len = flatten(key, signature, len);
    }
    encode_part(to, (struct bytes){signature, len});
    EVP_MD_CTX_free(context);
}

/* header.claims.signature; the caller frees. */
static char *sign(struct signer by, const char *header, const char *claims)
{
    struct writer token = {0}, signature = {0};
    encode_part(&token, bytes_from_string(header));
    writer_u8(&token, '.');
    encode_part(&token, bytes_from_string(claims));
    if (by.key) {
        sign_key(&signature, writer_bytes_written(&token), by.key);
    } else if (by.secret) {
        sign_secret(&signature, writer_bytes_written(&token), by.secret);
    }
    writer_u8(&token, '.');
    writer_bytes(&token, writer_bytes_written(&signature));
    writer_u8(&token, 0);
    writer_free(&signature);
    return (char *)token.data;
}

/* Settings with the defaults, on. The strings are literals or the caller's. */
static struct auth_settings settings_of(enum auth_algorithm algorithm, const char *key)
{
    return (struct auth_settings){
        .mode = AUTH_ON,
        .algorithm = algorithm,
        .key = (char *)key,
        .previous_key = (char *)"",
        .issuer = (char *)"",
        .audience = (char *)"",
        .leeway = 5000,
        .deadline = 10000,
        .max_token = 8192,
    };
}

static struct auth_verifier *verifier_of(struct auth_settings settings)
{
    char *error = NULL;
    struct auth_verifier *verifier = auth_verifier_create(&settings, &error);
    if (!verifier) {
        fail_msg("%s", error);
    }
    return verifier;
}

#endif
