/* http_router: a short list, looked through from its beginning. */
#include "net/http.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "net/http_private.h"

struct http_router {
    struct http_route *routes;
    size_t count;
};

struct http_router *http_router_create(void)
{
    return mem_zalloc(1, sizeof(struct http_router));
}

void http_router_destroy(struct http_router **pointer)
{
    struct http_router *router = *pointer;
    *pointer = NULL;
    if (router == NULL)
        return;
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
    *route = (struct http_route){.method = method != NULL ? mem_strdup(method) : NULL,
                                 .path = mem_strdup(path),
                                 .len = len,
                                 .handler = handler,
                                 .arg = arg};
    if (len >= 2 && path[len - 1] == '*' && path[len - 2] == '/') {
        route->is_prefix = true;
        route->len--;
    }
}

static bool matches_path(const struct http_route *route, struct bytes path)
{
    return (route->is_prefix ? path.len >= route->len : path.len == route->len) &&
           memcmp(path.data, route->path, route->len) == 0;
}

static bool matches_method(const struct http_route *route, struct bytes method)
{
    return route->method == NULL || bytes_equal(method, bytes_from_string(route->method)) ||
           (strcmp(route->method, "GET") == 0 && bytes_equal(method, BYTES_LITERAL("HEAD")));
}

/* An exact path before a prefix, a longer prefix before a shorter one. */
static bool is_better(const struct http_route *route, const struct http_route *than)
{
    return than == NULL || (than->is_prefix && (!route->is_prefix || route->len > than->len));
}

static void allow_method(struct writer *allow, const char *method)
{
    if (allow->len > 0)
        writer_string(allow, ", ");
    writer_string(allow, method);
    if (strcmp(method, "GET") == 0)
        writer_string(allow, ", HEAD");
}

const struct http_route *http_router_find(const struct http_router *router, struct bytes method,
                                          struct bytes path, struct writer *allow)
{
    const struct http_route *best = NULL;
    if (path.len == 0)
        return NULL;
    for (size_t i = 0; i < router->count; i++) {
        const struct http_route *route = &router->routes[i];
        if (!matches_path(route, path))
            continue;
        if (!matches_method(route, method))
            allow_method(allow, route->method);
        else if (is_better(route, best))
            best = route;
    }
    return best;
}
