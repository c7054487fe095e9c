/*
 * Reading the messages of turntable clients: one function for each command, which stops at the
 * first error. The errors of the JSON layer name the place; this file adds their code.
 */
#include "codec/turntable.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "codec/unique_private.h"

struct turntable_reading {
    const struct turntable_limits *limits;
    const struct json_value *root;
    struct turntable_message *message;
    struct turntable_error *error;
};

static const char *const code_names[] = {
#define CODE_NAME(name, text) [TURNTABLE_CODE_##name] = text,
    TURNTABLE_CODES(CODE_NAME)
#undef CODE_NAME
};

const char *turntable_code_name(enum turntable_code code)
{
    return code_names[code];
}

const char *turntable_status_name(enum turntable_status status)
{
    static const char *const names[] = {
        [TURNTABLE_OFFLINE] = "offline",
        [TURNTABLE_ONLINE] = "online",
        [TURNTABLE_BUSY] = "busy",
    };

    return names[status];
}

static bool is_user_character(uint8_t byte)
{
    return (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') ||
           (byte >= 'A' && byte <= 'Z') || byte == '.' || byte == '_' || byte == '-';
}

bool turntable_is_user(struct bytes id)
{
    size_t colon = 0;

    while (colon < id.len && id.data[colon] >= '0' && id.data[colon] <= '9') {
        colon++;
    }
    if (colon == 0 || colon > TURNTABLE_TEAM_MAX || colon == id.len || id.data[colon] != ':') {
        return false;
    }
    if (id.len - colon - 1 == 0 || id.len - colon - 1 > TURNTABLE_USER_MAX) {
        return false;
    }
    for (size_t i = colon + 1; i < id.len; i++) {
        if (!is_user_character(id.data[i])) {
            return false;
        }
    }
    return true;
}

bool turntable_is_any_user(struct bytes id)
{
    return turntable_is_room(id, TURNTABLE_ID_MAX);
}

bool turntable_is_room(struct bytes name, size_t max)
{
    if (name.len == 0 || name.len > max || !bytes_is_utf8(name)) {
        return false;
    }
    for (size_t i = 0; i < name.len; i++) {
        const uint8_t byte = name.data[i];

        /* U+0080 to U+009F are control characters too, C2 80 to C2 9F. */
        if (byte < 0x20 || byte == 0x7f || (byte == 0xc2 && name.data[i + 1] < 0xa0)) {
            return false;
        }
    }
    return true;
}

static bool fail_turntable_message(struct turntable_reading *reading,
                                   const struct json_value *value, enum turntable_code code,
                                   const char *reason)
{
    reading->error->code = code;
    return json_value_fail(value, code == TURNTABLE_CODE_LIMIT ? JSON_FAULT_LIMIT : JSON_FAULT_RULE,
                           reason, &reading->error->detail);
}

static const struct json_value *require_member(struct turntable_reading *reading,
                                               const struct json_value *object, const char *key,
                                               enum json_type type)
{
    return json_value_require(object, key, type, &reading->error->detail);
}

static const struct json_value *optional_member(struct turntable_reading *reading,
                                                const struct json_value *object, const char *key,
                                                enum json_type type)
{
    return json_value_optional(object, key, type, &reading->error->detail);
}

static const struct json_value *require_data(struct turntable_reading *reading, enum json_type type)
{
    return require_member(reading, reading->root, "data", type);
}

static bool turntable_message_failed(const struct turntable_reading *reading)
{
    return reading->error->detail.fault != JSON_FAULT_NONE;
}

/* The bytes of a string; for other types empty, with an error. */
static struct bytes member_text(struct turntable_reading *reading, const struct json_value *value)
{
    struct bytes text = {0};

    (void)json_value_text(value, &text, &reading->error->detail);
    return text;
}

/* A number that is used as an id: its source bytes are the id. */
static bool is_integer_id(const struct turntable_reading *reading, const struct json_value *value)
{
    struct bytes digits;

    if (reading->limits->strict || !value || json_value_type(value) != JSON_TYPE_NUMBER) {
        return false;
    }
    digits = json_value_raw(value);
    for (size_t i = digits.data[0] == '-'; i < digits.len; i++) {
        if (digits.data[i] < '0' || digits.data[i] > '9') {
            return false;
        }
    }
    return true;
}

static const struct json_value *require_id(struct turntable_reading *reading,
                                           const struct json_value *object, const char *key)
{
    const struct json_value *value = object ? json_value_member(object, key) : NULL;

    return is_integer_id(reading, value) ? value
                                         : require_member(reading, object, key, JSON_TYPE_STRING);
}

static const struct json_value *optional_id(struct turntable_reading *reading,
                                            const struct json_value *object, const char *key)
{
    const struct json_value *value = json_value_member(object, key);

    return is_integer_id(reading, value) ? value
                                         : optional_member(reading, object, key, JSON_TYPE_STRING);
}

static struct bytes member_id(struct turntable_reading *reading, const struct json_value *value)
{
    return is_integer_id(reading, value) ? json_value_raw(value) : member_text(reading, value);
}

static bool read_user(struct turntable_reading *reading, const struct json_value *value,
                      struct bytes *id)
{
    *id = member_id(reading, value);
    if (turntable_message_failed(reading)) {
        return false;
    }
    if (reading->limits->strict) {
        return turntable_is_user(*id) ||
               fail_turntable_message(
                   reading, value, TURNTABLE_CODE_BAD_ID,
                   "a user id is expected: digits, a colon, 1 to 64 of A-Z a-z 0-9 . _ -");
    }
    return turntable_is_any_user(*id) ||
           fail_turntable_message(
               reading, value, TURNTABLE_CODE_BAD_ID,
               "a user id is expected: 1 to 128 bytes without control characters");
}

/* An id of the map, of any protocol. */
static bool read_entry(struct turntable_reading *reading, const struct json_value *value,
                       struct bytes *id)
{
    *id = member_id(reading, value);
    if (turntable_message_failed(reading)) {
        return false;
    }
    if (id->len == 0) {
        return fail_turntable_message(reading, value, TURNTABLE_CODE_BAD_ID, "an empty id");
    }
    return id->len <= reading->limits->id ||
           fail_turntable_message(reading, value, TURNTABLE_CODE_BAD_ID,
                                  "an id longer than allowed");
}

static bool read_ids(struct turntable_reading *reading, const struct json_value *array, size_t most,
                     bool (*read_id)(struct turntable_reading *, const struct json_value *,
                                     struct bytes *))
{
    struct turntable_message *message = reading->message;
    const size_t count = json_value_count(array);
    const struct json_value *value = json_value_first(array);

    if (count > most) {
        return fail_turntable_message(reading, array, TURNTABLE_CODE_LIMIT,
                                      "more ids than allowed");
    }
    message->ids = mem_zalloc(count + 1, sizeof *message->ids);
    for (size_t i = 0; i < count; i++, value = json_value_next(value)) {
        if (!read_id(reading, value, &message->ids[i])) {
            return false;
        }
    }
    message->id_count = unique_keep_first(message->ids, count);
    return true;
}

static bool read_room(struct turntable_reading *reading, const struct json_value *value)
{
    const struct bytes name = member_text(reading, value);

    reading->message->channel = name;
    if (turntable_message_failed(reading)) {
        return false;
    }
    if (name.len > reading->limits->room) {
        return fail_turntable_message(reading, value, TURNTABLE_CODE_BAD_ROOM,
                                      "a room's name longer than allowed");
    }
    return turntable_is_room(name, reading->limits->room) ||
           fail_turntable_message(reading, value, TURNTABLE_CODE_BAD_ROOM,
                                  name.len == 0 ? "a room's name is empty"
                                                : "a control character in a room's name");
}

static bool read_idme(struct turntable_reading *reading)
{
    const struct json_value *token;

    if (!read_user(reading, require_id(reading, reading->root, "data"), &reading->message->user)) {
        return false;
    }
    token = optional_member(reading, reading->root, "token", JSON_TYPE_STRING);
    if (!token) {
        return !turntable_message_failed(reading);
    }
    reading->message->token = member_text(reading, token);
    return reading->message->token.len <= reading->limits->token ||
           fail_turntable_message(reading, token, TURNTABLE_CODE_LIMIT,
                                  "a token longer than allowed");
}

static bool read_subscribe(struct turntable_reading *reading)
{
    const struct json_value *data = require_data(reading, JSON_TYPE_ARRAY);

    return data != NULL && read_ids(reading, data, reading->limits->ids, read_entry);
}

static bool read_status(struct turntable_reading *reading)
{
    const struct json_value *data = require_data(reading, JSON_TYPE_STRING);
    const struct bytes name = member_text(reading, data);

    if (turntable_message_failed(reading)) {
        return false;
    }
    if (bytes_equal(name, BYTES_LITERAL("busy"))) {
        reading->message->status = TURNTABLE_BUSY;
    } else if (bytes_equal(name, BYTES_LITERAL("online"))) {
        reading->message->status = TURNTABLE_ONLINE;
    } else {
        return fail_turntable_message(reading, data, TURNTABLE_CODE_BAD_STATUS,
                                      "online or busy is expected");
    }
    return true;
}

static bool read_joingame(struct turntable_reading *reading)
{
    const struct json_value *data = require_data(reading, JSON_TYPE_OBJECT);
    const struct json_value *invite;

    if (!read_room(reading, require_member(reading, data, "channel", JSON_TYPE_STRING)) ||
        !read_user(reading, require_id(reading, data, "self"), &reading->message->user)) {
        return false;
    }
    invite = optional_member(reading, data, "invite", JSON_TYPE_ARRAY);
    return invite ? read_ids(reading, invite, reading->limits->invited, read_user)
                  : !turntable_message_failed(reading);
}

static bool read_action(struct turntable_reading *reading, const struct json_value *value,
                        struct turntable_action *action)
{
    struct bytes from;

    if (!json_value_expect(value, JSON_TYPE_OBJECT, &reading->error->detail)) {
        return false;
    }
    action->action = value;
    action->timestamp = optional_member(reading, value, "timestamp", JSON_TYPE_NUMBER);
    action->from = optional_id(reading, value, "from");
    action->data = json_value_member(value, "data");
    if (action->from) {
        return read_user(reading, action->from, &from);
    }
    return !turntable_message_failed(reading);
}

static bool read_game_message(struct turntable_reading *reading)
{
    struct turntable_message *message = reading->message;
    const struct json_value *data = require_data(reading, JSON_TYPE_OBJECT);
    const struct json_value *actions;
    const struct json_value *value;

    if (!read_room(reading, require_member(reading, data, "channel", JSON_TYPE_STRING))) {
        return false;
    }
    actions = require_member(reading, data, "actions", JSON_TYPE_ARRAY);
    if (!actions) {
        return false;
    }
    message->action_count = json_value_count(actions);
    if (message->action_count > reading->limits->actions) {
        return fail_turntable_message(reading, actions, TURNTABLE_CODE_LIMIT,
                                      "more actions than allowed");
    }
    message->actions = mem_zalloc(message->action_count + 1, sizeof *message->actions);
    value = json_value_first(actions);
    for (size_t i = 0; i < message->action_count; i++, value = json_value_next(value)) {
        if (!read_action(reading, value, &message->actions[i])) {
            return false;
        }
    }
    return true;
}

static bool read_leavegame(struct turntable_reading *reading)
{
    const struct json_value *data = require_data(reading, JSON_TYPE_OBJECT);

    return read_room(reading, require_member(reading, data, "channel", JSON_TYPE_STRING));
}

static bool read_whothere(struct turntable_reading *reading)
{
    const struct json_value *data =
        optional_member(reading, reading->root, "data", JSON_TYPE_OBJECT);
    const struct json_value *channel = NULL;

    if (data) {
        channel = optional_member(reading, data, "channel", JSON_TYPE_STRING);
    }
    return channel ? read_room(reading, channel) : !turntable_message_failed(reading);
}

static const struct {
    const char *name;
    bool (*read)(struct turntable_reading *reading);
} commands[TURNTABLE_COMMANDS] = {
    [TURNTABLE_IDME] = {"idme", read_idme},
    [TURNTABLE_SUBSCRIBE] = {"subscribe", read_subscribe},
    [TURNTABLE_UNSUBSCRIBE] = {"unsubscribe", read_subscribe},
    [TURNTABLE_STATUS] = {"status", read_status},
    [TURNTABLE_JOINGAME] = {"joingame", read_joingame},
    [TURNTABLE_GAME] = {"game", read_game_message},
    [TURNTABLE_LEAVEGAME] = {"leavegame", read_leavegame},
    [TURNTABLE_WHOTHERE] = {"whothere", read_whothere},
};

const char *turntable_command_name(enum turntable_command command)
{
    return commands[command].name;
}

/* Copied for the error message, which outlives the document. */
static void remember_command(struct turntable_error *error, struct bytes name)
{
    size_t len = name.len;

    if (len >= sizeof error->command) {
        len = sizeof error->command - 1;
        while (len > 0 && (name.data[len] & 0xc0) == 0x80) { /* not within a character */
            len--;
        }
    }
    memcpy(error->command, name.data, len);
    error->command[len] = '\0';
}

static bool read_command(struct turntable_reading *reading)
{
    const struct json_value *value =
        require_member(reading, reading->root, "command", JSON_TYPE_STRING);
    const struct bytes name = member_text(reading, value);

    if (turntable_message_failed(reading)) {
        return false;
    }
    remember_command(reading->error, name);
    for (size_t i = 0; i < TURNTABLE_COMMANDS; i++) {
        if (bytes_equal(name, bytes_from_string(commands[i].name))) {
            reading->message->command = i;
            return commands[i].read(reading);
        }
    }
    return fail_turntable_message(reading, value, TURNTABLE_CODE_UNKNOWN_COMMAND,
                                  "an unknown command");
}

bool turntable_read(struct bytes text, const struct turntable_limits *limits,
                    struct turntable_message *message, struct turntable_error *error)
{
    struct turntable_reading reading = {.limits = limits, .message = message, .error = error};

    memset(message, 0, sizeof *message);
    memset(error, 0, sizeof *error);
    message->text = text;
    message->document = json_document_parse(text, &limits->json, &error->detail);
    if (!message->document) {
        error->code = json_fault_is_limit(error->detail.fault) ? TURNTABLE_CODE_LIMIT
                                                               : TURNTABLE_CODE_BAD_JSON;
        return false;
    }
    error->code = TURNTABLE_CODE_BAD_MESSAGE;
    reading.root = json_document_root(message->document);
    if (read_command(&reading)) {
        return true;
    }
    turntable_message_free(message);
    return false;
}

void turntable_message_free(struct turntable_message *message)
{
    free(message->ids);
    free(message->actions);
    json_document_free(&message->document);
    memset(message, 0, sizeof *message);
}
