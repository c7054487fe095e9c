/*
 * websocket_case: a listener whose connections become WebSocket connections that echo messages, or
 * streams of bytes, and a client that writes frames by hand, for the tests of WebSocket.
 */
#ifndef TEST_NET_WEBSOCKET_CASE_H
#define TEST_NET_WEBSOCKET_CASE_H

#include "net/fixture.h"

#include <netinet/tcp.h>

#include "net/http/http.h"
#include "net/websocket/websocket.h"
#include "net/websocket/websocket_private.h"

#define FIN 0x80

/* What the protocol knows of a connection. */
struct talk {
    struct websocket *websocket; /* NULL once closed */
    struct writer got;           /* messages: opcode, bytes; streams: bytes */
    unsigned messages, drained, closed, code;
    enum conn_close_reason reason;
};

struct place {
    struct fixture *f;
    struct config *config;
    struct http_settings http;
    struct websocket_settings settings;
    struct http_router *router;
    struct websocket_port *port;
    struct talk talks[SESSIONS_MAX];
    unsigned accepted;
    bool is_stream, echoes;
    /* Instead of noting and echoing; NULL otherwise. */
    void (*message)(struct talk *talk, enum websocket_opcode opcode, struct bytes bytes);
    size_t (*received)(struct talk *talk, struct bytes input);
};

static struct place place;

static const char *const place_protocols[] = {"second", "first", NULL};

static inline void talk_message(void *arg, enum websocket_opcode opcode, struct bytes bytes)
{
    struct talk *talk = arg;
    talk->messages++;
    if (place.message) {
        place.message(talk, opcode, bytes);
        return;
    }
    writer_u8(&talk->got, (uint8_t)opcode);
    writer_bytes(&talk->got, bytes);
    if (place.echoes) {
        websocket_send(talk->websocket, opcode, bytes);
    }
}

static inline size_t talk_received(void *arg, struct bytes bytes)
{
    struct talk *talk = arg;
    talk->messages++;
    if (place.received) {
        return place.received(talk, bytes);
    }
    writer_bytes(&talk->got, bytes);
    if (place.echoes) {
        conn_send(websocket_conn(talk->websocket), bytes);
    }
    return bytes.len;
}

static inline void talk_drained(void *arg)
{
    struct talk *talk = arg;
    talk->drained++;
}

static inline void talk_closed(void *arg, unsigned code, enum conn_close_reason reason)
{
    struct talk *talk = arg;
    talk->closed++;
    talk->code = code;
    talk->reason = reason;
    talk->websocket = NULL;
}

static inline void talk_stream_closed(void *arg, enum conn_close_reason reason)
{
    talk_closed(arg, 0, reason);
}

static const struct websocket_handler talk_messages = {
    .message = talk_message, .drained = talk_drained, .closed = talk_closed};
static const struct conn_handler talk_stream = {
    .received = talk_received, .drained = talk_drained, .closed = talk_stream_closed};

static inline bool place_upgrade(void *arg, struct http_request *request)
{
    struct talk *talk = &place.talks[place.accepted % SESSIONS_MAX];
    if (!websocket_is_requested(request)) {
        return false;
    }
    assert_null(talk->websocket);
    writer_free(&talk->got);
    *talk = (struct talk){.websocket = websocket_accept(
                              place.port, request, websocket_choose(request, place_protocols))};
    if (!talk->websocket) {
        return true;
    }
    place.accepted++;
    if (place.is_stream) {
        conn_set_handler(websocket_conn(talk->websocket), &talk_stream, talk);
    } else {
        websocket_set_handler(talk->websocket, &talk_messages, talk);
    }
    return true;
}

static inline void place_accepted(void *arg, struct conn *conn)
{
    http_serve_upgrades(place.f->net, conn, &place.http, place.router, place_upgrade, NULL);
}

static const struct listener_callbacks place_callbacks = {NULL, place_accepted};

static inline void place_listen(const char *where)
{
    char *error = NULL;
    listener_destroy(&place.f->listener);
    place.f->listener =
        listener_create(place.f->net, where, &place.f->settings, &place_callbacks, NULL, &error);
    if (!place.f->listener) {
        fail_msg("%s", error);
    }
}

