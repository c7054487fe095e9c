/*
 * http: HTTP/1.1 on an accepted connection, for health, metrics, the API and upgrades.
 *
 * Requests are parsed by libhttp-parser under limits of our own: request line and headers at most
 * http.max_header bytes (431), body at most http.max_body (413), the whole request within
 * http.timeout (408), http.max_headers header lines. Pipelined requests are answered in order, at
 * most one in an event-loop iteration. Keep-alive as HTTP/1.1 has it. HEAD is answered as GET
 * without the body, OPTIONS with the methods of a path, also for "*" and, so that a balancer's
 * simplest check works, always for "/".
 *
 * One slash at the end of a path is ignored: "/a/" is "/a". An encoded one belongs to the path.
 */
#ifndef NET_HTTP_HTTP_H
#define NET_HTTP_HTTP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/frame.h"
#include "config/config.h"
#include "net/conn.h"
#include "net/listener.h"

struct http_settings {
    int64_t max_header;  /* http.max_header, bytes, 16 KiB */
    int64_t max_headers; /* http.max_headers, lines */
    int64_t max_body;    /* http.max_body, bytes */
    int64_t timeout;     /* http.timeout, ms for a request to arrive whole */
    int64_t idle;        /* http.idle, ms between requests of a kept connection */
    char *hosts;         /* http.hosts: names under which restricted routes are served */
};
extern const struct config_module http_config;

struct http_host;
struct http_request; /* valid until it has been answered */
struct http_router;

typedef void (*http_handler)(void *arg, struct http_request *request);

struct http_router *http_router_create(void);
void http_router_destroy(struct http_router **router);
/* path: exact ("/healthz"), or a prefix that ends with "/" and "*" ("/api/v1/clients/" "*").
 * method: "GET" (HEAD too), "POST", or NULL for any but OPTIONS; another one gets 405 with Allow.
 */
void http_router_add(struct http_router *router, const char *method, const char *path,
                     http_handler handler, void *arg);

/* While it is on, routes are added as restricted: a request for one under a name that is neither of
 * http.hosts, nor always allowed (net/http/host.h), nor the process's own, gets 421. */
void http_router_restrict_hosts(struct http_router *router, bool on);
/* Whether the process is known by that name. */
typedef bool (*http_own_host)(void *arg, const struct http_host *host);
void http_router_set_own_host(struct http_router *router, http_own_host is_own, void *arg);

/* Appends the body of an answer with that status. why: static text, or NULL. */
typedef void (*http_error_writer)(struct writer *body, int status, const char *why);
/* How errors that no handler answers (404, 405, malformed requests) are written below a path, which
 * ends with "/": static text. Without it, and elsewhere, they are lines of text. One for a router.
 */
void http_router_set_errors(struct http_router *router, const char *below, const char *content_type,
                            http_error_writer write);

/* Serves the connection until it ends; it belongs to http now. settings are read at each use. */
void http_serve(struct net *net, struct conn *conn, const struct http_settings *settings,
                const struct http_router *router);

/*
 * The same, and each request with an Upgrade header is offered to upgrade before the routes: true:
 * it has answered, refused or upgraded it; false: the request is served as any other.
 */
typedef bool (*http_upgrade_handler)(void *arg, struct http_request *request);
void http_serve_upgrades(struct net *net, struct conn *conn, const struct http_settings *settings,
                         const struct http_router *router, http_upgrade_handler upgrade, void *arg);

struct bytes http_request_method(const struct http_request *request);
/* Whether its version is HTTP/1.0 or older. */
bool http_request_is_http10(const struct http_request *request);
/* Percent-decoded, without a slash at its end. */
struct bytes http_request_path(const struct http_request *request);
/* The value of a header (name in any case), empty with data NULL when missing. */
struct bytes http_request_header(const struct http_request *request, const char *name);
/* The host that the request is for: of its target, or else its Host header. Empty: none. */
struct bytes http_request_host(const struct http_request *request);
/* Each line of that name in turn: *at is 0 at first; data NULL after the last. */
struct bytes http_request_header_next(const struct http_request *request, const char *name,
                                      size_t *at);
/* Whether the body of the answer may have this content coding ("gzip"), and rather than none. */
bool http_request_accepts_coding(const struct http_request *request, const char *coding);
/* A query parameter, percent-decoded; data NULL when missing. */
struct bytes http_request_query(struct http_request *request, const char *name);
struct bytes http_request_body(const struct http_request *request);
/* NULL once the client has disconnected. */
struct conn *http_request_conn(const struct http_request *request);

/* Answers; exactly once, in the handler or later, even when the client has disconnected. headers:
 * further lines "Name: value\r\n", or NULL. Content-Length, Date and Connection are added. A HEAD
 * whose body is not known (data NULL) is answered without Content-Length. */
void http_respond(struct http_request *request, int status, const char *content_type,
                  const char *headers, struct bytes body);
/* The same with a body that several answers share: no copy is made. */
void http_respond_frame(struct http_request *request, int status, const char *content_type,
                        const char *headers, struct frame *body);

/*
 * An answer whose body is sent in pieces, as fast as the client takes them: in chunks, to HTTP/1.0
 * until the connection ends. begin takes the place of http_respond; afterwards `ready` is called in
 * a later event-loop iteration, whenever all that was sent is the kernel's, and may send the next
 * piece. It is called after begin and after each send, and when the client has disconnected
 * (http_request_conn is NULL): then nothing is left but to call end. After end, the request is
 * invalid. The body of a HEAD is not sent: end may follow begin at once.
 */
typedef void (*http_ready)(void *arg);
void http_stream_begin(struct http_request *request, int status, const char *content_type,
                       const char *headers, http_ready ready, void *arg);
void http_stream_send(struct http_request *request, struct bytes bytes);
void http_stream_end(struct http_request *request);

/* Answers with the status and a text that says why, and ends the connection; logged and counted as
 * a refusal. headers as above. */
void http_request_refuse(struct http_request *request, int status, const char *headers,
                         const char *why);
/*
 * Takes the connection out of HTTP after a 101 (or other) answer that the caller sends itself:
 * the caller must call conn_set_handler at once. Bytes that follow the request are presented
 * to the new handler. The request is invalid afterwards. NULL when the client has disconnected.
 */
struct conn *http_request_upgrade(struct http_request *request);

#endif
