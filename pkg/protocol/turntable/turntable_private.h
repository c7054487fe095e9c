/*
 * turntable_private: what the files of the turntable protocol share.
 *
 *   turntable.c  service, ports, a session's life cycle
 *   message.c    dispatching messages; errors
 *   identity.c   idme, and joingame without it: a session's user and token; status
 *   presence.c   subscriptions, and sending changes of status to subscribers
 *   answer.c     answers to subscribe
 *   room.c       rooms: joining, leaving, messages in them
 *   invite.c     inviting users to them
 *   user.c       users with sessions on this front-end: invitations and packets for them
 *   whothere.c      whothere
 *
 * A session may be closed in the middle of a broadcast. Close is sent at once, and nothing after
 * it; the session is detached from the map, and leaves the service's list, in a deferred task.
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

/* A user with sessions on this front-end. */
struct user {
    UT_hash_handle hh; /* the subscribers' */
    struct list sessions;
    uint8_t len;
    char name[];
};

/* What the sessions in one space share. */
struct turntable_subscribers {
    struct list link; /* the service's */
    struct turntable_service *service;
    struct map_space *space;
    size_t ports;
    int64_t window; /* ms: turntable.window at the last subscribe */
    struct presence_set *presence;
    struct room_set *rooms;
    struct relay_listener listener;
    struct user *users; /* by name */

    struct changed *changed;          /* to be sent, by presence */
    struct loop_task flush;           /* sends them */
    struct loop_timer *window_timer;  /* runs for turntable.window after they were sent */
    struct loop_pending_set *answers; /* to subscribe: struct presence_answer */
    struct list answering;            /* struct subscriptions whose first answer may be complete */
    struct loop_task answer;

