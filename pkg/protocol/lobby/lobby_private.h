/*
 * lobby_private: what the files of the lobby share.
 *
 *   lobby.c           service, ports, a session's life, its messages
 *   login.c     who is let in, as what
 *   game.c      game servers: their messages, and whether they live
 *   listing.c   their entries in the map
 *   verify.c    the number that they must bring
 *   subscribers.c  the list, and its changes in their order
 *   player.c    players: who is told what
 *   original.c  the original's packets
 *
 * A session is told to end once (lobby_end, or its connection is gone); from then on it is nobody's
 * but its connection's.
 */
#ifndef PROTOCOL_LOBBY_LOBBY_PRIVATE_H
#define PROTOCOL_LOBBY_LOBBY_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "auth/bucket.h"
#include "auth/password.h"
#include "auth/penalty.h"
#include "auth/slots.h"
#include "base/address.h"
#include "base/frame.h"
#include "base/hash.h"
#include "base/list.h"
#include "base/log.h"
#include "codec/gltron.h"
#include "codec/lobby.h"
#include "loop/loop.h"
#include "map/session.h"
#include "protocol/gameserver/gameserver.h"
#include "protocol/lobby/lobby.h"
#include "protocol/session/session.h"
#include "view/view.h"

struct verifier;
struct lobby_session;

struct lobby_service {
    struct protocol_service common;
    const struct lobby_settings *settings;
    const struct udp_settings *udp;
    struct bans *bans;
    struct bans_watcher bans_watcher;
    struct penalty_table *penalties;
    struct verifier *verifier; /* NULL until it is needed */
    struct list newcomers;     /* those that have not logged in, oldest first */
    struct list subscriber_lists;
    struct slots slots[3]; /* by enum lobby_pool */
    struct log_limit malformed_limit, refused_limit, ended_limit;
};

struct lobby_port {
    struct lobby_service *service;
    struct map_space *space;
    struct lobby_subscribers *subscribers;
    enum lobby_role role;
    const struct lobby_settings *settings;
    struct password_list *passwords; /* of passwords_text */
    char *passwords_text;
};

enum lobby_pool { POOL_NEWCOMERS, POOL_SERVERS, POOL_CLIENTS };

enum session_state {
    SESSION_NEW,     /* has not logged in */
    SESSION_WAITING, /* has, and waits for bad passwords of its address */
    SESSION_GAME,
    SESSION_PLAYER,
    SESSION_ENDED
};

/* A login as a game server that waits to be judged. */
struct lobby_login {
    char *password;
    size_t password_len;
    char *name; /* NULL: none */
    uint16_t port;
};

struct lobby_session {
    struct list link;     /* the service's */
    struct list newcomer; /* the service's, while it is one */
    struct lobby_port *port;
    struct conn *conn;
    struct loop_timer *timer; /* of the login: its deadline, or its wait */
    struct loop_timer *pause; /* NULL until it was over the rate: then it is read again */
    struct lobby_login *login;
    struct game *game;     /* SESSION_GAME */
    struct player *player; /* SESSION_PLAYER */
    struct bucket bucket;
    struct error_budget errors;
    uint8_t state;    /* enum session_state */
    uint8_t encoding; /* enum lobby_encoding */
    uint8_t pool;     /* enum lobby_pool: the slot that it has */
};

/* How a session ends. */
struct lobby_ending {
    enum lobby_code code; /* told to peers that speak JSON; LOBBY_CODE_COUNT: nothing is told */
    const char *why;
    enum conn_close_reason reason;
    bool leave; /* a server's entry waits for its return */
};

/* lobby.c */
static inline const struct lobby_settings *lobby_settings_of(const struct lobby_session *session)
{
    return session->port->settings;
}
static inline uint64_t lobby_now(const struct lobby_session *session)
{
    return loop_now_ms(session->port->service->common.loop);
}
/* Tells, counts and logs why the session ends, and ends it. Harmless when it has ended. */
void lobby_end(struct lobby_session *session, const struct lobby_ending *ending);
/* The same with a code, for what cannot be mended. */
void lobby_end_with(struct lobby_session *session, enum lobby_code code, const char *why);
/* A message was refused, and the connection goes on, unless it keeps on. */
void lobby_refuse(struct lobby_session *session, enum lobby_code code, const char *why);
/* Sends what was written, and frees the writer. */
void lobby_send(struct lobby_session *session, struct writer *message);
bool lobby_is_json(const struct lobby_session *session);
/* The session leaves the newcomers with that slot. */
void lobby_admit(struct lobby_session *session, enum session_state state, enum lobby_pool pool);

/* login.c */
void lobby_login_begin(struct lobby_session *session);
void lobby_login_free(struct lobby_session *session);
/* password.data NULL: a player's. */
void lobby_login_take(struct lobby_session *session, struct bytes password, struct bytes name,
                      uint16_t port);

/* game.c */
enum listing_state {
    LISTING_NONE, /* not verified, or no infos yet, or no address */
    LISTING_OPENING,
    LISTING_RESUMING,  /* its id was taken: perhaps by its own old connection */
    LISTING_REOPENING, /* or by its own registration with the master, which has been withdrawn */
    LISTING_LISTED
};
struct game {
    struct lobby_session *session;
    struct map_session *map;
    char *name;                 /* whose password it was; NULL: the one without a name */
    char id[ADDRESS_TEXT_SIZE]; /* "" until its port is known */
    struct address address;
    struct gameserver_fields wanted, changes;
    enum listing_state listing;
    bool has_infos;
    bool verified;
    bool suspect;
    /* Life. */
    struct loop_timer *timer; /* the next ping, or the end of patience */
    uint64_t ping_ms;         /* when the next ping is due */
    uint64_t unanswered_ms;   /* when the first unanswered one was sent */
    uint64_t sent, answered;  /* numbers of pings */
    /* Verification. */
    struct loop_timer *verify_timer;
    uint64_t number; /* 0: none was sent */
    int64_t tries;
};
/* port: 0 of the original's servers, which say it with their infos. */
void lobby_game_begin(struct lobby_session *session, const char *name, uint16_t port);
void lobby_game_free(struct lobby_session *session, bool leave);
void lobby_game_take(struct lobby_session *session, const struct lobby_message *message);
/* original: the texts of an original packet that do not come back out of infos (gameserver.h). */
void lobby_game_take_infos(struct game *game, const struct lobby_infos *infos,
                           struct bytes original);
