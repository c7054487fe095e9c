/*
 * conn_output: what is sent, as pieces of frames.
 *
 * One piece, the most common output of an event-loop iteration, is stored in the conn itself; more
 * have an array, which exists only while there is output. A flush tries once an iteration. What the
 * kernel does not take is the connection's backlog: from then on only LOOP_WRITE sends more, until
 * nothing is left.
 *
 * Many small pieces are joined into the net's buffer first, as one send of a few kilobytes costs
 * less than a vector of as many chunks. A message to many connections is the same pieces for all,
 * so the joined bytes are kept for the next connection; the pieces' references are kept too, so
 * that equal pointers mean equal bytes.
 */
#include "net/net_private.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/mem.h"

#define PIECES       8      /* of a fresh array */
#define SPARE_PIECES 128    /* larger arrays are not kept */
#define SPARE_SIZE   262144 /* nor more than this of them */
#define TAIL_MAX     16384  /* a frame of our own grows to this */
#define COPY_BELOW   1024 /* less backlog than this is copied, so that large frames can be freed */
#define JOIN_BELOW   1024 /* average size of pieces that are joined */

size_t conn_output_size(const struct conn *conn)
{
    return conn->output != NULL ? conn->output->len : conn->single.len;
}

bool conn_has_backlog(const struct conn *conn)
{
    return conn->flags & CONN_BACKLOGGED;
}

void conn_make_dirty(struct conn *conn)
{
    struct net *net = conn->listener->net;
    if (conn->flags & CONN_DIRTY)
        return;
    conn->flags |= CONN_DIRTY;
    if (list_is_empty(&net->dirty))
        loop_defer(net->loop, LOOP_PHASE_OUTPUT, &net->flush);
    list_append(&net->dirty, &conn->dirty);
}

static struct piece *first_piece(struct conn *conn)
{
    return conn->output != NULL ? &conn->output->pieces[conn->output->first] : &conn->single;
}

static struct piece *last_piece(struct conn *conn)
{
    struct output *output = conn->output;
    return output != NULL ? &output->pieces[output->first + output->count - 1] : &conn->single;
}

static size_t output_size(const struct output *output)
{
    return sizeof *output + output->capacity * sizeof output->pieces[0];
}

/* Arrays come and go with every iteration that has several messages for many, so some are kept. */
static void free_output(struct net *net, struct output *output)
{
    for (uint32_t i = 0; i < output->count; i++)
        frame_unref(&output->pieces[output->first + i].frame);
    list_remove(&output->node);
    if (output->capacity > SPARE_PIECES || net->spare_size + output_size(output) > SPARE_SIZE) {
        free(output);
        return;
    }
    net->spare_size += output_size(output);
    list_prepend(&net->spare, &output->node);
}

static struct output *take_output(struct net *net)
{
    struct output *output;
    if (!list_is_empty(&net->spare)) {
        output = list_entry(net->spare.next, struct output, node);
        list_remove(&output->node);
        net->spare_size -= output_size(output);
        return output;
    }
    output = mem_alloc(sizeof *output + PIECES * sizeof output->pieces[0]);
    list_init(&output->node);
    output->capacity = PIECES;
    return output;
}

void output_free_spare(struct net *net)
{
    while (!list_is_empty(&net->spare))
        free(take_output(net));
}

/* Gives the connection an array, which takes over the single piece. */
static void make_output(struct conn *conn)
{
    struct output *output;
    if (conn->output != NULL)
        return;
    output = take_output(conn->listener->net);
    output->conn = conn;
    output->since = 0;
    output->first = 0;
    output->count = conn->single.frame != NULL;
    output->len = conn->single.len;
    output->pieces[0] = conn->single;
    conn->single = (struct piece){0};
    conn->output = output;
}

/* Room for one more piece at the end. The array may move, and with it its node. */
static struct output *make_piece_room(struct conn *conn)
{
    struct output *output;
    struct list *next, *prev;
    bool linked;
    make_output(conn);
    output = conn->output;
    if (output->first + output->count < output->capacity)
        return output;
    if (output->first >= output->capacity / 2) {
        memmove(output->pieces, output->pieces + output->first,
                output->count * sizeof output->pieces[0]);
        output->first = 0;
        return output;
    }
    next = output->node.next;
    prev = output->node.prev;
    linked = !list_is_empty(&output->node);
    output->capacity *= 2;
    output = mem_realloc(output, output_size(output));
    if (linked)
        next->prev = prev->next = &output->node;
    else
        list_init(&output->node);
    conn->output = output;
    return output;
}

static void finish_append(struct conn *conn, size_t len)
{
    if (!(conn->flags & CONN_BACKLOGGED)) {
        conn_make_dirty(conn);
        return;
    }
    assert(conn->output != NULL); /* a backlog is output that waits */
    metrics_add(METRIC_OUTPUT_QUEUED, (int64_t)len);
    if (!(conn->flags & CONN_HELD) &&
        conn->output->len > (uint64_t)conn->listener->settings->max_output) {
        conn->flags |= CONN_HELD;
        conn_watch(conn);
    }
}

