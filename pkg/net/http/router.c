/* http_router: a short list, searched from its beginning. */
#include "net/http/http.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "net/http/host.h"
#include "net/http/http_private.h"

struct http_router {
    struct http_route *routes;
    size_t count;
    const char *errors_below; /* NULL: all errors are text */
    const char *errors_type;
    http_error_writer write_error;
    bool restricts_hosts; /* routes are being added that do */
    http_own_host is_own_host;
    void *own_host_arg;
};

struct http_router *http_router_create(void)
{
    return mem_zalloc(1, sizeof(struct http_router));
}

void http_router_destroy(struct http_router **pointer)
{
    struct http_router *router = *pointer;
    *pointer = NULL;
    if (!router) {
        return;
    }
    for (size_t i = 0; i < router->count; i++) {
        free(router->routes[i].method);
        free(router->routes[i].path);
    }
    free(router->routes);
    free(router);
}

void http_router_add(struct http_router *router, const char *method, const char *path,
                     http_handler handler, void *arg)
{
    size_t len = strlen(path);
    struct http_route *route;
    assert(path[0] == '/');
    router->routes = mem_realloc(router->routes, (router->count + 1) * sizeof router->routes[0]);
    route = &router->routes[router->count++];
    *route = (struct http_route){.method = method ? mem_strdup(method) : NULL,
                                 .path = mem_strdup(path),
                                 .len = len,
                                 .is_restricted = router->restricts_hosts,
                                 .handler = handler,
                                 .arg = arg};
    if (len >= 2 && path[len - 1] == '*' && path[len - 2] == '/') {
        route->is_prefix = true;
        route->len--;
    }
}

void http_router_restrict_hosts(struct http_router *router, bool on)
{
    router->restricts_hosts = on;
}

void http_router_set_own_host(struct http_router *router, http_own_host is_own, void *arg)
{
    router->is_own_host = is_own;
    router->own_host_arg = arg;
}

bool http_router_is_own_host(const struct http_router *router, struct bytes host_text)
{
    struct http_host host;
    struct bytes rest;
    return router->is_own_host && http_host_read(host_text, &host, &rest) &&
           router->is_own_host(router->own_host_arg, &host);
}

void http_router_set_errors(struct http_router *router, const char *below, const char *content_type,
                            http_error_writer write)
{
    assert(below[strlen(below) - 1] == '/');
    router->errors_below = below;
    router->errors_type = content_type;
    router->write_error = write;
}

struct bytes http_router_errors_path(const struct http_router *router)
{
    return bytes_from_string(router->errors_below ? router->errors_below : "/");
}

/* Below a prefix, or the prefix itself, which lacks its last slash then. */
static bool is_path_below(struct bytes path, const char *prefix)
{
    size_t len = strlen(prefix);
    return (path.len >= len || path.len == len - 1) &&
           memcmp(path.data, prefix, path.len < len ? path.len : len) == 0;
}

const char *http_router_write_error(const struct http_router *router, struct bytes path, int status,
                                    const char *why, struct writer *body)
{
    if (router->errors_below && path.len > 0 && is_path_below(path, router->errors_below)) {
        router->write_error(body, status, why);
        return router->errors_type;
    }
    writer_format(body, "%d %s%s%s\n", status, http_status_text(status), why ? ": " : "",
                  why ? why : "");
    return "text/plain; charset=utf-8";
}

static bool matches_path(const struct http_route *route, struct bytes path)
{
    return (route->is_prefix ? path.len >= route->len : path.len == route->len) &&
           memcmp(path.data, route->path, route->len) == 0;
}

static bool matches_method(const struct http_route *route, struct bytes method)
{
    return !route->method || bytes_equal(method, bytes_from_string(route->method)) ||
           (strcmp(route->method, "GET") == 0 && bytes_equal(method, BYTES_LITERAL("HEAD")));
}

/* An exact path before a prefix, a longer prefix before a shorter one. */
static bool is_route_better(const struct http_route *route, const struct http_route *than)
{
    return !than || (than->is_prefix && (!route->is_prefix || route->len > than->len));
}

/* Each method once: a path may have several routes. */
static void allow_method(struct writer *allow, const char *method)
{
    struct bytes list = writer_bytes_written(allow), item;
    while (http_take_item(&list, &item)) {
        if (bytes_equal(item, bytes_from_string(method))) {
            return;
        }
    }
    if (allow->len > 0) {
        writer_string(allow, ", ");
    }
    writer_string(allow, method);
}

void http_router_allow(const struct http_router *router, struct bytes path, struct writer *allow)
{
    bool is_all = bytes_equal(path, BYTES_LITERAL("*"));
    if (path.len == 0) {
        return;
    }
    for (size_t i = 0; i < router->count; i++) {
        const struct http_route *route = &router->routes[i];
        if (!is_all && !matches_path(route, path)) {
            continue;
        }
        allow_method(allow, route->method ? route->method : "GET");
        if (!route->method || strcmp(route->method, "GET") == 0) {
            allow_method(allow, "HEAD");
        }
    }
    if (allow->len > 0 || is_all || bytes_equal(path, BYTES_LITERAL("/"))) {
        allow_method(allow, "OPTIONS");
    }
}

const struct http_route *http_router_find(const struct http_router *router, struct bytes method,
                                          struct bytes path, struct writer *allow)
{
    const struct http_route *best = NULL;
    bool is_there = false;
    if (path.len == 0) {
        return NULL;
    }
    for (size_t i = 0; i < router->count; i++) {
        const struct http_route *route = &router->routes[i];
        if (!matches_path(route, path)) {
            continue;
        }
        is_there = true;
        if (matches_method(route, method) && is_route_better(route, best)) {
            best = route;
        }
    }
    if (!best && is_there) {
        http_router_allow(router, path, allow);
    }
    return best;
}
