/*
 * lobby_private: what the files of the lobby share.
 *
 *   lobby.c        service, ports, a session's life cycle and messages
 *   login.c        admitting a session as a game server or a player
 *   game.c         game servers: their messages, and pings
 *   listing.c      their entries in the map
 *   verify.c       the number that proves a server's address
 *   subscribers.c  the list, and its changes in their order
 *   player.c       players: sending them the list and its changes
 *   original.c     the original's packets
 *
 * A session is closed once, by lobby_end or with its connection; from then on only its connection
 * refers to it.
 */
#ifndef PROTOCOL_LOBBY_LOBBY_PRIVATE_H
#define PROTOCOL_LOBBY_LOBBY_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "auth/password.h"
#include "auth/penalty.h"
#include "auth/slots.h"
#include "base/address.h"
#include "base/frame.h"
#include "base/hash.h"
#include "base/list.h"
#include "base/log.h"
#include "budget/bucket.h"
#include "codec/gltron.h"
#include "codec/lobby.h"
#include "loop/loop.h"
#include "map/session.h"
#include "protocol/gameserver/gameserver.h"
#include "protocol/lobby/lobby.h"
#include "protocol/session/session.h"
#include "view/follower.h"
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
    struct list newcomers;     /* sessions that have not logged in, oldest first */
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

enum lobby_session_state {
    LOBBY_SESSION_NEW,     /* has not logged in */
    LOBBY_SESSION_DELAYED, /* has, and waits for bad passwords of its address */
    LOBBY_SESSION_SERVER,
    LOBBY_SESSION_PLAYER,
    LOBBY_SESSION_CLOSED
};

/* A game server's login whose password has not been checked yet. */
struct lobby_login {
    char *password;
    size_t password_len;
    char *name; /* NULL: none */
    uint16_t port;
};

struct lobby_session {
    struct list link;     /* the service's */
    struct list newcomer; /* the service's, until it has logged in */
    struct lobby_port *port;
    struct conn *conn;
    struct loop_timer *timer; /* of the login: its deadline, or the penalty's delay */
    struct lobby_login *login;
    struct game *game;     /* LOBBY_SESSION_SERVER */
    struct player *player; /* LOBBY_SESSION_PLAYER */
    struct bucket bucket;
    struct error_budget errors;
    uint8_t state;    /* enum lobby_session_state */
    uint8_t encoding; /* enum lobby_encoding */
    uint8_t pool;     /* enum lobby_pool: the slot that it holds */
};

