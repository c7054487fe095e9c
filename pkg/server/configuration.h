/*
 * configuration: the settings of all modules, loaded in their order, and each listener's own copy.
 */
#ifndef SERVER_CONFIGURATION_H
#define SERVER_CONFIGURATION_H

#include "admin/admin.h"
#include "auth/token.h"
#include "budget/budget.h"
#include "map/map.h"
#include "net/http/http.h"
#include "net/listener.h"
#include "net/udp/udp.h"
#include "net/websocket/websocket.h"
#include "protocol/lobby/lobby.h"
#include "protocol/q3master/q3master.h"
#include "protocol/sync/sync.h"
#include "protocol/tracker/tracker.h"
#include "protocol/turntable/turntable.h"
#include "redis/redis.h"
#include "server/cmdline.h"
#include "server/settings.h"

struct configuration {
    struct config *config;
    const struct cmdline *cmdline;
    struct server_settings server;
    struct net_settings net;
    struct budget_settings budget;
    struct http_settings http;
    struct websocket_settings websocket;
    struct udp_settings udp;
    struct redis_settings redis;
    struct map_settings map;
    struct admin_settings admin;
    struct tracker_settings tracker;
    struct turntable_settings turntable;
    struct sync_settings sync;
    struct lobby_settings lobby;
    struct q3master_settings q3master;
    struct auth_settings auth;
};

/* With the defaults only. */
void configuration_init(struct configuration *configuration);
void configuration_free(struct configuration *configuration);
/* File, environment, flags. NULL, or the error (the caller frees). cmdline must outlive it. */
char *configuration_load(struct configuration *configuration, const struct cmdline *cmdline)
    __attribute__((warn_unused_result));
/* Reloads the reloadable settings. NULL, or the error (the caller frees): then nothing has changed.
 */
char *configuration_reload(struct configuration *configuration) __attribute__((warn_unused_result));
/* Logs the settings that are given by their former names, and those without effect. */
void configuration_warn_renamed(const struct configuration *configuration);

/* A listener's settings: copies, overridden by its options. */
struct listener_settings {
    struct net_settings net;
    struct http_settings http;
    struct websocket_settings websocket;
    struct tracker_settings tracker;
    struct turntable_settings turntable;
    struct sync_settings sync;
    struct lobby_settings lobby;
    struct q3master_settings q3master;
    struct udp_settings udp;
};
void listener_settings_copy(struct listener_settings *to, const struct configuration *from);
void listener_settings_free(struct listener_settings *settings);
/* Whether an option of that name exists: in one of the listener's modules (ends with NULL), or in
 * net. */
bool listener_settings_has(const struct config_module *const *own, const char *option);
/* Sets it in the first module that has it. NULL, or the error (the caller frees). */
char *listener_settings_set(struct listener_settings *settings,
                            const struct config_module *const *own, const char *option,
                            const char *value) __attribute__((warn_unused_result));

#endif
