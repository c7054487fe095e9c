/*
 * Peers that no redis-server of today is: too old, not Redis at all, closing in the middle. A
 * listening socket of the test plays them, byte by byte; and TCP, by address and by name.
 */
#include "redis/redis_fixture.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>

/* Says its lines to every connection, when something has come from it, and then closes or waits. */
struct peer {
    struct loop *loop;
    int listener;
    int connection;
    struct loop_io *accepting, *reading;
    const char *says;
    bool closes, at_once;
    unsigned accepted;
    uint16_t port;
};

static void hang_up(struct peer *peer)
{
    if (peer->connection >= 0) {
        loop_io_destroy(&peer->reading);
        close(peer->connection);
        peer->connection = -1;
    }
}

static void say(struct peer *peer)
{
    (void)!send(peer->connection, peer->says, strlen(peer->says), MSG_NOSIGNAL);
    if (peer->closes) {
        hang_up(peer);
    }
}

static void on_readable(void *arg, unsigned events)
{
    struct peer *peer = arg;
    char buffer[4096];

    if (recv(peer->connection, buffer, sizeof buffer, MSG_DONTWAIT) <= 0) {
        hang_up(peer);
    } else if (!peer->at_once) {
        say(peer);
    }
}

static void on_acceptable(void *arg, unsigned events)
{
    struct peer *peer = arg;

    hang_up(peer);
    peer->connection = accept4(peer->listener, NULL, NULL, SOCK_CLOEXEC);
    assert_true(peer->connection >= 0);
    peer->accepted++;
    peer->reading = loop_io_create(peer->loop, peer->connection, on_readable, peer);
    loop_io_set(peer->reading, LOOP_READ);
    if (peer->at_once) {
        say(peer);
    }
}

static void peer_create(struct peer *peer, struct loop *loop, int family)
{
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = family == AF_INET6 ? sizeof six : sizeof four;
    struct sockaddr *address =
        family == AF_INET6 ? (struct sockaddr *)&six : (struct sockaddr *)&four;

    peer->loop = loop;
    peer->connection = -1;
    peer->listener = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(peer->listener, address, len), 0);
    assert_int_equal(listen(peer->listener, 16), 0);
    assert_int_equal(getsockname(peer->listener, address, &len), 0);
    peer->port = ntohs(family == AF_INET6 ? six.sin6_port : four.sin_port);
    peer->accepting = loop_io_create(loop, peer->listener, on_acceptable, peer);
    loop_io_set(peer->accepting, LOOP_READ);
}

static void peer_destroy(struct peer *peer)
{
    hang_up(peer);
    loop_io_destroy(&peer->accepting);
    close(peer->listener);
}

static void use_port(struct world *world, const char *host, uint16_t port)
{
    char *url = mem_format("redis://%s:%u", host, port);

    redis_target_free(&world->target);
    assert_null(redis_target_parse(url, &world->target));
    free(url);
}

#define RUN_ID "run_id:0123456789012345678901234567890123456789\r\n"

/* What comes after +OK for CLIENT SETNAME: INFO as a bulk string, or bytes as they are. */
static const struct unfit {
    const char *info;
    const char *says;
    const char *why;
} unfits[] = {
    {"# Server\r\nredis_version:6.2.14\r\n" RUN_ID, NULL, "6.2.14 is too old"},
    {"redis_version:2.8.24\r\n", NULL, "2.8.24 is too old"},
    {"redis_version:x.y\r\n", NULL, "too old"},
    {"redis_version:\r\n", NULL, "too old"},
    {"redis_version", NULL, "too old"},
    {"old_redis_version:7.0.1\r\n", NULL, "too old"},
    {"\r\n\n\r\n", NULL, "too old"},
    {"", NULL, "too old"},
    {NULL, ":1\r\n", "too old"},
    {NULL, "*0\r\n", "too old"},
    {NULL, "$-1\r\n", "too old"},
    {"redis_version:7.2.5\r\n", NULL, "no run_id"},
    {"redis_version:7.2.5\r\nrun_id:abcdef\r\n", NULL, "no run_id"},
    {NULL, "-DENIED Redis is running in protected mode\r\n", "DENIED"},
    {NULL, "-ERR unknown command 'INFO'\r\n", "INFO server was refused: ERR unknown"},
};

#define READY   "redis_version:7.2.5\r\n" RUN_ID
#define INFO_OK "$70\r\n" READY "\r\n"

