/* http_answer: heads and bodies of answers: whole, of a shared frame, or in pieces. */
#include <assert.h>
#include <stdio.h>

#include "base/clock.h"
#include "net/http/request_private.h"

static bool has_body(int status)
{
    return status >= 200 && status != 204 && status != 304;
}

static bool is_head(const struct http_request *request)
{
    return bytes_equal(http_reader_method(&request->reader), BYTES_LITERAL("HEAD"));
}

/* One unit for each KiB (docs/configuration.md, the costs). */
static void charge_body(const struct http_request *request, size_t len)
{
    if (len >= 1024) {
        conn_charge(request->conn, (uint32_t)(len / 1024));
    }
}

/* length: a header line for the body's length, or how it is delimited; or "". */
static void write_answer_head(struct writer *to, int status, const char *length,
                              const char *content_type, const char *headers, bool keeps_alive)
{
    writer_format(to, "HTTP/1.1 %d %s\r\nDate: %s\r\n%s", status, http_status_text(status),
                  http_date((int64_t)(clock_wall_us() / 1000000)), length);
    if (has_body(status) && content_type) {
        writer_format(to, "Content-Type: %s\r\n", content_type);
    }
    writer_format(to, "Connection: %s\r\n", keeps_alive ? "keep-alive" : "close");
    if (headers) {
        writer_string(to, headers);
    }
    writer_string(to, "\r\n");
}

void http_answer_send(struct http_request *request, int status, const char *content_type,
                      const char *headers, struct bytes body, struct frame *shared,
                      bool keeps_alive)
{
    bool sends_body = has_body(status) && !is_head(request);
    struct writer answer = {0};
    char length[48] = "";
    if (has_body(status) && (sends_body || body.data)) {
        snprintf(length, sizeof length, "Content-Length: %zu\r\n", body.len);
    }
    write_answer_head(&answer, status, length, content_type, headers, keeps_alive);
    if (sends_body && !shared) {
        writer_bytes(&answer, body);
    }
    conn_send(request->conn, writer_bytes_written(&answer));
    if (sends_body && shared) {
        conn_send_frame(request->conn, shared);
    }
    if (sends_body) {
        charge_body(request, body.len);
    }
    writer_free(&answer);
}

/* Exactly one answer: the body, or the frame, which may be NULL. */
static void respond(struct http_request *request, int status, const char *content_type,
                    const char *headers, struct bytes body, struct frame *shared)
{
    bool keeps_alive = request->reader.keeps_alive;
    assert(request->state == HTTP_ANSWERING);
    if (!request->conn) {
        http_request_move(request, HTTP_RELEASED);
        return;
    }
    http_answer_send(request, status, content_type, headers, body, shared, keeps_alive);
    http_request_finish(request, keeps_alive);
}

void http_respond(struct http_request *request, int status, const char *content_type,
                  const char *headers, struct bytes body)
{
    respond(request, status, content_type, headers, body, NULL);
}

void http_respond_frame(struct http_request *request, int status, const char *content_type,
                        const char *headers, struct frame *body)
{
    respond(request, status, content_type, headers, (struct bytes){body->data, body->len}, body);
}

/* HTTP/1.0 has no chunks: there the end of the connection is that of the body. */
static bool sends_chunks(const struct http_request *request)
{
    return !request->reader.is_http10;
}

/* Not before the next event-loop iteration, nor while what has been sent waits. */
static void expect_ready(struct http_request *request)
{
    loop_timer_start(request->timer, 0);
}

void http_stream_begin(struct http_request *request, int status, const char *content_type,
                       const char *headers, http_ready ready, void *arg)
{
    struct writer head = {0};
    assert(request->state == HTTP_ANSWERING && has_body(status));
    http_request_move(request, HTTP_SENDING);
    request->ready = ready;
    request->ready_arg = arg;
    if (request->conn) {
        request->reader.keeps_alive = request->reader.keeps_alive && sends_chunks(request);
        write_answer_head(&head, status,
                          sends_chunks(request) ? "Transfer-Encoding: chunked\r\n" : "",
                          content_type, headers, request->reader.keeps_alive);
        conn_send(request->conn, writer_bytes_written(&head));
        writer_free(&head);
    }
    expect_ready(request);
}

void http_stream_send(struct http_request *request, struct bytes bytes)
{
    char size[24];
    assert(request->state == HTTP_SENDING);
    expect_ready(request);
    if (!request->conn || is_head(request) || bytes.len == 0) {
        return;
    }
    charge_body(request, bytes.len);
    if (!sends_chunks(request)) {
        conn_send(request->conn, bytes);
        return;
    }
    snprintf(size, sizeof size, "%zx\r\n", bytes.len);
    conn_send(request->conn, bytes_from_string(size));
    conn_send(request->conn, bytes);
    conn_send(request->conn, BYTES_LITERAL("\r\n"));
}

void http_stream_end(struct http_request *request)
{
    assert(request->state == HTTP_SENDING);
    loop_timer_stop(request->timer);
    if (!request->conn) {
        http_request_move(request, HTTP_RELEASED);
        return;
    }
    if (sends_chunks(request) && !is_head(request)) {
        conn_send(request->conn, BYTES_LITERAL("0\r\n\r\n"));
    }
    http_request_finish(request, request->reader.keeps_alive);
}
