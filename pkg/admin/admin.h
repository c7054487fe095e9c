/*
 * admin: the web page, its files, and the API, of the web listeners that are for operators.
 *
 *   GET /                           the page (web.page), its files beside it
 *   GET /tracker.js                 the JavaScript client, whatever web.page says
 *   GET /api/v1/clients             the map's entries: space, limit, after (after64), q
 *   GET /api/v1/clients/ID          one of them
 *   GET /api/v1/servers             game servers: space, game, protocol, empty, full
 *   GET /api/v1/nodes               the front-ends
 *   GET /api/v1/stats               this front-end's numbers
 *   GET /api/v1/shard               the partition of an id: id, space
 *   GET /api/v1/live                the map as a stream of server-sent events: space, servers
 *
 * Below /api/ all errors are JSON. docs/web.md has all of it. What is not allowed is answered 401,
 * what is off 404.
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
    int page;             /* web.page: enum admin_access */
    int api;              /* web.api: enum admin_access */
    char *token;          /* web.token */
    bool addresses;       /* web.addresses: clients' addresses are shown */
    int64_t max_listed;   /* web.max_listed: clients in one answer */
    int64_t max_scanned;  /* web.max_scanned: clients that one search looks at */
    int64_t max_searched; /* web.max_searched: bytes of clients that one search looks at */
    int64_t max_watchers; /* web.max_watchers: live streams at a time */
    int64_t max_state;    /* web.max_state: bytes of each state in lists and streams */
    int64_t chunk;        /* web.chunk: bytes that a stream is sent at once */
};
extern const struct config_module admin_config;
/* NULL, or what is wrong with settings that are good one by one (static text). */
const char *admin_settings_check(const struct admin_settings *settings);

struct admin;
/* settings are read at each use. The map, health and settings must outlive it, and the name of the
 * game servers' space, lobby. version: static. */
struct admin *admin_create(struct map *map, const struct health *health,
                           const struct admin_settings *settings, const char *lobby,
                           const char *version);
/* Its connections must be gone. */
void admin_destroy(struct admin **admin);
void admin_add_routes(struct admin *admin, struct http_router *router);
/* What is refused below /api/ is refused as JSON, also where there is no API. */
void admin_add_errors(struct http_router *router);

#endif
