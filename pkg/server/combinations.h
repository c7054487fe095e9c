/*
 * combinations: settings that are valid one by one but not together. Configured values that
 * conflict are refused, with both names and values; a default that conflicts with a configured
 * value is adapted to it.
 *
 * Probes of idle clients (pings over WebSocket, TCP keep-alive) must be answered before client.ttl
 * and ws.timeout expire, with a quarter of them to spare.
 */
#ifndef SERVER_COMBINATIONS_H
#define SERVER_COMBINATIONS_H

#include "server/configuration.h"

/* Derives defaults from configured values; after a load. */
void combinations_derive(struct configuration *configuration);
/* NULL, or the conflict (the caller frees). */
char *combinations_check(const struct configuration *configuration)
    __attribute__((warn_unused_result));

/* A listener: its protocols, and the settings that are configured for it, or for all. */
struct combinations_scope {
    bool is_websocket; /* clients may use WebSocket */
    bool is_tcp;       /* clients use a protocol directly over TCP */
    bool is_master;
    bool (*is_given)(const void *arg, const char *key);
    const void *arg;
};
/* Adapts the settings to client.ttl. To its configured value (in_force is false) only defaults are
 * adapted; to the value in force, which operators may change at run time, all are: a configured
 * value that is too long is then shortened, which is logged. */
void combinations_fit_listener(const struct map_settings *map, bool in_force,
                               const struct combinations_scope *scope,
                               struct listener_settings *settings);
/* NULL, or the conflict (the caller frees). */
char *combinations_check_listener(const struct map_settings *map,
                                  const struct combinations_scope *scope,
                                  const struct listener_settings *settings)
    __attribute__((warn_unused_result));

#endif
