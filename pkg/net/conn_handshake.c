/* conn_handshake: what precedes the protocol: the PROXY header, then the TLS handshake. Both
 * are under net.handshake_timeout, which began when the connection was accepted. */
#include "net/net_private.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "net/proxy_private.h"

_Static_assert(PROXY_MAX_SIZE < NET_BUFFER_SIZE, "a PROXY header fits the shared buffer");

static void refuse_proxy(struct conn *conn, const char *detail)
{
    conn_refuse(conn, "proxy_header", METRIC_REFUSED_PROXY, detail);
}

static void apply_proxy_header(struct conn *conn, const struct proxy_header *header)
{
    struct listener *listener = conn->listener;
    if (header->has_source) {
        conn->peer = header->source;
    }
    struct budget_account *account;
    if (!listener_admits(listener, &conn->peer, &account)) {
        conn->reason = CONN_CLOSE_LOCAL;
        conn_move(conn, CONN_CLOSED);
        return;
    }
    if (account) {
        conn_open_account(conn, account);
    }
    conn_move(conn, conn_first_state(listener));
}

/* The bytes after the header belong to TLS or the protocol, and TLS reads the descriptor itself: so
 * the header is peeked at, and only its own bytes are read. */
void conn_read_proxy(struct conn *conn)
{
    uint8_t *buffer = conn->listener->net->buffer;
    size_t kept = conn->input ? conn->input->len : 0, take;
    struct proxy_header header;
    enum proxy_result result;
    ssize_t n;
    if (kept > 0) {
        memcpy(buffer, conn->input->data, kept);
    }
    n = recv(conn_fd(conn), buffer + kept, PROXY_MAX_SIZE - kept, MSG_PEEK);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (n <= 0) {
        refuse_proxy(conn, n == 0 ? "closed before the header was complete" : strerror(errno));
        return;
    }
    result = proxy_parse((struct bytes){buffer, kept + (size_t)n}, &header);
    if (result == PROXY_BAD) {
        refuse_proxy(conn, header.error);
        return;
    }
    take = result == PROXY_DONE ? header.len - kept : (size_t)n;
    if (recv(conn_fd(conn), buffer + kept, take, 0) != (ssize_t)take) {
        refuse_proxy(conn, "the header could not be read");
        return;
    }
    if (result == PROXY_MORE) {
        conn_keep_input(conn, (struct bytes){buffer, kept + take});
        return;
    }
    conn_drop_input(conn);
    apply_proxy_header(conn, &header);
}

void conn_handshake(struct conn *conn)
{
    const struct conn_transport *transport = conn->listener->transport;
    if (transport->handshake(conn) == 0) {
        conn_move(conn, CONN_OPEN);
    } else if (errno == EAGAIN) {
        conn_watch(conn);
    } else {
        conn_refuse(conn, "tls", METRIC_REFUSED_TLS, transport->error(conn));
    }
}
