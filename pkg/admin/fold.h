/*
 * fold: text without regard to case, by Unicode's full case folding (CaseFolding.txt, statuses C
 * and F): "Straße" and "STRASSE" fold to the same text, as do the three forms of sigma. Nothing is
 * normalized: accents that are characters of their own stay so. Bytes that are not UTF-8 stand for
 * themselves.
 */
#ifndef ADMIN_FOLD_H
#define ADMIN_FOLD_H

#include <stdbool.h>

#include "base/bytes.h"

/* Appends the folded text: at most three times its length. */
void fold_write(struct writer *to, struct bytes text);
/* Whether the folded text holds wanted, which is folded already. scratch is overwritten. */
bool fold_contains(struct writer *scratch, struct bytes text, struct bytes wanted);
/* The same for a JSON value: its escapes are what they stand for, the rest as it is written. */
bool fold_contains_json(struct writer *scratch, struct bytes json, struct bytes wanted);

#endif
