/*
 * websocket_upgrade: RFC 6455, 4.2. What cannot be upgraded is answered as HTTP, with the reason,
 * and the connection ends, as what the client sends next is not HTTP.
 */
#include <sodium.h>

#include "net/http/text.h"
#include "net/transport.h"
#include "net/websocket/origins_private.h"
#include "net/websocket/websocket_private.h"
#include "tls/digest.h"

#define KEY_SIZE        16 /* bytes of a key, before base64 */
#define KEY_TEXT_LENGTH 24
#define UPGRADE_UNITS   2 /* of the budget, beside the request */

/* The items of a list that may be in several lines of the same name. */
struct items {
    const struct http_request *request;
    const char *name;
    struct bytes line; /* what is left of it */
    size_t at;         /* of the next line */
};

static bool next_item(struct items *items, struct bytes *item)
{
    while (!http_take_item(&items->line, item)) {
        items->line = http_request_header_next(items->request, items->name, &items->at);
        if (!items->line.data) {
            return false;
        }
    }
    return true;
}

static bool has_word(const struct http_request *request, const char *name, const char *word)
{
    struct items items = {.request = request, .name = name};
    struct bytes item;
    while (next_item(&items, &item)) {
        if (http_is_same_word(item, word)) {
            return true;
        }
    }
    return false;
}

bool websocket_is_requested(const struct http_request *request)
{
    return has_word(request, "Upgrade", "websocket");
}

const char *websocket_choose(const struct http_request *request, const char *const *known)
{
    struct items items = {.request = request, .name = "Sec-WebSocket-Protocol"};
    struct bytes item;
    while (next_item(&items, &item)) {
        for (size_t i = 0; known[i]; i++) { /* case counts (RFC 6455, 11.5) */
            if (bytes_equal(item, bytes_from_string(known[i]))) {
                return known[i];
            }
        }
    }
    return NULL;
}

/* The only line of that name; data NULL when there are none or several. */
static struct bytes only_header(const struct http_request *request, const char *name)
{
    size_t at = 0;
    struct bytes value = http_request_header_next(request, name, &at);
    if (value.data && http_request_header_next(request, name, &at).data) {
        return (struct bytes){NULL, 0};
    }
    return value;
}

static bool is_websocket_key(struct bytes key)
{
    uint8_t decoded[KEY_SIZE];
    size_t len = 0;
    return key.len == KEY_TEXT_LENGTH &&
           sodium_base642bin(decoded, sizeof decoded, (const char *)key.data, key.len, NULL, &len,
                             NULL, sodium_base64_VARIANT_ORIGINAL) == 0 &&
           len == KEY_SIZE;
}

/* Why a request is refused. */
struct refusal {
    int status;
    const char *reason; /* NULL: it is not */
    const char *headers;
    enum metric metric;
};

static struct refusal judge_upgrade(const struct http_request *request)
{
    struct bytes version = only_header(request, "Sec-WebSocket-Version");
    if (!bytes_equal(http_request_method(request), BYTES_LITERAL("GET"))) {
        return (struct refusal){405, "a WebSocket handshake must be a GET", "Allow: GET\r\n",
                                METRIC_WEBSOCKET_REFUSED_REQUEST};
    }
    if (http_request_is_http10(request) || !websocket_is_requested(request) ||
        !has_word(request, "Connection", "upgrade")) {
        return (struct refusal){400, "not a WebSocket handshake", NULL,
                                METRIC_WEBSOCKET_REFUSED_REQUEST};
    }
    if (!bytes_equal(version, BYTES_LITERAL("13"))) {
        return (struct refusal){426, "the only supported WebSocket version is 13",
                                "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n",
                                METRIC_WEBSOCKET_REFUSED_VERSION};
    }
    if (!is_websocket_key(only_header(request, "Sec-WebSocket-Key"))) {
        return (struct refusal){400, "not exactly one Sec-WebSocket-Key of 16 bytes in base64",
                                NULL, METRIC_WEBSOCKET_REFUSED_KEY};
    }
    return (struct refusal){.reason = NULL};
}

static struct refusal judge_origin(const struct http_request *request, const char *allowed)
{
    size_t at = 0;
    struct bytes origin = http_request_header_next(request, "Origin", &at);
    /* Only browsers send it, and only a browser can be made to connect by a foreign page. */
    if (!origin.data || allowed[0] == 0) {
        return (struct refusal){.reason = NULL};
    }
    if (!http_request_header_next(request, "Origin", &at).data &&
        origins_contain(allowed, origin, http_request_host(request))) {
        return (struct refusal){.reason = NULL};
    }
    return (struct refusal){403, "the Origin is not one of ws.origins", NULL,
                            METRIC_WEBSOCKET_REFUSED_ORIGIN};
}

static void write_accept(struct writer *to, struct bytes key)
{
    struct writer text = {0};
    uint8_t digest[TLS_SHA1_SIZE];
    char accept[sodium_base64_ENCODED_LEN(TLS_SHA1_SIZE, sodium_base64_VARIANT_ORIGINAL)];
    writer_bytes(&text, key);
    writer_string(&text, "258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    tls_sha1(writer_bytes_written(&text), digest);
    writer_free(&text);
    sodium_bin2base64(accept, sizeof accept, digest, sizeof digest, sodium_base64_VARIANT_ORIGINAL);
    writer_format(to,
                  "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                  "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n",
                  accept);
}

struct websocket *websocket_accept(struct websocket_port *port, struct http_request *request,
                                   const char *protocol)
{
    struct refusal refusal = judge_upgrade(request);
    struct writer answer = {0};
    struct websocket *websocket = NULL;
    struct conn *conn;
    if (!refusal.reason) {
        refusal = judge_origin(request, port->settings->origins);
    }
    if (refusal.reason) {
        metrics_add(refusal.metric, 1);
        http_request_refuse(request, refusal.status, refusal.headers, refusal.reason);
        return NULL;
    }
    write_accept(&answer, only_header(request, "Sec-WebSocket-Key"));
    if (protocol) {
        writer_format(&answer, "Sec-WebSocket-Protocol: %s\r\n", protocol);
    }
    writer_string(&answer, "\r\n");
    conn = http_request_upgrade(request);
    if (conn) {
        metrics_add(METRIC_WEBSOCKET_UPGRADES, 1);
        conn_charge(conn, UPGRADE_UNITS);
        conn_put(conn, writer_bytes_written(&answer));
        websocket = websocket_create(port, conn);
    }
    writer_free(&answer);
    return websocket;
}
