/*
 * search: a case-insensitive search for a text in the id, the state and the other fields of entries
 * (admin/fold.h), in pieces: a step reads about FOLD_PIECE bytes, however large an entry is.
 */
#ifndef ADMIN_SEARCH_H
#define ADMIN_SEARCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "admin/fold.h"
#include "base/bytes.h"

struct map_entry;

/* Bytes of the text that is searched for. */
#define SEARCH_TEXT_MAX 128

/* What is searched: the id, the state, then of each field the value and the name. */
enum search_part { SEARCH_ID, SEARCH_STATE, SEARCH_VALUE, SEARCH_NAME };

/* It owns memory between begin and end. */
struct entry_search {
    struct fold_search folded;
    bool addresses;  /* search the addresses, too */
    size_t searched; /* bytes so far */

    /* The search's own: the place in an entry. */
    bool is_inside;
    struct writer id;
    enum search_part part;
    size_t field; /* of SEARCH_VALUE and SEARCH_NAME: its offset */
    size_t at;    /* in the text of that part */
    uint64_t revision;
    unsigned restarts;
};

enum search_result { SEARCH_FOUND, SEARCH_NOT_FOUND, SEARCH_MORE };

void search_begin(struct entry_search *search, struct bytes text, bool addresses);
void search_end(struct entry_search *search);
/* Searches an entry; after SEARCH_MORE, the same one again, or another one if that is gone. */
enum search_result search_step(struct entry_search *search, const struct map_entry *entry);
/* Removes the prefix "p:" of the fields that are properties. False: it is none. */
bool search_take_prefix(struct bytes *field);

#endif
