/*
 * address: where a peer is, in 20 bytes, and prefixes of addresses.
 *
 * IPv4 addresses mapped into IPv6 (::ffff:a.b.c.d) are stored as IPv4, so that limits and lists
 * compare one form.
 */
#ifndef BASE_ADDRESS_H
#define BASE_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

enum address_family { ADDRESS_NONE = 0, ADDRESS_IPV4 = 4, ADDRESS_IPV6 = 6, ADDRESS_UNIX = 1 };

struct address {
    uint8_t family; /* enum address_family */
    uint16_t port;  /* host order; 0 for unix */
    uint8_t ip[16]; /* network order, 4 or 16 bytes used */
};

/* The text form, with the port: "203.0.113.7:23460", "[2001:db8::1]:80", "unix". */
#define ADDRESS_TEXT_SIZE 64
const char *address_format(const struct address *address, char text[ADDRESS_TEXT_SIZE]);
const char *address_format_ip(const struct address *address, char text[ADDRESS_TEXT_SIZE]);
/* Reads "1.2.3.4:80" or "[::1]:80" (numeric only). False when it is neither. */
bool address_parse(const char *text, struct address *address) __attribute__((warn_unused_result));
bool address_parse_ip(const char *text, struct address *address)
    __attribute__((warn_unused_result));
void address_from_sockaddr(const struct sockaddr *sockaddr, struct address *address);
/* Length of the sockaddr written, 0 for ADDRESS_NONE and ADDRESS_UNIX. */
socklen_t address_to_sockaddr(const struct address *address, struct sockaddr_storage *storage);
bool address_same_ip(const struct address *a, const struct address *b);

/* "10.0.0.0/8", "2001:db8::/32", or an address (a whole-length prefix). */
struct address_prefix {
    struct address address;
    uint8_t bits;
};
bool address_prefix_parse(const char *text, struct address_prefix *prefix)
    __attribute__((warn_unused_result));
bool address_prefix_contains(const struct address_prefix *prefix, const struct address *address);

#endif
