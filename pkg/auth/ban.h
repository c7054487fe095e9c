/*
 * ban: a set of addresses and prefixes (10.0.0.5, 10.0.0.0/8, 2001:db8::/32), looked up for every
 * connection and datagram.
 *
 * A look-up takes one probe for each prefix length that the set has of the address's family,
 * independent of the number of prefixes.
 */
#ifndef AUTH_BAN_H
#define AUTH_BAN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/address.h"
#include "base/bytes.h"

struct ban_set;
struct ban_set *ban_set_create(void);
void ban_set_destroy(struct ban_set **set);

/* False when it is already in the set, or not in it. A prefix of length 0 bans its whole family. */
bool ban_set_add(struct ban_set *set, const struct address_prefix *prefix);
bool ban_set_remove(struct ban_set *set, const struct address_prefix *prefix);
void ban_set_clear(struct ban_set *set);
size_t ban_set_count(const struct ban_set *set);
/* Whether one of the prefixes contains the address; false for unix sockets. */
bool ban_set_holds(const struct ban_set *set, const struct address *address);

/* Adds the words of a list, separated by spaces, commas or line feeds. NULL, or a message (the
 * caller frees) that quotes the first word that is not a prefix; then nothing was added. */
char *ban_set_add_list(struct ban_set *set, const char *list) __attribute__((warn_unused_result));
/* For a configuration's check: NULL, or the error (static text). */
const char *ban_list_check(const char *list);
/* Appends the prefixes in the order in which they were added, each with a line feed. */
void ban_set_write(const struct ban_set *set, struct writer *to);
/* "10.0.0.0/8"; a single address without its length. */
const char *ban_format(const struct address_prefix *prefix, char text[ADDRESS_TEXT_SIZE]);

#endif
