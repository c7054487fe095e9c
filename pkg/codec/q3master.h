/*
 * q3master: the messages of game servers and players to a Quake III / DarkPlaces master, and its
 * queries to servers (docs/protocol-master.md). UDP; each datagram is `FF FF FF FF` and text.
 *
 * Source: the behaviour of dpmaster 2.2 and of the engines that use it. Rules:
 * - A datagram has 5 to 2048 bytes. Its text ends at a NUL; words and keys are case-sensitive.
 * - An integer is as strtol reads it with base 0: a sign, then decimal digits, 0x and hexadecimal
 *   digits, or 0 and octal digits; and it fits 32 bits.
 * - Words are separated by white space (dpmaster: spaces only), which no game or game type may
 * hold.
 *
 * The replies with lists are in q3master_reply.h, the player's and the server's side in
 * q3master_client.h, the games with their tags in q3games.h.
 */
#ifndef CODEC_Q3MASTER_H
#define CODEC_Q3MASTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "base/bytes.h"

#define Q3MASTER_PACKET_MIN    5
#define Q3MASTER_PACKET_MAX    2048
#define Q3MASTER_TAG_MAX       63
#define Q3MASTER_GAME_MAX      63
#define Q3MASTER_GAMETYPE_MAX  31
#define Q3MASTER_CHALLENGE_MIN 8
#define Q3MASTER_CHALLENGE_MAX 11

/* Why a datagram is refused: names for metrics and logs. */
#define Q3MASTER_ERRORS(X)                                                                         \
    X(LENGTH, "length")       /* shorter or longer than allowed */                                 \
    X(HEADER, "header")       /* not FF FF FF FF */                                                \
    X(UNKNOWN, "unknown")     /* not a message to a master */                                      \
    X(TAG, "tag")             /* heartbeat: no tag, too long, or (q3games.h) unknown */            \
    X(CHALLENGE, "challenge") /* infoResponse: missing, or malformed */                            \
    X(PROTOCOL, "protocol")   /* missing, or not an integer */                                     \
    X(GAME, "game")           /* missing, empty, too long, with white space, or not the tag's */   \
    X(GAMETYPE, "gametype")   /* infoResponse: too long, or with white space */                    \
    X(MAX_CLIENTS, "maxclients") /* infoResponse: missing, 0, not a number */                      \
    X(CLIENTS, "clients")        /* infoResponse: missing */

enum q3master_error {
    Q3MASTER_OK,
#define Q3MASTER_ERROR_ENUM(name, text) Q3MASTER_ERROR_##name,
    Q3MASTER_ERRORS(Q3MASTER_ERROR_ENUM)
#undef Q3MASTER_ERROR_ENUM
        Q3MASTER_ERROR_COUNT
};
const char *q3master_error_name(enum q3master_error error);

enum q3master_type {
    Q3MASTER_HEARTBEAT,
    Q3MASTER_INFO_RESPONSE,
    Q3MASTER_GETSERVERS,
    Q3MASTER_GETSERVERS_EXT
};

/* A player's query. */
struct q3master_query {
    bool extended;     /* getserversExt, which also has the extended reply */
    struct bytes game; /* data NULL: none is named (GETSERVERS only) */
    int32_t protocol;
    bool empty, full; /* include servers that are empty, or full */
    struct bytes
        gametype;    /* data NULL: any. Truncated to Q3MASTER_GAMETYPE_MAX; the last one counts */
    bool ipv4, ipv6; /* families; GETSERVERS: IPv4 only */
};

/* A server's infoResponse. */
struct q3master_info {
    struct bytes challenge; /* well-formed; cookie.h verifies it */
    int32_t protocol;
    struct bytes game;       /* data NULL: missing */
    struct bytes gametype;   /* "0" when missing; may be empty */
    uint32_t clients;        /* 0 when it is negative or not a number */
    uint32_t max_clients;    /* above 0 */
    struct bytes infostring; /* the whole text: infostring.h */
};

/* Borrows from the datagram. */
struct q3master_message {
    enum q3master_type type;
    struct bytes tag;            /* HEARTBEAT: 1 to Q3MASTER_TAG_MAX bytes without white space */
    struct q3master_query query; /* GETSERVERS, GETSERVERS_EXT */
    struct q3master_info info;   /* INFO_RESPONSE */
};

/* Reads a datagram. message is valid with Q3MASTER_OK only, except for its type, which is set
 * unless the error is LENGTH, HEADER or UNKNOWN. */
enum q3master_error q3master_read(struct bytes packet, struct q3master_message *message)
    __attribute__((warn_unused_result));

/*
 * The game of an infoResponse: its gamename, or the one that the heartbeat's tag implies (NULL:
 * none, as with the tag DarkPlaces); if there are both they must be equal.
 */
enum q3master_error q3master_info_game(const struct q3master_info *info, const char *implied,
                                       struct bytes *game) __attribute__((warn_unused_result));

/* 8 to 11 characters, ASCII 33 to 126 without \ / ; " %. */
bool q3master_is_challenge(struct bytes text);
/* 1 to Q3MASTER_GAME_MAX bytes without white space or control characters. */
bool q3master_is_game(struct bytes text);
/* Parses the whole text by the rule above; leading spaces are skipped. */
bool q3master_parse_integer(struct bytes text, int32_t *value);

/* `getinfo CHALLENGE`: the reply to a heartbeat, and a probe. */
void q3master_write_getinfo(struct writer *to, struct bytes challenge);

/* A server of the list, for the filter. Borrows. */
struct q3master_server {
    struct address address;
    struct bytes game;
    struct bytes gametype;
    int32_t protocol;
    uint32_t clients, max_clients;
};
/* Empty: clients is 0, whatever max_clients is. Full: clients equals max_clients; more is neither.
 */
bool q3master_is_empty(const struct q3master_server *server);
bool q3master_is_full(const struct q3master_server *server);
/* Whether the server belongs in the reply. The query must have been completed (q3games_settle);
 * without a game nothing matches. */
bool q3master_matches(const struct q3master_query *query, const struct q3master_server *server);

/* The key of a query: queries with the same key have the same reply. For a cache of replies. */
#define Q3MASTER_KEY_MAX (6 + Q3MASTER_GAME_MAX + Q3MASTER_GAMETYPE_MAX)
size_t q3master_query_key(const struct q3master_query *query, uint8_t key[Q3MASTER_KEY_MAX]);

#endif
