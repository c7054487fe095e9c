/*
 * lobby: the game-server lobby's messages as lines of JSON over TCP (docs/protocol-lobby.md), for
 * both sides: the tracker, and game servers and players.
 *
 * One object per line, ended by a line feed (a preceding carriage return is ignored), of at most
 * 4096 bytes without its end. "type" is the message's type; unknown keys are ignored, except those
 * of infos, which are kept. Source: the lobby's document for the messages; the encoding is ours.
 *
 *   game server   login {passwd, port, name?}, infos {...}, pong {n}, verify {number}
 *   player        login {}
 *   tracker       welcome {id, verify}, error {code, message}, ping {n}; to players servers
 *                 {servers: [...], more?}, up, changed, down {server: {...}}
 *
 * No I/O, no clock, no state. A message borrows its line.
 */
#ifndef CODEC_LOBBY_H
#define CODEC_LOBBY_H

#include "codec/json.h"

#define LOBBY_LINE_MAX    4096
#define LOBBY_PLAYERS_MAX 1000000

/* Determined by a connection's first byte. */
enum lobby_encoding {
    LOBBY_ENCODING_NONE,    /* neither: close the connection */
    LOBBY_ENCODING_JSON,    /* '{' */
    LOBBY_ENCODING_ORIGINAL /* 00: gltron.h */
};
enum lobby_encoding lobby_detect(uint8_t first);

enum lobby_line_outcome { LOBBY_LINE_MORE, LOBBY_LINE_WHOLE, LOBBY_LINE_TOO_LONG };
struct lobby_line {
    enum lobby_line_outcome outcome;
    size_t consumed;   /* WHOLE: the line, its end, and blank lines before it. MORE: of blank lines
                          that may be dropped now */
    struct bytes text; /* WHOLE: without its end, not blank; borrows from the input */
};
/* Takes the first line that is not blank. limit: bytes of a line without its end; more of them
 * without an end is TOO_LONG. */
struct lobby_line lobby_read_line(struct bytes input, size_t limit);

struct lobby_limits {
    struct json_limits json; /* .bytes: of a line */
    size_t properties;       /* of one server */
    size_t name;             /* bytes of a property's name */
    size_t total;            /* bytes of a server's names and values (source bytes): small enough
                                that a listed server fits a line */
    size_t description;      /* bytes */
    size_t version;          /* bytes */
    size_t password;         /* bytes of a password, and of the name with it */
};
#define LOBBY_LIMITS_DEFAULT                                                                       \
    {                                                                                              \
        .json = {.bytes = LOBBY_LINE_MAX,                                                          \
                 .depth = 4,                                                                       \
                 .keys = 128,                                                                      \
                 .values = 4096,                                                                   \
                 .number = JSON_NUMBER_MAX},                                                       \
        .properties = 64, .name = 64, .total = 3072, .description = 256, .version = 64,            \
        .password = 256                                                                            \
    }

/* The values of an error's `code`: the first few are the codec's, the others the protocol's. */
#define LOBBY_CODES(X)                                                                             \
    X(BAD_JSON, "bad_json")           /* the line is not JSON that we accept */                    \
    X(BAD_MESSAGE, "bad_message")     /* a key is missing, or a value is invalid */                \
    X(UNKNOWN_TYPE, "unknown_type")   /* not a type that this side sends */                        \
    X(LIMIT, "limit")                 /* more, or longer, than allowed */                          \
    X(BAD_PASSWORD, "bad_password")   /* none, or a wrong one */                                   \
    X(NOT_LOGGED_IN, "not_logged_in") /* a message before the login */                             \
    X(LOGGED_IN, "logged_in")         /* a second login */                                         \
    X(NOT_A_SERVER, "not_a_server")   /* a message that only game servers may send */              \
    X(BANNED, "banned")               /* the address */                                            \
    X(FULL, "full")                   /* no slot is free */                                        \
    X(ADDRESS_LIMIT, "address_limit") /* too many from this address */                             \
    X(TAKEN, "taken")                 /* another connection has this address and port */           \
    X(BAD_NUMBER, "bad_number")       /* not the number that was sent */                           \
    X(UNVERIFIED, "unverified")       /* the number was not returned in time */                    \
    X(TIMEOUT, "timeout")             /* no login, or no pong, in time */                          \
    X(RATE, "rate")                   /* too many messages */                                      \
    X(UNAVAILABLE, "unavailable")     /* the map did not answer in time */                         \
    X(DRAINING, "draining")           /* this front-end shuts down: reconnect to another */

enum lobby_code {
#define LOBBY_CODE_ENUM(name, text) LOBBY_CODE_##name,
    LOBBY_CODES(LOBBY_CODE_ENUM)
#undef LOBBY_CODE_ENUM
        LOBBY_CODE_COUNT
};
const char *lobby_code_name(enum lobby_code code);
/* LOBBY_CODE_COUNT when the code is unknown. */
enum lobby_code lobby_code_parse(struct bytes text);

struct lobby_error {
    enum lobby_code code;
    struct json_error detail; /* detail.text is for the peer: what, and where */
};

