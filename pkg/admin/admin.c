/* admin: access control, and the spaces in use. */
#include "admin/admin.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/admin_private.h"
#include "admin/servers_private.h"
#include "base/mem.h"
#include "metrics/metrics.h"

/* The maximum age of the list of front-ends. */
#define NODES_FRESH_MS 3000

static void on_space_changed(struct map_watcher *watcher, const struct map_changes *changes)
{
    live_changed(list_entry(watcher, struct admin_space, watcher), changes);
}

static void on_space_live(struct map_watcher *watcher)
{
    live_resume(list_entry(watcher, struct admin_space, watcher));
}

static void on_admin_nodes(void *arg, bool known)
{
    struct admin *admin = arg;
    /* without the list, front-ends have ids but no names */
    admin->nodes_pending = admin->nodes_late = false;
    admin->nodes_read++;
    loop_timer_stop(admin->nodes_timer);
    live_nodes_read(admin->live);
    api_nodes_read(admin);
}

/* Requests do not wait longer for names. */
static void on_nodes_late(void *arg)
{
    struct admin *admin = arg;
    admin->nodes_late = true;
    api_nodes_read(admin);
}

struct admin *admin_create(struct map *map, const struct health *health,
                           const struct admin_settings *settings, const char *lobby,
                           const char *version)
{
    struct admin *admin = mem_zalloc(1, sizeof *admin);
    admin->map = map;
    admin->loop = map_loop(map);
    admin->health = health;
    admin->settings = settings;
    admin->version = version;
    admin->lobby = lobby;
    list_init(&admin->spaces);
    list_init(&admin->calls);
    list_init(&admin->listings);
    admin->nodes_timer = loop_timer_create(admin->loop, on_nodes_late, admin);
    admin->nodes = map_nodes_create(map, on_admin_nodes, admin);
    admin->page = page_create();
    admin->live = live_create(admin);
    admin->server_lists = server_lists_create(admin);
    return admin;
}

void admin_destroy(struct admin **pointer)
{
    struct admin *admin = *pointer;
    *pointer = NULL;
    if (!admin) {
        return;
    }
    api_end(admin);
    server_lists_destroy(&admin->server_lists);
    live_destroy(&admin->live);
    page_destroy(&admin->page);
    map_nodes_destroy(&admin->nodes);
    loop_timer_destroy(&admin->nodes_timer);
    while (!list_is_empty(&admin->spaces)) {
        struct admin_space *space = list_entry(admin->spaces.next, struct admin_space, link);
        map_unwatch(&space->watcher);
        live_remove_space(space);
        stats_remove_space(space);
        list_remove(&space->link);
        free(space);
    }
    free(admin);
}

void admin_add_routes(struct admin *admin, struct http_router *router)
{
    page_add_routes(admin, router);
    http_router_restrict_hosts(router, true);
    api_add_routes(admin, router);
    live_add_routes(admin, router);
    http_router_restrict_hosts(router, false);
}

/* Access. */

enum admin_access admin_either(int page, int api)
{
    if (page == ADMIN_OFF) {
        return (enum admin_access)api;
    }
    if (api == ADMIN_OFF) {
        return (enum admin_access)page;
    }
    return page == ADMIN_TOKEN || api == ADMIN_TOKEN ? ADMIN_TOKEN : ADMIN_ON;
}

static struct bytes given_token(struct http_request *request)
{
    static const struct bytes scheme = BYTES_LITERAL("Bearer ");
    struct bytes header = http_request_header(request, "Authorization");
    if (header.len > scheme.len && memcmp(header.data, scheme.data, scheme.len) == 0) {
        return (struct bytes){header.data + scheme.len, header.len - scheme.len};
    }
    return http_request_query(request, "token");
}

