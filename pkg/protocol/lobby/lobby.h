/*
 * lobby: game servers that keep themselves listed over TCP, and players who receive the list
 * (docs/protocol-lobby.md), as lines of JSON or in the original's packets.
 *
 * One service serves the process, one port each listener. A game server is an entry of the lobby's
 * space (gameserver.h) once it is verified and has sent its infos; players see the servers of that
 * space, whichever front-end they are connected to, and those that registered with the master.
 *
 * Slots: connections that have not logged in, game servers and players are three pools, each with a
 * limit of its own and one per address. When the first is full, its oldest connection is closed.
 */
#ifndef PROTOCOL_LOBBY_LOBBY_H
#define PROTOCOL_LOBBY_LOBBY_H

#include <stddef.h>
#include <stdint.h>

#include "config/config.h"
#include "map/map.h"
#include "net/conn.h"
#include "net/udp/udp.h"
#include "protocol/session/bans.h"

struct lobby_settings {
    char *space;              /* lobby.space */
    char *password;           /* lobby.password; empty: none */
    char *passwords;          /* lobby.passwords: lines of auth/password.h */
    int verify;               /* lobby.verify: enum lobby_verify_setting */
    int64_t verify_interval;  /* lobby.verify_interval, ms */
    int64_t verify_tries;     /* lobby.verify_tries */
    char *verify_from;        /* lobby.verify_from: where datagrams come from */
    int64_t ping;             /* lobby.ping, ms */
    int64_t max_missed;       /* lobby.max_missed pongs; then a server is dropped */
    int64_t timeout;          /* lobby.timeout, ms a ping may be unanswered */
    int64_t original_timeout; /* lobby.original_timeout, ms without a message */
    int64_t login_timeout;    /* lobby.login_timeout, ms */
    int64_t max_servers;      /* lobby.max_servers */
    int64_t max_clients;      /* lobby.max_clients */
    int64_t max_newcomers;    /* lobby.max_newcomers: not logged in */
    int64_t max_per_ip;       /* lobby.max_per_ip, of each of the three; 0: no limit */
    int64_t penalty;          /* lobby.penalty after the first bad password, ms */
    int64_t penalty_max;      /* lobby.penalty_max, ms */
    int64_t penalty_memory;   /* lobby.penalty_memory, ms */
    int64_t penalty_tracked;  /* lobby.penalty_tracked addresses */
    int64_t rate;             /* lobby.rate: messages a second of a connection; 0: no limit */
    int64_t burst;            /* lobby.burst */
    int64_t max_errors;       /* lobby.max_errors in lobby.error_window; then it is closed */
    int64_t error_window;     /* lobby.error_window, ms */
    int64_t max_properties;   /* lobby.max_properties of a server */
    int64_t max_total;        /* lobby.max_total, bytes of a server's names and values */
    int host_byte_order;      /* lobby.host_byte_order: enum gltron_host_order */
    bool original_updates;    /* lobby.original_updates */
    int64_t chunk;            /* lobby.chunk, bytes of changes sent at a time to a player that has
                                 missed some */
    char *bans;               /* lobby.bans */
    int64_t bans_reread;      /* lobby.bans_reread, ms */
};
extern const struct config_module lobby_config;

enum lobby_verify_setting { LOBBY_VERIFY_UDP, LOBBY_VERIFY_OFF };
/* Who may log in on a port. */
enum lobby_role { LOBBY_FOR_BOTH, LOBBY_FOR_SERVERS, LOBBY_FOR_CLIENTS };

/* NULL, or why a port of this role cannot be opened with these settings (static text). */
const char *lobby_settings_check(const struct lobby_settings *settings, enum lobby_role role);

struct lobby_service;
struct lobby_port;

/* All must outlive the service; settings, the configuration's, and udp are read at each use. */
struct lobby_service *lobby_service_create(struct map *map, struct bans *bans,
                                           const struct lobby_settings *settings,
                                           const struct udp_settings *udp);
/* All connections and ports must be gone. */
void lobby_service_destroy(struct lobby_service **service);
size_t lobby_service_count(const struct lobby_service *service); /* connections */
/* Closes at most count connections, the oldest first; servers' entries are kept for a reconnect.
 * Returns how many. */
size_t lobby_service_drain(struct lobby_service *service, size_t count, enum conn_close_reason why);

/* settings: the listener's, read at each use; must outlive the port. */
struct lobby_port *lobby_port_create(struct lobby_service *service, struct map_space *space,
                                     enum lobby_role role, const struct lobby_settings *settings);
/* Its connections must be gone. */
void lobby_port_destroy(struct lobby_port **port);
/* Serves an accepted connection until it is closed. */
void lobby_serve(struct lobby_port *port, struct conn *conn);

#endif
