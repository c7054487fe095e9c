/*
 * http: one request at a time on a connection, and one in an event-loop iteration. Nothing more is
 * read while a request is being answered, or while the peer does not read answers, so that neither
 * handlers nor output pile up: requests that a client has sent ahead wait, and other connections
 * are served between them.
 */
#include "net/http/http.h"

#include <assert.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "loop/loop.h"
#include "metrics/metrics.h"
#include "net/http/host.h"
#include "net/http/http_private.h"
#include "net/http/request_private.h"
#include "net/transport.h"

#define REQUEST_UNITS 2 /* conn_charge; an answer's size comes to it */
/* Input that may follow a request's head while it is being answered. */
#define INPUT_AHEAD 131072

static struct log_limit refused_limit = {.burst = 10};

static void count_request(struct http_request *request, size_t size)
{
    int64_t change = (int64_t)size - request->counted;
    request->counted = (uint32_t)size;
    if (request->conn && change != 0) {
        conn_count_input(request->conn, change);
    }
}

void http_request_move(struct http_request *request, enum http_state state)
{
    request->state = state;
    switch (state) {
    case HTTP_IDLE:
        http_reader_reset(&request->reader);
        count_request(request, 0);
        loop_timer_start(request->timer, (uint64_t)request->settings->idle);
        break;
    case HTTP_READING:
        if (!request->is_first) { /* the first is timed from the connection's beginning */
            loop_timer_start(request->timer, (uint64_t)request->settings->timeout);
        }
        break;
    case HTTP_ANSWERING:
        loop_timer_stop(request->timer);
        request->is_first = false;
        request->taken_in = loop_iteration_count(request->loop);
        break;
    case HTTP_SENDING:
        break;
    case HTTP_ENDED:
        loop_timer_stop(request->timer);
        break;
    case HTTP_RELEASED:
        loop_timer_destroy(&request->timer);
        if (request->presenting) {
            break;
        }
        http_reader_reset(&request->reader);
        free(request);
        break;
    }
}

static void end_request(struct http_request *request, enum conn_close_reason reason)
{
    http_request_move(request, HTTP_ENDED);
    conn_close_after_output(request->conn, reason);
}

/* path: whose form the error has. */
static void send_error(struct http_request *request, struct bytes path, int status, const char *why,
                       const char *headers, bool keeps_alive)
{
    struct writer body = {0};
    const char *type = http_router_write_error(request->router, path, status, why, &body);
    http_answer_send(request, status, type, headers, writer_bytes_written(&body), NULL,
                     keeps_alive);
    writer_free(&body);
}

/* Answers a malformed request, and ends the connection. */
static void refuse_request_as(struct http_request *request, struct bytes path, int status,
                              const char *headers, const char *why)
{
    metrics_add(METRIC_HTTP_REFUSED, 1);
    log_limited(LOG_INFO, &refused_limit, "request_refused",
                LOG_STRING("peer", conn_peer_text(request->conn)), LOG_INT("status", status),
                LOG_STRING("reason", why));
    send_error(request, path, status, why, headers, false);
    end_request(request, CONN_CLOSE_PROTOCOL);
}

static void refuse_request(struct http_request *request, int status, const char *headers,
                           const char *why)
{
    refuse_request_as(request, http_reader_path(&request->reader), status, headers, why);
}

/* The next request waits for the next event-loop iteration. */
static void rest_until_next(struct http_request *request)
{
    request->resting = true;
    conn_pause_reading(request->conn);
    loop_timer_start(request->timer, 0);
}

static void end_rest(struct http_request *request)
{
    request->resting = false;
    loop_timer_start(request->timer, (uint64_t)request->settings->idle);
    if (!conn_has_backlog(request->conn)) {
        conn_resume_reading(request->conn);
    }
}

static void on_request_timer(void *arg)
{
    struct http_request *request = arg;
    if (request->state == HTTP_SENDING) {
        if (!request->conn || !conn_has_backlog(request->conn)) {
            request->ready(request->ready_arg);
        }
    } else if (request->resting) {
        end_rest(request);
    } else if (conn_has_backlog(request->conn) || !conn_may_read(request->conn)) {
        /* the server is the one that does not read */
        loop_timer_start(request->timer, (uint64_t)request->settings->timeout);
    } else if (request->state == HTTP_READING) {
        refuse_request(request, 408, NULL, "the request did not arrive in time");
    } else if (request->state == HTTP_IDLE) {
        conn_close(request->conn, request->is_first ? CONN_CLOSE_HANDSHAKE : CONN_CLOSE_IDLE);
    }
}