/* An original server's word; whatever it is, it lives. */
void lobby_game_heard(struct game *game);
/* It is where it says. */
void lobby_game_verified(struct game *game);
/* Sets the id, once. */
void lobby_game_set_address(struct game *game, uint16_t port);

/* listing.c */
void lobby_listing_end(struct game *game, bool leave);
/* Puts into the map what is wanted, when it may be there. */
void lobby_listing_update(struct game *game);

/* verify.c */
void lobby_verify_begin(struct game *game);
void lobby_verify_end(struct game *game);
void lobby_verify_take(struct game *game, uint64_t number);
void lobby_verifier_destroy(struct verifier **verifier);

enum player_state {
    PLAYER_DUE,     /* waits for the whole list */
    PLAYER_CURRENT, /* has been told everything, or will be when it reads on */
    PLAYER_BEHIND   /* is being told what it missed */
};
#define PLAYER_STATES 3

/* subscribers.c */
/* A server that is listed, or was. Lines stand in the order of their last change. */
struct line {
    UT_hash_handle hh;   /* by id; those that are listed */
    struct list link;    /* the subscribers' changes */
    struct list in_gone; /* the subscribers' gone, oldest first */
    uint64_t stamp;      /* of its last change */
    uint64_t born;       /* the stamp with which it came */
    struct writer text;  /* the server as JSON */
    bool gone;           /* it is not listed any more */
    bool has_packet;     /* the original's clients can be told of it */
    uint8_t packet[GLTRON_PACKET_SIZE];
    size_t id_len;
    char id[];
};
struct lobby_subscribers {
    struct list link; /* the service's */
    struct lobby_service *service;
    struct map_space *space;
    struct map_watcher watcher; /* view NULL: not watching */
    struct line *lines;         /* those that are listed */
    struct list changes;        /* struct line, those that are gone too */
    struct list gone;           /* struct line, a limited number of them */
    size_t gone_count;
    uint64_t stamp;                     /* of the last change */
    uint64_t forgotten;                 /* the last one of lines that are gone and not kept */
    struct list players[PLAYER_STATES]; /* by enum player_state */
    struct frame *all;                  /* the whole list at all_stamp; NULL: not made */
    uint64_t all_stamp;
    struct loop_task serve;
    struct loop_timer *flow;
    struct log_limit refused_limit, unfit_limit;
};
struct lobby_subscribers *lobby_subscribers_of(struct lobby_service *service,
                                               struct map_space *space);
void lobby_subscribers_free(struct lobby_subscribers *subscribers);
/* Watches the space from now on. NULL, or why the list cannot be told (static text). */
const char *lobby_subscribers_watch(struct lobby_subscribers *subscribers);
/* Lets go of the view when nobody is told the list any more. */
void lobby_subscribers_release(struct lobby_subscribers *subscribers);
/* Those that are due, at the end of this turn. */
void lobby_subscribers_ask_to_serve(struct lobby_subscribers *subscribers);
/* All listed servers as messages; lives until the next change. */
struct frame *lobby_subscribers_all(struct lobby_subscribers *subscribers);
/* The first line changed after the stamp, and the one after a line; NULL when there is none. */
struct line *lobby_subscribers_after(const struct lobby_subscribers *subscribers, uint64_t stamp);
struct line *lobby_subscribers_next(const struct lobby_subscribers *subscribers,
                                    const struct line *line);
bool lobby_subscribers_lists(const struct lobby_subscribers *subscribers, const char *id);

/* player.c */
struct player {
    struct list link; /* the subscribers', by state */
    struct lobby_session *session;
    struct map_read *read; /* waits for the view */
    uint64_t seen;         /* all changes up to this stamp have been told */
    uint8_t state;         /* enum player_state */
    bool last;             /* it says nothing more: the list is the end */
    char *shown[];         /* of the original's: ids by their place, GLTRON_SERVERS of them */
};
void lobby_player_begin(struct lobby_session *session);
void lobby_player_free(struct lobby_session *session);
/* It took what was sent. */
void lobby_player_drained(struct player *player);
/* It has closed its half. */
void lobby_player_ended(struct player *player);
/* Of the subscribers: those that are due get the list; all are told what came after `before`; the
 * next part for those that are behind; none can be told any more. */
void lobby_players_serve(struct lobby_subscribers *subscribers);
void lobby_players_tell(struct lobby_subscribers *subscribers, uint64_t before);
void lobby_players_flow(struct lobby_subscribers *subscribers);
void lobby_players_end_all(struct lobby_subscribers *subscribers, const char *why);

/* original.c */
void lobby_original_take(struct lobby_session *session, const struct gltron_packet *packet);
/* What the original's clients are told of a server; false when they cannot be. */
bool lobby_original_write(const struct gameserver *gameserver, uint8_t packet[GLTRON_PACKET_SIZE]);
/* Tells a player all that changed after what it has seen. */
void lobby_original_tell(struct player *player);
void lobby_original_forget(struct player *player);

#endif
