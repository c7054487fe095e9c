/*
 * From a name to a connected socket: this program has a getaddrinfo of its own. "two" has the
 * addresses 127.0.0.2 and 127.0.0.1, "hangs" is never found, "nowhere" is not known.
 */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "loop/loop.h"
#include "patience.h"
#include "stream/connector.h"
#include "tls/tls.h"

static atomic_bool hangs;

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                struct addrinfo **found)
{
    if ((hints->ai_flags & AI_NUMERICHOST) != 0) {
        struct sockaddr_in *address = mem_zalloc(1, sizeof *address);

        if (strcmp(node, "127.0.0.1") != 0) {
            free(address);
            return EAI_NONAME;
        }
        address->sin_family = AF_INET;
        address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        *found = mem_zalloc(1, sizeof **found);
        (*found)->ai_addr = (struct sockaddr *)address;
        (*found)->ai_addrlen = sizeof *address;
        return 0;
    }
    while (strcmp(node, "hangs") == 0 && atomic_load(&hangs)) {
        (void)poll(NULL, 0, 1);
    }
    if (strcmp(node, "two") != 0) {
        return EAI_NONAME;
    }
    *found = NULL;
    for (unsigned i = 0; i < 2; i++) {
        struct addrinfo *one = mem_zalloc(1, sizeof *one);
        struct sockaddr_in *address = mem_zalloc(1, sizeof *address);

        address->sin_family = AF_INET;
        address->sin_addr.s_addr = htonl(INADDR_LOOPBACK + i);
        one->ai_addr = (struct sockaddr *)address;
        one->ai_addrlen = sizeof *address;
        one->ai_next = *found;
        *found = one;
    }
    return 0;
}

void freeaddrinfo(struct addrinfo *found)
{
    while (found) {
        struct addrinfo *next = found->ai_next;

        free(found->ai_addr);
        free(found);
        found = next;
    }
}

/* What has become of an attempt. */
struct attempt {
    struct loop *loop;
    int listener;
    uint16_t port;
    struct stream_connector *connector;
    struct stream_socket *socket;
    unsigned connected, failed;
    struct stream_failure failure;
    char reason[160];
    bool is_starting; /* nothing may be called before the start has returned */
    bool destroys;    /* the connector, in its event */
};

static void on_connected(void *arg, struct stream_socket *socket)
{
    struct attempt *attempt = arg;

    assert_false(attempt->is_starting);
    attempt->connected++;
    attempt->socket = socket;
    if (attempt->destroys) {
        stream_connector_destroy(&attempt->connector);
    }
}

static void on_failed(void *arg, const struct stream_failure *failure)
{
    struct attempt *attempt = arg;

    assert_false(attempt->is_starting);
    attempt->failed++;
    attempt->failure = *failure;
    (void)snprintf(attempt->reason, sizeof attempt->reason, "%s", failure->reason);
    if (attempt->destroys) {
        stream_connector_destroy(&attempt->connector);
    }
}

static const struct stream_connector_events attempt_events = {.connected = on_connected,
                                                              .failed = on_failed};

#define WAIT_UNTIL(attempt, condition)                                                             \
    do {                                                                                           \
        struct patience patience_ = patience_begin();                                              \
        while (!(condition)) {                                                                     \
            if (patience_is_over(&patience_)) {                                                    \
                fail_msg("waited in vain for %s; failed %u: %s", #condition, (attempt)->failed,    \
                         (attempt)->reason);                                                       \
            }                                                                                      \
            loop_iterate((attempt)->loop, 10);                                                     \
        }                                                                                          \
    } while (0)

static void begin(struct attempt *attempt, struct stream_request request)
{
    if (request.host && request.port == 0) {
        request.port = attempt->port;
    }
    attempt->is_starting = true;
    attempt->connector = stream_connector_start(attempt->loop, &request, &attempt_events, attempt);
    attempt->is_starting = false;
}

/* A listener at an address of 127.0.0.0/8, or at all. Who connects waits in its backlog. */
static int setup_at(void **state, uint32_t address)
{
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(address)};
    socklen_t len = sizeof name;
    struct attempt *attempt = mem_zalloc(1, sizeof *attempt);

    (void)signal(SIGPIPE, SIG_IGN);
    atomic_store(&hangs, true);
    attempt->loop = loop_create();
    attempt->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(attempt->listener, (struct sockaddr *)&name, len), 0);
    assert_int_equal(listen(attempt->listener, 16), 0);
    assert_int_equal(getsockname(attempt->listener, (struct sockaddr *)&name, &len), 0);
    attempt->port = ntohs(name.sin_port);
    *state = attempt;
    return 0;
}

static int setup(void **state)
{
    return setup_at(state, INADDR_LOOPBACK);
}

static int setup_everywhere(void **state)
{
    return setup_at(state, INADDR_ANY);
}

