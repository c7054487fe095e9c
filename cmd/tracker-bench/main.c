/*
 * tracker-bench: a load generator for Tracker front-ends, and for the programs they are compared
 * with.
 *
 * bench.h explains how a run works; modes.c has what can be measured.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "base/standard_fds.h"
#include "modes.h"

int main(int argc, char **argv)
{
    const struct mode *mode;
    struct options options;
    struct report *report;
    standard_fds_open();
    if (argc < 2 || strcmp(argv[1], "--help") == 0) {
        options_help();
    }
    mode = mode_find(argv[1]);
    if (!mode) {
        (void)fprintf(stderr, "tracker-bench: no such mode: %s (try --help)\n", argv[1]);
        return 2;
    }
    options = mode->standard;
    options_read(&options, &mode->load, argc - 1, argv + 1);
    (void)signal(SIGPIPE, SIG_IGN);
    random_init();
    report = report_create(mode->name);
    mode->measure(&options, report);
    report_print(report, options.json);
    report_destroy(&report);
    return 0;
}
