/* http_fixture: a listener of HTTP with a few routes, and what its answers are compared with. */
#ifndef TEST_HTTP_FIXTURE_H
#define TEST_HTTP_FIXTURE_H

#include "net/fixture.h"

#include "net/http/http.h"

struct web {
    struct fixture *f;
    struct config *config;
    struct http_settings settings;
    struct http_router *router;
    struct http_request *later; /* a request whose answer is owed */
    struct conn *upgraded;
    struct writer seen; /* what came after an upgrade */
    unsigned upgraded_closed;
};

static struct web web;

static void answer_hello(void *arg, struct http_request *request)
{
    struct bytes path = http_request_path(request);
    struct bytes name = http_request_query(request, "name");
    struct writer body = {0};
    assert_non_null(http_request_conn(request));
    writer_format(&body, "%.*s %.*s %.*s", (int)http_request_method(request).len,
                  (const char *)http_request_method(request).data, (int)path.len,
                  (const char *)path.data, (int)name.len, (const char *)name.data);
    http_respond(request, 200, "text/plain", "X-Test: yes\r\n", writer_bytes_written(&body));
    writer_free(&body);
}

static void answer_body(void *arg, struct http_request *request)
{
    http_respond(request, 201, "text/plain", NULL, http_request_body(request));
}

static void answer_nothing(void *arg, struct http_request *request)
{
    http_respond(request, 204, NULL, NULL, (struct bytes){NULL, 0});
}

static void answer_later(void *arg, struct http_request *request)
{
    assert_null(web.later);
    web.later = request;
}

static void answer_large(void *arg, struct http_request *request)
{
    static uint8_t large[30000];
    memset(large, 'L', sizeof large);
    http_respond(request, 200, "text/plain", NULL, (struct bytes){large, sizeof large});
}

static size_t upgraded_received(void *arg, struct bytes input)
{
    writer_bytes(&web.seen, input);
    return input.len;
}

static void upgraded_closed(void *arg, enum conn_close_reason reason)
{
    web.upgraded = NULL;
    web.upgraded_closed++;
}

static const struct conn_handler upgraded_handler = {.received = upgraded_received,
                                                     .closed = upgraded_closed};

static void upgrade(void *arg, struct http_request *request)
{
    web.upgraded = http_request_upgrade(request);
    conn_set_handler(web.upgraded, &upgraded_handler, NULL);
    conn_send(web.upgraded, BYTES_LITERAL("HTTP/1.1 101 Switching Protocols\r\n\r\n"));
}

static void write_error(struct writer *body, int status, const char *why)
{
    writer_format(body, "<%d %s>", status, why ? why : "-");
}

static void accept_http(void *arg, struct conn *conn)
{
    http_serve(web.f->net, conn, &web.settings, web.router);
    web.f->accepted++;
}

static const struct listener_callbacks http_callbacks = {NULL, accept_http};

static int create(void **state)
{
    char *error = NULL;
    fixture_create(state);
    web = (struct web){.f = *state};
    web.config = config_create();
    config_add(web.config, &http_config, &web.settings);
    assert_int_equal(web.settings.max_header, 16384);
    assert_int_equal(web.settings.timeout, 10000);
    web.router = http_router_create();
    http_router_add(web.router, "GET", "/hello/*", answer_hello, NULL);
    http_router_add(web.router, "POST", "/body", answer_body, NULL);
    http_router_add(web.router, "GET", "/nothing", answer_nothing, NULL);
    http_router_add(web.router, "GET", "/later", answer_later, NULL);
    http_router_add(web.router, "GET", "/large", answer_large, NULL);
    http_router_add(web.router, "GET", "/upgrade", upgrade, NULL);
    http_router_set_errors(web.router, "/x/", "text/x", write_error);
    http_router_add(web.router, "POST", "/x/post", answer_body, NULL);
    web.f->listener =
        listener_create(web.f->net, "127.0.0.1:0", &web.f->settings, &http_callbacks, NULL, &error);
    assert_non_null(web.f->listener);
    return 0;
}

static int destroy(void **state)
{
    /* The connections of these tests are HTTP's: their clients have closed. */
    WAIT_FOR(web.f, net_connection_count(web.f->net) == 0);
    http_router_destroy(&web.router);
    config_free_values(&http_config, &web.settings);
    config_destroy(&web.config);
    writer_free(&web.seen);
    return fixture_destroy(state);
}

/* The answer without the line of its date. */
static void drop_date(struct writer *answer)
{
    char *at;
    writer_u8(answer, 0);
    answer->len--;
    while ((at = strstr((char *)answer->data, "Date: "))) {
        char *end = strstr(at, "\r\n") + 2;
        assert_int_equal(end - at, 37);
        memmove(at, end, strlen(end) + 1);
    }
    answer->len = strlen((char *)answer->data);
}

/* Sends a request, and expects just this answer. The connection stays open. */
static void expect_answer(int fd, const char *request, const char *answer)
{
    struct writer got = {0};
    fixture_write_text(fd, request);
    WAIT_FOR(web.f, ({
                 bool open = fixture_read(fd, &got);
                 if (!open) {
                     fail_msg("closed after \"%.*s\"", (int)got.len, (char *)got.data);
                 }
                 got.len >= strlen(answer) + 37;
             }));
    drop_date(&got);
    fixture_expect_text(&got, answer);
    writer_free(&got);
}

/* The same, and the connection ends, without a reset. */
static void expect_last_answer(const char *request, const char *answer)
{
    int fd = fixture_connect(web.f);
    struct writer got = {0};
    uint8_t byte;
    fixture_write_text(fd, request);
    fixture_read_end(web.f, fd, &got);
    assert_int_equal(recv(fd, &byte, 1, 0), 0);
    drop_date(&got);
    fixture_expect_text(&got, answer);
    writer_free(&got);
    close(fd);
}

#endif
