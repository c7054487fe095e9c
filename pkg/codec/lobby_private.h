/* lobby_private: shared by the files that read the lobby's messages. */
#ifndef CODEC_LOBBY_PRIVATE_H
#define CODEC_LOBBY_PRIVATE_H

#include "codec/lobby.h"

/* One attempt to read one message. Functions that return false have recorded the error. */
struct lobby_reading {
    const struct lobby_limits *limits;
    enum lobby_sender sender;
    const struct json_value *root;
    struct lobby_message *message;
    struct lobby_error *error;
};

/* Records an error; returns false. */
bool lobby_fail(struct lobby_reading *reading, const struct json_value *value, enum lobby_code code,
                const char *reason);
bool lobby_failed(const struct lobby_reading *reading);
/* A member of the root, with the type; NULL when it is missing or null, and NULL with an error when
 * it has another type. */
const struct json_value *lobby_optional(struct lobby_reading *reading, const char *key,
                                        enum json_type type);
/* An optional text of the root: *text is unchanged when it is missing. */
bool lobby_take_text(struct lobby_reading *reading, const char *key, size_t max,
                     struct bytes *text);
bool lobby_take_integer(struct lobby_reading *reading, const struct json_value *value, int64_t min,
                        int64_t max, int64_t *integer);

/* lobby_infos.c: the root's infos; the servers of a list; the one of a change. */
bool lobby_read_infos(struct lobby_reading *reading, struct lobby_infos *infos);
bool lobby_read_servers(struct lobby_reading *reading);
bool lobby_read_server(struct lobby_reading *reading);

#endif
