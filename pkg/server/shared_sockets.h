/*
 * shared_sockets: the sockets of all listeners, for several workers.
 *
 * Of TCP and UDP each worker has one of its own on the same port (SO_REUSEPORT): the kernel spreads
 * connections over them by the addresses and ports of both ends. A unix socket is one for all.
 */
#ifndef SERVER_SHARED_SOCKETS_H
#define SERVER_SHARED_SOCKETS_H

#include "base/bytes.h"
#include "server/configuration.h"
#include "supervisor/supervisor.h"

struct shared_sockets;

/* Binds those of the configuration. A port 0 becomes one that all workers share. Those that
 * *sockets has already are kept; others that it has stay open until shared_sockets_trim. NULL, or
 * the error (the caller frees): then *sockets is as before. */
char *shared_sockets_open(const struct configuration *configuration, unsigned workers,
                          struct shared_sockets **sockets) __attribute__((warn_unused_result));
/* Closes those that the last configuration does not have. */
void shared_sockets_trim(struct shared_sockets *sockets);
/* The workers drain: closes what only keeps connections waiting that nobody serves. */
void shared_sockets_stop(struct shared_sockets *sockets);
/* Removes the files of unix sockets, too. */
void shared_sockets_close(struct shared_sockets **sockets);
/* Valid as long as they are. */
const struct supervisor_socket *shared_sockets_list(const struct shared_sockets *sockets,
                                                    size_t *count);
/* As listeners_describe. */
void shared_sockets_describe(const struct shared_sockets *sockets, struct writer *to);

#endif
