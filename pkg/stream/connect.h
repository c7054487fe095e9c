/*
 * connect: one non-blocking connect(2), for callers that keep a plain descriptor themselves.
 */
#ifndef STREAM_CONNECT_H
#define STREAM_CONNECT_H

#include "base/address.h"
#include "stream/resolve.h"

/*
 * A descriptor that is connecting to the address (TCP, with no delay and keep-alives, or a unix
 * socket): it becomes writable when that is done. source: the IP address to connect from, or NULL;
 * its port is ignored. -1 and errno when it failed at once. The caller closes it.
 */
int stream_connect(const struct stream_address *to, const struct address *source)
    __attribute__((warn_unused_result));
/* Once it is writable: 0, or the errno of the attempt. */
int stream_connect_error(int fd);
/* The address of a unix socket. False and ENAMETOOLONG when the path is too long. */
bool stream_address_of_path(const char *path, struct stream_address *address)
    __attribute__((warn_unused_result));
/* The address as a sockaddr; false for ADDRESS_NONE and ADDRESS_UNIX. */
bool stream_address_of_ip(const struct address *ip, struct stream_address *address)
    __attribute__((warn_unused_result));

#endif
