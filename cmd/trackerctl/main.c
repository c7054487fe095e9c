/*
 * trackerctl: inspects and controls a tracker: its map in Redis, and its front-ends. Here: the
 * command line. docs/man/trackerctl.1 is its contract.
 */
#include <getopt.h>
#include <limits.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/ids.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/random.h"
#include "base/standard_fds.h"
#include "ctl.h"
#include "redis/embedded.h"
#include "version.h"

#define DEFAULT_REDIS   "redis://127.0.0.1:6379/0"
#define DEFAULT_SPACE   "main"
#define DEFAULT_TIMEOUT 5000
#define LONGEST_TIMEOUT (24 * 3600 * 1000)

static const struct ctl_command {
    const char *name, *arguments, *help;
    int least, most; /* arguments */
    bool may_watch, may_repair;
    enum ctl_exit (*run)(struct ctl *ctl, int count, char **arguments);
} commands[] = {
    {"nodes", "", "list the front-ends", 0, 0, false, false, command_nodes},
    {"clients", "[--watch]", "list the entries of a space; with --watch, then each change", 0, 0,
     true, false, command_clients},
    {"get", "ID", "show one entry with all its fields", 1, 1, false, false, command_get},
    {"shard", "ID", "show to which partition an id belongs", 1, 1, false, false, command_shard},
    {"presence", "USER... [--watch]", "show the status of users; with --watch, then each change", 1,
     INT_MAX, true, false, command_presence},
    {"rooms", "", "list the rooms of a space", 0, 0, false, false, command_rooms},
    {"room", "NAME", "list the members of a room", 1, 1, false, false, command_room},
    {"events", "", "print the changes of a space as they happen", 0, 0, false, false,
     command_events},
    {"open", "STATE", "open an entry and hold it until the end of the command", 1, 1, false, false,
     command_open},
    {"update", "ID VERSION STATE", "update an entry", 3, 3, false, false, command_update},
    {"close", "ID", "close an entry", 1, 1, false, false, command_close},
    {"fsck", "[--repair]", "check the data in Redis; with --repair, repair them", 0, 0, false, true,
     command_fsck},
    {"ping", "", "measure round trips to Redis and to every front-end", 0, 0, false, false,
     command_ping},
    {"config", "[NODE]", "show the settings in force of a front-end, or of all", 0, 1, false, false,
     command_config},
    {"shared", "[set KEY=VALUE...]",
     "show the settings that all front-ends share; with set, change some", 0, INT_MAX, false, false,
     command_shared},
    {"kick", "ID [--for TIME]", "end the connection that owns an entry", 1, 1, false, false,
     command_kick},
    {"send", "ID JSON", "send a packet to the client that owns an entry", 2, 2, false, false,
     command_send},
    {"drain", "NODE", "shut a front-end down, with its clients sent elsewhere first", 1, 1, false,
     false, command_drain},
    {"reload", "NODE", "make a front-end read its configuration again", 1, 1, false, false,
     command_reload},
    {"ban", "PREFIX [--for TIME]", "refuse connections from these addresses", 1, 1, false, false,
     command_ban},
    {"unban", "PREFIX", "lift a ban", 1, 1, false, false, command_unban},
    {"bans", "", "list the prefixes that are banned on all front-ends", 0, 0, false, false,
     command_bans},
    {"password", "NAME", "print a line for the lobby's passwords file; asks for the password", 1, 1,
     false, false, command_password},
    {"servers", "", "show the list of game servers on the whole screen", 0, 0, false, false,
     command_servers},
};
#define COMMANDS (sizeof commands / sizeof *commands)

enum option_code {
    OPTION_REDIS = 256,
    OPTION_CONNECT,
    OPTION_SPACE,
    OPTION_PREFIX,
    OPTION_SET,
    OPTION_JSON,
    OPTION_QUIET,
    OPTION_TIMEOUT,
    OPTION_BASE64,
    OPTION_WATCH,
    OPTION_REPAIR,
    OPTION_EXEC,
    OPTION_PLAIN,
    OPTION_PING,
    OPTION_FOR,
    OPTION_HELP,
    OPTION_VERSION
};

