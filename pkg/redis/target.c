/*
 * target: parses the URL of Redis.
 *
 *   embedded
 *   redis://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE]      rediss:// the same over TLS
 *   unix:[//[[USER]:PASSWORD@]]/PATH[?db=DATABASE]
 *   redis-sentinel://[[USER]:PASSWORD@]HOST[:PORT][,HOST[:PORT]]…/MASTER[/DATABASE]
 *                                                         rediss-sentinel:// the same over TLS
 *
 * User, password and path may be percent-encoded. No message quotes any part of the URL: if it is
 * malformed, the password may be anywhere in it.
 */
#include "redis/redis.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "redis/target_private.h"

#define DEFAULT_PORT  6379
#define SENTINEL_PORT 26379
#define DATABASES_MAX 65535
#define HOST_MAX      255

static const struct scheme {
    const char *prefix;
    enum redis_scheme scheme;
    bool tls;
} schemes[] = {
    {"redis://", REDIS_TCP, false},
    {"rediss://", REDIS_TCP, true},
    {"unix:", REDIS_UNIX, false},
    {"redis-sentinel://", REDIS_SENTINEL, false},
    {"rediss-sentinel://", REDIS_SENTINEL, true},
    {"redis+sentinel://", REDIS_SENTINEL, false},
    {"rediss+sentinel://", REDIS_SENTINEL, true},
    {"redis-cluster://", REDIS_CLUSTER, false},
    {"rediss-cluster://", REDIS_CLUSTER, true},
    {"redis+cluster://", REDIS_CLUSTER, false},
    {"rediss+cluster://", REDIS_CLUSTER, true},
};

static int target_hex_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* NULL when an escape is malformed or decodes to a NUL. */
static char *percent_decode(const char *text, size_t len)
{
    char *decoded = mem_dup(text, len);
    size_t to = 0;

    for (size_t from = 0; from < len; from++) {
        int high, low;

        decoded[to] = text[from];
        if (text[from] == '%') {
            high = from + 2 < len ? target_hex_value(text[from + 1]) : -1;
            low = from + 2 < len ? target_hex_value(text[from + 2]) : -1;
            if (high < 0 || low < 0 || (high == 0 && low == 0)) {
                free(decoded);
                return NULL;
            }
            decoded[to] = (char)(high * 16 + low);
            from += 2;
        }
        to++;
    }
    decoded[to] = '\0';
    return decoded;
}

/* Digits only, at most max. */
static bool read_bounded_number(const char *text, size_t len, unsigned max, unsigned *value)
{
    unsigned number = 0;

    if (len == 0 || len > 5) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return false;
        }
        number = number * 10 + (unsigned)(text[i] - '0');
    }
    *value = number;
    return number <= max;
}

/* [[USER]:PASSWORD | USER] */
static const char *read_credentials(const char *text, size_t len, struct redis_target *target)
{
    const char *colon = memchr(text, ':', len);
    size_t user_len = colon ? (size_t)(colon - text) : len;

    if (user_len > 0) {
        target->user = percent_decode(text, user_len);
        if (!target->user) {
            return "the user is not percent-encoded properly";
        }
    }
    if (colon) {
        target->password = percent_decode(colon + 1, len - user_len - 1);
        if (!target->password) {
            return "the password is not percent-encoded properly";
        }
    }
    return NULL;
}

/* HOST[:PORT], an IPv6 address in brackets */
static const char *read_redis_host(const char *text, size_t len, unsigned port,
                                   struct redis_endpoint *endpoint)
{
    const char *host = text;
    const char *after;
    size_t host_len;

    if (len > 0 && *text == '[') {
        const char *bracket = memchr(text, ']', len);

        if (!bracket) {
            return "the address lacks its closing bracket";
        }
        host = text + 1;
        host_len = (size_t)(bracket - host);
        after = bracket + 1;
    } else {
        after = memchr(text, ':', len);
        after = after ? after : text + len;
        host_len = (size_t)(after - text);
    }
    if (host_len == 0 || host_len > HOST_MAX) {
        return "the host is missing or too long";
    }
    if (after < text + len &&
        (*after != ':' ||
         !read_bounded_number(after + 1, (size_t)(text + len - after) - 1, UINT16_MAX, &port) ||
         port == 0)) {
        return "the port is not a number from 1 to 65535 (an IPv6 address needs brackets)";
    }
    endpoint->host = mem_dup(host, host_len);
    endpoint->port = (uint16_t)port;
    return NULL;
}

