/*
 * conn_write: gives the output of a connection to the kernel.
 *
 * A flush tries once an event-loop iteration, or in the next one when the iteration has no time
 * left. What the kernel does not take, or what is more than one connection's share of an iteration,
 * is the connection's backlog: from then on only LOOP_WRITE has the flush send more, until nothing
 * is left.
 *
 * Many small pieces are joined into the net's buffer first, as one send of a few kilobytes costs
 * less than a vector of as many chunks. A message to many connections is the same pieces for all,
 * so the joined bytes are kept for the next connection; the pieces' references are kept too, so
 * that equal pointers mean equal bytes.
 */
#include "net/output_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/mem.h"

#define COPY_BELOW 1024 /* less backlog than this is copied, so that large frames can be freed */
#define JOIN_BELOW 1024 /* average size of pieces that are joined */
#define SHARE_SIZE (1U << 20) /* of one connection's output, about, in one iteration */

void output_forget_joined(struct net *net)
{
    if (net->joined) {
        output_release(net, net->joined);
    }
    net->joined = NULL;
}

/* Copies pieces, at most limit bytes, into the net's buffer. */
static size_t join_pieces(struct conn *conn, size_t limit)
{
    struct net *net = conn->listener->net;
    struct piece *piece = output_first_piece(conn);
    uint32_t count = conn->output ? conn->output->count : 1;
    size_t len = 0;
    output_forget_joined(net);
    for (; count > 0 && len < limit; count--, piece++) {
        size_t part = piece->len < limit - len ? piece->len : limit - len;
        memcpy(net->join + len, piece->frame->data + piece->offset, part);
        len += part;
    }
    return len;
}

/* Each of these writes once, and says how many bytes it gave. The vector ends with the piece that
 * makes it as long as `most`. */
static ssize_t write_piece(struct conn *conn, const struct piece *piece, size_t *given)
{
    *given = piece->len;
    return conn->listener->transport->write(conn, piece->frame->data + piece->offset, piece->len);
}

static ssize_t write_vector(struct conn *conn, size_t most, size_t *given)
{
    struct iovec chunks[NET_CHUNKS];
    struct output *output = conn->output;
    size_t count = output->count < NET_CHUNKS ? output->count : NET_CHUNKS;
    struct msghdr message = {.msg_iov = chunks};
    *given = 0;
    while (message.msg_iovlen < count && *given < most) {
        const struct piece *piece = &output->pieces[output->first + message.msg_iovlen];
        chunks[message.msg_iovlen++] =
            (struct iovec){piece->frame->data + piece->offset, piece->len};
        *given += piece->len;
    }
    return sendmsg(conn_fd(conn), &message, MSG_NOSIGNAL);
}

static ssize_t write_record(struct conn *conn, size_t *given)
{
    const struct conn_transport *transport = conn->listener->transport;
    const struct piece *piece = output_first_piece(conn);
    const uint8_t *from = piece->frame->data + piece->offset;
    *given = piece->len;
    if (piece->len < transport->record_size && conn->output && conn->output->count > 1) {
        *given = join_pieces(conn, transport->record_size);
        from = conn->listener->net->join;
    }
    return transport->write(conn, from, *given);
}

static bool are_same(const struct output *a, const struct output *b)
{
    return a->count == b->count && a->len == b->len &&
           memcmp(a->pieces + a->first, b->pieces + b->first, a->count * sizeof a->pieces[0]) == 0;
}

static bool is_joinable(const struct conn *conn)
{
    const struct output *output = conn->output;
    return output != NULL && output->count > 1 && output->len <= NET_BUFFER_SIZE &&
           output->len / output->count < JOIN_BELOW;
}

/* Writes all pieces as one, and when that succeeds leaves them to the net. */
static ssize_t write_joined(struct conn *conn, size_t *given)
{
    struct net *net = conn->listener->net;
    bool same = net->joined != NULL && are_same(net->joined, conn->output);
    ssize_t n;
    *given = conn->output->len;
    if (!same) {
        join_pieces(conn, NET_BUFFER_SIZE);
    }
    n = conn->listener->transport->write(conn, net->join, *given);
    if (n == (ssize_t)*given && !same && !(conn->flags & CONN_BACKLOGGED)) {
        net->joined = conn->output;
        conn->output = NULL;
        conn->flags &= ~CONN_TAIL_OPEN;
    }
    return n;
}

