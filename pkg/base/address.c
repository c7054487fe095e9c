/* address: text, sockaddr and comparison of addresses, over inet_pton and inet_ntop. */
#include "base/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

static const uint8_t mapped_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

static size_t ip_length(uint8_t family)
{
    return family == ADDRESS_IPV4 ? 4 : family == ADDRESS_IPV6 ? 16 : 0;
}

static void set_ipv6(struct address *address, const uint8_t ip[16])
{
    if (memcmp(ip, mapped_prefix, sizeof mapped_prefix) == 0) {
        address->family = ADDRESS_IPV4;
        memcpy(address->ip, ip + sizeof mapped_prefix, 4);
    } else {
        address->family = ADDRESS_IPV6;
        memcpy(address->ip, ip, 16);
    }
}

const char *address_format_ip(const struct address *address, char text[ADDRESS_TEXT_SIZE])
{
    const char *formatted = NULL;

    if (address->family == ADDRESS_IPV4) {
        formatted = inet_ntop(AF_INET, address->ip, text, ADDRESS_TEXT_SIZE);
    } else if (address->family == ADDRESS_IPV6) {
        formatted = inet_ntop(AF_INET6, address->ip, text, ADDRESS_TEXT_SIZE);
    }
    if (!formatted) {
        (void)snprintf(text, ADDRESS_TEXT_SIZE, "%s",
                       address->family == ADDRESS_UNIX ? "unix" : "none");
    }
    return text;
}

const char *address_format(const struct address *address, char text[ADDRESS_TEXT_SIZE])
{
    char ip[ADDRESS_TEXT_SIZE];

    address_format_ip(address, ip);
    if (address->family == ADDRESS_IPV4) {
        (void)snprintf(text, ADDRESS_TEXT_SIZE, "%.15s:%u", ip, (unsigned)address->port);
    } else if (address->family == ADDRESS_IPV6) {
        (void)snprintf(text, ADDRESS_TEXT_SIZE, "[%.45s]:%u", ip, (unsigned)address->port);
    } else {
        (void)snprintf(text, ADDRESS_TEXT_SIZE, "%.8s", ip);
    }
    return text;
}

bool address_parse_ip(const char *text, struct address *address)
{
    uint8_t ip[16];

    memset(address, 0, sizeof *address);
    if (inet_pton(AF_INET, text, ip) == 1) {
        address->family = ADDRESS_IPV4;
        memcpy(address->ip, ip, 4);
        return true;
    }
    if (inet_pton(AF_INET6, text, ip) == 1) {
        set_ipv6(address, ip);
        return true;
    }
    return false;
}

/* One to five digits, at most max. */
static bool parse_small(const char *text, unsigned max, unsigned *value)
{
    size_t len = strspn(text, "0123456789");

    if (len < 1 || len > 5 || text[len] != '\0') {
        return false;
    }
    *value = 0;
    for (size_t i = 0; i < len; i++) {
        *value = *value * 10 + (unsigned)(text[i] - '0');
    }
    return *value <= max;
}

bool address_parse(const char *text, struct address *address)
{
    char ip[ADDRESS_TEXT_SIZE];
    const char *colon = strrchr(text, ':');
    bool bracketed = text[0] == '[';
    size_t len;
    unsigned port;

    memset(address, 0, sizeof *address);
    if (!colon || !parse_small(colon + 1, UINT16_MAX, &port)) {
        return false;
    }
    len = (size_t)(colon - text);
    if (bracketed) {
        if (len < 2 || text[len - 1] != ']') {
            return false;
        }
        text++;
        len -= 2;
    }
    if (len >= sizeof ip || (memchr(text, ':', len) != NULL) != bracketed) {
        return false;
    }
    memcpy(ip, text, len);
    ip[len] = '\0';
    if (!address_parse_ip(ip, address)) {
        return false;
    }
    address->port = (uint16_t)port;
    return true;
}

