/* turntable_settings: the turntable.* part of the configuration table. */
#include "protocol/turntable/turntable.h"

#define TURNTABLE(name, type, standard, flags, min, max, choices, help)                            \
    {                                                                                              \
        "turntable." #name, type, offsetof(struct turntable_settings, name), standard, flags, min, \
            max, choices, help, NULL                                                               \
    }
#define BOTH (CONFIG_RELOADABLE | CONFIG_LISTENER)

static const struct config_setting table[] = {
    TURNTABLE(id_form, CONFIG_ENUM, "any", BOTH, 0, 0, "any|strict",
              "User ids: any text of 1 to 128 bytes, or digits, a colon and 1 to 64 of A-Z a-z 0-9 "
              ". _ -."),
    TURNTABLE(validate, CONFIG_ENUM, "off", BOTH, 0, 0, "off|form|member",
              "What an id in the data of a game's action must be: anything; of an id's strict form "
              "(with turntable.id_form = strict); or a member of the room."),
    TURNTABLE(duplicate_login, CONFIG_ENUM, "allow", BOTH, 0, 0, "allow|reject|replace",
              "What happens to a user who connects again: all connections stay, the new one is "
              "refused, or the old ones are closed."),
    TURNTABLE(
        window, CONFIG_DURATION, "50ms", CONFIG_RELOADABLE, 0, 10000, NULL,
        "Time in which changes of users' statuses are merged; the first after a pause is sent "
        "at once."),
    TURNTABLE(tolerance, CONFIG_DURATION, "2s", BOTH, 0, 86400000, NULL,
              "How far the timestamp of a game's action may be off before it is replaced."),
    TURNTABLE(max_ids, CONFIG_INT, "10000", BOTH, 1, 100000, NULL, "Ids in one message."),
    TURNTABLE(max_invites, CONFIG_INT, "100", BOTH, 0, 100000, NULL,
              "Users whom one joingame may invite."),
    TURNTABLE(max_subscriptions, CONFIG_INT, "10000", BOTH, 1, 1000000, NULL,
              "Ids to which one connection may be subscribed."),
    TURNTABLE(max_rooms, CONFIG_INT, "16", BOTH, 1, 10000, NULL,
              "Rooms in which one connection may be."),
    TURNTABLE(max_room_name, CONFIG_INT, "128", BOTH, 1, 255, NULL, "Bytes of a room's name."),
    TURNTABLE(max_actions, CONFIG_INT, "256", BOTH, 1, 10000, NULL, "Actions in one game message."),
    TURNTABLE(max_backlog, CONFIG_SIZE, "1MiB", BOTH, 1024, 1 << 30, NULL,
              "Bytes that a member of a room may leave unread before it is closed."),
    TURNTABLE(max_errors, CONFIG_INT, "20", BOTH, 1, 1000000, NULL,
              "Messages of one connection that are refused in turntable.error_window before it is "
              "closed."),
    TURNTABLE(error_window, CONFIG_DURATION, "10s", BOTH, 1, 3600000, NULL,
              "Time in which refused messages are counted."),
    TURNTABLE(pipeline, CONFIG_INT, "64", BOTH, 1, 10000, NULL,
              "Requests of one connection that wait for the map, above which no more are read."),
    {.key = NULL}};

static const struct config_rename renames[] = {
    {"turntable.max_behind", "turntable.max_backlog"},
    {NULL, NULL},
};

const struct config_module turntable_config = {
    .settings = table, .values_size = sizeof(struct turntable_settings), .renames = renames};

const char *turntable_settings_check(const struct turntable_settings *settings)
{
    if (settings->validate == TURNTABLE_VALIDATE_FORM && settings->id_form != TURNTABLE_ID_STRICT) {
        return "turntable.validate = form needs turntable.id_form = strict";
    }
    return NULL;
}
