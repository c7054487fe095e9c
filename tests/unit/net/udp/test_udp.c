/*
 * net/udp on real sockets: where it listens, what it hands on, from where it answers, what it
 * drops, and who may end it when.
 */
#include "net/udp/udp_fixture.h"

#include <netinet/udp.h>

static void test_where(void **state)
{
    struct echo *echo = *state;

    expect_service(echo, "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1");
    expect_service(echo, "[::1]:0", "[::1]:0", "[::1]");
    expect_service(echo, "0.0.0.0:0", "127.0.0.1:0", "127.0.0.1");
    expect_service(echo, "[::]:0", "[::1]:0", "[::1]");
    expect_service(echo, "*:0", "[::1]:0", "[::1]");
    expect_service(echo, "*:0", "127.0.0.1:0", "127.0.0.1");
    /* The one of several addresses that was asked. */
    expect_service(echo, "0.0.0.0:0", "127.0.0.1:0", "127.7.7.7");
    expect_service(echo, "*:0", "127.0.0.1:0", "127.7.7.7");
    expect_service(echo, "*:0", "127.3.3.3:0", "127.0.0.1");
}

static void test_text(void **state)
{
    struct echo *echo = *state;
    char expected[64];

    open_at(echo, "127.0.0.1:0", 100);
    (void)snprintf(expected, sizeof expected, "127.0.0.1:%u", port_of(echo));
    assert_string_equal(udp_where(echo->udp), expected);
    udp_destroy(&echo->udp);
    open_at(echo, "[::1]:0", 100);
    (void)snprintf(expected, sizeof expected, "[::1]:%u", port_of(echo));
    assert_string_equal(udp_where(echo->udp), expected);
    udp_destroy(&echo->udp);
    open_at(echo, "*:0", 100);
    (void)snprintf(expected, sizeof expected, "*:%u", port_of(echo));
    assert_string_equal(udp_where(echo->udp), expected);
}

static void expect_error(struct echo *echo, const char *where, const char *part)
{
    char *error = NULL;

    assert_null(udp_create(echo->loop, where, &echo->settings, 100, on_datagram, echo, &error));
    assert_non_null(error);
    if (!strstr(error, part)) {
        fail_msg("%s: %s", where, error);
    }
    free(error);
}

static void test_bad_places(void **state)
{
    static const char *const bad[] = {"",      "x", "127.0.0.1", "127.0.0.1:x", "127.0.0.1:65536",
                                      "::1:5", "*", "**:5",      "unix:/x",     "localhost:5"};
    struct echo *echo = *state;
    char *error;

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        expect_error(echo, bad[i], "not ADDRESS:PORT");
        error = udp_check(bad[i]);
        assert_non_null(error);
        free(error);
    }
    assert_null(udp_check("*:5"));
    assert_null(udp_check("[::1]:5"));
    open_at(echo, "127.0.0.1:0", 100);
    expect_error(echo, udp_where(echo->udp), "in use");
    expect_error(echo, "203.0.113.7:0", "bind");
}

static void test_reuse_port(void **state)
{
    struct echo *echo = *state;
    struct udp *second;
    char *error = config_set(echo->config, "udp.reuse_port=true");

    assert_null(error);
    open_at(echo, "127.0.0.1:0", 100);
    second = udp_create(echo->loop, udp_where(echo->udp), &echo->settings, 100, on_datagram, echo,
                        &error);
    assert_non_null(second);
    udp_destroy(&second);
}

/* Datagrams in another worker's socket are received, too, and answered from the own one. */
static void test_adopted_socket(void **state)
{
    struct echo *echo = *state;
    char text[64], *where = NULL, *again = NULL,
                   *error = config_set(echo->config, "udp.reuse_port=true");
    int own, other, fds[20];

    assert_null(error);
    own = udp_open("127.0.0.1:0", &echo->settings, &where, &error);
    other = udp_open(where, &echo->settings, &again, &error);
    assert_true(own >= 0 && other >= 0);
    assert_string_equal(again, where);
    echo->udp = udp_inherit(echo->loop, where, own, &echo->settings, 100, on_datagram, echo);
    assert_string_equal(udp_where(echo->udp), where);
    for (unsigned i = 0; i < 20; i++) {
        fds[i] = client_at("127.0.0.1:0", where);
        say(fds[i], "x");
    }
    loop_iterate(echo->loop, 100);
    loop_iterate(echo->loop, 0);
    assert_in_range(echo->received, 1, 19);
    udp_adopt(echo->udp, dup(other), 2);
    WAIT_FOR(echo, echo->received == 20);
    for (unsigned i = 0; i < 20; i++) {
        WAIT_FOR(echo, receive_text(fds[i], text));
        close(fds[i]);
    }
    udp_release(echo->udp, 1);
    assert_false(list_is_empty(&echo->udp->adopted));
    udp_release(echo->udp, 2);
    assert_true(list_is_empty(&echo->udp->adopted));
    udp_adopt(echo->udp, other, 2); /* closed with the socket */
    free(where);
    free(again);
}

