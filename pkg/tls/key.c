/* key: OpenSSL reads the key, so a key that is accepted here can be used later. */
#include "tls/key.h"

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

/* OpenSSL's default callback prompts on the terminal. */
static int no_passphrase(char *to, int size, int writing, void *arg)
{
    return -1;
}

static EVP_PKEY *read_key(struct bytes pem)
{
    BIO *bio = pem.len <= INT_MAX ? BIO_new_mem_buf(pem.data, (int)pem.len) : NULL;
    EVP_PKEY *key = bio ? PEM_read_bio_PUBKEY(bio, NULL, no_passphrase, NULL) : NULL;
    BIO_free(bio);
    return key;
}

static enum tls_key_kind kind_of(const EVP_PKEY *key)
{
    switch (EVP_PKEY_get_base_id(key)) {
    case EVP_PKEY_RSA:
        return TLS_KEY_RSA;
    case EVP_PKEY_EC:
        return TLS_KEY_EC;
    default:
        return TLS_KEY_OTHER;
    }
}

struct tls_key tls_key_read_public(struct bytes pem)
{
    struct tls_key found = {.kind = TLS_KEY_NONE};
    EVP_PKEY *key = read_key(pem);
    if (key) {
        found.kind = kind_of(key);
        found.bits = (unsigned)EVP_PKEY_get_bits(key);
        if (found.kind == TLS_KEY_EC &&
            EVP_PKEY_get_group_name(key, found.curve, sizeof found.curve, NULL) != 1) {
            found.curve[0] = 0;
        }
    }
    EVP_PKEY_free(key);
    ERR_clear_error();
    return found;
}
