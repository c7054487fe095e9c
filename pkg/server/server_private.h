/*
 * server_private: the parts of a front-end, shared by server.c (start and end), drain.c, reload.c
 * and requests.c.
 *
 *   STARTING ──map serves──► SERVING ──SIGTERM──► DRAINING ──sessions closed──► FINISHING ──► ended
 *       └───────── SIGTERM, or a fatal error ──────────────────────────────────────────────────┘
 */
#ifndef SERVER_SERVER_PRIVATE_H
#define SERVER_SERVER_PRIVATE_H

#include "admin/admin.h"
#include "admin/health.h"
#include "auth/access.h"
#include "auth/token.h"
#include "budget/bucket.h"
#include "protocol/session/bans.h"
#include "redis/embedded.h"
#include "server/alone.h"
#include "server/combinations.h"
#include "server/configuration.h"
#include "server/cut_off.h"
#include "server/listeners.h"

enum server_state { SERVER_STARTING, SERVER_SERVING, SERVER_DRAINING, SERVER_FINISHING };

struct server {
    enum server_state state;
    int exit_code;
    struct configuration *configuration;
    struct loop *loop;
    struct net *net;
    struct redis_embedded *embedded;
    struct redis_target target;
    struct map *map;
    struct tracker_service *tracker;
    struct turntable_service *turntable;
    struct sync_service *sync;
    struct bans *bans;
    struct bans_watcher bans_watcher;
    struct lobby_service *lobby;
    struct q3master_service *q3master;
    struct http_router *admin_router;
    struct http_router *bare_router;
    struct health *health;
    struct alone *alone;
    struct admin *admin;
    struct listeners *listeners;
    struct supervised *supervised; /* as a worker; NULL: there is no supervisor */
    struct loop_timer *readiness;  /* shows the other workers whether this one is ready */
    bool retired;                  /* others serve the listeners, all of which close at once */
    struct cut_off *cut_off;       /* NULL: map.cut_off = keep */
    struct access_list *access;
    struct auth_verifier *tokens;
    struct bucket_table *rates;
    struct loop_signal *signals[3];
    struct loop_timer *drain_timer;
    struct loop_timer *waiting_timer; /* logs waiting_for_redis */
    uint64_t drain_began_ms;
    size_t drain_total;
    size_t drain_closed;
    char *name;
    uint64_t started_us;
};

/* server.c: creates all parts of a zeroed server (SERVER_STARTING); they work while its loop
 * iterates. NULL, or why it cannot start (the caller frees); usage: the configuration is wrong.
 * Call server_close in either case. */
char *server_open(struct server *server, struct configuration *configuration, bool *usage)
    __attribute__((warn_unused_result));
/* Closes what is open, and frees all parts. */
void server_close(struct server *server);
/* The name of this front-end; the caller frees. */
char *server_make_name(const struct server_settings *settings);
/* Stops the loop; the first exit code other than 0 is kept. */
void server_end(struct server *server, int exit_code);
/* drain.c: the handler of SIGTERM; a second one exits at once. */
void server_drain(void *server);
/* The same for a worker whose listeners other ones serve. */
void server_retire(struct server *server);
/* The number of open sessions. */
size_t server_count_sessions(const struct server *server);
/* Closes at most count, those of the Tracker protocol first; returns how many. */
size_t server_end_sessions(struct server *server, size_t count, enum conn_close_reason why);
/* server.c: loads it, and checks that its settings are consistent. NULL, or the error (the caller
 * frees). */
char *server_read_configuration(struct configuration *configuration, const struct cmdline *cmdline)
    __attribute__((warn_unused_result));
/* reload.c: NULL, or the error (the caller frees): then nothing has changed. */
char *server_reload(struct server *server);
void server_reload_signal(void *server);
/* Builds the access lists from the settings in force. NULL, or the error (the caller frees). */
char *server_read_access(struct server *server);
/* requests.c: the callbacks of the map. */
extern const struct map_callbacks server_map_callbacks;
/* server.c: called when the map can serve. */
void server_serving(void *server);

#endif
