/*
 * combinations: settings that are good one by one, and cannot hold together. What was given is
 * refused, with both names and values; a default that does not fit what was given follows it.
 *
 * What asks a silent client whether it is there (pings over WebSocket, TCP's probes) must be
 * answered before client.ttl and ws.timeout end, with a quarter of them to spare.
 */
#ifndef SERVER_COMBINATIONS_H
#define SERVER_COMBINATIONS_H

#include "server/configuration.h"

/* Defaults of the whole front-end that follow from what was given; after a load. */
void combinations_derive(struct configuration *configuration);
/* NULL, or what cannot hold (the caller frees). */
char *combinations_check(const struct configuration *configuration)
    __attribute__((warn_unused_result));

/* A listener: what is spoken there, and which settings are given for it, or for all. */
struct combinations_scope {
    bool is_websocket; /* some of its clients speak it */
    bool is_tcp;       /* its clients speak a protocol over TCP alone */
    bool is_master;
    bool (*is_given)(const void *arg, const char *key);
    const void *arg;
};
/* Fits what follows client.ttl into the settings. By what is configured (in_force is false) only
 * defaults do; by what is in force all do, as others may have changed that: then what was given is
 * shortened, and that is logged. */
void combinations_fit_listener(const struct map_settings *map, bool in_force,
                               const struct combinations_scope *scope,
                               struct listener_settings *settings);
/* NULL, or what cannot hold (the caller frees). */
char *combinations_check_listener(const struct map_settings *map,
                                  const struct combinations_scope *scope,
                                  const struct listener_settings *settings)
    __attribute__((warn_unused_result));

#endif
