/*
 * proxy: the header of the PROXY protocol, versions 1 and 2, as a load balancer sends it before
 * the client's bytes. Bytes in, a header out; no I/O.
 * Source: https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt
 */
#ifndef NET_PROXY_PRIVATE_H
#define NET_PROXY_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/address.h"
#include "base/bytes.h"

/* No longer header, with its TLVs, is accepted. */
#define PROXY_MAX_SIZE 16384

enum proxy_result { PROXY_MORE, PROXY_DONE, PROXY_BAD };

struct proxy_header {
    size_t len;            /* DONE: bytes of the header */
    bool has_source;       /* DONE: false for LOCAL and UNKNOWN: the socket's address counts */
    struct address source; /* the client's; ADDRESS_UNIX for a client on a unix socket */
    const char *error;     /* BAD: static text */
};

/* Never MORE for PROXY_MAX_SIZE bytes, and MORE only when every byte belongs to the header. */
enum proxy_result proxy_parse(struct bytes bytes, struct proxy_header *header)
    __attribute__((warn_unused_result));

#endif