static const struct option options[] = {
    {"redis", required_argument, NULL, OPTION_REDIS},
    {"connect", required_argument, NULL, OPTION_CONNECT},
    {"space", required_argument, NULL, OPTION_SPACE},
    {"prefix", required_argument, NULL, OPTION_PREFIX},
    {"set", required_argument, NULL, OPTION_SET},
    {"json", no_argument, NULL, OPTION_JSON},
    {"quiet", no_argument, NULL, OPTION_QUIET},
    {"timeout", required_argument, NULL, OPTION_TIMEOUT},
    {"base64", no_argument, NULL, OPTION_BASE64},
    {"watch", no_argument, NULL, OPTION_WATCH},
    {"repair", no_argument, NULL, OPTION_REPAIR},
    {"exec", required_argument, NULL, OPTION_EXEC},
    {"plain", no_argument, NULL, OPTION_PLAIN},
    {"ping", required_argument, NULL, OPTION_PING},
    {"for", required_argument, NULL, OPTION_FOR},
    {"help", no_argument, NULL, OPTION_HELP},
    {"version", no_argument, NULL, OPTION_VERSION},
    {NULL, 0, NULL, 0},
};

static void print_help(void)
{
    printf("usage: trackerctl [OPTION...] COMMAND [ARGUMENT...]\n\n"
           "Commands\n");
    for (size_t i = 0; i < COMMANDS; i++) {
        printf("  %-8s %-19s %s\n", commands[i].name, commands[i].arguments, commands[i].help);
    }
    printf(
        "\nOptions\n"
        "  --redis URL          where Redis is (TRACKER_REDIS_URL; else the one that a front-end\n"
        "                       of yours runs, or %s)\n"
        "  --connect ADDR:PORT  the front-end: for open, update and close (%s),\n"
        "                       for servers its lobby (127.0.0.1:23470), or http://ADDR:PORT\n"
        "  --space NAME         the space (%s; nodes and fsck: all)\n"
        "  --prefix PREFIX      of all keys in Redis (tracker)\n"
        "  --set KEY=VALUE      a redis.* or client.* setting, as for trackerd\n"
        "  --timeout DURATION   how long to wait for an answer (%ds)\n"
        "  --json               JSON instead of tables\n"
        "  --base64             ids and states on the command line are base64\n"
        "  --exec COMMAND       servers: what Enter runs, with %%a the address, %%h the host,\n"
        "                       %%p the port of the server\n"
        "  --plain              servers: a table, once\n"
        "  --ping HOW           servers: getinfo (as the Quake III games answer), gltron, tcp\n"
        "  --for TIME           ban: how long, as 30m; default: until unban; kick: its\n"
        "                       client's address is banned for that long\n"
        "  --quiet              do not report the connection\n"
        "  --help, --version\n\n"
        "Exit codes: 0 success, 1 not found, refused or findings, 2 usage,\n"
        "3 no connection, 4 no answer in time.\n",
        DEFAULT_REDIS, CTL_DEFAULT_CONNECT, DEFAULT_SPACE, DEFAULT_TIMEOUT / 1000);
}

/* Takes ownership of a message of config. */
static bool is_fine(char *message)
{
    if (!message) {
        return true;
    }
    ctl_complain("%s", message);
    free(message);
    return false;
}

static bool set_setting(struct ctl *ctl, const char *key, const char *value)
{
    char *assignment = mem_format("%s=%s", key, value);
    bool fine = is_fine(config_set(ctl->config, assignment));
    free(assignment);
    return fine;
}

static bool set_timeout(struct ctl *ctl, const char *text)
{
    if (config_parse_duration(text, &ctl->timeout_ms) && ctl->timeout_ms > 0 &&
        ctl->timeout_ms <= LONGEST_TIMEOUT) {
        return true;
    }
    ctl_complain("--timeout: \"%s\" is not a duration like 500ms or 5s, at most a day", text);
    return false;
}

static bool set_for(struct ctl *ctl, const char *text)
{
    if (config_parse_duration(text, &ctl->for_ms) && ctl->for_ms > 0) {
        return true;
    }
    ctl_complain("--for: \"%s\" is not a duration like 30m or 12h", text);
    return false;
}

