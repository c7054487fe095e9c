/* peer_address: the address under which other front-ends reach a web listener (node.advertise). */
#ifndef SERVER_PEER_ADDRESS_H
#define SERVER_PEER_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

struct peer_address {
    char host[256]; /* a name, an IPv4 address, or an IPv6 one without its brackets */
    uint16_t port;
};

/* "HOST:PORT", "[IPv6]:PORT". NULL, or the error (static text). Wildcards are refused. */
const char *peer_address_parse(struct bytes text, struct peer_address *address)
    __attribute__((warn_unused_result));
/* For the table of settings: empty is valid too. */
const char *peer_address_check(const char *text);

#endif
