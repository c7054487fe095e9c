/*
 * turntable_private: what the files of the turntable protocol share.
 *
 *   turntable.c           service, ports, a session's life
 *   message.c   what a message asks, and its refusal
 *   identity.c  idme, joingame without it: who a session is, and its token; status
 *   presence.c  subscriptions, and changes of statuses to those who are subscribed
 *   answer.c    answers to subscribe
 *   room.c      rooms: joining, leaving, what is said in them
 *   user.c      users of whom sessions are here: invitations and packets for them
 *   there.c     whothere
 *
 * A session is in the service's list until its end is decided, which may be in the middle of
 * telling many something; then Close has been said, it is told nothing more, and it lets go of the
 * map in a deferred task.
 */
#ifndef PROTOCOL_TURNTABLE_TURNTABLE_PRIVATE_H
#define PROTOCOL_TURNTABLE_TURNTABLE_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/frame.h"
#include "base/hash.h"
#include "base/ids.h"
#include "base/list.h"
#include "base/log.h"
#include "codec/turntable.h"
#include "loop/loop.h"
#include "loop/pending.h"
#include "map/session.h"
#include "metrics/metrics.h"
#include "presence/invite.h"
#include "presence/presence.h"
#include "protocol/session/session.h"
#include "protocol/turntable/turntable.h"
#include "relay/relay.h"
#include "room/room.h"
#include "view/view.h"

/* Close codes of the private range. */
#define CLOSE_REPLACED 4001
#define CLOSE_LOST     4002

struct subscriptions;
struct credentials;
struct changed;

/* A user of whom sessions are here. */
struct user {
    UT_hash_handle hh; /* the subscribers' */
    struct list sessions;
    uint8_t len;
    char name[];
};

/* What the sessions of one space share. */
struct turntable_subscribers {
    struct list link; /* the service's */
    struct turntable_service *service;
    struct map_space *space;
    size_t ports;
    int64_t window; /* ms: turntable.window, as it was looked up last */
    struct presence_set *presence;
    struct map_rooms *rooms;
    struct relay_listener listener;
    struct user *users; /* by name */

    struct changed *changed;          /* to be told, by presence */
    struct loop_task flush;           /* tells them */
    struct loop_timer *joined;        /* runs for turntable.window after each telling */
    struct loop_pending_set *answers; /* to subscribe: struct presence_answer */
    struct list answering;            /* struct subscriptions whose first answer may be complete */
    struct loop_task answer;

    struct list asking; /* struct asked: whotheres that read a room */
    struct loop_task ask;
    struct map_watcher watcher; /* view NULL: not watching */
    size_t reads;               /* whotheres that wait for the view */
    struct frame *there;        /* the last answer, with its generation */
    uint64_t there_generation;
};

struct turntable_service {
    struct protocol_service common; /* ending: have sent Close, and are still in the map */
    struct list subscriber_lists;   /* struct turntable_subscribers */
    struct frame *idyou;
    struct log_limit refused_limit;
    struct log_limit closed_limit;
    struct log_limit ignored_limit;
};

struct turntable_port {
    struct turntable_service *service;
    struct turntable_subscribers *subscribers;
    struct map_space *space;
    const struct turntable_settings *settings;
};

enum session_state {
    SESSION_ANONYMOUS,
    SESSION_IDENTIFYING, /* its entry is being opened */
    SESSION_IDENTIFIED,
    SESSION_ENDED /* Close has been said */
};

/* Why no message is read. */
enum stop_reason {
    STOP_FULL = 1,    /* turntable.pipeline requests are under way */
    STOP_BARRIER = 2, /* the next message needs the outcome of the last */
};

struct turntable_session {
    struct list link; /* the service's */
    struct turntable_port *port;
    struct websocket *websocket;
    struct map_session *map; /* NULL before idme, and after the end */
    struct user *user;       /* IDENTIFIED */
    struct list of_user;
    struct subscriptions *subscriptions; /* NULL: none */
    struct credentials *credentials;     /* NULL: none are wanted */
    struct list rooms;                   /* struct membership */
    struct list asked;                   /* struct asked: whotheres that wait */
    struct error_budget errors;
    uint32_t under_way;            /* requests that wait for the map */
    char id[ID_CLIENT_LENGTH + 1]; /* of its entry: IDENTIFIED */
    uint8_t state;                 /* enum session_state */
    uint8_t stops;                 /* enum stop_reason */
    uint8_t status;                /* enum map_status, as the map has it */
    bool busy : 1;                 /* it has said so */
    bool joined_first : 1;         /* it was identified by joingame */
};

/* turntable.c */
uint64_t turntable_now_ms(const struct turntable_session *session);
struct bytes turntable_user(const struct turntable_session *session);
struct bytes turntable_id(const struct turntable_session *session);
struct conn *turntable_conn(const struct turntable_session *session);
/* More than turntable.max_backlog bytes wait to be read by the peer. */
bool turntable_is_far_behind(const struct turntable_session *session);
/* Says Close. */
void turntable_close(struct turntable_session *session, unsigned code, const char *reason);
/* The same for a connection's reason, which chooses the code. */
void turntable_end(struct turntable_session *session, enum conn_close_reason why);
void turntable_stop(struct turntable_session *session, enum stop_reason reason);
void turntable_go(struct turntable_session *session, enum stop_reason reason);
/* Requests that the map is asked for, and that it has answered or will not answer. */
void turntable_asks(struct turntable_session *session, size_t count);
void turntable_answered(struct turntable_session *session, size_t count);
/* A text message; of the one kind that is counted. */
void turntable_send(struct turntable_session *session, enum metric kind, const struct writer *text);
void turntable_send_frame(struct turntable_session *session, enum metric kind, struct frame *frame);
/* Frees the writer. */
struct frame *turntable_text_frame(struct writer *text);