/* Compares hashes, so that the time depends neither on the contents nor on the lengths. */
static bool is_admin_token(const struct admin *admin, struct bytes given)
{
    const char *token = admin->settings->token;
    uint8_t wanted[crypto_generichash_BYTES], got[crypto_generichash_BYTES];
    if (*token == 0) {
        return false;
    }
    (void)crypto_generichash(wanted, sizeof wanted, (const uint8_t *)token, strlen(token), NULL, 0);
    (void)crypto_generichash(got, sizeof got, given.data, given.len, NULL, 0);
    return sodium_memcmp(wanted, got, sizeof wanted) == 0;
}

bool admin_allows(struct admin *admin, struct http_request *request, enum admin_access access)
{
    if (access == ADMIN_ON) {
        return true;
    }
    if (access == ADMIN_OFF) {
        admin_respond_error(request, 404, "this is disabled");
        return false;
    }
    struct bytes given = given_token(request);
    if (is_admin_token(admin, given)) {
        return true;
    }
    if (given.len > 0) {
        metrics_add(METRIC_HTTP_UNAUTHORIZED, 1);
        const struct conn *conn = http_request_conn(request);
        log_limited(LOG_WARN, &admin->refused_limit, "token_refused",
                    LOG_STRING("peer", conn ? conn_peer_text(conn) : ""),
                    LOG_BYTES("path", http_request_path(request)));
    }
    admin_respond_error(request, 401, given.len > 0 ? "wrong token" : "a token is required");
    return false;
}

void admin_charge(const struct http_request *request, size_t units)
{
    struct conn *conn = http_request_conn(request);
    if (conn && units > 0) {
        conn_charge(conn, units < UINT32_MAX ? (uint32_t)units : UINT32_MAX);
    }
}

/* Answers. */

const char *admin_stale_header(bool stale)
{
    return stale ? "Tracker-Stale: true\r\n" : "";
}

void admin_respond_read(struct http_request *request, int status, const struct writer *json,
                        bool stale)
{
    char headers[256];
    snprintf(headers, sizeof headers,
             "%s%sCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n",
             status == 401 ? "WWW-Authenticate: Bearer realm=\"tracker\"\r\n" : "",
             admin_stale_header(stale));
    http_respond(request, status, JSON_TYPE, headers, writer_bytes_written(json));
}

void admin_write_stale(struct json_writer *json, bool stale)
{
    if (!stale) {
        return;
    }
    json_write_name(json, "stale");
    json_write_boolean(json, true);
}

static void write_error(struct writer *text, const char *why, bool stale)
{
    struct json_writer json = json_writer_over(text);
    json_write_object_begin(&json);
    json_write_member(&json, "error", bytes_from_string(why));
    admin_write_stale(&json, stale);
    json_write_object_end(&json);
    writer_u8(text, '\n');
}

static void write_path_error(struct writer *text, int status, const char *why)
{
    if (!why) {
        why = status == 405 ? "method not allowed" : "no such path";
    }
    write_error(text, why, false);
}

void admin_add_errors(struct http_router *router)
{
    http_router_set_errors(router, "/api/", JSON_TYPE, write_path_error);
}

void admin_respond_read_error(struct http_request *request, int status, const char *why, bool stale)
{
    struct writer text = {0};
    write_error(&text, why, stale);
    admin_respond_read(request, status, &text, stale);
    writer_free(&text);
}

void admin_respond_error(struct http_request *request, int status, const char *why)
{
    admin_respond_read_error(request, status, why, false);
}

bool admin_read_switch(struct http_request *request, const char *name, bool *value)
{
    struct bytes text = http_request_query(request, name);
    char why[64];
    if (text.len == 0) {
        return true;
    }
    *value = bytes_equal(text, BYTES_LITERAL("1")) || bytes_equal(text, BYTES_LITERAL("true"));
    if (*value || bytes_equal(text, BYTES_LITERAL("0")) ||
        bytes_equal(text, BYTES_LITERAL("false"))) {
        return true;
    }
    snprintf(why, sizeof why, "%s: 1 or 0 is expected", name);
    admin_respond_error(request, 400, why);
    return false;
}

