/*
 * conn_input: reading, and presenting what was read.
 *
 * Bytes are read into the net's buffer after what was kept, and presented from there. Only where a
 * lot is kept (a large message that is arriving) are they read into the connection's own memory.
 * While input is presented it does not belong to the connection: a handler may close the connection
 * and still read the bytes.
 */
#include "net/net_private.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/mem.h"

#define OWN_FROM                                                                                   \
    (NET_BUFFER_SIZE / 2) /* from this much kept input on, more is read into its memory */

bool conn_may_read(const struct conn *conn)
{
    return conn->state == CONN_OPEN && !(conn->flags & CONN_STOPPED);
}

bool conn_has_input(const struct conn *conn)
{
    return conn->input != NULL;
}

static struct input *create_input(struct conn *conn, size_t capacity)
{
    struct input *input = mem_alloc(sizeof *input + capacity);
    input->conn = conn;
    list_init(&input->node);
    input->unfinished = NULL;
    input->len = 0;
    input->is_deferred = false;
    input->capacity = (uint32_t)capacity;
    conn_count_input(conn, (int64_t)(sizeof *input + capacity));
    return input;
}

/* Detaches the input from the connection and from those to be presented again. May be NULL. */
static struct input *take_input(struct conn *conn)
{
    struct input *input = conn->input;
    conn->input = NULL;
    if (input) {
        list_remove(&input->node);
        input->is_deferred = false;
    }
    return input;
}

static void free_input(struct input *input)
{
    if (!input) {
        return;
    }
    unfinished_destroy(&input->unfinished);
    conn_count_input(input->conn, -(int64_t)(sizeof *input + input->capacity));
    free(input);
}

void conn_drop_input(struct conn *conn)
{
    free_input(take_input(conn));
}

void conn_schedule_input(struct conn *conn)
{
    struct net *net = conn->listener->net;
    if (!conn->input) {
        conn->input = create_input(conn, 0);
    }
    list_remove(&conn->input->node);
    conn->input->is_deferred = false;
    list_append(&net->resumed, &conn->input->node);
    loop_defer(net->loop, LOOP_PHASE_FREE, &net->free);
}

void conn_defer_read(struct conn *conn)
{
    struct net *net = conn->listener->net;
    if (!conn->input) {
        conn->input = create_input(conn, 0);
    }
    if (!list_is_empty(&conn->input->node)) {
        return; /* waits already */
    }
    conn->input->is_deferred = true;
    list_append(&net->resumed, &conn->input->node);
    net->defers = true;
    loop_defer_next(net->loop, LOOP_PHASE_FREE, &net->free);
}

/* A message may be under way of which nothing is kept here. */
static void keep_unfinished(struct conn *conn, struct unfinished *unfinished, bool has_input)
{
    unfinished = unfinished_update(conn, unfinished, has_input);
    if (!unfinished) {
        return;
    }
    if (!conn->input) {
        conn->input = create_input(conn, 0);
    }
    conn->input->unfinished = unfinished;
    unfinished_watch(conn);
}

/* Keeps the rest, in the memory of own (which may be NULL and may hold the rest) if that is not
 * much too large for it. */
static void keep_input(struct conn *conn, struct input *own, struct bytes rest)
{
    bool scheduled = conn->input != NULL; /* scheduled while the input was presented */
    struct unfinished *unfinished = NULL;
    if (!scheduled && !own && rest.len == 0 && !(conn->flags & CONN_UNDER_WAY)) {
        conn->flags &= (uint16_t)~CONN_MESSAGE_DONE;
        return;
    }
    conn_drop_input(conn);
    if (own) {
        unfinished = own->unfinished;
        own->unfinished = NULL;
    }
    if (rest.len > 0) {
        if (own && own->capacity >= rest.len && own->capacity / 4 <= rest.len) {
            memmove(own->data, rest.data, rest.len);
            conn->input = own;
            own = NULL;
        } else {
            conn->input = create_input(conn, rest.len);
            memcpy(conn->input->data, rest.data, rest.len);
        }
        conn->input->len = (uint32_t)rest.len;
    }
    free_input(own);
    keep_unfinished(conn, unfinished, rest.len > 0);
    if (scheduled) {
        conn_schedule_input(conn);
    }
}

void conn_keep_input(struct conn *conn, struct bytes rest)
{
    keep_input(conn, take_input(conn), rest);
}

void conn_note_message(struct conn *conn, bool is_complete, bool is_under_way)
{
    struct unfinished *unfinished = NULL;
    struct input *own;
    if (conn->state != CONN_OPEN) {
        return;
    }
    conn->flags &= (uint16_t)~CONN_UNDER_WAY;
    conn->flags |= (is_complete ? CONN_MESSAGE_DONE : 0) | (is_under_way ? CONN_UNDER_WAY : 0);
    if (conn->listener->net->presenting == conn) {
        return; /* seen to when what is presented now is kept */
    }
    own = conn->input;
    if (own) {
        unfinished = own->unfinished;
        own->unfinished = NULL;
    }
    keep_unfinished(conn, unfinished, own && own->len > 0);
}

static bool is_input_too_large(const struct conn *conn)
{
    int64_t limit = conn->input_limit > 0 ? conn->input_limit : conn->listener->settings->max_input;
    return conn->input != NULL && conn->input->len > (uint64_t)limit && conn_may_read(conn);
}

/* Input that is part of no message is not free either: each KiB that was consumed is at least a
 * unit. What is part of a message under way is charged with that message. */
static void charge_consumed(struct conn *conn, size_t used, uint64_t charged)
{
    if (conn->state == CONN_OPEN && !(conn->flags & CONN_UNDER_WAY) && used / 1024 > charged) {
        conn_charge(conn, (uint32_t)(used / 1024 - charged));
    }
}

