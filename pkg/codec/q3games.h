/*
 * q3games: what a Quake III / DarkPlaces master must know about games that do not send their own
 * name: their heartbeat tags, their protocols, whether their players always get the full list; and
 * which games are accepted.
 *
 * A game that sends its name (the tag DarkPlaces, a gamename, a name in the query) needs no entry.
 * Built in, as in dpmaster 2.2:
 *
 *   Quake3Arena heartbeat=QuakeArena-1 protocol=66,67,68
 *   wolfmp heartbeat=Wolfenstein-1 flatline=WolfFlatline-1 protocol=50,59,60
 *   et heartbeat=EnemyTerritory-1 flatline=ETFlatline-1 protocol=72,80,83,84 always=empty,full
 *
 * The setting's text has one such description per game, separated by `|` or line feeds; `#` begins
 * a comment up to the end of the line. A description is a name, and properties in any order, each
 * with one or more values separated by commas; repeated properties add values; a property without a
 * value
 * (`always=`) is cleared. For a built-in game, a property replaces the built-in one of that name. A
 * tag or protocol that several games claim belongs to the last of them. The tag DarkPlaces cannot
 * be claimed.
 */
#ifndef CODEC_Q3GAMES_H
#define CODEC_Q3GAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "codec/q3master.h"

#define Q3GAMES_MAX      256 /* games of a table */
#define Q3GAMES_OPEN_TAG "DarkPlaces"

struct q3games;

/*
 * games: the text above, may be empty. accept, reject: names separated by spaces or commas; only
 * one of the two may be non-empty; with names in accept all other games are rejected. NULL and
 * *error (the caller frees), which quotes the offending word.
 */
struct q3games *q3games_create(const char *games, const char *accept, const char *reject,
                               char **error) __attribute__((warn_unused_result));
void q3games_destroy(struct q3games **games);
/* For a configuration's check: NULL, or the error (static text). */
const char *q3games_check(const char *games);

/* Whether the game may register and be queried. */
bool q3games_accepts(const struct q3games *games, struct bytes game);

enum q3games_tag {
    Q3GAMES_TAG_UNKNOWN,
    Q3GAMES_TAG_ALIVE,   /* the server runs: send it a getinfo */
    Q3GAMES_TAG_FLATLINE /* it announces its shutdown: probe it */
};
/* The meaning of a heartbeat's tag. *game: the game that it implies, NULL for the tag DarkPlaces;
 * it lives as long as the table. The game need not be accepted: q3games_accepts. */
enum q3games_tag q3games_by_tag(const struct q3games *games, struct bytes tag, const char **game);

/* The contexts of challenges (cookie.h): the empty name, for the tag DarkPlaces, then the games
 * that have a tag of either kind. They live as long as the table. */
const char *const *q3games_contexts(const struct q3games *games, size_t *count);

/* The game to which the table assigns the protocol; NULL when there is none. */
const char *q3games_by_protocol(const struct q3games *games, int32_t protocol);

/*
 * Completes a query. If it names no game: that of the listed servers with its protocol (data NULL:
 * unknown), else the table's. Sets empty and full if the game has them in always=. False when the
 * game is rejected: the query is not answered. If the game remains unknown: true, and the query
 * matches nothing.
 */
bool q3games_settle(const struct q3games *games, struct q3master_query *query,
                    struct bytes registered) __attribute__((warn_unused_result));

#endif
