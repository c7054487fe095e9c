/* pinger: pings of game servers, which are sockets of this test. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "client/pinger.h"
#include "codec/infostring.h"
#include "codec/q3master_client.h"
#include "patience.h"

/* A game server: one UDP socket that answers getinfo, except for the first `lose` requests. */
struct server {
    int fd;
    struct loop_io *io;
    struct address address;
    unsigned requests;
    unsigned lose; /* so many requests get no reply */
    bool forges;   /* answers with another challenge first */
};

static struct loop *loop;
static struct pinger *pinger;
static char replies_seen[4096];
static unsigned answers, timeouts;

static void on_answered(void *arg, const struct address *server, uint32_t microseconds,
                        struct bytes infostring)
{
    struct bytes name = {0};
    size_t len = strlen(replies_seen);
    (void)infostring_find(infostring, "hostname", &name);
    snprintf(replies_seen + len, sizeof replies_seen - len, "%u %.*s\n", server->port,
             (int)name.len, (const char *)name.data);
    assert_true(microseconds < patience_most_us());
    answers++;
}

static void on_ping_timed_out(void *arg, const struct address *server)
{
    timeouts++;
}

static const struct pinger_events events = {.answered = on_answered,
                                            .timed_out = on_ping_timed_out};

static void answer(struct server *server, const struct sockaddr_storage *to, socklen_t len,
                   struct bytes challenge)
{
    struct writer info = {0}, reply = {0};
    infostring_write(&info, BYTES_LITERAL("challenge"), challenge);
    infostring_write(&info, BYTES_LITERAL("hostname"), BYTES_LITERAL("here"));
    q3client_write_info_response(&reply, writer_bytes_written(&info));
    assert_true(sendto(server->fd, reply.data, reply.len, 0, (const struct sockaddr *)to, len) > 0);
    writer_free(&info);
    writer_free(&reply);
}

static void on_request(void *arg, unsigned ready)
{
    struct server *server = arg;
    uint8_t bytes[2048];
    struct sockaddr_storage from;
    socklen_t len = sizeof from;
    ssize_t n = recvfrom(server->fd, bytes, sizeof bytes, 0, (struct sockaddr *)&from, &len);
    assert_true(n > 0);
    struct q3client_packet packet = q3client_read((struct bytes){bytes, (size_t)n});
    assert_int_equal(packet.type, Q3CLIENT_GETINFO);
    server->requests++;
    if (server->forges) {
        answer(server, &from, len, BYTES_LITERAL("12345678"));
    }
    if (server->requests > server->lose) {
        answer(server, &from, len, packet.challenge);
    }
}

static void open_server(struct server *server, int family)
{
    struct sockaddr_storage storage = {.ss_family = (sa_family_t)family};
    socklen_t len = sizeof storage;
    *server = (struct server){.fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK, 0)};
    if (family == AF_INET) {
        ((struct sockaddr_in *)&storage)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    } else {
        ((struct sockaddr_in6 *)&storage)->sin6_addr = in6addr_loopback;
    }
    assert_int_equal(
        bind(server->fd, (struct sockaddr *)&storage,
             family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6)),
        0);
    assert_int_equal(getsockname(server->fd, (struct sockaddr *)&storage, &len), 0);
    address_from_sockaddr((struct sockaddr *)&storage, &server->address);
    server->io = loop_io_create(loop, server->fd, on_request, server);
    loop_io_set(server->io, LOOP_READ);
}

static void close_server(struct server *server)
{
    loop_io_destroy(&server->io);
    close(server->fd);
}

static void start(uint32_t timeout_ms, uint32_t attempts, uint32_t max_in_flight)
{
    struct pinger_options options = {.interval_ms = 1,
                                     .timeout_ms = timeout_ms,
                                     .attempts = attempts,
                                     .max_in_flight = max_in_flight};
    pinger = pinger_create(loop, &options, &events, NULL);
}

static void wait_for_all(void)
{
    struct patience patience = patience_begin();
    while (pinger_pending_count(pinger) > 0) {
        assert_false(patience_is_over(&patience));
        loop_iterate(loop, 100);
    }
}

static int set_up(void **state)
{
    loop = loop_create();
    replies_seen[0] = 0;
    answers = timeouts = 0;
    return 0;
}

