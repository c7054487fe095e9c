/* A name with two addresses, and TLS with neither: this program has a getaddrinfo of its own. */
#include "redis/redis_fixture.h"

#include <netdb.h>
#include <netinet/in.h>

#define TLS_HANDSHAKE 0x16 /* the first byte of a ClientHello's record */

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                struct addrinfo **found)
{
    if ((hints->ai_flags & AI_NUMERICHOST) != 0) {
        return EAI_NONAME;
    }
    *found = NULL;
    for (unsigned i = 2; i > 0; i--) {
        struct addrinfo *one = mem_zalloc(1, sizeof *one);
        struct sockaddr_in *address = mem_zalloc(1, sizeof *address);

        address->sin_family = AF_INET;
        address->sin_addr.s_addr = htonl(INADDR_LOOPBACK + i - 1);
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

/* Answers to any bytes what is no TLS. */
struct impostor {
    struct loop *loop;
    struct loop_io *accepting, *reading;
    int listener, connection;
    unsigned accepted, in_tls, in_clear;
};

static void hang_up(struct impostor *impostor)
{
    if (impostor->connection >= 0) {
        loop_io_destroy(&impostor->reading);
        close(impostor->connection);
        impostor->connection = -1;
    }
}

static void on_bytes(void *arg, unsigned events)
{
    struct impostor *impostor = arg;
    uint8_t bytes[4096];
    ssize_t n = recv(impostor->connection, bytes, sizeof bytes, MSG_DONTWAIT);

    if (n <= 0) {
        hang_up(impostor);
        return;
    }
    impostor->in_tls += bytes[0] == TLS_HANDSHAKE;
    impostor->in_clear += bytes[0] != TLS_HANDSHAKE;
    (void)!send(impostor->connection, "-ERR no TLS here\r\n", 18, MSG_NOSIGNAL);
}

static void on_connection(void *arg, unsigned events)
{
    struct impostor *impostor = arg;

    hang_up(impostor);
    impostor->connection = accept4(impostor->listener, NULL, NULL, SOCK_CLOEXEC);
    assert_true(impostor->connection >= 0);
    impostor->accepted++;
    impostor->reading = loop_io_create(impostor->loop, impostor->connection, on_bytes, impostor);
    loop_io_set(impostor->reading, LOOP_READ);
}

static uint16_t impostor_begin(struct impostor *impostor, struct loop *loop)
{
    struct sockaddr_in name = {.sin_family = AF_INET};
    socklen_t len = sizeof name;

    *impostor = (struct impostor){.loop = loop, .connection = -1};
    impostor->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(impostor->listener, (struct sockaddr *)&name, len), 0);
    assert_int_equal(listen(impostor->listener, 16), 0);
    assert_int_equal(getsockname(impostor->listener, (struct sockaddr *)&name, &len), 0);
    impostor->accepting = loop_io_create(loop, impostor->listener, on_connection, impostor);
    loop_io_set(impostor->accepting, LOOP_READ);
    return ntohs(name.sin_port);
}

/* The password is for no one who cannot be verified, at whatever address. */
static void test_the_next_address_is_spoken_to_in_tls_too(void **state)
{
    struct impostor impostor;
    struct world world;
    struct redis_target target;
    char url[64];

    (void)signal(SIGPIPE, SIG_IGN);
    world_create(&world, "redis://x");
    (void)snprintf(url, sizeof url, "rediss://user:secret@two-servers:%u",
                   impostor_begin(&impostor, world.loop));
    assert_null(redis_target_parse(url, &target));
    redis_target_free(&world.target);
    world.target = target;
    world_link(&world);
    WAIT_FOR(world.loop, impostor.in_tls + impostor.in_clear >= 4);
    assert_int_equal(impostor.in_clear, 0);
    hang_up(&impostor);
    loop_io_destroy(&impostor.accepting);
    close(impostor.listener);
    world_destroy(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_next_address_is_spoken_to_in_tls_too),
    };

    return cmocka_run_group_tests(tests, fixture_init, NULL);
}
