/*
 * sync: sessions of metadata sync over WebSocket (docs/protocol-sync.md): each client is an entry
 * with properties; every sync.tick all get what changed, and the whole map.
 *
 * One service serves the process, one port each listener and space. What a tick sends is encoded
 * once for all receivers of a space. A receiver with a backlog gets later what changed meanwhile,
 * joined; it costs no more than the entries that changed.
 */
#ifndef PROTOCOL_SYNC_SYNC_H
#define PROTOCOL_SYNC_SYNC_H

#include <stddef.h>
#include <stdint.h>

#include "config/config.h"
#include "map/map.h"
#include "net/websocket/websocket.h"
#include "protocol/session/ws_request.h"

struct sync_settings {
    int64_t tick;           /* sync.tick, ms */
    int64_t max_properties; /* sync.max_properties of an entry */
    int64_t max_name;       /* sync.max_name, bytes of a property's name */
    int64_t max_total;      /* sync.max_total, bytes of an entry's names and values */
    int64_t max_receivers;  /* sync.max_receivers in one `to` */
    int64_t max_backlog;    /* sync.max_backlog, bytes not read; then 1013 */
    int64_t max_errors;     /* sync.max_errors in sync.error_window; then 1008 */
    int64_t error_window;   /* sync.error_window, ms */
    int64_t pipeline; /* sync.pipeline: receivers whose answers are pending; then reading stops */
};
extern const struct config_module sync_config;

struct sync_service;
struct sync_port;

/* version: of the build, for the metadata; static. The map must outlive the service. */
struct sync_service *sync_service_create(struct map *map, const char *version);
/* There must be no connections and no ports. */
void sync_service_destroy(struct sync_service **service);
size_t sync_service_count(const struct sync_service *service); /* connections */
/* Ends at most count connections, the oldest first: Close 1001; entries that may be resumed
 * stay. Returns how many. */
size_t sync_service_drain(struct sync_service *service, size_t count, enum conn_close_reason why);

/* settings are read at each use and must outlive the port. */
struct sync_port *sync_port_create(struct sync_service *service, struct map_space *space,
                                   const struct sync_settings *settings);
/* It must have no connections. */
void sync_port_destroy(struct sync_port **port);
/* Serves a connection that has just been upgraded, until it ends. ws_request.mode: "delta" or none;
 * ws_request.resume: present when it is asked for, and the secret to resume with when not empty.
 */
void sync_serve(struct sync_port *port, struct websocket *websocket,
                const struct ws_request *ws_request);

#endif
