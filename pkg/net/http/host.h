/* http_host: names and addresses of hosts, as a Host header and an Origin have them. */
#ifndef NET_HTTP_HOST_H
#define NET_HTTP_HOST_H

#include <netinet/in.h>
#include <stdbool.h>

#include "base/bytes.h"

struct http_host {
    struct bytes name; /* without brackets, and without a dot at its end */
    bool is_ipv6;
    struct in6_addr address; /* of an IPv6 one */
};

/* "name", "name:port", "[address]:port"; *rest is what follows the host, with its colon. */
bool http_host_read(struct bytes text, struct http_host *host, struct bytes *rest)
    __attribute__((warn_unused_result));
/* Names in any case; IPv6 addresses as addresses. */
bool http_host_is_same(const struct http_host *a, const struct http_host *b);

/* A check of a setting: what is wrong with a list of names, separated by spaces or commas, or NULL.
 * ".example.org" is each name below example.org, "*" is any name. */
const char *http_hosts_check(const char *list);
/*
 * Whether a request to that host concerns this process, and not a page that a browser believes to
 * be another site's because its name leads here (DNS rebinding). host: its Host header. True for
 * none, IP addresses, localhost, the name of this machine, and the names of the list (may be NULL).
 */
bool http_hosts_allow(const char *list, struct bytes host);

#endif
