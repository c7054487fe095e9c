/*
 * connector: from a name to a connected socket: looks the name up, tries its addresses one after
 * another, and completes the TLS handshake. Nothing of it blocks the loop.
 */
#ifndef STREAM_CONNECTOR_H
#define STREAM_CONNECTOR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"
#include "loop/loop.h"
#include "stream/resolve.h"
#include "stream/socket.h"

struct stream_connector;

/* Strings, addresses and contexts are copied or referenced. */
struct stream_request {
    /* The target: one of these. */
    const char *host; /* a name or a numeric address, with its port */
    uint16_t port;
    const char *path;                     /* of a unix socket */
    const struct stream_address *address; /* already resolved */

    /* Tries only one of the name's addresses, the one with the index attempt modulo their number.
     */
    bool one_address;
    unsigned attempt;
    const struct address *source; /* to connect from; NULL: the system's choice */
    struct tls_context *tls;      /* NULL: no TLS. For every address */
    const char *server_name;      /* with TLS: the name to verify */
    /* Bounds; 0: none. */
    uint64_t step_ms;  /* to look the name up, and for each address, TLS included */
    uint64_t total_ms; /* for the whole attempt */
};

enum stream_step { STREAM_RESOLVES, STREAM_CONNECTS, STREAM_SECURES };
struct stream_failure {
    enum stream_step step; /* the last one; the step of the last address */
    bool timed_out;
    bool tls_failed;    /* with any of the addresses */
    const char *reason; /* lives until the connector is used again */
};
struct stream_connector_events {
    /* Passes the socket to the caller, who calls stream_socket_hand_over. With TLS, it may already
     * have bytes to read (stream_socket_has_pending). */
    void (*connected)(void *arg, struct stream_socket *socket);
    void (*failed)(void *arg, const struct stream_failure *failure);
};

/* Exactly one of the events is called, once, from the loop, after this has returned. */
struct stream_connector *stream_connector_start(struct loop *loop,
                                                const struct stream_request *request,
                                                const struct stream_connector_events *events,
                                                void *arg) __attribute__((warn_unused_result));
/* Cancels the attempt; also allowed in its events and after them. Does nothing when NULL. */
void stream_connector_destroy(struct stream_connector **connector);
/* After connected: whether there are addresses that were not tried; and continues with these, as if
 * the connected one had failed. One of the events follows. */
bool stream_connector_has_more(const struct stream_connector *connector);
void stream_connector_continue(struct stream_connector *connector);
/* The address that was tried last. */
const struct stream_address *stream_connector_address(const struct stream_connector *connector);

#endif