static bool set_space_option(struct ctl *ctl, const char *name)
{
    ctl->space = name;
    ctl->space_given = true;
    if (id_is_space_name(name)) {
        return true;
    }
    ctl_complain("--space: a name has 1 to 32 characters of a-z 0-9 _ -");
    return false;
}

static bool take_option(struct ctl *ctl, int code)
{
    switch (code) {
    case OPTION_REDIS:
        ctl->redis_given = true;
        return set_setting(ctl, "redis.url", optarg);
    case OPTION_CONNECT:
        ctl->connect = optarg;
        return true;
    case OPTION_SPACE:
        return set_space_option(ctl, optarg);
    case OPTION_PREFIX:
        return set_setting(ctl, "redis.prefix", optarg);
    case OPTION_SET:
        return is_fine(config_set(ctl->config, optarg));
    case OPTION_TIMEOUT:
        return set_timeout(ctl, optarg);
    case OPTION_FOR:
        return set_for(ctl, optarg);
    case OPTION_JSON:
        return ctl->json = true;
    case OPTION_QUIET:
        return ctl->quiet = true;
    case OPTION_BASE64:
        return ctl->base64 = true;
    case OPTION_WATCH:
        return ctl->watch = true;
    case OPTION_REPAIR:
        return ctl->repair = true;
    case OPTION_EXEC:
        ctl->exec = optarg;
        return true;
    case OPTION_PLAIN:
        return ctl->plain = true;
    case OPTION_PING:
        ctl->ping = optarg;
        return true;
    default:
        return false; /* getopt has complained */
    }
}

/* The environment may be a front-end's: variables that are not for us are ignored. */
static bool load_environment(struct ctl *ctl)
{
    static const char *const ours[] = {"TRACKER_REDIS_", "TRACKER_CLIENT_"};
    size_t count = 0, used = 0;
    while (environ[count]) {
        count++;
    }
    char **kept = mem_zalloc(count + 1, sizeof *kept);
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < sizeof ours / sizeof *ours; j++) {
            if (!strncmp(environ[i], ours[j], strlen(ours[j]))) {
                kept[used++] = environ[i];
            }
        }
    }
    bool fine = is_fine(config_load_environment(ctl->config, kept));
    free(kept);
    return fine;
}

static void list_servers(char *const *sockets)
{
    struct writer text = {0};
    for (size_t i = 0; sockets[i]; i++) {
        writer_format(&text, "%sunix:%s", i ? ", " : "", sockets[i]);
    }
    ctl_complain("several front-ends run a Redis of their own; choose one by --redis or "
                 "TRACKER_REDIS_URL: %.*s",
                 (int)text.len, (const char *)text.data);
    writer_free(&text);
}

/* The default: the Redis that a front-end of this user runs, if there is one. */
static char *find_redis(struct ctl *ctl)
{
    char **sockets = redis_embedded_find(), *url = NULL;
    ctl->guessed = !sockets[0];
    if (!sockets[0]) {
        url = mem_strdup(DEFAULT_REDIS);
    } else if (!sockets[1]) {
        url = mem_format("unix:%s", sockets[0]);
    } else {
        list_servers(sockets);
    }
    for (size_t i = 0; sockets[i]; i++) {
        free(sockets[i]);
    }
    free(sockets);
    return url;
}

static bool find_target(struct ctl *ctl)
{
    bool is_given = strcmp(ctl->redis.url, "embedded") != 0;
    char *url = is_given ? mem_strdup(ctl->redis.url) : find_redis(ctl);
    if (!url) {
        return false;
    }
    /* Our own time-out is the shorter one: it gives a better message than the link's. */
    ctl->redis.timeout = ctl->timeout_ms + 1000;
    ctl->redis.connect_timeout = ctl->timeout_ms + 1000;
    bool fine = is_fine(redis_target_parse(url, &ctl->target));
    free(url);
    return fine;
}

static void ctl_begin(struct ctl *ctl)
{
    *ctl = (struct ctl){.loop = loop_create(),
                        .config = config_create(),
                        .space = DEFAULT_SPACE,
                        .timeout_ms = DEFAULT_TIMEOUT};
    config_add(ctl->config, &redis_config, &ctl->redis);
    config_add(ctl->config, &map_config, &ctl->map);
}

