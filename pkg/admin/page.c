/* page: the files of web/, compiled in, plain and compressed, with their hashes as entity tags. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/admin_private.h"
#include "base/mem.h"

#include "admin_web_data.h"

#define TEXT                          "text/plain; charset=utf-8"
#define TAG_DIGITS                    20

#define COUNT(name, data, compressed) +1
enum { FILES = 0 WEB_FILES(COUNT) };
#undef COUNT

static const char index_text[] = "Tracker: a front-end of a shared client map.\n"
                                 "\n"
                                 "/healthz              whether the process runs\n"
                                 "/readyz               whether it can serve\n"
                                 "/metrics              Prometheus text\n"
                                 "/tracker.js           the JavaScript client\n"
                                 "/api/v1/clients       the map, as JSON\n"
                                 "/api/v1/servers       game servers\n"
                                 "/api/v1/nodes         the front-ends\n"
                                 "/api/v1/stats         this front-end's numbers\n"
                                 "/api/v1/live          the map as a stream of events\n"
                                 "/api/v1/shard?id=ID   the partition of an id\n";

/* Only resources of this front-end, and no inline scripts: states are untrusted. */
#define POLICY                                                                                     \
    "Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; "           \
    "img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; "                    \
    "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'\r\n"         \
    "Referrer-Policy: no-referrer\r\n"                                                             \
    "Cross-Origin-Opener-Policy: same-origin\r\n"
/* The JavaScript client may be used by pages of other origins. */
#define SHARED                                                                                     \
    "Access-Control-Allow-Origin: *\r\n"                                                           \
    "Cross-Origin-Resource-Policy: cross-origin\r\n"

/* A plain or compressed file; each has its own tag, as the bytes differ. */
struct file_form {
    struct frame *data; /* NULL: there is no such form */
    char tag[ADMIN_TAG_SIZE(TAG_DIGITS)];
};

struct file {
    struct admin *admin;
    const char *name;
    struct file_form plain;
    struct file_form compressed; /* none when it would not be shorter */
    const char *type;
    bool is_client; /* served regardless of web.page */
};

struct page {
    struct file files[FILES];
};

static const char *content_type_of(const char *name)
{
    static const struct {
        const char *end;
        const char *type;
    } types[] = {{".html", "text/html; charset=utf-8"},
                 {".js", "text/javascript; charset=utf-8"},
                 {".css", "text/css; charset=utf-8"},
                 {".svg", "image/svg+xml"}};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        const char *end = strrchr(name, '.');
        if (end && !strcmp(end, types[i].end)) {
            return types[i].type;
        }
    }
    return TEXT;
}

static struct file_form make_form(struct bytes data)
{
    struct file_form form = {.data = frame_create(data)};
    admin_write_tag(data, TAG_DIGITS, form.tag);
    return form;
}

static void set_file(struct file *file, const char *name, struct bytes data,
                     struct bytes compressed)
{
    file->name = name;
    file->plain = make_form(data);
    if (compressed.len < data.len) {
        file->compressed = make_form(compressed);
    }
    file->type = content_type_of(name);
    file->is_client = !strcmp(name, "tracker.js");
}

struct page *page_create(void)
{
    struct page *page = mem_zalloc(1, sizeof *page);
    struct file *file = page->files;
#define SET(name, data, compressed)                                                                \
    set_file(file++, name, (struct bytes){data, sizeof data},                                      \
             (struct bytes){compressed, sizeof compressed});
    WEB_FILES(SET)
#undef SET
    return page;
}

void page_destroy(struct page **page)
{
    for (size_t i = 0; i < FILES; i++) {
        frame_unref(&(*page)->files[i].plain.data);
        frame_unref(&(*page)->files[i].compressed.data);
    }
    free(*page);
    *page = NULL;
}

static void on_file(void *arg, struct http_request *request)
{
    const struct file *file = arg;
    if (file->admin->settings->page == ADMIN_OFF && !file->is_client) {
        admin_respond_error(request, 404, "the page is disabled");
        return;
    }
    struct bytes known = http_request_header(request, "If-None-Match");
    bool is_html = !strcmp(file->type, "text/html; charset=utf-8");
    bool compresses = file->compressed.data && http_request_accepts_coding(request, "gzip");
    const struct file_form *form = compresses ? &file->compressed : &file->plain;
    bool is_known = admin_has_tag(known, form->tag);
    char headers[1024];
    snprintf(headers, sizeof headers,
             "ETag: %s\r\nVary: Accept-Encoding\r\n%sCache-Control: no-cache\r\n"
             "X-Content-Type-Options: nosniff\r\n%s",
             form->tag, compresses && !is_known ? "Content-Encoding: gzip\r\n" : "",
             is_html           ? POLICY
             : file->is_client ? SHARED
                               : "");
    if (is_known) {
        http_respond(request, 304, NULL, headers, (struct bytes){0});
    } else {
        http_respond_frame(request, 200, file->type, headers, form->data);
    }
}

static void on_index(void *arg, struct http_request *request)
{
    const struct file *file = arg;
    if (file->admin->settings->page == ADMIN_OFF) {
        http_respond(request, 200, TEXT, "Cache-Control: no-store\r\n",
                     bytes_from_string(index_text));
    } else {
        on_file(arg, request);
    }
}

void page_add_routes(struct admin *admin, struct http_router *router)
{
    for (size_t i = 0; i < FILES; i++) {
        struct file *file = &admin->page->files[i];
        char path[64];
        file->admin = admin;
        http_router_restrict_hosts(router, !file->is_client); /* other sites' pages use that one */
        if (!strcmp(file->name, "index.html")) {
            http_router_add(router, "GET", "/", on_index, file);
            continue;
        }
        snprintf(path, sizeof path, "/%s", file->name);
        http_router_add(router, "GET", path, on_file, file);
    }
    http_router_restrict_hosts(router, false);
}