/* A whole handshake: the replies to CLIENT SETNAME, INFO server, INFO memory and PING. */
static const char *const do_without[] = {
    "-ERR unknown command 'CLIENT', with args beginning with: 'SETNAME'\r\n" INFO_OK INFO_OK
    "+PONG\r\n",
    "-ERR unknown subcommand 'SETNAME'. Try CLIENT HELP.\r\n" INFO_OK INFO_OK "+PONG\r\n",
    "-ERR unsupported command 'CLIENT'\r\n" INFO_OK INFO_OK "+PONG\r\n",
    "-ERR command is not available on this plan\r\n" INFO_OK INFO_OK "+PONG\r\n",
    "-NOPERM this user has no permissions\r\n" INFO_OK INFO_OK "+PONG\r\n",
    "+OK\r\n" INFO_OK "-ERR unknown section\r\n+PONG\r\n",
    "+OK\r\n" INFO_OK INFO_OK "-ERR unknown command 'PING'\r\n",
    "-NOPERM no CLIENT\r\n" INFO_OK "-NOPERM no INFO\r\n-NOPERM no PING\r\n",
};

/* What is optional may be missing in any way. */
static void test_optional_commands(void **state)
{
    assert_int_equal(strlen(READY), 70);
    for (size_t i = 0; i < sizeof do_without / sizeof *do_without; i++) {
        struct world world;
        struct peer peer = {0};

        world_create(&world, "redis://x");
        peer_create(&peer, world.loop, AF_INET);
        peer.says = do_without[i];
        use_port(&world, "127.0.0.1", peer.port);
        world_link(&world);
        WAIT_FOR(world.loop, world.ups + world.unfits + world.downs > 0);
        if (world.unfits > 0) {
            fail_msg("%s: %s", do_without[i], world.why);
        }
        assert_int_equal(world.ups, 1);
        peer_destroy(&peer);
        world_destroy(&world);
    }
}

/* A refusal of everything, first word of a connection, is no missing CLIENT. */
static void test_denied(void **state)
{
    struct world world;
    struct peer peer = {0};

    world_create(&world, "redis://x");
    peer_create(&peer, world.loop, AF_INET);
    peer.says = "-DENIED Redis is running in protected mode\r\n";
    use_port(&world, "127.0.0.1", peer.port);
    world_link(&world);
    WAIT_FOR(world.loop, world.unfits > 0);
    assert_non_null(strstr(world.why, "DENIED"));
    assert_int_equal(world.ups, 0);
    peer_destroy(&peer);
    world_destroy(&world);
}

static void test_unfit(void **state)
{
    for (size_t i = 0; i < sizeof unfits / sizeof *unfits; i++) {
        const struct unfit *unfit = &unfits[i];
        struct world world;
        struct peer peer = {0};
        char *says = unfit->info
                         ? mem_format("+OK\r\n$%zu\r\n%s\r\n", strlen(unfit->info), unfit->info)
                         : mem_format("+OK\r\n%s", unfit->says);

        world_create(&world, "redis://x");
        peer_create(&peer, world.loop, AF_INET);
        peer.says = says;
        use_port(&world, "127.0.0.1", peer.port);
        world_link(&world);
        WAIT_FOR(world.loop, world.unfits > 0);
        if (!strstr(world.why, unfit->why)) {
            fail_msg("%s: %s", says, world.why);
        }
        WAIT_FOR(world.loop, peer.accepted >= 3); /* it goes on trying */
        assert_int_equal(world.unfits, 1);
        assert_int_equal(world.ups + world.downs, 0);
        peer_destroy(&peer);
        world_destroy(&world);
        free(says);
    }
}

/* Valkey says a redis_version of 7.2 for compatibility. */
static void test_fit(void **state)
{
    static const char *const versions[] = {"redis_version:7.0.0\r\n", "redis_version:10.1\r\n",
                                           "redis_version:7.2.4\r\nvalkey_version:8.0.1\r\n"};

    for (size_t i = 0; i < 3; i++) {
        struct world world;
        struct peer peer = {0};
        char *info = mem_format("# Server\r\n%s" RUN_ID, versions[i]);
        char *says = mem_format("+OK\r\n$%zu\r\n%s\r\n$0\r\n\r\n+PONG\r\n", strlen(info), info);

        world_create(&world, "redis://x");
        peer_create(&peer, world.loop, AF_INET);
        peer.says = says;
        use_port(&world, "127.0.0.1", peer.port);
        world_link_up(&world);
        assert_string_equal(world.run_id, "0123456789012345678901234567890123456789");
        peer_destroy(&peer);
        world_destroy(&world);
        free(info);
        free(says);
    }
}

/* What is no RESP2, comes unasked or ends early ends the connection; the link tries again, and
 * calls nobody. */
