/*
 * server_list: a player's live list of game servers (docs/protocol-lobby.md).
 *
 * One object is one connection to a tracker and the servers that it lists. After a loss it
 * reconnects after exponential backoff with full jitter; the list remains meanwhile, and only
 * differences are reported afterwards. All callbacks come from the loop, never from inside a
 * function of this header; each may call any function of this header, including
 * server_list_destroy. No function blocks the loop: host names are resolved in a thread, as
 * tracker_client.h describes.
 */
#ifndef CLIENT_SERVER_LIST_H
#define CLIENT_SERVER_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include "base/bytes.h"
#include "client/lobby_options.h"
#include "codec/lobby.h"
#include "loop/loop.h" /* loop_create; loop_fd, to embed it in the game's own loop */

struct server_list;

enum server_list_change { SERVER_LIST_ADDED, SERVER_LIST_UPDATED, SERVER_LIST_REMOVED };

/* Any may be NULL. Arguments are valid until the callback returns. */
struct server_list_events {
    /* A server was added, has new infos, or was removed (with its last known infos). `server` is
     * valid until the next callback about the same server has returned. */
    void (*changed)(void *arg, enum server_list_change change, const struct lobby_server *server);
    /* The list is complete: called for each connection after all servers have been reported. */
    void (*completed)(void *arg);
    void (*refused)(void *arg, enum lobby_code code, struct bytes reason);
    /* The list remains, and the client reconnects by itself. */
    void (*disconnected)(void *arg, const char *reason);
};

/* NULL when an option is invalid; then *error is a message that the caller frees. The events and
 * the loop must live as long as the list. */
struct server_list *server_list_create(struct loop *loop, const struct lobby_options *options,
                                       const struct server_list_events *events, void *arg,
                                       char **error) __attribute__((warn_unused_result));
/* No callback follows. Sets the pointer to NULL. */
void server_list_destroy(struct server_list **list);

/* Starts connecting, and reconnects until stopped. No effect when started. */
void server_list_start(struct server_list *list);
/* Closes the connection without a callback, as for a player who joins a game. The list remains. */
void server_list_stop(struct server_list *list);
/* Whether all servers of the present connection have been reported. */
bool server_list_is_complete(const struct server_list *list);

size_t server_list_count(const struct server_list *list);
/* Iterates in no particular order: pass NULL for the first; NULL after the last. Valid until the
 * list's next callback. */
const struct lobby_server *server_list_next(const struct server_list *list,
                                            const struct lobby_server *server);
/* NULL when there is no server with this id. */
const struct lobby_server *server_list_find(const struct server_list *list, struct bytes id);

#endif