/* The piece's reference becomes the connection's. */
static void append_piece(struct conn *conn, struct piece piece)
{
    struct output *output = conn->output;
    conn->flags &= ~CONN_TAIL_OPEN;
    if (output == NULL && conn->single.frame == NULL) {
        conn->single = piece;
    } else {
        if (output == NULL || output->first + output->count == output->capacity)
            output = make_piece_room(conn);
        output->pieces[output->first + output->count++] = piece;
        output->len += piece.len;
    }
    finish_append(conn, piece.len);
}

/* How many bytes the memory of a frame of our own holds when it has len: a power of two less the
 * header, so that it need not be noted. Those that cannot grow are exact. */
static size_t tail_capacity(size_t len)
{
    size_t size = 64;
    if (len >= TAIL_MAX)
        return len;
    while (size < len + sizeof(struct frame))
        size *= 2;
    return size - sizeof(struct frame);
}

/* Adds to the last piece, which is ours alone. */
static void grow_tail(struct conn *conn, struct bytes bytes)
{
    struct piece *tail = last_piece(conn);
    size_t len = tail->frame->len + bytes.len;
    if (tail_capacity(len) != tail_capacity(tail->frame->len))
        tail->frame = mem_realloc(tail->frame, sizeof *tail->frame + tail_capacity(len));
    memcpy(tail->frame->data + tail->frame->len, bytes.data, bytes.len);
    tail->frame->len = (uint32_t)len;
    tail->len += (uint32_t)bytes.len;
    if (conn->output != NULL)
        conn->output->len += bytes.len;
    finish_append(conn, bytes.len);
}

static struct frame *create_tail(struct bytes bytes)
{
    struct frame *frame;
    assert(bytes.len <= UINT32_MAX);
    frame = mem_alloc(sizeof *frame + tail_capacity(bytes.len));
    frame->references = 1;
    frame->len = (uint32_t)bytes.len;
    memcpy(frame->data, bytes.data, bytes.len);
    return frame;
}

void conn_send(struct conn *conn, struct bytes bytes)
{
    const struct conn_framing *framing = conn_framing(conn);
    if (framing != NULL && bytes.len > 0)
        framing->send(conn->arg, bytes);
    else
        conn_put(conn, bytes);
}

void conn_put(struct conn *conn, struct bytes bytes)
{
    struct frame *frame;
    if (conn->state != CONN_OPEN || bytes.len == 0)
        return;
    if ((conn->flags & CONN_TAIL_OPEN) && last_piece(conn)->frame->len + bytes.len <= TAIL_MAX) {
        grow_tail(conn, bytes);
        return;
    }
    frame = create_tail(bytes);
    append_piece(conn, (struct piece){frame, 0, frame->len});
    conn->flags |= CONN_TAIL_OPEN;
}

void conn_send_frame(struct conn *conn, struct frame *frame)
{
    conn_send_slice(conn, frame, 0, frame->len);
}

void conn_send_slice(struct conn *conn, struct frame *frame, size_t offset, size_t len)
{
    const struct conn_framing *framing = conn_framing(conn);
    assert(offset <= frame->len && len <= frame->len - offset);
    if (framing != NULL && len > 0)
        framing->send_slice(conn->arg, frame, offset, len);
    else
        conn_put_slice(conn, frame, offset, len);
}

void conn_put_slice(struct conn *conn, struct frame *frame, size_t offset, size_t len)
{
    if (conn->state == CONN_OPEN && len > 0)
        append_piece(conn, (struct piece){frame_ref(frame), (uint32_t)offset, (uint32_t)len});
}

/* The first n bytes have been sent. */
static void consume_output(struct conn *conn, size_t n)
{
    struct output *output = conn->output;
    if (conn->flags & CONN_BACKLOGGED)
        metrics_add(METRIC_OUTPUT_QUEUED, -(int64_t)n);
    if (output != NULL)
        output->len -= n;
    while (n > 0) {
        struct piece *piece = first_piece(conn);
        if (n < piece->len) {
            piece->offset += (uint32_t)n;
            piece->len -= (uint32_t)n;
            return;
        }
        n -= piece->len;
        frame_unref(&piece->frame);
        piece->len = 0;
        if (output != NULL) {
            output->first++;
            output->count--;
        }
    }
    if (conn_output_size(conn) > 0)
        return;
    conn->flags &= ~CONN_TAIL_OPEN;
    if (output != NULL)
        free_output(conn->listener->net, output);
    conn->output = NULL;
}

void conn_drop_output(struct conn *conn)
{
    consume_output(conn, conn_output_size(conn));
}

void output_forget_joined(struct net *net)
{
    if (net->joined != NULL)
        free_output(net, net->joined);
    net->joined = NULL;
}

/* Copies pieces, at most limit bytes, into the net's buffer. */
static size_t join_pieces(struct conn *conn, size_t limit)
{
    struct net *net = conn->listener->net;
    struct piece *piece = first_piece(conn);
    uint32_t count = conn->output != NULL ? conn->output->count : 1;
    size_t len = 0;
    output_forget_joined(net);
    for (; count > 0 && len < limit; count--, piece++) {
        size_t part = piece->len < limit - len ? piece->len : limit - len;
        memcpy(net->join + len, piece->frame->data + piece->offset, part);
        len += part;
    }
    return len;
}