/* Reads [[USER]:PASSWORD@], and sets *text to what follows it; len: that of both. */
static const char *read_authority_user(const char **text, size_t *len, struct redis_target *target)
{
    const char *at = memrchr(*text, '@', *len);
    const char *wrong = NULL;

    if (at) {
        wrong = read_credentials(*text, (size_t)(at - *text), target);
        *len -= (size_t)(at + 1 - *text);
        *text = at + 1;
    }
    return wrong;
}

/* Nothing, / or /DATABASE */
static const char *read_database(const char *path, struct redis_target *target)
{
    if (*path == '/' && path[1] != '\0') {
        return read_bounded_number(path + 1, strlen(path + 1), DATABASES_MAX, &target->database)
                   ? NULL
                   : "the database is not a number from 0 to 65535";
    }
    return *path == '\0' || *path == '/' ? NULL
                                         : "it has a query or fragment, which is not supported";
}

/* What follows redis:// and rediss:// */
static const char *read_network(const char *text, struct redis_target *target)
{
    struct redis_endpoint endpoint = {.host = NULL};
    size_t len = strcspn(text, "/?#");
    const char *path = text + len;
    const char *wrong = read_authority_user(&text, &len, target);

    if (!wrong) {
        wrong = read_redis_host(text, len, DEFAULT_PORT, &endpoint);
    }
    target->host = endpoint.host;
    target->port = endpoint.port;
    return wrong ? wrong : read_database(path, target);
}

/* HOST[:PORT][,HOST[:PORT]]… */
static const char *read_endpoints(const char *text, size_t len, unsigned port,
                                  struct redis_target *target)
{
    const char *end = text + len;
    const char *wrong;

    for (;;) {
        const char *comma = memchr(text, ',', (size_t)(end - text));
        const char *stop = comma ? comma : end;

        if (target->endpoint_count == REDIS_ENDPOINTS_MAX) {
            return "it names more than 16 hosts";
        }
        wrong = read_redis_host(text, (size_t)(stop - text), port,
                                &target->endpoints[target->endpoint_count]);
        if (wrong) {
            return wrong;
        }
        target->endpoint_count++;
        if (!comma) {
            return NULL;
        }
        text = comma + 1;
    }
}

/* What follows redis-sentinel:// and rediss-sentinel:// */
static const char *read_sentinels(const char *text, struct redis_target *target)
{
    size_t len = strcspn(text, "/?#");
    const char *path = text + len;
    const char *wrong = read_authority_user(&text, &len, target);

    if (!wrong) {
        wrong = read_endpoints(text, len, SENTINEL_PORT, target);
    }
    if (wrong) {
        return wrong;
    }
    len = *path == '/' ? strcspn(path + 1, "/?#") : 0;
    if (len == 0) {
        return "the name of the master is missing: redis-sentinel://HOST:PORT/MASTER";
    }
    target->master = percent_decode(path + 1, len);
    return target->master ? read_database(path + 1 + len, target)
                          : "the name of the master is not percent-encoded properly";
}