static int teardown(void **state)
{
    struct attempt *attempt = *state;

    atomic_store(&hangs, false);
    stream_socket_close(&attempt->socket, true);
    stream_connector_destroy(&attempt->connector);
    close(attempt->listener);
    loop_destroy(&attempt->loop);
    free(attempt);
    return 0;
}

/* Where a connection that waits came from and went to; both 0 when none waits. */
static void next_connection(const struct attempt *attempt, struct sockaddr_in *from,
                            struct sockaddr_in *to)
{
    socklen_t len = sizeof *from;
    int fd = accept(attempt->listener, (struct sockaddr *)from, &len);

    if (fd < 0) {
        *from = *to = (struct sockaddr_in){0};
        return;
    }
    len = sizeof *to;
    assert_int_equal(getsockname(fd, (struct sockaddr *)to, &len), 0);
    close(fd);
}

static uint32_t connected_address(const struct attempt *attempt)
{
    const struct stream_address *to = stream_connector_address(attempt->connector);

    return ntohl(((const struct sockaddr_in *)&to->storage)->sin_addr.s_addr);
}

static void test_a_numeric_address_and_a_source(void **state)
{
    struct attempt *attempt = *state;
    struct sockaddr_in from, to;
    struct address source;

    assert_true(address_parse_ip("127.0.0.9", &source));
    source.port = 1; /* not looked at */
    begin(attempt, (struct stream_request){.host = "127.0.0.1", .source = &source});
    WAIT_UNTIL(attempt, attempt->connected == 1);
    next_connection(attempt, &from, &to);
    assert_int_equal(ntohl(from.sin_addr.s_addr), 0x7f000009);
    assert_int_not_equal(ntohs(from.sin_port), 1);
}

static void test_the_next_address_when_one_refuses(void **state)
{
    struct attempt *attempt = *state;

    begin(attempt, (struct stream_request){.host = "two"});
    WAIT_UNTIL(attempt, attempt->connected == 1);
    assert_int_equal(attempt->failed, 0);
    assert_int_equal(connected_address(attempt), INADDR_LOOPBACK);
    assert_false(stream_connector_has_more(attempt->connector));
}

static void test_one_address_each_attempt(void **state)
{
    struct attempt *attempt = *state;

    for (unsigned i = 0; i < 4; i++) {
        begin(attempt, (struct stream_request){.host = "two", .one_address = true, .attempt = i});
        WAIT_UNTIL(attempt, attempt->connected + attempt->failed == i + 1);
        assert_int_equal(attempt->connected, (i + 1) / 2);
        stream_socket_close(&attempt->socket, true);
        stream_connector_destroy(&attempt->connector);
    }
    assert_int_equal(attempt->failure.step, STREAM_CONNECTS);
    assert_string_equal(attempt->reason, strerror(ECONNREFUSED));
}

/* One that was connected to did not do. */
static void test_going_on_with_the_next_address(void **state)
{
    struct attempt *attempt = *state;

    begin(attempt, (struct stream_request){.host = "two"});
    WAIT_UNTIL(attempt, attempt->connected == 1);
    assert_int_equal(connected_address(attempt), INADDR_LOOPBACK + 1);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(stream_connector_has_more(attempt->connector), i == 0);
        stream_socket_close(&attempt->socket, true);
        attempt->is_starting = true;
        stream_connector_continue(attempt->connector);
        attempt->is_starting = false;
        WAIT_UNTIL(attempt, attempt->connected + attempt->failed == i + 2);
    }
    assert_int_equal(attempt->connected, 2);
    assert_int_equal(attempt->failed, 1);
    assert_string_equal(attempt->reason, "no other address");
}

/* What was connected to was the only one: there is a reason, though nothing has failed before. */
static void test_going_on_without_another_address(void **state)
{
    struct attempt *attempt = *state;

    begin(attempt, (struct stream_request){.host = "two", .one_address = true, .attempt = 1});
    WAIT_UNTIL(attempt, attempt->connected == 1);
    stream_socket_close(&attempt->socket, true);
    stream_connector_continue(attempt->connector);
    WAIT_UNTIL(attempt, attempt->failed == 1);
    assert_string_equal(attempt->reason, "no other address");
}

