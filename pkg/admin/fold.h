/*
 * fold: Unicode's full case folding (CaseFolding.txt, statuses C and F): "Straße" and "STRASSE"
 * fold to the same text, as do the three forms of sigma. Nothing is normalized: combining accents
 * stay separate characters. Bytes that are not UTF-8 are copied.
 */
#ifndef ADMIN_FOLD_H
#define ADMIN_FOLD_H

#include <stdbool.h>

#include "base/bytes.h"

/* Appends the folded text: at most three times its length. */
void fold_write(struct writer *to, struct bytes text);
/*
 * A search for a text in others, which are read in pieces. It takes as long as the texts are, of
 * whatever bytes they and the text are made. It owns memory between begin and end.
 */
#define FOLD_PIECE 16384 /* bytes of a text */
struct fold_search {
    struct writer wanted; /* folded */
    uint32_t *borders;
    size_t matched; /* bytes of wanted that the text ends with so far */
    struct writer plain, folded;
};
void fold_search_begin(struct fold_search *search, struct bytes text);
void fold_search_end(struct fold_search *search);
/* Another text begins. */
void fold_search_restart(struct fold_search *search);
/* Reads the piece of the text that begins at *at, which becomes the piece's end. True: what has
 * been read contains the wanted text. is_json: the source text of a JSON value, whose escapes are
 * decoded. */
bool fold_search_piece(struct fold_search *search, struct bytes text, bool is_json, size_t *at);

#endif
