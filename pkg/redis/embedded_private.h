/* embedded_private: the directory of an embedded redis-server, and its fork and exec. */
#ifndef REDIS_EMBEDDED_PRIVATE_H
#define REDIS_EMBEDDED_PRIVATE_H

#include <stdbool.h>
#include <sys/types.h>

/* directory.c: creates a private directory and its lock, which the server is to keep. NULL and
 * *error (the caller frees) on failure. */
char *redis_directory_create(int *lock, char **error) __attribute__((warn_unused_result));
void redis_directory_remove(const char *path);

/* spawn.c */
struct redis_spawn {
    const char *program;
    const char *socket;
    const char *log;
    const char *directory; /* its working directory: where it persists */
    bool persists;
    int locks[2]; /* descriptors that it keeps, or -1 */
};
/* False and *error (the caller frees) when the program could not be run. */
bool redis_embedded_spawn(const struct redis_spawn *spawn, pid_t *pid, char **error)
    __attribute__((warn_unused_result));

#endif
