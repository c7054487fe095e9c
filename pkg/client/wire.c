/*
 * wire: one socket's states, and what comes and goes through it.
 *
 * Output is collected and written in the loop's output phase; what the kernel does not take stays
 * in `out`. Input is read while there is any, but not without end, so that one server that never
 * pauses does not keep the loop.
 */
#include "client/wire_private.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/target_private.h"
#include "tls/tls.h"

#define READ_SIZE      16384
#define READS_A_TURN   8
#define KEPT_FOR_LATER 65536 /* capacity of `out` that is not given back */

static void fail_with(struct wire *wire, const char *what, const char *why)
{
    (void)snprintf(wire->reason, sizeof wire->reason, "%s: %s", what, why);
    wire_fail(wire, wire->reason);
}

/* Why the last read or write failed. */
static const char *stream_error(const struct wire *wire)
{
    return wire->stream ? tls_stream_error(wire->stream) : strerror(errno);
}

static void set_interest(struct wire *wire, unsigned interest)
{
    if (wire->interest != interest)
        loop_io_set(wire->io, interest);
    wire->interest = interest;
}

static bool is_not_ready(void)
{
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
}

/* Writes what there is. False when the wire has failed. */
static bool write_out(struct wire *wire)
{
    size_t sent = 0;
    unsigned interest = LOOP_READ;
    while (sent < wire->out.len) {
        const uint8_t *from = wire->out.data + sent;
        const size_t len = wire->out.len - sent;
        const ssize_t n = wire->stream ? tls_stream_write(wire->stream, from, len)
                                       : send(wire->fd, from, len, MSG_NOSIGNAL);
        if (n < 0 && !is_not_ready()) {
            fail_with(wire, "write", stream_error(wire));
            return false;
        }
        if (n < 0) {
            if (!wire->stream || tls_stream_wants_write(wire->stream))
                interest |= LOOP_WRITE;
            break;
        }
        sent += (size_t)n;
    }
    wire->out.len -= sent;
    if (wire->out.len > 0 && sent > 0)
        memmove(wire->out.data, wire->out.data + sent, wire->out.len);
    else if (wire->out.len == 0 && wire->out.capacity > KEPT_FOR_LATER)
        writer_free(&wire->out);
    set_interest(wire, interest);
    return true;
}

static void on_flush(void *arg)
{
    struct wire *wire = arg;
    if (wire->state == WIRE_UP)
        (void)write_out(wire);
}

/* Hands over what has come. False when the owner has closed the wire. */
static bool deliver(struct wire *wire)
{
    const unsigned generation = wire->generation;
    const size_t taken = wire->events->bytes(wire->arg, writer_bytes_written(&wire->in));
    if (wire->generation != generation)
        return false;
    wire->in.len -= taken;
    if (wire->in.len == 0)
        writer_free(&wire->in);
    else if (taken > 0)
        memmove(wire->in.data, wire->in.data + taken, wire->in.len);
    return true;
}

/* Reads once, at most READ_SIZE bytes, to the end of `in`. */
static ssize_t read_in(struct wire *wire)
{
    uint8_t *to = writer_reserve(&wire->in, READ_SIZE);
    const ssize_t n = wire->stream ? tls_stream_read(wire->stream, to, READ_SIZE)
                                   : recv(wire->fd, to, READ_SIZE, 0);
    wire->in.len -= READ_SIZE - (size_t)(n > 0 ? n : 0);
    return n;
}

/* False when the wire was closed. */
static bool receive(struct wire *wire)
{
    ssize_t n;
    int reads = 0;
    do {
        n = read_in(wire);
        if (n == 0) {
            wire_fail(wire, "closed by the server");
            return false;
        }
        if (n < 0 && !is_not_ready()) {
            fail_with(wire, "read", stream_error(wire));
            return false;
        }
        if (n < 0 && wire->in.len == 0)
            writer_free(&wire->in);
        if (n > 0 && !deliver(wire))
            return false;
        /* What TLS has decrypted already the socket does not tell of again. */
    } while (n > 0 && ((n == READ_SIZE && ++reads < READS_A_TURN) ||
                       (wire->stream && tls_stream_has_pending(wire->stream))));
    return true;
}

