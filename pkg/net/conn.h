/*
 * conn: one accepted stream connection (TCP or unix socket, plain or TLS) with bounded output.
 *
 * Input is read into a buffer that all connections of the loop share; only what the protocol did
 * not consume is kept, in memory of the connection's own that is freed when nothing is left. So an
 * idle connection holds no buffer.
 *
 * Output of one event-loop iteration is collected as references to frames and sent with one writev
 * in LOOP_PHASE_OUTPUT; only what the kernel did not take is kept. conn_has_backlog is true then: a
 * protocol that sends *state* sends nothing more to such a connection, and sends the newest state
 * when `drained` is called. A connection whose output makes no progress for net.write_timeout is
 * closed; one with a backlog of more than net.max_output is not read from until it has drained, so
 * that requests whose answers the peer does not read stay in the kernel. A message that is not
 * complete within net.message_timeout after its first byte closes the connection; the time in which
 * it is not read from does not count.
 *
 * A connection that was upgraded (net/websocket/websocket.h) may be used in the same way: each
 * conn_send, conn_send_frame and conn_send_slice becomes a binary message, `received` gets the
 * payloads of the peer's, conn_close_after_output sends Close with a code for its reason.
 *
 * Ownership: the listener's accept callback gets the connection and must set its handler. The conn
 * destroys itself: `closed` is called exactly once, never from inside conn_send*, and the pointer
 * must not be used after it. conn_close may be called from any callback.
 */
#ifndef NET_CONN_H
#define NET_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "base/bytes.h"
#include "base/frame.h"

struct conn;
struct budget_account; /* budget/budget.h */

enum conn_close_reason {
    CONN_CLOSE_PEER,      /* the peer closed */
    CONN_CLOSE_ERROR,     /* read or write error */
    CONN_CLOSE_IDLE,      /* net.idle_timeout */
    CONN_CLOSE_HANDSHAKE, /* no message within net.handshake_timeout */
    CONN_CLOSE_WRITE,     /* net.write_timeout */
    CONN_CLOSE_MESSAGE,   /* a message that was not complete within net.message_timeout */
    CONN_CLOSE_SILENT,    /* the map received nothing from the peer for client.ttl */
    CONN_CLOSE_PROTOCOL,  /* a malformed message */
    CONN_CLOSE_DRAIN,     /* the front-end is being shut down */
    CONN_CLOSE_KICKED,    /* by an operator */
    CONN_CLOSE_BANNED,    /* an operator has banned its address */
    CONN_CLOSE_TAKEN,     /* its client has reconnected */
    CONN_CLOSE_MEMORY,    /* it held most when a limit of memory was exceeded */
    CONN_CLOSE_CUT_OFF,   /* this front-end is cut off from a Redis that others reach */
    CONN_CLOSE_LOCAL      /* the protocol is done with it */
};
const char *conn_close_reason_name(enum conn_close_reason reason);

struct conn_framing; /* net/transport.h */

struct conn_handler {
    /*
     * The unread bytes, oldest first. Returns how many it consumed; the rest is presented again
     * with what arrives next. Not called while reading is paused, nor after conn_close.
     */
    size_t (*received)(void *arg, struct bytes input);
    /* The backlog has been sent. May be NULL. */
    void (*drained)(void *arg);
    /* The peer sends nothing more (it may have closed its half only, and still read): the protocol
     * must close the connection when it has answered. May be NULL: then the connection is closed
     * after the output that waits. */
    void (*ended)(void *arg);
    /* The net closes the connection for this reason, and the peer can still be sent why: must end
     * it with conn_close_after_output. Not called while there is a backlog. May be NULL. */
    void (*expelled)(void *arg, enum conn_close_reason reason);
    /* The connection is closed: forget it. Output that waited may be lost. */
    void (*closed)(void *arg, enum conn_close_reason reason);
    /* Of a handler that is a framing: what conn_send and the others do. NULL: none. */
    const struct conn_framing *framing;
    /* It limits the time of unfinished messages itself: net.message_timeout does not apply. */
    bool has_message_timeout;
};

/* handler: static; arg: passed to it. May be called again (an upgrade hands the conn over). */
void conn_set_handler(struct conn *conn, const struct conn_handler *handler, void *arg);

/* Names what is done for it now, for the log line of a slow iteration: loop_label. */
void conn_label(const struct conn *conn, const char *label);

