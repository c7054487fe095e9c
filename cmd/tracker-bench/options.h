/* options: the command line. */
#ifndef BENCH_OPTIONS_H
#define BENCH_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "codec/tracker.h"
#include "proc.h"

#define OPTIONS_MAX_PROCS 8

/* The kinds of load of a mode, beyond the rate that each one takes. */
struct options_load {
    bool has_window;   /* --window is its alternative */
    bool may_be_idle;  /* it works without either */
    bool has_sessions; /* it has connections, not datagrams */
};

struct options {
    const char *target;
    const char *watch;
    const char *service;
    uint32_t connections;
    uint32_t entries;
    uint32_t watchers;
    uint32_t window;
    uint32_t sources;
    uint32_t processes;
    uint32_t state_size;
    uint32_t each;
    double rate;
    double seconds;
    double warmup;
    enum tracker_dialect dialect;
    bool tls;
    bool reconnect;
    bool json;
    struct proc procs[OPTIONS_MAX_PROCS];
    uint32_t proc_count;
};

/* Overrides the mode's defaults, which options already holds; argv[0] is the mode. A rate replaces
 * the default window, and a window the default rate. Exits on a wrong command line (2), and after
 * --help (0). */
void options_read(struct options *options, const struct options_load *load, int argc, char **argv);
_Noreturn void options_help(void);

#endif
