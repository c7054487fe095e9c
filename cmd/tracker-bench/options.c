/* options: see the header. Each option is one row of the table, from which the help is generated.
 */
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "modes.h"
#include "service.h"

enum kind { KIND_TEXT, KIND_COUNT, KIND_REAL, KIND_FLAG, KIND_DIALECT, KIND_PROC, KIND_HELP };

static const struct option_line {
    const char *name;
    const char *value;
    enum kind kind;
    size_t offset;
    double max;
    const char *help;
} lines[] = {
    {"target", "WHERE", KIND_TEXT, offsetof(struct options, target), 0,
     "ADDRESS:PORT or unix:PATH of the front-end (pubsub: of Redis), or several with commas"},
    {"watch", "WHERE", KIND_TEXT, offsetof(struct options, watch), 0,
     "the front-end of the watchers; the target unless given"},
    {"service", "NAME", KIND_TEXT, offsetof(struct options, service), 0,
     "for ws- modes: the service; for flood: heartbeats, queries or answers"},
    {"tls", NULL, KIND_FLAG, offsetof(struct options, tls), 0, "for ws- modes: wss"},
    {"reconnect", NULL, KIND_FLAG, offsetof(struct options, reconnect), 0,
     "closed connections reconnect after a pause with backoff and jitter"},
    {"connections", "N", KIND_COUNT, offsetof(struct options, connections), 1000000,
     "connections that write, or stay idle"},
    {"entries", "N", KIND_COUNT, offsetof(struct options, entries), 10000000,
     "entries of all writers together, or of a snapshot"},
    {"rate", "R", KIND_REAL, offsetof(struct options, rate), 1e7,
     "operations per second, sent on schedule (open loop)"},
    {"window", "N", KIND_COUNT, offsetof(struct options, window), 65536,
     "instead of a rate: operations in flight per connection (closed loop)"},
    {"watchers", "N", KIND_COUNT, offsetof(struct options, watchers), 1000000,
     "connections that receive pushes"},
    {"sources", "N", KIND_COUNT, offsetof(struct options, sources), 65536,
     "source addresses, from 127.0.0.2 on; 0: the system's choice"},
    {"processes", "N", KIND_COUNT, offsetof(struct options, processes), 32,
     "generator processes of each role, more if the descriptors require them"},
    {"state-size", "BYTES", KIND_COUNT, offsetof(struct options, state_size), 65536,
     "size of a state"},
    {"each", "N", KIND_COUNT, offsetof(struct options, each), 10000,
     "friends of each user, or properties of each client"},
    {"dialect", "NAME", KIND_DIALECT, offsetof(struct options, dialect), 0,
     "dialect of the writers: 2013 or versioned"},
    {"seconds", "S", KIND_REAL, offsetof(struct options, seconds), 3600,
     "measured time; for idle modes and servers: how long they stay"},
    {"warmup", "S", KIND_REAL, offsetof(struct options, warmup), 3600, "load before that"},
    {"pid", "NAME=PID", KIND_PROC, 0, 0, "processes to measure: frontend=12 redis=34"},
    {"json", NULL, KIND_FLAG, offsetof(struct options, json), 0, "one JSON object, no table"},
    {"help", NULL, KIND_HELP, 0, 0, "this text"},
};
#define LINES (sizeof lines / sizeof lines[0])

_Noreturn static void fail_usage(const char *what, const char *value)
{
    (void)fprintf(stderr, "tracker-bench: %s: %s (try --help)\n", what, value);
    exit(2);
}

/* Decimal digits, with an optional fraction and exponent: no sign, no spaces, no other base. */
static bool parse_decimal(const char *value, double *number)
{
    char *end;
    if (strspn(value, "0123456789.") == 0 || value[strspn(value, "0123456789.eE+-")] != '\0') {
        return false;
    }
    errno = 0;
    *number = strtod(value, &end);
    return end != value && *end == '\0' && errno == 0 && isfinite(*number);
}

static double read_option_number(const struct option_line *line, const char *value)
{
    char what[80];
    double number;
    if (parse_decimal(value, &number) && number <= line->max &&
        (line->kind != KIND_COUNT || number == floor(number))) {
        return number;
    }
    (void)snprintf(what, sizeof what, "--%s: not a%s number from 0 to %.0f", line->name,
                   line->kind == KIND_COUNT ? " whole" : "", line->max);
    fail_usage(what, value);
}