enum lobby_type {
    LOBBY_LOGIN, /* from peers */
    LOBBY_INFOS,
    LOBBY_PONG,
    LOBBY_VERIFY,
    LOBBY_WELCOME, /* from the tracker */
    LOBBY_ERROR,
    LOBBY_PING,
    LOBBY_SERVERS,
    LOBBY_UP,
    LOBBY_CHANGED,
    LOBBY_DOWN,
    LOBBY_TYPES
};
const char *lobby_type_name(enum lobby_type type);
enum lobby_sender { LOBBY_FROM_PEER, LOBBY_FROM_TRACKER };

struct lobby_property {
    struct bytes name;
    struct bytes value; /* the source bytes: a string, number, true or false */
};

/* Whether only the tracker sets it for a server: type, id, ip, port, state, since. Properties with
 * these names are neither read nor written. */
bool lobby_is_reserved(struct bytes name);

/*
 * A server's description of itself. The properties include the known keys, but not the reserved
 * ones. Keys that are missing or null have data NULL, or has_ false.
 */
struct lobby_infos {
    const struct lobby_property *properties;
    size_t property_count;
    struct bytes speed, size; /* names of gltron.h; arbitrary for a listed server */
    struct bytes description, version;
    bool has_erase, erase;
    bool has_players;
    uint32_t players; /* at most LOBBY_PLAYERS_MAX */
};

enum lobby_state { LOBBY_LIVE, LOBBY_SUSPECT };
const char *lobby_state_name(enum lobby_state state);

/* A listed server. */
struct lobby_server {
    struct bytes id; /* address:port */
    struct bytes ip; /* may be empty when read, and port and since 0 */
    uint16_t port;
    enum lobby_state state;
    uint64_t since; /* ms since the epoch */
    struct lobby_infos infos;
};

/* Borrows the line, and owns the rest; free it with lobby_message_free. */
struct lobby_message {
    enum lobby_type type;
    struct bytes password;     /* LOGIN: data NULL when there is none */
    struct bytes name;         /* LOGIN: whose password it is; data NULL when missing */
    uint16_t port;             /* LOGIN, INFOS: of the game; 0 when missing */
    struct lobby_infos infos;  /* INFOS */
    uint64_t number;           /* PING, PONG: n; VERIFY. At most 2^53 */
    struct bytes id;           /* WELCOME */
    bool verify;               /* WELCOME: by a number over UDP */
    struct bytes code, reason; /* ERROR: lobby_code_parse; for people */
    struct lobby_server *servers;
    size_t server_count;               /* SERVERS; UP, CHANGED, DOWN: 1 */
    bool more;                         /* SERVERS: the list continues in the next message */
    struct lobby_property *properties; /* the storage of all infos */
    struct json_document *document;
};

/*
 * Reads one line as a message of that side; on success it must be freed, on failure it is empty.
 * From peers, infos are refused if a known key has another type, gltron.h does not define the speed
 * or size, or a value is not a string, number or boolean. From the tracker, keys of a listed server
 * that are not understood count as missing.
 */
bool lobby_read(struct bytes line, enum lobby_sender sender, const struct lobby_limits *limits,
                struct lobby_message *message, struct lobby_error *error)
    __attribute__((warn_unused_result));
void lobby_message_free(struct lobby_message *message);

/*
 * Each writes one line with its end. Strings that are not text (json_is_text) and property values
 * that are not JSON scalars fail the writer.
 */
void lobby_write_welcome(struct writer *to, struct bytes id, bool verify);
void lobby_write_error(struct writer *to, enum lobby_code code, const char *reason);
void lobby_write_ping(struct writer *to, uint64_t n);
/* type: UP, CHANGED or DOWN. Writes the properties of infos, and null for each known key (speed,
 * size, erase, description, version, players) that is not among them. */
void lobby_write_change(struct writer *to, enum lobby_type type, const struct lobby_server *server);
/*
 * Writes as many servers as fit a line of limit bytes, with "more":true when some are left. Returns
 * how many it has handled: call it again with the others. A server that does not fit a line, or
 * cannot be written, is omitted and counted in *left_out.
 */
size_t lobby_write_servers(struct writer *to, const struct lobby_server *servers, size_t count,
                           size_t limit, size_t *left_out);
/*
 * The same for callers that cache encoded servers: one server as it appears in the messages; and
 * messages composed of such texts. Each text must fit a line (LOBBY_SERVER_MAX).
 */
#define LOBBY_SERVER_MAX (LOBBY_LINE_MAX - 48)
void lobby_write_server(struct writer *to, const struct lobby_server *server);
void lobby_write_change_of(struct writer *to, enum lobby_type type, struct bytes server);
size_t lobby_write_servers_of(struct writer *to, const struct bytes *servers, size_t count,
                              size_t limit);

void lobby_write_login(struct writer *to);
/* name: data NULL for none. */
void lobby_write_server_login(struct writer *to, struct bytes password, struct bytes name,
                              uint16_t port);
void lobby_write_infos(struct writer *to, const struct lobby_property *properties, size_t count);
void lobby_write_pong(struct writer *to, uint64_t n);
void lobby_write_verify(struct writer *to, uint64_t number);

#endif