/* Each returns at once; nothing is written before the end of the iteration. */
void conn_send(struct conn *conn, struct bytes bytes);        /* copies */
void conn_send_frame(struct conn *conn, struct frame *frame); /* takes a reference of its own */
/* A part of a frame. */
void conn_send_slice(struct conn *conn, struct frame *frame, size_t offset, size_t len);
/* Bytes not yet taken by the kernel. */
size_t conn_output_size(const struct conn *conn);
/* Gives output of this iteration to the kernel now instead of at its end; returns what it did not
 * take. For senders that bound what a peer leaves unread. */
size_t conn_flush_output(struct conn *conn);
/* Output of an earlier event-loop iteration waits. */
bool conn_has_backlog(const struct conn *conn);

/* The peer has sent its first complete message: the handshake time-out no longer applies. */
void conn_handshake_done(struct conn *conn);
/* Pauses and resumes presenting input (backpressure): while paused the socket is not read. */
void conn_pause_reading(struct conn *conn);
void conn_resume_reading(struct conn *conn);
/*
 * Charges the connection, and its address, for work that its peer has caused, in units (about 10
 * microseconds of one core; docs/configuration.md has the table of costs). Over its budget the
 * connection is not read from until it may go on, for BUDGET_WAIT_MAX_US at most; what is charged
 * meanwhile, and output, go on. Nothing is lost, and time in which it is not read from is neither
 * idle nor counted towards a time-out.
 */
void conn_charge(struct conn *conn, uint32_t units);
/* What one message may cost at most: a protocol refuses what would cost more, with an error, before
 * the work is done. UINT32_MAX: any. */
uint32_t conn_max_charge(const struct conn *conn);
/* Whether the next message may be taken: open, and neither paused, nor held, nor over its budget.
 * To be checked between two messages of one input; the rest is presented again. */
bool conn_may_read(const struct conn *conn);
/* A rate of the protocol's own: does not read from it for wait_us, BUDGET_WAIT_MAX_US at most. */
void conn_wait_us(struct conn *conn, uint64_t wait_us);
/* Whether it waits for its budget or a rate. */
bool conn_is_waiting(const struct conn *conn);
/* The account of its address; NULL: none (unix socket). */
struct budget_account *conn_account(const struct conn *conn);
/* The same; NULL too when its address is one of net.shared_addresses. What is counted in it is
 * subject to the shares of addresses. */
struct budget_account *conn_limited_account(const struct conn *conn);
/* Its address is one of net.shared_addresses: that of many clients, who are not counted together.
 */
bool conn_shares_address(const struct conn *conn);
/* The largest unconsumed input that is kept; more closes with CONN_CLOSE_PROTOCOL. Default:
 * net.max_input. */
void conn_set_input_limit(struct conn *conn, size_t limit);

/* What is being sent is for an operator: when memory is short, a small amount is left alone. */
void conn_set_operator(struct conn *conn, bool is_operator);

/* Closes now; `closed` follows in this iteration. */
void conn_close(struct conn *conn, enum conn_close_reason reason);
/* Stops reading, sends what waits, shuts the connection down, waits for the peer's end for a
 * bounded time, so that no reset discards the last bytes, and closes. */
void conn_close_after_output(struct conn *conn, enum conn_close_reason reason);

/* The client's address: the PROXY header's where there is one, else the socket's. */
const struct address *conn_peer(const struct conn *conn);
/* The same as text, for logs: valid until the next call. */
const char *conn_peer_text(const struct conn *conn);
/*
 * Milliseconds since the peer was last active: a byte received, or, for TCP, an acknowledgement (of
 * data or of a keep-alive probe). 0 for an open unix socket: the kernel reports the end of a local
 * peer at once. Of a WebSocket peer, which is sent pings, only bytes count, unless it has a backlog
 * or is not being read from.
 */
uint64_t conn_idle_ms(const struct conn *conn);
/* Whether the peer has ended its half, or the connection is broken; bytes that it sent before may
 * still wait to be read. Asks the kernel. */
bool conn_peer_is_gone(const struct conn *conn);
/* Whether it was upgraded: then conn_close_after_output sends the peer the reason. */
bool conn_is_framed(const struct conn *conn);
bool conn_is_tls(const struct conn *conn);
/* SHA-256 of the certificate that the client has shown (net.tls_client_ca), 64 lowercase hex
 * digits. False when it has shown none: without TLS, or where a proxy ends TLS. */
#define CONN_CERTIFICATE_LENGTH 64
bool conn_certificate(const struct conn *conn, char text[CONN_CERTIFICATE_LENGTH + 1])
    __attribute__((warn_unused_result));

#endif
