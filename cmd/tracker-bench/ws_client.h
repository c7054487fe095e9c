/*
 * ws_client: the generator's WebSocket connections: many of one service, each brought to take part.
 *
 * Frames over WS_CLIENT_KEPT bytes are counted and thrown away as they come.
 */
#ifndef BENCH_WS_CLIENT_H
#define BENCH_WS_CLIENT_H

#include "peer.h"
#include "service.h"

#define WS_CLIENT_KEPT 16384

struct ws_clients;

/* The start of a role's own struct of a connection. */
struct ws_client {
    struct peer peer;
    struct service_client service_client;
    uint64_t skip; /* bytes of a frame that are still to be thrown away */
    enum { WS_CLIENT_SHAKES_HANDS, WS_CLIENT_WAITS, WS_CLIENT_TAKES_PART } state;
};

struct ws_client_handler {
    /* Of one that takes part. */
    void (*received)(struct ws_client *client, struct bytes message, uint64_t now_us);
    /* All take part. */
    void (*ready)(void *arg);
    /* One that was lost takes part again. NULL: nothing to do. */
    void (*returned)(struct ws_client *client);
};

/* size: of the role's struct. */
struct ws_clients *ws_clients_create(struct worker *worker, const struct service *service,
                                     bool speak, size_t size,
                                     const struct ws_client_handler *handler, void *arg);
struct ws_client *ws_clients_at(struct ws_clients *clients, uint32_t index);
void *ws_clients_arg(const struct ws_clients *clients);
struct ws_clients *ws_client_owner(const struct ws_client *client);
/* Connects all, and lets them take part. */
void ws_clients_start(struct ws_clients *clients);
/* To be appended to with frames; then ws_client_flush. */
struct writer *ws_client_output(struct ws_client *client);
void ws_client_flush(struct ws_client *client);

#endif
