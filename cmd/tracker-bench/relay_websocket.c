/* relay_websocket: the relay that speaks WebSocket; see relay.h. */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "bench.h"
#include "relay.h"
#include "ws.h"

struct websocket_relay {
    struct loop *loop;
    int in;
    int out;
    struct receivers receivers;
    struct writer output; /* the frames of this event-loop iteration */
    struct loop_task flush_task;
    uint8_t buffer[65536];
};

/* A client in its handshake, or a speaker. */
struct relay_client {
    struct websocket_relay *relay;
    struct loop_io *io;
    int fd;
    bool speaks;
    bool is_open;
    struct writer kept; /* input that was not consumed */
};

static void send_relay_output(void *arg)
{
    struct websocket_relay *relay = arg;
    receivers_write(&relay->receivers, relay->output.data, relay->output.len);
    writer_reset(&relay->output);
}

static void free_relay_client(struct relay_client *client)
{
    loop_io_destroy(&client->io);
    writer_free(&client->kept);
    free(client);
}

/* False when it became a receiver, which is not read any more. */
static bool answer_upgrade(struct relay_client *client)
{
    struct writer answer = {0};
    bool sent;
    ws_write_response(&answer);
    sent = send(client->fd, answer.data, answer.len, MSG_NOSIGNAL) == (ssize_t)answer.len;
    writer_free(&answer);
    client->is_open = true;
    if (sent && client->speaks) {
        return true;
    }
    if (sent) {
        receivers_add(&client->relay->receivers, client->fd);
    } else {
        (void)close(client->fd);
    }
    free_relay_client(client);
    return false;
}

/* Forwards one frame of a speaker; 0: more input is needed. */
static size_t forward_frame(struct relay_client *client, uint8_t *input, size_t len)
{
    struct websocket_relay *relay = client->relay;
    struct ws_header header;
    bool valid;
    if (!ws_read_header((struct bytes){input, len}, &header, &valid) ||
        len - header.size < header.len) {
        return 0;
    }
    if (valid && (header.opcode == WS_TEXT || header.opcode == WS_BINARY)) {
        ws_unmask(input + header.size, (size_t)header.len, header.mask);
        ws_write_plain(&relay->output, header.opcode,
                       (struct bytes){input + header.size, (size_t)header.len});
        loop_defer(relay->loop, LOOP_PHASE_OUTPUT, &relay->flush_task);
    }
    return header.size + (size_t)header.len;
}

static void take_relay_input(struct relay_client *client, uint8_t *input, size_t len)
{
    size_t at = 0;
    size_t consumed;
    if (!client->is_open) {
        at = ws_read_request((struct bytes){input, len});
        if (at > 0 && !answer_upgrade(client)) {
            return;
        }
    }
    while (client->is_open && at < len &&
           (consumed = forward_frame(client, input + at, len - at)) > 0) {
        at += consumed;
    }
    /* input may be in kept itself. */
    if (client->kept.len == 0) {
        writer_bytes(&client->kept, (struct bytes){input + at, len - at});
        return;
    }
    for (size_t i = at; i < len; i++) {
        client->kept.data[i - at] = input[i];
    }
    client->kept.len = len - at;
}

static void on_relay_readable(void *arg, unsigned events)
{
    struct relay_client *client = arg;
    uint8_t *buffer = client->relay->buffer;
    ssize_t n = recv(client->fd, buffer, sizeof client->relay->buffer, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (n <= 0) {
        (void)close(client->fd);
        free_relay_client(client);
    } else if (client->kept.len == 0) {
        take_relay_input(client, buffer, (size_t)n);
    } else {
        writer_bytes(&client->kept, (struct bytes){buffer, (size_t)n});
        take_relay_input(client, client->kept.data, client->kept.len);
    }
}

static void accept_from(struct websocket_relay *relay, int listener, bool speaks)
{
    int fd;
    while ((fd = relay_accept(listener)) >= 0) {
        struct relay_client *client = mem_zalloc(1, sizeof *client);
        client->relay = relay;
        client->fd = fd;
        client->speaks = speaks;
        client->io = loop_io_create(relay->loop, fd, on_relay_readable, client);
        loop_io_set(client->io, LOOP_READ);
    }
}

static void accept_speaker(void *arg, unsigned events)
{
    struct websocket_relay *relay = arg;
    accept_from(relay, relay->in, true);
}

static void on_new_receiver(void *arg, unsigned events)
{
    struct websocket_relay *relay = arg;
    accept_from(relay, relay->out, false);
}

void relay_websocket(struct loop *loop, int in, int out)
{
    struct websocket_relay *relay = mem_zalloc(1, sizeof *relay);
    relay->loop = loop;
    relay->in = in;
    relay->out = out;
    relay->flush_task = (struct loop_task){.callback = send_relay_output, .arg = relay};
    loop_io_set(loop_io_create(loop, in, accept_speaker, relay), LOOP_READ);
    loop_io_set(loop_io_create(loop, out, on_new_receiver, relay), LOOP_READ);
}