/* Spaces. */

static struct admin_space *admin_space_of(struct admin *admin, struct map_space *map)
{
    LIST_FOREACH (node, &admin->spaces) {
        struct admin_space *space = list_entry(node, struct admin_space, link);
        if (space->map == map) {
            return space;
        }
    }
    struct admin_space *space = mem_zalloc(1, sizeof *space);
    space->admin = admin;
    space->map = map;
    space->watcher.changed = on_space_changed;
    space->watcher.live = on_space_live;
    space->watcher.wants_owner_changes = true;
    list_init(&space->watcher.link);
    live_add_space(space);
    list_append(&admin->spaces, &space->link);
    return space;
}

void admin_write_spaces(struct json_writer *json, struct admin *admin)
{
    struct map_space *space;
    json_write_name(json, "spaces");
    json_write_array_begin(json);
    for (size_t i = 0; (space = map_space_at(admin->map, i)); i++) {
        json_write_text(json, bytes_from_string(map_space_name(space)));
    }
    json_write_array_end(json);
    if (map_space_find(admin->map, admin->lobby)) {
        json_write_member(json, "lobby", bytes_from_string(admin->lobby));
    }
}

/* The error lists the existing spaces. */
static void respond_no_space(struct admin *admin, struct http_request *request)
{
    struct writer text = {0};
    struct json_writer json = json_writer_over(&text);
    json_write_object_begin(&json);
    json_write_member(&json, "error", BYTES_LITERAL("no such space"));
    admin_write_spaces(&json, admin);
    json_write_object_end(&json);
    writer_u8(&text, '\n');
    admin_respond_read(request, 404, &text, false);
    writer_free(&text);
}

static struct admin_space *find_admin_space(struct admin *admin, struct http_request *request,
                                            struct bytes name)
{
    struct map_space *found = NULL;
    char text[64];
    if (name.len < sizeof text && (name.len == 0 || !memchr(name.data, 0, name.len))) {
        snprintf(text, sizeof text, "%.*s", (int)name.len, (const char *)name.data);
        found = map_space_find(admin->map, text);
    }
    if (!found) {
        respond_no_space(admin, request);
        return NULL;
    }
    return admin_space_of(admin, found);
}

struct admin_space *admin_space_asked(struct admin *admin, struct http_request *request)
{
    return find_admin_space(admin, request, http_request_query(request, "space"));
}

struct admin_space *admin_space_of_servers(struct admin *admin, struct http_request *request)
{
    struct bytes name = http_request_query(request, "space");
    return find_admin_space(admin, request, name.len > 0 ? name : bytes_from_string(admin->lobby));
}

struct map_view *admin_space_hold(struct admin_space *space, const char **why)
{
    if (!space->watcher.view) {
        if (!map_watch(space->map, &space->watcher, why)) {
            return NULL;
        }
        space->watches++;
    }
    if (map_view_is_over(space->watcher.view)) {
        *why = "the space has more entries than view.max_entries";
        if (space->holders == 0) {
            map_unwatch(&space->watcher);
        }
        return NULL;
    }
    space->holders++;
    return space->watcher.view;
}

void admin_space_keep(struct admin_space *space)
{
    space->holders++;
}

void admin_space_release(struct admin_space *space)
{
    if (--space->holders == 0) {
        map_unwatch(&space->watcher);
    }
}

bool admin_nodes_refresh(struct admin *admin)
{
    uint64_t now = loop_now_ms(admin->loop);
    if (!admin->nodes_pending && (!admin->nodes_ms || now - admin->nodes_ms >= NODES_FRESH_MS)) {
        admin->nodes_ms = now;
        admin->nodes_pending = true;
        loop_timer_start(admin->nodes_timer, map_deadline_ms(admin->map));
        map_nodes_read(admin->nodes);
    }
    return admin->nodes_pending && !admin->nodes_late;
}
