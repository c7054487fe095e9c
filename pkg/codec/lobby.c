/*
 * Reading the lobby's messages, from either side: one function for each type, which stops at the
 * first error. The errors of the JSON layer name the place; this file adds their code.
 */
#include "codec/lobby.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "codec/lobby_private.h"

#define NUMBER_MAX (1LL << 53)

static const char *const code_names[LOBBY_CODE_COUNT] = {
#define CODE_NAME(name, text) [LOBBY_CODE_##name] = text,
    LOBBY_CODES(CODE_NAME)
#undef CODE_NAME
};

const char *lobby_code_name(enum lobby_code code)
{
    return code_names[code];
}

enum lobby_code lobby_code_parse(struct bytes text)
{
    enum lobby_code code = 0;

    while (code < LOBBY_CODE_COUNT && !bytes_equal(text, bytes_from_string(code_names[code]))) {
        code++;
    }
    return code;
}

const char *lobby_state_name(enum lobby_state state)
{
    return state == LOBBY_SUSPECT ? "suspect" : "live";
}

bool lobby_fail(struct lobby_reading *reading, const struct json_value *value, enum lobby_code code,
                const char *reason)
{
    reading->error->code = code;
    return json_value_fail(value, code == LOBBY_CODE_LIMIT ? JSON_FAULT_LIMIT : JSON_FAULT_RULE,
                           reason, &reading->error->detail);
}

bool lobby_failed(const struct lobby_reading *reading)
{
    return reading->error->detail.fault != JSON_FAULT_NONE;
}

const struct json_value *lobby_optional(struct lobby_reading *reading, const char *key,
                                        enum json_type type)
{
    const struct json_value *value = json_value_member(reading->root, key);

    if (value && json_value_type(value) == JSON_TYPE_NULL) {
        return NULL;
    }
    return json_value_optional(reading->root, key, type, &reading->error->detail);
}

bool lobby_take_text(struct lobby_reading *reading, const char *key, size_t max, struct bytes *text)
{
    const struct json_value *value = lobby_optional(reading, key, JSON_TYPE_STRING);

    if (!value) {
        return !lobby_failed(reading);
    }
    if (!json_value_text(value, text, &reading->error->detail)) {
        return false;
    }
    return text->len <= max ||
           lobby_fail(reading, value, LOBBY_CODE_LIMIT, "a text longer than allowed");
}

bool lobby_take_integer(struct lobby_reading *reading, const struct json_value *value, int64_t min,
                        int64_t max, int64_t *integer)
{
    if (!json_value_integer(value, integer, &reading->error->detail)) {
        return false;
    }
    return (*integer >= min && *integer <= max) ||
           lobby_fail(reading, value, LOBBY_CODE_BAD_MESSAGE, "a number out of range");
}

static bool require_number(struct lobby_reading *reading, const char *key)
{
    int64_t number = 0;

    if (!lobby_take_integer(
            reading,
            json_value_require(reading->root, key, JSON_TYPE_NUMBER, &reading->error->detail), 0,
            NUMBER_MAX, &number)) {
        return false;
    }
    reading->message->number = (uint64_t)number;
    return true;
}

static bool take_message_port(struct lobby_reading *reading)
{
    const struct json_value *value = lobby_optional(reading, "port", JSON_TYPE_NUMBER);
    int64_t port = 0;

    if (!value) {
        return !lobby_failed(reading);
    }
    if (!lobby_take_integer(reading, value, 1, UINT16_MAX, &port)) {
        return false;
    }
    reading->message->port = (uint16_t)port;
    return true;
}

static bool read_login(struct lobby_reading *reading)
{
    struct lobby_message *message = reading->message;

    return lobby_take_text(reading, "passwd", reading->limits->password, &message->password) &&
           lobby_take_text(reading, "name", reading->limits->password, &message->name) &&
           take_message_port(reading);
}

static bool read_message_infos(struct lobby_reading *reading)
{
    return take_message_port(reading) && lobby_read_infos(reading, &reading->message->infos);
}

