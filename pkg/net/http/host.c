/* http_host: see host.h. */
#include "net/http/host.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define SEPARATORS      " ,"
#define NAME_MAX_LENGTH 255

static bool is_same_name(struct bytes a, struct bytes b)
{
    return a.len == b.len &&
           (a.len == 0 || strncasecmp((const char *)a.data, (const char *)b.data, a.len) == 0);
}

static struct bytes cut_host(struct bytes text, size_t n)
{
    return (struct bytes){text.data + n, text.len - n};
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

static bool read_host_ipv6(struct bytes text, struct http_host *host)
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

bool http_host_read(struct bytes text, struct http_host *host, struct bytes *rest)
{
    *host = (struct http_host){.name = text};
    if (text.len > 0 && text.data[0] == '[') {
        const uint8_t *end = memchr(text.data, ']', text.len);
        if (!end) {
            return false;
        }
        host->name = (struct bytes){text.data + 1, (size_t)(end - text.data) - 1};
        *rest = cut_host(text, host->name.len + 2);
        return read_host_ipv6(host->name, host);
    }
    const uint8_t *colon = text.len > 0 ? memchr(text.data, ':', text.len) : NULL;
    host->name.len = colon ? (size_t)(colon - text.data) : text.len;
    *rest = cut_host(text, host->name.len);
    if (host->name.len > 1 && host->name.data[host->name.len - 1] == '.') {
        host->name.len--;
    }
    return is_host_name(host->name);
}

bool http_host_is_same(const struct http_host *a, const struct http_host *b)
{
    if (a->is_ipv6 || b->is_ipv6) {
        return a->is_ipv6 && b->is_ipv6 && memcmp(&a->address, &b->address, sizeof a->address) == 0;
    }
    return is_same_name(a->name, b->name);
}

/* ---- lists ---- */

/* The next entry of the list, without a dot at its end; empty at the list's end. */
static struct bytes next_host_entry(const char **list)
{
    const char *entry = *list + strspn(*list, SEPARATORS);
    size_t len = strcspn(entry, SEPARATORS);
    *list = entry + len;
    if (len > 1 && entry[len - 1] == '.') {
        len--;
    }
    return (struct bytes){(const uint8_t *)entry, len};
}

static bool is_any_host(struct bytes entry)
{
    return bytes_equal(entry, BYTES_LITERAL("*"));
}

const char *http_hosts_check(const char *list)
{
    struct bytes entry;
    while ((entry = next_host_entry(&list)).len > 0) {
        struct bytes name = entry.data[0] == '.' ? cut_host(entry, 1) : entry;
        if (!is_any_host(entry) && !is_host_name(name)) {
            return "an entry is not a host's name, as page.example.org, .example.org or *: it has "
                   "no scheme, port or path, names are ASCII (xn--...), and IP addresses need no "
                   "entry";
        }
    }
    return NULL;
}

static bool is_below(struct bytes name, struct bytes domain)
{
    return name.len > domain.len && is_same_name(cut_host(name, name.len - domain.len), domain);
}

static bool is_listed_host(const char *list, struct bytes name)
{
    struct bytes entry;
    while ((entry = next_host_entry(&list)).len > 0) {
        if (is_any_host(entry) ||
            (entry.data[0] == '.' ? is_below(name, entry) : is_same_name(name, entry))) {
            return true;
        }
    }
    return false;
}

static bool is_ipv4(struct bytes name)
{
    char text[INET_ADDRSTRLEN];
    struct in_addr address;
    if (name.len >= sizeof text) {
        return false;
    }
    memcpy(text, name.data, name.len);
    text[name.len] = 0;
    return inet_pton(AF_INET, text, &address) == 1;
}

static bool is_this_machine(struct bytes name)
{
    char own[NAME_MAX_LENGTH + 1] = "";
    if (gethostname(own, sizeof own - 1) != 0) {
        return false;
    }
    return *own && is_same_name(name, bytes_from_string(own));
}

bool http_hosts_allow(const char *list, struct bytes host_text)
{
    struct http_host host;
    struct bytes rest;
    /* In brackets it is an IPv6 address, perhaps with a zone: the reader has judged its form. */
    if (host_text.len == 0 || host_text.data[0] == '[') {
        return true;
    }
    if (!http_host_read(host_text, &host, &rest)) {
        return false;
    }
    return is_ipv4(host.name) || is_same_name(host.name, BYTES_LITERAL("localhost")) ||
           is_this_machine(host.name) || (list && is_listed_host(list, host.name));
}
