/*
 * q3games: the games that a Quake III / DarkPlaces master knows by more than the name that their
 * servers send: which heartbeat tag is whose, which protocol belongs to which game, whose players
 * always want the whole list; and which games are let in.
 *
 * A game that names itself (the tag DarkPlaces, a gamename, a name in the query) needs no entry.
 * Known from the beginning, as in dpmaster 2.2:
 *
 *   Quake3Arena heartbeat=QuakeArena-1 protocol=66,67,68
 *   wolfmp heartbeat=Wolfenstein-1 flatline=WolfFlatline-1 protocol=50,59,60
 *   et heartbeat=EnemyTerritory-1 flatline=ETFlatline-1 protocol=72,80,83,84 always=empty,full
 *
 * The setting's text has one such description for each game, parted by `|` or line feeds; in a
 * line, what stands behind a `#` is a comment. A name, then properties in any order, each with one
 * or more values parted by commas; several properties of one name add up; `always=` and the like,
 * without a value, empties one. What is described of a known game replaces its properties of that
 * name and leaves the others. A tag or protocol that another game had goes over to the one that
 * names it last. The tag DarkPlaces cannot be given away.
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
 * games: the text above, may be empty. accept, reject: names parted by spaces or commas; only one
 * of the two may hold any; with names in accept all other games are rejected. NULL and *error (the
 * caller frees), which quotes what is wrong.
 */
struct q3games *q3games_create(const char *games, const char *accept, const char *reject,
                               char **error) __attribute__((warn_unused_result));
void q3games_destroy(struct q3games **games);
/* For a configuration's check: NULL, or what is wrong with the games' text (static text). */
const char *q3games_check(const char *games);

/* Whether the game may register and be asked for. */
bool q3games_accepts(const struct q3games *games, struct bytes game);

enum q3games_tag {
    Q3GAMES_TAG_UNKNOWN,
    Q3GAMES_TAG_ALIVE,   /* ask the server for its information */
    Q3GAMES_TAG_FLATLINE /* it says that it ends: probe it */
};
/* What a heartbeat's tag means. *game: the game that it implies, NULL with the open tag; it lives
 * as long as the table. Whether that game is accepted is another question. */
enum q3games_tag q3games_by_tag(const struct q3games *games, struct bytes tag, const char **game);

/* The names that challenges are bound to (cookie.h): the empty one, for the open tag, and then the
 * games that have a tag of either kind. They live as long as the table. */
const char *const *q3games_contexts(const struct q3games *games, size_t *count);

/* The game that has the protocol in the table; NULL when none has. */
const char *q3games_by_protocol(const struct q3games *games, int32_t protocol);

/*
 * Completes a query: its game, when none was named, is that of the servers that are there (data
 * NULL: they do not say), else the table's; empty and full, when the game's players always want
 * these. False when the game is known and rejected: no answer then. A query whose game stays
 * unknown is true, and matches nothing.
 */
bool q3games_settle(const struct q3games *games, struct q3master_query *query,
                    struct bytes registered) __attribute__((warn_unused_result));

#endif
