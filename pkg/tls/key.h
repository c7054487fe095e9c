/* key: what kind of public key a PEM text holds. */
#ifndef TLS_KEY_H
#define TLS_KEY_H

#include "base/bytes.h"

enum tls_key_kind {
    TLS_KEY_NONE, /* not a usable public key */
    TLS_KEY_RSA,
    TLS_KEY_EC,
    TLS_KEY_OTHER
};

struct tls_key {
    enum tls_key_kind kind;
    unsigned bits;  /* of the modulus, of the curve's order */
    char curve[32]; /* "prime256v1"; empty when it has none */
};

/* Reads the first "PUBLIC KEY" (SubjectPublicKeyInfo, RFC 7468 section 13) of the text. Asks for no
 * passphrase. */
struct tls_key tls_key_read_public(struct bytes pem);

#endif