/* More than one batch, and more than one round: all are taken, in order, and all are answered. */
static void test_many(void **state)
{
    struct echo *echo = *state;
    const int64_t sent = metrics_get(METRIC_UDP_SENT);
    char text[64];
    unsigned answers = 0;
    int fd;

    echo->settings.batch = 4;
    echo->settings.rounds = 2;
    open_at(echo, "127.0.0.1:0", 100);
    fd = client_at("127.0.0.1:0", udp_where(echo->udp));
    for (unsigned i = 0; i < 50; i++) {
        (void)snprintf(text, sizeof text, "%02u,", i);
        say(fd, text);
    }
    loop_iterate(echo->loop, 1000);
    assert_int_equal(echo->received, 8); /* then others have their turn */
    while (answers < 50) {
        char expected[8];

        WAIT_FOR(echo, receive_text(fd, text));
        (void)snprintf(expected, sizeof expected, "%02u,", answers++);
        assert_string_equal(text, expected);
    }
    assert_int_equal(echo->received, 50);
    assert_int_equal(echo->input.len, 150);
    assert_int_equal(metrics_get(METRIC_UDP_SENT) - sent, 50);
    close(fd);
}

static void test_sizes(void **state)
{
    struct echo *echo = *state;
    const int64_t before = metrics_get(METRIC_UDP_DROPPED_SIZE);
    uint8_t bytes[64] = {0};
    int fd;

    open_at(echo, "127.0.0.1:0", 10);
    fd = client_at("127.0.0.1:0", udp_where(echo->udp));
    assert_int_equal(send(fd, bytes, 11, 0), 11);
    assert_int_equal(send(fd, bytes, 64, 0), 64);
    assert_int_equal(send(fd, bytes, 0, 0), 0);
    assert_int_equal(send(fd, bytes, 10, 0), 10);
    WAIT_FOR(echo, echo->received == 2);
    assert_int_equal(echo->input.len, 10);
    assert_int_equal(metrics_get(METRIC_UDP_DROPPED_SIZE) - before, 2);
    close(fd);
}

/* A datagram from port 0 comes from a raw socket only, which not everybody may open. */
static void test_source_port_zero(void **state)
{
    struct echo *echo = *state;
    const int64_t before = metrics_get(METRIC_UDP_DROPPED_SOURCE);
    const int raw = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_UDP);
    struct sockaddr_storage name;
    struct {
        struct udphdr header;
        char text[4];
    } packet = {.text = "bad"};
    socklen_t len;
    int fd;

    if (raw < 0) {
        assert_int_equal(errno, EPERM); /* then there is nothing to send one with */
        return;
    }
    open_at(echo, "127.0.0.1:0", 100);
    len = fixture_name(udp_where(echo->udp), &name);
    packet.header.uh_dport = htons(udp_address(echo->udp)->port);
    packet.header.uh_ulen = htons(sizeof packet);
    assert_int_equal(sendto(raw, &packet, sizeof packet, 0, (struct sockaddr *)&name, len),
                     sizeof packet);
    fd = client_at("127.0.0.1:0", udp_where(echo->udp));
    say(fd, "good");
    WAIT_FOR(echo, echo->received == 1);
    fixture_expect_text(&echo->input, "good");
    assert_int_equal(metrics_get(METRIC_UDP_DROPPED_SOURCE) - before, 1);
    close(fd);
    close(raw);
}

static void test_slices(void **state)
{
    struct echo *echo = *state;
    int fd;

    echo->frame = frame_create(BYTES_LITERAL("abcdef"));
    open_at(echo, "127.0.0.1:0", 100);
    fd = client_at("127.0.0.1:0", udp_where(echo->udp));
    say(fd, "?");
    say(fd, "?");
    expect_answer(echo, fd, "abefb");
    expect_answer(echo, fd, "abefb");
    assert_int_equal(echo->frame->references, 1);
    close(fd);
}

