/*
 * Fuzzes a whole front-end: the real server and its loop, with real listeners, and clients of every
 * protocol at once. Its Redis is in this process (fake_redis.h) and does what the input wants.
 *
 * The input is a list of steps, each ended by the bytes FF 0A: a letter, a byte that names one of
 * the connections (its low four bits), and what is sent.
 *
 *   c0KA…   connects: to the listener of kind K (see kinds), from address A where a proxy names it
 *   s0…     sends bytes              n0N    sends what was sent last N times more, together
 *   t0… b0… a WebSocket message      f0H…   a frame whose first byte is H
 *   g0…     GET … HTTP/1.1           k0     stops reading, or begins again
 *   u0…     a datagram to the master x0 X0  closes; resets
 *   i0      iterates as often        p0N    N times 100 ms pass
 *   r0K…    the answer number 0 of Redis from now on is wrong: fault K (fake_redis.h)
 *   m0C…    a message on the subscribed channel C
 *   d0      begins to drain
 *
 * Invariants: no fault that a sanitizer finds; no iteration takes longer than ITERATION_US of CPU
 * time; the memory in use never exceeds MEMORY_MAX; and when the clients are gone and Redis is
 * sound again, the front-end is ready again, has no session, and uses no more memory than before
 * the first client.
 */
#include <sanitizer/allocator_interface.h>

#include <arpa/inet.h>
#include <assert.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/random.h"
#include "fake_redis.h"
#include "server/server_private.h"
#include "session_setup.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

#define CONNECTIONS  16
#define ITERATION_US 2000000
#define MEMORY_MAX   (48u << 20)
#define MEMORY_KEPT  (1u << 20)
#define STEPS_MAX    256
#define REPEATS_MAX  64
#define START_STEPS  2000
/* Longer than anything is remembered of a client that is gone: client.ttl, graces, view.linger. */
#define QUIET_SECONDS 60

/* What a client connects to: the socket's name, what it sends first, and whether a proxy says who
 * it is. */
static const struct kind_of_client {
    const char *socket;
    const char *path; /* of an upgrade to WebSocket */
    bool proxy;
} client_kinds[] = {
    {"tracker", NULL, false},
    {"web", NULL, false},
    {"web", "/turntable", false},
    {"web", "/sync", false},
    {"web", "/sync?mode=delta&resume", false},
    {"web", "/tracker", false},
    {"lobby", NULL, false},
    {"servers", NULL, true},
    {"old", NULL, true},
    {"wide", NULL, false},
    {"proxied", NULL, true},
    {"proxied", "/turntable", true},
    {"sync", "/", true},
};

struct client {
    int fd; /* -1: none */
    bool is_deaf;
};

struct session {
    struct server server;
    struct fake_redis redis;
    struct client clients[CONNECTIONS];
    int udp[4];
    struct sockaddr_in master;
    struct writer last; /* what was sent last */
    size_t memory;      /* before the first client */
};

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    signal(SIGPIPE, SIG_IGN);
    randombytes_set_implementation(&repeatable);
    random_init();
    log_set_fd(open("/dev/null", O_WRONLY | O_CLOEXEC));
    if (!mkdtemp(folder)) {
        abort();
    }
    load_configuration();
    atexit(remove_folder);
    return 0;
}

static void read_client(struct client *client)
{
    static uint8_t buffer[65536];
    if (client->fd < 0 || client->is_deaf) {
        return;
    }
    for (int i = 0; i < 64; i++) {
        ssize_t n = recv(client->fd, buffer, sizeof buffer, MSG_DONTWAIT);
        if (n == 0 || (n < 0 && errno != EAGAIN)) {
            close(client->fd);
            client->fd = -1;
        }
        if (n <= 0) {
            return;
        }
    }
}

/* One iteration of the front-end, and what Redis and the clients do after it. */
static void iterate(struct session *session)
{
    struct loop *loop = session->server.loop;
    uint64_t before = clock_cpu_us();
    loop_iterate(loop, 0);
    if (clock_cpu_us() - before > ITERATION_US) {
        fprintf(stderr, "an iteration took %llu us\n",
                (unsigned long long)(clock_cpu_us() - before));
        abort();
    }
    if (__sanitizer_get_current_allocated_bytes() > session->memory + MEMORY_MAX) {
        fprintf(stderr, "%zu bytes are in use\n", __sanitizer_get_current_allocated_bytes());
        abort();
    }
    fake_redis_service(&session->redis, 1700000000000u + loop_now_ms(loop));
    for (size_t i = 0; i < CONNECTIONS; i++) {
        read_client(&session->clients[i]);
    }
}

static void iterate_times(struct session *session, unsigned times)
{
    for (unsigned i = 0; i < times; i++) {
        iterate(session);
    }
}

