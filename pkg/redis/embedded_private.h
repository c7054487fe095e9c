/* embedded_private: the fork and exec of an embedded redis-server. */
#ifndef REDIS_EMBEDDED_PRIVATE_H
#define REDIS_EMBEDDED_PRIVATE_H

#include <stdbool.h>
#include <sys/types.h>

struct redis_spawn {
    const char *program;
    const char *socket;
    const char *log;
    const char *directory; /* its working directory: where it persists */
    bool persists;
    int lock; /* a descriptor that it keeps, or -1 */
};
/* False and *error (the caller frees) when the program could not be run. */
bool redis_embedded_spawn(const struct redis_spawn *spawn, pid_t *pid, char **error)
    __attribute__((warn_unused_result));

#endif