/* Whom nobody asked: the system chooses from where, and what cannot go is counted. */
static void test_unasked(void **state)
{
    struct echo *echo = *state;
    const int64_t failed = metrics_get(METRIC_UDP_DROPPED_FAILED);
    static const char *const unreachable[] = {"[::1]:9", "127.0.0.1:0", "255.255.255.255:9"};
    struct udp_path path = {0};
    struct sockaddr_storage name;
    socklen_t len = sizeof name;
    char text[ADDRESS_TEXT_SIZE];
    const int fd = client_at("127.0.0.1:0", NULL);

    open_at(echo, "0.0.0.0:0", 100);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&name, &len), 0);
    for (size_t i = 0; i < 3; i++) {
        assert_true(address_parse(unreachable[i], &path.peer));
        udp_send(echo->udp, &path, BYTES_LITERAL("lost"));
    }
    address_from_sockaddr((struct sockaddr *)&name, &path.peer);
    udp_send(echo->udp, &path, BYTES_LITERAL("hello"));
    udp_send(echo->udp, &path, BYTES_LITERAL(""));
    assert_false(receive_text(fd, text)); /* at the end of the iteration */
    expect_answer(echo, fd, "hello");
    expect_answer(echo, fd, "");
    assert_int_equal(metrics_get(METRIC_UDP_DROPPED_FAILED) - failed, 3);
    close(fd);
}

/* Bytes for more than the arena go out in between. */
static void test_large(void **state)
{
    struct echo *echo = *state;
    static uint8_t bytes[UDP_PAYLOAD_MAX + 1], got[UDP_PAYLOAD_MAX];
    const int64_t failed = metrics_get(METRIC_UDP_DROPPED_FAILED);
    struct udp_path path = {0};
    struct sockaddr_storage name;
    socklen_t len = sizeof name;
    const int fd = client_at("127.0.0.1:0", NULL);

    open_at(echo, "127.0.0.1:0", 100);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&name, &len), 0);
    address_from_sockaddr((struct sockaddr *)&name, &path.peer);
    for (unsigned i = 0; i < 2; i++) {
        memset(bytes, (int)('a' + i), sizeof bytes);
        udp_send(echo->udp, &path, (struct bytes){bytes, UDP_PAYLOAD_MAX});
    }
    udp_send(echo->udp, &path, (struct bytes){bytes, UDP_PAYLOAD_MAX + 1});
    for (unsigned i = 0; i < 2; i++) {
        ssize_t n;

        WAIT_FOR(echo, (n = recv(fd, got, sizeof got, 0)) >= 0);
        assert_int_equal(n, UDP_PAYLOAD_MAX);
        assert_int_equal(got[0], 'a' + i);
        assert_int_equal(got[n - 1], 'a' + i);
    }
    assert_int_equal(metrics_get(METRIC_UDP_DROPPED_FAILED) - failed, 1);
    close(fd);
}

struct way {
    const char *where, *peer, *local; /* local NULL: the system's choice */
    bool segments, refused;           /* refused: the kernel does not cut */
};

/* Sends datagrams of these sizes to two peers alternating after three, all from one iteration of
 * the loop. */
static void send_sizes(struct echo *echo, const struct way *way, const int *fds)
{
    static const size_t sizes[] = {5, 5, 5, 3, 5, 5, 7, 7, 0, 0, 2, 2, 2, 1, 1, 9, 8, 8};
    const int64_t sent = metrics_get(METRIC_UDP_SENT), out = metrics_get(METRIC_BYTES_OUT),
                  writes = metrics_get(METRIC_WRITES);
    struct frame *frame = frame_create(BYTES_LITERAL("0123456789"));
    struct udp_path path = {0};
    size_t next[2] = {0, 0}, total = 0;

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const struct frame_slice slices[] = {{0, 1}, {1, (uint32_t)sizes[i] - 1}};
        struct sockaddr_storage name;
        socklen_t len = sizeof name;

        assert_int_equal(getsockname(fds[i / 3 % 2], (struct sockaddr *)&name, &len), 0);
        address_from_sockaddr((struct sockaddr *)&name, &path.peer);
        if (way->local) {
            assert_true(address_parse_ip(way->local, &path.local));
        }
        if (i % 2 != 0 && sizes[i] > 0) {
            udp_send_slices(echo->udp, &path, frame, slices, 2);
        } else {
            udp_send(echo->udp, &path, (struct bytes){frame->data, sizes[i]});
        }
        total += sizes[i];
    }
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const size_t peer = i / 3 % 2;
        char text[64];

        WAIT_FOR(echo, receive_text(fds[peer], text));
        assert_int_equal(strlen(text), sizes[i]);
        assert_memory_equal(text, frame->data, sizes[i]);
        next[peer]++;
    }
    assert_int_equal(metrics_get(METRIC_UDP_SENT) - sent, next[0] + next[1]);
    assert_int_equal(metrics_get(METRIC_BYTES_OUT) - out, total);
    assert_int_equal(metrics_get(METRIC_WRITES) - writes > 1, way->refused);
    assert_int_equal(frame->references, 1);
    frame_unref(&frame);
}

