/* origins: the pages that may connect: "https://example.org", "null", "same" (the page's host is
 * the one that it connects to, whatever the ports and schemes are), separated by spaces or commas.
 * Origins are compared as RFC 6454 says. */
#ifndef NET_WEBSOCKET_ORIGINS_PRIVATE_H
#define NET_WEBSOCKET_ORIGINS_PRIVATE_H

#include <stdbool.h>

#include "base/bytes.h"

/* A check of a setting: what is wrong with the list, or NULL. */
const char *origins_check(const char *list);
/* Whether a browser's Origin is in the list. host: its Host header. */
bool origins_contain(const char *list, struct bytes origin, struct bytes host);

#endif
