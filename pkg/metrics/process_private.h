/* process: the standard process metrics of Prometheus clients, by their standard names. */
#ifndef METRICS_PROCESS_PRIVATE_H
#define METRICS_PROCESS_PRIVATE_H

#include "base/bytes.h"

/* Values that cannot be read are omitted. */
void process_write_text(struct writer *to);

#endif