/* Datagrams that follow one another to one peer arrive as they were sent, however they went. */
static void test_runs(void **state)
{
    static const struct way ways[] = {
        {"127.0.0.1:0", "127.0.0.1:0", NULL, true, false},
        {"127.0.0.1:0", "127.0.0.1:0", NULL, false, false},
        {"127.0.0.1:0", "127.0.0.1:0", NULL, true, true},
        {"0.0.0.0:0", "127.0.0.1:0", "127.7.7.7", true, false},
        {"0.0.0.0:0", "127.0.0.1:0", "127.7.7.7", true, true},
        {"*:0", "127.0.0.1:0", "127.7.7.7", true, false},
        {"*:0", "[::1]:0", "::1", true, false},
        {"[::1]:0", "[::1]:0", NULL, true, false},
    };
    struct echo *echo = *state;

    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        int fds[2] = {client_at(ways[i].peer, NULL), client_at(ways[i].peer, NULL)};
        int on = 1;

        echo->settings.segments = ways[i].segments;
        open_at(echo, ways[i].where, 100);
        if (!ways[i].segments) {
            assert_false(echo->udp->segments);
        }
        if (ways[i].refused) { /* the kernel cuts only what it computes checksums for */
            assert_int_equal(setsockopt(echo->udp->own.fd, SOL_SOCKET, SO_NO_CHECK, &on, sizeof on),
                             0);
        }
        send_sizes(echo, &ways[i], fds);
        udp_destroy(&echo->udp);
        close(fds[0]);
        close(fds[1]);
    }
}

/* More in a run than the kernel takes, and more than a batch. */
static void test_long_run(void **state)
{
    struct echo *echo = *state;
    struct udp_path path = {0};
    struct sockaddr_storage name;
    socklen_t len = sizeof name;
    const int fd = client_at("127.0.0.1:0", NULL);
    char text[64], expected[16];

    echo->settings.batch = 200;
    open_at(echo, "127.0.0.1:0", 100);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&name, &len), 0);
    address_from_sockaddr((struct sockaddr *)&name, &path.peer);
    for (unsigned i = 0; i < 250; i++) {
        (void)snprintf(expected, sizeof expected, "%03u", i);
        udp_send(echo->udp, &path, bytes_from_string(expected));
    }
    for (unsigned i = 0; i < 250; i++) {
        (void)snprintf(expected, sizeof expected, "%03u", i);
        WAIT_FOR(echo, receive_text(fd, text));
        assert_string_equal(text, expected);
    }
    close(fd);
}

/* The receiver's callback ends the socket in the middle of a batch: what it sent still goes. */
static void test_destroyed_within(void **state)
{
    struct echo *echo = *state;
    char text[64];
    int fd;

    echo->destroy_at = 2;
    open_at(echo, "127.0.0.1:0", 100);
    fd = client_at("127.0.0.1:0", udp_where(echo->udp));
    say(fd, "one");
    say(fd, "two");
    say(fd, "three");
    expect_answer(echo, fd, "one");
    expect_answer(echo, fd, "two");
    loop_iterate(echo->loop, 0);
    assert_int_equal(echo->received, 2);
    assert_null(echo->udp);
    assert_false(receive_text(fd, text));
    close(fd);
}

/* What does not fit the kernel's buffer while nobody takes it is counted by the kernel. */
static void test_receive_buffer(void **state)
{
    struct echo *echo = *state;
    const int64_t before = metrics_get(METRIC_UDP_DROPPED_KERNEL);
    static const uint8_t bytes[1000];
    int64_t dropped;
    int fd;

    echo->silent = true;
    echo->settings.receive_buffer = 4096;
    open_at(echo, "127.0.0.1:0", 1000);
    fd = client_at("127.0.0.1:0", udp_where(echo->udp));
    for (unsigned i = 0; i < 100; i++) {
        assert_int_equal(send(fd, bytes, sizeof bytes, 0), sizeof bytes);
    }
    WAIT_FOR(echo, echo->received > 0);
    /* The kernel reports the count with the next one that it receives. */
    WAIT_FOR(echo, (say(fd, "x"), loop_iterate(echo->loop, 10),
                    metrics_get(METRIC_UDP_DROPPED_KERNEL) > before));
    dropped = metrics_get(METRIC_UDP_DROPPED_KERNEL) - before;
    assert_true(dropped >= 50 && dropped < 100);
    close(fd);
}

#define UDP_TEST(name) cmocka_unit_test_setup_teardown(name, create, destroy)

int main(void)
{
    const struct CMUnitTest tests[] = {
        UDP_TEST(test_where),          UDP_TEST(test_text),
        UDP_TEST(test_bad_places),     UDP_TEST(test_reuse_port),
        UDP_TEST(test_adopted_socket), UDP_TEST(test_many),
        UDP_TEST(test_sizes),          UDP_TEST(test_source_port_zero),
        UDP_TEST(test_slices),         UDP_TEST(test_unasked),
        UDP_TEST(test_large),          UDP_TEST(test_runs),
        UDP_TEST(test_long_run),       UDP_TEST(test_destroyed_within),
        UDP_TEST(test_receive_buffer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
