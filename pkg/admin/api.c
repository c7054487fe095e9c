/*
 * api: requests about the map. Each waits until the view is complete and includes all changes that
 * were acknowledged before (view/view.h), and, for at most redis.deadline, until the front-ends'
 * names are current. It is answered exactly once, also at shutdown.
 */
#include <stdlib.h>
#include <string.h>

#include "admin/admin_private.h"
#include "admin/listing_private.h"
#include "base/ids.h"
#include "base/mem.h"
#include "codec/entry.h"

static const char clients_path[] = "/api/v1/clients/";

/* stale: the view may lack acknowledged changes, which the answer must report. */
typedef void (*answer)(struct admin *admin, struct http_request *request, struct admin_space *space,
                       bool stale);

/* A waiting request. */
struct api_call {
    struct list link;
    struct admin *admin;
    struct http_request *request;
    struct admin_space *space; /* NULL: it needs none */
    struct map_read *read;
    bool held;
    bool awaits_names;
    bool stale;
    enum map_read_scope scope;
    answer answer;
};

static void end_call(struct api_call *call)
{
    list_remove(&call->link);
    map_read_cancel(&call->read);
    if (call->held) {
        admin_space_release(call->space);
    }
    free(call);
}

static void finish_call(struct api_call *call, const char *why)
{
    if (why) {
        admin_respond_error(call->request, 503, why);
    } else {
        call->answer(call->admin, call->request, call->space, call->stale);
    }
    end_call(call);
}

/* Answers it when everything is available. A stale one has waited long enough: without new names.
 */
static void check_call(struct api_call *call)
{
    if (!call->read && (!call->awaits_names || call->stale)) {
        finish_call(call, NULL);
    }
}

static void on_api_read(void *arg, bool known, bool stale)
{
    struct api_call *call = arg;
    call->read = NULL;
    call->stale = stale; /* answered from the known entries, like the page */
    if (known) {
        check_call(call);
    } else {
        finish_call(call, "the map has not been read yet");
    }
}

void api_nodes_read(struct admin *admin)
{
    LIST_FOREACH (node, &admin->calls) {
        struct api_call *call = list_entry(node, struct api_call, link);
        call->awaits_names = false;
        check_call(call);
    }
}

static void begin_call(struct admin *admin, struct http_request *request, struct admin_space *space,
                       enum map_read_scope scope, answer function)
{
    const char *why = NULL;
    struct api_call *call = mem_zalloc(1, sizeof *call);
    *call = (struct api_call){
        .admin = admin, .request = request, .space = space, .scope = scope, .answer = function};
    list_init(&call->link);
    call->awaits_names = admin_nodes_refresh(admin); /* may answer earlier requests */
    list_append(&admin->calls, &call->link);
    if (!space) {
        check_call(call);
        return;
    }
    struct map_view *view = admin_space_hold(space, &why);
    if (!view) {
        finish_call(call, why);
        return;
    }
    call->held = true;
    call->read = map_read(view, scope, on_api_read, call);
}

void api_end(struct admin *admin)
{
    listing_end_all(admin);
    while (!list_is_empty(&admin->calls)) {
        finish_call(list_entry(admin->calls.next, struct api_call, link),
                    "the front-end is shutting down");
    }
}

static void respond_read(struct http_request *request, struct writer *text, bool stale)
{
    writer_u8(text, '\n');
    admin_respond_read(request, 200, text, stale);
    writer_free(text);
}

static void respond_json(struct http_request *request, struct writer *text)
{
    respond_read(request, text, false);
}

/* ?consistent=1: includes changes that other front-ends have acknowledged. False: the request has
 * been answered. */
static bool read_scope(struct http_request *request, enum map_read_scope *scope)
{
    bool everywhere = false;
    if (!admin_read_switch(request, "consistent", &everywhere)) {
        return false;
    }
    *scope = everywhere ? MAP_READ_EVERYWHERE : MAP_READ_HERE;
    return true;
}

/* Requests about a space. */

/* The call holds the waiting request and its space. */
static void begin_space_call(struct admin *admin, struct http_request *request, answer function)
{
    enum map_read_scope scope;
    if (!admin_allows(admin, request, (enum admin_access)admin->settings->api) ||
        !read_scope(request, &scope)) {
        return;
    }
    struct admin_space *space = admin_space_asked(admin, request);
    if (space) {
        begin_call(admin, request, space, scope, function);
    }
}