static bool read_n(struct lobby_reading *reading)
{
    return require_number(reading, "n");
}

static bool read_verify(struct lobby_reading *reading)
{
    return require_number(reading, "number");
}

static bool read_welcome(struct lobby_reading *reading)
{
    struct bytes verify = {0};

    if (!lobby_take_text(reading, "id", SIZE_MAX, &reading->message->id) ||
        !lobby_take_text(reading, "verify", SIZE_MAX, &verify)) {
        return false;
    }
    reading->message->verify = bytes_equal(verify, BYTES_LITERAL("udp"));
    return true;
}

static bool read_error(struct lobby_reading *reading)
{
    return lobby_take_text(reading, "code", SIZE_MAX, &reading->message->code) &&
           lobby_take_text(reading, "message", SIZE_MAX, &reading->message->reason);
}

static const struct {
    const char *name;
    enum lobby_sender sender;
    bool (*read)(struct lobby_reading *reading);
} types[LOBBY_TYPES] = {
    [LOBBY_LOGIN] = {"login", LOBBY_FROM_PEER, read_login},
    [LOBBY_INFOS] = {"infos", LOBBY_FROM_PEER, read_message_infos},
    [LOBBY_PONG] = {"pong", LOBBY_FROM_PEER, read_n},
    [LOBBY_VERIFY] = {"verify", LOBBY_FROM_PEER, read_verify},
    [LOBBY_WELCOME] = {"welcome", LOBBY_FROM_TRACKER, read_welcome},
    [LOBBY_ERROR] = {"error", LOBBY_FROM_TRACKER, read_error},
    [LOBBY_PING] = {"ping", LOBBY_FROM_TRACKER, read_n},
    [LOBBY_SERVERS] = {"servers", LOBBY_FROM_TRACKER, lobby_read_servers},
    [LOBBY_UP] = {"up", LOBBY_FROM_TRACKER, lobby_read_server},
    [LOBBY_CHANGED] = {"changed", LOBBY_FROM_TRACKER, lobby_read_server},
    [LOBBY_DOWN] = {"down", LOBBY_FROM_TRACKER, lobby_read_server},
};

const char *lobby_type_name(enum lobby_type type)
{
    return types[type].name;
}

static bool read_lobby_message(struct lobby_reading *reading)
{
    const struct json_value *value =
        json_value_require(reading->root, "type", JSON_TYPE_STRING, &reading->error->detail);
    struct bytes name = {0};

    if (!json_value_text(value, &name, &reading->error->detail)) {
        return false;
    }
    for (enum lobby_type type = 0; type < LOBBY_TYPES; type++) {
        if (types[type].sender == reading->sender &&
            bytes_equal(name, bytes_from_string(types[type].name))) {
            reading->message->type = type;
            return types[type].read(reading);
        }
    }
    return lobby_fail(reading, value, LOBBY_CODE_UNKNOWN_TYPE, "an unknown type");
}

bool lobby_read(struct bytes line, enum lobby_sender sender, const struct lobby_limits *limits,
                struct lobby_message *message, struct lobby_error *error)
{
    struct lobby_reading reading = {
        .limits = limits, .sender = sender, .message = message, .error = error};

    memset(message, 0, sizeof *message);
    memset(error, 0, sizeof *error);
    message->document = json_document_parse(line, &limits->json, &error->detail);
    if (!message->document) {
        error->code =
            json_fault_is_limit(error->detail.fault) ? LOBBY_CODE_LIMIT : LOBBY_CODE_BAD_JSON;
        return false;
    }
    error->code = LOBBY_CODE_BAD_MESSAGE;
    reading.root = json_document_root(message->document);
    if (read_lobby_message(&reading)) {
        return true;
    }
    lobby_message_free(message);
    return false;
}

void lobby_message_free(struct lobby_message *message)
{
    free(message->servers);
    free(message->properties);
    json_document_free(&message->document);
    memset(message, 0, sizeof *message);
}
