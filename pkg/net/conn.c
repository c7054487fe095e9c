/* conn: a connection's life from its creation to its end; input and output have their own files. */
#include "net/conn.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "net/net_private.h"

_Static_assert(METRIC_CLOSED_LOCAL - METRIC_CLOSED_PEER == (int)CONN_CLOSE_LOCAL,
               "the metrics of closed connections have the order of the reasons");
_Static_assert(sizeof(struct conn) <= 152, "a connection fits a block of 160 bytes");

const char *conn_close_reason_name(enum conn_close_reason reason)
{
    static const char *const names[] = {
        [CONN_CLOSE_PEER] = "peer",           [CONN_CLOSE_ERROR] = "error",
        [CONN_CLOSE_IDLE] = "idle",           [CONN_CLOSE_HANDSHAKE] = "handshake",
        [CONN_CLOSE_WRITE] = "write_timeout", [CONN_CLOSE_MESSAGE] = "message_timeout",
        [CONN_CLOSE_SILENT] = "silent",       [CONN_CLOSE_PROTOCOL] = "protocol",
        [CONN_CLOSE_DRAIN] = "drain",         [CONN_CLOSE_KICKED] = "kicked",
        [CONN_CLOSE_BANNED] = "banned",       [CONN_CLOSE_TAKEN] = "taken",
        [CONN_CLOSE_MEMORY] = "memory",       [CONN_CLOSE_CUT_OFF] = "cut_off",
        [CONN_CLOSE_LOCAL] = "local"};
    return names[reason];
}

#define INPUT_LIMIT_MAX (1U << 30)

static void on_open_event(struct conn *conn, unsigned events)
{
    if ((conn->flags & CONN_BACKLOGGED) &&
        ((events & LOOP_WRITE) || (conn->flags & CONN_WRITE_WANTS_READ))) {
        conn_make_dirty(conn);
    }
    if (conn->state == CONN_OPEN && !(conn->flags & CONN_STOPPED) &&
        ((events & LOOP_READ) || (conn->flags & CONN_READ_WANTS_WRITE)) &&
        conn_input_is_due(conn)) {
        conn_read(conn);
    }
}

static void on_event(void *arg, unsigned events)
{
    struct conn *conn = arg;
    loop_label(conn->listener->net->loop, conn->listener->where);
    switch ((enum conn_state)conn->state) {
    case CONN_PROXY:
        conn_read_proxy(conn);
        break;
    case CONN_TLS:
        conn_handshake(conn);
        break;
    case CONN_OPEN:
    case CONN_ENDING:
        on_open_event(conn, events);
        break;
    case CONN_LINGER:
        conn_read_linger(conn);
        break;
    case CONN_CLOSED:
        break;
    }
}

void conn_watch(struct conn *conn)
{
    unsigned events = 0;
    if (conn->input) {
        unfinished_watch(conn);
    }
    switch ((enum conn_state)conn->state) {
    case CONN_PROXY:
    case CONN_LINGER:
        events = LOOP_READ;
        break;
    case CONN_TLS:
        events = conn->listener->transport->wanted(conn);
        break;
    case CONN_OPEN:
        if (!(conn->flags & CONN_STOPPED)) {
            events |= conn->flags & CONN_READ_WANTS_WRITE ? LOOP_READ | LOOP_WRITE : LOOP_READ;
        }
        /* fall through */
    case CONN_ENDING:
        if (conn->flags & CONN_BACKLOGGED) {
            events |= conn->flags & CONN_WRITE_WANTS_READ ? LOOP_READ : LOOP_WRITE;
        }
        break;
    case CONN_CLOSED:
        return;
    }
    if (events != conn->interest) {
        conn->interest = (uint8_t)(events & 3);
        loop_io_set(conn->io, events);
    }
}

struct conn *conn_create(struct listener *listener, int fd, const struct address *peer,
                         struct budget_account *account)
{
    const size_t streams = listener->transport == &conn_tls;
    struct conn *conn = mem_zalloc(1, sizeof *conn + streams * sizeof conn->tls[0]);
    list_init(&conn->node);
    list_init(&conn->dirty);
    conn->listener = listener;
    listener->references++;
    conn->peer = *peer;
    conn->io = loop_io_create(listener->net->loop, fd, on_event, conn);
    listener->net->count++;
    metrics_add(METRIC_CONNECTIONS, 1);
    conn->last_received = net_stamp(listener->net);
    if (account) {
        conn_open_account(conn, account);
    }
    queue_conn(conn, QUEUE_HANDSHAKE);
    return conn;
}

enum conn_state conn_first_state(const struct listener *listener)
{
    return listener->transport->handshake ? CONN_TLS : CONN_OPEN;
}

