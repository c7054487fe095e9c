/*
 * wire: the client's byte stream, over TCP or a unix socket, with or without TLS.
 *
 * Embedded in its owner, which outlives every callback: an owner that is destroyed in one calls
 * wire_close and frees its memory in the loop's last phase.
 */
#ifndef CLIENT_WIRE_PRIVATE_H
#define CLIENT_WIRE_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "loop/loop.h"
#include "stream/connector.h"

/* Where to connect; the strings are owned. */
struct wire_target {
    char *host; /* NULL: a unix socket */
    uint16_t port;
    char *path;
};
/* False for anything but "host:port", "[v6]:port" and "unix:/path". */
bool wire_target_parse(const char *text, struct wire_target *target)
    __attribute__((warn_unused_result));
void wire_target_free(struct wire_target *target);

struct wire_events {
    void (*up)(void *arg);
    /* All bytes received and not consumed yet. Returns how many it consumes; the result is ignored
     * after wire_close or wire_fail. */
    size_t (*bytes)(void *arg, struct bytes input);
    /* The wire has been closed for this reason. */
    void (*down)(void *arg, const char *reason);
};

enum wire_state {
    WIRE_DOWN,
    WIRE_CONNECTING, /* `connector` is set */
    WIRE_UP          /* `socket` is set */
};

struct wire {
    struct loop *loop;
    const struct wire_events *events;
    void *arg;
    enum wire_state state;
    unsigned generation; /* incremented by each close, to detect one in a callback */
    struct stream_connector *connector;
    struct stream_socket *socket;
    struct writer in;
    struct writer out;
    struct loop_task flush;
    char reason[160];
};

void wire_init(struct wire *wire, struct loop *loop, const struct wire_events *events, void *arg);
struct wire_options {
    const struct wire_target *target;
    unsigned attempt;        /* chooses among the addresses of a name */
    const char *source;      /* a numeric address, or NULL */
    struct tls_context *tls; /* or NULL */
    const char *server_name; /* NULL: the target's host */
    uint64_t timeout_ms;     /* total, including name resolution and TLS */
};
/* Starts connecting; up or down follows. Name resolution does not block the loop. */
void wire_connect(struct wire *wire, const struct wire_options *options);
/* Call it after appending to wire->out. */
void wire_send(struct wire *wire);
/* Closes without a callback. No effect when down. */
void wire_close(struct wire *wire);
/* Closes, and calls down. */
void wire_fail(struct wire *wire, const char *reason);

#endif
