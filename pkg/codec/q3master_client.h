/*
 * q3master_client: the Quake III / DarkPlaces protocols from the player's and from the game
 * server's side: asking a master and reading its lists, asking servers and reading what they say
 * (trackerctl, the client library), registering with a master.
 *
 * Source: what ioquake3, DarkPlaces, Warsow and qstat send and read. What a server says is read as
 * the engines do, more forgivingly than a master reads it.
 */
#ifndef CODEC_Q3MASTER_CLIENT_H
#define CODEC_Q3MASTER_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"
#include "base/bytes.h"
#include "codec/q3master.h"

/* What a datagram is to somebody who is no master. */
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
    struct bytes infostring; /* INFO, STATUS: infostring.h; the keys' case may be any */
    struct bytes players;    /* STATUS: for q3client_next_player */
    struct bytes challenge;  /* GETINFO, GETSTATUS: as it came, up to 128 bytes; may be empty */
};
struct q3client_packet q3client_read(struct bytes packet);

/*
 * Takes the next server of a list; false when nothing more can be read. *last is set when the end
 * mark was met: the list is whole if no packet was lost. A mark that is cut is one, too; entries
 * with port 0 are passed over; a separator at the end of a packet is none.
 */
bool q3client_next_server(struct q3client_packet *packet, struct address *server, bool *last);

struct q3client_player {
    int32_t score, ping; /* 0 when it is no number */
    struct bytes name;   /* without its quotes; colours: lobby_text.h */
};
/* Takes the next line `score ping "name"` or `score ping team "name"`; others are passed over. */
bool q3client_next_player(struct bytes *players, struct q3client_player *player);

/* Questions to a master. A query without a game is sent without; families in the extended form
 * only. */
void q3client_write_query(struct writer *to, const struct q3master_query *query);
/* Questions to a server: q3master_write_getinfo, and this. */
void q3client_write_getstatus(struct writer *to, struct bytes challenge);
/* A server's: to a master, and to who asks (the infostring is composed by infostring_write). */
void q3client_write_heartbeat(struct writer *to, struct bytes tag);
void q3client_write_info_response(struct writer *to, struct bytes infostring);

#endif
