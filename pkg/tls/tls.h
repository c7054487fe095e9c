/*
 * tls: a TLS stream over a non-blocking socket, for listeners, the link to Redis, and clients.
 *
 * Contexts are counted by reference, so that a reload of certificates replaces the context for new
 * connections and leaves open ones alone. Idle streams hold no buffers (SSL_MODE_RELEASE_BUFFERS).
 * TLS 1.2 and later. SIGPIPE must be ignored by the process.
 */
#ifndef TLS_TLS_H
#define TLS_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct tls_context;
struct tls_stream;

/* Server side: PEM files; ca may be NULL, else clients must present a certificate it signed.
 * On failure NULL, and *error a message that the caller frees. */
struct tls_context *tls_server_context_create(const char *certificate, const char *key,
                                              const char *ca, char **error)
    __attribute__((warn_unused_result));
/* Client side: ca NULL uses the system's store; verify false accepts any certificate. certificate
 * and key may be NULL. */
struct tls_context *tls_client_context_create(const char *ca, const char *certificate,
                                              const char *key, bool verify, char **error)
    __attribute__((warn_unused_result));
struct tls_context *tls_context_ref(struct tls_context *context);
void tls_context_unref(struct tls_context **context);

/* The caller keeps the descriptor. server_name (clients): for SNI and verification, or NULL. */
struct tls_stream *tls_stream_create(struct tls_context *context, int fd, const char *server_name);
void tls_stream_destroy(struct tls_stream **stream);

/*
 * Like read(2) and write(2): bytes moved; 0 at the end of the stream (read); -1 with errno EAGAIN
 * when the socket is not ready (then tls_stream_wants says for what), or another errno when the
 * stream is broken (tls_stream_error says why). The handshake happens inside the first calls.
 */
ssize_t tls_stream_read(struct tls_stream *stream, void *to, size_t len);
ssize_t tls_stream_write(struct tls_stream *stream, const void *from, size_t len);
/* 0 done, -1 with errno EAGAIN or an error: drives the handshake alone. */
int tls_stream_handshake(struct tls_stream *stream);
/* After EAGAIN: whether the stream waits for the socket to become writable (else readable). */
bool tls_stream_wants_write(const struct tls_stream *stream);
/* Whether decrypted bytes are buffered: read again before waiting for the socket. */
bool tls_stream_has_pending(const struct tls_stream *stream);
/* After the handshake: SHA-256 of the peer's verified certificate, 64 lowercase hex digits. False
 * when there is none. */
#define TLS_FINGERPRINT_LENGTH 64
bool tls_stream_fingerprint(const struct tls_stream *stream, char text[TLS_FINGERPRINT_LENGTH + 1])
    __attribute__((warn_unused_result));
/* Static or stream-owned text. */
const char *tls_stream_error(const struct tls_stream *stream);
/* Sends close_notify, best effort. */
void tls_stream_shutdown(struct tls_stream *stream);

#endif