static void on_clients(void *arg, struct http_request *request)
{
    begin_space_call(arg, request, clients_answer);
}

/* GET /api/v1/clients/ID: the whole state. */

static void answer_client(struct admin *admin, struct http_request *request,
                          struct admin_space *space, bool stale)
{
    struct entry_format format = entries_format(admin, space);
    struct bytes id = http_request_path(request);
    id.data += sizeof clients_path - 1;
    id.len -= sizeof clients_path - 1;
    struct map_entry *entry = map_view_find(space->watcher.view, id);
    struct writer text = {0};
    struct json_writer json = json_writer_over(&text);
    if (!entry) {
        admin_respond_read_error(request, 404, "no client has this id", stale);
        return;
    }
    format.max_state = SIZE_MAX;
    format.stale = stale;
    entries_write(&json, entry, &format);
    respond_read(request, &text, stale);
}

static void on_client(void *arg, struct http_request *request)
{
    begin_space_call(arg, request, answer_client);
}

/* GET /api/v1/servers */

static void on_servers(void *arg, struct http_request *request)
{
    struct admin *admin = arg;
    enum map_read_scope scope;
    if (!admin_allows(admin, request, (enum admin_access)admin->settings->api) ||
        !read_scope(request, &scope)) {
        return;
    }
    struct admin_space *space = admin_space_of_servers(admin, request);
    if (space) {
        begin_call(admin, request, space, scope, servers_answer);
    }
}

/* GET /api/v1/nodes */

static void answer_nodes(struct admin *admin, struct http_request *request,
                         struct admin_space *space, bool stale)
{
    struct writer text = {0};
    struct json_writer json = json_writer_over(&text);
    json_write_object_begin(&json);
    json_write_name(&json, "nodes");
    entries_write_nodes(&json, admin->nodes);
    json_write_object_end(&json);
    respond_json(request, &text);
}

static void on_nodes_request(void *arg, struct http_request *request)
{
    struct admin *admin = arg;
    if (admin_allows(admin, request, (enum admin_access)admin->settings->api)) {
        begin_call(admin, request, NULL, MAP_READ_HERE, answer_nodes);
    }
}

/* GET /api/v1/stats */

static void on_stats(void *arg, struct http_request *request)
{
    struct admin *admin = arg;
    struct writer text = {0};
    struct json_writer json = json_writer_over(&text);
    const char *why = NULL;
    if (!admin_allows(admin, request, (enum admin_access)admin->settings->api)) {
        return;
    }
    struct admin_space *space = admin_space_asked(admin, request);
    if (!space) {
        return;
    }
    const struct map_view *view = admin_space_hold(space, &why);
    if (view && map_view_is_live(view)) {
        stats_answer(admin, request, space);
    } else {
        stats_write(&json, admin, space, false);
        respond_json(request, &text);
    }
    if (view) {
        admin_space_release(space);
    }
}

/* GET /api/v1/shard */

static void on_shard(void *arg, struct http_request *request)
{
    struct admin *admin = arg;
    struct bytes id = http_request_query(request, "id");
    struct writer text = {0};
    struct json_writer json = json_writer_over(&text);
    if (!admin_allows(admin, request, (enum admin_access)admin->settings->api)) {
        return;
    }
    if (id.len == 0) {
        admin_respond_error(request, 400, "the parameter id is missing");
        return;
    }
    struct admin_space *space = admin_space_asked(admin, request);
    if (!space) {
        return;
    }
    uint32_t partitions = map_space_partitions(space->map);
    json_write_object_begin(&json);
    entry_write_opaque(&json, "id", id);
    json_write_member(&json, "space", bytes_from_string(map_space_name(space->map)));
    json_write_name(&json, "shard");
    json_write_integer(&json, shard_of(id, partitions));
    json_write_name(&json, "partitions");
    json_write_integer(&json, partitions);
    json_write_object_end(&json);
    respond_json(request, &text);
}

void api_add_routes(struct admin *admin, struct http_router *router)
{
    http_router_add(router, "GET", "/api/v1/clients", on_clients, admin);
    http_router_add(router, "GET", "/api/v1/clients/*", on_client, admin);
    http_router_add(router, "GET", "/api/v1/servers", on_servers, admin);
    http_router_add(router, "GET", "/api/v1/nodes", on_nodes_request, admin);
    http_router_add(router, "GET", "/api/v1/stats", on_stats, admin);
    http_router_add(router, "GET", "/api/v1/shard", on_shard, admin);
}
