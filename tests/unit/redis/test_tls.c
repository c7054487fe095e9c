/* Links over TLS to a real redis-server: verification, client certificates, much data, losses. */
#include "redis/redis_fixture.h"

#include <arpa/inet.h>
#include <netinet/in.h>

static struct server server;
static char tls_port[16], plain_port[16];

/* A certificate for subject, which signs itself. */
static void make_certificate(const char *name, const char *subject, const char *alternatives)
{
    char *command =
        mem_format("cd %s && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 "
                   "-nodes -days 2 -subj /CN=%s -addext subjectAltName=%s -keyout %s.key -out "
                   "%s.crt >openssl.log 2>&1",
                   server.directory, subject, alternatives, name, name);

    assert_int_equal(system(command), 0);
    free(command);
}

/* A free port: ours until the server binds it. */
static void find_port(char *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    (void)sprintf(port, "%u", ntohs(address.sin_port));
    close(fd);
}

/* The server requires a certificate of its clients, signed by the one authority it knows: theirs.
 */
static int start(void **state)
{
    const char *arguments[] = {"--port",
                               plain_port,
                               "--tls-port",
                               tls_port,
                               "--bind",
                               "127.0.0.1",
                               "--tls-cert-file",
                               "server.crt",
                               "--tls-key-file",
                               "server.key",
                               "--tls-ca-cert-file",
                               "client.crt",
                               "--tls-auth-clients",
                               "yes",
                               NULL};

    fixture_init(state);
    server_make_directory(&server);
    make_certificate("server", "localhost", "DNS:localhost,IP:127.0.0.1");
    make_certificate("client", "client", "DNS:client");
    make_certificate("stranger", "localhost", "DNS:localhost,IP:127.0.0.1");
    find_port(tls_port);
    find_port(plain_port);
    server_launch(&server, arguments);
    return 0;
}

static int stop(void **state)
{
    server_stop(&server);
    return 0;
}

static void set_file(struct world *world, const char *setting, const char *name)
{
    char *assignment = mem_format("redis.%s=%s/%s", setting, server.directory, name);

    world_set(world, assignment);
    free(assignment);
}

static void create(struct world *world, const char *scheme, const char *host, const char *port)
{
    char *url = mem_format("%s://%s:%s/1", scheme, host, port);

    world_create(world, url);
    free(url);
    set_file(world, "tls_ca", "server.crt");
    set_file(world, "tls_certificate", "client.crt");
    set_file(world, "tls_key", "client.key");
}

static void test_up(void **state)
{
    static const char *const hosts[] = {"127.0.0.1", "localhost"};

    for (size_t i = 0; i < 2; i++) {
        struct world world;
        struct seen seen = {0};

        create(&world, "rediss", hosts[i], tls_port);
        world_link_up(&world);
        redis_command_strings(world.link, seen_record, &seen, "CLIENT", "INFO", NULL);
        WAIT_FOR(world.loop, seen.called == 1);
        assert_non_null(strstr(seen.text, tls_port));
        assert_non_null(strstr(seen.text, " db=1 "));
        world_destroy(&world);
    }
}

/* Megabytes in both directions, many commands in one iteration. */
static void test_much(void **state)
{
    struct world world;
    struct seen seen = {0};
    size_t len = 3 << 20;
    uint8_t *data = mem_alloc(len);
    struct bytes args[] = {BYTES_LITERAL("SET"), BYTES_LITERAL("much"), {data, len}};

    random_bytes(data, len);
    create(&world, "rediss", "127.0.0.1", tls_port);
    world_link_up(&world);
    for (unsigned i = 0; i < 3; i++) {
        redis_command(world.link, seen_record, &seen, 3, args);
        for (unsigned n = 0; n < 1000; n++) {
            redis_command_strings(world.link, seen_record, &seen, "PING", NULL);
        }
        redis_command_strings(world.link, seen_record, &seen, "GET", "much", NULL);
        WAIT_FOR(world.loop, seen.called == (i + 1) * 1002);
        assert_int_equal(seen.status, REDIS_OK);
        assert_memory_equal(seen.text, data, sizeof seen.text - 1);
    }
    redis_command_strings(world.link, seen_record, &seen, "STRLEN", "much", NULL);
    WAIT_FOR(world.loop, seen.called == 3007);
    assert_int_equal(seen.integer, len);
    free(data);
    world_destroy(&world);
}

