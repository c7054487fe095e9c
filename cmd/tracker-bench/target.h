/* target: where connections go: addresses, over which they are spread. */
#ifndef BENCH_TARGET_H
#define BENCH_TARGET_H

#include <stdint.h>

#include "stream/resolve.h"

#define TARGETS_MAX 16

struct targets {
    struct stream_address all[TARGETS_MAX];
    uint32_t count;
};

/* "127.0.0.1:6789" or "unix:/path", or several with commas; ends the process when it is neither. */
void targets_read(struct targets *targets, const char *text);
/* In turn. */
const struct stream_address *targets_at(const struct targets *targets, uint32_t number);

#endif
