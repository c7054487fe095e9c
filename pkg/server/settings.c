/* settings: the server's own part of the configuration table. */
#include "server/settings.h"

#include <stdlib.h>
#include <string.h>

#include "auth/access.h"
#include "server/peer_address.h"
#include "supervisor/supervisor.h"

#define SERVER_SETTING(k, t, f, d, ...)                                                            \
    {                                                                                              \
        .key = (k), .type = (t), .offset = offsetof(struct server_settings, f), .standard = (d),   \
        __VA_ARGS__                                                                                \
    }

/* A check of a table: NULL, or what is wrong (static text). */
static const char *workers_check(const char *text)
{
    char *end;
    const unsigned long count = strtoul(text, &end, 10);
    if (strcmp(text, "auto") == 0 ||
        (*text >= '0' && *text <= '9' && *end == 0 && count <= SUPERVISOR_WORKERS_MAX)) {
        return NULL;
    }
    return "auto, or a number from 0 to 256 is expected";
}

static const struct config_setting settings[] = {
    SERVER_SETTING("listen", CONFIG_STRING, listen, "",
                   .help = "Listeners, separated by spaces, each as for --listen; empty: "
                           "tracker=127.0.0.1:6789 web=127.0.0.1:8080 sync=127.0.0.1:13372."),
    SERVER_SETTING("node", CONFIG_STRING, node, "",
                   .help = "Name of this front-end in logs and tools; empty: host name and process "
                           "id."),
    SERVER_SETTING("workers", CONFIG_STRING, workers, "0", .check = workers_check,
                   .help = "Processes that serve the same listeners, under a supervisor; auto: one "
                           "for each processor; 0: one process without a supervisor."),
    SERVER_SETTING("node.advertise", CONFIG_STRING, advertise, "", .check = peer_address_check,
                   .help = "HOST:PORT by which other front-ends reach a web listener of this one "
                           "that has neither proxy nor tls; needed for map.cut_off = peers."),
    SERVER_SETTING("log.level", CONFIG_ENUM, log_level, "info", .choices = "debug|info|warn|error",
                   .flags = CONFIG_RELOADABLE, .help = "The lowest level that is logged."),
    SERVER_SETTING("log.format", CONFIG_ENUM, log_format, "logfmt", .choices = "logfmt|json",
                   .flags = CONFIG_RELOADABLE, .help = "Format of the log on standard error."),
    SERVER_SETTING("log.slow_iteration", CONFIG_DURATION, slow_iteration, "200ms", .max = 3600000,
                   .flags = CONFIG_RELOADABLE,
                   .help = "An event-loop iteration that runs for at least that long is logged, "
                           "with what ran longest in it; 0: none."),
    SERVER_SETTING("drain.time", CONFIG_DURATION, drain_time, "5s", .max = 3600000,
                   .flags = CONFIG_RELOADABLE,
                   .help = "Time over which connections are closed when the front-end shuts down."),
    SERVER_SETTING("access.allow", CONFIG_STRING, access_allow, "", .check = access_list_check,
                   .flags = CONFIG_RELOADABLE,
                   .help = "Address prefixes that may connect; empty: all."),
    SERVER_SETTING("access.deny", CONFIG_STRING, access_deny, "", .check = access_list_check,
                   .flags = CONFIG_RELOADABLE,
                   .help = "Address prefixes that may not connect, whatever access.allow says."),
    SERVER_SETTING("access.connect_rate", CONFIG_INT, connect_rate, "1000", .max = 1000000,
                   .flags = CONFIG_RELOADABLE,
                   .help = "Connections a second that one address may make; 0: no limit."),
    SERVER_SETTING("access.connect_burst", CONFIG_INT, connect_burst, "5000", .min = 1,
                   .max = 4000000, .flags = CONFIG_RELOADABLE,
                   .help = "Connections that one address may make at once."),
    SERVER_SETTING("access.connect_tracked", CONFIG_INT, connect_tracked, "20000", .min = 1,
                   .max = 10000000,
                   .help = "Addresses whose rate is remembered; beyond it the least recently seen "
                           "is forgotten."),
    {.key = NULL},
};

const struct config_module server_config = {.settings = settings,
                                            .values_size = sizeof(struct server_settings)};