static void pass_time(struct session *session, unsigned ms)
{
    loop_skip(session->server.loop, ms);
    iterate_times(session, 2);
}

static void open_sockets(struct session *session)
{
    struct writer where = {0};
    struct sockaddr_in own = {.sin_family = AF_INET};
    listeners_describe(session->server.listeners, &where);
    writer_u8(&where, 0);
    const char *at = strstr((const char *)where.data, "q3master=127.0.0.1:");
    assert(at);
    session->master =
        (struct sockaddr_in){.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)atoi(at + strlen("q3master=127.0.0.1:"))),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    writer_free(&where);
    for (uint32_t i = 0; i < 4; i++) {
        session->udp[i] = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        own.sin_addr.s_addr = htonl(INADDR_LOOPBACK + i);
        if (session->udp[i] < 0 || bind(session->udp[i], (struct sockaddr *)&own, sizeof own)) {
            abort();
        }
    }
}

static void begin_session(struct session *session)
{
    char path[128];
    bool usage;
    memset(session, 0, sizeof *session);
    random_state = 1;
    snprintf(path, sizeof path, "%s/redis", folder);
    fake_redis_start(&session->redis, path);
    for (size_t i = 0; i < CONNECTIONS; i++) {
        session->clients[i].fd = -1;
    }
    char *error = server_open(&session->server, &configuration, &usage);
    if (error) {
        fprintf(stderr, "%s\n", error);
        abort();
    }
    session->memory = SIZE_MAX / 2;
    for (int i = 0; session->server.state != SERVER_SERVING; i++) {
        assert(i < START_STEPS);
        pass_time(session, 10);
    }
    iterate_times(session, 8);
    open_sockets(session);
    session->memory = __sanitizer_get_current_allocated_bytes();
}

static void send_bytes(struct session *session, struct client *client, struct bytes bytes)
{
    if (client->fd >= 0 && bytes.len > 0) {
        (void)!send(client->fd, bytes.data, bytes.len, MSG_DONTWAIT | MSG_NOSIGNAL);
    }
    writer_reset(&session->last);
    writer_bytes(&session->last, bytes);
}

