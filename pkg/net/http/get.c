/* http_get: connect, write, read until the answer is whole. The parser is libhttp-parser's. */
#include "net/http/get.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include <http_parser.h>

#include "base/mem.h"

#define READ_SIZE  4096
#define ANSWER_MAX 16384 /* bytes of an answer with its headers */

struct http_get {
    struct loop *loop;
    int fd;             /* -1: none */
    struct loop_io *io; /* NULL: none, or no more */
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
    loop_io_destroy(&get->io);
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
    http_parser_pause(parser, 1); /* what follows is not ours */
    return 0;
}

static const http_parser_settings callbacks = {.on_body = on_body,
                                               .on_message_complete = on_complete};

/* True when it is over. len 0: the end of the stream, which may be that of the answer. */
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
        n = recv(get->fd, buffer, sizeof buffer, 0);
        if (n < 0) {
            if (errno != EAGAIN && errno != EINTR) {
                finish_get(get, 0);
            }
            return;
        }
    } while (!parse_answer(get, buffer, (size_t)n));
}

static void transmit(struct http_get *get)
{
    ssize_t n = send(get->fd, get->out.data + get->sent, get->out.len - get->sent, MSG_NOSIGNAL);

    if (n < 0 && errno != EAGAIN && errno != EINTR) {
        finish_get(get, 0); /* not connected, too */
        return;
    }
    get->sent += n > 0 ? (size_t)n : 0;
    if (get->sent == get->out.len) {
        loop_io_set(get->io, LOOP_READ);
    }
}

static void on_get_ready(void *arg, unsigned events)
{
    struct http_get *get = arg;

    if (get->sent < get->out.len) {
        transmit(get);
    } else {
        receive_answer(get);
    }
}

static void on_get_timeout(void *arg)
{
    finish_get(arg, 0);
}

static bool begin_get(struct http_get *get, const struct http_get_request *request)
{
    get->fd = socket(request->address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (get->fd < 0) {
        return false;
    }
    if (connect(get->fd, request->address, request->address_len) != 0 && errno != EINPROGRESS) {
        return false;
    }
    get->io = loop_io_create(get->loop, get->fd, on_get_ready, get);
    loop_io_set(get->io, LOOP_WRITE);
    return true;
}

struct http_get *http_get_start(struct loop *loop, const struct http_get_request *request,
                                http_get_done done, void *arg)
{
    struct http_get *get = mem_zalloc(1, sizeof *get);

    get->loop = loop;
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
    /* What fails at once is reported from the loop as well. */
    loop_timer_start(get->timer, begin_get(get, request) ? request->timeout_ms : 0);
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
    loop_io_destroy(&get->io);
    if (get->fd >= 0) {
        close(get->fd);
    }
    writer_free(&get->out);
    writer_free(&get->body);
    free(get);
}