static void ctl_end(struct ctl *ctl)
{
    reader_destroy(&ctl->reader);
    loop_signal_destroy(&ctl->interrupt);
    loop_signal_destroy(&ctl->terminate);
    config_destroy(&ctl->config);
    config_free_values(&redis_config, &ctl->redis);
    config_free_values(&map_config, &ctl->map);
    redis_target_free(&ctl->target);
    loop_destroy(&ctl->loop);
}

#define NEAR 2 /* for a suggestion: how many letters may differ */

static const struct ctl_command *nearest_command(const char *name)
{
    const struct ctl_command *nearest = NULL;
    size_t least = NEAR + 1;
    for (size_t i = 0; i < COMMANDS; i++) {
        size_t distance = config_distance(name, commands[i].name);
        if (distance < least) {
            least = distance;
            nearest = &commands[i];
        }
    }
    return nearest;
}

static const struct ctl_command *find_command(const char *name)
{
    for (size_t i = 0; i < COMMANDS; i++) {
        if (!strcmp(name, commands[i].name)) {
            return &commands[i];
        }
    }
    const struct ctl_command *nearest = nearest_command(name);
    if (nearest) {
        ctl_complain("unknown command \"%s\"; did you mean \"%s\"? See trackerctl --help", name,
                     nearest->name);
    } else {
        ctl_complain("unknown command \"%s\"; see trackerctl --help", name);
    }
    return NULL;
}

static bool command_fits(const struct ctl *ctl, const struct ctl_command *command, int count)
{
    bool fits = count >= command->least && count <= command->most &&
                (!ctl->watch || command->may_watch) && (!ctl->repair || command->may_repair) &&
                (!ctl->for_ms || command->run == command_ban || command->run == command_kick);
    if (!fits) {
        ctl_complain("usage: trackerctl [OPTION...] %s%s%s; see trackerctl --help", command->name,
                     *command->arguments ? " " : "", command->arguments);
    }
    return fits;
}

/* Commands that use a lobby, the API or a front-end need no Redis. */
static bool needs_redis(const struct ctl *ctl, const struct ctl_command *command)
{
    if (command->run == command_servers) {
        return ctl->redis_given;
    }
    bool is_given = strcmp(ctl->redis.url, "embedded") != 0;
    return is_given || (command->run != command_open && command->run != command_update &&
                        command->run != command_close && command->run != command_password);
}

static enum ctl_exit run_trackerctl(struct ctl *ctl, int count, char **arguments)
{
    int code;
    if (!load_environment(ctl)) {
        return CTL_USAGE;
    }
    while ((code = getopt_long(count, arguments, "", options, NULL)) != -1) {
        if (code == OPTION_HELP || code == OPTION_VERSION) {
            if (code == OPTION_HELP) {
                print_help();
            } else {
                printf("trackerctl %s\n", TRACKER_VERSION);
            }
            return CTL_OK;
        }
        if (!take_option(ctl, code)) {
            ctl_complain("see trackerctl --help");
            return CTL_USAGE;
        }
    }
    const struct config_rename *rename;
    for (size_t i = 0; (rename = config_renamed(ctl->config, i)); i++) {
        ctl_warn_renamed(rename);
    }
    if (optind == count) {
        ctl_complain("a command is needed; see trackerctl --help");
        return CTL_USAGE;
    }
    const struct ctl_command *command = find_command(arguments[optind++]);
    if (!command || !command_fits(ctl, command, count - optind)) {
        return CTL_USAGE;
    }
    if (needs_redis(ctl, command) && !find_target(ctl)) {
        return CTL_USAGE;
    }
    return command->run(ctl, count - optind, arguments + optind);
}

int main(int count, char **arguments)
{
    struct ctl ctl;
    standard_fds_open();
    (void)setlocale(LC_CTYPE, "C.UTF-8"); /* for the width of characters */
    (void)signal(SIGPIPE, SIG_IGN);
    random_init();
    log_configure(LOG_ERROR, LOG_FORMAT_LOGFMT);
    ctl_begin(&ctl);
    enum ctl_exit result = run_trackerctl(&ctl, count, arguments);
    ctl_end(&ctl);
    if (fflush(stdout) != 0 && result == CTL_OK && !ctl.listening) {
        result = CTL_NO;
    }
    return result;
}
