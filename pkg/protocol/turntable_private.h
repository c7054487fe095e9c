/*
 * turntable_private: what the files of the turntable protocol share.
 *
 *   turntable.c          service, ports, a session's life
 *   turntable_message.c  what a message asks, and its refusal
 */
#ifndef PROTOCOL_TURNTABLE_PRIVATE_H
#define PROTOCOL_TURNTABLE_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/frame.h"
#include "base/list.h"
#include "base/log.h"
#include "codec/turntable.h"
#include "loop/loop.h"
#include "protocol/turntable.h"

struct turntable_service {
    struct map *map;
    struct loop *loop;
    struct list sessions; /* not being ended, oldest first */
    size_t count;         /* of sessions, those being ended too */
    size_t ports;
    struct frame *idyou;
    struct log_limit refused_limit;
};

struct turntable_port {
    struct turntable_service *service;
    struct map_space *space;
    const struct turntable_settings *settings;
};

struct turntable_session {
    struct list link; /* the service's */
    struct turntable_port *port;
    struct websocket *websocket;
    uint32_t errors_since; /* when those that are counted began, ms */
    uint32_t errors;
    bool ended; /* Close has been said */
};

/* turntable.c */
uint64_t session_now_ms(const struct turntable_session *session);
/* Says Close. */
void session_close(struct turntable_session *session, enum websocket_code code, const char *reason);

/* turntable_message.c */
void message_take(struct turntable_session *session, enum websocket_opcode opcode,
                  struct bytes bytes);
/* Tells that a message was refused; those who keep on are closed. command may be "". */
void message_refuse(struct turntable_session *session, enum turntable_code code, const char *why,
                    const char *command);

#endif
