/* stream: OpenSSL directly on the descriptor. Its error queue is per thread, so it is cleared
 * before each call and read right after. */
#include "tls/tls.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <sodium.h>

#include "base/address.h"
#include "base/mem.h"
#include "tls/tls_private.h"

struct tls_stream {
    SSL *ssl;
    struct tls_context *context;
    char *error; /* NULL: none yet */
    bool wants_write;
    bool broken; /* after a fatal error nothing may be called any more */
};

/* The name is verified if the context verifies certificates; an IP address is compared with the
 * certificate's addresses, and is not sent as SNI. */
static void set_name(struct tls_stream *stream, const char *name)
{
    struct address address;
    bool is_address = address_parse_ip(name, &address);
    if (!is_address) {
        (void)SSL_set_tlsext_host_name(stream->ssl, name);
    }
    if (!stream->context->verifies) {
        return;
    }
    if (is_address) {
        (void)X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(stream->ssl), name);
    } else {
        (void)SSL_set1_host(stream->ssl, name);
    }
}

struct tls_stream *tls_stream_create(struct tls_context *context, int fd, const char *server_name)
{
    struct tls_stream *stream = mem_zalloc(1, sizeof *stream);
    stream->context = tls_context_ref(context);
    stream->ssl = SSL_new(context->ssl);
    if (!stream->ssl || SSL_set_fd(stream->ssl, fd) != 1) {
        abort(); /* out of memory, as in mem.h */
    }
    if (context->is_server) {
        SSL_set_accept_state(stream->ssl);
    } else {
        SSL_set_connect_state(stream->ssl);
    }
    if (server_name) {
        set_name(stream, server_name);
    }
    return stream;
}

void tls_stream_destroy(struct tls_stream **pointer)
{
    struct tls_stream *stream = *pointer;
    *pointer = NULL;
    if (!stream) {
        return;
    }
    SSL_free(stream->ssl);
    tls_context_unref(&stream->context);
    free(stream->error);
    free(stream);
}

static void note_stream_error(struct tls_stream *stream, int system_error)
{
    unsigned long code = ERR_get_error();
    long verified = SSL_get_verify_result(stream->ssl);
    const char *reason = code != 0 ? ERR_reason_error_string(code) : NULL;
    stream->broken = true;
    free(stream->error);
    if (reason && verified != X509_V_OK) {
        stream->error = mem_format("%s: %s", reason, X509_verify_cert_error_string(verified));
    } else if (reason) {
        stream->error = mem_strdup(reason);
    } else {
        stream->error = mem_strdup(system_error != 0 ? strerror(system_error) : "closed");
    }
    ERR_clear_error();
}

/* The result of a call that did not succeed: 0 for the end of the stream, else -1 with errno. */
static int interpret_result(struct tls_stream *stream, int result)
{
    int system_error = errno;
    switch (SSL_get_error(stream->ssl, result)) {
    case SSL_ERROR_WANT_READ:
        stream->wants_write = false;
        errno = EAGAIN;
        return -1;
    case SSL_ERROR_WANT_WRITE:
        stream->wants_write = true;
        errno = EAGAIN;
        return -1;
    case SSL_ERROR_ZERO_RETURN:
        return 0;
    case SSL_ERROR_SYSCALL:
        note_stream_error(stream, system_error);
        errno = system_error != 0 && system_error != EAGAIN ? system_error : ECONNRESET;
        return -1;
    default:
        note_stream_error(stream, 0);
        errno = EPROTO;
        return -1;
    }
}

/* Before each call. False when nothing may be called any more. */
static bool prepare_call(struct tls_stream *stream)
{
    if (stream->broken) {
        errno = EPROTO;
        return false;
    }
    ERR_clear_error();
    stream->wants_write = false;
    errno = 0;
    return true;
}

static int clamp_length(size_t len)
{
    return len < INT_MAX ? (int)len : INT_MAX;
}

ssize_t tls_stream_read(struct tls_stream *stream, void *to, size_t len)
{
    int n;
    if (!prepare_call(stream)) {
        return -1;
    }
    n = SSL_read(stream->ssl, to, clamp_length(len));
    return n > 0 ? n : interpret_result(stream, n);
}

ssize_t tls_stream_write(struct tls_stream *stream, const void *from, size_t len)
{
    int n;
    if (len == 0) {
        return 0;
    }
    if (!prepare_call(stream)) {
        return -1;
    }
    n = SSL_write(stream->ssl, from, clamp_length(len));
    if (n > 0) {
        return n;
    }
    if (interpret_result(stream, n) == 0) {
        errno = EPIPE;
    }
    return -1;
}

int tls_stream_handshake(struct tls_stream *stream)
{
    int n;
    if (!prepare_call(stream)) {
        return -1;
    }
    n = SSL_do_handshake(stream->ssl);
    if (n == 1) {
        return 0;
    }
    if (interpret_result(stream, n) == 0) {
        note_stream_error(stream, 0);
        errno = ECONNRESET;
    }
    return -1;
}

bool tls_stream_wants_write(const struct tls_stream *stream)
{
    return stream->wants_write;
}

bool tls_stream_has_pending(const struct tls_stream *stream)
{
    return !stream->broken && SSL_has_pending(stream->ssl);
}

bool tls_stream_fingerprint(const struct tls_stream *stream, char text[TLS_FINGERPRINT_LENGTH + 1])
{
    const X509 *certificate = SSL_get0_peer_certificate(stream->ssl);
    unsigned char digest[TLS_FINGERPRINT_LENGTH / 2];
    unsigned len = 0;
    if (!certificate || SSL_get_verify_result(stream->ssl) != X509_V_OK ||
        !(SSL_get_verify_mode(stream->ssl) & SSL_VERIFY_PEER) ||
        X509_digest(certificate, EVP_sha256(), digest, &len) != 1 || len != sizeof digest) {
        return false;
    }
    (void)sodium_bin2hex(text, TLS_FINGERPRINT_LENGTH + 1, digest, sizeof digest);
    return true;
}

const char *tls_stream_error(const struct tls_stream *stream)
{
    return stream->error ? stream->error : "no error";
}

void tls_stream_shutdown(struct tls_stream *stream)
{
    if (!SSL_is_init_finished(stream->ssl) || !prepare_call(stream)) {
        return;
    }
    (void)SSL_shutdown(stream->ssl);
    ERR_clear_error();
}
