/*
 * sync_private: what the files of metadata sync share.
 *
 *   sync.c         service, ports, a session's life
 *   sync_packet.c  what a client's packet asks, and its refusal
 */
#ifndef PROTOCOL_SYNC_PRIVATE_H
#define PROTOCOL_SYNC_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "base/log.h"
#include "codec/sync.h"
#include "loop/loop.h"
#include "protocol/sync.h"

struct sync_service {
    struct map *map;
    struct loop *loop;
    const char *version;
    struct list sessions; /* not being ended, oldest first */
    size_t count;         /* of sessions, those being ended too */
    size_t ports;
    struct log_limit refused_limit;
};

struct sync_port {
    struct sync_service *service;
    struct map_space *space;
    const struct sync_settings *settings;
};

struct sync_session {
    struct list link; /* the service's */
    struct sync_port *port;
    struct websocket *websocket;
    uint32_t errors_since; /* when those that are counted began, ms */
    uint32_t errors;
    bool ended; /* Close has been said */
};

/* sync.c */
/* Says Close. */
void sync_session_close(struct sync_session *session, enum websocket_code code, const char *reason);

/* sync_packet.c */
void sync_packet_take(struct sync_session *session, enum websocket_opcode opcode,
                      struct bytes bytes);
/* Tells that something was refused; those who keep on are closed. */
void sync_packet_refuse(struct sync_session *session, enum sync_code code, const char *why);

#endif