static enum tracker_dialect read_dialect(const char *value)
{
    if (strcmp(value, "2013") == 0) {
        return TRACKER_2013;
    }
    if (strcmp(value, "versioned") != 0) {
        fail_usage("dialect", value);
    }
    return TRACKER_VERSIONED;
}

static void read_proc(struct options *options, char *value)
{
    char *equals = strchr(value, '=');
    char *end;
    long pid;
    if (!equals || equals == value || options->proc_count == OPTIONS_MAX_PROCS) {
        fail_usage("pid", value);
    }
    pid = strtol(equals + 1, &end, 10);
    if (end == equals + 1 || *end != '\0' || pid <= 0 || pid > INT32_MAX) {
        fail_usage("pid", value);
    }
    *equals = '\0';
    options->procs[options->proc_count++] = (struct proc){value, (pid_t)pid};
}

_Noreturn void options_help(void)
{
    (void)printf("usage: tracker-bench MODE [OPTION]...\n\n");
    modes_print();
    (void)printf("\nservices:\n");
    services_print();
    (void)printf("\n");
    for (size_t i = 0; i < LINES; i++) {
        char left[40];
        (void)snprintf(left, sizeof left, "--%s %s", lines[i].name,
                       lines[i].value ? lines[i].value : "");
        (void)printf("  %-22s %s\n", left, lines[i].help);
    }
    exit(0);
}

static void store_option(struct options *options, const struct option_line *line, char *value)
{
    void *field = (char *)options + line->offset;
    switch (line->kind) {
    case KIND_TEXT:
        *(const char **)field = value;
        break;
    case KIND_COUNT:
        *(uint32_t *)field = (uint32_t)read_option_number(line, value);
        break;
    case KIND_REAL:
        *(double *)field = read_option_number(line, value);
        break;
    case KIND_FLAG:
        *(bool *)field = true;
        break;
    case KIND_DIALECT:
        options->dialect = read_dialect(value);
        break;
    case KIND_PROC:
        read_proc(options, value);
        break;
    case KIND_HELP:
        options_help();
    }
}

/* given_: from the command line, 0 if missing. A rate replaces the default window, and vice versa.
 */
static void choose_pace(struct options *options, const struct options_load *load, const char *mode,
                        double given_rate, double given_window)
{
    if (given_window > 0 && !load->has_window) {
        fail_usage("--window: not supported in this mode, which takes a --rate", mode);
    }
    if (given_window > 0 && given_rate > 0) {
        fail_usage("--rate and --window: only one of them is allowed", mode);
    }
    if (given_rate > 0) {
        options->window = 0;
    }
    if (given_window > 0) {
        options->rate = 0;
    }
    if (options->rate <= 0 && options->window == 0 && !load->may_be_idle) {
        fail_usage(load->has_window ? "--rate or --window: must be more than 0"
                                    : "--rate: must be more than 0",
                   mode);
    }
}

void options_read(struct options *options, const struct options_load *load, int argc, char **argv)
{
    struct option table[LINES + 1] = {{0}};
    bool has_rate = false, has_window = false;
    int found;
    for (size_t i = 0; i < LINES; i++) {
        table[i] = (struct option){.name = lines[i].name,
                                   .has_arg = lines[i].value ? required_argument : no_argument,
                                   .val = (int)i + 1};
    }
    while ((found = getopt_long(argc, argv, "", table, NULL)) != -1) {
        if (found == '?') {
            exit(2);
        }
        store_option(options, &lines[found - 1], optarg);
        has_rate |= lines[found - 1].offset == offsetof(struct options, rate);
        has_window |= lines[found - 1].offset == offsetof(struct options, window);
    }
    if (optind != argc) {
        fail_usage("unexpected", argv[optind]);
    }
    if (options->state_size < BENCH_STAMPS) {
        fail_usage("state-size", "less than the 16 bytes of its time stamps");
    }
    if (options->seconds <= 0) {
        fail_usage("seconds", "must be more than 0");
    }
    if (options->reconnect && !load->has_sessions) {
        fail_usage("--reconnect: this mode has no connections", argv[0]);
    }
    choose_pace(options, load, argv[0], has_rate ? options->rate : 0,
                has_window ? options->window : 0);
}