static void reset_client(struct client *client, bool reset)
{
    struct linger linger = {.l_onoff = 1};
    if (client->fd < 0) {
        return;
    }
    if (reset) {
        (void)setsockopt(client->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    }
    close(client->fd);
    client->fd = -1;
}

static void connect_client(struct session *session, struct client *client, struct bytes how)
{
    const struct kind_of_client *kind = &client_kinds[(how.len > 0 ? how.data[0] - 'a' + 0u : 0u) %
                                                      (sizeof client_kinds / sizeof *client_kinds)];
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct writer first = {0};
    reset_client(client, false);
    client->is_deaf = false;
    client->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    snprintf(address.sun_path, sizeof address.sun_path, "%s/%s", folder, kind->socket);
    if (connect(client->fd, (struct sockaddr *)&address, sizeof address) != 0) {
        reset_client(client, false); /* it drains */
        return;
    }
    if (kind->proxy) {
        writer_format(&first, "PROXY TCP4 10.0.0.%u 10.0.0.1 1024 80\r\n",
                      how.len > 1 ? how.data[1] & 7u : 0);
    }
    if (kind->path) {
        writer_format(&first,
                      "GET %s HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
                      "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
                      kind->path);
    }
    send_bytes(session, client, writer_bytes_written(&first));
    writer_free(&first);
}

/* A client's frame, masked with zeros. */
static void send_frame(struct session *session, struct client *client, uint8_t head,
                       struct bytes payload)
{
    struct writer frame = {0};
    writer_u8(&frame, head);
    if (payload.len < 126) {
        writer_u8(&frame, (uint8_t)(0x80 | payload.len));
    } else {
        writer_u8(&frame, 0x80 | 126);
        writer_u16(&frame, (uint16_t)payload.len);
    }
    writer_u32(&frame, 0);
    writer_bytes(&frame, payload);
    send_bytes(session, client, writer_bytes_written(&frame));
    writer_free(&frame);
}

static void send_request(struct session *session, struct client *client, struct bytes path)
{
    struct writer text = {0};
    writer_string(&text, "GET ");
    writer_bytes(&text, path);
    writer_string(&text, " HTTP/1.1\r\nHost: localhost\r\n\r\n");
    send_bytes(session, client, writer_bytes_written(&text));
    writer_free(&text);
}

static void send_again(struct session *session, struct client *client, unsigned times)
{
    struct writer all = {0};
    for (unsigned i = 0; i < times; i++) {
        writer_bytes(&all, writer_bytes_written(&session->last));
    }
    if (client->fd >= 0 && all.len > 0) {
        (void)!send(client->fd, all.data, all.len, MSG_DONTWAIT | MSG_NOSIGNAL);
    }
    writer_free(&all);
}

static void send_datagram(struct session *session, int fd, struct bytes payload)
{
    uint8_t answer[2048];
    (void)!sendto(fd, payload.data, payload.len, MSG_DONTWAIT, (struct sockaddr *)&session->master,
                  sizeof session->master);
    while (recv(fd, answer, sizeof answer, MSG_DONTWAIT) > 0) {
    }
}

static void publish_message(struct session *session, struct bytes payload)
{
    unsigned wanted = payload.len > 0 ? payload.data[0] : 0;
    struct bytes rest = payload.len > 1 ? (struct bytes){payload.data + 1, payload.len - 1}
                                        : (struct bytes){NULL, 0};
    for (unsigned i = 0; i < FAKE_LINKS; i++) {
        const struct fake_link *link = &session->redis.links[i];
        if (link->channel_count > 0) {
            struct bytes channel = fake_copy(link->channels[wanted % link->channel_count]);
            (void)fake_deliver(&session->redis, channel, rest);
            fake_release(&channel);
            return;
        }
    }
}

static void run_step(struct session *session, uint8_t letter, uint8_t which, struct bytes payload)
{
    struct client *client = &session->clients[which % CONNECTIONS];
    uint8_t first = payload.len > 0 ? payload.data[0] : 0;
    struct bytes rest =
        payload.len > 0 ? (struct bytes){payload.data + 1, payload.len - 1} : payload;
    switch (letter) {
    case 'c':
        connect_client(session, client, payload);
        break;
    case 's':
        send_bytes(session, client, payload);
        break;
    case 'n':
        send_again(session, client, first % REPEATS_MAX);
        break;
    case 't':
    case 'b':
        send_frame(session, client, letter == 't' ? 0x81 : 0x82, payload);
        break;
    case 'f':
        send_frame(session, client, first, rest);
        break;
    case 'g':
        send_request(session, client, payload);
        break;
    case 'k':
        client->is_deaf = !client->is_deaf;
        break;
    case 'u':
        send_datagram(session, session->udp[which % 4], payload);
        break;
    case 'x':
    case 'X':
        reset_client(client, letter == 'X');
        break;
    case 'i':
        iterate_times(session, which % 16u);
        break;
    case 'p':
        pass_time(session, first * 100u);
        break;
    case 'r':
        fake_add_fault(&session->redis, (enum fake_fault)(first % FAULTS), which % 16u, rest);
        break;
    case 'm':
        publish_message(session, payload);
        break;
    case 'd':
        if (session->server.state == SERVER_SERVING) {
            server_drain(&session->server);
        }
        break;
    default: /* an input that is no list of steps is still bytes */
        send_bytes(session, client, payload);
        break;
    }
}

static void run_steps(struct session *session, struct bytes input)
{
    for (int steps = 0; input.len > 0 && steps < STEPS_MAX; steps++) {
        const uint8_t *end = memmem(input.data, input.len, "\xff\n", 2);
        size_t len = end ? (size_t)(end - input.data) : input.len;
        size_t used = end ? len + 2 : len;
        if (len >= 2) {
            run_step(session, input.data[0], input.data[1],
                     (struct bytes){input.data + 2, len - 2});
            iterate_times(session, 2);
        }
        input = (struct bytes){input.data + used, input.len - used};
    }
}

/* The clients leave, Redis is sound, and time passes. */
static void calm_down(struct session *session)
{
    const struct server *server = &session->server;
    bool serves = server->state == SERVER_SERVING && server->exit_code == 0;
    const char *why = NULL;
    iterate_times(session, 8);
    for (size_t i = 0; i < CONNECTIONS; i++) {
        reset_client(&session->clients[i], false);
    }
    fake_heal(&session->redis);
    for (int i = 0; i < QUIET_SECONDS; i++) {
        pass_time(session, 1000);
    }
    serves = serves && server->state == SERVER_SERVING && server->exit_code == 0;
    if (serves && !map_is_ready(server->map, &why)) {
        fprintf(stderr, "not ready again: %s\n", why ? why : "");
        abort();
    }
    if (server_count_sessions(server) > 0) {
        fprintf(stderr, "%zu sessions remain\n", server_count_sessions(server));
        abort();
    }
    size_t memory = __sanitizer_get_current_allocated_bytes();
    if (memory > session->memory + MEMORY_KEPT) {
        fprintf(stderr, "%zu bytes more are in use\n", memory - session->memory);
        abort();
    }
}

static void end_session(struct session *session)
{
    server_close(&session->server);
    for (size_t i = 0; i < 4; i++) {
        close(session->udp[i]);
    }
    fake_redis_stop(&session->redis);
    writer_free(&session->last);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct session session;
    if (size > 16384) {
        return 0;
    }
    begin_session(&session);
    run_steps(&session, (struct bytes){data, size});
    calm_down(&session);
    end_session(&session);
    return 0;
}
