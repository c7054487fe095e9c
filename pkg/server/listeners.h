/*
 * listeners: what this front-end listens for: a table of kinds, and the listeners that are open.
 *
 * A new protocol is one line in the table of listeners.c.
 */
#ifndef SERVER_LISTENERS_H
#define SERVER_LISTENERS_H

#include <stdbool.h>

#include "base/bytes.h"
#include "server/configuration.h"

struct listeners;

/* What connections are handed to. configuration is enough to check specifications. */
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
    const struct bans *bans; /* the lobby and the master judge by them themselves */
};

struct listeners *listeners_create(const struct listeners_context *context);
/* All connections must be gone. */
void listeners_destroy(struct listeners **listeners);
/* "tracker=127.0.0.1:6789,space=main". Checks it; opens it with listeners_open. NULL, or what is
 * wrong (the caller frees). */
char *listeners_add(struct listeners *listeners, const char *specification)
    __attribute__((warn_unused_result));
/* Those of the setting `listen`, else the standard ones. */
char *listeners_add_configured(struct listeners *listeners) __attribute__((warn_unused_result));
/* Says to the map what they need of Redis beside it. */
void listeners_declare_needs(const struct listeners *listeners);
/* Whether one of them needs the lobby's space. */
bool listeners_need_lobby(const struct listeners *listeners);
char *listeners_open(struct listeners *listeners) __attribute__((warn_unused_result));
/* Whether other front-ends can ask one of them: a web listener without proxy and tls. */
bool listeners_can_be_asked(const struct listeners *listeners);
/* Turns clients away while why is set (static text); those for operators only do not upgrade. */
void listeners_turn_away(struct listeners *listeners, const char *why);
/* Stops accepting; those for operators (web) only when all is set, else they only upgrade no more
 * connections. */
void listeners_stop(struct listeners *listeners, bool all);
/* Those for operators (web) only when all is set, else of them those that were upgraded. */
void listeners_close_connections(struct listeners *listeners, bool all);
/* The bans are others: closes the connections of banned addresses. */
void listeners_close_banned(struct listeners *listeners);
/* Whether each could go on with these settings, and the certificates that they name. NULL, or what
 * is wrong with one of them (the caller frees). Changes nothing. */
char *listeners_check(const struct listeners *listeners, const struct configuration *configuration)
    __attribute__((warn_unused_result));
/* Applies settings that were reloaded, and reads certificates again. NULL, or what is wrong with
 * one of them (the caller frees): that listener goes on with what it had. */
char *listeners_reload(struct listeners *listeners) __attribute__((warn_unused_result));
/* What all front-ends share has changed: what follows from it is set anew. */
void listeners_fit(struct listeners *listeners);
/* "tracker=127.0.0.1:6789,web=127.0.0.1:8080,sync=127.0.0.1:13372", with the real ports. */
void listeners_describe(const struct listeners *listeners, struct writer *to);

#endif
