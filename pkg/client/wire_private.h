/*
 * wire: the client's byte stream, TCP or a unix socket, TLS or not.
 *
 * Embedded in its owner, which outlives every callback: an owner that destroys itself in one calls
 * wire_close and frees its memory in the loop's last phase.
 */
#ifndef CLIENT_WIRE_PRIVATE_H
#define CLIENT_WIRE_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "loop/loop.h"

struct tls_context;
struct tls_stream;

/* Where to connect; the strings are owned. */
struct wire_target {
    char *host; /* of unix: the path */
    char *port; /* of unix: NULL */
};
/* False for anything but "host:port", "[v6]:port" and "unix:/path". */
bool wire_target_parse(const char *text, struct wire_target *target)
    __attribute__((warn_unused_result));
void wire_target_free(struct wire_target *target);

struct wire_events {
    void (*up)(void *arg);
    /* All bytes that have come and were not taken yet. How many are taken now; what it returns
     * does not count after wire_close or wire_fail. */
    size_t (*bytes)(void *arg, struct bytes input);
    /* The wire has been closed because of this. */
    void (*down)(void *arg, const char *reason);
};

enum wire_state {
    WIRE_DOWN,
    WIRE_CONNECTING,
    WIRE_HANDSHAKE, /* TLS only */
    WIRE_UP
};

struct wire {
    struct loop *loop;
    const struct wire_events *events;
    void *arg;
    enum wire_state state;
    int fd;
    unsigned generation; /* counts the closings: a callback may have closed */
    unsigned interest;   /* what io waits for */
    struct loop_io *io;
    struct tls_stream *stream;
    struct writer in;
    struct writer out;
    struct loop_task flush;
    struct loop_timer *deadline; /* for the connection to be up */
    char reason[160];
};

void wire_init(struct wire *wire, struct loop *loop, const struct wire_events *events, void *arg);
/*
 * Begins to connect; attempt chooses among the addresses of a name. tls and source may be NULL.
 * Returns NULL, or why it failed at once; then the wire is down and no callback comes.
 */
const char *wire_connect(struct wire *wire, const struct wire_target *target, unsigned attempt,
                         const char *source, struct tls_context *tls, const char *server_name,
                         uint64_t timeout_ms) __attribute__((warn_unused_result));
/* To be called after appending to wire->out. */
void wire_send(struct wire *wire);
/* Closes without a callback; harmless when down. */
void wire_close(struct wire *wire);
/* Closes, and calls down. */
void wire_fail(struct wire *wire, const char *reason);

#endif