/* Writes until all is sent, the socket takes no more, or the share is used. False when it is
 * broken, and closed. */
static bool write_output(struct conn *conn)
{
    bool has_records = conn->listener->transport->record_size > 0;
    size_t left = SHARE_SIZE;
    while (conn_output_size(conn) > 0 && left > 0) {
        size_t given;
        ssize_t n;
        if (has_records) {
            n = write_record(conn, &given);
        } else if (is_joinable(conn)) {
            n = write_joined(conn, &given);
        } else if (!conn->output || conn->output->count == 1) {
            n = write_piece(conn, output_first_piece(conn), &given);
        } else {
            n = write_vector(conn, left, &given);
        }
        metrics_add(METRIC_WRITES, 1);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0 && errno != EAGAIN) {
            conn_close(conn, CONN_CLOSE_ERROR);
            return false;
        }
        if (n < 0) {
            return true;
        }
        metrics_add(METRIC_BYTES_OUT, n);
        conn->listener->net->written += (size_t)n;
        left -= (size_t)n < left ? (size_t)n : left;
        if (conn_output_size(conn) > 0) {
            output_consume(conn, (size_t)n);
        }
        if ((size_t)n < given && !has_records) {
            return true;
        }
    }
    return true;
}

/* A small rest must not keep large frames in memory. */
static void copy_rest(struct conn *conn)
{
    size_t len = conn_output_size(conn);
    uint32_t count = conn->output ? conn->output->count : 1;
    struct frame *frame;
    if (len >= COPY_BELOW || (count == 1 && output_first_piece(conn)->frame->len < len * 2)) {
        return;
    }
    join_pieces(conn, len);
    frame = output_create_tail((struct bytes){conn->listener->net->join, len});
    output_consume(conn, len);
    conn->single = (struct piece){frame, 0, frame->len};
    conn->flags |= CONN_TAIL_OPEN;
}

static void start_backlog(struct conn *conn)
{
    copy_rest(conn);
    output_make(conn);
    conn->flags |= CONN_BACKLOGGED;
    conn_count_output(conn, (int64_t)conn->output->len);
    queue_output(conn);
    conn_watch(conn);
}

void conn_flush(struct conn *conn)
{
    if ((conn->state != CONN_OPEN && conn->state != CONN_ENDING) ||
        (conn->flags & CONN_BACKLOGGED)) {
        return;
    }
    if (!write_output(conn)) {
        return;
    }
    if (conn_output_size(conn) > 0) {
        start_backlog(conn);
    } else if (conn->state == CONN_ENDING) {
        conn_move(conn, CONN_LINGER);
    }
}

size_t conn_flush_output(struct conn *conn)
{
    conn_flush(conn);
    return conn_output_size(conn);
}

static void send_backlog(struct conn *conn)
{
    size_t before = conn->output->len;
    bool held = conn->flags & CONN_HELD;
    if (!write_output(conn)) {
        return;
    }
    if (conn->output) {
        if (conn->output->len < before) {
            queue_output(conn);
        }
        conn_watch(conn);
        return;
    }
    conn->flags &= ~(CONN_BACKLOGGED | CONN_HELD);
    if (conn_framing(conn)) { /* no ping was sent meanwhile */
        conn->last_received = net_stamp(conn->listener->net);
    }
    if (conn->state == CONN_ENDING) {
        conn_move(conn, CONN_LINGER);
        return;
    }
    if (held) {
        conn_schedule_input(conn);
    }
    conn_watch(conn);
    if (conn->handler->drained) {
        conn->handler->drained(conn->arg);
    }
}

void conn_flush_dirty(struct conn *conn)
{
    list_remove(&conn->dirty);
    conn->flags &= (uint16_t)~CONN_DIRTY;
    conn_flush(conn);
}

void conn_flush_next(struct conn *conn)
{
    const bool has_backlog = conn->flags & CONN_BACKLOGGED;
    conn_flush_dirty(conn);
    if (has_backlog) {
        send_backlog(conn);
    }
}