void http_request_finish(struct http_request *request, bool keeps_alive)
{
    if (!keeps_alive) {
        end_request(request, CONN_CLOSE_LOCAL);
        return;
    }
    http_request_move(request, HTTP_IDLE);
    if (!request->presenting && !conn_has_backlog(request->conn)) {
        conn_resume_reading(request->conn);
    }
}

static bool is_upgraded(struct http_request *request)
{
    return request->upgrade != NULL && http_reader_header(&request->reader, "Upgrade").data &&
           request->upgrade(request->upgrade_arg, request);
}

/* An error, or an answer to OPTIONS: no handler gives it. */
static void answer_by_router(struct http_request *request, int status, const struct writer *allow)
{
    bool keeps_alive = request->reader.keeps_alive;
    char *headers = NULL;
    if (allow->len > 0) {
        headers = mem_format("Allow: %.*s\r\n", (int)allow->len, (const char *)allow->data);
    }
    if (status == 204) {
        http_answer_send(request, status, NULL, headers, (struct bytes){NULL, 0}, NULL,
                         keeps_alive);
    } else {
        send_error(request, http_reader_path(&request->reader), status, NULL, headers, keeps_alive);
    }
    http_request_finish(request, keeps_alive);
    free(headers);
}

static bool may_have_host(const struct http_request *request)
{
    struct bytes host = request->reader.host;
    return http_hosts_allow(request->settings->hosts, host) ||
           http_router_is_own_host(request->router, host);
}

static void handle_request(struct http_request *request, const struct http_route *route)
{
    if (!route->is_restricted || may_have_host(request)) {
        route->handler(route->arg, request);
        return;
    }
    refuse_request_as(request, http_router_errors_path(request->router), 421, NULL,
                      "the Host is not one of http.hosts: add its name to that setting, or use an "
                      "IP address");
}

static void route_request(struct http_request *request)
{
    struct http_reader *reader = &request->reader;
    struct bytes path = writer_bytes_written(&reader->path);
    struct writer allow = {0};
    if (bytes_equal(reader->method, BYTES_LITERAL("OPTIONS"))) {
        http_router_allow(request->router, path, &allow);
        answer_by_router(request, allow.len > 0 ? 204 : 404, &allow);
    } else {
        const struct http_route *found =
            http_router_find(request->router, reader->method, path, &allow);
        if (found) {
            conn_label(request->conn, found->path);
            conn_set_operator(request->conn, false);
            handle_request(request, found);
        } else {
            answer_by_router(request, allow.len > 0 ? 405 : 404, &allow);
        }
    }
    writer_free(&allow);
}

static void dispatch_request(struct http_request *request)
{
    metrics_add(METRIC_HTTP_REQUESTS, 1);
    http_request_move(request, HTTP_ANSWERING);
    conn_charge(request->conn, REQUEST_UNITS + (uint32_t)(http_request_body(request).len / 1024));
    if (!is_upgraded(request)) {
        route_request(request);
    }
}

/* Takes one request, or as much of it as is there. */
static size_t receive_http_request(struct http_request *request, struct bytes input)
{
    enum http_result result;
    size_t used = http_reader_feed(&request->reader, request->settings, input, &result);
    bool begun = used < input.len || http_reader_has_begun(&request->reader);
    count_request(request, http_reader_size(&request->reader));
    if (result == HTTP_BAD) {
        refuse_request(request, request->reader.status, NULL, request->reader.error);
    } else if (result == HTTP_DONE) {
        dispatch_request(request);
    } else if (begun && request->state == HTTP_IDLE) {
        http_request_move(request, HTTP_READING);
    }
    if (result == HTTP_MORE && request->reader.wants_continue) {
        request->reader.wants_continue = false;
        conn_send(request->conn, BYTES_LITERAL("HTTP/1.1 100 Continue\r\n\r\n"));
    }
    return used;
}

static size_t on_http_input(void *arg, struct bytes input)
{
    struct http_request *request = arg;
    size_t used = 0;
    if (conn_has_backlog(request->conn)) {
        conn_pause_reading(request->conn);
        return 0;
    }
    if (request->taken_in == loop_iteration_count(request->loop)) {
        rest_until_next(request);
        return 0;
    }
    request->presenting = true;
    /* Again after empty lines between requests. */
    while (request->state < HTTP_ANSWERING && used < input.len) {
        used += receive_http_request(request, (struct bytes){input.data + used, input.len - used});
        if (request->state == HTTP_READING ||
            request->taken_in == loop_iteration_count(request->loop)) {
            break;
        }
    }
    request->presenting = false;
    if (request->state == HTTP_RELEASED) {
        http_request_move(request, HTTP_RELEASED);
    } else if (request->state == HTTP_ANSWERING || request->state == HTTP_SENDING) {
        conn_pause_reading(request->conn);
    } else if (request->state == HTTP_IDLE && used < input.len) {
        rest_until_next(request);
    }
    return used;
}

