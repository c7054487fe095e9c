/*
 * gameserver: a game server of the map, as every protocol of game servers reads and writes it: the
 * lobby over TCP, the master over UDP, the list on the page.
 *
 * It is an entry of the lobby's space, with the id `address:port` ("203.0.113.7:23460",
 * "[2001:db8::7]:27960"), and these fields (docs/redis-keys.md):
 *
 *   protocol  "lobby" (it is connected) or "q3master" (it has registered)
 *   p:<key>   its properties, each a JSON string, number, true or false. Of the lobby as they were
 *             sent; of the master each pair of the infostring as a string, converted to UTF-8,
 *             except the challenge; p:gamename also where the heartbeat's tag implied it
 *   original  of a server that speaks the original's packets, if p: cannot restore its texts: its
 *             description, a NUL, and its version, as it sent them
 *   suspect   "1" while a ping is unanswered, otherwise absent
 *   since     ms since the epoch; the map's own
 *
 * Entries of other protocols in that space are not servers. Redis is a peer: malformed fields are
 * ignored.
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
 * server: all of its properties. For a server that registered by UDP, the lobby's properties are
 * derived: description (hostname without colours), players (clients), max_players (sv_maxclients),
 * map (mapname) and game (gamename); they replace its own of the same name.
 *
 * master: for a server of the lobby it is derived from its infos: game (or gamename), protocol,
 * gametype, players, max_players, where numbers may be strings. Without max_players it is never
 * full.
 */
struct gameserver {
    struct address address; /* of the id */
    struct lobby_server server;
    struct q3master_server master;
    bool in_master;        /* it has a game and a protocol: master is valid */
    struct bytes original; /* as above; data NULL: none */

    struct lobby_property *properties;
    void *kept[GAMESERVER_KEPT];
    size_t kept_count;
};

/* False, with nothing to be freed, when it is not a game server. */
bool gameserver_read(const struct map_entry *entry, struct gameserver *gameserver)
    __attribute__((warn_unused_result));
/* The same for fields from another source, which it borrows too. */
bool gameserver_read_fields(struct bytes id, const struct map_field *fields, size_t count,
                            struct gameserver *gameserver) __attribute__((warn_unused_result));
void gameserver_free(struct gameserver *gameserver);
/* A property's value as text: a string decoded, others as they were written. data NULL when there
 * is no such property. Lives as long as the gameserver. */
struct bytes gameserver_text(struct gameserver *gameserver, const char *name);

/* A server's properties as fields to open or register it with. Zero-initialise;
 * gameserver_fields_free. Each function that writes to one replaces its content. */
struct gameserver_fields {
    struct map_field *fields;
    size_t count;
    size_t capacity;
    struct writer text;
};
/* Of the lobby: the properties. original: as above; empty: none. */
void gameserver_fields_from_infos(struct gameserver_fields *to, const struct lobby_infos *infos,
                                  struct bytes original);
/* Of the master: game is q3master_info_game's result; implied: by the heartbeat's tag. */
void gameserver_fields_from_info(struct gameserver_fields *to, const struct q3master_info *info,
                                 struct bytes game, bool implied);
/* The changes (map_session_set) by which an entry with the fields `present`, as map_session_fields
 * returns them, gets the wanted ones; fields other than p: and original are not touched. */
void gameserver_fields_from_difference(struct gameserver_fields *to, struct bytes present,
                                       const struct gameserver_fields *wanted);
void gameserver_fields_free(struct gameserver_fields *fields);

#endif
