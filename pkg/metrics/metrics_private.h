/* metrics_private: where the metrics are: in this process, or on the board of a supervisor. */
#ifndef METRICS_METRICS_PRIVATE_H
#define METRICS_METRICS_PRIVATE_H

#include "metrics/board.h"
#include "metrics/metrics.h"

/* metrics.c: a hash of the list of metrics. */
uint64_t metrics_layout(void);
/* board.c: the metrics of a worker, NULL where there are none that can be read; from 1 on. */
const struct metrics_area *board_area(unsigned worker);

#endif
