/* udp_fixture: a UDP port that answers each datagram with what it was sent, and plain sockets. */
#ifndef TEST_UDP_FIXTURE_H
#define TEST_UDP_FIXTURE_H

#include "net/fixture.h"

#include "net/udp/udp_private.h"

struct echo {
    struct loop *loop;
    struct udp_settings settings;
    struct config *config;
    struct udp *udp;
    unsigned received;
    struct udp_path path; /* of the last one */
    struct writer input;
    bool silent;         /* it does not answer */
    unsigned destroy_at; /* it ends itself at this one; 0: never */
    struct frame *frame; /* answers by slices of it, instead of the same bytes */
};

static void on_datagram(void *arg, const struct udp_path *path, struct bytes bytes)
{
    struct echo *echo = arg;
    const struct frame_slice slices[] = {{0, 2}, {4, 2}, {2, 0}, {1, 1}};

    echo->received++;
    echo->path = *path;
    writer_bytes(&echo->input, bytes);
    if (!echo->silent && echo->frame) {
        udp_send_slices(echo->udp, path, echo->frame, slices, 4);
    } else if (!echo->silent) {
        udp_send(echo->udp, path, bytes);
    }
    if (echo->received == echo->destroy_at) {
        udp_destroy(&echo->udp);
    }
}

static int create(void **state)
{
    struct echo *echo = mem_zalloc(1, sizeof *echo);

    random_init();
    echo->loop = loop_create();
    echo->config = config_create();
    config_add(echo->config, &udp_config, &echo->settings);
    *state = echo;
    return 0;
}

static int destroy(void **state)
{
    struct echo *echo = *state;

    udp_destroy(&echo->udp);
    loop_iterate(echo->loop, 0);
    loop_destroy(&echo->loop);
    config_free_values(&udp_config, &echo->settings);
    config_destroy(&echo->config);
    writer_free(&echo->input);
    frame_unref(&echo->frame);
    free(echo);
    return 0;
}

static void open_at(struct echo *echo, const char *where, size_t max_size)
{
    char *error;

    echo->udp = udp_create(echo->loop, where, &echo->settings, max_size, on_datagram, echo, &error);
    if (!echo->udp) {
        fail_msg("%s", error);
    }
}

/* A client's socket, bound to the address, connected when to is given. */
static int client_at(const char *from, const char *to)
{
    struct sockaddr_storage name;
    socklen_t len = fixture_name(from, &name);
    int fd = socket(name.ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&name, len), 0);
    if (to) {
        len = fixture_name(to, &name);
        assert_int_equal(connect(fd, (struct sockaddr *)&name, len), 0);
    }
    return fd;
}

static void say(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), 0), (ssize_t)strlen(text));
}

/* Takes one answer, if there is one. A connected socket gets those from where it asked only. */
static bool receive_text(int fd, char text[64])
{
    const ssize_t n = recv(fd, text, 63, 0);

    if (n >= 0) {
        text[n] = '\0';
    }
    return n >= 0;
}

static void expect_answer(struct echo *echo, int fd, const char *expected)
{
    char text[64];

    WAIT_FOR(echo, receive_text(fd, text));
    assert_string_equal(text, expected);
}

static unsigned port_of(const struct echo *echo)
{
    const unsigned port = udp_address(echo->udp)->port;

    assert_true(port > 0);
    return port;
}

/* Listens at where; a client of that address asks at `ask`, and is answered from there. */
static void expect_service(struct echo *echo, const char *where, const char *from, const char *ask)
{
    char to[ADDRESS_TEXT_SIZE], text[ADDRESS_TEXT_SIZE];
    int fd;

    open_at(echo, where, 100);
    (void)snprintf(to, sizeof to, "%s:%u", ask, port_of(echo));
    fd = client_at(from, to);
    say(fd, "hello");
    expect_answer(echo, fd, "hello");
    assert_string_equal(address_format(&echo->path.local, text), to);
    assert_int_equal(echo->path.interface, 0);
    close(fd);
    udp_destroy(&echo->udp);
    assert_null(echo->udp);
}

#endif