static inline int place_create(void **state)
{
    fixture_create(state);
    place = (struct place){.f = *state, .echoes = true};
    place.config = config_create();
    config_add(place.config, &http_config, &place.http);
    config_add(place.config, &websocket_config, &place.settings);
    place.router = http_router_create();
    place.port = websocket_port_create(place.f->net, &place.settings);
    place_listen("127.0.0.1:0");
    return 0;
}

static inline int place_destroy(void **state)
{
    /* Those that a test left open go with their sockets. */
    WAIT_FOR(place.f, net_connection_count(place.f->net) == 0);
    loop_iterate(place.f->loop, 0);
    assert_int_equal(websocket_port_count(place.port), 0);
    assert_int_equal(metrics_get(METRIC_WEBSOCKET_CONNECTIONS), 0);
    websocket_port_destroy(&place.port);
    http_router_destroy(&place.router);
    for (unsigned i = 0; i < SESSIONS_MAX; i++) {
        writer_free(&place.talks[i].got);
    }
    config_free_values(&http_config, &place.http);
    config_free_values(&websocket_config, &place.settings);
    config_destroy(&place.config);
    return fixture_destroy(state);
}

static inline void place_set(const char *assignment)
{
    char *error = config_set(place.config, assignment);
    if (error) {
        fail_msg("%s", error);
    }
}

/* The handshake of RFC 6455, 1.3. */
#define HANDSHAKE                                                                                  \
    "GET /chat HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\n"                     \
    "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"                       \
    "Sec-WebSocket-Version: 13\r\n"
#define HANDSHAKE_ANSWER                                                                           \
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"            \
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"

