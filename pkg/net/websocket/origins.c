/*
 * origins: a short list, searched for each handshake.
 *
 * Two origins are the same when their schemes, hosts and ports are (RFC 6454, section 5). Schemes
 * and names are compared without regard to case, names without a dot at their end, IPv6 addresses
 * as addresses; a port that is missing is the scheme's own.
 */
#include "net/websocket/origins_private.h"

#include <string.h>
#include <strings.h>

#include "net/http/host.h"

#define SEPARATORS " ,"
#define PORT_MAX   65535

struct origin {
    struct bytes scheme;
    struct http_host host;
    unsigned port; /* 0: none is given, and the scheme has none of its own */
};

static bool bytes_equal_nocase(struct bytes a, struct bytes b)
{
    return a.len == b.len &&
           (a.len == 0 || strncasecmp((const char *)a.data, (const char *)b.data, a.len) == 0);
}

static bool is_origin_word(struct bytes text, const char *word)
{
    return bytes_equal(text, bytes_from_string(word));
}

static struct bytes cut_front(struct bytes text, size_t n)
{
    return (struct bytes){text.data + n, text.len - n};
}

static bool is_scheme(struct bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i] | 0x20;
        bool is_letter = c >= 'a' && c <= 'z';
        bool is_other = (text.data[i] >= '0' && text.data[i] <= '9') || text.data[i] == '+' ||
                        text.data[i] == '-' || text.data[i] == '.';
        if (!is_letter && (i == 0 || !is_other)) {
            return false;
        }
    }
    return text.len > 0;
}

static bool read_port(struct bytes text, unsigned *port)
{
    *port = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9' || *port > PORT_MAX) {
            return false;
        }
        *port = *port * 10 + (text.data[i] - '0');
    }
    return *port > 0 && *port <= PORT_MAX;
}

/* "name", "name:port", "[address]:port". *port is 0 when there is none. */
static bool read_origin_host(struct bytes text, struct http_host *host, unsigned *port)
{
    struct bytes rest;
    *port = 0;
    return http_host_read(text, host, &rest) &&
           (rest.len == 0 || (rest.data[0] == ':' && read_port(cut_front(rest, 1), port)));
}

static unsigned port_of_scheme(struct bytes scheme)
{
    if (bytes_equal_nocase(scheme, BYTES_LITERAL("http"))) {
        return 80;
    }
    return bytes_equal_nocase(scheme, BYTES_LITERAL("https")) ? 443 : 0;
}

/* scheme://host or scheme://host:port, and nothing more. */
static bool read_origin(struct bytes text, struct origin *origin)
{
    const uint8_t *mark = text.len > 0 ? memmem(text.data, text.len, "://", 3) : NULL;
    if (!mark) {
        return false;
    }
    origin->scheme = (struct bytes){text.data, (size_t)(mark - text.data)};
    if (!is_scheme(origin->scheme) ||
        !read_origin_host(cut_front(text, origin->scheme.len + 3), &origin->host, &origin->port)) {
        return false;
    }
    if (origin->port == 0) {
        origin->port = port_of_scheme(origin->scheme);
    }
    return true;
}

static bool is_same_origin(const struct origin *a, const struct origin *b)
{
    return bytes_equal_nocase(a->scheme, b->scheme) && a->port == b->port &&
           http_host_is_same(&a->host, &b->host);
}

/* The next entry of the list; empty at its end. */
static struct bytes next_entry(const char **list)
{
    const char *entry = *list + strspn(*list, SEPARATORS);
    size_t len = strcspn(entry, SEPARATORS);
    *list = entry + len;
    return (struct bytes){(const uint8_t *)entry, len};
}

static const char *check_origin_entry(struct bytes entry)
{
    struct origin origin;
    if (is_origin_word(entry, "same") || is_origin_word(entry, "null")) {
        return NULL;
    }
    if (!read_origin(entry, &origin)) {
        return "an entry is not of the form https://host, https://host:port, same or null; names "
               "are ASCII (xn--...), IPv6 addresses are in brackets, and there is no path";
    }
    if (bytes_equal_nocase(origin.scheme, BYTES_LITERAL("ws")) ||
        bytes_equal_nocase(origin.scheme, BYTES_LITERAL("wss"))) {
        return "an entry can never match: a page's origin is http:// or https://, not ws:// or "
               "wss://";
    }
    return NULL;
}

const char *origins_check(const char *list)
{
    struct bytes entry;
    while ((entry = next_entry(&list)).len > 0) {
        const char *wrong = check_origin_entry(entry);
        if (wrong) {
            return wrong;
        }
    }
    return NULL;
}

bool origins_contain(const char *list, struct bytes origin_text, struct bytes host_text)
{
    struct origin origin, listed;
    struct http_host host;
    struct bytes entry;
    unsigned port;
    bool is_null = is_origin_word(origin_text, "null");
    if (!is_null && !read_origin(origin_text, &origin)) {
        return false;
    }
    while ((entry = next_entry(&list)).len > 0) {
        if (is_null) {
            if (is_origin_word(entry, "null")) {
                return true;
            }
        } else if (is_origin_word(entry, "same")) {
            if (read_origin_host(host_text, &host, &port) &&
                http_host_is_same(&origin.host, &host)) {
                return true;
            }
        } else if (read_origin(entry, &listed) && is_same_origin(&origin, &listed)) {
            return true;
        }
    }
    return false;
}