static void test_unix_sockets(void **state)
{
    struct attempt *attempt = *state;
    char folder[] = "/tmp/tracker-connector-XXXXXX", path[64], far[200];
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof path, "%s/socket", folder);
    begin(attempt, (struct stream_request){.path = path});
    WAIT_UNTIL(attempt, attempt->failed == 1);
    assert_string_equal(attempt->reason, strerror(ENOENT));
    stream_connector_destroy(&attempt->connector);

    memset(far, 'x', sizeof far - 1);
    far[sizeof far - 1] = '\0';
    begin(attempt, (struct stream_request){.path = far});
    WAIT_UNTIL(attempt, attempt->failed == 2);
    assert_string_equal(attempt->reason, strerror(ENAMETOOLONG));
    stream_connector_destroy(&attempt->connector);

    memcpy(name.sun_path, path, strlen(path) + 1);
    assert_int_equal(bind(listener, (struct sockaddr *)&name, sizeof name), 0);
    assert_int_equal(listen(listener, 1), 0);
    begin(attempt, (struct stream_request){.path = path});
    WAIT_UNTIL(attempt, attempt->connected == 1);
    close(listener);
    assert_int_equal(unlink(path) + rmdir(folder), 0);
}

static void test_names_that_are_not_found(void **state)
{
    struct attempt *attempt = *state;

    begin(attempt, (struct stream_request){.host = "nowhere"});
    WAIT_UNTIL(attempt, attempt->failed == 1);
    assert_int_equal(attempt->failure.step, STREAM_RESOLVES);
    assert_false(attempt->failure.timed_out);
    assert_string_equal(attempt->reason, gai_strerror(EAI_NONAME));
    stream_connector_destroy(&attempt->connector);
    for (unsigned i = 0; i < 2; i++) {
        begin(attempt, (struct stream_request){.host = "hangs",
                                               .step_ms = i == 0 ? 10 : 0,
                                               .total_ms = i == 1 ? 10 : 0});
        WAIT_UNTIL(attempt, attempt->failed == i + 2);
        assert_int_equal(attempt->failure.step, STREAM_RESOLVES);
        assert_true(attempt->failure.timed_out);
        stream_connector_destroy(&attempt->connector);
    }
}

/* Both listeners take the connection, and say nothing to the TLS handshake. The bound of a step
 * lets both be tried; that of the whole does not. */
static void test_bounds_of_the_step_and_of_the_whole(void **state)
{
    struct attempt *attempt = *state;
    char *error = NULL;
    struct tls_context *tls = tls_client_context_create(NULL, NULL, NULL, false, &error);

    assert_non_null(tls);
    for (unsigned i = 0; i < 2; i++) {
        struct sockaddr_in from, to;

        begin(attempt, (struct stream_request){
                           .host = "two", .tls = tls, .step_ms = 30, .total_ms = i == 1 ? 20 : 0});
        WAIT_UNTIL(attempt, attempt->failed == i + 1);
        assert_true(attempt->failure.timed_out);
        assert_false(attempt->failure.tls_failed);
        assert_int_equal(attempt->failure.step, STREAM_CONNECTS);
        stream_connector_destroy(&attempt->connector);
        next_connection(attempt, &from, &to);
        assert_int_equal(ntohl(to.sin_addr.s_addr), INADDR_LOOPBACK + 1);
        next_connection(attempt, &from, &to);
        assert_int_equal(ntohl(to.sin_addr.s_addr), i == 0 ? INADDR_LOOPBACK : 0);
    }
    tls_context_unref(&tls);
}

static void test_a_connector_may_go_in_its_events_and_before(void **state)
{
    struct attempt *attempt = *state;

    attempt->destroys = true;
    begin(attempt, (struct stream_request){.host = "two"});
    WAIT_UNTIL(attempt, attempt->connected == 1);
    assert_null(attempt->connector);
    begin(attempt, (struct stream_request){.host = "nowhere"});
    WAIT_UNTIL(attempt, attempt->failed == 1);
    begin(attempt, (struct stream_request){.path = "/nowhere"});
    WAIT_UNTIL(attempt, attempt->failed == 2);
    begin(attempt, (struct stream_request){.host = "hangs", .total_ms = 10});
    WAIT_UNTIL(attempt, attempt->failed == 3);
    assert_null(attempt->connector);
    static const char *const hosts[] = {"two", "nowhere", "hangs", "127.0.0.1"};
    for (unsigned i = 0; i < 4; i++) {
        begin(attempt, (struct stream_request){.host = hosts[i], .total_ms = 1});
        stream_connector_destroy(&attempt->connector);
    }
    for (unsigned i = 0; i < 10; i++) {
        loop_iterate(attempt->loop, 1);
    }
    assert_int_equal(attempt->connected + attempt->failed, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_numeric_address_and_a_source, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_next_address_when_one_refuses, setup, teardown),
        cmocka_unit_test_setup_teardown(test_one_address_each_attempt, setup, teardown),
        cmocka_unit_test_setup_teardown(test_going_on_with_the_next_address, setup_everywhere,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_going_on_without_another_address, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unix_sockets, setup, teardown),
        cmocka_unit_test_setup_teardown(test_names_that_are_not_found, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bounds_of_the_step_and_of_the_whole, setup_everywhere,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_connector_may_go_in_its_events_and_before, setup,
                                        teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
