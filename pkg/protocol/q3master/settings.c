/* q3master_settings: the q3master.* part of the configuration table. */
#include "protocol/q3master/q3master.h"

#include <stddef.h>
#include <stdlib.h>

#include "codec/q3games.h"
#include "protocol/q3master/q3master_private.h"

#define HOUR_MS 3600000
#define BOTH    (CONFIG_RELOADABLE | CONFIG_LISTENER)

#define MASTER(name, type, standard, flags, min, max, check, help)                                 \
    {                                                                                              \
        "q3master." #name, type, offsetof(struct q3master_settings, name), standard, flags, min,   \
            max, NULL, help, check                                                                 \
    }
#define NUMBER(name, standard, flags, min, max, help)                                              \
    MASTER(name, CONFIG_INT, standard, flags, min, max, NULL, help)
#define TIME(name, standard, flags, min, max, help)                                                \
    MASTER(name, CONFIG_DURATION, standard, flags, min, max, NULL, help)
#define TEXT(name, standard, flags, check, help)                                                   \
    MASTER(name, CONFIG_STRING, standard, flags, 0, 0, check, help)

static const char *check_map(const char *value)
{
    return q3master_map_read(value, NULL, NULL)
               ? NULL
               : "pairs of addresses are expected, as in 10.0.0.5=203.0.113.9";
}

static const struct config_setting table[] = {
    TIME(ttl, "15m", BOTH, 1000, 24 * HOUR_MS,
         "How long a game server is listed after it has registered or renewed its registration."),
    NUMBER(probes, "3", BOTH, 0, 100,
           "Probes sent to a game server at the end of that time before it is taken off the list."),
    TIME(probe_interval, "2s", BOTH, 10, HOUR_MS, "Time between two of these probes."),
    TIME(challenge, "10s", 0, 100, HOUR_MS,
         "Time slot of challenges: a game server must return one within one to two slots."),
    TEXT(secret, "", CONFIG_RELOADABLE | CONFIG_SECRET, NULL,
         "Secret of the challenges, the same on all front-ends; empty: they share one through "
         "Redis."),
    TEXT(games, "", BOTH, q3games_check,
         "Games that are known by more than their name: descriptions parted by |, as in Warsow "
         "heartbeat=Warsow."),
    TEXT(accept, "", BOTH, NULL, "Names of the games that may register; empty: all."),
    TEXT(reject, "", BOTH, NULL, "Names of games that may not."),
    TEXT(map, "", BOTH, check_map,
         "Addresses of game servers that are listed under another one, as in "
         "10.0.0.5=203.0.113.9."),
    MASTER(allow_loopback, CONFIG_BOOL, "false", BOTH, 0, 0, NULL,
           "Let game servers register from loopback addresses, which only players on this host "
           "can use."),
    NUMBER(max_servers, "4096", BOTH, 0, 10000000,
           "Game servers registered at a time; at the limit, the network with the most loses one "
           "to a network with fewer; 0: no limit."),
    NUMBER(max_per_address, "32", BOTH, 0, 65535,
           "Game servers registered at a time from one IPv4 address or IPv6 /64; 0: no limit."),
    NUMBER(heartbeat_rate, "10", BOTH, 0, 1000000,
           "Heartbeats, and responses of game servers, a second from one IPv4 address or IPv6 "
           "/64; 0: no limit."),
    NUMBER(heartbeat_burst, "128", BOTH, 1, 4000000, "How many of them at once after a pause."),
    NUMBER(query_rate, "2", BOTH, 0, 1000000,
           "Players' queries a second from one IPv4 address or IPv6 /64; 0: no limit."),
    NUMBER(query_burst, "20", BOTH, 1, 4000000, "How many of them at once after a pause."),
    NUMBER(addresses, "16384", 0, 1, 10000000,
           "Addresses whose rates are remembered; the least recently active one is dropped."),
    MASTER(max_output, CONFIG_SIZE, "8MiB", CONFIG_RELOADABLE, 0, INT64_C(1) << 40, NULL,
           "Bytes a second that all ports together send, at least 64KiB; queries above it are not "
           "answered; 0: no limit."),
    MASTER(max_output_per_prefix, CONFIG_SIZE, "64KiB", CONFIG_RELOADABLE, 0, INT64_C(1) << 40,
           NULL,
           "Bytes a second to one IPv4 /24 or IPv6 /48, with the headers of their packets; what "
           "would exceed them is not answered; 0: no limit."),
    MASTER(prefix_burst, CONFIG_SIZE, "256KiB", CONFIG_RELOADABLE, 1024, INT64_C(1) << 40, NULL,
           "Bytes to one such network at once, after an idle time."),
    NUMBER(filters, "256", BOTH, 1, 100000,
           "Lists that are kept prepared, each for one kind of query; the least recently used one "
           "is dropped."),
    NUMBER(new_kinds_rate, "200", CONFIG_RELOADABLE, 0, 1000000,
           "Lists a second that all ports together prepare for kinds of queries that are not kept; "
           "queries beyond it are not answered; 0: no limit."),
    NUMBER(new_kinds_burst, "100", CONFIG_RELOADABLE, 1, 4000000,
           "How many of them at once after a pause."),
    TIME(refresh, "50ms", BOTH, 0, 60000,
         "How old a prepared list may be while the game servers change."),
    {.key = NULL}};

const struct config_module q3master_config = {.settings = table,
                                              .values_size = sizeof(struct q3master_settings)};

const char *q3master_settings_check(const struct q3master_settings *settings)
{
    char *error = NULL;
    struct q3games *games =
        q3games_create(settings->games, settings->accept, settings->reject, &error);

    q3games_destroy(&games);
    free(error);
    if (error) {
        return "q3master.accept and q3master.reject: names of games are expected in one of the two";
    }
    if (settings->max_output > 0 && settings->max_output < Q3MASTER_OUTPUT_MIN) {
        return "q3master.max_output is 0 or at least 64KiB";
    }
    if ((settings->probes + 1) * settings->probe_interval > settings->ttl) {
        return "q3master.ttl must be longer than all its probes take";
    }
    return NULL;
}
