/*
 * servers_source: the list of game servers from elsewhere than a lobby: the API of a web listener,
 * or Redis. It is read whole, as often as the caller wants; what differs is passed on.
 */
#ifndef TRACKERCTL_SERVERS_SOURCE_H
#define TRACKERCTL_SERVERS_SOURCE_H

#include "client/server_list.h"
#include "ctl.h"

struct servers_source;

/* target: "http://HOST:PORT", or NULL: Redis, to which ctl is connected. Never NULL. */
struct servers_source *servers_source_create(struct ctl *ctl, const char *target);
void servers_source_destroy(struct servers_source **source);

typedef void (*servers_source_changed)(void *arg, enum server_list_change change,
                                       const struct lobby_server *server);
/* Reads the list; waits for it. A server lives until it is reported as down, or as changed with
 * another memory. NULL, or what went wrong, which the caller frees: then none is reported as down.
 */
char *servers_source_read(struct servers_source *source, servers_source_changed changed, void *arg);

#endif
