/*
 * gltron: the original game-server lobby's packets, records of 76 bytes over TCP
 * (docs/protocol-lobby.md), and the player's ping over UDP.
 *
 * Source: the lobby's document for the messages, and the original program, GLtron's tracker, for
 * the bytes. Integers are big-endian, without padding; unused fields may hold anything, and are
 * written as zeros:
 *
 *   type u16 at 0 (TLOGIN 0, TINFOS 1), which u16 at 2, then
 *   TLOGIN: login u16 at 4 (server 0, client 1), passwd char[9] at 6
 *   TINFOS: speed u16 at 4, size u16 at 6, erase u16 at 8, description char[32] at 10,
 *           version char[9] at 42, host u32 at 51, port u16 at 55, players u16 at 57
 *
 * Texts end at their first NUL or at the end of their field. They are always written with a NUL,
 * because the original copies them with strcpy: a password or version holds 8 bytes and a
 * description 31, and UTF-8 is truncated between characters. The original's passwords have 6 to 8
 * bytes. Fields may hold FFFF, the original's "not known yet".
 *
 * The original writes the address through SDL_net's integers, which reverses its bytes on
 * little-endian machines; a peer on such a machine also expects it reversed (GLTRON_HOST_REVERSED).
 * Its client stores servers in an array of 40 entries by `which`, unchecked: never send more.
 */
#ifndef CODEC_GLTRON_H
#define CODEC_GLTRON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

#define GLTRON_PACKET_SIZE     76
#define GLTRON_PASSWORD_SIZE   9 /* bytes of the field, including a NUL */
#define GLTRON_DESCRIPTION_MAX 31
#define GLTRON_VERSION_MAX     8
#define GLTRON_PASSWORD_MAX    8
#define GLTRON_SERVERS         40     /* which: 0 to 39 */
#define GLTRON_UNKNOWN         0xffff /* of speed, size, erase, players */

enum gltron_type { GLTRON_LOGIN = 0, GLTRON_INFOS = 1 };
enum gltron_role { GLTRON_SERVER = 0, GLTRON_CLIENT = 1 };
enum gltron_speed { GLTRON_BORING, GLTRON_NORMAL, GLTRON_FAST, GLTRON_CRAZY, GLTRON_SPEEDS };
enum gltron_size {
    GLTRON_TINY,
    GLTRON_MEDIUM,
    GLTRON_BIG,
    GLTRON_VAST,
    GLTRON_EXTREME,
    GLTRON_SIZES
};
enum gltron_host_order { GLTRON_HOST_NETWORK, GLTRON_HOST_REVERSED };

/* "boring", "tiny", ...; NULL for other values, including GLTRON_UNKNOWN. */
const char *gltron_speed_name(unsigned speed);
const char *gltron_size_name(unsigned size);
/* False when the name is unknown; case-sensitive. */
bool gltron_speed_parse(struct bytes name, uint16_t *speed) __attribute__((warn_unused_result));
bool gltron_size_parse(struct bytes name, uint16_t *size) __attribute__((warn_unused_result));

/* Borrows from the input. */
struct gltron_packet {
    enum gltron_type type;
    uint16_t which; /* from the tracker: the server's index in the list */
    /* LOGIN */
    enum gltron_role role;
    struct bytes password; /* up to 9 bytes; of a client arbitrary */
    /* INFOS */
    uint16_t speed; /* enum gltron_speed, or GLTRON_UNKNOWN */
    uint16_t size;  /* enum gltron_size, or GLTRON_UNKNOWN */
    bool erase;
    struct bytes description; /* up to 32 arbitrary bytes: lobby_text.h */
    struct bytes version;     /* up to 9 */
    uint8_t host[4];          /* IPv4, network order; ignored in what a server sends */
    uint16_t port;            /* 0: cannot be listed */
    uint16_t players;         /* or GLTRON_UNKNOWN */
};

enum gltron_error {
    GLTRON_ERROR_NONE,
    GLTRON_ERROR_TYPE, /* neither TLOGIN nor TINFOS */
    GLTRON_ERROR_ROLE, /* neither server nor client */
    GLTRON_ERROR_VALUE /* speed or size out of range */
};
enum gltron_outcome { GLTRON_MORE, GLTRON_PACKET, GLTRON_FAILED };

struct gltron_result {
    enum gltron_outcome outcome;
    size_t consumed;         /* PACKET: GLTRON_PACKET_SIZE; otherwise 0 */
    enum gltron_error error; /* FAILED */
    const char *reason;      /* FAILED: static text for the log */
};

/* Reads one packet, from either side. A packet with an invalid type or role fails as soon as these
 * bytes have arrived. */
struct gltron_result gltron_read(struct bytes input, enum gltron_host_order order,
                                 struct gltron_packet *packet);

/* Appends 76 bytes. Texts that are too long are truncated; speed, size and players are written
 * unchecked. */
void gltron_write(struct writer *to, const struct gltron_packet *packet,
                  enum gltron_host_order order);

/*
 * The player's ping, to UDP port 23480 of the server's address: int32 time, int32 number, int32
 * index in the list, in the player's byte order; the server returns it with number 2 instead of 1.
 * Written and read here as on a little-endian machine; the server returns time and index unchanged.
 */
#define GLTRON_PING_PORT 23480
#define GLTRON_PING_SIZE 12
void gltron_write_ping(struct writer *to, uint32_t time, uint32_t place);
bool gltron_read_pong(struct bytes packet, uint32_t *time, uint32_t *place)
    __attribute__((warn_unused_result));

#endif
