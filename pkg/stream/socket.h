/*
 * socket: one non-blocking outgoing stream: TCP or unix, plain or TLS.
 */
#ifndef STREAM_SOCKET_H
#define STREAM_SOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/address.h"
#include "loop/loop.h"
#include "stream/resolve.h"

struct stream_socket;
struct tls_context; /* tls/tls.h */

/*
 * Starts connecting. ready is called when stream_socket_connected should be checked, and, once
 * connected, when the socket is readable or writable. source: the IP address to connect from, or
 * NULL. tls and server_name: NULL for a plain socket. The caller keeps the context. NULL with errno
 * when it failed at once.
 */
struct stream_socket *stream_socket_open(struct loop *loop, const struct stream_address *to,
                                         const struct address *source, struct tls_context *tls,
                                         const char *server_name, loop_io_callback ready, void *arg)
    __attribute__((warn_unused_result));
/* Replaces the callback: the socket has a new owner. */
void stream_socket_hand_over(struct stream_socket *socket, loop_io_callback ready, void *arg);
/* 1: connected, the TLS handshake included; 0: not yet; -1: failed, see stream_socket_error. */
int stream_socket_connected(struct stream_socket *socket);
/* As read(2) and write(2), but never EINTR. After EAGAIN from TLS, ready will be called; after
 * EAGAIN from a plain socket's write, call stream_socket_want_write. */
ssize_t stream_socket_read(struct stream_socket *socket, void *to, size_t len);
ssize_t stream_socket_write(struct stream_socket *socket, const void *from, size_t len);
/* Whether more can be read without waiting for the socket. */
bool stream_socket_has_pending(const struct stream_socket *socket);
/* Whether to call ready when the socket is writable (for reading it is always called). */
void stream_socket_want_write(struct stream_socket *socket, bool wanted);
/* The reason of the last failure; valid until the next call. */
const char *stream_socket_error(const struct stream_socket *socket);
/* Whether TLS failed, not the transport below it. */
bool stream_socket_failed_in_tls(const struct stream_socket *socket);
/*
 * Closes; does nothing when NULL. reset: SO_LINGER 0, so that the kernel discards unsent data. This
 * has no effect on a unix socket: the server already has the data.
 */
void stream_socket_close(struct stream_socket **socket, bool reset);

#endif
