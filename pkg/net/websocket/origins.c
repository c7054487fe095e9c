/*
 * origins: a short list, searched for each handshake.
 *
 * Two origins are the same when their schemes, hosts and ports are (RFC 6454, section 5). Schemes
 * and names are compared without regard to case, names without a dot at their end, IPv6 addresses
 * as addresses; a port that is missing is the scheme's own.
 */
#include "net/websocket/origins_private.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

#define SEPARATORS " ,"
#define PORT_MAX   65535

struct host {
    struct bytes name; /* without brackets, and without a dot at its end */
    bool is_ipv6;
    struct in6_addr address;
};

struct origin {
    struct bytes scheme;
    struct host host;
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

/* Browsers send ASCII. */
static bool is_host_name(struct bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] <= ' ' || text.data[i] > '~' || strchr("/\\?#@:[]*%<>\"", text.data[i])) {
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

static bool read_origin_ipv6(struct bytes text, struct host *host)
{
    char address[INET6_ADDRSTRLEN];
    if (text.len >= sizeof address) {
        return false;
    }
    memcpy(address, text.data, text.len);
    address[text.len] = 0;
    host->is_ipv6 = inet_pton(AF_INET6, address, &host->address) == 1;
    return host->is_ipv6;
}

/* "name", "name:port", "[address]:port". *port is 0 when there is none. */
static bool read_origin_host(struct bytes text, struct host *host, unsigned *port)
{
    struct bytes rest;
    *host = (struct host){.name = text};
    *port = 0;
    if (text.len > 0 && text.data[0] == '[') {
        const uint8_t *end = memchr(text.data, ']', text.len);
        if (!end) {
            return false;
        }
        host->name = (struct bytes){text.data + 1, (size_t)(end - text.data) - 1};
        rest = cut_front(text, host->name.len + 2);
        if (!read_origin_ipv6(host->name, host)) {
            return false;
        }
    } else {
        const uint8_t *colon = text.len > 0 ? memchr(text.data, ':', text.len) : NULL;
        host->name.len = colon ? (size_t)(colon - text.data) : text.len;
        rest = cut_front(text, host->name.len);
        if (host->name.len > 1 && host->name.data[host->name.len - 1] == '.') {
            host->name.len--;
        }
        if (!is_host_name(host->name)) {
            return false;
        }
    }
    return rest.len == 0 || (rest.data[0] == ':' && read_port(cut_front(rest, 1), port));
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

static bool is_same_host(const struct host *a, const struct host *b)
{
    if (a->is_ipv6 || b->is_ipv6) {
        return a->is_ipv6 && b->is_ipv6 && memcmp(&a->address, &b->address, sizeof a->address) == 0;
    }
    return bytes_equal_nocase(a->name, b->name);
}

static bool is_same_origin(const struct origin *a, const struct origin *b)
{
    return bytes_equal_nocase(a->scheme, b->scheme) && a->port == b->port &&
           is_same_host(&a->host, &b->host);
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
    struct host host;
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
            if (read_origin_host(host_text, &host, &port) && is_same_host(&origin.host, &host)) {
                return true;
            }
        } else if (read_origin(entry, &listed) && is_same_origin(&origin, &listed)) {
            return true;
        }
    }
    return false;
}
