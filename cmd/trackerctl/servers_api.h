/* servers_api: one GET of the list of game servers from a web listener's API. */
#ifndef TRACKERCTL_SERVERS_API_H
#define TRACKERCTL_SERVERS_API_H

#include "base/bytes.h"
#include "ctl.h"

/* Bytes of an answer, at most. */
#define SERVERS_API_ANSWER_MAX (64u << 20)

/* Whether a target of --connect is the API's: "http://HOST:PORT". */
bool servers_api_is_target(const char *target);
/*
 * Sends the request, and runs the loop until the complete answer with its headers has arrived,
 * --timeout has passed without progress, or a signal has arrived. NULL, or the error, which the
 * caller frees.
 */
char *servers_api_read(struct ctl *ctl, const char *target, struct writer *answer);

#endif
