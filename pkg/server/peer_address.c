#include "server/peer_address.h"

#include <arpa/inet.h>
#include <string.h>

static const char expected[] = "HOST:PORT is expected, under which other front-ends reach it";

static bool is_wildcard_host(const char *host)
{
    struct in6_addr six;
    struct in_addr four;

    if (strcmp(host, "*") == 0) {
        return true;
    }
    if (inet_pton(AF_INET6, host, &six) == 1) {
        return IN6_IS_ADDR_UNSPECIFIED(&six) ||
               (IN6_IS_ADDR_V4MAPPED(&six) && memcmp(&six.s6_addr[12], "\0\0\0\0", 4) == 0);
    }
    /* As the resolver parses it: "0" and "0.0" are wildcards too. */
    return inet_aton(host, &four) != 0 && four.s_addr == INADDR_ANY;
}

static bool is_host(struct bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] <= ' ' || text.data[i] >= 0x7f || strchr("/?#@[]\"'", text.data[i])) {
            return false;
        }
    }
    return text.len > 0;
}

static bool parse_peer_port(struct bytes text, uint16_t *port)
{
    uint32_t number = 0;

    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9' || i >= 5) {
            return false;
        }
        number = number * 10 + (text.data[i] - '0');
    }
    *port = (uint16_t)number;
    return number > 0 && number <= UINT16_MAX;
}

const char *peer_address_parse(struct bytes text, struct peer_address *address)
{
    const uint8_t *colon = text.len > 0 ? memrchr(text.data, ':', text.len) : NULL;
    struct bytes host = {text.data, colon ? (size_t)(colon - text.data) : 0};
    bool in_brackets = host.len > 2 && host.data[0] == '[' && host.data[host.len - 1] == ']';

    if (in_brackets) {
        host = (struct bytes){host.data + 1, host.len - 2};
    }
    if (!is_host(host) || host.len >= sizeof address->host ||
        (!in_brackets && memchr(host.data, ':', host.len))) {
        return expected;
    }
    memcpy(address->host, host.data, host.len);
    address->host[host.len] = '\0';
    if (!parse_peer_port((struct bytes){colon + 1, text.len - (size_t)(colon + 1 - text.data)},
                         &address->port)) {
        return expected;
    }
    return is_wildcard_host(address->host)
               ? "a wildcard address cannot be connected to: use this front-end's own address"
               : NULL;
}

const char *peer_address_check(const char *text)
{
    struct peer_address address;

    return *text ? peer_address_parse(bytes_from_string(text), &address) : NULL;
}
