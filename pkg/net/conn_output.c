/*
 * conn_output: what is to be sent, as pieces of frames. conn_write.c sends it.
 *
 * One piece, the most common output of an event-loop iteration, is stored in the conn itself; more
 * have an array, which exists only while there is output.
 */
#include "net/output_private.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define PIECES       8      /* of a fresh array */
#define SPARE_PIECES 128    /* larger arrays are not kept */
#define SPARE_SIZE   262144 /* nor more than this of them */
#define TAIL_MAX     16384  /* a frame of our own grows to this */

size_t conn_output_size(const struct conn *conn)
{
    return conn->output ? conn->output->len : conn->single.len;
}

bool conn_has_backlog(const struct conn *conn)
{
    return conn->flags & CONN_BACKLOGGED;
}

void conn_make_dirty(struct conn *conn)
{
    struct net *net = conn->listener->net;
    if (conn->flags & CONN_DIRTY) {
        return;
    }
    conn->flags |= CONN_DIRTY;
    if (list_is_empty(&net->dirty)) {
        loop_defer(net->loop, LOOP_PHASE_OUTPUT, &net->flush);
    }
    list_append(&net->dirty, &conn->dirty);
}

static struct piece *last_piece(struct conn *conn)
{
    struct output *output = conn->output;
    return output ? &output->pieces[output->first + output->count - 1] : &conn->single;
}

static size_t output_size(const struct output *output)
{
    return sizeof *output + output->capacity * sizeof output->pieces[0];
}

/* Arrays come and go with every iteration that has several messages for many, so some are kept. */
void output_release(struct net *net, struct output *output)
{
    for (uint32_t i = 0; i < output->count; i++) {
        frame_unref(&output->pieces[output->first + i].frame);
    }
    list_remove(&output->node);
    if (output->capacity > SPARE_PIECES || net->spare_size + output_size(output) > SPARE_SIZE) {
        net->pieces_size -= output_size(output);
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
    net->pieces_size += output_size(output);
    return output;
}

void output_free_spare(struct net *net)
{
    while (!list_is_empty(&net->spare)) {
        free(take_output(net));
    }
}

void output_make(struct conn *conn)
{
    struct output *output;
    if (conn->output) {
        return;
    }
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
    output_make(conn);
    output = conn->output;
    if (output->first + output->count < output->capacity) {
        return output;
    }
    if (output->first >= output->capacity / 2) {
        memmove(output->pieces, output->pieces + output->first,
                output->count * sizeof output->pieces[0]);
        output->first = 0;
        return output;
    }
    next = output->node.next;
    prev = output->node.prev;
    linked = !list_is_empty(&output->node);
    conn->listener->net->pieces_size += output->capacity * sizeof output->pieces[0];
    output->capacity *= 2;
    output = mem_realloc(output, output_size(output));
    if (linked) {
        next->prev = prev->next = &output->node;
    } else {
        list_init(&output->node);
    }
    conn->output = output;
    return output;
}

static void finish_append(struct conn *conn, size_t len)
{
    if (!(conn->flags & CONN_BACKLOGGED)) {
        conn_make_dirty(conn);
        return;
    }
    assert(conn->output); /* a backlog is output that waits */
    conn_count_output(conn, (int64_t)len);
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
    if (!output && !conn->single.frame) {
        conn->single = piece;
    } else {
        if (!output || output->first + output->count == output->capacity) {
            output = make_piece_room(conn);
        }
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
    if (len >= TAIL_MAX) {
        return len;
    }
    while (size < len + sizeof(struct frame)) {
        size *= 2;
    }
    return size - sizeof(struct frame);
}

/* Adds to the last piece, which is ours alone. */
static void grow_tail(struct conn *conn, struct bytes bytes)
{
    struct piece *tail = last_piece(conn);
    size_t len = tail->frame->len + bytes.len;
    if (tail_capacity(len) != tail_capacity(tail->frame->len)) {
        tail->frame = mem_realloc(tail->frame, sizeof *tail->frame + tail_capacity(len));
    }
    memcpy(tail->frame->data + tail->frame->len, bytes.data, bytes.len);
    tail->frame->len = (uint32_t)len;
    frame_count_bytes(bytes.len);
    tail->len += (uint32_t)bytes.len;
    if (conn->output) {
        conn->output->len += bytes.len;
    }
    finish_append(conn, bytes.len);
}

struct frame *output_create_tail(struct bytes bytes)
{
    struct frame *frame;
    assert(bytes.len <= UINT32_MAX);
    frame = mem_alloc(sizeof *frame + tail_capacity(bytes.len));
    frame->references = 1;
    frame->len = (uint32_t)bytes.len;
    frame_count_bytes(sizeof *frame + bytes.len);
    memcpy(frame->data, bytes.data, bytes.len);
    return frame;
}

void conn_send(struct conn *conn, struct bytes bytes)
{
    const struct conn_framing *framing = conn_framing(conn);
    if (framing && bytes.len > 0) {
        framing->send(conn->arg, bytes);
    } else {
        conn_put(conn, bytes);
    }
}

void conn_put(struct conn *conn, struct bytes bytes)
{
    struct frame *frame;
    if (conn->state != CONN_OPEN || bytes.len == 0) {
        return;
    }
    if ((conn->flags & CONN_TAIL_OPEN) && last_piece(conn)->frame->len + bytes.len <= TAIL_MAX) {
        grow_tail(conn, bytes);
        return;
    }
    frame = output_create_tail(bytes);
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
    if (framing && len > 0) {
        framing->send_slice(conn->arg, frame, offset, len);
    } else {
        conn_put_slice(conn, frame, offset, len);
    }
}

void conn_put_slice(struct conn *conn, struct frame *frame, size_t offset, size_t len)
{
    if (conn->state == CONN_OPEN && len > 0) {
        append_piece(conn, (struct piece){frame_ref(frame), (uint32_t)offset, (uint32_t)len});
    }
}

void output_consume(struct conn *conn, size_t n)
{
    struct output *output = conn->output;
    if (conn->flags & CONN_BACKLOGGED) {
        conn_count_output(conn, -(int64_t)n);
    }
    if (output) {
        output->len -= n;
    }
    while (n > 0) {
        struct piece *piece = output_first_piece(conn);
        if (n < piece->len) {
            piece->offset += (uint32_t)n;
            piece->len -= (uint32_t)n;
            return;
        }
        n -= piece->len;
        frame_unref(&piece->frame);
        piece->len = 0;
        if (output) {
            output->first++;
            output->count--;
        }
    }
    if (conn_output_size(conn) > 0) {
        return;
    }
    conn->flags &= ~CONN_TAIL_OPEN;
    if (output) {
        output_release(conn->listener->net, output);
    }
    conn->output = NULL;
}

void conn_drop_output(struct conn *conn)
{
    output_consume(conn, conn_output_size(conn));
}
