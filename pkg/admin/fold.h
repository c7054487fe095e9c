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
/* Whether the folded text contains wanted, which must be folded already. Overwrites scratch. */
bool fold_contains(struct writer *scratch, struct bytes text, struct bytes wanted);
/* The same for the source text of a JSON value, with its escapes decoded. */
bool fold_contains_json(struct writer *scratch, struct bytes json, struct bytes wanted);

#endif
