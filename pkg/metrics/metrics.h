/*
 * metrics: the counters, gauges and histograms of this process, and their Prometheus text.
 *
 * The list is in metrics_list.h only: a metric is added there, and counted with
 * metrics_add(METRIC_...). Rows of one name are adjacent and differ in their labels.
 * A process has one set, used only by the loop's thread. Workers of a supervisor show those of all
 * of them, with a label: board.h.
 */
#ifndef METRICS_METRICS_H
#define METRICS_METRICS_H

#include <stdint.h>

#include "base/bytes.h"

enum metric {
#define METRIC(id, kind, name, labels, help) METRIC_##id,
#define METRIC_HISTOGRAM(id, name, unit, help)
#include "metrics/metrics_list.h"
#undef METRIC
#undef METRIC_HISTOGRAM
    METRIC_COUNT
};

enum metric_histogram {
#define METRIC(id, kind, name, labels, help)
#define METRIC_HISTOGRAM(id, name, unit, help) HISTOGRAM_##id,
#include "metrics/metrics_list.h"
#undef METRIC
#undef METRIC_HISTOGRAM
    HISTOGRAM_COUNT
};

#define METRIC_BUCKETS 25 /* 2^0 to 2^24 */

struct histogram_counts {
    uint64_t buckets[METRIC_BUCKETS]; /* not cumulative: they are summed when written */
    uint64_t count;
    uint64_t sum;
};

/* All of a process, in pages of their own: as a worker shares them (board.h). The pages of the
 * system may have up to METRICS_PAGE bytes. */
#define METRICS_PAGE 65536
struct metrics_area {
    union {
        struct {
            uint64_t layout; /* of the list of metrics; 0: nobody's */
            uint32_t ready;  /* for the others */
            char why[96];    /* it is not ready */
            int64_t values[METRIC_COUNT];
            struct histogram_counts histograms[HISTOGRAM_COUNT];
        };
        uint8_t pages[METRICS_PAGE];
    };
};
_Static_assert(sizeof(struct metrics_area) == METRICS_PAGE, "all of it fits into its pages");

extern _Alignas(METRICS_PAGE) struct metrics_area metrics_area;

static inline void metrics_add(enum metric metric, int64_t n)
{
    metrics_area.values[metric] += n;
}
static inline void metrics_set(enum metric metric, int64_t value)
{
    metrics_area.values[metric] = value;
}
static inline int64_t metrics_get(enum metric metric)
{
    return metrics_area.values[metric];
}
/* value in the histogram's unit: microseconds for times, a count otherwise. Buckets are powers of
 * two from 1 to 2^24. */
void metrics_observe(enum metric_histogram histogram, uint64_t value);
/* The Prometheus text format 0.0.4; every name is prefixed tracker_. Times become seconds. */
void metrics_write_text(struct writer *to);

#endif
