/*
 * settings: the redis.* part of the configuration table.
 */
#include "redis/redis.h"

#include <stddef.h>
#include <string.h>

#include "config/config.h"
#include "redis/target_private.h"

#define FIELD(member) offsetof(struct redis_settings, member)
#define PREFIX_MAX    64

static const char *check_url(const char *value)
{
    struct redis_target target;
    const char *wrong = redis_target_read(value, &target);

    redis_target_free(&target);
    return wrong;
}

/* A brace would change the hash tag, and so the slot, of every key. */
static const char *check_prefix(const char *value)
{
    size_t len = strlen(value);

    if (len == 0 || len > PREFIX_MAX) {
        return "must have 1 to 64 characters";
    }
    for (const char *c = value; *c != '\0'; c++) {
        if (*c <= ' ' || *c > '~' || *c == '{' || *c == '}') {
            return "must be printable ASCII without spaces and braces";
        }
    }
    return NULL;
}

static const char *check_program(const char *value)
{
    return *value == '\0' ? "must not be empty" : NULL;
}

static const struct config_setting settings[] = {
    {.key = "redis.url",
     .type = CONFIG_STRING,
     .offset = FIELD(url),
     .standard = "embedded",
     .flags = CONFIG_SECRET,
     .check = check_url,
     .help =
         "Address of Redis: embedded, redis://HOST:PORT/DB, rediss://HOST:PORT/DB, unix:PATH or "
         "redis-sentinel://HOST:PORT,HOST:PORT/MASTER."},
    {.key = "redis.data",
     .type = CONFIG_STRING,
     .offset = FIELD(data),
     .standard = "",
     .help = "Directory in which the embedded Redis persists its data; empty: no persistence."},
    {.key = "redis.server",
     .type = CONFIG_STRING,
     .offset = FIELD(server),
     .standard = "redis-server",
     .check = check_program,
     .help = "Program that is started as the embedded Redis."},
    {.key = "redis.prefix",
     .type = CONFIG_STRING,
     .offset = FIELD(prefix),
     .standard = "tracker",
     .check = check_prefix,
     .help = "Prefix of all keys and channels."},
    {.key = "redis.deadline",
     .type = CONFIG_DURATION,
     .offset = FIELD(deadline),
     .standard = "3s",
     .min = 10,
     .max = 600000,
     .help = "How long a client's write waits for Redis before it gets an error."},
    {.key = "redis.timeout",
     .type = CONFIG_DURATION,
     .offset = FIELD(timeout),
     .standard = "3s",
     .flags = CONFIG_RELOADABLE,
     .min = 10,
     .max = 600000,
     .help = "If a command is not answered within this time, its connection to Redis is reset."},
    {.key = "redis.connect_timeout",
     .type = CONFIG_DURATION,
     .offset = FIELD(connect_timeout),
     .standard = "3s",
     .flags = CONFIG_RELOADABLE,
     .min = 10,
     .max = 600000,
     .help = "How long connecting to Redis may take, and how long the handshake after it."},
    {.key = "redis.backoff",
     .type = CONFIG_DURATION,
     .offset = FIELD(backoff),
     .standard = "300ms",
     .flags = CONFIG_RELOADABLE,
     .min = 1,
     .max = 60000,
     .help = "Upper bound of the first delay before reconnecting; it doubles with each failure."},
    {.key = "redis.backoff_max",
     .type = CONFIG_DURATION,
     .offset = FIELD(backoff_max),
     .standard = "5s",
     .flags = CONFIG_RELOADABLE,
     .min = 1,
     .max = 600000,
     .help = "Upper bound of the delay before reconnecting."},
    {.key = "redis.role_interval",
     .type = CONFIG_DURATION,
     .offset = FIELD(role_interval),
     .standard = "2s",
     .flags = CONFIG_RELOADABLE,
     .min = 100,
     .max = 60000,
     .help = "How often the role of Redis is checked: it must still be the master."},
    {.key = "redis.memory_interval",
     .type = CONFIG_DURATION,
     .offset = FIELD(memory_interval),
     .standard = "1s",
     .flags = CONFIG_RELOADABLE,
     .min = 100,
     .max = 60000,
     .help = "How often it is read how much memory Redis uses."},
    {.key = "redis.memory_limit",
     .type = CONFIG_INT,
     .offset = FIELD(memory_limit),
     .standard = "90",
     .flags = CONFIG_RELOADABLE,
     .min = 0,
     .max = 100,
     .help = "Percent of Redis's maxmemory above which nothing new is stored; 0: no limit."},
    {.key = "redis.min_replicas",
     .type = CONFIG_INT,
     .offset = FIELD(min_replicas),
     .standard = "0",
     .flags = CONFIG_RELOADABLE,
     .min = 0,
     .max = 100,
     .help = "Replicas that must acknowledge a client's write before the client is answered."},
    {.key = "redis.inflight",
     .type = CONFIG_INT,
     .offset = FIELD(inflight),
     .standard = "4",
     .min = 1,
     .max = 1024,
     .help = "Batches of changes in flight, for each partition."},
    {.key = "redis.max_reply",
     .type = CONFIG_SIZE,
     .offset = FIELD(max_reply),
     .standard = "64MiB",
     .flags = CONFIG_RELOADABLE,
     .min = 1 << 16,
     .max = INT64_C(1) << 32,
     .help = "Largest reply accepted from Redis; a larger one resets the connection."},
    {.key = "redis.tls_ca",
     .type = CONFIG_STRING,
     .offset = FIELD(tls_ca),
     .standard = "",
     .help =
         "PEM file of the certificate authorities for Redis's certificate; empty: the system's."},
    {.key = "redis.tls_certificate",
     .type = CONFIG_STRING,
     .offset = FIELD(tls_certificate),
     .standard = "",
     .help = "PEM file of the client certificate for Redis."},
    {.key = "redis.tls_key",
     .type = CONFIG_STRING,
     .offset = FIELD(tls_key),
     .standard = "",
     .help = "PEM file of the private key of redis.tls_certificate."},
    {.key = "redis.tls_verify",
     .type = CONFIG_BOOL,
     .offset = FIELD(tls_verify),
     .standard = "true",
     .help = "Whether Redis's certificate and host name are verified."},
    {.key = "redis.user",
     .type = CONFIG_STRING,
     .offset = FIELD(user),
     .standard = "",
     .help = "User name for Redis, if the URL has none."},
    {.key = "redis.password",
     .type = CONFIG_STRING,
     .offset = FIELD(password),
     .standard = "",
     .flags = CONFIG_SECRET,
     .help = "Password for Redis, if the URL has none."},
    {.key = "redis.sentinel_user",
     .type = CONFIG_STRING,
     .offset = FIELD(sentinel_user),
     .standard = "",
     .help = "User name for the Sentinels; those in the URL are for Redis."},
    {.key = "redis.sentinel_password",
     .type = CONFIG_STRING,
     .offset = FIELD(sentinel_password),
     .standard = "",
     .flags = CONFIG_SECRET,
     .help = "Password for the Sentinels."},
    {.key = NULL}};

const struct config_module redis_config = {
    .settings = settings,
    .values_size = sizeof(struct redis_settings),
};
