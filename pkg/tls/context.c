/* context: certificates and rules, shared by the streams made under them. */
#include "tls/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>

#include "base/mem.h"
#include "tls/tls_private.h"

static char *openssl_failure(const char *what, const char *file)
{
    char text[256];
    unsigned long code = ERR_get_error();
    ERR_error_string_n(code, text, sizeof text);
    ERR_clear_error();
    return mem_format("%s%s%s: %s", what, file ? " " : "", file ? file : "",
                      code != 0 ? text : "unknown error");
}

static struct tls_context *create_tls_context(const SSL_METHOD *method, char **error)
{
    struct tls_context *context = mem_zalloc(1, sizeof *context);
    ERR_clear_error();
    *error = NULL;
    context->references = 1;
    context->ssl = SSL_CTX_new(method);
    if (!context->ssl) {
        *error = openssl_failure("TLS", NULL);
        free(context);
        return NULL;
    }
    (void)SSL_CTX_set_min_proto_version(context->ssl, TLS1_2_VERSION);
    /* A close without close_notify is accepted: our protocols frame their messages. */
    (void)SSL_CTX_set_options(context->ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                                SSL_OP_IGNORE_UNEXPECTED_EOF |
                                                SSL_OP_CIPHER_SERVER_PREFERENCE);
    (void)SSL_CTX_set_mode(context->ssl, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                             SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    (void)SSL_CTX_set_session_cache_mode(context->ssl, SSL_SESS_CACHE_OFF);
    return context;
}

static char *load_certificate(SSL_CTX *ssl, const char *certificate, const char *key)
{
    if (SSL_CTX_use_certificate_chain_file(ssl, certificate) != 1) {
        return openssl_failure("cannot use the certificate", certificate);
    }
    if (SSL_CTX_use_PrivateKey_file(ssl, key, SSL_FILETYPE_PEM) != 1) {
        return openssl_failure("cannot use the key", key);
    }
    if (SSL_CTX_check_private_key(ssl) != 1) {
        return openssl_failure("the key does not belong to the certificate", certificate);
    }
    return NULL;
}

static char *require_client_certificates(SSL_CTX *ssl, const char *ca)
{
    STACK_OF(X509_NAME) * names;
    static const unsigned char sessions[] = "tracker";
    if (SSL_CTX_load_verify_locations(ssl, ca, NULL) != 1) {
        return openssl_failure("cannot use the authority's certificate", ca);
    }
    names = SSL_load_client_CA_file(ca);
    if (!names) {
        return openssl_failure("cannot use the authority's certificate", ca);
    }
    SSL_CTX_set_client_CA_list(ssl, names);
    SSL_CTX_set_verify(ssl, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    /* OpenSSL resumes sessions of verified clients only under a name. */
    (void)SSL_CTX_set_session_id_context(ssl, sessions, sizeof sessions - 1);
    return NULL;
}

struct tls_context *tls_server_context_create(const char *certificate, const char *key,
                                              const char *ca, char **error)
{
    struct tls_context *context = create_tls_context(TLS_server_method(), error);
    if (!context) {
        return NULL;
    }
    context->is_server = true;
    *error = load_certificate(context->ssl, certificate, key);
    if (!*error && ca) {
        *error = require_client_certificates(context->ssl, ca);
    }
    if (*error) {
        tls_context_unref(&context);
    }
    return context;
}

static char *load_ca(SSL_CTX *ssl, const char *ca)
{
    int done =
        ca ? SSL_CTX_load_verify_locations(ssl, ca, NULL) : SSL_CTX_set_default_verify_paths(ssl);
    return done == 1 ? NULL : openssl_failure("cannot use the authority's certificate", ca);
}

struct tls_context *tls_client_context_create(const char *ca, const char *certificate,
                                              const char *key, bool verify, char **error)
{
    struct tls_context *context = create_tls_context(TLS_client_method(), error);
    if (!context) {
        return NULL;
    }
    context->verifies = verify;
    SSL_CTX_set_verify(context->ssl, verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
    if (verify) {
        *error = load_ca(context->ssl, ca);
    }
    if (!*error && certificate) {
        *error = load_certificate(context->ssl, certificate, key ? key : certificate);
    }
    if (*error) {
        tls_context_unref(&context);
    }
    return context;
}

struct tls_context *tls_context_ref(struct tls_context *context)
{
    context->references++;
    return context;
}

void tls_context_unref(struct tls_context **pointer)
{
    struct tls_context *context = *pointer;
    *pointer = NULL;
    if (!context || --context->references > 0) {
        return;
    }
    SSL_CTX_free(context->ssl);
    free(context);
}
