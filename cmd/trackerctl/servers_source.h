/*
 * servers_source: a list of game servers that is not a lobby's: from the API of a web listener, or
 * from Redis. The caller polls it; differences are passed on.
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
/* Reads the list, and waits for it. A server stays valid until it is reported as down, or as
 * changed with new memory. NULL, or the error, which the caller frees: then none is reported as
 * down. */
char *servers_source_read(struct servers_source *source, servers_source_changed changed, void *arg);

#endif
