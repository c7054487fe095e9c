/* web: one port per protocol and space, created at the first request for it. */
#include "server/web.h"

#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "base/mem.h"
#include "metrics/metrics.h"
#include "server/web_token.h"

#define SPACE_NAME_MAX 32
#define PARAMETER_MAX  256 /* bytes of a query parameter that is passed to a protocol */

/* A space in which a protocol has been requested. */
struct space {
    struct list link;
    struct map_space *map;
    struct tracker_port *tracker;
    struct turntable_port *turntable;
    struct sync_port *sync;
};

struct web_protocol;

struct web {
    const struct listeners_context *context;
    const struct listener_settings *settings;
    const char *space;
    const struct http_router *router;
    const struct web_protocol *only; /* NULL: all that are in the table */
    struct http_router *refusals;
    struct websocket_port *port;
    struct list spaces;
    const char *refusal; /* why upgrades are refused; NULL: they are not */
};

static void serve_tracker(struct web *web, struct space *space, struct websocket *websocket,
                          const struct ws_request *ws_request)
{
    if (!space->tracker) {
        space->tracker =
            tracker_port_create(web->context->tracker, space->map, &web->settings->tracker);
    }
    if (ws_request->tokens) {
        tracker_serve_no_user(space->tracker, websocket_conn(websocket));
    } else {
        tracker_serve(space->tracker, websocket_conn(websocket));
    }
}

static void serve_turntable(struct web *web, struct space *space, struct websocket *websocket,
                            const struct ws_request *ws_request)
{
    if (!space->turntable) {
        space->turntable =
            turntable_port_create(web->context->turntable, space->map, &web->settings->turntable);
    }
    turntable_serve(space->turntable, websocket, ws_request);
}

static void serve_sync(struct web *web, struct space *space, struct websocket *websocket,
                       const struct ws_request *ws_request)
{
    if (!space->sync) {
        space->sync = sync_port_create(web->context->sync, space->map, &web->settings->sync);
    }
    sync_serve(space->sync, websocket, ws_request);
}

/* A protocol over WebSocket. */
struct web_protocol {
    const char *name;        /* its path: /name, /name/SPACE */
    const char *subprotocol; /* NULL: it has none */
    bool brings_token;       /* may send the token in a message, if not in the request */
    void (*serve)(struct web *web, struct space *space, struct websocket *websocket,
                  const struct ws_request *ws_request);
};

static const struct web_protocol protocols[] = {
    {"tracker", "tracker", false, serve_tracker},
    {"turntable", "turntable", true, serve_turntable},
    {"sync", NULL, false, serve_sync},
};

#define PROTOCOLS (sizeof protocols / sizeof *protocols)

struct web *web_create(const struct listeners_context *context,
                       const struct listener_settings *settings, const char *space,
                       const struct http_router *router)
{
    struct web *web = mem_zalloc(1, sizeof *web);
    *web = (struct web){
        .context = context,
        .settings = settings,
        .space = space,
        .router = router,
        .port = websocket_port_create(context->net, &settings->websocket),
    };
    list_init(&web->spaces);
    return web;
}

static void on_no_upgrade(void *arg, struct http_request *request)
{
    http_request_refuse(request, 426, "Upgrade: websocket\r\n",
                        "this path requires a WebSocket upgrade");
}

struct web *web_create_for(const struct listeners_context *context,
                           const struct listener_settings *settings, const char *space,
                           const char *protocol)
{
    struct http_router *refusals = http_router_create();
    struct web *web = web_create(context, settings, space, refusals);
    http_router_add(refusals, NULL, "/*", on_no_upgrade, NULL);
    web->refusals = refusals;
    for (size_t i = 0; i < PROTOCOLS; i++) {
        if (strcmp(protocols[i].name, protocol) == 0) {
            web->only = &protocols[i];
        }
    }
    return web;
}

void web_destroy(struct web **pointer)
{
    struct web *web = *pointer;
    *pointer = NULL;
    if (!web) {
        return;
    }
    LIST_FOREACH (node, &web->spaces) {
        struct space *space = list_entry(node, struct space, link);
        tracker_port_destroy(&space->tracker);
        turntable_port_destroy(&space->turntable);
        sync_port_destroy(&space->sync);
        free(space);
    }
    websocket_port_destroy(&web->port);
    http_router_destroy(&web->refusals);
    free(web);
}

static struct space *find_or_add_web_space(struct web *web, struct map_space *map)
{
    LIST_FOREACH (node, &web->spaces) {
        struct space *space = list_entry(node, struct space, link);
        if (space->map == map) {
            return space;
        }
    }
    struct space *space = mem_zalloc(1, sizeof *space);
    space->map = map;
    list_append(&web->spaces, &space->link);
    return space;
}

/* What follows /name/ in the path, empty for /name alone; data NULL when the path is another. */
static struct bytes rest_of_path(struct bytes path, const char *name)
{
    size_t len = 1 + strlen(name);
    if (path.len < len || path.data[0] != '/' || memcmp(path.data + 1, name, len - 1) != 0 ||
        (path.len > len && path.data[len] != '/')) {
        return (struct bytes){NULL, 0};
    }
    if (path.len > len) {
        len++;
    }
    return (struct bytes){path.data + len, path.len - len};
}

