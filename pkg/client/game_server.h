/*
 * game_server: keeps a game server listed in the lobby (docs/protocol-lobby.md).
 *
 * One object is one connection to a tracker, and one server in the list. It logs in, sends its
 * infos whenever they change, answers pings, proves its address, and reconnects after exponential
 * backoff with full jitter. All callbacks come from the loop, never from inside a function of this
 * header; each may call any function of this header, including game_server_destroy. No function
 * blocks the loop: host names are resolved in a thread, as tracker_client.h describes.
 *
 * The tracker verifies a server by a datagram to its game port. Pass each datagram that the game
 * does not recognize to game_server_handle_datagram.
 */
#ifndef CLIENT_GAME_SERVER_H
#define CLIENT_GAME_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "client/lobby_options.h"
#include "codec/lobby.h"
#include "loop/loop.h" /* loop_create; loop_fd, to embed it in the game's own loop */

struct game_server;

/* Any may be NULL. Arguments are valid until the callback returns. */
struct game_server_events {
    /* Logged in; the server is listed under this id. verify: only after the datagram that verifies
     * its address has arrived. */
    void (*logged_in)(void *arg, struct bytes id, bool verify);
    /* The tracker refused the login or the infos. If it also closes the connection, disconnected
     * follows. */
    void (*refused)(void *arg, enum lobby_code code, struct bytes reason);
    /* The client reconnects by itself. */
    void (*disconnected)(void *arg, const char *reason);
};

struct game_server_options {
    struct lobby_options link;
    const char *password; /* copied */
    const char *name;     /* the name of the password; NULL: the one without a name */
    uint16_t port;        /* UDP port of the game */
    /* The shortest time between two sends of infos; only the newest are sent. 0: 100 ms. */
    uint32_t infos_interval_ms;
};

/* NULL when an option is invalid; then *error is a message that the caller frees. The events and
 * the loop must live as long as the server. */
struct game_server *game_server_create(struct loop *loop, const struct game_server_options *options,
                                       const struct game_server_events *events, void *arg,
                                       char **error) __attribute__((warn_unused_result));
/* Closes the connection, which removes the server from the list. No callback follows. Sets the
 * pointer to NULL. */
void game_server_destroy(struct game_server **server);

/* Starts connecting, and reconnects until stopped. No effect when started. */
void game_server_start(struct game_server *server);
/* Removes the server from the list, without a callback, until it is started again. */
void game_server_stop(struct game_server *server);
/* Whether the tracker has accepted the login of this connection. */
bool game_server_is_logged_in(const struct game_server *server);

/* Replaces all infos of the server: names with JSON values (a string with its quotes, a number,
 * true, false). "speed", "size", "erase", "description", "version" and "players" have a defined
 * meaning. They are copied, and sent now and after each login. False, with nothing changed, when
 * they do not fit a line, or have a reserved name (lobby_is_reserved) or a value that is not a JSON
 * scalar. */
bool game_server_set_infos(struct game_server *server, const struct lobby_property *properties,
                           size_t count);

/* Handles a datagram that arrived at the game port. True when it was the tracker's. */
bool game_server_handle_datagram(struct game_server *server, struct bytes datagram);

#endif
