/* cmdline: the options, and the settings that they set. */
#include "server/cmdline.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/mem.h"

const char cmdline_usage[] =
    "Usage: trackerd [OPTION]...\n"
    "\n"
    "A front-end that lets clients share live state through Redis.\n"
    "\n"
    "  --config FILE     settings from FILE; see --sample\n"
    "  --node NAME       name of this front-end in logs and tools\n"
    "  --redis URL       embedded (default), redis://[user:password@]host:port/db,\n"
    "                    rediss://..., unix:/path\n"
    "  --listen KIND=ADDRESS:PORT[,NAME=VALUE]...\n"
    "                    a listener; may be given again. KIND: tracker, web, turntable,\n"
    "                    sync, lobby, lobby-servers, lobby-clients, q3master (UDP).\n"
    "                    ADDRESS: IPv4, [IPv6], or * for all; or KIND=unix:/path.\n"
    "                    Port 0 picks one. Options: space=NAME, admin=off (web), and the\n"
    "                    settings of net.* and of the kind that are marked as listener\n"
    "                    options, with or without their section. Default:\n"
    "                    tracker=127.0.0.1:6789 web=127.0.0.1:8080 sync=127.0.0.1:13372\n"
    "  --workers N|auto  so many processes on the same ports, under a supervisor; auto: one for\n"
    "                    each processor\n"
    "  --set KEY=VALUE   a setting; may be given again\n"
    "  --check           check the configuration and exit\n"
    "  --sample          print a sample configuration file and exit\n"
    "  --help, --version\n"
    "\n"
    "Flags take precedence over environment variables (TRACKER_KEY_NAME for key.name), these\n"
    "over the file, and the file over the defaults.\n"
    "\n"
    "Signals: SIGTERM and SIGINT drain and exit, a second one exits at once; SIGHUP reloads.\n"
    "With workers SIGUSR2 replaces their processes, one by one, by the program that is there now.\n"
    "Exit codes: 0 after a drain, 2 for bad usage or configuration, 1 otherwise.\n"
    "\n"
    "Settings:\n";

/* OPTION_WORKER is for the supervisor's own use. */
enum option {
    OPTION_CONFIG,
    OPTION_NODE,
    OPTION_REDIS,
    OPTION_LISTEN,
    OPTION_WORKERS,
    OPTION_WORKER,
    OPTION_SET,
    OPTION_FLAG
};

static const struct {
    const char *name;
    enum option option;
    enum cmdline_mode mode; /* OPTION_FLAG */
} options[] = {
    {"--config", OPTION_CONFIG, CMDLINE_RUN},   {"--node", OPTION_NODE, CMDLINE_RUN},
    {"--redis", OPTION_REDIS, CMDLINE_RUN},     {"--listen", OPTION_LISTEN, CMDLINE_RUN},
    {"--workers", OPTION_WORKERS, CMDLINE_RUN}, {"--worker", OPTION_WORKER, CMDLINE_RUN},
    {"--set", OPTION_SET, CMDLINE_RUN},         {"--help", OPTION_FLAG, CMDLINE_HELP},
    {"-h", OPTION_FLAG, CMDLINE_HELP},          {"--version", OPTION_FLAG, CMDLINE_VERSION},
    {"--sample", OPTION_FLAG, CMDLINE_SAMPLE},  {"--check", OPTION_FLAG, CMDLINE_CHECK},
};

static void add_assignment(struct cmdline *cmdline, const char *before, const char *value)
{
    cmdline->assignments[cmdline->assignment_count++] = mem_format("%s%s", before, value);
}

static void take_option_value(struct cmdline *cmdline, enum option option, const char *value,
                              struct writer *listen)
{
    switch (option) {
    case OPTION_CONFIG:
        cmdline->config = value;
        break;
    case OPTION_NODE:
        add_assignment(cmdline, "node=", value);
        break;
    case OPTION_REDIS:
        add_assignment(cmdline, "redis.url=", value);
        break;
    case OPTION_LISTEN:
        writer_format(listen, "%s%s", listen->len > 0 ? " " : "", value);
        break;
    case OPTION_WORKERS:
        add_assignment(cmdline, "workers=", value);
        break;
    case OPTION_WORKER:
        cmdline->is_worker = true;
        break;
    case OPTION_SET:
        add_assignment(cmdline, "", value);
        break;
    case OPTION_FLAG:
        break;
    }
}

/* The index in options, with the value after '=' if there is one; -1 when it is unknown. */
static int find_cmdline_option(const char *argument, const char **value)
{
    size_t len = strcspn(argument, "=");
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        if (strlen(options[i].name) == len && !strncmp(options[i].name, argument, len)) {
            *value = argument[len] ? argument + len + 1 : NULL;
            return (int)i;
        }
    }
    return -1;
}

static char *take_arguments(struct cmdline *cmdline, int argc, char *const *argv,
                            struct writer *listen)
{
    for (int i = 1; i < argc; i++) {
        const char *value;
        int found = find_cmdline_option(argv[i], &value);
        if (found < 0) {
            return mem_format("unknown option %s; try --help", argv[i]);
        }
        if (options[found].option == OPTION_FLAG) {
            if (value) {
                return mem_format("%s takes no value", options[found].name);
            }
            cmdline->mode = options[found].mode;
            continue;
        }
        if (!value && i + 1 < argc) {
            value = argv[++i];
        }
        if (!value) {
            return mem_format("%s needs a value", options[found].name);
        }
        take_option_value(cmdline, options[found].option, value, listen);
    }
    return NULL;
}

char *cmdline_parse(struct cmdline *cmdline, int argc, char *const *argv)
{
    struct writer listen = {0};
    memset(cmdline, 0, sizeof *cmdline);
    cmdline->assignments =
        mem_zalloc((size_t)argc + 1 + CMDLINE_MORE, sizeof *cmdline->assignments);
    char *error = take_arguments(cmdline, argc, argv, &listen);
    writer_u8(&listen, 0);
    if (!error && listen.len > 1) {
        add_assignment(cmdline, "listen=", (const char *)listen.data);
    }
    writer_free(&listen);
    return error;
}

void cmdline_add(struct cmdline *cmdline, const char *key, const char *value)
{
    cmdline->assignments[cmdline->assignment_count++] = mem_format("%s=%s", key, value);
}

void cmdline_free(struct cmdline *cmdline)
{
    for (size_t i = 0; i < cmdline->assignment_count; i++) {
        free(cmdline->assignments[i]);
    }
    free(cmdline->assignments);
    memset(cmdline, 0, sizeof *cmdline);
}
