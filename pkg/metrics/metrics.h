/*
 * metrics: the counters, gauges and histograms of this process, and their Prometheus text.
 *
 * The list is in metrics_list.h only: a metric is added there, and counted with
 * metrics_add(METRIC_...). Rows of one name are adjacent and differ in their labels.
 * A process has one set, used only by the loop's thread.
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

extern int64_t metrics_values[METRIC_COUNT];

static inline void metrics_add(enum metric metric, int64_t n)
{
    metrics_values[metric] += n;
}
static inline void metrics_set(enum metric metric, int64_t value)
{
    metrics_values[metric] = value;
}
static inline int64_t metrics_get(enum metric metric)
{
    return metrics_values[metric];
}
/* value in the histogram's unit: microseconds for times, a count otherwise. Buckets are powers of
 * two from 1 to 2^24. */
void metrics_observe(enum metric_histogram histogram, uint64_t value);
/* The Prometheus text format 0.0.4; every name is prefixed tracker_. Times become seconds. */
void metrics_write_text(struct writer *to);

#endif