/* message.c */
void turntable_message_take(struct turntable_session *session, enum websocket_opcode opcode,
                            struct bytes bytes);
/* Tells that a message was refused; those who keep on are closed. command may be "". */
void turntable_message_refuse(struct turntable_session *session, enum turntable_code code,
                              const char *why, const char *command);
/* Tells what went wrong without the client's doing. */
void turntable_message_tell(struct turntable_session *session, enum turntable_code code,
                            const char *why, const char *command);
/* The same for what the map said; what names the thing that could not be done. */
void turntable_message_tell_result(struct turntable_session *session, enum map_result result,
                                   const char *what, const char *command);

/* identity.c */
void turntable_identity_begin(struct turntable_session *session,
                              const struct ws_request *ws_request);
void turntable_identity_end(struct turntable_session *session);
/* With authentication on: a good token has been shown. */
bool turntable_identity_is_admitted(const struct turntable_session *session);
void turntable_identity_take(struct turntable_session *session,
                             const struct turntable_message *message);
/* The same by the joingame of an anonymous session, which joins the room when it is identified. */
void turntable_identity_take_join(struct turntable_session *session,
                                  const struct turntable_message *message);
/* The session's status by what it has said, and whether it is in a room. */
void turntable_identity_update_status(struct turntable_session *session);

/* presence.c */
#define TOLD_NOTHING 0xff

/* A name that a session watches; or, with of NULL, that is kept until its change has been told. */
struct watch {
    struct presence_watch at;
    struct subscriptions *of;
    uint32_t awaited; /* answers that wait for it */
    uint8_t told;     /* enum map_status, or TOLD_NOTHING */
    bool removed;
};

/* What a session is subscribed to. */
struct subscriptions {
    struct turntable_session *session;
    struct list answering;  /* in the subscribers' */
    struct list answers;    /* struct presence_answer, oldest first */
    struct watch **watches; /* by name */
    size_t count;
    bool behind; /* some of them have not been told their newest status */
};

void turntable_presence_begin(struct turntable_subscribers *subscribers);
void turntable_presence_free(struct turntable_subscribers *subscribers);
void turntable_presence_subscribe(struct turntable_session *session,
                                  const struct turntable_message *message);
void turntable_presence_unsubscribe(struct turntable_session *session,
                                    const struct turntable_message *message);
void turntable_presence_drained(struct turntable_session *session);
void turntable_presence_end(struct turntable_session *session);
/* What is to be told of the watches, each its newest status, in as many messages as it takes. */
void turntable_presence_tell(struct turntable_session *session, struct watch *const *watches,
                             size_t count);

/* answer.c */
struct presence_answer;
void turntable_answer_begin(struct turntable_subscribers *subscribers);
void turntable_answer_free(struct turntable_subscribers *subscribers);
/* Answers with the statuses of the watches when all are known, in the order of the requests. */
void turntable_answer_expect(struct subscriptions *subscriptions, struct watch *const *watches,
                             size_t count);
/* A status has become known for which answers wait. */
void turntable_answer_wake(struct subscriptions *subscriptions);
/* Watches that are marked as removed are about to be no more. */
void turntable_answer_forget_removed(struct subscriptions *subscriptions);
void turntable_answer_drop_all(struct subscriptions *subscriptions);

/* room.c */
extern const struct map_room_callbacks turntable_room_callbacks;
void turntable_room_take_join(struct turntable_session *session,
                              const struct turntable_message *message);
void turntable_room_take_game(struct turntable_session *session,
                              const struct turntable_message *message);
void turntable_room_take_leave(struct turntable_session *session,
                               const struct turntable_message *message);
/* Remembers what a session that is not identified yet asks for; to be joined when it is. */
void turntable_room_ask(struct turntable_session *session, const struct turntable_message *message);
/* False when nothing was asked for. Else on_joined's end lets reading go on. */
bool turntable_room_join_asked(struct turntable_session *session);
void turntable_room_forget_asked(struct turntable_session *session);
/* A room that the session is in; NULL otherwise. */
struct map_room *turntable_room_of(const struct turntable_session *session, struct bytes name);
void turntable_room_end(struct turntable_session *session);

/* user.c */
void turntable_user_begin(struct turntable_subscribers *subscribers);
void turntable_user_free(struct turntable_subscribers *subscribers);
void turntable_user_add(struct turntable_session *session, struct bytes name);
void turntable_user_remove(struct turntable_session *session);
/* A map_sink's relayed. */
bool turntable_user_relayed(void *session, struct bytes from, struct bytes packet);
/* A invite_callback. */
void turntable_user_invited(void *session, struct bytes invitation);

/* there.c */
void turntable_there_begin(struct turntable_subscribers *subscribers);
void turntable_there_free(struct turntable_subscribers *subscribers);
void turntable_there_take(struct turntable_session *session,
                          const struct turntable_message *message);
void turntable_there_end(struct turntable_session *session);

#endif