/* Each of these writes once, and says how many bytes it gave. */
static ssize_t write_piece(struct conn *conn, const struct piece *piece, size_t *given)
{
    *given = piece->len;
    return conn->listener->transport->write(conn, piece->frame->data + piece->offset, piece->len);
}

static ssize_t write_vector(struct conn *conn, size_t *given)
{
    struct iovec chunks[NET_CHUNKS];
    struct output *output = conn->output;
    size_t count = output->count < NET_CHUNKS ? output->count : NET_CHUNKS;
    struct msghdr message = {.msg_iov = chunks, .msg_iovlen = count};
    *given = 0;
    for (size_t i = 0; i < count; i++) {
        struct piece *piece = &output->pieces[output->first + i];
        chunks[i].iov_base = piece->frame->data + piece->offset;
        chunks[i].iov_len = piece->len;
        *given += piece->len;
    }
    return sendmsg(conn->fd, &message, MSG_NOSIGNAL);
}

static ssize_t write_record(struct conn *conn, size_t *given)
{
    const struct conn_transport *transport = conn->listener->transport;
    const struct piece *piece = first_piece(conn);
    const uint8_t *from = piece->frame->data + piece->offset;
    *given = piece->len;
    if (piece->len < transport->record_size && conn->output != NULL && conn->output->count > 1) {
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
    if (!same)
        join_pieces(conn, NET_BUFFER_SIZE);
    n = conn->listener->transport->write(conn, net->join, *given);
    if (n == (ssize_t)*given && !same && !(conn->flags & CONN_BACKLOGGED)) {
        net->joined = conn->output;
        conn->output = NULL;
        conn->flags &= ~CONN_TAIL_OPEN;
    }
    return n;
}

/* Writes until all is sent or the socket takes no more. False when it is broken, and closed. */
static bool write_output(struct conn *conn)
{
    bool has_records = conn->listener->transport->record_size > 0;
    while (conn_output_size(conn) > 0) {
        size_t given;
        ssize_t n;
        if (has_records)
            n = write_record(conn, &given);
        else if (is_joinable(conn))
            n = write_joined(conn, &given);
        else if (conn->output == NULL || conn->output->count == 1)
            n = write_piece(conn, first_piece(conn), &given);
        else
            n = write_vector(conn, &given);
        metrics_add(METRIC_WRITES, 1);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno != EAGAIN) {
            conn_close(conn, CONN_CLOSE_ERROR);
            return false;
        }
        if (n < 0)
            return true;
        metrics_add(METRIC_BYTES_OUT, n);
        if (conn_output_size(conn) > 0)
            consume_output(conn, (size_t)n);
        if ((size_t)n < given && !has_records)
            return true;
    }
    return true;
}

/* A small rest must not keep large frames in memory. */
static void copy_rest(struct conn *conn)
{
    size_t len = conn_output_size(conn);
    uint32_t count = conn->output != NULL ? conn->output->count : 1;
    struct frame *frame;
    if (len >= COPY_BELOW || (count == 1 && first_piece(conn)->frame->len < len * 2))
        return;
    join_pieces(conn, len);
    frame = create_tail((struct bytes){conn->listener->net->join, len});
    consume_output(conn, len);
    conn->single = (struct piece){frame, 0, frame->len};
    conn->flags |= CONN_TAIL_OPEN;
}

static void start_backlog(struct conn *conn)
{
    copy_rest(conn);
    make_output(conn);
    conn->flags |= CONN_BACKLOGGED;
    metrics_add(METRIC_OUTPUT_QUEUED, (int64_t)conn->output->len);
    queue_output(conn);
    conn_watch(conn);
}

void conn_flush(struct conn *conn)
{
    if ((conn->state != CONN_OPEN && conn->state != CONN_ENDING) || (conn->flags & CONN_BACKLOGGED))
        return;
    if (!write_output(conn))
        return;
    if (conn_output_size(conn) > 0)
        start_backlog(conn);
    else if (conn->state == CONN_ENDING)
        conn_move(conn, CONN_LINGER);
}

void conn_write_ready(struct conn *conn)
{
    size_t before = conn->output->len;
    bool held = conn->flags & CONN_HELD;
    if (!write_output(conn))
        return;
    if (conn->output != NULL) {
        if (conn->output->len < before)
            queue_output(conn);
        conn_watch(conn);
        return;
    }
    conn->flags &= ~(CONN_BACKLOGGED | CONN_HELD);
    if (conn_framing(conn) != NULL) /* no ping was sent meanwhile */
        conn->last_received = net_stamp(conn->listener->net);
    if (conn->state == CONN_ENDING) {
        conn_move(conn, CONN_LINGER);
        return;
    }
    if (held)
        conn_schedule_input(conn);
    conn_watch(conn);
    if (conn->handler->drained != NULL)
        conn->handler->drained(conn->arg);
}
