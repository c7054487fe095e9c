/*
 * turntable: the turntable protocol over WebSocket (docs/protocol-turntable.md): the presence of
 * users, and the rooms in which they play.
 *
 * One service serves the process, one port each listener and space. A connection that has
 * identified itself (idme) is an entry of the map, a device of its user. A message for many
 * receivers is encoded once.
 */
#ifndef PROTOCOL_TURNTABLE_TURNTABLE_H
#define PROTOCOL_TURNTABLE_TURNTABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/config.h"
#include "map/map.h"
#include "net/websocket/websocket.h"
#include "protocol/session/ws_request.h"

enum turntable_id_form { TURNTABLE_ID_ANY, TURNTABLE_ID_STRICT };
enum turntable_validate {
    TURNTABLE_VALIDATE_OFF,
    TURNTABLE_VALIDATE_FORM,
    TURNTABLE_VALIDATE_MEMBER
};
enum turntable_duplicate {
    TURNTABLE_DUPLICATE_ALLOW,
    TURNTABLE_DUPLICATE_REJECT,
    TURNTABLE_DUPLICATE_REPLACE
};

struct turntable_settings {
    int id_form;               /* turntable.id_form: enum turntable_id_form */
    int validate;              /* turntable.validate: enum turntable_validate */
    int duplicate_login;       /* turntable.duplicate_login: enum turntable_duplicate */
    int64_t window;            /* turntable.window, ms in which userchanges are merged */
    int64_t tolerance;         /* turntable.tolerance of timestamps, ms */
    int64_t max_ids;           /* turntable.max_ids in one message */
    int64_t max_invites;       /* turntable.max_invites in one message */
    int64_t max_subscriptions; /* turntable.max_subscriptions of a connection */
    int64_t max_rooms;         /* turntable.max_rooms of a connection */
    int64_t max_room_name;     /* turntable.max_room_name, bytes */
    int64_t max_actions;       /* turntable.max_actions of a game message */
    int64_t max_backlog;       /* turntable.max_backlog, bytes of output that may wait for a room
                                  member; above it the connection is closed with 1013 */
    int64_t max_errors;        /* turntable.max_errors in turntable.error_window; then 1008 */
    int64_t error_window;      /* turntable.error_window, ms */
    int64_t pipeline;          /* turntable.pipeline: requests in progress before reading pauses */
};
extern const struct config_module turntable_config;
/* NULL, or what is inconsistent (static text). */
const char *turntable_settings_check(const struct turntable_settings *settings);

struct turntable_service;
struct turntable_port;

/* The map must outlive the service. */
struct turntable_service *turntable_service_create(struct map *map);
/* All connections and ports must be gone. */
void turntable_service_destroy(struct turntable_service **service);
size_t turntable_service_count(const struct turntable_service *service); /* connections */
/* Closes at most count connections, the oldest first, with 1001. Returns how many. */
size_t turntable_service_drain(struct turntable_service *service, size_t count,
                               enum conn_close_reason why);

/* settings are read at each use and must outlive the port. */
struct turntable_port *turntable_port_create(struct turntable_service *service,
                                             struct map_space *space,
                                             const struct turntable_settings *settings);
/* Its connections must be gone. */
void turntable_port_destroy(struct turntable_port **port);
/* Serves a connection that has just been upgraded, until it is closed. */
void turntable_serve(struct turntable_port *port, struct websocket *websocket,
                     const struct ws_request *ws_request);

#endif
