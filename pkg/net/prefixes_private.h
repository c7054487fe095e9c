/* prefixes: lists of address prefixes as settings hold them, separated by spaces or commas. */
#ifndef NET_PREFIXES_PRIVATE_H
#define NET_PREFIXES_PRIVATE_H

#include <stdbool.h>

#include "base/address.h"

/* NULL, or what is wrong with the list (static text). */
const char *prefixes_check(const char *list);
/* Whether one of the list's prefixes holds the address. Words that are not prefixes match nothing.
 */
bool prefixes_contain(const char *list, const struct address *address);

#endif