void address_from_sockaddr(const struct sockaddr *sockaddr, struct address *address)
{
    memset(address, 0, sizeof *address);
    /* Copied, because what a buffer of a system call holds need not be aligned. */
    if (sockaddr->sa_family == AF_INET) {
        struct sockaddr_in in;

        memcpy(&in, sockaddr, sizeof in);
        address->family = ADDRESS_IPV4;
        address->port = ntohs(in.sin_port);
        memcpy(address->ip, &in.sin_addr, 4);
    } else if (sockaddr->sa_family == AF_INET6) {
        struct sockaddr_in6 in6;

        memcpy(&in6, sockaddr, sizeof in6);
        address->port = ntohs(in6.sin6_port);
        set_ipv6(address, in6.sin6_addr.s6_addr);
    } else if (sockaddr->sa_family == AF_UNIX) {
        address->family = ADDRESS_UNIX;
    }
}

socklen_t address_to_sockaddr(const struct address *address, struct sockaddr_storage *storage)
{
    memset(storage, 0, sizeof *storage);
    if (address->family == ADDRESS_IPV4) {
        struct sockaddr_in *in = (struct sockaddr_in *)storage;

        in->sin_family = AF_INET;
        in->sin_port = htons(address->port);
        memcpy(&in->sin_addr, address->ip, 4);
        return sizeof *in;
    }
    if (address->family == ADDRESS_IPV6) {
        struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)storage;

        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons(address->port);
        memcpy(&in6->sin6_addr, address->ip, 16);
        return sizeof *in6;
    }
    return 0;
}

bool address_same_ip(const struct address *a, const struct address *b)
{
    return a->family == b->family && memcmp(a->ip, b->ip, ip_length(a->family)) == 0;
}

/* Host bits are cleared, so that equal prefixes have equal bytes. */
static void clear_host_bits(struct address_prefix *prefix)
{
    size_t len = ip_length(prefix->address.family);

    for (size_t i = 0; i < len; i++) {
        unsigned kept = prefix->bits > 8 * i ? prefix->bits - (unsigned)(8 * i) : 0;

        if (kept < 8) {
            prefix->address.ip[i] &= (uint8_t)(0xff << (8 - kept));
        }
    }
}

bool address_prefix_parse(const char *text, struct address_prefix *prefix)
{
    char ip[ADDRESS_TEXT_SIZE];
    const char *slash = strchr(text, '/');
    size_t len = !slash ? strlen(text) : (size_t)(slash - text);
    unsigned whole, bits;

    memset(prefix, 0, sizeof *prefix);
    if (len >= sizeof ip) {
        return false;
    }
    memcpy(ip, text, len);
    ip[len] = '\0';
    if (!address_parse_ip(ip, &prefix->address)) {
        return false;
    }
    /* A mapped address carries the prefix length of an IPv6 address. */
    whole = !strchr(ip, ':') ? 32 : 128;
    bits = whole;
    if (slash && !parse_small(slash + 1, whole, &bits)) {
        return false;
    }
    if (whole == 128 && prefix->address.family == ADDRESS_IPV4) {
        if (bits < 96) {
            return false; /* wider than the mapped addresses, which are stored as IPv4 */
        }
        bits -= 96;
    }
    prefix->bits = (uint8_t)bits;
    clear_host_bits(prefix);
    return true;
}

bool address_prefix_contains(const struct address_prefix *prefix, const struct address *address)
{
    size_t whole = prefix->bits / 8;
    unsigned rest = prefix->bits % 8;
    uint8_t mask;

    if (prefix->address.family != address->family || ip_length(address->family) == 0) {
        return false;
    }
    if (memcmp(prefix->address.ip, address->ip, whole) != 0) {
        return false;
    }
    if (rest == 0) {
        return true;
    }
    mask = (uint8_t)(0xff << (8 - rest));
    return (address->ip[whole] & mask) == prefix->address.ip[whole];
}