static void on_drained(void *arg)
{
    struct http_request *request = arg;
    if (request->state == HTTP_SENDING) {
        request->ready(request->ready_arg);
    } else if (request->state != HTTP_ANSWERING && !request->resting) {
        conn_resume_reading(request->conn);
    }
}

static void on_closed(void *arg, enum conn_close_reason reason)
{
    struct http_request *request = arg;
    count_request(request, 0);
    request->conn = NULL;
    loop_timer_stop(request->timer);
    if (request->state == HTTP_SENDING) {
        request->ready(request->ready_arg);
    } else if (request->state != HTTP_ANSWERING) {
        http_request_move(request, HTTP_RELEASED);
    }
}

static const struct conn_handler handler = {.received = on_http_input,
                                            .drained = on_drained,
                                            .closed = on_closed,
                                            .has_message_timeout = true};

void http_serve(struct net *net, struct conn *conn, const struct http_settings *settings,
                const struct http_router *router)
{
    http_serve_upgrades(net, conn, settings, router, NULL, NULL);
}

void http_serve_upgrades(struct net *net, struct conn *conn, const struct http_settings *settings,
                         const struct http_router *router, http_upgrade_handler upgrade, void *arg)
{
    struct http_request *request = mem_zalloc(1, sizeof *request);
    request->conn = conn;
    request->settings = settings;
    request->router = router;
    request->upgrade = upgrade;
    request->upgrade_arg = arg;
    request->is_first = true;
    request->loop = net_loop(net);
    request->timer = loop_timer_create(request->loop, on_request_timer, request);
    loop_timer_start(request->timer, (uint64_t)settings->timeout);
    conn_set_handler(conn, &handler, request);
    conn_handshake_done(conn); /* HTTP has time-outs of its own */
    /* The head is kept as input until it is whole; the reader limits it. */
    conn_set_input_limit(conn, (size_t)settings->max_header + INPUT_AHEAD);
}

struct bytes http_request_method(const struct http_request *request)
{
    return request->reader.method;
}

struct bytes http_request_path(const struct http_request *request)
{
    return writer_bytes_written(&request->reader.path);
}

struct bytes http_request_header(const struct http_request *request, const char *name)
{
    return http_reader_header(&request->reader, name);
}

struct bytes http_request_host(const struct http_request *request)
{
    return request->reader.host;
}

struct bytes http_request_header_next(const struct http_request *request, const char *name,
                                      size_t *at)
{
    return http_reader_header_next(&request->reader, name, at);
}

bool http_request_accepts_coding(const struct http_request *request, const char *coding)
{
    struct http_accept accept = {0};
    struct bytes list;
    for (size_t at = 0; (list = http_request_header_next(request, "Accept-Encoding", &at)).data;) {
        http_accept_read(&accept, list, coding);
    }
    return http_accept_allows(&accept);
}

bool http_request_is_http10(const struct http_request *request)
{
    return request->reader.is_http10;
}

struct bytes http_request_query(struct http_request *request, const char *name)
{
    return http_reader_query(&request->reader, name);
}

struct bytes http_request_body(const struct http_request *request)
{
    return writer_bytes_written(&request->reader.body);
}

struct conn *http_request_conn(const struct http_request *request)
{
    return request->conn;
}

void http_request_refuse(struct http_request *request, int status, const char *headers,
                         const char *why)
{
    assert(request->state == HTTP_ANSWERING);
    if (!request->conn) {
        http_request_move(request, HTTP_RELEASED);
    } else {
        refuse_request(request, status, headers, why);
    }
}

struct conn *http_request_upgrade(struct http_request *request)
{
    struct conn *conn = request->conn;
    assert(request->state == HTTP_ANSWERING);
    if (conn) {
        count_request(request, 0);
        conn_set_input_limit(conn, 0);
        /* In effect at the end of the iteration, under the new handler. */
        conn_resume_reading(conn);
    }
    http_request_move(request, HTTP_RELEASED);
    return conn;
}
