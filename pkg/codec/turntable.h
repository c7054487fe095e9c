/*
 * turntable: the messages of the turntable protocol, presence and game rooms over JSON text
 * (docs/protocol-turntable.md).
 *
 * Source: the document "turntable Protocol", whose commands are idyou, idme, subscribe,
 * userchange, joingame, invite and game; the others are ours. {"command": name, "data": value};
 * other keys are ignored. No I/O, no clock, no state.
 */
#ifndef CODEC_TURNTABLE_H
#define CODEC_TURNTABLE_H

#include "codec/json.h"

#define TURNTABLE_TEAM_MAX 20  /* digits before the colon of a user id */
#define TURNTABLE_USER_MAX 64  /* characters after it */
#define TURNTABLE_ID_MAX   128 /* bytes of a user id of any form */
#define TURNTABLE_CHUNK    500 /* ids in one userchange */
#define TURNTABLE_SHOWN    64  /* of a command's name in an error, its NUL included */

struct turntable_limits {
    struct json_limits json;
    size_t ids;     /* in one subscribe or unsubscribe */
    size_t invited; /* users in one joingame */
    size_t id;      /* bytes of an id of the map */
    size_t room;    /* bytes of a room's name */
    size_t actions; /* in one game */
    size_t token;   /* bytes */
    bool strict;    /* user ids have turntable_is_user's form, and are strings */
};
#define TURNTABLE_LIMITS_DEFAULT                                                                   \
    {                                                                                              \
        .json = JSON_LIMITS_DEFAULT, .ids = 10000, .invited = 100, .id = 255, .room = 128,         \
        .actions = 256, .token = 8192                                                              \
    }

/* The values of an error's `code`: the first few are the codec's, the others the protocol's. */
#define TURNTABLE_CODES(X)                                                                         \
    X(BAD_JSON, "bad_json")               /* the text is not JSON that we accept */                \
    X(BAD_MESSAGE, "bad_message")         /* a key is missing, or a value of another type */       \
    X(UNKNOWN_COMMAND, "unknown_command") /* not a client's command */                             \
    X(BAD_ID, "bad_id")                   /* a malformed id */                                     \
    X(BAD_ROOM, "bad_room")               /* a malformed room name */                              \
    X(BAD_STATUS, "bad_status")           /* neither online nor busy */                            \
    X(LIMIT, "limit")                     /* more, or longer, than allowed */                      \
    X(NOT_YOU, "not_you")                 /* self or from is not the identified id */              \
    X(NOT_MEMBER, "not_member")           /* not a member of the room */                           \
    X(NOT_IDENTIFIED, "not_identified")   /* a message before idme */                              \
    X(IDENTIFIED, "identified")           /* a second idme */                                      \
    X(DUPLICATE_LOGIN, "duplicate_login") /* the id is connected already */                        \
    X(TAKEN, "taken")                     /* the id belongs to another user's entry */             \
    X(UNAUTHORIZED, "unauthorized")       /* no token, or not a token for this id */               \
    X(LOST, "lost")                       /* messages of the room may have been lost */            \
    X(UNAVAILABLE, "unavailable")         /* the map did not answer in time */

enum turntable_code {
#define TURNTABLE_CODE_ENUM(name, text) TURNTABLE_CODE_##name,
    TURNTABLE_CODES(TURNTABLE_CODE_ENUM)
#undef TURNTABLE_CODE_ENUM
};
const char *turntable_code_name(enum turntable_code code);

struct turntable_error {
    enum turntable_code code;
    struct json_error detail;      /* detail.text is for the peer: what, and where */
    char command[TURNTABLE_SHOWN]; /* as far as it could be read, for the error message */
};

/* The commands of clients. */
enum turntable_command {
    TURNTABLE_IDME,
    TURNTABLE_SUBSCRIBE,
    TURNTABLE_UNSUBSCRIBE,
    TURNTABLE_STATUS,
    TURNTABLE_JOINGAME,
    TURNTABLE_GAME,
    TURNTABLE_LEAVEGAME,
    TURNTABLE_WHOTHERE,
    TURNTABLE_COMMANDS
};
const char *turntable_command_name(enum turntable_command command);

enum turntable_status { TURNTABLE_OFFLINE, TURNTABLE_ONLINE, TURNTABLE_BUSY };
const char *turntable_status_name(enum turntable_status status);

