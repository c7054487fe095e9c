/*
 * server_list: a player's live list of game servers (docs/protocol-lobby.md).
 *
 * One object is one connection to a tracker and the servers that it lists. After a loss the
 * connection comes back after exponential backoff with full jitter; meanwhile the list stays, and
 * only what has changed is told then. All callbacks come from the loop, never from inside a call
 * of this header; each may call any function here, destroy too. Nothing blocks the loop; a target
 * that is a name is looked up in a thread, as tracker_client.h says.
 */
#ifndef CLIENT_SERVER_LIST_H
#define CLIENT_SERVER_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include "base/bytes.h"
#include "client/lobby_options.h"
#include "codec/lobby.h"
#include "loop/loop.h" /* what makes the loop that it is given; loop_fd for a loop of the game's */

struct server_list;

enum server_list_change { SERVER_LIST_UP, SERVER_LIST_CHANGED, SERVER_LIST_DOWN };

/* Any may be NULL. What they are given lives until they return. */
struct server_list_events {
    /* A server has come, says something else of itself, or is gone (as it was known last). It stays
     * as it is in memory until the next call about the same server has returned. */
    void (*changed)(void *arg, enum server_list_change change, const struct lobby_server *server);
    /* The list is whole: after each connection, when all servers have been told. */
    void (*whole)(void *arg);
    void (*refused)(void *arg, enum lobby_code code, struct bytes reason);
    /* The list stays as it is known. */
    void (*disconnected)(void *arg, const char *reason);
};

/* NULL when the options are wrong; then *error is a message that the caller frees. The events and
 * the loop must live as long as the list. */
struct server_list *server_list_create(struct loop *loop, const struct lobby_options *options,
                                       const struct server_list_events *events, void *arg,
                                       char **error) __attribute__((warn_unused_result));
/* Without a callback; sets the pointer to NULL. */
void server_list_destroy(struct server_list **list);

/* Begins to connect, and comes back until stopped. Harmless when begun. */
void server_list_start(struct server_list *list);
/* Closes the connection without a callback: a player who goes to play. The list stays. */
void server_list_stop(struct server_list *list);
bool server_list_is_whole(const struct server_list *list);

size_t server_list_count(const struct server_list *list);
/* In no order; NULL after the last, and to begin with. Valid until the list's next callback. */
const struct lobby_server *server_list_next(const struct server_list *list,
                                            const struct lobby_server *server);
const struct lobby_server *server_list_find(const struct server_list *list, struct bytes id);

#endif