/* What follows unix: */
static const char *read_unix(const char *text, struct redis_target *target)
{
    const char *query;
    const char *wrong;
    size_t len;

    if (strncmp(text, "//", 2) == 0) {
        size_t authority = strcspn(text + 2, "/");
        const char *at = memrchr(text + 2, '@', authority);

        if (authority > 0 && (!at || at + 1 != text + 2 + authority)) {
            return "a unix socket's path must begin with a slash";
        }
        wrong = at ? read_credentials(text + 2, authority - 1, target) : NULL;
        if (wrong) {
            return wrong;
        }
        text += 2 + authority;
    }
    if (*text != '/') {
        return "a unix socket's path must begin with a slash";
    }
    len = strcspn(text, "?");
    query = text + len;
    if (*query == '?' &&
        (strncmp(query, "?db=", 4) != 0 ||
         !read_bounded_number(query + 4, strlen(query + 4), DATABASES_MAX, &target->database))) {
        return "the query is not db= and a number from 0 to 65535";
    }
    target->host = percent_decode(text, len);
    if (!target->host) {
        return "the path is not percent-encoded properly";
    }
    return strlen(target->host) <= REDIS_UNIX_PATH_MAX ? NULL
                                                       : "the unix socket's path is over 107 bytes";
}

const char *redis_target_read(const char *url, struct redis_target *target)
{
    *target = (struct redis_target){.scheme = REDIS_EMBEDDED};
    if (strcmp(url, "embedded") == 0) {
        return NULL;
    }
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
        size_t len = strlen(schemes[i].prefix);

        if (strncasecmp(url, schemes[i].prefix, len) != 0) {
            continue;
        }
        target->scheme = schemes[i].scheme;
        target->tls = schemes[i].tls;
        switch (target->scheme) {
        case REDIS_TCP:
            return read_network(url + len, target);
        case REDIS_UNIX:
            return read_unix(url + len, target);
        case REDIS_SENTINEL:
            return read_sentinels(url + len, target);
        case REDIS_CLUSTER:
            return "Redis Cluster is not supported";
        case REDIS_EMBEDDED:
            break;
        }
    }
    return "it is not one of embedded, redis://HOST:PORT/DB, rediss://HOST:PORT/DB, unix:PATH and "
           "redis-sentinel://HOST:PORT,HOST:PORT/MASTER";
}

char *redis_target_parse(const char *url, struct redis_target *target)
{
    const char *wrong = redis_target_read(url, target);
    enum redis_scheme scheme = target->scheme;

    if (!wrong) {
        return NULL;
    }
    redis_target_free(target);
    target->scheme = scheme;
    return mem_format("the URL of Redis: %s", wrong);
}

void redis_target_free(struct redis_target *target)
{
    free(target->host);
    free(target->user);
    free(target->password);
    free(target->master);
    for (size_t i = 0; i < target->endpoint_count; i++) {
        free(target->endpoints[i].host);
    }
    *target = (struct redis_target){.scheme = REDIS_EMBEDDED};
}

/* HOST:PORT, an IPv6 address in brackets */
static void write_endpoint(struct writer *writer, const struct redis_endpoint *endpoint)
{
    writer_format(writer, strchr(endpoint->host, ':') ? "[%s]:%u" : "%s:%u", endpoint->host,
                  endpoint->port);
}

static char *describe_sentinels(const struct redis_target *target)
{
    struct writer writer = {.data = NULL};
    char *text;

    for (size_t i = 0; i < target->endpoint_count; i++) {
        writer_string(&writer, i > 0 ? "," : "");
        write_endpoint(&writer, &target->endpoints[i]);
    }
    text = mem_format("%s://%.*s/%s/%u", target->tls ? "rediss-sentinel" : "redis-sentinel",
                      (int)writer.len, (const char *)writer.data, target->master, target->database);
    writer_free(&writer);
    return text;
}

char *redis_target_describe(const struct redis_target *target)
{
    switch (target->scheme) {
    case REDIS_TCP:
        return mem_format(strchr(target->host, ':') ? "%s://[%s]:%u/%u" : "%s://%s:%u/%u",
                          target->tls ? "rediss" : "redis", target->host, target->port,
                          target->database);
    case REDIS_UNIX:
        return target->database == 0 ? mem_format("unix:%s", target->host)
                                     : mem_format("unix:%s?db=%u", target->host, target->database);
    case REDIS_EMBEDDED:
        return mem_strdup("embedded");
    case REDIS_SENTINEL:
        return describe_sentinels(target);
    case REDIS_CLUSTER:
        break;
    }
    return mem_strdup("unsupported");
}