/* One action of a game; NULL: the key is missing. */
struct turntable_action {
    const struct json_value *action;
    const struct json_value *timestamp; /* a number, ms since the epoch */
    const struct json_value *from;      /* a user id, string or integer */
    const struct json_value *data;      /* anything */
};

/* Borrows the text, and owns the rest; free it with turntable_message_free. Lists have no
 * duplicates. */
struct turntable_message {
    enum turntable_command command;
    struct bytes user;            /* IDME; JOINGAME: self. A user id */
    struct bytes token;           /* IDME; data NULL when there is none */
    enum turntable_status status; /* STATUS: ONLINE or BUSY */
    struct bytes channel;         /* JOINGAME, GAME, LEAVEGAME; WHOTHERE: data NULL when none */
    struct bytes *ids;            /* SUBSCRIBE, UNSUBSCRIBE: ids of the map; JOINGAME: of users,
                                     who are invited */
    size_t id_count;
    struct turntable_action *actions; /* GAME */
    size_t action_count;
    struct bytes text;
    struct json_document *document;
};

/* `<digits>:<1 to 64 of A-Z a-z 0-9 . _ ->`. */
bool turntable_is_user(struct bytes id);
/* A user id in the lenient form: UTF-8, 1 to TURNTABLE_ID_MAX bytes, no control characters. In JSON
 * it may also be an integer without fraction and exponent: its digits are the id. */
bool turntable_is_any_user(struct bytes id);
/* UTF-8, 1 to max bytes, no control characters. */
bool turntable_is_room(struct bytes name, size_t max);

/* Reads a client's message; on success it must be freed, on failure it is empty. */
bool turntable_read(struct bytes text, const struct turntable_limits *limits,
                    struct turntable_message *message, struct turntable_error *error)
    __attribute__((warn_unused_result));
void turntable_message_free(struct turntable_message *message);

/* Whether the id is a member of the room of a game. */
typedef bool (*turntable_member)(void *arg, struct bytes id);

struct turntable_rules {
    struct bytes sender;        /* the identified id */
    uint64_t now;               /* ms since the epoch */
    uint64_t tolerance;         /* how far a timestamp may be off, ms; the protocol defines 2000 */
    bool needs_form;            /* ids in data must have the form of turntable_is_user */
    turntable_member is_member; /* NULL: ids in data need not be members */
    void *arg;
};

/*
 * Appends the game message that all members receive. A missing `from` becomes the sender, and an
 * integer `from` the sender's id as a string; a timestamp that is missing or off becomes now; all
 * other bytes are the sender's.
 * Refused, with nothing written: a `from` that is not the sender; and, depending on the rules, a
 * key or a string anywhere in an action's data that looks like a user id (digits, one colon, no
 * space) but is malformed, or is not a member.
 */
bool turntable_relay_game(struct writer *to, const struct turntable_message *message,
                          const struct turntable_rules *rules, struct turntable_error *error)
    __attribute__((warn_unused_result));

/* The server's messages. A string that is not text (json_is_text) fails the writer. */
void turntable_write_idyou(struct writer *to);
struct turntable_change {
    struct bytes id;
    enum turntable_status status;
};
/* Writes the first TURNTABLE_CHUNK changes at most; returns how many. Ids must be unique. */
size_t turntable_write_userchange(struct writer *to, const struct turntable_change *changes,
                                  size_t count);
/* `from` invites `user`. */
void turntable_write_invite(struct writer *to, struct bytes channel, struct bytes user,
                            struct bytes from);
struct turntable_members {
    const struct bytes *joined;
    size_t joined_count;
    const struct bytes *left;
    size_t left_count;
};
void turntable_write_member(struct writer *to, struct bytes channel,
                            const struct turntable_members *members);
/* Returns how many ids were omitted because they are not text (json_is_text). */
size_t turntable_write_there(struct writer *to, const struct bytes *ids, size_t count);
/* command: that of the refused message; "" when it is missing or could not be read. */
void turntable_write_error(struct writer *to, enum turntable_code code, const char *message,
                           const char *command);

/* The error for a room whose messages may have been lost; it names the room in `channel`. */
void turntable_write_lost(struct writer *to, struct bytes channel);
/* A packet from a client of another protocol; JSON. */
void turntable_write_packet(struct writer *to, struct bytes packet);

/* A client's message; a game's actions are copied from their source. */
void turntable_write_message(struct writer *to, const struct turntable_message *message);

#endif
