/*
 * access: allow and deny lists of address prefixes.
 *
 * A denied address is refused; with a non-empty allow list, so is every address that is not in it.
 * Unix sockets are always accepted.
 */
#ifndef AUTH_ACCESS_H
#define AUTH_ACCESS_H

#include <stdbool.h>

#include "base/address.h"

struct access_list;
/* Lists of prefixes, separated by spaces or commas; either may be empty. NULL and *error (the
 * caller frees), which names the word that is not a prefix. */
struct access_list *access_list_create(const char *allow, const char *deny, char **error)
    __attribute__((warn_unused_result));
void access_list_destroy(struct access_list **list);
bool access_list_allows(const struct access_list *list, const struct address *address);
/* For the configuration's check: NULL, or the error (static text). */
const char *access_list_check(const char *value);

#endif
