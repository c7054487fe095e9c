/* target: where a wire goes, from its text to a socket. */
#ifndef CLIENT_TARGET_PRIVATE_H
#define CLIENT_TARGET_PRIVATE_H

#include <sys/socket.h>

#include "client/wire_private.h"

struct target_address {
    struct sockaddr_storage storage;
    socklen_t len;
};

/* The attempt'th of the target's addresses, in turn. NULL, or why there is none. Looking up a name
 * may take its time. */
const char *target_resolve(const struct wire_target *target, unsigned attempt,
                           struct target_address *address) __attribute__((warn_unused_result));
/* A non-blocking socket that is connecting, or -1 with errno. source: a numeric address, or NULL.
 */
int target_connect(const struct target_address *address, const char *source)
    __attribute__((warn_unused_result));

#endif