    struct list rooms_due; /* struct whothere_request: those whose room is to be read */
    struct loop_task read_rooms;
    struct map_watcher watcher; /* view NULL: not watching */
    size_t reads;               /* whothere_requests that wait for the view */
    struct frame *there;        /* the last answer for the space, of there_generation */
    uint64_t there_generation;
    /* The last lists of a room's users, as its members get them and as whothere does; the room's
     * generation says which room's. */
    struct frame *present, *room_there;
    uint64_t present_generation, room_there_generation;
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

/* A session's life cycle. identity.c has the transitions up to IDENTIFIED. */
enum turntable_session_state {
    TURNTABLE_SESSION_ANONYMOUS,
    TURNTABLE_SESSION_IDENTIFYING, /* its entry is being opened */
    TURNTABLE_SESSION_IDENTIFIED,
    TURNTABLE_SESSION_CLOSING /* Close has been sent */
};

/* Why reading is paused. */
enum turntable_stop_reason {
    STOP_FULL = 1,    /* turntable.pipeline requests are in progress */
    STOP_BARRIER = 2, /* the next message depends on the result of the last */
};

struct turntable_session {
    struct list link; /* the service's */
    struct turntable_port *port;
    struct websocket *websocket;
    struct map_session *map; /* NULL before idme, and once it is detached */
    struct user *user;       /* IDENTIFIED */
    struct list of_user;
    struct subscriptions *subscriptions; /* NULL: none */
    struct credentials *credentials;     /* NULL: authentication is off */
    struct list rooms;                   /* struct membership */
    struct invite_round *invite_rounds;  /* NULL: none */
    struct list whothere_requests;       /* struct whothere_request */
    struct error_budget errors;
    uint32_t under_way;            /* requests in progress */
    char id[ID_CLIENT_LENGTH + 1]; /* of its entry: IDENTIFIED */
    uint8_t state;                 /* enum turntable_session_state */
    uint8_t stops;                 /* enum turntable_stop_reason */
    uint8_t status;                /* enum map_status, as the map has it */
    bool busy : 1;                 /* by its status message */
    bool joined_first : 1;         /* it was identified by joingame */
};

/* turntable.c */
uint64_t turntable_now_ms(const struct turntable_session *session);
struct bytes turntable_user(const struct turntable_session *session);
struct bytes turntable_id(const struct turntable_session *session);
struct conn *turntable_conn(const struct turntable_session *session);
/* Charges the connection for what its message causes: so many of these for a unit of work, and what
 * it is sent. However much it is, it waits for no longer than conn_charge says. */
void turntable_charge(const struct turntable_session *session, size_t count, size_t for_unit);
#define TURNTABLE_RECEIVERS_PER_UNIT 8
#define TURNTABLE_MEMBERS_PER_UNIT   3 /* who are notified of one that joins or leaves */
#define TURNTABLE_ENTRIES_PER_UNIT   64
#define TURNTABLE_BYTES_PER_UNIT     1024
#define TURNTABLE_SENT_PER_UNIT      32768 /* bytes to all receivers together */
/* More than turntable.max_backlog bytes of output wait for the peer, after an attempt to send them.
 */
bool turntable_is_over_backlog(const struct turntable_session *session);
/* Every change of a session's state. */
void turntable_session_move(struct turntable_session *session, enum turntable_session_state state);
/* Sends Close. */
void turntable_close(struct turntable_session *session, unsigned code, const char *reason);
/* The same; the code follows from the connection's reason. */
void turntable_end(struct turntable_session *session, enum conn_close_reason why);
void turntable_stop_reading(struct turntable_session *session, enum turntable_stop_reason reason);
void turntable_resume_reading(struct turntable_session *session, enum turntable_stop_reason reason);
/* Count requests in progress; at turntable.pipeline reading pauses. */
void turntable_request_begin(struct turntable_session *session, size_t count);
void turntable_request_end(struct turntable_session *session, size_t count);
/* Sends a text message, which is counted as kind. */
void turntable_send(struct turntable_session *session, enum metric kind, const struct writer *text);
void turntable_send_frame(struct turntable_session *session, enum metric kind, struct frame *frame);
/* Frees the writer. */
struct frame *turntable_text_frame(struct writer *text);

/* message.c */
void turntable_message_receive(struct turntable_session *session, enum websocket_opcode opcode,
                               struct bytes bytes);
/* Sends an error for a message that was refused; after turntable.max_errors the session is closed.
 * command may be "". */
void turntable_message_refuse(struct turntable_session *session, enum turntable_code code,
                              const char *why, const char *command);
/* The same for an error that is not the client's. */
void turntable_send_error(struct turntable_session *session, enum turntable_code code,
                          const char *why, const char *command);
/* The same for a result of the map; what: the thing that could not be done. */
void turntable_send_result(struct turntable_session *session, enum map_result result,
                           const char *what, const char *command);

/* identity.c */
void turntable_identity_begin(struct turntable_session *session,
                              const struct ws_request *ws_request);
void turntable_identity_end(struct turntable_session *session);
/* Authentication is off, or a valid token has been received. */
bool turntable_identity_is_admitted(const struct turntable_session *session);
void turntable_identity_idme(struct turntable_session *session,
                             const struct turntable_message *message);
/* joingame; that of an anonymous session identifies it, and joins the room then. */
void turntable_identity_join(struct turntable_session *session,
                             const struct turntable_message *message);
/* The session's status follows from its status message, and from whether it is in a room. */
void turntable_identity_update_status(struct turntable_session *session);

/* presence.c */
#define SENT_NOTHING 0xff

/* A name that a session watches; or, with of NULL, one that is kept until its change is sent. */
struct watch {
    struct presence_watch at;
    struct subscriptions *of;
    uint32_t awaited; /* answers that wait for it */
    uint8_t sent;     /* the last status sent: enum map_status, or SENT_NOTHING */
    bool removed;
};

/* What a session is subscribed to. */
struct subscriptions {
    struct turntable_session *session;
    struct presence_account *account;
    struct list answering;  /* in the subscribers' */
    struct list answers;    /* struct presence_answer, oldest first */
    struct watch **watches; /* by name */
    size_t count;
    bool backlogged; /* some changes were not sent, as the connection had a backlog */
};

void turntable_presence_begin(struct turntable_subscribers *subscribers);
void turntable_presence_free(struct turntable_subscribers *subscribers);
void turntable_presence_subscribe(struct turntable_session *session,
                                  const struct turntable_message *message);
void turntable_presence_unsubscribe(struct turntable_session *session,
                                    const struct turntable_message *message);
void turntable_presence_drained(struct turntable_session *session);
void turntable_presence_end(struct turntable_session *session);
/* Sends the newest status of each, in as many messages as it takes. */
void turntable_presence_send(struct turntable_session *session, struct watch *const *watches,
                             size_t count);

/* answer.c */
struct presence_answer;
void turntable_answer_begin(struct turntable_subscribers *subscribers);
void turntable_answer_free(struct turntable_subscribers *subscribers);
/* Answers with the statuses of the watches once all are known, in the order of the requests. */
void turntable_answer_expect(struct subscriptions *subscriptions, struct watch *const *watches,
                             size_t count);
/* A status has become known: sends the answers that are complete, later in this iteration. */
void turntable_answer_check_soon(struct subscriptions *subscriptions);
/* Before watches that are marked as removed are freed. */
void turntable_answer_forget_removed(struct subscriptions *subscriptions);
void turntable_answer_drop_all(struct subscriptions *subscriptions);

/* room.c */
extern const struct room_callbacks turntable_room_callbacks;
void turntable_room_join(struct turntable_session *session,
                         const struct turntable_message *message);
void turntable_room_game(struct turntable_session *session,
                         const struct turntable_message *message);
void turntable_room_leave(struct turntable_session *session,
                          const struct turntable_message *message);
/* Keeps the joingame of a session that is not identified yet, until it is. */
void turntable_room_defer_join(struct turntable_session *session,
                               const struct turntable_message *message);
/* False when there is none. Else reading resumes when the room has been joined. */
bool turntable_room_start_deferred_join(struct turntable_session *session);
void turntable_room_drop_deferred_join(struct turntable_session *session);
/* A room that the session is in; NULL otherwise. */
struct room *turntable_room_of(const struct turntable_session *session, struct bytes name);
void turntable_room_end(struct turntable_session *session);

/* invite.c */
struct invite_round;
/* Invitations of one joingame: begin, send each, finish. */
struct invite_round *turntable_invite_begin(struct turntable_session *session);
void turntable_invite_send(struct invite_round *round, struct bytes room, struct bytes user);
void turntable_invite_finish(struct invite_round *round);
/* The session ends: no result is delivered any more. */
void turntable_invite_drop_all(struct turntable_session *session);

/* user.c */
void turntable_user_begin(struct turntable_subscribers *subscribers);
void turntable_user_free(struct turntable_subscribers *subscribers);
void turntable_user_add(struct turntable_session *session, struct bytes name);
void turntable_user_remove(struct turntable_session *session);
/* A map_sink's relayed. */
bool turntable_user_relayed(void *session, struct map_packet *packet);
/* An invite_callback. */
void turntable_user_invited(void *session, struct bytes invitation);

/* whothere.c */
void turntable_whothere_begin(struct turntable_subscribers *subscribers);
void turntable_whothere_free(struct turntable_subscribers *subscribers);
void turntable_whothere_answer(struct turntable_session *session,
                               const struct turntable_message *message);
void turntable_whothere_end(struct turntable_session *session);

#endif
