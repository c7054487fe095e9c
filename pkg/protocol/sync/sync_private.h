/*
 * sync_private: what the files of metadata sync share.
 *
 *   sync.c           service, ports, a session's life
 *   packet.c    what a client's packet requests, and its refusal
 *   refused.c   errors that name the properties that were refused
 *   relay.c     packets from client to client
 *   subscribers.c  the clients of a space: new members get the map at once, all get ticks
 *   frames.c    the bytes of what they are sent
 *   cache.c     what is sent about each entry, and what is new
 *   missed.c    what clients with a backlog have missed
 *   members.c   properties as text
 *
 *   OPENING ─entry open─► WAITING ─entry in the view─► READY ─metadata sent─► MEMBER
 *   ENDED from any state; sync_session_move is the only place that changes it.
 */
#ifndef PROTOCOL_SYNC_SYNC_PRIVATE_H
#define PROTOCOL_SYNC_SYNC_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/frame.h"
#include "base/ids.h"
#include "base/list.h"
#include "base/log.h"
#include "codec/sync.h"
#include "loop/fanout.h"
#include "loop/loop.h"
#include "map/session.h"
#include "protocol/session/session.h"
#include "protocol/sync/cache.h"
#include "protocol/sync/missed.h"
#include "protocol/sync/sync.h"
#include "relay/relay.h"
#include "view/view.h"

#define SYNC_TOKEN_LENGTH  32 /* hex digits */
#define SYNC_SECRET_LENGTH 64 /* the token, and as many again */

/* A space's subscribers: the clients of its ports. The view is watched while there are sessions. */
struct sync_subscribers {
    struct list link; /* the service's */
    struct sync_service *service;
    struct map_space *space;
    struct map_watcher watcher;     /* view NULL: not watching */
    struct relay_listener listener; /* while watching */
    struct list entering;           /* sessions before MEMBER */
    struct list members;
    struct fanout packets; /* for all of them */
    size_t member_count;
    size_t deltas; /* members in delta mode */
    struct sync_cache cache;
    struct frame *rest;       /* of the whole map's metadata; NULL: not as it is now */
    size_t rest_len;          /* of the last one */
    struct loop_timer *tick;  /* runs while there is news */
    bool is_tick_paid;        /* a change since the last one was charged what it sends */
    struct loop_task admit;   /* those that are READY */
    struct loop_task release; /* the view, when the last session has ended */
    struct log_limit refused_limit;
};

struct sync_service {
    struct protocol_service common;
    const char *version;
    struct list subscriber_lists;
    struct log_limit refused_limit;
    struct log_limit open_limit;
};

struct sync_port {
    struct sync_service *service;
    struct sync_subscribers *subscribers;
    struct map_space *space;
    const struct sync_settings *settings;
};

enum sync_state {
    SYNC_OPENING, /* its entry is being opened or resumed */
    SYNC_WAITING, /* until its own entry is in the view */
    SYNC_READY,   /* becomes a member as soon as the view can be read; not read from until then */
    SYNC_MEMBER,  /* has been sent the map; gets ticks and packets */
    SYNC_ENDED    /* has left; its connection is being closed */
};

/* Why a session is ended from within the map. */
enum sync_end {
    SYNC_END_SILENT,
    SYNC_END_KICKED,
    SYNC_END_DROPPED, /* its client has resumed elsewhere */
    SYNC_END_TAKEN,   /* another client owns its entry now */
    SYNC_END_BACKLOG, /* it does not read */
    SYNC_END_UNKNOWN  /* the map has not been read yet */
};

/* What a session needs until it is a member. */
struct sync_entering {
    char secret[SYNC_SECRET_LENGTH + 1]; /* "": not asked for */
    struct map_read *read;               /* WAITING */
    bool is_resumed;                     /* it has resumed its entry */
};

struct sync_session {
    struct list link;   /* the service's */
    struct list place;  /* the subscribers' */
    struct list relays; /* struct sync_relay: packets whose outcome is not known yet */
    struct sync_port *port;
    struct websocket *websocket;
    struct map_session *map;        /* NULL: ended */
    struct sync_entering *entering; /* before MEMBER */
    struct sync_missed *missed;     /* NULL: nothing */
    struct sync_refused *refused;   /* NULL: no property in the last second */
    uint32_t unread;                /* most bytes of its output that are others' packets */
    struct error_budget errors;
    uint32_t under_way;   /* receivers whose outcome is not known yet */
    uint32_t last_packet; /* of those for all: the last that it has got, or that came before it */
    uint8_t state;        /* enum sync_state */
    uint8_t end;          /* enum sync_end, once sync_session_end_later was called */
    bool is_delta;
    bool may_resume;
    bool is_fresh; /* has been sent the map since the last tick */
    char token[SYNC_TOKEN_LENGTH + 1];
};

/* sync.c */
/* The one place that changes a session's state. */
void sync_session_move(struct sync_session *session, enum sync_state state);
/* Sends Close. */
void sync_session_close(struct sync_session *session, enum websocket_code code, const char *reason);
/* The same later in this iteration: for callbacks of the map. */
void sync_session_end_later(struct sync_session *session, enum sync_end why);

/* packet.c */
void sync_packet_handle(struct sync_session *session, enum websocket_opcode opcode,
                        struct bytes bytes);
/* Sends an error. */
void sync_packet_fail(struct sync_session *session, enum sync_code code, const char *why);

/* refused.c */
/* Sends the names of the packet's properties that were refused, at once or with the next of such
 * errors. The client keeps its connection, however often: its other properties are set. */
void sync_refused_add(struct sync_session *session, const struct sync_packet *packet);
void sync_refused_destroy(struct sync_refused **refused);

/* relay.c */
void sync_relay_send(struct sync_session *session, const struct sync_packet *packet);
/* Drops what has not been answered. */
void sync_relay_forget(struct sync_session *session);
/* A map_sink's relayed. */
bool sync_relay_receive(void *session, struct map_packet *packet);
/* A fanout_send, for a member. */
void sync_relay_deliver(void *subscribers, struct list *place, const struct fanout_frame *packet);
/* For all members of a list of subscribers: a relay_listener's broadcast. */
void sync_relay_broadcast(struct relay_listener *listener, struct bytes from, struct bytes packet);

/* subscribers.c */
struct sync_subscribers *sync_subscribers_of(struct sync_service *service, struct map_space *space);
void sync_subscribers_free(struct sync_subscribers *subscribers);
/* Watches for a session that enters; false when its space is too large to be sent (why: static). */
bool sync_subscribers_enter(struct sync_session *session, const char **why);
/* For sync_session_move. */
void sync_subscribers_wait(struct sync_session *session);
void sync_subscribers_admit_soon(struct sync_subscribers *subscribers);
void sync_subscribers_add_member(struct sync_session *session);
void sync_subscribers_leave(struct sync_session *session, enum sync_state from);
/* Its backlog has been sent. */
void sync_subscribers_drained(struct sync_session *session);

/* frames.c: each frame has one reference, the caller's. */
/* The rest of the metadata, with what is in the cache. */
struct frame *sync_frame_rest(const struct sync_subscribers *subscribers);
/* with_vanished: for clients to which those entries were shown. */
struct frame *sync_frame_changes(const struct sync_news *news, bool with_vanished);
/* In delta mode. */
struct frame *sync_frame_delta(const struct sync_cache *cache, const struct sync_news *news,
                               bool with_vanished);
struct frame *sync_frame_joined(const struct sync_joined *joined);

#endif