bool conn_has_pending(const struct conn *conn)
{
    const struct conn_transport *transport = conn->listener->transport;
    return transport->has_pending != NULL && transport->has_pending(conn);
}

static void shut_transport(struct conn *conn)
{
    if (conn->listener->transport->shutdown) {
        conn->listener->transport->shutdown(conn);
    }
}

static void enter_open(struct conn *conn)
{
    const struct listener *listener = conn->listener;
    metrics_add(METRIC_ACCEPTED, 1);
    listener->callbacks->accepted(listener->arg, conn);
    assert(conn->handler);
    if (conn->state != CONN_OPEN) {
        return;
    }
    if (conn_has_pending(conn)) {
        conn_schedule_input(conn);
    }
    conn_watch(conn);
}

static void enter_ending(struct conn *conn)
{
    conn_forget_wait(conn);
    list_remove(&conn->node);
    conn_drop_input(conn);
    if (!(conn->flags & CONN_BACKLOGGED)) {
        conn_make_dirty(conn); /* the flush does the rest */
    }
    conn_watch(conn);
}

static void enter_linger(struct conn *conn)
{
    shut_transport(conn);
    (void)shutdown(conn_fd(conn), SHUT_WR);
    queue_conn(conn, QUEUE_LINGER);
    conn_watch(conn);
}

static void enter_closed(struct conn *conn)
{
    struct net *net = conn->listener->net;
    int fd;
    if (conn->handler) {
        metrics_add(METRIC_CLOSED_PEER + conn->reason, 1);
    }
    /* No record may follow one of which only a part was sent. */
    if (conn->reason != CONN_CLOSE_ERROR && !(conn->flags & CONN_BACKLOGGED)) {
        shut_transport(conn);
    }
    list_remove(&conn->dirty);
    conn_drop_output(conn);
    conn_drop_input(conn);
    fd = conn_fd(conn);
    loop_io_destroy(&conn->io);
    close(fd);
    conn_forget_wait(conn);
    conn_close_account(conn);
    net->count--;
    metrics_add(METRIC_CONNECTIONS, -1);
    list_remove(&conn->node);
    list_append(&net->closing, &conn->node);
    loop_defer(net->loop, LOOP_PHASE_FREE, &net->free);
    net_resume_accepting(net);
}

void conn_move(struct conn *conn, enum conn_state state)
{
    conn->state = (uint8_t)(state & 7);
    switch (state) {
    case CONN_TLS:
        conn->listener->transport->start(conn);
        conn_watch(conn);
        break;
    case CONN_PROXY:
        conn_watch(conn);
        break;
    case CONN_OPEN:
        enter_open(conn);
        break;
    case CONN_ENDING:
        enter_ending(conn);
        break;
    case CONN_LINGER:
        enter_linger(conn);
        break;
    case CONN_CLOSED:
        enter_closed(conn);
        break;
    }
}

void conn_free(struct conn *conn)
{
    struct listener *listener = conn->listener;
    list_remove(&conn->node);
    if (conn->handler) {
        conn->handler->closed(conn->arg, conn->reason);
    }
    memory_forget(conn);
    if (conn->listener->transport == &conn_tls) {
        tls_stream_destroy(&conn->tls[0]);
    }
    free(conn);
    listener_unref(listener);
}

void conn_refuse(struct conn *conn, const char *reason, enum metric metric, const char *detail)
{
    net_refuse(conn->listener->net, conn->listener, &conn->peer, reason, metric, detail);
    conn->reason = CONN_CLOSE_ERROR;
    conn_move(conn, CONN_CLOSED);
}

void conn_set_handler(struct conn *conn, const struct conn_handler *handler, void *arg)
{
    const struct conn_framing *framing = conn_framing(conn);
    if (framing) {
        framing->set_handler(conn->arg, handler, arg);
        return;
    }
    conn->handler = handler;
    conn->arg = arg;
}

void conn_label(const struct conn *conn, const char *label)
{
    loop_label(conn->listener->net->loop, label);
}

void conn_handshake_done(struct conn *conn)
{
    if (conn->state != CONN_OPEN || (conn->flags & CONN_KNOWN)) {
        return;
    }
    conn->flags |= CONN_KNOWN;
    if (!(conn->flags & CONN_WAITING)) {
        queue_conn(conn, QUEUE_IDLE);
    }
}

void conn_set_input_limit(struct conn *conn, size_t limit)
{
    const struct conn_framing *framing = conn_framing(conn);
    if (framing) {
        framing->set_input_limit(conn->arg, limit);
        return;
    }
    conn->input_limit = limit < INPUT_LIMIT_MAX ? (uint32_t)limit : INPUT_LIMIT_MAX;
}