static void come_up(struct wire *wire)
{
    wire->state = WIRE_UP;
    loop_timer_stop(wire->deadline);
    set_interest(wire, LOOP_READ);
    wire->events->up(wire->arg);
}

static void shake_hands(struct wire *wire)
{
    if (tls_stream_handshake(wire->stream) == 0) {
        const unsigned generation = wire->generation;
        come_up(wire);
        /* The server's first words may have come with its part of the handshake. */
        if (wire->generation == generation && tls_stream_has_pending(wire->stream))
            (void)receive(wire);
    } else if (!is_not_ready()) {
        fail_with(wire, "TLS", tls_stream_error(wire->stream));
    } else {
        set_interest(wire, tls_stream_wants_write(wire->stream) ? LOOP_WRITE : LOOP_READ);
    }
}

static void finish_connect(struct wire *wire)
{
    int error = 0;
    socklen_t len = sizeof error;
    if (getsockopt(wire->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
        error = errno;
    if (error != 0) {
        fail_with(wire, "connect", strerror(error));
    } else if (wire->stream) {
        wire->state = WIRE_HANDSHAKE;
        shake_hands(wire);
    } else {
        come_up(wire);
    }
}

static void on_ready(void *arg, unsigned events)
{
    struct wire *wire = arg;
    switch (wire->state) {
    case WIRE_CONNECTING:
        finish_connect(wire);
        break;
    case WIRE_HANDSHAKE:
        shake_hands(wire);
        break;
    case WIRE_UP:
        if (receive(wire) && wire->out.len > 0)
            (void)write_out(wire);
        break;
    case WIRE_DOWN:
        break;
    }
}

static void on_deadline(void *arg)
{
    wire_fail(arg, "connect: timed out");
}

void wire_init(struct wire *wire, struct loop *loop, const struct wire_events *events, void *arg)
{
    *wire = (struct wire){.loop = loop, .events = events, .arg = arg, .fd = -1};
    wire->flush.callback = on_flush;
    wire->flush.arg = wire;
}

const char *wire_connect(struct wire *wire, const struct wire_target *target, unsigned attempt,
                         const char *source, struct tls_context *tls, const char *server_name,
                         uint64_t timeout_ms)
{
    struct target_address address;
    const char *reason = target_resolve(target, attempt, &address);
    if (reason)
        return reason;
    wire->fd = target_connect(&address, source);
    if (wire->fd < 0) {
        (void)snprintf(wire->reason, sizeof wire->reason, "connect: %s", strerror(errno));
        return wire->reason;
    }
    wire->state = WIRE_CONNECTING;
    if (tls)
        wire->stream = tls_stream_create(tls, wire->fd, server_name);
    wire->io = loop_io_create(wire->loop, wire->fd, on_ready, wire);
    set_interest(wire, LOOP_WRITE);
    wire->deadline = loop_timer_create(wire->loop, on_deadline, wire);
    loop_timer_start(wire->deadline, timeout_ms);
    return NULL;
}

void wire_send(struct wire *wire)
{
    if (wire->state == WIRE_UP)
        loop_defer(wire->loop, LOOP_PHASE_OUTPUT, &wire->flush);
}

void wire_close(struct wire *wire)
{
    if (wire->state == WIRE_DOWN)
        return;
    if (wire->stream && wire->state == WIRE_UP)
        tls_stream_shutdown(wire->stream);
    wire->state = WIRE_DOWN;
    wire->generation++;
    wire->interest = 0;
    loop_cancel(wire->loop, &wire->flush);
    loop_timer_destroy(&wire->deadline);
    loop_io_destroy(&wire->io);
    if (wire->stream)
        tls_stream_destroy(&wire->stream);
    (void)close(wire->fd);
    wire->fd = -1;
    writer_free(&wire->in);
    writer_free(&wire->out);
}

void wire_fail(struct wire *wire, const char *reason)
{
    wire_close(wire);
    wire->events->down(wire->arg, reason);
}
