/*
 * lobby: the game-server lobby's messages as lines of JSON over TCP (docs/protocol-lobby.md), from
 * both sides: the tracker's, and that of game servers and players.
 *
 * One object a line, ended by a line feed (a carriage return before it is passed over), of at most
 * 4096 bytes without its end. "type" says what it is; keys that a message does not know are
 * ignored, but those of infos, which are kept. Source: the lobby's document for what is said; the
 * encoding is ours.
 *
 *   game server   login {passwd, port, name?}, infos {...}, pong {n}, verify {number}
 *   player        login {}
 *   tracker       welcome {id, verify}, error {code, message}, ping {n}; to players servers
 *                 {servers: [...], more?}, up, changed, down {server: {...}}
 *
 * No I/O, no clock, no knowledge of who is connected. A message borrows its line.
 */
#ifndef CODEC_LOBBY_H
#define CODEC_LOBBY_H

#include "codec/json.h"

#define LOBBY_LINE_MAX    4096
#define LOBBY_PLAYERS_MAX 1000000

/* A connection's first byte says how its peer speaks. */
enum lobby_encoding {
    LOBBY_ENCODING_NONE,    /* neither: to be closed */
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
    size_t total;            /* bytes of a server's names and values, these as they were written:
                                little enough that a listed server fits a line */
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

/* What error messages say in `code`: the first few are the codec's, the others the protocol's. */
#define LOBBY_CODES(X)                                                                             \
    X(BAD_JSON, "bad_json")           /* the line is no JSON that we take */                       \
    X(BAD_MESSAGE, "bad_message")     /* a key is missing, or a value not as it must be */         \
    X(UNKNOWN_TYPE, "unknown_type")   /* none that this side sends */                              \
    X(LIMIT, "limit")                 /* more, or longer, than allowed */                          \
    X(BAD_PASSWORD, "bad_password")   /* none, or a wrong one */                                   \
    X(NOT_LOGGED_IN, "not_logged_in") /* login comes first */                                      \
    X(LOGGED_IN, "logged_in")         /* a second login */                                         \
    X(NOT_A_SERVER, "not_a_server")   /* what only game servers send */                            \
    X(BANNED, "banned")               /* the address */                                            \
    X(FULL, "full")                   /* no slot is free */                                        \
    X(ADDRESS_LIMIT, "address_limit") /* too many from this address */                             \
    X(TAKEN, "taken")                 /* address and port are another connection's */              \
    X(BAD_NUMBER, "bad_number")       /* not the number that was sent */                           \
    X(UNVERIFIED, "unverified")       /* the number did not come back in time */                   \
    X(TIMEOUT, "timeout")             /* no login, or no pong, in time */                          \
    X(RATE, "rate")                   /* too many messages */                                      \
    X(UNAVAILABLE, "unavailable")     /* the map did not answer in time */                         \
    X(DRAINING, "draining")           /* this front-end ends: come back to another */

enum lobby_code {
#define LOBBY_CODE_ENUM(name, text) LOBBY_CODE_##name,
    LOBBY_CODES(LOBBY_CODE_ENUM)
#undef LOBBY_CODE_ENUM
        LOBBY_CODE_COUNT
};
const char *lobby_code_name(enum lobby_code code);
/* LOBBY_CODE_COUNT when the text is none of ours. */
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
    struct bytes value; /* JSON as it was written: a string, number, true or false */
};

/* Whether only the tracker says it of a server: type, id, ip, port, state, since. Properties of
 * these names are neither read nor written. */
bool lobby_is_reserved(struct bytes name);

/*
 * What a server says of itself. The properties are everything, the known keys too, but reserved
 * ones. What was not said, or is null, has data NULL, or has_ false.
 */
struct lobby_infos {
    const struct lobby_property *properties;
    size_t property_count;
    struct bytes speed, size; /* names of gltron.h; a listed server's may be others */
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
    struct bytes ip; /* may be empty in what is read, and port and since 0 */
    uint16_t port;
    enum lobby_state state;
    uint64_t since; /* ms since the epoch */
    struct lobby_infos infos;
};

/* Borrows the line, and owns the rest; lobby_message_free. */
struct lobby_message {
    enum lobby_type type;
    struct bytes password;     /* LOGIN: data NULL when there is none */
    struct bytes name;         /* LOGIN: whose password it is; data NULL when not said */
    uint16_t port;             /* LOGIN, INFOS: of the game; 0 when not said */
    struct lobby_infos infos;  /* INFOS */
    uint64_t number;           /* PING, PONG: n; VERIFY. At most 2^53 */
    struct bytes id;           /* WELCOME */
    bool verify;               /* WELCOME: by a number over UDP */
    struct bytes code, reason; /* ERROR: lobby_code_parse; for people */
    struct lobby_server *servers;
    size_t server_count;               /* SERVERS; UP, CHANGED, DOWN: 1 */
    bool more;                         /* SERVERS: the list goes on in the next message */
    struct lobby_property *properties; /* the memory of all infos */
    struct json_document *document;
};

/*
 * Reads one line as that side's message; on success it must be freed, on failure it is empty.
 * From peers: infos with a known key of another type, a speed or size that gltron.h does not name,
 * or a value that is no string, number or boolean, are refused. From the tracker: what is not
 * understood of a listed server counts as not said.
 */
bool lobby_read(struct bytes line, enum lobby_sender sender, const struct lobby_limits *limits,
                struct lobby_message *message, struct lobby_error *error)
    __attribute__((warn_unused_result));
void lobby_message_free(struct lobby_message *message);

/*
 * Each writes one line with its end. Texts that are none (json_is_text) and property values that
 * are no JSON scalar fail the writer.
 */
void lobby_write_welcome(struct writer *to, struct bytes id, bool verify);
void lobby_write_error(struct writer *to, enum lobby_code code, const char *reason);
void lobby_write_ping(struct writer *to, uint64_t n);
/* type: UP, CHANGED or DOWN. Of infos the properties are written; of the known keys (speed, size,
 * erase, description, version, players) those that are not among them as null. */
void lobby_write_change(struct writer *to, enum lobby_type type, const struct lobby_server *server);
/*
 * As many servers as fit a line of limit bytes, with "more":true when some are left; how many of
 * them are done: call again with the others. A server that fits no line, or that cannot be
 * written, is left out and counted in *left_out.
 */
size_t lobby_write_servers(struct writer *to, const struct lobby_server *servers, size_t count,
                           size_t limit, size_t *left_out);
/*
 * The same for who keeps servers written: one alone, as it stands in the messages; and messages of
 * such texts. Each text must fit a line (LOBBY_SERVER_MAX).
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