static int tear_down(void **state)
{
    pinger_destroy(&pinger);
    loop_destroy(&loop);
    return 0;
}

static void servers_of_both_families_answer(void **state)
{
    struct server ipv4, ipv6;
    char expected[64];
    open_server(&ipv4, AF_INET);
    open_server(&ipv6, AF_INET6);
    start(20000, 1, 0);
    pinger_ping(pinger, &ipv4.address, PINGER_GETINFO);
    pinger_ping(pinger, &ipv4.address, PINGER_GETINFO); /* sent once */
    wait_for_all();
    pinger_ping(pinger, &ipv6.address, PINGER_GETINFO);
    wait_for_all();
    snprintf(expected, sizeof expected, "%u here\n%u here\n", ipv4.address.port, ipv6.address.port);
    assert_string_equal(replies_seen, expected);
    assert_int_equal(ipv4.requests, 1);
    close_server(&ipv4);
    close_server(&ipv6);
}

static void a_lost_request_is_sent_again(void **state)
{
    struct server server;
    open_server(&server, AF_INET);
    server.lose = 1;
    start(50, 3, 0);
    pinger_ping(pinger, &server.address, PINGER_GETINFO);
    wait_for_all();
    assert_int_equal(answers, 1);
    assert_true(server.requests >= 2);
    close_server(&server);
}

static void a_server_times_out_after_all_attempts(void **state)
{
    struct server server;
    open_server(&server, AF_INET);
    server.lose = 100;
    start(20, 2, 0);
    pinger_ping(pinger, &server.address, PINGER_GETINFO);
    wait_for_all();
    assert_int_equal(timeouts, 1);
    assert_int_equal(answers, 0);
    assert_int_equal(server.requests, 2);
    close_server(&server);
}

static void an_answer_with_another_challenge_does_not_count(void **state)
{
    struct server server;
    open_server(&server, AF_INET);
    server.forges = true;
    server.lose = 100;
    start(50, 1, 0);
    pinger_ping(pinger, &server.address, PINGER_GETINFO);
    wait_for_all();
    assert_int_equal(answers, 0);
    assert_int_equal(timeouts, 1);
    close_server(&server);
}

static void many_pings_are_rate_limited(void **state)
{
    enum { COUNT = 40 };
    struct server servers[COUNT];
    start(20000, 1, 4);
    for (int i = 0; i < COUNT; i++) {
        open_server(&servers[i], AF_INET);
        pinger_ping(pinger, &servers[i].address, PINGER_GETINFO);
    }
    assert_int_equal(pinger_pending_count(pinger), COUNT);
    wait_for_all();
    assert_int_equal(answers, COUNT);
    for (int i = 0; i < COUNT; i++) {
        close_server(&servers[i]);
    }
}

static void tcp_measures_the_time_to_connect(void **state)
{
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof name;
    struct address address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&name, sizeof name), 0);
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&name, &len), 0);
    address_from_sockaddr((struct sockaddr *)&name, &address);
    start(20000, 2, 0);
    pinger_ping(pinger, &address, PINGER_TCP);
    wait_for_all();
    assert_int_equal(answers, 1);
    close(fd); /* now the port refuses */
    pinger_ping(pinger, &address, PINGER_TCP);
    wait_for_all();
    assert_int_equal(timeouts, 1);
}

static void a_cancelled_ping_has_no_callback(void **state)
{
    struct server server, other;
    open_server(&server, AF_INET);
    open_server(&other, AF_INET);
    start(20000, 1, 1);
    pinger_ping(pinger, &server.address, PINGER_GETINFO);
    pinger_ping(pinger, &other.address, PINGER_GETINFO);
    pinger_cancel(pinger, &server.address);
    wait_for_all();
    assert_int_equal(answers, 1);
    assert_int_equal(server.requests, 0);
    pinger_cancel(pinger, &server.address);
    close_server(&server);
    close_server(&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(servers_of_both_families_answer, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_lost_request_is_sent_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_server_times_out_after_all_attempts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_answer_with_another_challenge_does_not_count, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(many_pings_are_rate_limited, set_up, tear_down),
        cmocka_unit_test_setup_teardown(tcp_measures_the_time_to_connect, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_cancelled_ping_has_no_callback, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
