/* modes: what can be measured. */
#ifndef BENCH_MODES_H
#define BENCH_MODES_H

#include "options.h"
#include "report.h"

struct mode {
    const char *name;
    const char *help;
    /* Fills in what the command line left open. */
    struct options standard;
    struct options_load load;
    void (*measure)(const struct options *options, struct report *report);
};

/* NULL: there is none of that name. */
const struct mode *mode_find(const char *name);
/* For the help: a line each. */
void modes_print(void);

#endif
