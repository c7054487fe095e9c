/* target_private: the URL parser with its static messages, for the table of settings. */
#ifndef REDIS_TARGET_PRIVATE_H
#define REDIS_TARGET_PRIVATE_H

#include "redis/redis.h"

/* The longest path in a sockaddr_un, without its NUL. */
#define REDIS_UNIX_PATH_MAX 107

/* As redis_target_parse, but with a static message. The target must be freed in both cases. */
const char *redis_target_read(const char *url, struct redis_target *target)
    __attribute__((warn_unused_result));

#endif
