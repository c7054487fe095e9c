/*
 * request_private: a connection's requests, one after the other, for http.c (receiving them, and
 * the states) and answer.c.
 *
 * A struct http_request exists as long as its connection is HTTP's, and beyond that while a handler
 * still owes an answer.
 */
#ifndef NET_HTTP_REQUEST_PRIVATE_H
#define NET_HTTP_REQUEST_PRIVATE_H

#include "loop/loop.h"
#include "net/http/http_private.h"

enum http_state {
    HTTP_IDLE,      /* no byte of a request has been received */
    HTTP_READING,   /* a part of one has */
    HTTP_ANSWERING, /* its handler owes the answer; nothing more is read */
    HTTP_SENDING,   /* its handler has begun the answer, and sends the body in pieces */
    HTTP_ENDED,     /* the last answer has been given; nothing more is read */
    HTTP_RELEASED   /* the connection is no longer HTTP's; memory is freed after `received` */
};

struct http_request {
    struct conn *conn; /* NULL: disconnected */
    const struct http_settings *settings;
    const struct http_router *router;
    http_upgrade_handler upgrade; /* NULL: none */
    void *upgrade_arg;
    struct loop *loop;
    struct loop_timer *timer;
    struct http_reader reader;
    http_ready ready; /* of HTTP_SENDING, with its arg */
    void *ready_arg;
    uint64_t taken_in; /* the event-loop iteration in which the last request was taken */
    enum http_state state;
    uint32_t counted; /* bytes of what is kept of the request */
    bool is_first;
    bool presenting; /* inside `received` */
    bool resting;    /* the next request may be taken in the next iteration: the timer */
};

/* http.c. The one place that changes a request's state. RELEASED may free it. */
void http_request_move(struct http_request *request, enum http_state state);
/* The answer has been given. */
void http_request_finish(struct http_request *request, bool keeps_alive);

/* answer.c: sends the head and the body; shared: the frame that the body is, or NULL. */
void http_answer_send(struct http_request *request, int status, const char *content_type,
                      const char *headers, struct bytes body, struct frame *shared,
                      bool keeps_alive);

#endif
