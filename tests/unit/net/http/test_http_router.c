/* The router: which route a method and a path lead to, and what Allow says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "net/http/http_private.h"

static void expect_bytes(struct bytes bytes, const char *text)
{
    if (!bytes_equal(bytes, bytes_from_string(text))) {
        fail_msg("\"%.*s\" is not \"%s\"", (int)bytes.len, (const char *)bytes.data, text);
    }
}

static void handle(void *arg, struct http_request *request)
{
}

static void expect_route(const struct http_router *router, const char *method, const char *path,
                         const char *found, const char *allowed)
{
    struct writer allow = {0};
    const struct http_route *route =
        http_router_find(router, bytes_from_string(method), bytes_from_string(path), &allow);
    if (found) {
        assert_non_null(route);
        assert_string_equal((const char *)route->arg, found);
    } else {
        assert_null(route);
        expect_bytes(writer_bytes_written(&allow), allowed);
    }
    writer_free(&allow);
}

static void expect_allowed(const struct http_router *router, const char *path, const char *allowed)
{
    struct writer allow = {0};
    http_router_allow(router, bytes_from_string(path), &allow);
    expect_bytes(writer_bytes_written(&allow), allowed);
    writer_free(&allow);
}

static void test_router(void **state)
{
    static char ready[] = "ready", all[] = "all", one[] = "one", del[] = "del", any[] = "any",
                me[] = "me";
    struct http_router *router = http_router_create();
    expect_route(router, "GET", "/", NULL, "");
    http_router_add(router, "GET", "/readyz", handle, ready);
    http_router_add(router, "GET", "/clients/*", handle, all);
    http_router_add(router, "GET", "/clients/x/*", handle, one);
    http_router_add(router, "DELETE", "/clients/*", handle, del);
    http_router_add(router, "GET", "/clients/me", handle, me);
    http_router_add(router, NULL, "/any", handle, any);
    expect_route(router, "GET", "/readyz", "ready", NULL);
    expect_route(router, "HEAD", "/readyz", "ready", NULL);
    expect_route(router, "POST", "/readyz", NULL, "GET, HEAD, OPTIONS");
    expect_route(router, "GET", "/readyz/", NULL, "");
    expect_route(router, "GET", "/ready", NULL, "");
    expect_route(router, "GET", "/clients", NULL, "");
    expect_route(router, "GET", "/clients/", "all", NULL);
    expect_route(router, "GET", "/clients/7", "all", NULL);
    expect_route(router, "GET", "/clients/me", "me", NULL);
    expect_route(router, "GET", "/clients/x/7", "one", NULL);
    expect_route(router, "DELETE", "/clients/7", "del", NULL);
    expect_route(router, "PUT", "/clients/7", NULL, "GET, HEAD, DELETE, OPTIONS");
    expect_route(router, "PUT", "/clients/x/7", NULL, "GET, HEAD, DELETE, OPTIONS");
    expect_route(router, "FROB", "/any", "any", NULL);
    expect_allowed(router, "/clients/x/7", "GET, HEAD, DELETE, OPTIONS");
    expect_allowed(router, "/any", "GET, HEAD, OPTIONS");
    expect_allowed(router, "*", "GET, HEAD, DELETE, OPTIONS");
    expect_allowed(router, "/", "OPTIONS");
    expect_allowed(router, "/none", "");
    expect_route(router, "GET", "/", NULL, "");
    http_router_destroy(&router);
    assert_null(router);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_router),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
