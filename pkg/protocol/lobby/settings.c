/* lobby_settings: the lobby.* part of the configuration table. */
#include "protocol/lobby/lobby.h"

#include <stdbool.h>
#include <stdlib.h>

#include "auth/ban.h"
#include "auth/password.h"
#include "base/ids.h"

#define HOUR_MS 3600000
#define BOTH    (CONFIG_RELOADABLE | CONFIG_LISTENER)

#define LOBBY(name, type, standard, flags, min, max, choices, check, help)                         \
    {                                                                                              \
        "lobby." #name, type, offsetof(struct lobby_settings, name), standard, flags, min, max,    \
            choices, help, check                                                                   \
    }
#define NUMBER(name, standard, flags, min, max, help)                                              \
    LOBBY(name, CONFIG_INT, standard, flags, min, max, NULL, NULL, help)
#define TIME(name, standard, flags, min, max, help)                                                \
    LOBBY(name, CONFIG_DURATION, standard, flags, min, max, NULL, NULL, help)
#define TEXT(name, standard, flags, check, help)                                                   \
    LOBBY(name, CONFIG_STRING, standard, flags, 0, 0, NULL, check, help)

static const char *check_lobby_space(const char *value)
{
    return id_is_space_name(value) ? NULL : "a space's name has 1 to 32 characters of a-z 0-9 _ -";
}

static const char *check_from(const char *value)
{
    char *error = udp_check(value);

    if (!error) {
        return NULL;
    }
    free(error);
    return "an address and port to send from are expected, as in *:0 or 192.0.2.1:0";
}

static const struct config_setting table[] = {
    TEXT(space, "lobby", 0, check_lobby_space,
         "Space of game servers; it need not be named in map.spaces."),
    TEXT(password, "", BOTH | CONFIG_SECRET, NULL, "Password of game servers; empty: none."),
    TEXT(passwords, "", BOTH | CONFIG_SECRET, password_list_check,
         "Passwords of game servers that have names: lines made by trackerctl password."),
    LOBBY(verify, CONFIG_ENUM, "udp", BOTH, 0, 0, "udp|off", NULL,
          "How a game server proves that it owns its address, before it is listed."),
    TIME(verify_interval, "1s", BOTH, 10, HOUR_MS, "Time between two datagrams to be returned."),
    NUMBER(verify_tries, "5", BOTH, 1, 1000,
           "Datagrams without an answer until a game server is refused."),
    TEXT(verify_from, "*:0", 0, check_from, "Address and port that these datagrams come from."),
    TIME(ping, "10s", BOTH, 10, HOUR_MS, "How often game servers are pinged."),
    NUMBER(max_missed, "3", BOTH, 1, 1000,
           "Pongs that a game server may miss before it is "
           "dropped."),
    TIME(timeout, "30s", BOTH, 10, HOUR_MS, "How long a game server may leave a ping unanswered."),
    TIME(original_timeout, "60s", BOTH, 10, 24 * HOUR_MS,
         "How long a game server that speaks the original's packets may send nothing."),
    TIME(login_timeout, "5s", BOTH, 10, HOUR_MS, "Time for the login."),
    NUMBER(max_servers, "4096", CONFIG_RELOADABLE, 0, 10000000,
           "Game servers connected at a time."),
    NUMBER(max_clients, "10000", CONFIG_RELOADABLE, 0, 10000000, "Players connected at a time."),
    NUMBER(max_newcomers, "1024", CONFIG_RELOADABLE, 1, 10000000,
           "Connections at a time that have not logged in; the oldest makes room for a new one."),
    NUMBER(max_per_ip, "32", BOTH, 0, 10000000,
           "Game servers, players, and connections without a login, of one address; 0: no limit."),
    TIME(penalty, "1s", BOTH, 0, HOUR_MS,
         "How long an address waits after a bad password; doubled with each further one."),
    TIME(penalty_max, "15s", BOTH, 0, HOUR_MS, "Longest time that it waits."),
    TIME(penalty_memory, "10m", BOTH, 1000, 24 * HOUR_MS,
         "How long after the last one bad passwords are remembered."),
    NUMBER(penalty_tracked, "10000", 0, 1, 10000000,
           "Addresses whose bad passwords are remembered."),
    NUMBER(rate, "20", BOTH, 0, 1000000,
           "Messages a second of one connection, which is read no faster; 0: no limit."),
    NUMBER(burst, "100", BOTH, 1, 4000000, "Messages that it may send at once after a pause."),
    NUMBER(max_errors, "20", BOTH, 1, 1000000,
           "Messages of one connection that are refused in lobby.error_window before it is "
           "closed."),
    TIME(error_window, "10s", BOTH, 1, HOUR_MS, "Time in which refused messages are counted."),
    NUMBER(max_properties, "64", BOTH, 1, 256, "Keys of one game server's infos."),
    LOBBY(max_total, CONFIG_SIZE, "3KiB", BOTH, 64, 3072, NULL, NULL,
          "Bytes of all keys and values of one game server's infos."),
    LOBBY(host_byte_order, CONFIG_ENUM, "reversed", BOTH, 0, 0, "network|reversed", NULL,
          "Order of an address's bytes in the original's packets; reversed: as its programs on "
          "little-endian machines write and read them."),
    LOBBY(
        original_updates, CONFIG_BOOL, "false", BOTH, 0, 0, NULL, NULL,
        "Send the original's clients a server's packet again when it changes; each makes them add "
        "a line to their list."),
    LOBBY(chunk, CONFIG_SIZE, "64KiB", BOTH, 4096, 64 << 20, NULL, NULL,
          "Bytes of changes that are written at a time for a player with a backlog."),
    TEXT(bans, "", CONFIG_RELOADABLE, ban_list_check,
         "Addresses and prefixes whose game servers and players are refused."),
    TIME(bans_reread, "5s", CONFIG_RELOADABLE, 100, HOUR_MS,
         "How often the bans that front-ends share are read again."),
    {.key = NULL}};

const struct config_module lobby_config = {.settings = table,
                                           .values_size = sizeof(struct lobby_settings)};

static bool has_passwords(const char *lines)
{
    char *error;
    struct password_list *list = password_list_create(lines, &error);
    const bool has = list != NULL && password_list_count(list) > 0;

    free(error);
    password_list_destroy(&list);
    return has;
}

const char *lobby_settings_check(const struct lobby_settings *settings, enum lobby_role role)
{
    if (role != LOBBY_FOR_CLIENTS && *settings->password == 0 &&
        !has_passwords(settings->passwords)) {
        return "a lobby for game servers needs lobby.password, or a password in lobby.passwords";
    }
    return NULL;
}
