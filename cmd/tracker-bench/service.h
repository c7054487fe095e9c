/*
 * service: the WebSocket services that can be measured: ours, and what they are compared with.
 *
 * Each is what a client says so that it takes part, how it says something to all the others, and
 * how it finds out that it does take part. What is told to all is a text that begins with a mark
 * and two time stamps in hexadecimal digits; it is found by its mark in whatever the service made
 * of it, so that a listener needs no parser.
 */
#ifndef BENCH_SERVICE_H
#define BENCH_SERVICE_H

#include "bench.h"

/* A client of the service. */
struct voice {
    const struct worker *worker;
    uint32_t number; /* among all of its role */
    bool speaks;
    uint64_t said;
};

enum service_verdict { SERVICE_WAITS, SERVICE_TAKES_PART, SERVICE_REFUSES };

struct service {
    const char *name;
    const char *help;
    const char *path;       /* of who listens */
    const char *speak_path; /* of who speaks */
    bool has_channels;      /* a channel's name follows the path */
    const char *protocol;   /* the subprotocol, or NULL */
    /* Whether who speaks hears itself. */
    bool echoes;
    /* What is said after the handshake; true when that is all that it takes to take part. What
     * these write is frames. NULL: nothing is said. */
    bool (*hello)(struct writer *to, const struct voice *voice);
    /* Judges what comes before taking part. NULL: the handshake is all that it takes. message is
     * empty when it was too large to be kept. */
    enum service_verdict (*welcome)(struct writer *to, const struct voice *voice,
                                    struct bytes message);
    /* Tells all the text, which needs no escaping in JSON. */
    void (*say)(struct writer *to, struct voice *voice, struct bytes text);
    /* What comes afterwards and wants an answer. NULL: nothing does. */
    void (*heed)(struct writer *to, struct bytes message);
};

/* NULL: there is none of that name. */
const struct service *service_find(const char *name);
/* For the help: a line each. */
void services_print(void);

/* The handshake. */
void service_write_request(struct writer *to, const struct service *service,
                           const struct voice *voice);
/* The text, of the part's size, in scratch of at least that size. */
struct bytes service_text(const struct worker *worker, uint8_t *scratch, uint64_t intended_us,
                          uint64_t now_us);
/* Records all stamps within the message. */
void service_heard(struct worker *worker, struct bytes message, uint64_t now_us);

/* A user's id, for turntable, in to. */
void service_write_user(struct writer *to, const struct voice *voice);
/* A JSON text as a message. */
void service_write_text(struct writer *to, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
