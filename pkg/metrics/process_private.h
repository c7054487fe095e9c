/* process: what every Prometheus client shows of its process, by the names that they all use. */
#ifndef METRICS_PROCESS_PRIVATE_H
#define METRICS_PROCESS_PRIVATE_H

#include "base/bytes.h"

/* What cannot be read is left out. */
void process_write_text(struct writer *to);

#endif
