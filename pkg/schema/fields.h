/*
 * fields: what an entry that is made of fields has, and its encoding as in events (schema/event.h):
 * bodies of fields, and changes of them: bodies that may hold deletions. No field stands twice in a
 * body. Pure.
 */
#ifndef SCHEMA_FIELDS_H
#define SCHEMA_FIELDS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/bytes.h"

struct map_field {
    struct bytes name;  /* not one that the map keeps itself: see map_field_is_free */
    struct bytes value; /* data NULL: the field is deleted */
};
bool map_field_is_free(struct bytes name);

/* Appends one. value.data NULL: a deletion. */
void fields_write(struct writer *body, struct bytes name, struct bytes value);
/* False when the body says nothing of it; a deletion is found with data NULL. */
bool fields_find(struct bytes body, struct bytes name, struct bytes *value);
/* Strings that the body's fields are as arguments of a script: of each a name and a value. */
size_t fields_count(struct bytes body);
size_t fields_count_deleted(struct bytes body);
/* Puts the field at the end of the body in place of what it said of it. */
void fields_set(struct writer *body, struct bytes name, struct bytes value);
/* The same without its value: the body says nothing of it any more. */
void fields_remove(struct writer *body, struct bytes name);

#endif