/* The requested protocol: by the subprotocol, which is then confirmed in the answer, or by the
 * path. */
static const struct web_protocol *
find_protocol(const struct web *web, const struct http_request *request, const char **subprotocol)
{
    struct bytes path = http_request_path(request);
    const char *names[PROTOCOLS + 1] = {NULL};
    size_t count = 0;
    for (size_t i = 0; i < PROTOCOLS; i++) {
        if (protocols[i].subprotocol && (!web->only || web->only == &protocols[i])) {
            names[count++] = protocols[i].subprotocol;
        }
    }
    *subprotocol = websocket_choose(request, names);
    if (web->only) {
        return web->only;
    }
    for (size_t i = 0; i < PROTOCOLS; i++) {
        if (*subprotocol ? *subprotocol == protocols[i].subprotocol
                         : rest_of_path(path, protocols[i].name).data != NULL) {
            return &protocols[i];
        }
    }
    return NULL;
}

/* The part of the path after a protocol's name: any protocol's, as the subprotocol may select
 * another one than the path. A listener for one protocol accepts only that one's path. */
static struct bytes space_in_path(const struct web *web, struct bytes path)
{
    for (size_t i = 0; i < PROTOCOLS; i++) {
        struct bytes rest = rest_of_path(path, protocols[i].name);
        if (rest.data && (!web->only || web->only == &protocols[i])) {
            return rest;
        }
    }
    return (struct bytes){NULL, 0};
}

/* The space that the path names, or the listener's; NULL when there is none of that name. */
static struct map_space *find_requested_space(const struct web *web,
                                              const struct http_request *request)
{
    struct bytes name = space_in_path(web, http_request_path(request));
    char text[SPACE_NAME_MAX + 1];
    struct map_space *space;
    if (name.len == 0) {
        return map_space_find(web->context->map, web->space);
    }
    if (name.len > SPACE_NAME_MAX || memchr(name.data, 0, name.len)) {
        return NULL;
    }
    memcpy(text, name.data, name.len);
    text[name.len] = 0;
    space = map_space_find(web->context->map, text);
    return space != NULL && map_space_is_named(space) ? space : NULL;
}

static void refuse_web_request(struct http_request *request, int status, const char *why,
                               enum metric metric)
{
    metrics_add(metric, 1);
    http_request_refuse(request, status, NULL, why);
}

/* A copy of a query parameter, which outlives the request; one that is too long to be valid is
 * truncated. */
struct parameter {
    uint8_t data[PARAMETER_MAX];
};

static struct bytes keep_parameter(struct parameter *parameter, struct http_request *request,
                                   const char *name)
{
    struct bytes value = http_request_query(request, name);
    if (!value.data) {
        return value;
    }
    if (value.len > sizeof parameter->data) {
        value.len = sizeof parameter->data;
    }
    memcpy(parameter->data, value.data, value.len);
    return (struct bytes){parameter->data, value.len};
}

static void upgrade_request(struct web *web, struct http_request *request,
                            const struct web_protocol *protocol, const char *subprotocol,
                            struct map_space *map)
{
    struct parameter mode, resume;
    struct web_token token;
    web_token_read(&token, web->context->tokens, request, map_space_name(map),
                   protocol->brings_token, map_redis_time_ms(web->context->map));
    struct ws_request ws_request = {
        .mode = keep_parameter(&mode, request, "mode"),
        .resume = keep_parameter(&resume, request, "resume"),
        .claims = token.claims.user ? &token.claims : NULL,
        .tokens = token.verifier,
    };
    struct websocket *websocket = websocket_accept(web->port, request, subprotocol);
    if (websocket && web_token_apply(&token, websocket)) {
        protocol->serve(web, find_or_add_web_space(web, map), websocket, &ws_request);
    }
    web_token_free(&token);
}

static bool on_upgrade(void *arg, struct http_request *request)
{
    struct web *web = arg;
    const char *subprotocol;
    const struct web_protocol *protocol;
    struct map_space *map;
    if (!websocket_is_requested(request)) {
        return false;
    }
    if (web->refusal) {
        refuse_web_request(request, 503, web->refusal,
                           strcmp(web->refusal, "cut_off") == 0
                               ? METRIC_WEBSOCKET_REFUSED_CUT_OFF
                               : METRIC_WEBSOCKET_REFUSED_DRAINING);
        return true;
    }
    protocol = find_protocol(web, request, &subprotocol);
    map = protocol ? find_requested_space(web, request) : NULL;
    if (!map) {
        refuse_web_request(request, 404, protocol ? "no such space" : "no WebSocket protocol here",
                           METRIC_WEBSOCKET_REFUSED_PATH);
    } else {
        upgrade_request(web, request, protocol, subprotocol, map);
    }
    return true;
}

void web_serve(struct web *web, struct conn *conn)
{
    http_serve_upgrades(web->context->net, conn, &web->settings->http, web->router, on_upgrade,
                        web);
}

void web_refuse_upgrades(struct web *web, const char *why)
{
    web->refusal = why;
}

void web_end_sessions(struct web *web)
{
    websocket_port_end(web->port, CONN_CLOSE_DRAIN);
}