static void test_nonsense(void **state)
{
    static const struct {
        const char *says;
        bool closes, at_once;
    } cases[] = {
        {"HTTP/1.1 400 Bad Request\r\n\r\n", true, false},
        {"SSH-2.0-OpenSSH_9.2\r\n", false, true},
        {"+OK\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n", false, false},
        {"+OK\r\n$100\r\nhalf", true, false},
        {"", true, false},
        {"", true, true},
        {"+OK\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n", false, false},
        {"+OK\r\n$9223372036854775808\r\n", false, false},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct world world;
        struct peer peer = {
            .says = cases[i].says, .closes = cases[i].closes, .at_once = cases[i].at_once};

        world_create(&world, "redis://x");
        peer_create(&peer, world.loop, AF_INET);
        use_port(&world, "127.0.0.1", peer.port);
        world_link(&world);
        WAIT_FOR(world.loop, peer.accepted >= 4);
        assert_int_equal(world.ups + world.downs, 0);
        peer_destroy(&peer);
        world_destroy(&world);
    }
}

/* Says nothing: the handshake's time-out. Does not accept either: that of connecting is the same.
 */
static void test_silent(void **state)
{
    struct world world;
    struct peer peer = {.says = ""};

    world_create(&world, "redis://x");
    world_set(&world, "redis.connect_timeout=50ms");
    peer_create(&peer, world.loop, AF_INET);
    use_port(&world, "127.0.0.1", peer.port);
    world_link(&world);
    WAIT_FOR(world.loop, peer.accepted >= 3);
    assert_int_equal(world.ups, 0);
    peer_destroy(&peer);
    world_destroy(&world);
}

/* A reply over the limit ends the connection before it is all there. */
static void test_max_reply(void **state)
{
    struct world world;
    struct peer peer = {0};
    char *says = mem_alloc(200001);

    memset(says, 'x', 200000);
    memcpy(says, "$190000\r\n", 9);
    says[200000] = '\0';
    world_create(&world, "redis://x");
    world_set(&world, "redis.max_reply=64KiB");
    peer_create(&peer, world.loop, AF_INET);
    peer.says = says;
    use_port(&world, "127.0.0.1", peer.port);
    world_link(&world);
    WAIT_FOR(world.loop, peer.accepted >= 3);
    assert_int_equal(world.ups, 0);
    peer_destroy(&peer);
    world_destroy(&world);
    free(says);
}

/* A free TCP port for a real server: it is ours until the server binds it. */
static void tcp_server(struct server *server, char *port)
{
    struct loop *loop = loop_create();
    struct peer peer = {0};
    const char *arguments[] = {"--port", port, "--bind", "127.0.0.1", "-::1", NULL};

    peer_create(&peer, loop, AF_INET);
    (void)sprintf(port, "%u", peer.port);
    peer_destroy(&peer);
    loop_destroy(&loop);
    server_start(server, arguments);
}

static void test_tcp(void **state)
{
    static const char *const hosts[] = {"127.0.0.1", "[::1]", "localhost"};
    struct server server;
    char port[16];

    tcp_server(&server, port);
    for (size_t i = 0; i < 3; i++) {
        struct world world;
        struct seen seen = {0};

        world_create(&world, "redis://x");
        use_port(&world, hosts[i], (uint16_t)atoi(port));
        world_link_up(&world);
        redis_command_strings(world.link, seen_record, &seen, "CLIENT", "INFO", NULL);
        WAIT_FOR(world.loop, seen.called == 1);
        assert_non_null(strstr(seen.text, i == 1 ? "addr=[::1]:" : ":"));
        world_destroy(&world);
    }
    server_stop(&server);
}

static bool localhost_has(int family)
{
    const struct addrinfo hints = {.ai_family = family, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    bool has = getaddrinfo("localhost", NULL, &hints, &found) == 0;

    if (found) {
        freeaddrinfo(found);
    }
    return has;
}

/* A name's addresses, of which at most one has a listener: the next is tried at once. (Where the
 * name has only one, there is less to see.) */
static void test_next_address(void **state)
{
    static const int families[] = {AF_INET, AF_INET6};

    for (size_t i = 0; i < 2; i++) {
        struct world world;
        struct peer peer = {.says = "+OK\r\n"};

        if (!localhost_has(families[i])) {
            continue;
        }
        world_create(&world, "redis://x");
        peer_create(&peer, world.loop, families[i]);
        use_port(&world, "localhost", peer.port);
        world_link(&world);
        WAIT_FOR(world.loop, peer.accepted >= 1);
        peer_destroy(&peer);
        world_destroy(&world);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unfit),        cmocka_unit_test(test_optional_commands),
        cmocka_unit_test(test_denied),       cmocka_unit_test(test_fit),
        cmocka_unit_test(test_nonsense),     cmocka_unit_test(test_silent),
        cmocka_unit_test(test_max_reply),    cmocka_unit_test(test_tcp),
        cmocka_unit_test(test_next_address),
    };

    return cmocka_run_group_tests(tests, fixture_init, NULL);
}