/* Presents the bytes, which lie in the net's buffer or in own, and keeps the rest. */
static void present_bytes(struct conn *conn, struct input *own, struct bytes bytes)
{
    struct net *net = conn->listener->net;
    bool handed_over = true;
    net->presenting = conn;
    while (handed_over && bytes.len > 0 && conn_may_read(conn)) {
        const struct conn_handler *handler = conn->handler;
        void *arg = conn->arg;
        uint64_t charged = net->charged;
        size_t used = handler->received(arg, bytes);
        assert(used <= bytes.len);
        charge_consumed(conn, used, net->charged - charged);
        bytes.data += used;
        bytes.len -= used;
        if (used > 0 && !conn_framing(conn)) {
            conn->flags |= CONN_MESSAGE_DONE;
        }
        handed_over = conn->handler != handler || conn->arg != arg;
    }
    net->presenting = NULL;
    if (conn->state != CONN_OPEN) {
        free_input(own);
        return;
    }
    keep_input(conn, own, bytes);
    if (is_input_too_large(conn)) {
        log_limited(LOG_WARN, &net->closed_limit, "connection_closed",
                    LOG_STRING("peer", conn_peer_text(conn)),
                    LOG_STRING("reason", "more input than net.max_input without a message"));
        conn_close(conn, CONN_CLOSE_PROTOCOL);
    }
}

static void end_of_input(struct conn *conn)
{
    /* The peer may have closed its half only, and still read. */
    if (conn->state == CONN_OPEN && conn->handler->ended) {
        conn_pause_reading(conn);
        conn->handler->ended(conn->arg);
    } else if (conn_output_size(conn) > 0) {
        conn_end(conn, CONN_CLOSE_PEER);
    } else {
        conn_close(conn, CONN_CLOSE_PEER);
    }
}

static struct input *grow_input(struct conn *conn, struct input *own)
{
    if (own->capacity - own->len < NET_BUFFER_SIZE / 4) {
        conn_count_input(conn, (int64_t)own->len * 2 - own->capacity);
        own->capacity = own->len * 2;
        own = mem_realloc(own, sizeof *own + own->capacity);
        list_init(&own->node);
    }
    return own;
}

/* False when there was nothing to read or the connection has ended. */
static bool read_conn_once(struct conn *conn)
{
    struct net *net = conn->listener->net;
    struct input *own = take_input(conn);
    size_t kept = own ? own->len : 0;
    size_t room = NET_BUFFER_SIZE - kept;
    uint8_t *base = net->buffer;
    ssize_t n;
    if (kept >= OWN_FROM) {
        own = grow_input(conn, own);
        base = own->data;
        room = own->capacity - kept;
    } else if (kept > 0) {
        memcpy(base, own->data, kept);
    }
    n = conn->listener->transport->read(conn, base + kept, room);
    if (n <= 0) {
        keep_input(conn, own, (struct bytes){base, kept});
        if (n == 0) {
            end_of_input(conn);
        } else if (errno != EAGAIN && errno != EINTR) {
            conn_close(conn, CONN_CLOSE_ERROR);
        }
        return false;
    }
    metrics_add(METRIC_BYTES_IN, n);
    conn->last_received = net_stamp(net);
    if ((conn->flags & CONN_KNOWN) && conn->listener->settings->idle_timeout > 0) {
        queue_conn(conn, QUEUE_IDLE);
    }
    present_bytes(conn, own, (struct bytes){base, kept + (size_t)n});
    return conn_may_read(conn);
}

void conn_read(struct conn *conn)
{
    while (read_conn_once(conn) && conn_has_pending(conn)) {
    }
    conn_watch(conn);
}

void conn_present_again(struct conn *conn)
{
    struct input *own = take_input(conn);
    if (!conn_may_read(conn)) {
        keep_input(conn, own, (struct bytes){own->data, own->len});
        return;
    }
    present_bytes(conn, own, (struct bytes){own->data, own->len});
    if (conn_may_read(conn) && conn_has_pending(conn)) {
        conn_read(conn);
    }
}

void conn_resume_input(struct conn *conn)
{
    if (conn->input->is_deferred && conn_may_read(conn)) {
        conn_read(conn);
    } else {
        conn_present_again(conn);
    }
}

void conn_read_linger(struct conn *conn)
{
    struct net *net = conn->listener->net;
    ssize_t n = recv(conn_fd(conn), net->buffer, sizeof net->buffer, 0);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
        conn_close(conn, conn->reason);
    }
}

void conn_pause_reading(struct conn *conn)
{
    const struct conn_framing *framing = conn_framing(conn);
    if (framing) {
        framing->pause_reading(conn->arg);
    } else {
        conn_pause(conn);
    }
}

void conn_pause(struct conn *conn)
{
    conn->flags |= CONN_PAUSED;
    conn_watch(conn);
}

void conn_resume_reading(struct conn *conn)
{
    const struct conn_framing *framing = conn_framing(conn);
    if (framing) {
        framing->resume_reading(conn->arg);
    } else {
        conn_resume(conn);
    }
}

void conn_resume(struct conn *conn)
{
    if (!(conn->flags & CONN_PAUSED)) {
        return;
    }
    conn->flags &= ~CONN_PAUSED;
    if (conn_framing(conn)) { /* its pongs may wait in the socket */
        conn->last_received = net_stamp(conn->listener->net);
    }
    if (conn->state != CONN_OPEN) {
        return;
    }
    if (conn->input || conn->listener->net->presenting == conn || conn_has_pending(conn)) {
        conn_schedule_input(conn);
    }
    conn_watch(conn);
}
