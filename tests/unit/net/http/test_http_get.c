/* A GET of our own: answers of every shape, whole and split at each byte, and what is none. */
#include "net/fixture.h"

#include "net/http/get.h"

#define BODY_MAX 16

struct asked {
    struct loop *loop;
    struct http_get *get;
    int listening;
    struct sockaddr_in address;
    unsigned done;
    int status;
    char body[BODY_MAX + 1];
};

static void on_done(void *arg, int status, struct bytes body)
{
    struct asked *asked = arg;

    asked->done++;
    asked->status = status;
    assert_in_range(body.len, 0, BODY_MAX);
    if (body.len > 0) {
        memcpy(asked->body, body.data, body.len);
    }
    asked->body[body.len] = '\0';
    http_get_end(&asked->get);
}

static void start(struct asked *asked, uint64_t timeout_ms)
{
    struct stream_address to = {.len = sizeof asked->address};

    memcpy(&to.storage, &asked->address, sizeof asked->address);
    asked->done = 0;
    asked->get = http_get_start(asked->loop,
                                &(struct http_get_request){
                                    .address = &to,
                                    .host = "there:8080",
                                    .path = "/redisz?epoch=1",
                                    .max_body = BODY_MAX,
                                    .timeout_ms = timeout_ms,
                                },
                                on_done, asked);
    assert_int_equal(asked->done, 0);
}

/* The server's side of it, once the whole request has come. */
static int take_request(struct asked *asked)
{
    static const char wanted[] = "GET /redisz?epoch=1 HTTP/1.1\r\nHost: there:8080\r\n";
    char request[512] = "";
    size_t len = 0;
    int fd = -1;

    while (fd < 0 || !strstr(request, "\r\n\r\n")) {
        loop_iterate(asked->loop, 1);
        if (fd < 0) {
            fd = accept4(asked->listening, NULL, NULL, SOCK_NONBLOCK);
        } else {
            ssize_t n = recv(fd, request + len, sizeof request - 1 - len, 0);

            len += n > 0 ? (size_t)n : 0;
            request[len] = '\0';
        }
    }
    assert_memory_equal(request, wanted, sizeof wanted - 1);
    return fd;
}

static void wait_done(struct asked *asked)
{
    WAIT_FOR(asked, asked->done > 0);
    assert_int_equal(asked->done, 1);
    assert_null(asked->get);
}

static const struct {
    const char *answer;
    int status; /* 0: it is none */
    const char *body;
} answers[] = {
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, "hello"},
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1 500 X\r\n\r\n", 200, "hello"},
    {"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", 404, ""},
    {"HTTP/1.1 204 No Content\r\n\r\n", 204, ""},
    {"HTTP/1.0 200 OK\r\n\r\nto the end", 200, "to the end"},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", 200,
     "abcde"},
    {"HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n0123456789abcdef", 200, "0123456789abcdef"},
    {"HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n0123456789abcdefg", 0, ""},
    {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort", 0, ""},
    {"HTTP/1.1 200 OK\r\nContent-Le", 0, ""},
    {"HTTP/1.1 OK\r\n\r\n", 0, ""},
    {"GET / HTTP/1.1\r\n\r\n", 0, ""},
    {"\x15\x03\x01\x00\x02\x02\x46", 0, ""},
    {"", 0, ""},
};

static void check_answer(struct asked *asked, size_t index, size_t split)
{
    const char *answer = answers[index].answer;
    size_t len = strlen(answer);
    int fd;

    start(asked, 20000);
    fd = take_request(asked);
    assert_int_equal(send(fd, answer, split, MSG_NOSIGNAL), split);
    loop_iterate(asked->loop, split > 0 ? 10 : 0);
    /* It may have had enough already. */
    (void)send(fd, answer + split, len - split, MSG_NOSIGNAL);
    shutdown(fd, SHUT_WR);
    wait_done(asked);
    close(fd);
    assert_int_equal(asked->status, answers[index].status);
    assert_string_equal(asked->body, answers[index].body);
}

static void test_answers(void **state)
{
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        for (size_t split = 0; split <= strlen(answers[i].answer); split++) {
            check_answer(*state, i, split);
        }
    }
}

static void test_an_answer_without_end(void **state)
{
    static const char header[] = "X: 0123456789012345678901234567890123456789\r\n";
    struct asked *asked = *state;
    int fd;

    start(asked, 20000);
    fd = take_request(asked);
    assert_true(send(fd, "HTTP/1.1 200 OK\r\n", 17, MSG_NOSIGNAL) == 17);
    while (asked->done == 0) {
        (void)send(fd, header, sizeof header - 1, MSG_NOSIGNAL);
        loop_iterate(asked->loop, 1);
    }
    assert_int_equal(asked->status, 0);
    close(fd);
}

static void test_no_answer(void **state)
{
    struct asked *asked = *state;
    int fd;

    start(asked, 50);
    fd = take_request(asked);
    wait_done(asked);
    assert_int_equal(asked->status, 0);
    close(fd);
}

static void test_nobody_listens(void **state)
{
    struct asked *asked = *state;

    close(asked->listening);
    asked->listening = -1;
    start(asked, 20000);
    wait_done(asked);
    assert_int_equal(asked->status, 0);
}

static void test_what_fails_at_once_is_reported_later(void **state)
{
    struct asked *asked = *state;

    asked->address.sin_family = AF_UNIX; /* too long for one */
    start(asked, 20000);
    wait_done(asked);
    assert_int_equal(asked->status, 0);
}

static void test_ended_before_it_is_done(void **state)
{
    struct asked *asked = *state;

    start(asked, 1);
    http_get_end(&asked->get);
    http_get_end(&asked->get);
    loop_iterate(asked->loop, 10);
    assert_int_equal(asked->done, 0);
}

static int setup(void **state)
{
    struct asked *asked = mem_zalloc(1, sizeof *asked);
    socklen_t len = sizeof asked->address;

    asked->loop = loop_create();
    asked->address.sin_family = AF_INET;
    asked->address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    asked->listening = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(asked->listening, (struct sockaddr *)&asked->address, len), 0);
    assert_int_equal(listen(asked->listening, 8), 0);
    assert_int_equal(getsockname(asked->listening, (struct sockaddr *)&asked->address, &len), 0);
    *state = asked;
    return 0;
}

static int teardown(void **state)
{
    struct asked *asked = *state;

    http_get_end(&asked->get);
    if (asked->listening >= 0) {
        close(asked->listening);
    }
    loop_destroy(&asked->loop);
    free(asked);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_answers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_an_answer_without_end, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_answer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nobody_listens, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_fails_at_once_is_reported_later, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ended_before_it_is_done, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