/* How a session ends. */
struct lobby_ending {
    enum lobby_code code; /* sent to peers that speak JSON; LOBBY_CODE_COUNT: nothing is sent */
    const char *why;
    enum conn_close_reason reason;
    bool leave; /* a server's entry is kept for a reconnect */
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
/* Every change of a session's state. */
void lobby_session_move(struct lobby_session *session, enum lobby_session_state state);
/* Sends, counts and logs the reason, and closes the session. Does nothing when it is closed. */
void lobby_end(struct lobby_session *session, const struct lobby_ending *ending);
/* The same, with an error after which the connection cannot continue. */
void lobby_end_with(struct lobby_session *session, enum lobby_code code, const char *why);
/* Sends an error for a refused message; after lobby.max_errors the session is closed. */
void lobby_refuse(struct lobby_session *session, enum lobby_code code, const char *why);
/* Sends what was written, and frees the writer. */
void lobby_send(struct lobby_session *session, struct writer *message);
bool lobby_is_json(const struct lobby_session *session);
/* The session has logged in, and holds a slot of that pool. */
void lobby_admit(struct lobby_session *session, enum lobby_session_state state,
                 enum lobby_pool pool);

/* login.c */
void lobby_login_begin(struct lobby_session *session);
void lobby_login_free(struct lobby_session *session);
/* password.data NULL: a player's. */
void lobby_login_handle(struct lobby_session *session, struct bytes password, struct bytes name,
                        uint16_t port);

/* game.c */
enum listing_state {
    LISTING_NONE, /* not verified, or no infos yet, or no address */
    LISTING_OPENING,
    LISTING_RESUMING,  /* its id was taken: perhaps by its own old connection */
    LISTING_REOPENING, /* or by its own registration with the master, which is removed */
    LISTING_LISTED
};
struct game {
    struct lobby_session *session;
    struct map_session *map;
    char *name;                 /* of its password; NULL: lobby.password */
    char id[ADDRESS_TEXT_SIZE]; /* "" until its port is known */
    struct address address;
    struct gameserver_fields wanted, changes;
    enum listing_state listing;
    bool has_infos;
    bool verified;
    bool suspect;
    /* Pings. */
    struct loop_timer *timer; /* the next ping, or the time-out of an unanswered one */
    uint64_t ping_ms;         /* when the next ping is due */
    uint64_t unanswered_ms;   /* when the first unanswered one was sent */
    uint64_t sent, answered;  /* numbers of pings */
    /* Verification. */
    struct loop_timer *verify_timer;
    uint64_t number; /* 0: none was sent */
    int64_t tries;
};
/* port: 0 of the original's servers, which send it with their infos. */
void lobby_game_begin(struct lobby_session *session, const char *name, uint16_t port);
void lobby_game_free(struct lobby_session *session, bool leave);
void lobby_game_handle(struct lobby_session *session, const struct lobby_message *message);
/* original: the texts of an original packet that infos cannot restore (gameserver.h). */
void lobby_game_set_infos(struct game *game, const struct lobby_infos *infos,
                          struct bytes original);
/* A message of an original server, which stands for a pong. */
void lobby_game_mark_active(struct game *game);
/* It has proved its address. */
void lobby_game_verified(struct game *game);
/* Sets the id, once. */
void lobby_game_set_address(struct game *game, uint16_t port);

/* listing.c */
void lobby_listing_end(struct game *game, bool leave);
/* Opens or updates its entry, if it may be listed. */
void lobby_listing_update(struct game *game);

/* verify.c */
void lobby_verify_begin(struct game *game);
void lobby_verify_end(struct game *game);
void lobby_verify_check(struct game *game, uint64_t number);
void lobby_verifier_destroy(struct verifier **verifier);

/* subscribers.c */
/* A server that is or was listed. Lines are in the order of their last change. */
struct line {
    UT_hash_handle hh;   /* by id; while it is listed */
    struct list link;    /* the subscribers' changes */
    struct list in_gone; /* the subscribers' gone, oldest first */
    uint64_t stamp;      /* of its last change */
    uint64_t born;       /* the stamp at which it was added */
    struct writer text;  /* the server as JSON */
    bool gone;           /* it is not listed any more */
    bool has_packet;     /* it can be sent to the original's clients */
    uint8_t packet[GLTRON_PACKET_SIZE];
    size_t id_len;
    char id[];
};
struct lobby_subscribers {
    struct list link; /* the service's */
    struct lobby_service *service;
    struct map_space *space;
    struct map_watcher watcher; /* view NULL: not watching */
    struct line *lines;         /* listed ones */
    struct list changes;        /* struct line, gone ones included */
    struct list gone;           /* struct line, a limited number of them */
    size_t gone_count;
    uint64_t stamp;     /* of the last change */
    uint64_t forgotten; /* the newest stamp of a gone line that was freed */
    struct follower_list players;
    struct frame *all; /* the whole list at all_stamp; NULL: not written */
    uint64_t all_stamp;
    struct log_limit refused_limit, unfit_limit;
};
struct lobby_subscribers *lobby_subscribers_of(struct lobby_service *service,
                                               struct map_space *space);
void lobby_subscribers_free(struct lobby_subscribers *subscribers);
/* Watches the space from now on. NULL, or why there is no list (static text). */
const char *lobby_subscribers_watch(struct lobby_subscribers *subscribers);
/* Stops watching the space when there is no player any more. */
void lobby_subscribers_release(struct lobby_subscribers *subscribers);
/* All listed servers as messages; valid until the next change. */
struct frame *lobby_subscribers_all(struct lobby_subscribers *subscribers);
/* The first line changed after the stamp, and the one after a line; NULL when there is none. */
struct line *lobby_subscribers_first_after(const struct lobby_subscribers *subscribers,
                                           uint64_t stamp);
struct line *lobby_subscribers_next(const struct lobby_subscribers *subscribers,
                                    const struct line *line);
bool lobby_subscribers_has(const struct lobby_subscribers *subscribers, const char *id);

/* player.c */
struct player {
    struct follower follower; /* of the subscribers; no place but `seen` */
    struct lobby_session *session;
    uint64_t seen;  /* all changes up to this stamp have been sent */
    bool last;      /* it has closed its half: the list is all it gets */
    char *places[]; /* of an original client: its servers' ids, GLTRON_SERVERS of them */
};
void lobby_player_begin(struct lobby_session *session);
void lobby_player_free(struct lobby_session *session);
/* Its output has been sent. */
void lobby_player_drained(struct player *player);
/* It has closed its half. */
void lobby_player_ended(struct player *player);
extern const struct follower_callbacks lobby_player_callbacks;
/* Of all players: sends the changes after `before` to the current ones; closes all. */
void lobby_players_send_changes(struct lobby_subscribers *subscribers, uint64_t before);
void lobby_players_end_all(struct lobby_subscribers *subscribers, const char *why);

/* original.c */
void lobby_original_handle(struct lobby_session *session, const struct gltron_packet *packet);
/* A server as the original's clients receive it; false when they cannot. */
bool lobby_original_write(const struct gameserver *gameserver, uint8_t packet[GLTRON_PACKET_SIZE]);
/* Sends a player all changes after the last it was sent. */
void lobby_original_send_changes(struct player *player);
void lobby_original_free_places(struct player *player);

#endif
