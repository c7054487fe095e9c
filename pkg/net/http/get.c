/* http_get: connect, write, read until the answer is whole. The parser is libhttp-parser's. */
#include "net/http/get.h"

#include <errno.h>
#include <stdlib.h>

#include <http_parser.h>

#include "base/mem.h"
#include "stream/connector.h"

#define READ_SIZE  4096
#define ANSWER_MAX 16384 /* bytes of an answer with its headers */

struct http_get {
    struct stream_connector *connector;
    struct stream_socket *socket; /* NULL: not connected */
    struct loop_timer *timer;
    struct writer out;
    size_t sent;
    size_t received;
    struct http_parser parser;
    struct writer body;
    size_t max_body;
    bool complete;
    http_get_done done;
    void *arg;
};

static void finish_get(struct http_get *get, int status)
{
    http_get_done done = get->done;

    loop_timer_stop(get->timer);
    stream_connector_destroy(&get->connector);
    stream_socket_close(&get->socket, false);
    get->done = NULL;
    if (done) {
        done(get->arg, status, status ? writer_bytes_written(&get->body) : (struct bytes){0});
    }
}

static int on_body(http_parser *parser, const char *at, size_t len)
{
    struct http_get *get = parser->data;

    if (get->body.len + len > get->max_body) {
        return 1;
    }
    writer_bytes(&get->body, (struct bytes){(const uint8_t *)at, len});
    return 0;
}

static int on_complete(http_parser *parser)
{
    struct http_get *get = parser->data;

    get->complete = true;
    http_parser_pause(parser, 1); /* what follows is not part of this answer */
    return 0;
}

static const http_parser_settings callbacks = {.on_body = on_body,
                                               .on_message_complete = on_complete};

/* True when it is complete. len 0: the end of the stream, which may be that of the answer. */
static bool parse_answer(struct http_get *get, const char *data, size_t len)
{
    size_t parsed = http_parser_execute(&get->parser, &callbacks, data, len);

    if (get->complete) {
        finish_get(get, (int)get->parser.status_code);
        return true;
    }
    get->received += len;
    if (parsed != len || len == 0 || get->received > ANSWER_MAX) {
        finish_get(get, 0);
        return true;
    }
    return false;
}

static void receive_answer(struct http_get *get)
{
    char buffer[READ_SIZE];
    ssize_t n;

    do {
        n = stream_socket_read(get->socket, buffer, sizeof buffer);
        if (n < 0) {
            if (errno != EAGAIN) {
                finish_get(get, 0);
            }
            return;
        }
    } while (!parse_answer(get, buffer, (size_t)n));
}

static void send_get(struct http_get *get)
{
    ssize_t n =
        stream_socket_write(get->socket, get->out.data + get->sent, get->out.len - get->sent);

    if (n < 0 && errno != EAGAIN) {
        finish_get(get, 0);
        return;
    }
    get->sent += n > 0 ? (size_t)n : 0;
    stream_socket_want_write(get->socket, get->sent < get->out.len);
}

static void on_get_ready(void *arg, unsigned events)
{
    struct http_get *get = arg;

    if (get->sent < get->out.len) {
        send_get(get);
    } else {
        receive_answer(get);
    }
}

static void on_get_connected(void *arg, struct stream_socket *socket)
{
    struct http_get *get = arg;

    get->socket = socket;
    stream_socket_hand_over(socket, on_get_ready, get);
    send_get(get);
}

static void on_get_not_connected(void *arg, const struct stream_failure *failure)
{
    finish_get(arg, 0);
}

static const struct stream_connector_events get_events = {.connected = on_get_connected,
                                                          .failed = on_get_not_connected};

static void on_get_timeout(void *arg)
{
    finish_get(arg, 0);
}

struct http_get *http_get_start(struct loop *loop, const struct http_get_request *request,
                                http_get_done done, void *arg)
{
    struct http_get *get = mem_zalloc(1, sizeof *get);

    get->max_body = request->max_body;
    get->done = done;
    get->arg = arg;
    http_parser_init(&get->parser, HTTP_RESPONSE);
    get->parser.data = get;
    writer_format(
        &get->out,
        "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\nUser-Agent: trackerd\r\n\r\n",
        request->path, request->host);
    get->timer = loop_timer_create(loop, on_get_timeout, get);
    loop_timer_start(get->timer, request->timeout_ms);
    get->connector = stream_connector_start(
        loop, &(struct stream_request){.address = request->address}, &get_events, get);
    return get;
}

void http_get_end(struct http_get **pointer)
{
    struct http_get *get = *pointer;

    *pointer = NULL;
    if (!get) {
        return;
    }
    loop_timer_destroy(&get->timer);
    stream_connector_destroy(&get->connector);
    stream_socket_close(&get->socket, false);
    writer_free(&get->out);
    writer_free(&get->body);
    free(get);
}