void conn_close(struct conn *conn, enum conn_close_reason reason)
{
    const struct conn_framing *framing = conn_framing(conn);
    if (framing) {
        framing->closing(conn->arg, reason);
    }
    /* What an earlier iteration has left to be sent is sent. */
    if ((conn->flags & CONN_DIRTY) && conn->listener->net->is_late && reason != CONN_CLOSE_ERROR) {
        conn_flush_dirty(conn);
    }
    if (conn->state == CONN_CLOSED) {
        return;
    }
    conn->reason = (uint8_t)reason;
    conn_move(conn, CONN_CLOSED);
}

void conn_close_after_output(struct conn *conn, enum conn_close_reason reason)
{
    const struct conn_framing *framing = conn_framing(conn);
    if (framing) {
        framing->close_after_output(conn->arg, reason);
    } else {
        conn_end(conn, reason);
    }
}

void conn_set_operator(struct conn *conn, bool is_operator)
{
    conn->flags &= (uint16_t)~CONN_OPERATOR;
    conn->flags |= is_operator ? CONN_OPERATOR : 0;
}

void conn_expel(struct conn *conn, enum conn_close_reason reason)
{
    if (conn->state != CONN_OPEN || (conn->flags & CONN_BACKLOGGED)) {
        conn_close(conn, reason);
    } else if (conn_framing(conn)) {
        conn_close_after_output(conn, reason);
    } else if (conn->handler->expelled) {
        conn->handler->expelled(conn->arg, reason);
    }
    if (conn->state == CONN_OPEN) { /* it has no answer, or was closing already */
        conn_close(conn, reason);
    }
}

void conn_end(struct conn *conn, enum conn_close_reason reason)
{
    if (conn->state != CONN_OPEN) {
        return;
    }
    conn->reason = (uint8_t)reason;
    conn_move(conn, CONN_ENDING);
}

const struct address *conn_peer(const struct conn *conn)
{
    return &conn->peer;
}

const char *conn_peer_text(const struct conn *conn)
{
    static char text[ADDRESS_TEXT_SIZE];
    return address_format(&conn->peer, text);
}

/* A framing sends pings, unless the peer has a backlog, or is not read from. */
static bool answers_pings(const struct conn *conn)
{
    return conn_framing(conn) != NULL && !(conn->flags & (CONN_STOPPED | CONN_BACKLOGGED));
}

bool conn_peer_is_gone(const struct conn *conn)
{
    struct pollfd look = {.events = POLLRDHUP};
    if (!conn->io) {
        return true;
    }
    look.fd = conn_fd(conn);
    return poll(&look, 1, 0) > 0 && (look.revents & (POLLRDHUP | POLLHUP | POLLERR));
}

uint64_t conn_idle_ms(const struct conn *conn)
{
    uint64_t idle_ms = net_elapsed_ms(conn->listener->net, conn->last_received);
    struct tcp_info info;
    socklen_t len = sizeof info;
    if (!conn->io || answers_pings(conn)) {
        return idle_ms;
    }
    if (conn->flags & CONN_WAITING) { /* for a bounded time, by our decision */
        return 0;
    }
    /* On the same machine: the kernel reports the end of a peer at once. */
    if (!conn->listener->socket.is_tcp) {
        return 0;
    }
    if (getsockopt(conn_fd(conn), IPPROTO_TCP, TCP_INFO, &info, &len) != 0) {
        return idle_ms;
    }
    if (info.tcpi_last_ack_recv < idle_ms) {
        idle_ms = info.tcpi_last_ack_recv;
    }
    if (info.tcpi_last_data_recv < idle_ms) {
        idle_ms = info.tcpi_last_data_recv;
    }
    return idle_ms;
}

bool conn_is_open(const struct conn *conn)
{
    return conn->state == CONN_OPEN;
}

bool conn_is_held(const struct conn *conn)
{
    return conn->flags & CONN_HELD;
}

bool conn_is_framed(const struct conn *conn)
{
    return conn_framing(conn) != NULL;
}

bool conn_is_tls(const struct conn *conn)
{
    return conn->listener->transport == &conn_tls && conn->tls[0] != NULL;
}

_Static_assert(CONN_CERTIFICATE_LENGTH == TLS_FINGERPRINT_LENGTH,
               "a fingerprint is the text of a certificate");

bool conn_certificate(const struct conn *conn, char text[CONN_CERTIFICATE_LENGTH + 1])
{
    return conn_is_tls(conn) && tls_stream_fingerprint(conn->tls[0], text);
}
