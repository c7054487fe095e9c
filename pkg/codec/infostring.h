/*
 * infostring: the text `\key\value\key\value` of the Quake III family of games.
 *
 * Rules, as the master server dpmaster 2.2 reads them:
 * - It begins with a backslash; anything else holds no pairs. It ends at its end or at a NUL. A key
 *   without a backslash behind it has no value and does not count; `\key\` has an empty one.
 * - Keys are compared byte by byte, case included. (The Quake III engine ignores case where it
 *   looks a key up; infostring_find_any_case is for reading servers as it does.)
 * - Of a key that stands several times the first counts, as in dpmaster and in the engines.
 * - A key of 256 bytes or more is skipped with its value. A key whose first value has 256 bytes or
 *   more counts as missing, though it stand again behind.
 * - Bytes may be anything but a backslash and NUL; names in games are often not UTF-8: see
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

/* The text up to its first NUL, and up to its first NUL or line feed, which ends it where more
 * follows (statusResponse). */
struct bytes infostring_cut(struct bytes text);
struct bytes infostring_first_line(struct bytes text);

/*
 * Takes the next pair that is no longer than it may be, as it stands, repeated keys too; false at
 * the end. rest: at first the whole text. What it returns borrows from the text.
 */
bool infostring_next(struct bytes *rest, struct infostring_pair *pair);
/* All pairs that count, none twice, in their order: how many were written, at most max. */
size_t infostring_pairs(struct bytes text, struct infostring_pair *pairs, size_t max);
/* The value that counts for a key, which may be empty; false, and value stays, when there is none.
 */
bool infostring_find(struct bytes text, const char *key, struct bytes *value);
bool infostring_find_any_case(struct bytes text, const char *key, struct bytes *value);

/* Appends a pair. An empty key, and a key or value that is too long or holds a backslash or NUL,
 * fails the writer. */
void infostring_write(struct writer *to, struct bytes key, struct bytes value);

#endif
