/* own_redis: the embedded server as this process's Redis: its start, and its URL. */
#ifndef SERVER_OWN_REDIS_H
#define SERVER_OWN_REDIS_H

#include "redis/embedded.h"
#include "redis/redis.h"

/* Starts and logs it. died: it has ended by itself. *url: what connects to it. NULL, or the error
 * (the caller frees either). */
char *own_redis_start(struct loop *loop, const struct redis_settings *settings,
                      void (*died)(void *arg, int status), void *arg,
                      struct redis_embedded **embedded, char **url)
    __attribute__((warn_unused_result));

#endif
