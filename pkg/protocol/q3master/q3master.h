/*
 * q3master: a master for the games of the Quake III and DarkPlaces families
 * (docs/protocol-master.md): game servers register by UDP, players ask for lists.
 *
 * One service serves the process, one port each listener. Nothing is stored about a peer before it
 * has returned a challenge: challenges are cookies that every front-end verifies. After that, a
 * game server is an entry of the lobby's space without a connection (map/registry.h, gameserver.h).
 * Lists are prepared from the space's view; they include the servers that are connected to the
 * lobby, if their infos have a game and a protocol.
 */
#ifndef PROTOCOL_Q3MASTER_Q3MASTER_H
#define PROTOCOL_Q3MASTER_Q3MASTER_H

#include <stdint.h>

#include "config/config.h"
#include "map/map.h"
#include "net/udp/udp.h"
#include "protocol/session/bans.h"

struct q3master_settings {
    int64_t ttl;             /* q3master.ttl of a registration, ms */
    int64_t probes;          /* q3master.probes before it ends */
    int64_t probe_interval;  /* q3master.probe_interval, ms */
    int64_t challenge;       /* q3master.challenge: a time slot of challenges, ms */
    char *secret;            /* q3master.secret; empty: one that is shared through Redis */
    char *games;             /* q3master.games: text of q3games.h */
    char *accept;            /* q3master.accept: names of games; empty: all */
    char *reject;            /* q3master.reject */
    char *map;               /* q3master.map: ADDRESS=ADDRESS words */
    bool allow_loopback;     /* q3master.allow_loopback */
    int64_t max_servers;     /* q3master.max_servers registered in the space */
    int64_t max_per_address; /* q3master.max_per_address; 0: no limit */
    int64_t heartbeat_rate;  /* q3master.heartbeat_rate of an address, a second; 0: no limit */
    int64_t heartbeat_burst; /* q3master.heartbeat_burst */
    int64_t query_rate;      /* q3master.query_rate of an address, a second; 0: no limit */
    int64_t query_burst;     /* q3master.query_burst */
    int64_t addresses;       /* q3master.addresses whose rates are remembered */
    int64_t max_output;      /* q3master.max_output of the process, bytes a second; 0: no limit */
    int64_t max_output_per_prefix; /* q3master.max_output_per_prefix, bytes a second; 0: no limit */
    int64_t prefix_burst;          /* q3master.prefix_burst, bytes */
    int64_t filters;               /* q3master.filters: prepared lists of a port */
    int64_t new_kinds_rate;        /* q3master.new_kinds_rate, a second; 0: no limit */
    int64_t new_kinds_burst;       /* q3master.new_kinds_burst */
    int64_t refresh; /* q3master.refresh: how old a list may be while changes come, ms */
};
extern const struct config_module q3master_config;

/* NULL, or why a port cannot be opened with these settings (static text). */
const char *q3master_settings_check(const struct q3master_settings *settings);

struct q3master_service;
struct q3master_port;

/* All must outlive the service; settings, the configuration's, are read at each use: challenge,
 * secret, addresses and the limits of output are the process's. To be destroyed with the map,
 * without an event-loop iteration in between. */
struct q3master_service *q3master_service_create(struct map *map, struct bans *bans,
                                                 const struct q3master_settings *settings);
/* All ports must be gone. */
void q3master_service_destroy(struct q3master_service **service);
/* After the settings have changed. */
void q3master_service_reload(struct q3master_service *service);

/* Opens it, or takes the open socket fd for that place (-1: none), which it owns then, also on an
 * error. settings: the listener's, read at each use; must outlive the port. udp: read once. NULL
 * and *error (the caller frees). */
struct q3master_port *q3master_port_create(struct q3master_service *service,
                                           struct map_space *space, const char *where, int fd,
                                           const struct q3master_settings *settings,
                                           const struct udp_settings *udp, char **error)
    __attribute__((warn_unused_result));
void q3master_port_destroy(struct q3master_port **port);
/* After its settings have changed. */
void q3master_port_reload(struct q3master_port *port);
/* Its socket; lives as long as the port. */
struct udp *q3master_port_udp(struct q3master_port *port);
/* The address that it is bound to, with the real port. */
const char *q3master_port_where(const struct q3master_port *port);

#endif
