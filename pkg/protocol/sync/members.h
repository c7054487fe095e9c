/*
 * sync_members: properties as one text, the JSON object that is sent: the differences between two
 * of them, and the parts of one. Pure.
 *
 * The objects are our own (protocol/translate/translate.h): without spaces between their members,
 * no key twice, equal names written alike; values may be nested. Names here are keys with their
 * quotes and escapes.
 */
#ifndef PROTOCOL_SYNC_MEMBERS_H
#define PROTOCOL_SYNC_MEMBERS_H

#include <stdbool.h>

#include "base/bytes.h"

/* The next member; *rest is the object at first. False after the last. */
bool sync_member_next(struct bytes *rest, struct bytes *name, struct bytes *value);
/* The value of a name; data NULL when it is not there. */
struct bytes sync_member_find(struct bytes object, struct bytes name);

/* A set of names: one after the other. */
bool sync_names_next(struct bytes *names, struct bytes *name);
bool sync_names_have(struct bytes names, struct bytes name);
/* Adds those that are not in it. */
void sync_names_add(struct writer *names, struct bytes more);
/* Adds the names that are in one object only, or whose values differ. */
void sync_names_add_changes(struct writer *names, struct bytes before, struct bytes after);

/* An object of these names alone, with the values of the object; null for what is not in it. */
void sync_members_write(struct writer *to, struct bytes object, struct bytes names);

#endif
