/* client: see the header. */
#include "ws_client.h"

#include "base/mem.h"
#include "ws.h"

struct ws_clients {
    struct worker *worker;
    struct peer_set *peers;
    const struct service *service;
    const struct ws_client_handler *handler;
    void *arg;
};

struct ws_client *ws_clients_at(struct ws_clients *clients, uint32_t index)
{
    return peer_set_at(clients->peers, index);
}

void *ws_clients_arg(const struct ws_clients *clients)
{
    return clients->arg;
}

struct ws_clients *ws_client_owner(const struct ws_client *client)
{
    return peer_set_arg(client->peer.peers);
}

struct writer *ws_client_output(struct ws_client *client)
{
    return peer_output(&client->peer);
}

void ws_client_flush(struct ws_client *client)
{
    if (client->peer.output.len > client->peer.written) {
        peer_flush_later(&client->peer);
    }
}

static void begin_taking_part(struct ws_client *client)
{
    const struct ws_clients *clients = ws_client_owner(client);
    const bool returns = peer_is_returning(&client->peer);
    client->state = WS_CLIENT_TAKES_PART;
    peer_settled(&client->peer);
    if (returns && clients->handler->returned) {
        clients->handler->returned(client);
    }
}

static size_t finish_upgrade(struct ws_client *client, struct bytes input)
{
    const struct service *service = ws_client_owner(client)->service;
    bool is_all = !service->check_joined;
    bool accepted;
    size_t consumed = ws_read_response(input, &accepted);
    if (consumed == 0) {
        return 0;
    }
    if (!accepted) {
        peer_refuse(&client->peer, "%s refuses the handshake: %.*s",
                    client->service_client.worker->part.target, (int)consumed,
                    (const char *)input.data);
        return input.len;
    }
    client->state = WS_CLIENT_WAITS;
    if (service->join) {
        is_all = service->join(ws_client_output(client), &client->service_client);
    }
    ws_client_flush(client);
    if (is_all) {
        begin_taking_part(client);
    }
    return consumed;
}

static void take_service_message(struct ws_client *client, struct bytes message, uint64_t now_us)
{
    const struct ws_clients *clients = ws_client_owner(client);
    const struct service *service = clients->service;
    if (client->state == WS_CLIENT_WAITS) {
        enum service_verdict verdict =
            service->check_joined(ws_client_output(client), &client->service_client, message);
        ws_client_flush(client);
        if (verdict == SERVICE_TAKES_PART) {
            begin_taking_part(client);
        } else if (verdict == SERVICE_REFUSES) {
            peer_refuse(&client->peer, "%s refuses to let a client take part: %.*s",
                        client->service_client.worker->part.target, (int)message.len,
                        (const char *)message.data);
        }
        return;
    }
    clients->handler->received(client, message, now_us);
    if (service->answer) {
        service->answer(ws_client_output(client), message);
        ws_client_flush(client);
    }
}

static void take_ws_frame(struct ws_client *client, enum ws_opcode opcode, struct bytes payload,
                          uint64_t now_us)
{
    struct results *results = ws_client_owner(client)->worker->results;
    if (opcode == WS_TEXT || opcode == WS_BINARY) {
        if (worker_in_window(client->service_client.worker, now_us)) {
            results->frames++;
        }
        take_service_message(client, payload, now_us);
    } else if (opcode == WS_PING) {
        ws_write_masked(ws_client_output(client), WS_PONG, payload);
        ws_client_flush(client);
    } else if (opcode == WS_CLOSE) {
        if (payload.len >= 2 && results->lost == 0) {
            bench_warn("%s says Close %u: %.*s", client->service_client.worker->part.target,
                       payload.data[0] << 8 | payload.data[1], (int)payload.len - 2,
                       (const char *)payload.data + 2);
        }
        ws_write_masked(ws_client_output(client), WS_CLOSE,
                        (struct bytes){payload.data, payload.len >= 2 ? 2 : 0});
        peer_end(&client->peer);
    }
}

/* Bytes that belong to a frame too large to be kept. */
static size_t skip_frame(struct ws_client *client, size_t available, uint64_t now_us)
{
    size_t gone = available < client->skip ? available : (size_t)client->skip;
    client->skip -= gone;
    if (client->skip == 0) {
        take_ws_frame(client, WS_TEXT, (struct bytes){NULL, 0}, now_us);
    }
    return gone;
}

/* Of one frame, or of a part of a large one; 0: more is needed. */
static size_t take_next(struct ws_client *client, struct bytes input, uint64_t now_us)
{
    struct ws_header header;
    bool valid;
    if (client->skip > 0) {
        return skip_frame(client, input.len, now_us);
    }
    if (!ws_read_header(input, &header, &valid)) {
        return 0;
    }
    if (!valid || header.is_masked) {
        bench_fail("%s sends an incomplete or masked frame",
                   client->service_client.worker->part.target);
    }
    if (header.len > WS_CLIENT_KEPT) {
        client->skip = header.len;
        return header.size;
    }
    if (input.len - header.size < header.len) {
        return 0;
    }
    take_ws_frame(client, header.opcode,
                  (struct bytes){input.data + header.size, (size_t)header.len}, now_us);
    return header.size + (size_t)header.len;
}

static size_t received(struct peer *peer, struct bytes input, uint64_t now_us)
{
    struct ws_client *client = (struct ws_client *)peer;
    struct results *results = ws_client_owner(client)->worker->results;
    size_t at = 0;
    size_t consumed;
    if (client->state == WS_CLIENT_SHAKES_HANDS && (at = finish_upgrade(client, input)) == 0) {
        return 0;
    }
    while (at < input.len && !peer->is_ended &&
           (consumed = take_next(client, (struct bytes){input.data + at, input.len - at}, now_us)) >
               0) {
        at += consumed;
    }
    if (worker_in_window(client->service_client.worker, now_us)) {
        results->frame_bytes += at;
    }
    return at;
}

static void send_upgrade_request(struct peer *peer)
{
    struct ws_client *client = (struct ws_client *)peer;
    service_write_request(ws_client_output(client), ws_client_owner(client)->service,
                          &client->service_client);
    ws_client_flush(client);
}

static void lost(struct peer *peer)
{
    struct ws_client *client = (struct ws_client *)peer;
    client->state = WS_CLIENT_SHAKES_HANDS;
    client->skip = 0;
}

static void all_settled(void *arg)
{
    struct ws_clients *clients = arg;
    clients->handler->ready(clients->arg);
}

struct ws_clients *ws_clients_create(struct worker *worker, const struct service *service,
                                     bool speak, size_t size,
                                     const struct ws_client_handler *handler, void *arg)
{
    static const struct peer_handler peer_handler = {.received = received,
                                                     .connected = all_settled,
                                                     .handshake = send_upgrade_request,
                                                     .lost = lost};
    struct ws_clients *clients = mem_zalloc(1, sizeof *clients);
    clients->worker = worker;
    clients->service = service;
    clients->handler = handler;
    clients->arg = arg;
    clients->peers = peer_set_create(worker, size, &peer_handler, clients);
    for (uint32_t i = 0; i < worker->part.connections; i++) {
        struct ws_client *client = ws_clients_at(clients, i);
        client->service_client = (struct service_client){
            .worker = worker, .number = worker->part.first + i, .speaks = speak};
    }
    return clients;
}

void ws_clients_start(struct ws_clients *clients)
{
    peer_set_connect(clients->peers);
}
