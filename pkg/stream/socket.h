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
 * Begins to connect; ready is called when stream_socket_connected should be asked, afterwards when
 * there is something to read or room to write. source: the IP address to connect from, or NULL. tls
 * and server_name: NULL for a plain one. The context stays the caller's. NULL with errno when it
 * failed at once.
 */
struct stream_socket *stream_socket_open(struct loop *loop, const struct stream_address *to,
                                         const struct address *source, struct tls_context *tls,
                                         const char *server_name, loop_io_callback ready, void *arg)
    __attribute__((warn_unused_result));
/* From now on this is called instead: the socket has another owner. */
void stream_socket_hand_over(struct stream_socket *socket, loop_io_callback ready, void *arg);
/* 1: connected, the TLS handshake included; 0: not yet; -1: failed, see stream_socket_error. */
int stream_socket_connected(struct stream_socket *socket);
/* As read(2) and write(2), but never EINTR. EAGAIN of TLS arranges by itself for ready to be
 * called; of a plain one's write, the caller asks by stream_socket_want_write. */
ssize_t stream_socket_read(struct stream_socket *socket, void *to, size_t len);
ssize_t stream_socket_write(struct stream_socket *socket, const void *from, size_t len);
/* More can be read without the socket becoming readable. */
bool stream_socket_has_pending(const struct stream_socket *socket);
/* Whether ready is wanted for writing (it always is for reading). */
void stream_socket_want_write(struct stream_socket *socket, bool wanted);
/* What was wrong at the last failure; valid until the next call. */
const char *stream_socket_error(const struct stream_socket *socket);
/* Whether it is TLS that failed, not what carries it. */
bool stream_socket_failed_in_tls(const struct stream_socket *socket);
/*
 * Closes; harmless when NULL. reset: SO_LINGER 0, so that the kernel sends nothing of what we wrote
 * after this. A unix socket has no such thing: what was written is with the server already.
 */
void stream_socket_close(struct stream_socket **socket, bool reset);

#endif
