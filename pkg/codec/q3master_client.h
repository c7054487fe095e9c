/*
 * q3master_client: the Quake III / DarkPlaces protocols on the side of the player and of the game
 * server: querying a master and reading its lists, querying servers and reading their replies
 * (trackerctl, the client library), and registering with a master.
 *
 * Source: what ioquake3, DarkPlaces, Warsow and qstat send and read. Servers' replies are read as
 * leniently as the engines read them, unlike in a master.
 */
#ifndef CODEC_Q3MASTER_CLIENT_H
#define CODEC_Q3MASTER_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"
#include "base/bytes.h"
#include "codec/q3master.h"

/* Types of datagrams that players and game servers receive. */
enum q3client_type {
    Q3CLIENT_OTHER,
    Q3CLIENT_LIST,     /* from a master: getserversResponse, getserversExtResponse */
    Q3CLIENT_INFO,     /* from a server: infoResponse */
    Q3CLIENT_STATUS,   /* from a server: statusResponse */
    Q3CLIENT_GETINFO,  /* to a server */
    Q3CLIENT_GETSTATUS /* to a server */
};

/* Borrows from the datagram. */
struct q3client_packet {
    enum q3client_type type;
    bool extended;           /* LIST: of getserversExtResponse */
    struct bytes list;       /* LIST: for q3client_next_server */
    struct bytes infostring; /* INFO, STATUS: infostring.h; keys may be in any case */
    struct bytes players;    /* STATUS: for q3client_next_player */
    struct bytes challenge;  /* GETINFO, GETSTATUS: unchecked, up to 128 bytes; may be empty */
};
struct q3client_packet q3client_read(struct bytes packet);

/*
 * Takes the next server of a list; false when nothing more can be read. *last is set at the end
 * mark: the list is complete if no packet was lost. A truncated mark counts; entries with port 0
 * are skipped; a separator at the end of a packet does not begin an entry.
 */
bool q3client_next_server(struct q3client_packet *packet, struct address *server, bool *last);

struct q3client_player {
    int32_t score, ping; /* 0 when it is not a number */
    struct bytes name;   /* without its quotes; colour codes: lobby_text.h */
};
/* Takes the next line `score ping "name"` or `score ping team "name"`; others are skipped. */
bool q3client_next_player(struct bytes *players, struct q3client_player *player);

/* A query to a master. The game may be missing; the families are sent in the extended form only. */
void q3client_write_query(struct writer *to, const struct q3master_query *query);
/* Queries to a server: q3master_write_getinfo, and this. */
void q3client_write_getstatus(struct writer *to, struct bytes challenge);
/* A server's messages: to a master, and to a player (infostring_write composes the infostring). */
void q3client_write_heartbeat(struct writer *to, struct bytes tag);
void q3client_write_info_response(struct writer *to, struct bytes infostring);

#endif
