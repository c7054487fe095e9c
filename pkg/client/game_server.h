/*
 * game_server: a game server that keeps itself listed in the lobby (docs/protocol-lobby.md).
 *
 * One object is one connection to a tracker, and the server's line in the list. It logs in, says
 * what it was given to say whenever that changes, answers pings, proves that it is where it says,
 * and comes back after exponential backoff with full jitter when the connection is lost. All
 * callbacks come from the loop, never from inside a call of this header; each may call any function
 * here, destroy too. Nothing blocks the loop; a target that is a name is looked up in a thread, as
 * tracker_client.h says.
 *
 * The tracker verifies a server by a datagram to its game port: the game gives each datagram that
 * it does not know to game_server_datagram.
 */
#ifndef CLIENT_GAME_SERVER_H
#define CLIENT_GAME_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "client/lobby_options.h"
#include "codec/lobby.h"
#include "loop/loop.h" /* what makes the loop that it is given; loop_fd for a loop of the game's */

struct game_server;

/* Any may be NULL. What they are given lives until they return. */
struct game_server_events {
    /* Logged in; it is listed under this id. verify: once its number has come by UDP. */
    void (*welcome)(void *arg, struct bytes id, bool verify);
    /* The tracker refused something: the login, infos. Whether the connection ends is told by
     * disconnected. */
    void (*refused)(void *arg, enum lobby_code code, struct bytes reason);
    void (*disconnected)(void *arg, const char *reason);
};

struct game_server_options {
    struct lobby_options link;
    const char *password; /* copied */
    const char *name;     /* whose password it is; NULL: the one that has no name */
    uint16_t port;        /* UDP, of the game */
    /* Infos that follow one another faster than this are joined: the last is said. 0: 100 ms. */
    uint32_t infos_interval_ms;
};

/* NULL when the options are wrong; then *error is a message that the caller frees. The events and
 * the loop must live as long as the server. */
struct game_server *game_server_create(struct loop *loop, const struct game_server_options *options,
                                       const struct game_server_events *events, void *arg,
                                       char **error) __attribute__((warn_unused_result));
/* Takes it off the list by closing, without a callback, and sets the pointer to NULL. */
void game_server_destroy(struct game_server **server);

/* Begins to connect, and comes back until stopped. Harmless when begun. */
void game_server_start(struct game_server *server);
/* Off the list, without a callback, until started again. */
void game_server_stop(struct game_server *server);
/* Logged in. */
bool game_server_is_welcome(const struct game_server *server);

/* What the server says of itself: all of it, names and JSON values (a string with its quotes, a
 * number, true, false); "speed", "size", "erase", "description", "version", "players" are known.
 * Copied; said now and after each login. False, and nothing changed, when it fits no line, holds a
 * reserved name (lobby_is_reserved) or a value that is no JSON scalar. */
bool game_server_set(struct game_server *server, const struct lobby_property *properties,
                     size_t count);

/* A datagram that came to the game port: true when it was the tracker's, and is done with. */
bool game_server_datagram(struct game_server *server, struct bytes datagram);

#endif
