/* digest: see digest.h. */
#include "tls/digest.h"

#include <stdlib.h>

#include <openssl/err.h>
#include <openssl/evp.h>

#include "base/log.h"

static bool make_digest(struct bytes bytes, uint8_t digest[TLS_SHA1_SIZE])
{
    return EVP_Digest(bytes.data, bytes.len, digest, NULL, EVP_sha1(), NULL) == 1;
}

bool tls_has_sha1(void)
{
    uint8_t digest[TLS_SHA1_SIZE];
    bool has = make_digest((struct bytes){0}, digest);
    ERR_clear_error();
    return has;
}

void tls_sha1(struct bytes bytes, uint8_t digest[TLS_SHA1_SIZE])
{
    if (make_digest(bytes, digest)) {
        return;
    }
    log_error("sha1_unavailable", LOG_STRING("library", "OpenSSL"),
              LOG_STRING("err", ERR_reason_error_string(ERR_peek_last_error())));
    abort();
}
