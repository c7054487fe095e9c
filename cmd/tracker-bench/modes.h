/* modes: the measurements. */
#ifndef BENCH_MODES_H
#define BENCH_MODES_H

#include "options.h"
#include "report.h"

struct mode {
    const char *name;
    const char *help;
    /* The mode's defaults. */
    struct options standard;
    struct options_load load;
    void (*measure)(const struct options *options, struct report *report);
};

/* NULL: there is none of that name. */
const struct mode *mode_find(const char *name);
/* For the help: one line each. */
void modes_print(void);

#endif
