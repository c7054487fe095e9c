/*
 * gameserver: a game server of the map, as every protocol of game servers reads and writes it: the
 * lobby over TCP, the master over UDP, the list on the page.
 *
 * It is an entry of the lobby's space, with the id `address:port` ("203.0.113.7:23460",
 * "[2001:db8::7]:27960"), and these fields (docs/redis-keys.md):
 *
 *   protocol  "lobby" (it is connected) or "q3master" (it has registered)
 *   p:<key>   what it says of itself, each a JSON string, number, true or false. Of the lobby as it
 *             was written; of the master each pair of the infostring as a string, made UTF-8, but
 *             for the challenge; p:gamename also where the heartbeat's tag implied it
 *   original  of a server that speaks the original's packets, where its texts would not come back
 *             as they were out of p: what it sent, its description, a NUL, and its version
 *   suspect   "1" while a ping is unanswered; else it is not there
 *   since     ms since the epoch; the map's own
 *
 * Entries of other protocols in that space are no servers. Redis is a peer: fields that make no
 * sense are left out.
 */
#ifndef PROTOCOL_GAMESERVER_GAMESERVER_H
#define PROTOCOL_GAMESERVER_GAMESERVER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/address.h"
#include "base/bytes.h"
#include "codec/lobby.h"
#include "codec/q3master.h"
#include "map/session.h"
#include "view/view.h"

#define GAMESERVER_KEPT 24

/*
 * A server, as a client of either kind sees it. Borrows from the entry and from memory of its own;
 * gameserver_free.
 *
 * server: everything that it says, and of one that registered by UDP also, in the lobby's words,
 * description (hostname without its colours), players (clients), max_players (sv_maxclients), map
 * (mapname) and game (gamename); these stand for what it said under the same name itself.
 *
 * master: of one of the lobby from its infos: game (or gamename), protocol, gametype, players,
 * max_players, where numbers may be strings. Without max_players it is never full.
 */
struct gameserver {
    struct address address; /* of the id */
    struct lobby_server server;
    struct q3master_server master;
    bool in_master;        /* it has a game and a protocol: master is good */
    struct bytes original; /* as above; data NULL: there is none */

    struct lobby_property *properties;
    void *kept[GAMESERVER_KEPT];
    size_t kept_count;
};

/* False, and nothing to be freed, when it is no game server. */
bool gameserver_read(const struct map_entry *entry, struct gameserver *gameserver)
    __attribute__((warn_unused_result));
/* The same of fields from elsewhere, which it borrows too. */
bool gameserver_read_fields(struct bytes id, const struct map_field *fields, size_t count,
                            struct gameserver *gameserver) __attribute__((warn_unused_result));
void gameserver_free(struct gameserver *gameserver);
/* A property's value as text: a string decoded, others as they were written. data NULL when there
 * is no such property. Lives as long as the gameserver. */
struct bytes gameserver_text(struct gameserver *gameserver, const char *name);

/* What a server says, as fields to open or register it with. Zero-initialise;
 * gameserver_fields_free. Each function that makes one replaces what was there. */
struct gameserver_fields {
    struct map_field *fields;
    size_t count;
    size_t capacity;
    struct writer text;
};
/* Of the lobby: the properties. original: as above; empty: none. */
void gameserver_fields_from_infos(struct gameserver_fields *to, const struct lobby_infos *infos,
                                  struct bytes original);
/* Of the master: game is what q3master_info_game says; implied: the heartbeat's tag did. */
void gameserver_fields_from_info(struct gameserver_fields *to, const struct q3master_info *info,
                                 struct bytes game, bool implied);
/* What is to be changed (map_session_set) so that an entry whose fields are `present`, as
 * map_session_fields has them, says what is wanted; fields other than p: and original are left
 * alone. */
void gameserver_fields_from_difference(struct gameserver_fields *to, struct bytes present,
                                       const struct gameserver_fields *wanted);
void gameserver_fields_free(struct gameserver_fields *fields);

#endif
