/*
 * listeners: a table of the kinds of listeners, and the open listeners.
 *
 * A new protocol is one row in the table of listener_kinds.c.
 */
#ifndef SERVER_LISTENERS_H
#define SERVER_LISTENERS_H

#include <stdbool.h>

#include "base/bytes.h"
#include "server/configuration.h"
#include "supervisor/supervised.h"

struct listeners;

/* The parts that connections use. configuration suffices for checking specifications. */
struct bans;

struct listeners_context {
    const struct configuration *configuration;
    struct net *net;
    struct map *map;
    struct tracker_service *tracker;
    const struct auth_verifier *tokens;
    struct turntable_service *turntable;
    struct sync_service *sync;
    struct lobby_service *lobby;
    struct q3master_service *q3master;
    const struct http_router *admin; /* of web listeners */
    const struct http_router *bare;  /* of those with admin=off */
    const char *(*admit)(void *arg, const struct address *peer);
    void *arg;
    struct supervised *supervised; /* which has the sockets; NULL: they are opened here */
    const struct bans *bans;       /* the lobby and the master enforce them themselves */
};

struct listeners *listeners_create(const struct listeners_context *context);
/* All connections must have been closed. */
void listeners_destroy(struct listeners **listeners);
/* "tracker=127.0.0.1:6789,space=main". Only checks it; listeners_open opens it. NULL, or the error
 * (the caller frees). */
char *listeners_add(struct listeners *listeners, const char *specification)
    __attribute__((warn_unused_result));
/* Those of the setting `listen`, else the default ones. */
char *listeners_add_configured(struct listeners *listeners) __attribute__((warn_unused_result));
/* Registers with the map the optional features that they need of Redis. */
void listeners_declare_needs(const struct listeners *listeners);
/* Whether one of them needs the lobby's space. */
bool listeners_need_lobby(const struct listeners *listeners);
char *listeners_open(struct listeners *listeners) __attribute__((warn_unused_result));
/* Whether other front-ends can query one of them: a web listener without proxy and tls. */
bool listeners_can_be_asked(const struct listeners *listeners);
/* Another worker's socket of the nth listener of that name (KIND=ADDRESS): serves it, too; owns the
 * descriptor. */
void listeners_adopt(struct listeners *listeners, const char *name, unsigned nth, int fd,
                     unsigned from);
void listeners_release(struct listeners *listeners, unsigned from);
/* Refuses clients while why is set (static text); listeners for operators only refuse upgrades. */
void listeners_refuse_clients(struct listeners *listeners, const char *why);
/* Stops accepting. Listeners for operators (web) stop only when all is set; otherwise they only
 * refuse upgrades. */
void listeners_stop(struct listeners *listeners, bool all);
/* For listeners for operators (web), only upgraded connections, unless all is set. */
void listeners_close_connections(struct listeners *listeners, bool all);
/* The bans have changed: closes the connections of banned addresses. */
void listeners_close_banned(struct listeners *listeners);
/* Checks that each could use these settings, and the certificates that they name. NULL, or the
 * error of one of them (the caller frees). Changes nothing. */
char *listeners_check(const struct listeners *listeners, const struct configuration *configuration)
    __attribute__((warn_unused_result));
/* Applies reloaded settings, and reads certificates again. NULL, or the error of one of them (the
 * caller frees): that listener keeps its previous settings. */
char *listeners_reload(struct listeners *listeners) __attribute__((warn_unused_result));
/* The shared settings have changed: adapts the settings that depend on them. */
void listeners_fit(struct listeners *listeners);
/* "tracker=127.0.0.1:6789,web=127.0.0.1:8080,sync=127.0.0.1:13372", with the real ports. */
void listeners_describe(const struct listeners *listeners, struct writer *to);

#endif
