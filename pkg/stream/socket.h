/*
 * socket: one non-blocking stream to Redis: TCP or unix, plain or TLS.
 */
#ifndef STREAM_SOCKET_H
#define STREAM_SOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "loop/loop.h"
#include "tls/tls.h"

struct redis_socket;
/*
 * Begins to connect; ready is called when redis_socket_connected should be asked, afterwards when
 * there is something to read or room to write. tls and server_name: NULL for a plain one. The
 * context stays the caller's. NULL with errno when it failed at once.
 */
struct redis_socket *redis_socket_open(struct loop *loop, const struct sockaddr *address,
                                       socklen_t len, struct tls_context *tls,
                                       const char *server_name, loop_io_callback ready, void *arg);
/* 1: connected, the TLS handshake included; 0: not yet; -1: failed, see redis_socket_error. */
int redis_socket_connected(struct redis_socket *socket);
/* As read(2) and write(2); EAGAIN arranges by itself for ready to be called. */
ssize_t redis_socket_read(struct redis_socket *socket, void *to, size_t len);
ssize_t redis_socket_write(struct redis_socket *socket, const void *from, size_t len);
/* More can be read without the socket becoming readable. */
bool redis_socket_has_pending(const struct redis_socket *socket);
/* Whether ready is wanted for writing (it always is for reading). */
void redis_socket_want_write(struct redis_socket *socket, bool wanted);
/* What was wrong at the last failure; valid until the next call. */
const char *redis_socket_error(const struct redis_socket *socket);
/* Whether it is TLS that failed, not what carries it. */
bool redis_socket_failed_in_tls(const struct redis_socket *socket);
/*
 * Closes. reset: SO_LINGER 0, so that the kernel sends nothing of what we wrote after this. A unix
 * socket has no such thing: what was written is with the server already.
 */
void redis_socket_close(struct redis_socket **socket, bool reset);

#endif
