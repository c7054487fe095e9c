/*
 * wire: the states, the input and the output of one connection.
 *
 * Output is collected and written in the loop's output phase; what the kernel does not accept stays
 * in `out`. Input is read in a bounded number of reads per event, so that one server that never
 * pauses cannot occupy the loop.
 */
#include "client/wire_private.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/address.h"

#define READ_SIZE        16384
#define READS_PER_WAKEUP 8
#define KEPT_CAPACITY    65536 /* an empty `out` with more capacity is freed */

static void fail_with(struct wire *wire, const char *what, const char *why)
{
    (void)snprintf(wire->reason, sizeof wire->reason, "%s: %s", what, why);
    wire_fail(wire, wire->reason);
}

/* Writes what `out` has. False when the wire has failed. */
static bool write_out(struct wire *wire)
{
    size_t sent = 0;
    while (sent < wire->out.len) {
        const ssize_t n =
            stream_socket_write(wire->socket, wire->out.data + sent, wire->out.len - sent);
        if (n < 0 && errno != EAGAIN) {
            fail_with(wire, "write", stream_socket_error(wire->socket));
            return false;
        }
        if (n < 0) {
            break;
        }
        sent += (size_t)n;
    }
    wire->out.len -= sent;
    if (wire->out.len > 0 && sent > 0) {
        memmove(wire->out.data, wire->out.data + sent, wire->out.len);
    } else if (wire->out.len == 0 && wire->out.capacity > KEPT_CAPACITY) {
        writer_free(&wire->out);
    }
    stream_socket_want_write(wire->socket, wire->out.len > 0);
    return true;
}

static void on_wire_flush(void *arg)
{
    struct wire *wire = arg;
    if (wire->state == WIRE_UP) {
        (void)write_out(wire);
    }
}

/* Passes the input to the owner. False when the owner has closed the wire. */
static bool deliver_input(struct wire *wire)
{
    const unsigned generation = wire->generation;
    const size_t taken = wire->events->bytes(wire->arg, writer_bytes_written(&wire->in));
    if (wire->generation != generation) {
        return false;
    }
    wire->in.len -= taken;
    if (wire->in.len == 0) {
        writer_free(&wire->in);
    } else if (taken > 0) {
        memmove(wire->in.data, wire->in.data + taken, wire->in.len);
    }
    return true;
}

/* Appends one read of at most READ_SIZE bytes to `in`. */
static ssize_t read_in(struct wire *wire)
{
    uint8_t *to = writer_reserve(&wire->in, READ_SIZE);
    const ssize_t n = stream_socket_read(wire->socket, to, READ_SIZE);
    wire->in.len -= READ_SIZE - (size_t)(n > 0 ? n : 0);
    return n;
}

/* False when the wire was closed. */
static bool receive_input(struct wire *wire)
{
    ssize_t n;
    int reads = 0;
    do {
        n = read_in(wire);
        if (n == 0) {
            wire_fail(wire, "closed by the server");
            return false;
        }
        if (n < 0 && errno != EAGAIN) {
            fail_with(wire, "read", stream_socket_error(wire->socket));
            return false;
        }
        if (n < 0 && wire->in.len == 0) {
            writer_free(&wire->in);
        }
        if (n > 0 && !deliver_input(wire)) {
            return false;
        }
        /* The socket does not become readable for bytes that TLS has already decrypted. */
    } while (n > 0 && ((n == READ_SIZE && ++reads < READS_PER_WAKEUP) ||
                       stream_socket_has_pending(wire->socket)));
    return true;
}

static void on_wire_ready(void *arg, unsigned events)
{
    struct wire *wire = arg;
    if (receive_input(wire) && wire->out.len > 0) {
        (void)write_out(wire);
    }
}

static void on_wire_connected(void *arg, struct stream_socket *socket)
{
    struct wire *wire = arg;
    const unsigned generation = wire->generation;
    stream_connector_destroy(&wire->connector);
    wire->socket = socket;
    stream_socket_hand_over(socket, on_wire_ready, wire);
    wire->state = WIRE_UP;
    wire->events->up(wire->arg);
    /* The server's first bytes may have arrived with the end of the TLS handshake. */
    if (wire->generation == generation && stream_socket_has_pending(wire->socket)) {
        (void)receive_input(wire);
    }
}

static void on_not_connected(void *arg, const struct stream_failure *failure)
{
    static const char *const steps[] = {"resolve", "connect", "TLS"};
    fail_with(arg, steps[failure->step], failure->reason);
}

static const struct stream_connector_events connector_events = {.connected = on_wire_connected,
                                                                .failed = on_not_connected};

void wire_init(struct wire *wire, struct loop *loop, const struct wire_events *events, void *arg)
{
    *wire = (struct wire){.loop = loop, .events = events, .arg = arg};
    wire->flush.callback = on_wire_flush;
    wire->flush.arg = wire;
}

void wire_connect(struct wire *wire, const struct wire_options *options)
{
    struct address source;
    const bool has_source = options->source && address_parse_ip(options->source, &source);
    const struct stream_request request = {
        .host = options->target->host,
        .port = options->target->port,
        .path = options->target->path,
        .one_address = true,
        .attempt = options->attempt,
        .source = has_source ? &source : NULL,
        .tls = options->tls,
        .server_name = options->server_name ? options->server_name : options->target->host,
        .total_ms = options->timeout_ms,
    };
    wire->state = WIRE_CONNECTING;
    wire->connector = stream_connector_start(wire->loop, &request, &connector_events, wire);
}

void wire_send(struct wire *wire)
{
    if (wire->state == WIRE_UP) {
        loop_defer(wire->loop, LOOP_PHASE_OUTPUT, &wire->flush);
    }
}

void wire_close(struct wire *wire)
{
    if (wire->state == WIRE_DOWN) {
        return;
    }
    wire->state = WIRE_DOWN;
    wire->generation++;
    loop_cancel(wire->loop, &wire->flush);
    stream_connector_destroy(&wire->connector);
    stream_socket_close(&wire->socket, false);
    writer_free(&wire->in);
    writer_free(&wire->out);
}

void wire_fail(struct wire *wire, const char *reason)
{
    wire_close(wire);
    wire->events->down(wire->arg, reason);
}
