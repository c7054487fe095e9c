/*
 * embedded: a private redis-server, child of this process.
 *
 * It listens only on a unix socket in a new directory (mode 0700), persists nothing unless a data
 * directory is given (then an append-only file there), and exits when we do, by any cause
 * (PR_SET_PDEATHSIG, without a race). If it exits by itself, `died` is called.
 */
#ifndef REDIS_EMBEDDED_H
#define REDIS_EMBEDDED_H

#include <sys/types.h>

#include "loop/loop.h"

struct redis_embedded;
/* program: "redis-server", or a path. data: NULL or "" for no persistence. Returns when the server
 * accepts connections (bounded by 30 s, LOADING included). NULL and *error (the caller frees)
 * when it cannot be started. */
struct redis_embedded *redis_embedded_start(struct loop *loop, const char *program,
                                            const char *data, void (*died)(void *arg, int status),
                                            void *arg, char **error)
    __attribute__((warn_unused_result));
/* The unix socket's path. */
const char *redis_embedded_socket(const struct redis_embedded *embedded);
pid_t redis_embedded_pid(const struct redis_embedded *embedded);
/* SIGTERM, waits (it saves), SIGKILL after 10 s; removes the directory. */
void redis_embedded_stop(struct redis_embedded **embedded);

/* The sockets of this user's running embedded servers, ended by NULL. The caller frees each of them
 * and the list. */
char **redis_embedded_find(void) __attribute__((warn_unused_result));

#endif
