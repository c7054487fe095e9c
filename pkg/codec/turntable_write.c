/* Writing turntable's messages: see turntable.h. */
#include "codec/turntable.h"

/* {"command":NAME,"data": with the data to follow. */
static struct json_writer begin_turntable_message(struct writer *to, const char *command)
{
    struct json_writer json = json_writer_over(to);

    json_write_object_begin(&json);
    json_write_member(&json, "command", bytes_from_string(command));
    json_write_name(&json, "data");
    return json;
}

static struct json_writer begin_object(struct writer *to, const char *command)
{
    struct json_writer json = begin_turntable_message(to, command);

    json_write_object_begin(&json);
    return json;
}

static void end_turntable_message(struct json_writer *json)
{
    json_write_object_end(json);
}

static void end_object(struct json_writer *json)
{
    json_write_object_end(json);
    end_turntable_message(json);
}

static void write_array(struct json_writer *json, const struct bytes *texts, size_t count)
{
    json_write_array_begin(json);
    for (size_t i = 0; i < count; i++) {
        json_write_text(json, texts[i]);
    }
    json_write_array_end(json);
}

void turntable_write_idyou(struct writer *to)
{
    struct json_writer json = begin_object(to, "idyou");

    end_object(&json);
}

size_t turntable_write_userchange(struct writer *to, const struct turntable_change *changes,
                                  size_t count)
{
    struct json_writer json = begin_object(to, "userchange");

    if (count > TURNTABLE_CHUNK) {
        count = TURNTABLE_CHUNK;
    }
    for (size_t i = 0; i < count; i++) {
        json_write_key(&json, changes[i].id);
        json_write_text(&json, bytes_from_string(turntable_status_name(changes[i].status)));
    }
    end_object(&json);
    return count;
}

void turntable_write_invite(struct writer *to, struct bytes channel, struct bytes user,
                            struct bytes from)
{
    struct json_writer json = begin_object(to, "invite");

    json_write_member(&json, "channel", channel);
    json_write_member(&json, "user", user);
    json_write_member(&json, "from", from);
    end_object(&json);
}

void turntable_write_member(struct writer *to, struct bytes channel,
                            const struct turntable_members *members)
{
    struct json_writer json = begin_object(to, "member");

    json_write_member(&json, "channel", channel);
    json_write_list(&json, "joined", members->joined, members->joined_count);
    json_write_list(&json, "left", members->left, members->left_count);
    end_object(&json);
}

size_t turntable_write_there(struct writer *to, const struct bytes *ids, size_t count)
{
    struct json_writer json = begin_turntable_message(to, "there");
    size_t left_out = 0;

    json_write_array_begin(&json);
    for (size_t i = 0; i < count; i++) {
        if (json_is_text(ids[i])) {
            json_write_text(&json, ids[i]);
        } else {
            left_out++;
        }
    }
    json_write_array_end(&json);
    end_turntable_message(&json);
    return left_out;
}

void turntable_write_error(struct writer *to, enum turntable_code code, const char *message,
                           const char *command)
{
    struct json_writer json = begin_object(to, "error");

    json_write_member(&json, "code", bytes_from_string(turntable_code_name(code)));
    json_write_member(&json, "message", bytes_from_string(message));
    json_write_member(&json, "command", bytes_from_string(command));
    end_object(&json);
}

void turntable_write_lost(struct writer *to, struct bytes channel)
{
    struct json_writer json = begin_object(to, "error");

    json_write_member(&json, "code", bytes_from_string(turntable_code_name(TURNTABLE_CODE_LOST)));
    json_write_member(&json, "message", BYTES_LITERAL("messages of the room may have been lost"));
    json_write_member(&json, "command", BYTES_LITERAL("game"));
    json_write_member(&json, "channel", channel);
    end_object(&json);
}

void turntable_write_packet(struct writer *to, struct bytes packet)
{
    struct json_writer json = begin_turntable_message(to, "packet");

    json_write_raw(&json, packet);
    end_turntable_message(&json);
}

static void write_joingame(struct json_writer *json, const struct turntable_message *message)
{
    json_write_object_begin(json);
    json_write_member(json, "channel", message->channel);
    json_write_member(json, "self", message->user);
    json_write_list(json, "invite", message->ids, message->id_count);
    json_write_object_end(json);
}

static void write_game_message(struct json_writer *json, const struct turntable_message *message)
{
    json_write_object_begin(json);
    json_write_member(json, "channel", message->channel);
    json_write_name(json, "actions");
    json_write_array_begin(json);
    for (size_t i = 0; i < message->action_count; i++) {
        json_write_raw(json, json_value_raw(message->actions[i].action));
    }
    json_write_array_end(json);
    json_write_object_end(json);
}

static void write_channel(struct json_writer *json, const struct turntable_message *message)
{
    json_write_object_begin(json);
    if (message->channel.data) {
        json_write_member(json, "channel", message->channel);
    }
    json_write_object_end(json);
}

void turntable_write_message(struct writer *to, const struct turntable_message *message)
{
    struct json_writer json = begin_turntable_message(to, turntable_command_name(message->command));

    switch (message->command) {
    case TURNTABLE_IDME:
        json_write_text(&json, message->user);
        if (message->token.data) {
            json_write_member(&json, "token", message->token);
        }
        break;
    case TURNTABLE_SUBSCRIBE:
    case TURNTABLE_UNSUBSCRIBE:
        write_array(&json, message->ids, message->id_count);
        break;
    case TURNTABLE_STATUS:
        json_write_text(&json, bytes_from_string(turntable_status_name(message->status)));
        break;
    case TURNTABLE_JOINGAME:
        write_joingame(&json, message);
        break;
    case TURNTABLE_GAME:
        write_game_message(&json, message);
        break;
    default:
        write_channel(&json, message);
        break;
    }
    end_turntable_message(&json);
}
