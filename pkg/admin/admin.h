/*
 * admin: the web page, its files, and the API, on the web listeners for operators.
 *
 *   GET /                           the page (web.page), and its files
 *   GET /tracker.js                 the JavaScript client, whatever web.page says
 *   GET /api/v1/clients             the map's entries: space, limit, after (after64), q
 *   GET /api/v1/clients/ID          one of them
 *   GET /api/v1/servers             game servers: space, game, protocol, empty, full
 *   GET /api/v1/nodes               the front-ends
 *   GET /api/v1/stats               this front-end's numbers
 *   GET /api/v1/shard               the partition of an id: id, space
 *   GET /api/v1/live                the map as a stream of server-sent events: space, servers
 *
 * All but /tracker.js only under known names of this front-end (http.hosts): others get 421. Below
 * /api/ all errors are JSON. See docs/web.md. Without a valid token the answer is 401; if the
 * page or the API is off, 404.
 */
#ifndef ADMIN_ADMIN_H
#define ADMIN_ADMIN_H

#include <stdint.h>

#include "admin/health.h"
#include "config/config.h"
#include "map/map.h"
#include "net/http/http.h"

enum admin_access { ADMIN_ON, ADMIN_OFF, ADMIN_TOKEN };

struct admin_settings {
    int page;                 /* web.page: enum admin_access */
    int api;                  /* web.api: enum admin_access */
    char *token;              /* web.token */
    bool addresses;           /* web.addresses: clients' addresses are shown */
    int64_t max_listed;       /* web.max_listed: clients in one answer */
    int64_t max_scanned;      /* web.max_scanned: clients that one search examines */
    int64_t max_searched;     /* web.max_searched: bytes of clients that one search examines */
    int64_t max_lists;        /* web.max_lists: bytes of the lists of game servers that are kept */
    int64_t max_watchers;     /* web.max_watchers: concurrent live streams */
    int64_t address_watchers; /* web.address_watchers: of one address; 0: no limit */
    int64_t max_state;        /* web.max_state: bytes of each state in lists and streams */
    int64_t chunk;            /* web.chunk: bytes per chunk of a stream or list */
};
extern const struct config_module admin_config;
/* NULL, or the error of settings that are valid one by one but not together (static text). */
const char *admin_settings_check(const struct admin_settings *settings);

struct admin;
/* settings are read at each use. lobby: the name of the game servers' space. The map, health,
 * settings and lobby must outlive it. version: static. */
struct admin *admin_create(struct map *map, const struct health *health,
                           const struct admin_settings *settings, const char *lobby,
                           const char *version);
/* Its connections must have been closed. */
void admin_destroy(struct admin **admin);
void admin_add_routes(struct admin *admin, struct http_router *router);
/* Makes errors below /api/ JSON, also on listeners without the API. */
void admin_add_errors(struct http_router *router);

#endif
