/*
 * service: the WebSocket services that can be measured: ours, and those they are compared with.
 *
 * Each defines how a client joins, how it detects that it has joined, and how it sends a message to
 * all others. The message is a text that begins with a marker and two time stamps in hexadecimal
 * digits. Receivers search for the marker, so that they need no parser for the service's encoding.
 */
#ifndef BENCH_SERVICE_H
#define BENCH_SERVICE_H

#include "bench.h"

/* A client of the service. */
struct service_client {
    const struct worker *worker;
    uint32_t number; /* among all of its role */
    bool speaks;
    uint64_t said;
};

enum service_verdict { SERVICE_WAITS, SERVICE_TAKES_PART, SERVICE_REFUSES };

struct service {
    const char *name;
    const char *help;
    const char *path;       /* for listeners */
    const char *speak_path; /* for speakers */
    bool has_channels;      /* a channel's name follows the path */
    const char *protocol;   /* the subprotocol, or NULL */
    /* Whether a speaker receives its own messages. */
    bool echoes;
    /* Writes the frames with which a client joins after the handshake; true when it has joined with
     * that. NULL: none are needed. */
    bool (*join)(struct writer *to, const struct service_client *service_client);
    /* Checks a message before the client has joined. NULL: it joins with the handshake. message is
     * empty if it was too large to keep. */
    enum service_verdict (*check_joined)(struct writer *to,
                                         const struct service_client *service_client,
                                         struct bytes message);
    /* Writes a message to all with the text, which needs no escaping in JSON. */
    void (*publish)(struct writer *to, struct service_client *service_client, struct bytes text);
    /* Answers later messages that require it. NULL: none do. */
    void (*answer)(struct writer *to, struct bytes message);
};

/* NULL: there is none of that name. */
const struct service *service_find(const char *name);
/* For the help: one line each. */
void services_print(void);

/* The handshake. */
void service_write_request(struct writer *to, const struct service *service,
                           const struct service_client *service_client);
/* The text, of the part's size, in scratch of at least that size. */
struct bytes service_text(const struct worker *worker, uint8_t *scratch, uint64_t intended_us,
                          uint64_t now_us);
/* Records all stamps within the message. */
void service_record_delivery(struct worker *worker, struct bytes message, uint64_t now_us);

/* Appends a user's id, for turntable. */
void service_write_user(struct writer *to, const struct service_client *service_client);
/* A JSON text as a message. */
void service_write_text(struct writer *to, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