/* An open connection: the client's socket, and its talk. */
static inline struct talk *place_open(int *fd)
{
    struct writer answer = {0};
    unsigned before = place.accepted;
    int on = 1;
    *fd = fixture_connect(place.f);
    (void)setsockopt(*fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* of TCP only */
    fixture_write_text(*fd, HANDSHAKE "\r\n");
    fixture_read_len(place.f, *fd, &answer, strlen(HANDSHAKE_ANSWER) + 2);
    fixture_expect_text(&answer, HANDSHAKE_ANSWER "\r\n");
    writer_free(&answer);
    assert_int_equal(place.accepted, before + 1);
    return &place.talks[before % SESSIONS_MAX];
}

/* How a client's frame is written. */
enum form {
    SHORTEST = 0,
    AS_16 = 2,       /* the length in 2 bytes */
    AS_64 = 8,       /* the length in 8 bytes */
    UNMASKED = 16,   /* or'ed */
    HEADER_ONLY = 32 /* or'ed: len is announced, nothing follows */
};

static inline void frame_put_as(struct writer *to, uint8_t first, struct bytes payload,
                                unsigned form)
{
    static const uint8_t key[4] = {0x37, 0xfa, 0x21, 0x3d};
    unsigned mask = form & UNMASKED ? 0 : 0x80;
    unsigned more = form & (AS_16 | AS_64);
    if (more == 0) {
        more = payload.len < 126 ? 0 : payload.len < 65536 ? 2 : 8;
    }
    writer_u8(to, first);
    writer_u8(to, (uint8_t)(mask | (more == 0 ? (unsigned)payload.len : more == 2 ? 126 : 127)));
    if (more == 2) {
        writer_u16(to, (uint16_t)payload.len);
    } else if (more == 8) {
        writer_u64(to, payload.len);
    }
    if (mask) {
        writer_bytes(to, (struct bytes){key, 4});
    }
    for (size_t i = 0; i < payload.len && !(form & HEADER_ONLY); i++) {
        writer_u8(to, payload.data[i] ^ (mask ? key[i % 4] : 0));
    }
}

static inline void frame_put(struct writer *to, uint8_t first, struct bytes payload)
{
    frame_put_as(to, first, payload, SHORTEST);
}

static inline void frame_put_text(struct writer *to, const char *text)
{
    frame_put(to, FIN | WEBSOCKET_FRAME_TEXT, bytes_from_string(text));
}

static inline void frame_put_close(struct writer *to, unsigned code, const char *reason)
{
    struct writer payload = {0};
    writer_u16(&payload, (uint16_t)code);
    writer_string(&payload, reason);
    frame_put(to, FIN | WEBSOCKET_FRAME_CLOSE, writer_bytes_written(&payload));
    writer_free(&payload);
}

/* What a server writes. */
static inline void answer_put(struct writer *to, uint8_t first, struct bytes payload)
{
    frame_put_as(to, first, payload, UNMASKED);
}

static inline void answer_put_close(struct writer *to, unsigned code, const char *reason)
{
    struct writer payload = {0};
    writer_u16(&payload, (uint16_t)code);
    writer_string(&payload, reason);
    answer_put(to, FIN | WEBSOCKET_FRAME_CLOSE, writer_bytes_written(&payload));
    writer_free(&payload);
}

static inline void answer_put_error(struct writer *to, enum websocket_error error)
{
    answer_put_close(to, websocket_error_kinds[error].code, websocket_error_kinds[error].text);
}

/* Writes all of it, step bytes at a time, while the loop turns. The server may stop reading. */
static inline void place_write(int fd, struct bytes bytes, size_t step)
{
    size_t sent = 0;
    while (sent < bytes.len) {
        size_t part = bytes.len - sent < step ? bytes.len - sent : step;
        ssize_t n = send(fd, bytes.data + sent, part, MSG_NOSIGNAL);
        if (n > 0) {
            sent += (size_t)n;
        } else if (errno != EAGAIN) {
            return;
        }
        loop_iterate(place.f->loop, 0);
    }
}

static inline void expect_bytes(const char *what, const struct writer *got,
                                const struct writer *expected)
{
    size_t at = 0;
    while (at < got->len && at < expected->len && got->data[at] == expected->data[at]) {
        at++;
    }
    if (at != got->len || at != expected->len) {
        fail_msg("%s: %zu bytes, not %zu; they differ at %zu (%02x, not %02x)", what, got->len,
                 expected->len, at, at < got->len ? got->data[at] : 0,
                 at < expected->len ? expected->data[at] : 0);
    }
}

/* The connection's answer to the frames is this, and then its end, without a reset. Frees all. */
static inline void expect_conversation(const char *what, struct writer *frames,
                                       struct writer *answer, size_t step)
{
    struct writer got = {0};
    uint8_t byte;
    int fd;
    place_open(&fd);
    place_write(fd, writer_bytes_written(frames), step);
    fixture_read_end(place.f, fd, &got);
    if (recv(fd, &byte, 1, 0) != 0) {
        fail_msg("%s: reset", what);
    }
    expect_bytes(what, &got, answer);
    close(fd);
    WAIT_FOR(place.f, websocket_port_count(place.port) == 0);
    writer_free(&got);
}

/* Reads up to and including the next len bytes, which are these. */
static inline void expect_next(int fd, struct writer *expected)
{
    struct writer got = {0};
    fixture_read_len(place.f, fd, &got, expected->len);
    expect_bytes("next", &got, expected);
    writer_free(&got);
    writer_free(expected);
}

#define PLACE_TEST(name) cmocka_unit_test_setup_teardown(name, place_create, place_destroy)

static inline void send_text(int fd, const char *text)
{
    struct writer frame = {0};
    frame_put_text(&frame, text);
    fixture_write(fd, frame.data, frame.len);
    writer_free(&frame);
}

static inline void send_control(int fd, uint8_t opcode)
{
    struct writer frame = {0};
    frame_put(&frame, FIN | opcode, (struct bytes){NULL, 0});
    fixture_write(fd, frame.data, frame.len);
    writer_free(&frame);
}

static inline void expect_close(int fd, unsigned code, const char *reason)
{
    struct writer expected = {0};
    answer_put_close(&expected, code, reason);
    expect_next(fd, &expected);
}

#endif
