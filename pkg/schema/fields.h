/*
 * fields: the fields of an entry, encoded as in events (schema/event.h): bodies of fields, and
 * changes of them, which may contain deletions. A body contains each field at most once. Pure.
 */
#ifndef SCHEMA_FIELDS_H
#define SCHEMA_FIELDS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/bytes.h"

struct map_field {
    struct bytes name;  /* not one of the map's own: see map_field_is_free */
    struct bytes value; /* data NULL: the field is deleted */
};
/* False for the names of fields that the map itself maintains. */
bool map_field_is_free(struct bytes name);

/* Appends one. value.data NULL: a deletion. */
void fields_write(struct writer *body, struct bytes name, struct bytes value);
/* False when the body does not contain it; a deletion is found with data NULL. */
bool fields_find(struct bytes body, struct bytes name, struct bytes *value);
/* The number of arguments that the fields are for a script: a name and a value of each. */
size_t fields_count(struct bytes body);
size_t fields_count_deleted(struct bytes body);
/* Writes the field at the end of the body, and removes it elsewhere. */
void fields_set(struct writer *body, struct bytes name, struct bytes value);
/* Removes the field from the body. */
void fields_remove(struct writer *body, struct bytes name);

/* Which kinds of fields a merge changes, in bits. */
enum fields_change {
    FIELDS_UNCHANGED = 0,
    FIELDS_OWNER = 1,   /* node, address, since: another connection or front-end */
    FIELDS_CONTENTS = 2 /* any other */
};
struct fields_merged {
    unsigned changes;     /* bits of enum fields_change; the state is not judged */
    bool has_state;       /* the body has the field `state`, which is kept apart */
    struct bytes state;   /* borrowed from the body; data NULL: deleted */
    bool is_replaced;     /* the entry's fields become these; else they stay as they are */
    struct writer fields; /* the caller frees it; it may have failed */
};
/* Merges a body into the known fields of an entry, of which it is the newer. is_whole: the body has
 * all fields, and those that it lacks are deleted. keeps_deletions: deletions stay in the result,
 * as an older snapshot may still contain these fields. */
void fields_merge(struct bytes known, struct bytes body, bool is_whole, bool keeps_deletions,
                  struct fields_merged *merged);

#endif
