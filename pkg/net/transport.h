/*
 * transport: what is between a protocol and the socket, as tables of functions, so that net knows
 * none of the packages above it.
 *
 *   protocol ─► conn.h ─► framing (WebSocket; none: the bytes as they are)
 *                         conn: states, bounded input and output
 *                         transport (plain, TLS) ─► socket
 *
 * A framing is a connection's handler and at the same time implements the functions of conn.h: its
 * conn_handler has the table, and its arg is the framing's. `received` gives it what the peer
 * sends, in frames; a protocol that calls conn_send and the others reaches the framing, which uses
 * the functions below.
 */
#ifndef NET_TRANSPORT_H
#define NET_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/frame.h"
#include "net/conn.h"
#include "net/listener.h"

/* What the functions of conn.h with these names do to a connection that has a framing. */
struct conn_framing {
    void (*set_handler)(void *arg, const struct conn_handler *handler, void *handler_arg);
    void (*set_input_limit)(void *arg, size_t limit);
    void (*send)(void *arg, struct bytes bytes); /* never empty */
    void (*send_slice)(void *arg, struct frame *frame, size_t offset, size_t len);
    void (*pause_reading)(void *arg);
    void (*resume_reading)(void *arg);
    /* A wait for a budget or a rate is over: presents what the framing itself kept. */
    void (*after_wait)(void *arg);
    /* The connection is being closed at once: may send the reason if that is still possible. */
    void (*closing)(void *arg, enum conn_close_reason reason);
    void (*close_after_output)(void *arg, enum conn_close_reason reason);
};

/* Those functions without a framing: what a framing sends goes out as it is. */
void conn_put(struct conn *conn, struct bytes bytes); /* copies */
void conn_put_slice(struct conn *conn, struct frame *frame, size_t offset, size_t len);
void conn_end(struct conn *conn, enum conn_close_reason reason); /* conn_close_after_output */
void conn_pause(struct conn *conn);                              /* conn_pause_reading */
void conn_resume(struct conn *conn);                             /* conn_resume_reading */

/* Does not wait any longer for a budget or a rate: the peer's end is all that matters. */
void conn_end_wait(struct conn *conn);

/* Writes the output now, as far as the socket takes it. */
void conn_flush(struct conn *conn);
/* Counts what a framing or protocol keeps of unfinished input: a change of its size. */
void conn_count_input(struct conn *conn, int64_t size);
/* Of a framing: the peer's message under way is complete (the next byte begins another one), and
 * whether one is under way of which no byte is left in the connection's input. */
void conn_note_message(struct conn *conn, bool is_complete, bool is_under_way);
/* Has the input presented again at the end of this event-loop iteration. */
void conn_schedule_input(struct conn *conn);
/* Whether input is kept that the handler did not consume. */
bool conn_has_input(const struct conn *conn);
/* Whether it sends and receives: neither closing nor closed. */
bool conn_is_open(const struct conn *conn);
/* Whether it is not read from because the peer does not take its output. */
bool conn_is_held(const struct conn *conn);
/* Stamps: 32 bits of 16 ms, good for differences of up to two years. */
uint32_t net_stamp(const struct net *net);
/* One from which so many ms have passed. */
uint32_t net_stamp_before(const struct net *net, uint64_t ms);
/* Whether ms have passed since the stamp; never early. */
bool net_has_passed(const struct net *net, uint32_t since, int64_t ms);
uint64_t net_elapsed_ms(const struct net *net, uint32_t since);

#endif
