/*
 * infostring: the text `\key\value\key\value` of the Quake III family of games.
 *
 * Rules, as the master server dpmaster 2.2 reads them:
 * - It begins with a backslash; any other text holds no pairs. A NUL ends it. A key that no
 *   backslash follows has no value and is ignored; `\key\` has an empty value.
 * - Keys are compared byte by byte, case-sensitively. (The Quake III engine ignores case in
 *   look-ups; infostring_find_any_case reads servers' texts in the same way.)
 * - If a key is repeated, the first one counts, as in dpmaster and in the engines.
 * - A key of 256 bytes or more is skipped with its value. A key whose first value has 256 bytes or
 *   more counts as missing, even if it is repeated later.
 * - All bytes but a backslash and NUL are allowed; names in games are often not UTF-8: see
 *   lobby_text.h.
 */
#ifndef CODEC_INFOSTRING_H
#define CODEC_INFOSTRING_H

#include <stdbool.h>
#include <stddef.h>

#include "base/bytes.h"

#define INFOSTRING_MAX 255 /* bytes of a key, and of a value */

struct infostring_pair {
    struct bytes key; /* 1 to INFOSTRING_MAX bytes */
    struct bytes value;
};

/* The text up to its first NUL; and up to its first NUL or line feed, for a statusResponse, where
 * more follows. */
struct bytes infostring_cut(struct bytes text);
struct bytes infostring_first_line(struct bytes text);

/*
 * The next pair that is not too long, including repeated keys; false at the end. rest: initially
 * the whole text. The pair borrows from the text.
 */
bool infostring_next(struct bytes *rest, struct infostring_pair *pair);
/* All valid pairs, each key once, in their order: returns how many, at most max. */
size_t infostring_pairs(struct bytes text, struct infostring_pair *pairs, size_t max);
/* The value of a key, which may be empty; false, with *value unchanged, when there is none. */
bool infostring_find(struct bytes text, const char *key, struct bytes *value);
bool infostring_find_any_case(struct bytes text, const char *key, struct bytes *value);

/* Appends a pair. The writer fails on an empty key, and on a key or value that is too long or holds
 * a backslash or NUL. */
void infostring_write(struct writer *to, struct bytes key, struct bytes value);

#endif