static void expect_attempts_fail(struct world *world, unsigned count)
{
    world_link(world);
    WAIT_FOR(world->loop, world->fails >= count);
    assert_int_equal(world->ups, 0);
}

static const struct refused {
    const char *scheme;
    const char *host;
    const char *port;
    const char *ca;
    const char *certificate;
    const char *key;
} refused[] = {
    /* nobody we trust has signed it */
    {"rediss", "127.0.0.1", tls_port, "stranger.crt", "client.crt", "client.key"},
    /* signed, but for another name: the address 127.0.0.2 is not in it */
    {"rediss", "127.0.0.2", tls_port, "server.crt", "client.crt", "client.key"},
    /* the server does not know who has signed ours */
    {"rediss", "127.0.0.1", tls_port, "server.crt", "stranger.crt", "stranger.key"},
    /* one speaks TLS, the other does not */
    {"rediss", "127.0.0.1", plain_port, "server.crt", "client.crt", "client.key"},
    {"redis", "127.0.0.1", tls_port, "server.crt", "client.crt", "client.key"},
};

static void test_refused(void **state)
{
    server_expect(&server, "OK", "CONFIG SET bind %s", "127.0.0.1 127.0.0.2");
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        struct world world;

        create(&world, refused[i].scheme, refused[i].host, refused[i].port);
        set_file(&world, "tls_ca", refused[i].ca);
        set_file(&world, "tls_certificate", refused[i].certificate);
        set_file(&world, "tls_key", refused[i].key);
        expect_attempts_fail(&world, 3);
        world_destroy(&world);
    }
}

static void test_no_verification(void **state)
{
    struct world world;

    create(&world, "rediss", "127.0.0.1", tls_port);
    set_file(&world, "tls_ca", "stranger.crt");
    world_set(&world, "redis.tls_verify=false");
    world_link_up(&world);
    world_destroy(&world);
}

/* Files that are not there: said once, tried again, and right when they are. */
static void test_missing_files(void **state)
{
    struct world world;
    char from[96], to[96];

    create(&world, "rediss", "127.0.0.1", tls_port);
    set_file(&world, "tls_ca", "later.crt");
    expect_attempts_fail(&world, 3);
    assert_int_equal(world.unfits, 1);
    (void)snprintf(from, sizeof from, "%s/server.crt", server.directory);
    (void)snprintf(to, sizeof to, "%s/later.crt", server.directory);
    assert_int_equal(link(from, to), 0);
    WAIT_FOR(world.loop, world.ups == 1);
    assert_int_equal(unlink(to), 0);
    world_destroy(&world);
}

/* The trusted authority is replaced while the link cannot come up with the old one. */
static void test_replaced_files(void **state)
{
    struct world world;
    char wrong[96], right[96], used[96];

    (void)snprintf(wrong, sizeof wrong, "%s/stranger.crt", server.directory);
    (void)snprintf(right, sizeof right, "%s/server.crt", server.directory);
    (void)snprintf(used, sizeof used, "%s/used.crt", server.directory);
    create(&world, "rediss", "127.0.0.1", tls_port);
    set_file(&world, "tls_ca", "used.crt");
    assert_int_equal(link(wrong, used), 0);
    expect_attempts_fail(&world, 3);
    assert_int_equal(unlink(used) | link(right, used), 0);
    WAIT_FOR(world.loop, world.ups == 1);
    assert_int_equal(unlink(used), 0);
    world_destroy(&world);
}

static void test_killed(void **state)
{
    struct world world;
    struct seen seen = {0};

    create(&world, "rediss", "127.0.0.1", tls_port);
    world_link_up(&world);
    server_expect(&server, "1", "CLIENT KILL TYPE normal SKIPME yes");
    WAIT_FOR(world.loop, world.downs == 1 && world.ups == 2);
    redis_command_strings(world.link, seen_record, &seen, "PING", NULL);
    redis_link_reset(world.link, "a test");
    assert_int_equal(seen.status, REDIS_LOST);
    WAIT_FOR(world.loop, world.ups == 3);
    world_destroy(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_up),
        cmocka_unit_test(test_much),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_no_verification),
        cmocka_unit_test(test_missing_files),
        cmocka_unit_test(test_replaced_files),
        cmocka_unit_test(test_killed),
    };

    return cmocka_run_group_tests(tests, start, stop);
}
