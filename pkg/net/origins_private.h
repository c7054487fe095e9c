/* origins: the pages that may connect: "https://example.org", "null", "same" (the page's host is
 * the one that it connects to), separated by spaces or commas. */
#ifndef NET_ORIGINS_PRIVATE_H
#define NET_ORIGINS_PRIVATE_H

#include <stdbool.h>

#include "base/bytes.h"

/* A check of a setting: what is wrong with the list, or NULL. */
const char *origins_check(const char *list);
/* Whether a browser's Origin is in the list, in any case of letters. host: its Host header. */
bool origins_contain(const char *list, struct bytes origin, struct bytes host);

#endif
