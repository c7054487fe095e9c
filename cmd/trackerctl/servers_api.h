/* servers_api: one GET of the list of game servers from a web listener's API. */
#ifndef TRACKERCTL_SERVERS_API_H
#define TRACKERCTL_SERVERS_API_H

#include "base/bytes.h"
#include "ctl.h"

/* The most that an answer may have, in bytes. */
#define SERVERS_API_ANSWER_MAX (64u << 20)

/* Whether a target of --connect is the API's: "http://HOST:PORT". */
bool servers_api_is_target(const char *target);
/*
 * Asks it, and turns the loop until the whole answer with its headers is there, or --timeout has
 * passed without progress, or a signal has come. NULL, or what went wrong, which the caller frees.
 */
char *servers_api_read(struct ctl *ctl, const char *target, struct writer *answer);

#endif
