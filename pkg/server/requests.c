/*
 * requests: the map's callbacks: publishing this front-end's status, operators' requests, and fatal
 * errors.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "metrics/metrics.h"
#include "server/server_private.h"

#include "version.h"

static void on_fatal(void *arg, const char *why)
{
    log_error("fatal", LOG_STRING("err", why));
    server_end(arg, 1);
}

static void
describe_front_end(void *arg, void (*add)(void *to, const char *field, const char *value), void *to)
{
    struct server *server = arg;
    char host[256] = "", number[24];
    struct writer listeners = {0};
    gethostname(host, sizeof host - 1);
    add(to, "host", host);
    snprintf(number, sizeof number, "%ld", (long)getpid());
    add(to, "pid", number);
    add(to, "version", TRACKER_VERSION);
    if (server->supervised) {
        snprintf(number, sizeof number, "%u", supervised_index(server->supervised));
        add(to, "worker", number);
    }
    listeners_describe(server->listeners, &listeners);
    writer_u8(&listeners, 0);
    add(to, "listeners", (const char *)listeners.data);
    writer_free(&listeners);
    if (*server->configuration->server.advertise) {
        add(to, "advertise", server->configuration->server.advertise);
    }
    snprintf(number, sizeof number, "%llu", (unsigned long long)(server->started_us / 1000));
    add(to, "started", number);
    static const struct {
        const char *field;
        enum metric metric;
    } counters[] = {{"connections", METRIC_CONNECTIONS},
                    {"sessions", METRIC_SESSIONS},
                    {"entries", METRIC_OWNED}};
    for (size_t i = 0; i < sizeof counters / sizeof *counters; i++) {
        snprintf(number, sizeof number, "%lld", (long long)metrics_get(counters[i].metric));
        add(to, counters[i].field, number);
    }
    add(to, "ready", health_is_ready(server->health, NULL) ? "1" : "0");
}

static bool on_reload(struct server *server, struct writer *reply)
{
    char *error = server_reload(server);
    writer_string(reply, error ? error : "reloaded");
    free(error);
    return !error;
}

static bool on_request(void *arg, struct bytes verb, struct bytes argument, struct writer *reply)
{
    struct server *server = arg;
    if (bytes_equal(verb, BYTES_LITERAL("ping"))) {
        writer_string(reply, "pong");
        return true;
    }
    if (bytes_equal(verb, BYTES_LITERAL("config"))) {
        config_write_json(server->configuration->config, reply);
        return true;
    }
    if (bytes_equal(verb, BYTES_LITERAL("reload"))) {
        return on_reload(server, reply);
    }
    if (bytes_equal(verb, BYTES_LITERAL("drain")) && server->state == SERVER_SERVING) {
        writer_string(reply, "draining");
        if (server->supervised) {
            server_retire(server);
        } else {
            server_drain(server);
        }
        return true;
    }
    writer_string(reply, "this front-end does not accept this request now");
    return false;
}

static void on_adopted(void *arg)
{
    struct server *server = arg;
    if (server->listeners) {
        listeners_fit(server->listeners);
    }
}

static bool is_setting_given(void *arg, const char *key)
{
    struct server *server = arg;
    return config_is_given(server->configuration->config, key);
}

const struct map_callbacks server_map_callbacks = {.fatal = on_fatal,
                                                   .adopted = on_adopted,
                                                   .is_given = is_setting_given,
                                                   .serving = server_serving,
                                                   .describe = describe_front_end,
                                                   .request = on_request};
