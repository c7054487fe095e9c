/*
 * transport: how a connection's bytes reach its peer: over a plain socket, or in records of TLS.
 *
 * TLS may have to write in order to read, and the reverse: the flags of a conn note which, so that
 * conn_watch asks the loop for the right event. A record that could not be written whole must be
 * offered again with the same first bytes, as it is: output only grows at its end.
 */
#include "net/transport.h"

#include <errno.h>
#include <sys/socket.h>

#include "net/net_private.h"

#define RECORD_SIZE     16384 /* the largest of TLS */
#define HANDSHAKE_UNITS 50    /* of the budget: most of it is the signature */

static ssize_t plain_read(struct conn *conn, void *to, size_t room)
{
    return recv(conn_fd(conn), to, room, 0);
}

static ssize_t plain_write(struct conn *conn, const void *from, size_t len)
{
    return send(conn_fd(conn), from, len, MSG_NOSIGNAL);
}

const struct conn_transport conn_plain = {.read = plain_read, .write = plain_write};

static void tls_start(struct conn *conn)
{
    conn_charge(conn, HANDSHAKE_UNITS);
    conn->tls[0] = tls_stream_create(conn->listener->tls, conn_fd(conn), NULL);
}

static unsigned tls_wanted(const struct conn *conn)
{
    return tls_stream_wants_write(conn->tls[0]) ? LOOP_WRITE : LOOP_READ;
}

static int tls_handshake(struct conn *conn)
{
    return tls_stream_handshake(conn->tls[0]);
}

static const char *tls_error(const struct conn *conn)
{
    return tls_stream_error(conn->tls[0]);
}

static ssize_t tls_read(struct conn *conn, void *to, size_t room)
{
    ssize_t n;
    conn->flags &= ~CONN_READ_WANTS_WRITE;
    n = tls_stream_read(conn->tls[0], to, room);
    if (n < 0 && errno == EAGAIN && tls_stream_wants_write(conn->tls[0])) {
        conn->flags |= CONN_READ_WANTS_WRITE;
    }
    return n;
}

static ssize_t tls_write(struct conn *conn, const void *from, size_t len)
{
    ssize_t n;
    conn->flags &= ~CONN_WRITE_WANTS_READ;
    n = tls_stream_write(conn->tls[0], from, len);
    if (n < 0 && errno == EAGAIN && !tls_stream_wants_write(conn->tls[0])) {
        conn->flags |= CONN_WRITE_WANTS_READ;
    }
    return n;
}

static bool tls_has_pending(const struct conn *conn)
{
    return tls_stream_has_pending(conn->tls[0]);
}

/* Before the handshake there is nothing to shut down. */
static void tls_shutdown(struct conn *conn)
{
    if (conn->tls[0]) {
        tls_stream_shutdown(conn->tls[0]);
    }
}

const struct conn_transport conn_tls = {.record_size = RECORD_SIZE,
                                        .start = tls_start,
                                        .wanted = tls_wanted,
                                        .handshake = tls_handshake,
                                        .error = tls_error,
                                        .read = tls_read,
                                        .write = tls_write,
                                        .has_pending = tls_has_pending,
                                        .shutdown = tls_shutdown};
