/* web: a service for each protocol, made when it is first asked for in a space. */
#include "server/web.h"

#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "base/mem.h"
#include "metrics/metrics.h"

#define SPACE_NAME_MAX 32

/* A space in which somebody has come to the Tracker protocol. */
struct space {
    struct list link;
    struct map_space *map;
    struct tracker_port *tracker;
};

struct web {
    const struct listeners_context *context;
    const struct listener_settings *settings;
    const char *space;
    const struct http_router *router;
    struct websocket_port *port;
    struct list spaces;
    bool draining;
};

static void serve_tracker(struct web *web, struct space *space, struct websocket *websocket)
{
    if (space->tracker == NULL)
        space->tracker =
            tracker_port_create(web->context->tracker, space->map, &web->settings->tracker);
    tracker_serve(space->tracker, websocket_conn(websocket));
}

/* A protocol over WebSocket. */
struct protocol {
    const char *name; /* its subprotocol, and its path: /name, /name/SPACE */
    void (*serve)(struct web *web, struct space *space, struct websocket *websocket);
};

static const struct protocol protocols[] = {
    {"tracker", serve_tracker},
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

void web_destroy(struct web **pointer)
{
    struct web *web = *pointer;
    *pointer = NULL;
    if (web == NULL)
        return;
    LIST_FOREACH (node, &web->spaces) {
        struct space *space = list_entry(node, struct space, link);
        tracker_port_destroy(&space->tracker);
        free(space);
    }
    websocket_port_destroy(&web->port);
    free(web);
}

static struct space *space_of(struct web *web, struct map_space *map)
{
    LIST_FOREACH (node, &web->spaces) {
        struct space *space = list_entry(node, struct space, link);
        if (space->map == map)
            return space;
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
        (path.len > len && path.data[len] != '/'))
        return (struct bytes){NULL, 0};
    if (path.len > len)
        len++;
    return (struct bytes){path.data + len, path.len - len};
}

/* The protocol that is asked for: by its subprotocol, which is answered then, or by the path. */
static const struct protocol *find_protocol(const struct http_request *request,
                                            const char **subprotocol)
{
    struct bytes path = http_request_path(request);
    const char *names[PROTOCOLS + 1] = {NULL};
    for (size_t i = 0; i < PROTOCOLS; i++)
        names[i] = protocols[i].name;
    *subprotocol = websocket_choose(request, names);
    for (size_t i = 0; i < PROTOCOLS; i++) {
        if (*subprotocol == protocols[i].name ||
            (*subprotocol == NULL && rest_of_path(path, protocols[i].name).data != NULL))
            return &protocols[i];
    }
    return NULL;
}

/* The space that the path names, or the listener's; NULL when there is none of that name. */
static struct map_space *find_space(const struct web *web, const struct http_request *request,
                                    const struct protocol *protocol)
{
    struct bytes name = rest_of_path(http_request_path(request), protocol->name);
    char text[SPACE_NAME_MAX + 1];
    if (name.len == 0)
        return map_space_find(web->context->map, web->space);
    if (name.len > SPACE_NAME_MAX || memchr(name.data, 0, name.len) != NULL)
        return NULL;
    memcpy(text, name.data, name.len);
    text[name.len] = 0;
    return map_space_find(web->context->map, text);
}

static void refuse(struct http_request *request, int status, const char *why, enum metric metric)
{
    metrics_add(metric, 1);
    http_request_refuse(request, status, NULL, why);
}

static bool on_upgrade(void *arg, struct http_request *request)
{
    struct web *web = arg;
    const char *subprotocol;
    const struct protocol *protocol;
    struct map_space *map;
    struct websocket *websocket;
    if (!websocket_is_asked(request))
        return false;
    if (web->draining) {
        refuse(request, 503, "draining", METRIC_WEBSOCKET_REFUSED_DRAINING);
        return true;
    }
    protocol = find_protocol(request, &subprotocol);
    map = protocol != NULL ? find_space(web, request, protocol) : NULL;
    if (map == NULL) {
        refuse(request, 404, protocol != NULL ? "no such space" : "no WebSocket protocol here",
               METRIC_WEBSOCKET_REFUSED_PATH);
        return true;
    }
    websocket = websocket_accept(web->port, request, subprotocol);
    if (websocket != NULL)
        protocol->serve(web, space_of(web, map), websocket);
    return true;
}

void web_serve(struct web *web, struct conn *conn)
{
    http_serve_upgrades(web->context->net, conn, &web->settings->http, web->router, on_upgrade,
                        web);
}

void web_set_draining(struct web *web)
{
    web->draining = true;
}

void web_end_sessions(struct web *web)
{
    websocket_port_end(web->port, CONN_CLOSE_DRAIN);
}
